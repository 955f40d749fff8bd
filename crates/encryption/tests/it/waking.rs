//! Who waits in a sync hears at once of every change of keys that concerns them.

use std::time::Duration;

use freehold_encryption::Consent;
use freehold_store::tables::rooms::Membership::{Invite, Join};
use tokio::time::{Instant, timeout};

use crate::cross_signing::{identity, key_id, one_signature};
use crate::world::{Person, World, signed};

/// For how long clients wait in a sync.
const LONG: Duration = Duration::from_secs(30);

/// Two who share a room, and a third who was only invited to it.
struct Room {
    world: World,
    one: Person,
    neighbour: Person,
    stranger: Person,
}

impl Room {
    async fn new() -> Self {
        let world = World::new().await;
        let one = world.person("@a:one.example", 1).await;
        let neighbour = world.person("@b:two.example", 2).await;
        let stranger = world.person("@c:two.example", 3).await;
        for (person, membership) in [(&one, Join), (&neighbour, Join), (&stranger, Invite)] {
            world.set_membership(person, 1, membership).await;
        }
        Room { world, one, neighbour, stranger }
    }

    /// A change wakes the neighbour and all devices of the user, without any time passing, and nobody else.
    async fn wakes(&self, change: impl Future<Output = ()>) {
        let wait = |person: &Person| self.world.store.wakes().wait_for(person.actor.user);
        let (own, others, strangers) = (wait(&self.one), wait(&self.neighbour), wait(&self.stranger));
        let begun = Instant::now();
        change.await;
        assert!(timeout(LONG, own.woken()).await.is_ok());
        assert!(timeout(LONG, others.woken()).await.is_ok());
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(timeout(LONG, strangers.woken()).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn every_change_of_keys_wakes_those_who_share_a_room_before_any_time_passes() {
    let room = Room::new().await;
    let (encryption, one) = (&room.world.encryption, &room.one);
    let keys = identity(one, 0);
    room.wakes(async {
        encryption.upload_keys(&one.actor, &one.upload(&[])).await.unwrap();
    })
    .await;
    room.wakes(async {
        encryption.upload_cross_signing_keys(&one.actor, &keys.upload(), Consent::Token).await.unwrap();
    })
    .await;
    let by = &keys.self_signing.0;
    let device = signed(one.device_keys(), one.user_id(), &key_id(by), by);
    let signature = one_signature(one, "DEVICE1", &device);
    room.wakes(async {
        let failures = encryption.upload_signatures(&one.actor, &signature).await.unwrap();
        assert!(failures.is_empty(), "{failures:?}");
    })
    .await;
    let anew = identity(one, 1).upload();
    room.wakes(async {
        encryption.upload_cross_signing_keys(&one.actor, &anew, Consent::Interactive).await.unwrap();
    })
    .await;
    room.wakes(room.world.delete_device(one)).await;
}
