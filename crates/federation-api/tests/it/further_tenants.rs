//! The same event comes once for each tenant in its room.

use freehold_rooms::{Entry, NewEvent};
use ruma_common::{OwnedRoomId, ServerName};
use serde_json::{Value, json};

use crate::foreign::{Event, joined, made, message, room, sent};
use crate::server::{ALICES, BOBS, REMOTE, Server};

const ROBIN: &str = "@robin:remote.example";

/// A room of two tenants and a server elsewhere, and an event that came for the first of them.
async fn shared(server: &Server) -> (OwnedRoomId, Event) {
    let (room_id, event) = alices(server).await;
    let bob = server.ground.actor("@bob:bob.example").await;
    let via = vec![ServerName::parse(ALICES).unwrap()];
    let entry = Entry { room: room_id.clone().into(), via, reason: None };
    server.services().rooms.join(&bob, entry).await.unwrap();
    (room_id, event)
}

/// The same room, without the second tenant.
async fn alices(server: &Server) -> (OwnedRoomId, Event) {
    let alice = server.ground.actor("@alice:alice.example").await;
    let room_id = room(server, &alice, None).await;
    joined(server, &room_id, ROBIN).await;
    let event = made(server, &room_id, message(ROBIN, "hello")).await;
    server.send(sent(REMOTE, "first", &[&event.json])).await.ok();
    (room_id, event)
}

fn accepted(event: &Event) -> Value {
    json!({ "pdus": { event.event_id.as_str(): {} } })
}

#[tokio::test]
async fn what_was_accepted_for_one_tenant_is_known_for_the_next_and_nothing_is_written() {
    let server = Server::start();
    let (_, event) = shared(&server).await;
    let before = server.ground.store.snapshot().unwrap().position();
    for transaction in ["second", "second", "third"] {
        let answer = server.send(sent(REMOTE, transaction, &[&event.json]).to(BOBS)).await.ok();
        assert_eq!(answer, accepted(&event));
    }
    assert_eq!(server.ground.store.snapshot().unwrap().position(), before);
}

#[tokio::test]
async fn what_a_neighbour_knows_is_told_to_nobody_at_a_tenant_that_is_not_in_the_room() {
    let server = Server::start();
    let (_, event) = alices(&server).await;
    let answer = server.send(sent(REMOTE, "second", &[&event.json]).to(BOBS)).await.ok();
    assert_eq!(answer, json!({ "pdus": {} }));
}

#[tokio::test]
async fn who_is_shut_out_of_the_room_by_now_is_told_so_of_known_events_too() {
    let server = Server::start();
    let (room_id, event) = shared(&server).await;
    let alice = server.ground.actor("@alice:alice.example").await;
    let acl = NewEvent {
        event_type: "m.room.server_acl".to_owned(),
        state_key: Some(String::new()),
        content: serde_json::value::to_raw_value(&json!({ "allow": ["*"], "deny": [REMOTE] })).unwrap(),
        transaction_id: None,
    };
    server.services().rooms.send(&alice, &room_id, acl).await.unwrap();
    let answer = server.send(sent(REMOTE, "second", &[&event.json]).to(BOBS)).await.ok();
    assert!(answer["pdus"][event.event_id.as_str()]["error"].is_string(), "{answer}");
}
