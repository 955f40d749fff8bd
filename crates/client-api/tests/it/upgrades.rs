//! Rooms that replace others, for the users of them.

use serde_json::{Value, json};

use crate::server::{Answer, Ask, Server};

const ALICE: &str = "@alice:alice.example";
const BOB: &str = "@bob:bob.example";
const EVE: &str = "@eve:bob.example";

async fn ask(server: &Server, (method, user): (&str, &str), path: &str, body: Value) -> Answer {
    server.send(Ask::new(method, &format!("/_matrix/client/v3/{path}")).by(user).json(&body)).await
}

async fn tags(server: &Server, user: &str, room: &str) -> Value {
    let path = format!("user/{user}/rooms/{room}/tags");
    ask(server, ("GET", user), &path, json!({})).await.ok()["tags"].clone()
}

async fn create(server: &Server, user: &str, body: Value) -> String {
    let created = ask(server, ("POST", user), "createRoom", body).await.ok();
    created["room_id"].as_str().unwrap().to_owned()
}

async fn join(server: &Server, user: &str, room: &str) {
    let path = format!("join/{room}?via=alice.example&via=bob.example");
    ask(server, ("POST", user), &path, json!({})).await.ok();
}

#[tokio::test]
async fn settings_come_along_into_the_room_that_replaces_another_and_into_no_other() {
    let server = Server::start();
    let public = json!({ "preset": "public_chat", "room_version": "11" });
    let old = create(&server, ALICE, public).await;
    join(&server, BOB, &old).await;
    for user in [ALICE, BOB] {
        let path = format!("user/{user}/rooms/{old}/tags/m.favourite");
        ask(&server, ("PUT", user), &path, json!({ "order": 0.5 })).await.ok();
    }
    let claim = json!({ "predecessor": { "room_id": old, "event_id": "$any" } });
    let claimed = create(&server, EVE, json!({ "preset": "public_chat", "creation_content": claim })).await;
    join(&server, BOB, &claimed).await;
    assert_eq!(tags(&server, BOB, &claimed).await, json!({}), "anybody can call a room a predecessor");

    let upgrade = json!({ "new_version": "12" });
    let upgraded = ask(&server, ("POST", ALICE), &format!("rooms/{old}/upgrade"), upgrade).await.ok();
    let new = upgraded["replacement_room"].as_str().unwrap();
    join(&server, BOB, new).await;
    join(&server, EVE, new).await;
    let favourite = json!({ "m.favourite": { "order": 0.5 } });
    assert_eq!(tags(&server, ALICE, new).await, favourite);
    assert_eq!(tags(&server, BOB, new).await, favourite);
    assert_eq!(tags(&server, EVE, new).await, json!({}));
}
