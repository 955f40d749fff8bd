//! Policy servers: who asks them about what.

use freehold_rooms::{ActionError, Unanswered};
use freehold_signing::SigningKey;
use freehold_store::Actor;
use ruma_common::{OwnedRoomId, RoomId};
use serde_json::json;
use std::sync::Arc;

use crate::hosted::{World, about, entry, message};
use crate::network::Network;

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";
const CAROL: &str = "@carol:policy.example";

/// A room of one server, in which a user of a policy server is, which signs nothing that has `spam` in it.
struct Guarded {
    network: Arc<Network>,
    one: World,
    two: World,
    /// Lives as long as the room is watched.
    _policy: World,
    alice: Actor,
    bob: Actor,
    room: OwnedRoomId,
}

impl Guarded {
    async fn new() -> Self {
        let network = Network::new();
        let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
        let policy = network.world(&["policy.example"]).await;
        let (alice, bob, carol) = (one.actor(ALICE).await, two.actor(BOB).await, policy.actor(CAROL).await);
        let room = one.public_room(&alice, "12").await;
        policy.rooms.join(&carol, entry(&room, &["one.example"])).await.unwrap();
        let key = SigningKey::from_seed(&[5; 32]);
        let keys = json!({ "ed25519": key.verifying_key().to_base64() });
        network.set_policy_server("policy.example", key, "spam");
        let content = json!({ "via": "policy.example", "public_keys": keys });
        one.put(&alice, &room, ("m.room.policy", ""), content).await.unwrap();
        assert_eq!(asked(&network), 0, "it is not asked whether it may be one");
        Guarded { network, one, two, _policy: policy, alice, bob, room }
    }

    /// Whether the policy server's signature is on a membership.
    async fn is_signed(&self, world: &World, room: &RoomId, user_id: &str) -> bool {
        let number = world.number(room).await;
        let state = world.reader().current_state(number).await.unwrap();
        let member = state.get("m.room.member", user_id).await.unwrap().unwrap();
        member.pdu.signatures().contains("ed25519:policy_server")
    }
}

/// How often the policy server was asked since the last time.
fn asked(network: &Network) -> usize {
    network.asked().iter().filter(|asked| asked.starts_with("policy ")).count()
}

#[tokio::test]
async fn whoever_joins_through_us_has_the_signature_that_they_could_not_ask_for() {
    let guarded = Guarded::new().await;
    let Guarded { network, one, two, alice, bob, room, .. } = &guarded;
    two.rooms.join(bob, entry(room, &["one.example"])).await.unwrap();
    assert_eq!(asked(network), 1);
    assert!(guarded.is_signed(one, room, BOB).await && guarded.is_signed(two, room, BOB).await);
    // From then on they ask themselves.
    two.say(bob, room, "hello").await;
    assert_eq!(asked(network), 1);
    network.deliver(two, one).await;
    assert_eq!(one.visible_bodies(alice, room).await, ["hello"]);
    two.rooms.leave(bob, room, None).await.unwrap();
    assert_eq!(asked(network), 1);
}

#[tokio::test]
async fn whom_the_policy_server_does_not_want_does_not_come_in() {
    let guarded = Guarded::new().await;
    let Guarded { network, one, two, room, .. } = &guarded;
    let spammer = two.actor("@spam:two.example").await;
    let refused = two.rooms.join(&spammer, entry(room, &["one.example"])).await;
    assert!(
        matches!(&refused, Err(ActionError::Refused { answer: Unanswered::Refused { status: 403, .. }, .. })),
        "{refused:?}"
    );
    assert_eq!(asked(network), 1);
    assert_eq!(one.membership(room, "@spam:two.example").await, None);
}

#[tokio::test]
async fn what_the_rules_do_not_allow_is_not_asked_about() {
    let guarded = Guarded::new().await;
    let Guarded { network, one, two, alice, bob, room, .. } = &guarded;
    one.rooms.ban(alice, room, about(bob)).await.unwrap();
    let _ = asked(network);
    assert!(two.rooms.join(bob, entry(room, &["one.example"])).await.is_err());
    assert_eq!(asked(network), 0);
}

#[tokio::test]
async fn invites_of_users_elsewhere_are_asked_about_before_their_server_hears_of_them() {
    let guarded = Guarded::new().await;
    let Guarded { network, one, two, alice, bob, room, .. } = &guarded;
    let spammer = two.actor("@spam:two.example").await;
    let refused = one.rooms.invite(alice, room, about(&spammer)).await;
    assert!(matches!(&refused, Err(ActionError::Refused { .. })), "{refused:?}");
    assert!(!network.asked().iter().any(|asked| asked.starts_with("invite")));
    one.rooms.invite(alice, room, about(bob)).await.unwrap();
    assert!(guarded.is_signed(one, room, BOB).await);
}

/// "If the Policy Server returned an error, that error SHOULD be provided to the client verbatim."
#[tokio::test]
async fn what_the_policy_server_says_of_an_event_is_what_its_sender_is_told() {
    let guarded = Guarded::new().await;
    let Guarded { one, alice, room, .. } = &guarded;
    let refused = one.rooms.send(alice, room, message("spam")).await;
    let Err(ActionError::Refused { server, answer: Unanswered::Refused { status, errcode, message, .. } }) =
        refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(
        (server.as_str(), status, &*errcode, &*message),
        ("policy.example", 400, "M_FORBIDDEN", "not here")
    );
    assert_eq!(one.visible_bodies(alice, room).await, [""; 0]);
}

/// Otherwise a policy server that answers slowly keeps everybody from the room.
#[tokio::test]
async fn others_write_to_the_room_while_the_policy_server_is_asked() {
    let guarded = Guarded::new().await;
    let Guarded { network, one, alice, room, .. } = &guarded;
    network.set_patience(2);
    let sent = async { tokio::join!(one.say(alice, room, "one"), one.say(alice, room, "other")) };
    tokio::time::timeout(std::time::Duration::from_secs(60), sent).await.unwrap();
    let mut bodies = one.visible_bodies(alice, room).await;
    bodies.sort();
    assert_eq!(bodies, ["one", "other"]);
    assert_eq!(asked(network), 2);
    // What follows follows both.
    network.set_patience(1);
    one.say(alice, room, "last").await;
    assert_eq!(one.timeline(room).await.last().unwrap().pdu.prev_events().len(), 2);
}
