//! States of rooms as they were: who may see them.

use freehold_store::Actor;
use ruma_common::{OwnedEventId, RoomId};
use serde_json::{Value, json};

use crate::hosted::{World, entry};
use crate::network::Network;
use crate::server::{ALICES, Answer, Ask, BOBS, Server};

const ALICE: &str = "@alice:alice.example";
const BOB: &str = "@bob:bob.example";
const EVE: &str = "@eve:bob.example";

const V3: &str = "/_matrix/client/v3";

async fn get(server: &Server, user: &str, path: &str) -> Answer {
    server.send(Ask::new("GET", &format!("{V3}/{path}")).by(user)).await
}

async fn post(server: &Server, user: &str, path: &str, body: Value) -> Value {
    server.send(Ask::new("POST", &format!("{V3}/{path}")).by(user).json(&body)).await.ok()
}

fn visibility(of_history: &str) -> (&'static str, Value) {
    ("m.room.history_visibility", json!({ "history_visibility": of_history }))
}

/// The name of a room is set; gives the event.
async fn name(world: &World, owner: &Actor, room: &RoomId, name: &str) -> OwnedEventId {
    world.put(owner, room, ("m.room.name", ""), json!({ "name": name })).await.unwrap()
}

#[tokio::test]
async fn state_that_came_with_a_room_is_found_by_whoever_saw_a_state_with_it() {
    for (of_history, bob_sees_it) in [("shared", 200), ("joined", 404)] {
        let network = Network::new();
        let (one, here) = (network.world(&["one.example"]).await, network.world(&[ALICES, BOBS]).await);
        let owner = one.actor("@owner:one.example").await;
        let room = one.public_room(&owner, "12").await;
        let (event_type, content) = visibility(of_history);
        one.put(&owner, &room, (event_type, ""), content).await.unwrap();
        let first = name(&one, &owner, &room, "first").await;
        let topic = one.put(&owner, &room, ("m.room.topic", ""), json!({ "topic": "all" })).await.unwrap();
        here.rooms.join(&here.actor(ALICE).await, entry(&room, &["one.example"])).await.unwrap();
        let second = name(&one, &owner, &room, "second").await;
        network.deliver(&one, &here).await;
        here.rooms.join(&here.actor(BOB).await, entry(&room, &["one.example"])).await.unwrap();
        let server = Server::over_rooms(&here.store, &here.interner, here.rooms.clone());
        let found = async |user: &str, event: &OwnedEventId| {
            let answer = get(&server, user, &format!("rooms/{room}/event/{event}")).await;
            if answer.status == 200 {
                assert_eq!(answer.json["event_id"], event.as_str());
            }
            answer.status.as_u16()
        };
        for (user, event, expected) in [
            (ALICE, &first, 200),
            (ALICE, &second, 200),
            (ALICE, &topic, 200),
            (BOB, &first, bob_sees_it),
            (BOB, &topic, 200),
            (EVE, &topic, 403),
        ] {
            assert_eq!(found(user, event).await, expected, "{of_history}: {user}, {event}");
        }
        let answer = get(&server, ALICE, &format!("rooms/{room}/event/{first}")).await.ok();
        assert_eq!(answer["content"]["name"], "first");
    }
}

#[tokio::test]
async fn members_of_before_ones_time_are_told_as_history_is() {
    for (of_history, eve_was) in [("shared", "join"), ("joined", "leave")] {
        let server = Server::start();
        let (event_type, content) = visibility(of_history);
        let create = json!({
            "preset": "public_chat",
            "initial_state": [{ "type": event_type, "content": content }],
        });
        let created = post(&server, ALICE, "createRoom", create).await;
        let room = created["room_id"].as_str().unwrap();
        post(&server, EVE, &format!("join/{room}?via=alice.example"), json!({})).await;
        let message = json!({ "msgtype": "m.text", "body": "after Eve came" });
        let path = format!("{V3}/rooms/{room}/send/m.room.message/1");
        server.send(Ask::new("PUT", &path).by(ALICE).json(&message)).await.ok();
        let page = get(&server, ALICE, &format!("rooms/{room}/messages?dir=b&limit=1")).await.ok();
        let at = page["end"].as_str().unwrap();
        post(&server, EVE, &format!("rooms/{room}/leave"), json!({})).await;
        post(&server, BOB, &format!("join/{room}?via=alice.example"), json!({})).await;
        for (user, expected) in [(ALICE, "join"), (BOB, eve_was)] {
            let members = get(&server, user, &format!("rooms/{room}/members?at={at}")).await.ok();
            let members = members["chunk"].as_array().unwrap();
            let eve = members.iter().find(|member| member["state_key"] == EVE).unwrap();
            assert_eq!(eve["content"]["membership"], expected, "{of_history}: {user}");
        }
    }
}
