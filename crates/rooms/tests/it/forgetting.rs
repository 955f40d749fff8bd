//! Messages go from the store when the last who keeps them keeps them no longer, and nothing else goes with them.

use freehold_rooms::{Redaction, Retention, RoomPolicy};
use freehold_store::tables::rooms::{EVENT_JSON, EVENTS, FORGOTTEN, UNERASED};
use freehold_store::{Actor, Order};
use ruma_common::{OwnedEventId, RoomId};
use serde_json::{Value, json};

use crate::garbage::assert_in_order;
use crate::hosted::{World, body};
use crate::outside::{Published, foreign};

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";

/// A tenant keeps messages for less than a moment.
pub(crate) const KEEPS_NOTHING: Retention = Retention { messages_ms: Some(0), follows_rooms: false };
/// A tenant keeps messages for as long as the room wants.
const FOLLOWS: Retention = Retention { messages_ms: None, follows_rooms: true };

async fn world() -> (World, Actor, Actor) {
    let world = World::new(&["one.example", "two.example", "three.example"]).await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    (world, alice, bob)
}

fn settle(world: &World, actor: &Actor, retention: Retention) {
    world.hosted.settle(&actor.tenant, RoomPolicy { retention, ..RoomPolicy::default() });
}

/// Goes through all events; gives how many messages were forgotten.
async fn forget(world: &World) -> usize {
    let mut round = world.rooms.message_garbage();
    let mut forgotten = 0;
    while let Some(more) = round.step().await.unwrap() {
        forgotten += more;
    }
    forgotten
}

/// Everything that lies in the store, as text.
async fn texts(world: &World) -> String {
    let snapshot = world.store.snapshot().unwrap();
    let rows = snapshot.scan_prefix(&EVENT_JSON, &(), Order::Ascending, usize::MAX).await.unwrap();
    rows.into_iter().map(|(_, text)| text + "\n").collect()
}

async fn say(world: &World, actor: &Actor, room: &RoomId, words: &[&str]) -> Vec<OwnedEventId> {
    let mut sent = Vec::new();
    for word in words {
        sent.push(world.say(actor, room, word).await);
    }
    sent
}

#[tokio::test]
async fn a_message_goes_when_the_last_tenant_keeps_it_no_longer_and_the_graph_stays() {
    for version in ["1", "10", "12"] {
        let (world, alice, bob) = world().await;
        let room = world.public_room(&alice, version).await;
        world.join(&bob, &room).await;
        let sent = say(&world, &alice, &room, &["of alice", "and more"]).await;
        let before = world.timeline(&room).await;
        assert_eq!(forget(&world).await, 0, "nobody forgets");
        settle(&world, &bob, KEEPS_NOTHING);
        assert_eq!(forget(&world).await, 0, "Alice's tenant keeps them");
        assert!(texts(&world).await.contains("of alice"));
        settle(&world, &alice, KEEPS_NOTHING);
        assert_eq!(forget(&world).await, 2, "{version}");
        assert_eq!(forget(&world).await, 0, "they are gone already");
        let texts = texts(&world).await;
        assert!(!texts.contains("of alice") && !texts.contains("and more"), "{texts}");
        // State, ids and everything that holds the graph together are what they were; also for who had read them before.
        let after = world.timeline(&room).await;
        assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before.pdu.event_id(), after.pdu.event_id());
            assert_eq!(before.row, after.row);
            assert_eq!(after.is_forgotten, sent.contains(&after.pdu.event_id().to_owned()));
            let expected = if after.is_forgotten { before.pdu.redacted() } else { before.pdu.clone() };
            assert_eq!(after.pdu.canonical_json(), expected.canonical_json());
        }
        assert_in_order(&world.store).await;
        // The room goes on, also when it is read anew.
        let anew = world.reopened();
        anew.send(&alice, &room, crate::hosted::message("later")).await.unwrap();
        assert_in_order(&world.store).await;
    }
}

#[tokio::test]
async fn what_is_gone_is_not_shown_as_empty_when_a_tenant_changes_its_mind() {
    let (world, alice, _) = world().await;
    let room = world.public_room(&alice, "12").await;
    say(&world, &alice, &room, &["gone"]).await;
    settle(&world, &alice, KEEPS_NOTHING);
    assert_eq!(forget(&world).await, 1);
    settle(&world, &alice, Retention::FOREVER);
    say(&world, &alice, &room, &["here"]).await;
    assert_eq!(world.visible_bodies(&alice, &room).await, ["here"]);
    let (events, number) = (world.timeline(&room).await, world.number(&room).await);
    let shown = world.reader().visible(&(&alice).into(), number, &events).await.unwrap();
    let hidden: Vec<bool> = events
        .iter()
        .zip(&shown)
        .filter(|(_, shown)| !**shown)
        .map(|(event, _)| event.is_forgotten)
        .collect();
    assert_eq!(hidden, [true]);
}

#[tokio::test]
async fn a_room_says_how_long_its_messages_are_kept_by_those_who_follow_it() {
    let (world, alice, bob) = world().await;
    let room = world.public_room(&alice, "12").await;
    let other = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    say(&world, &alice, &room, &["short"]).await;
    say(&world, &alice, &other, &["long"]).await;
    settle(&world, &alice, FOLLOWS);
    settle(&world, &bob, FOLLOWS);
    assert_eq!(forget(&world).await, 0, "the rooms say nothing");
    for nothing in
        [json!({ "max_lifetime": 0 }), json!({ "max_lifetime": "1" }), json!({ "min_lifetime": 1 })]
    {
        world.put(&alice, &room, ("m.room.retention", ""), nothing).await.unwrap();
        assert_eq!(forget(&world).await, 0);
    }
    world.put(&alice, &room, ("m.room.retention", ""), json!({ "max_lifetime": 1 })).await.unwrap();
    assert!(world.visible_bodies(&alice, &room).await.is_empty(), "it is not shown before it is gone");
    settle(&world, &bob, Retention::FOREVER);
    assert_eq!(world.visible_bodies(&bob, &room).await, ["short"], "who does not follow goes on seeing it");
    assert_eq!(forget(&world).await, 0, "and keeps it");
    settle(&world, &bob, FOLLOWS);
    assert_eq!(forget(&world).await, 1);
    assert!(!texts(&world).await.contains("short"));
    assert_eq!(world.visible_bodies(&alice, &other).await, ["long"]);
}

#[tokio::test]
async fn who_left_and_did_not_forget_a_room_still_keeps_it_and_who_departed_does_not() {
    let (world, alice, bob) = world().await;
    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    say(&world, &alice, &room, &["hello"]).await;
    settle(&world, &alice, KEEPS_NOTHING);
    world.rooms.leave(&bob, &room, None).await.unwrap();
    assert_eq!(forget(&world).await, 0, "Bob may read what was said while he was there");
    world.rooms.forget(&bob, &room).await.unwrap();
    assert_eq!(forget(&world).await, 1);

    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    say(&world, &alice, &room, &["again"]).await;
    assert_eq!(forget(&world).await, 0);
    world.hosted.depart(&bob.tenant);
    assert_eq!(forget(&world).await, 1);
    // Nobody is left whose word it could be.
    let room = world.public_room(&alice, "12").await;
    say(&world, &alice, &room, &["kept"]).await;
    world.hosted.depart(&alice.tenant);
    assert_eq!(forget(&world).await, 0);
}

#[tokio::test]
async fn redactions_and_what_nobody_was_shown_are_looked_at_too() {
    let (world, alice, bob) = world().await;
    let room = world.public_room(&alice, "10").await;
    world.join(&bob, &room).await;
    let keys = Published::of(&world);
    let fork = world.timeline(&room).await.pop().unwrap();
    let sent = say(&world, &alice, &room, &["redacted"]).await;
    let redaction = Redaction { event_id: sent[0].clone(), reason: None, transaction_id: None };
    world.rooms.redact(&alice, &room, redaction).await.unwrap();
    // What is rejected is kept and shown to nobody; this one names no create event.
    let made = foreign(&world, &fork.pdu, (BOB, "m.room.message", None), json!({ "body": "rejected" })).await;
    world.rooms.receive(&room, &made, &keys).await.unwrap();
    assert!(texts(&world).await.contains("rejected"));
    settle(&world, &alice, KEEPS_NOTHING);
    settle(&world, &bob, KEEPS_NOTHING);
    assert_eq!(forget(&world).await, 1, "one was redacted already");
    let texts = texts(&world).await;
    assert!(!texts.contains("rejected"));
    // Other servers that are told of the redaction must be able to follow it.
    let redaction = texts.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let redaction = redaction.into_iter().find(|event| event["type"] == "m.room.redaction").unwrap();
    assert_eq!(redaction["redacts"], sent[0].as_str());
    assert_in_order(&world.store).await;
}

#[tokio::test]
async fn the_store_remembers_that_files_are_to_be_erased_until_they_are() {
    let (world, alice, _) = world().await;
    let room = world.public_room(&alice, "12").await;
    say(&world, &alice, &room, &["gone"]).await;
    let unerased = async || world.store.snapshot().unwrap().get(&UNERASED, &()).await.unwrap();
    assert!(world.rooms.erase_forgotten().await.unwrap());
    assert_eq!(unerased().await, None);
    settle(&world, &alice, KEEPS_NOTHING);
    forget(&world).await;
    assert!(unerased().await.is_some());
    assert!(world.rooms.erase_forgotten().await.unwrap());
    assert_eq!(unerased().await, None);
}

#[tokio::test]
async fn what_was_changed_meanwhile_is_left_for_the_next_round() {
    let (world, alice, _) = world().await;
    let room = world.public_room(&alice, "12").await;
    let sent = say(&world, &alice, &room, &["one", "two"]).await;
    settle(&world, &alice, KEEPS_NOTHING);
    let event =
        world.timeline(&room).await.into_iter().find(|event| event.pdu.event_id() == sent[0]).unwrap();
    assert_eq!(body(&event).as_deref(), Some("one"));
    let (mut round, redaction) = (
        world.rooms.message_garbage(),
        Redaction { event_id: sent[0].clone(), reason: None, transaction_id: None },
    );
    let (redacted, stepped) = tokio::join!(world.rooms.redact(&alice, &room, redaction), round.step());
    redacted.unwrap();
    stepped.unwrap();
    forget(&world).await;
    let snapshot = world.store.snapshot().unwrap();
    let row = snapshot.get(&EVENTS, &event.number).await.unwrap().unwrap();
    assert!(row.redacted_by.is_some());
    assert!(snapshot.get(&FORGOTTEN, &event.number).await.unwrap().is_some());
    let texts = texts(&world).await;
    assert!(!texts.contains("\"one\"") && !texts.contains("\"two\""));
}
