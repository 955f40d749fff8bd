//! Events that relate to others, in whatever order they come.

use std::sync::Arc;

use freehold_event::{RawPdu, RoomVersion};
use freehold_rooms::{ActionError, Between, ClientFormat, CreateRoom, Incoming, NewEvent, Redaction, Viewer};
use freehold_store::{Actor, Order};
use ruma_common::{EventId, OwnedEventId, RoomId};
use serde_json::{Value, json};

use crate::hosted::{World, message, raw};
use crate::outside::{Published, SERVERS, foreign};

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";

fn id_of(json: &[u8]) -> OwnedEventId {
    RawPdu::new(json).parse(RoomVersion::V12).unwrap().event_id().to_owned()
}

/// The ids of those that relate to an event of a room, newest first.
async fn related(world: &World, room: &RoomId, target: &EventId) -> Vec<OwnedEventId> {
    let reader = world.reader();
    let room = world.number(room).await;
    let number = reader.snapshot().number_of(&target.to_owned()).await.unwrap().unwrap();
    let rows = reader.relations((room, number), Between::ALL, Order::Descending, 100).await.unwrap();
    let mut ids = Vec::new();
    for (index, row) in rows {
        let event = reader.event(row.event).await.unwrap();
        assert_eq!((event.row.timeline, event.row.sender), (Some(index), row.sender));
        ids.push(event.pdu.event_id().to_owned());
    }
    ids
}

fn relating(target: &EventId, relation: (&str, Option<&str>), body: &str) -> NewEvent {
    let (rel_type, key) = relation;
    let mut relates_to = json!({ "rel_type": rel_type, "event_id": target });
    if let Some(key) = key {
        relates_to["key"] = key.into();
    }
    NewEvent { content: raw(&json!({ "body": body, "m.relates_to": relates_to })), ..message("") }
}

/// A message that Bob's server made after the newest event, and one in a thread on it.
async fn root_and_reply(world: &World, room: &RoomId) -> (Vec<u8>, Vec<u8>) {
    let last = world.timeline(room).await.pop().unwrap();
    let root = foreign(world, &last.pdu, (BOB, "m.room.message", None), json!({ "body": "root" })).await;
    let relates_to = json!({ "rel_type": "m.thread", "event_id": id_of(&root) });
    let content = json!({ "body": "reply", "m.relates_to": relates_to });
    let reply = foreign(world, &last.pdu, (BOB, "m.room.message", None), content).await;
    (root, reply)
}

#[tokio::test]
async fn a_relation_is_kept_in_whatever_order_the_two_come_and_however_close() {
    for is_together in [false, true] {
        for is_root_first in [false, true] {
            let world = World::new(&SERVERS).await;
            let keys = Published::of(&world);
            let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
            let room = world.public_room(&alice, "12").await;
            world.join(&bob, &room).await;
            let (root, reply) = root_and_reply(&world, &room).await;
            let order = if is_root_first { [&root, &reply] } else { [&reply, &root] };
            if is_together {
                let verified = order.map(|json| {
                    let pdu = freehold_room::parse(json, RoomVersion::V12, &room).unwrap();
                    freehold_room::verify(pdu, &keys, i64::MAX / 2).unwrap()
                });
                for answer in world.rooms.receive_verified(&room, verified.to_vec()).await.unwrap() {
                    assert!(matches!(answer, Ok(Incoming::Kept(None))), "{answer:?}");
                }
            } else {
                for json in order {
                    let answer = world.rooms.receive(&room, json, &keys).await.unwrap();
                    assert!(matches!(answer, Incoming::Kept(None)), "{answer:?}");
                }
            }
            let root = id_of(&root);
            assert_eq!(related(&world, &room, &root).await, [id_of(&reply)], "{is_together} {is_root_first}");
            let reader = world.reader();
            let event = reader.event_of_room(world.number(&room).await, &root).await.unwrap().unwrap();
            let viewer = Viewer::from(&alice);
            let shown = reader.client_event((&viewer, None), &event, ClientFormat::Whole).await.unwrap();
            let shown: Value = serde_json::from_str(shown.get()).unwrap();
            assert_eq!(shown["unsigned"]["m.relations"]["m.thread"]["count"], 1);
        }
    }
}

#[tokio::test]
async fn an_event_of_another_room_relates_to_nothing_here() {
    let world = World::new(&["one.example"]).await;
    let alice = world.actor(ALICE).await;
    let room = world.rooms.create_room(&alice, CreateRoom::default()).await.unwrap();
    let other = world.rooms.create_room(&alice, CreateRoom::default()).await.unwrap();
    let root = world.say(&alice, &room, "root").await;
    world.rooms.send(&alice, &other, relating(&root, ("m.thread", None), "elsewhere")).await.unwrap();
    assert_eq!(related(&world, &room, &root).await, [] as [OwnedEventId; 0]);
    let here = world.rooms.send(&alice, &room, relating(&root, ("m.thread", None), "here")).await.unwrap();
    assert_eq!(related(&world, &room, &root).await, [here]);
}

#[tokio::test]
async fn what_was_redacted_relates_to_nothing() {
    let world = World::new(&["one.example"]).await;
    let alice = world.actor(ALICE).await;
    let room = world.rooms.create_room(&alice, CreateRoom::default()).await.unwrap();
    let root = world.say(&alice, &room, "root").await;
    let mut replies = Vec::new();
    for body in ["one", "two"] {
        let reply = relating(&root, ("m.thread", None), body);
        replies.push(world.rooms.send(&alice, &room, reply).await.unwrap());
    }
    redact(&world, &alice, &room, &replies[1]).await;
    assert_eq!(related(&world, &room, &root).await, [replies[0].clone()]);
}

async fn redact(world: &World, actor: &Actor, room: &RoomId, event_id: &EventId) {
    let redaction = Redaction { event_id: event_id.to_owned(), reason: None, transaction_id: None };
    world.rooms.redact(actor, room, redaction).await.unwrap();
}

#[tokio::test]
async fn nobody_annotates_an_event_twice_in_the_same_way() {
    let world = Arc::new(World::new(&["one.example", "two.example"]).await);
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    let root = world.say(&alice, &room, "root").await;
    let react = |actor: Actor, event_type: &'static str, key: &'static str| {
        let mut event = relating(&root, ("m.annotation", Some(key)), "");
        event.event_type = event_type.to_owned();
        let (world, room) = (Arc::clone(&world), room.clone());
        async move { world.rooms.send(&actor, &room, event).await }
    };
    let first = react(alice.clone(), "m.reaction", "👍").await.unwrap();
    for (actor, event_type, key) in
        [(&bob, "m.reaction", "👍"), (&alice, "m.reaction", "👎"), (&alice, "org.example.mark", "👍")]
    {
        react(actor.clone(), event_type, key).await.unwrap();
        let again = react(actor.clone(), event_type, key).await;
        assert!(matches!(again, Err(ActionError::DuplicateAnnotation)), "{event_type} {key}: {again:?}");
    }
    redact(&world, &alice, &room, &first).await;
    react(alice, "m.reaction", "👍").await.unwrap();
}

#[tokio::test]
async fn no_thread_begins_in_another() {
    let world = World::new(&["one.example"]).await;
    let alice = world.actor(ALICE).await;
    let room = world.rooms.create_room(&alice, CreateRoom::default()).await.unwrap();
    let root = world.say(&alice, &room, "root").await;
    let reply = world.rooms.send(&alice, &room, relating(&root, ("m.thread", None), "one")).await.unwrap();
    let nested = world.rooms.send(&alice, &room, relating(&reply, ("m.thread", None), "two")).await;
    assert!(matches!(nested, Err(ActionError::NestedThread)), "{nested:?}");
    let annotated = relating(&reply, ("m.annotation", Some("👍")), "");
    world.rooms.send(&alice, &room, annotated).await.unwrap();
}

#[tokio::test]
async fn a_transaction_id_counts_for_one_path() {
    let world = World::new(&["one.example"]).await;
    let alice = world.actor(ALICE).await;
    let room = world.rooms.create_room(&alice, CreateRoom::default()).await.unwrap();
    let sent = |event_type: &str| NewEvent {
        event_type: event_type.to_owned(),
        transaction_id: Some("1".to_owned()),
        ..message("once")
    };
    let first = world.rooms.send(&alice, &room, sent("m.room.message")).await.unwrap();
    let other = world.rooms.send(&alice, &room, sent("org.example.other")).await.unwrap();
    assert_ne!(first, other);
    let redact = |event_id: &EventId| Redaction {
        event_id: event_id.to_owned(),
        reason: None,
        transaction_id: Some("1".to_owned()),
    };
    let redaction = world.rooms.redact(&alice, &room, redact(&first)).await.unwrap();
    assert_ne!(world.rooms.redact(&alice, &room, redact(&other)).await.unwrap(), redaction);
    assert_eq!(world.rooms.redact(&alice, &room, redact(&first)).await.unwrap(), redaction);
    assert_eq!(world.rooms.send(&alice, &room, sent("m.room.message")).await.unwrap(), first);
}
