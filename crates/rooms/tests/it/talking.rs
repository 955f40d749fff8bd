//! People of two tenants in one room.

use std::sync::Arc;

use freehold_event::RoomVersion;
use freehold_rooms::{ActionError, ClientFormat, CreateRoom, NewEvent, Viewer};
use serde_json::{Value, json};

use crate::hosted::{World, about, entry, message};

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";

#[tokio::test]
async fn people_of_two_tenants_talk_in_a_room_of_every_version() {
    let world = World::new(&["one.example", "two.example"]).await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    for version in RoomVersion::ALL {
        let create = CreateRoom {
            room_version: Some(version.id().to_owned()),
            name: Some("a room".to_owned()),
            invite: vec![bob.user_id.clone()],
            ..CreateRoom::default()
        };
        let room = world.rooms.create_room(&alice, create).await.unwrap();
        assert_eq!(world.membership(&room, BOB).await.as_deref(), Some("invite"), "{version}");
        world.rooms.join(&bob, entry(&room, &[])).await.unwrap();
        world.say(&bob, &room, "hello").await;
        world.say(&alice, &room, "hello to you").await;
        assert_eq!(world.visible_bodies(&alice, &room).await, ["hello", "hello to you"], "{version}");
        assert_eq!(world.visible_bodies(&bob, &room).await, ["hello", "hello to you"], "{version}");
        world.rooms.leave(&bob, &room, None).await.unwrap();
        assert!(world.rooms.send(&bob, &room, message("again")).await.is_err());
        let name = world.state(&room, "m.room.name", "").await.unwrap();
        assert_eq!(name["name"], "a room");
    }
}

#[tokio::test]
async fn a_repeated_request_sends_nothing() {
    let world = World::new(&["one.example"]).await;
    let alice = world.actor(ALICE).await;
    let room = world.rooms.create_room(&alice, CreateRoom::default()).await.unwrap();
    let event = NewEvent { transaction_id: Some("1".to_owned()), ..message("once") };
    let first = world.rooms.send(&alice, &room, event.clone()).await.unwrap();
    assert_eq!(world.rooms.send(&alice, &room, event.clone()).await.unwrap(), first);
    assert_eq!(world.visible_bodies(&alice, &room).await, ["once"]);
    let other_device =
        freehold_store::Actor { device: Some(freehold_store::DeviceNumber(99)), ..alice.clone() };
    assert_ne!(world.rooms.send(&other_device, &room, event).await.unwrap(), first);
}

#[tokio::test]
async fn events_are_shown_as_clients_see_them() {
    let world = World::new(&["one.example", "two.example"]).await;
    let alice = world.actor(ALICE).await;
    let room = world.rooms.create_room(&alice, CreateRoom::default()).await.unwrap();
    world.put(&alice, &room, ("m.room.topic", ""), json!({ "topic": "first" })).await.unwrap();
    world.put(&alice, &room, ("m.room.topic", ""), json!({ "topic": "second" })).await.unwrap();
    let event = NewEvent { transaction_id: Some("1".to_owned()), ..message("said") };
    world.rooms.send(&alice, &room, event).await.unwrap();
    let reader = world.reader();
    let events = world.timeline(&room).await;
    let viewer = Viewer::from(&alice);
    let mut shown = Vec::new();
    for event in &events[events.len() - 2..] {
        let raw = reader.client_event((&viewer, alice.device), event, ClientFormat::Whole).await.unwrap();
        shown.push(serde_json::from_str::<Value>(raw.get()).unwrap());
    }
    assert_eq!(shown[0]["unsigned"]["prev_content"]["topic"], "first");
    assert_eq!(shown[0]["unsigned"]["membership"], "join");
    assert_eq!(shown[0]["room_id"], room.as_str());
    assert_eq!(shown[0]["state_key"], "");
    assert_eq!(shown[1]["unsigned"]["transaction_id"], "1");
    assert_eq!(shown[1]["content"]["body"], "said");
    assert!(shown[1].get("state_key").is_none() && shown[1].get("hashes").is_none());
}

#[tokio::test]
async fn a_room_goes_on_after_it_was_closed() {
    let world = World::new(&["one.example", "two.example"]).await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    world.say(&alice, &room, "before").await;
    let again = World {
        remote: Arc::clone(&world.remote),
        rooms: world.reopened(),
        store: world.store.clone(),
        interner: world.interner.clone(),
        hosted: Arc::clone(&world.hosted),
    };
    again.say(&bob, &room, "after").await;
    assert_eq!(again.visible_bodies(&alice, &room).await, ["before", "after"]);
    again.rooms.kick(&alice, &room, about(&bob)).await.unwrap();
    assert!(matches!(again.rooms.send(&bob, &room, message("no")).await, Err(ActionError::Forbidden(_))));
}

#[tokio::test]
async fn an_event_is_shown_with_its_edits_its_thread_and_its_references() {
    let world = World::new(&["one.example", "two.example"]).await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    let root = world.say(&alice, &room, "first").await;
    let related = |actor: freehold_store::Actor, rel_type: &'static str, body: &'static str| {
        let mut event = message(body);
        let content = json!({
            "body": body,
            "m.new_content": { "body": body },
            "m.relates_to": { "rel_type": rel_type, "event_id": root },
        });
        event.content = crate::hosted::raw(&content);
        let (world, room) = (&world, &room);
        async move { world.rooms.send(&actor, room, event).await.unwrap() }
    };
    let edit = related(alice.clone(), "m.replace", "second").await;
    related(bob.clone(), "m.replace", "forged").await;
    related(bob.clone(), "m.thread", "one").await;
    let latest = related(bob.clone(), "m.thread", "two").await;
    let reference = related(bob.clone(), "m.reference", "see").await;
    let reader = world.reader();
    let number = world.number(&room).await;
    let event = reader.event_of_room(number, &root).await.unwrap().unwrap();
    let shown = reader.client_event((&Viewer::from(&bob), None), &event, ClientFormat::Whole).await.unwrap();
    let shown: Value = serde_json::from_str(shown.get()).unwrap();
    let relations = &shown["unsigned"]["m.relations"];
    assert_eq!(relations["m.replace"]["event_id"], json!(edit));
    assert_eq!(relations["m.thread"]["latest_event"]["event_id"], json!(latest));
    assert_eq!(
        (&relations["m.thread"]["count"], &relations["m.thread"]["current_user_participated"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(relations["m.reference"]["chunk"], json!([{ "event_id": reference }]));
    assert_eq!(shown["content"]["body"], "first");
}
