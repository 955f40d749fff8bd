//! Users who asked that what they said be shown to nobody new.

use freehold_rooms::{ClientFormat, Rooms, StoredEvent, Viewer};
use freehold_store::tables::accounts::ERASED;
use freehold_store::{Actor, Batch};
use ruma_common::{EventId, RoomId, ServerName};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::hosted::{World, body};

async fn erase(world: &World, actor: &Actor) {
    let (user, mut batch) = (actor.user, Batch::new());
    batch.at_position(move |position, writes| writes.put(&ERASED, &user, &position));
    world.store.commit(batch).await.unwrap();
    world.rooms.note_erased(user).await.unwrap();
}

async fn shown(rooms: &Rooms, viewer: &Actor, event: &Arc<StoredEvent>) -> Value {
    let viewer = Viewer::from(viewer);
    let reader = rooms.reader().unwrap();
    assert_eq!(reader.visible(&viewer, event.row.room, std::slice::from_ref(event)).await.unwrap(), [true]);
    let shown = reader.client_event((&viewer, None), event, ClientFormat::Whole).await.unwrap();
    serde_json::from_str(shown.get()).unwrap()
}

async fn said(world: &World, room: &RoomId, text: &str) -> Arc<StoredEvent> {
    let events = world.timeline(room).await;
    events.into_iter().find(|event| body(event).as_deref() == Some(text)).unwrap()
}

/// A room in which Alice said something while Bob was there and Dave, who left and comes back; Carol comes later.
async fn told() -> (World, [Actor; 4], ruma_common::OwnedRoomId, Arc<StoredEvent>) {
    let world = World::new(&["one.example", "two.example", "three.example"]).await;
    let (alice, bob) = (world.actor("@alice:one.example").await, world.actor("@bob:two.example").await);
    let (carol, dave) = (world.actor("@carol:three.example").await, world.actor("@dave:one.example").await);
    let room = world.public_room(&alice, "11").await;
    world.join(&bob, &room).await;
    world.join(&dave, &room).await;
    world.put(&alice, &room, ("m.room.topic", ""), json!({ "topic": "secrets" })).await.unwrap();
    world.say(&alice, &room, "a secret").await;
    world.rooms.leave(&dave, &room, None).await.unwrap();
    erase(&world, &alice).await;
    world.rooms.leave(&alice, &room, None).await.unwrap();
    world.join(&carol, &room).await;
    world.join(&dave, &room).await;
    let event = said(&world, &room, "a secret").await;
    (world, [alice, bob, carol, dave], room, event)
}

#[tokio::test]
async fn who_comes_later_sees_of_an_erased_message_what_a_redaction_leaves() {
    let (world, [_, bob, carol, dave], _, event) = told().await;
    // Also after a restart.
    for rooms in [world.rooms.clone(), world.reopened()] {
        for who in [&bob, &dave] {
            assert_eq!(shown(&rooms, who, &event).await["content"]["body"], "a secret", "{}", who.user_id);
        }
        let late = shown(&rooms, &carol, &event).await;
        assert_eq!((&late["content"], &late["sender"]), (&json!({}), &json!("@alice:one.example")));
    }
    let others = world.say(&bob, event.pdu.room_id(), "of bob").await;
    let others = world.reader().event_of_room(event.row.room, &others).await.unwrap().unwrap();
    assert_eq!(shown(&world.rooms, &carol, &others).await["content"]["body"], "of bob");
}

#[tokio::test]
async fn the_state_of_a_room_outlives_who_set_it() {
    let (world, [.., carol, _], room, _) = told().await;
    let topic =
        world.timeline(&room).await.into_iter().find(|event| event.is_state("m.room.topic", "")).unwrap();
    assert_eq!(shown(&world.rooms, &carol, &topic).await["content"]["topic"], "secrets");
}

#[tokio::test]
async fn an_edit_of_an_erased_message_is_not_bundled_whole() {
    let (world, [alice, bob, carol, _], _, _) = told().await;
    let room = world.public_room(&bob, "11").await;
    world.join(&alice, &room).await;
    let event_id = world.say(&alice, &room, "first").await;
    let edit = json!({ "msgtype": "m.text", "body": "* other", "m.new_content": { "msgtype": "m.text", "body": "other" },
        "m.relates_to": { "rel_type": "m.replace", "event_id": event_id } });
    let mut edited = crate::hosted::message("");
    edited.content = crate::hosted::raw(&edit);
    world.rooms.send(&alice, &room, edited).await.unwrap();
    erase(&world, &alice).await;
    world.join(&carol, &room).await;
    let event = said(&world, &room, "first").await;
    let whole = shown(&world.rooms, &bob, &event).await;
    assert_eq!(whole["unsigned"]["m.relations"]["m.replace"]["content"]["body"], "* other");
    let late = shown(&world.rooms, &carol, &event).await.to_string();
    assert!(!late.contains("other") && !late.contains("first"), "{late}");
}

#[tokio::test]
async fn a_server_that_comes_later_is_given_what_a_redaction_leaves() {
    let (world, [alice, ..], room, event) = told().await;
    let given = async |server: &str| {
        let server = <&ServerName>::try_from(server).unwrap();
        let view = world.reader().for_server(&alice.tenant, server, &room).await.unwrap();
        let event_id: &EventId = event.pdu.event_id();
        let one: Value = serde_json::from_str(&view.event(event_id).await.unwrap()).unwrap();
        let many = view.backfill(&[event_id.to_owned()], 1).await.unwrap();
        assert_eq!(many, [serde_json::to_string(&one).unwrap()]);
        one["content"].clone()
    };
    assert_eq!(given("two.example").await["body"], "a secret");
    assert_eq!(given("three.example").await, json!({}));
}
