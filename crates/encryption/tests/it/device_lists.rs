//! Who learns whose device list changed.

use std::sync::{Arc, Mutex};

use freehold_encryption::{DeviceListChanges, Encryption, ForeignMembers, Limits, Servers};
use freehold_store::tables::identity::{USER_IDS, USER_NUMBERS};
use freehold_store::tables::rooms::Membership::{Ban, Invite, Join, Knock, Leave};
use freehold_store::tables::rooms::STATE_HISTORY;
use freehold_store::{Batch, BoxFuture, Position, ReadError, RoomNumber, Snapshot, Tenant, UserNumber};
use ruma_common::{OwnedUserId, ServerName, UserId};

use crate::world::{Person, World};

async fn changes(world: &World, of: &Person, from: Position) -> (Vec<String>, Vec<String>) {
    let DeviceListChanges { changed, left } =
        world.encryption.device_list_changes(&world.snapshot(), &of.actor, from).await.unwrap();
    let names = |ids: Vec<ruma_common::OwnedUserId>| ids.iter().map(|id| id.localpart().to_owned()).collect();
    (names(changed), names(left))
}

async fn upload(world: &World, person: &Person) {
    world.encryption.upload_keys(&person.actor, &person.upload(&[])).await.unwrap();
}

async fn three(world: &World) -> [Person; 3] {
    [
        world.person("@a:one.example", 1).await,
        world.person("@b:two.example", 2).await,
        world.person("@c:two.example", 3).await,
    ]
}

fn nobody() -> Vec<String> {
    Vec::new()
}

#[tokio::test]
async fn new_keys_are_told_to_those_who_share_a_room_and_to_the_user() {
    let world = World::new().await;
    let [a, b, c] = three(&world).await;
    world.set_membership(&a, 1, Join).await;
    world.set_membership(&b, 1, Join).await;
    world.set_membership(&c, 1, Invite).await;
    let from = world.position();
    let (waiting, stranger) =
        (world.store.wakes().wait_for(b.actor.user), world.store.wakes().wait_for(c.actor.user));
    upload(&world, &a).await;
    waiting.woken().await;
    drop(stranger);
    assert_eq!(changes(&world, &a, from).await, (vec!["a".to_owned()], nobody()));
    assert_eq!(changes(&world, &b, from).await, (vec!["a".to_owned()], nobody()));
    assert_eq!(changes(&world, &c, from).await, (nobody(), nobody()));
    assert_eq!(changes(&world, &b, world.position()).await, (nobody(), nobody()));
}

#[tokio::test]
async fn a_deleted_device_is_told_like_a_new_one() {
    let world = World::new().await;
    let [a, b, _] = three(&world).await;
    for person in [&a, &b] {
        world.set_membership(person, 1, Join).await;
    }
    upload(&world, &a).await;
    let from = world.position();
    world.delete_device(&a).await;
    assert_eq!(changes(&world, &b, from).await.0, ["a"]);
}

#[tokio::test]
async fn who_joins_and_who_is_there_learn_of_each_other() {
    let world = World::new().await;
    let [a, b, c] = three(&world).await;
    for person in [&a, &c] {
        world.set_membership(person, 1, Join).await;
    }
    upload(&world, &a).await;
    let from = world.position();
    world.set_membership(&b, 1, Join).await;
    assert_eq!(changes(&world, &b, from).await, (vec!["a".to_owned(), "c".to_owned()], nobody()));
    assert_eq!(changes(&world, &a, from).await, (vec!["b".to_owned()], nobody()));
}

#[tokio::test]
async fn who_shares_no_room_any_more_has_left() {
    let world = World::new().await;
    let [a, b, c] = three(&world).await;
    for (person, room) in [(&a, 1), (&b, 1), (&c, 1), (&a, 2), (&b, 2)] {
        world.set_membership(person, room, Join).await;
    }
    let from = world.position();
    world.set_membership(&b, 1, Leave).await;
    assert_eq!(changes(&world, &a, from).await, (nobody(), nobody()), "they share room 2");
    assert_eq!(changes(&world, &c, from).await, (nobody(), vec!["b".to_owned()]));
    world.set_membership(&b, 2, Ban).await;
    assert_eq!(changes(&world, &a, from).await, (nobody(), vec!["b".to_owned()]));
    assert_eq!(changes(&world, &b, from).await, (nobody(), vec!["a".to_owned(), "c".to_owned()]));
    // Whoever is away learns nothing of keys until rooms are shared again, and then learns that they changed.
    upload(&world, &b).await;
    assert_eq!(changes(&world, &a, from).await, (nobody(), vec!["b".to_owned()]));
    world.set_membership(&b, 2, Join).await;
    assert_eq!(changes(&world, &a, from).await, (vec!["b".to_owned()], nobody()));
}

#[tokio::test]
async fn who_was_never_joined_learns_nothing_and_is_nobody_whose_list_is_forgotten() {
    for memberships in [vec![Invite], vec![Invite, Leave], vec![Knock, Leave], vec![Ban], vec![Ban, Leave]] {
        let world = World::new().await;
        let [a, b, c] = three(&world).await;
        for person in [&a, &c] {
            world.set_membership(person, 1, Join).await;
        }
        let from = world.position();
        for membership in &memberships {
            world.set_membership(&b, 1, *membership).await;
        }
        for from in [from, Position(0)] {
            assert_eq!(changes(&world, &b, from).await, (nobody(), nobody()), "{memberships:?}");
        }
        assert_eq!(changes(&world, &a, from).await, (nobody(), nobody()), "{memberships:?}");
    }
}

#[tokio::test]
async fn who_left_learns_of_those_who_were_there_whatever_becomes_of_the_membership() {
    for then in [None, Some(Invite), Some(Ban), Some(Knock)] {
        let world = World::new().await;
        let [a, b, c] = three(&world).await;
        for person in [&a, &b] {
            world.set_membership(person, 1, Join).await;
        }
        let from = world.position();
        world.set_membership(&b, 1, Leave).await;
        let left = world.position();
        world.set_membership(&c, 1, Join).await;
        if let Some(then) = then {
            world.set_membership(&b, 1, then).await;
        }
        for from in [from, Position(0)] {
            let (_, told) = changes(&world, &b, from).await;
            assert_eq!(told, ["a"], "{then:?}: nothing of who came later");
        }
        assert_eq!(changes(&world, &b, left).await, (nobody(), nobody()), "{then:?}");
        let (_, told) = changes(&world, &a, from).await;
        assert_eq!(told, ["b"], "{then:?}");
    }
}

#[tokio::test]
async fn many_changes_of_strangers_do_not_hide_those_of_neighbours() {
    let world = World::new().await;
    let [a, b, _] = three(&world).await;
    for person in [&a, &b] {
        world.set_membership(person, 1, Join).await;
    }
    let from = world.position();
    for number in 10..150 {
        upload(&world, &world.person(&format!("@s{number}:two.example"), number).await).await;
    }
    upload(&world, &b).await;
    assert_eq!(changes(&world, &a, from).await, (vec!["b".to_owned()], nobody()));
}

/// A user of another server in rooms: when they came, and when they went.
#[derive(Default)]
struct Visits(Mutex<Vec<(RoomNumber, Position, Option<Position>)>>);

const FAR: &str = "@f:far.example";

impl Servers for Visits {
    fn reach(&self, _: &Tenant, _: &ServerName) -> Option<Tenant> {
        None
    }

    fn shares_room<'a>(
        &'a self,
        _: &'a Snapshot,
        _: UserNumber,
        _: &'a UserId,
        _: Option<Position>,
    ) -> BoxFuture<'a, Result<bool, ReadError>> {
        Box::pin(async { Ok(self.0.lock().unwrap().iter().any(|(.., went)| went.is_none())) })
    }

    fn foreign_members<'a>(
        &'a self,
        _: &'a Snapshot,
        room: RoomNumber,
        after: Option<Position>,
    ) -> BoxFuture<'a, Result<ForeignMembers, ReadError>> {
        let mut members = ForeignMembers::default();
        let far = || OwnedUserId::try_from(FAR).unwrap();
        for (_, came, went) in self.0.lock().unwrap().iter().filter(|(of, ..)| *of == room) {
            if went.is_none() && after.is_none_or(|after| *came > after) {
                members.joined.push(far());
            }
            if after.is_some_and(|after| went.is_some_and(|went| went > after)) {
                members.left.push(far());
            }
        }
        Box::pin(std::future::ready(Ok(members)))
    }
}

#[tokio::test]
async fn users_of_other_servers_come_and_go_like_those_of_tenants() {
    let world = World::new().await;
    let [a, b, _] = three(&world).await;
    world.set_membership(&a, 1, Join).await;
    let (far, number) = (OwnedUserId::try_from(FAR).unwrap(), UserNumber(200));
    let mut batch = Batch::new();
    batch.put(&USER_NUMBERS, &far, &number);
    batch.put(&USER_IDS, &number, &far);
    world.store.commit(batch).await.unwrap();
    let visits = Arc::new(Visits::default());
    let clock = Arc::new(1_700_000_000_000_i64);
    let encryption = Encryption::new(world.store.clone(), visits.clone(), clock, Limits::default());
    let told = async |of: &Person, from| {
        let told = encryption.device_list_changes(&world.snapshot(), &of.actor, from).await.unwrap();
        (told.changed, told.left)
    };
    // The state of a room changes, and with it who is in it.
    let changes_state = async |room: u64| {
        let mut batch = Batch::new();
        batch.touch(RoomNumber(room));
        batch.at_position(move |at, writes| writes.put(&STATE_HISTORY, &(RoomNumber(room), at), &[0; 20]));
        world.store.commit(batch).await.unwrap();
        world.position()
    };
    let before = world.position();
    let came = changes_state(1).await;
    visits.0.lock().unwrap().push((RoomNumber(1), came, None));
    assert_eq!(told(&a, before).await, (vec![far.clone()], vec![]), "who comes in is new to who is there");
    assert_eq!(told(&a, came).await, (vec![], vec![]));
    world.set_membership(&b, 1, Join).await;
    let (changed, _) = told(&b, came).await;
    assert!(changed.contains(&far), "who is there is new to who comes in: {changed:?}");
    let before = world.position();
    let went = changes_state(1).await;
    visits.0.lock().unwrap()[0].2 = Some(went);
    assert_eq!(told(&a, before).await, (vec![], vec![far.clone()]));
    let came = changes_state(1).await;
    visits.0.lock().unwrap().push((RoomNumber(1), came, None));
    world.set_membership(&a, 2, Join).await;
    visits.0.lock().unwrap().push((RoomNumber(2), world.position(), None));
    let before = world.position();
    let went = changes_state(2).await;
    visits.0.lock().unwrap()[2].2 = Some(went);
    assert_eq!(told(&a, before).await, (vec![], vec![]), "they share another room");
}
