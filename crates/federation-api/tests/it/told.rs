//! Who is told what a server says beside the events of a room: the users of the tenant to which it says it.

use freehold_rooms::Entry;
use freehold_store::Actor;
use freehold_sync::SyncRequest;
use ruma_common::RoomId;
use serde_json::{Value, json};

use crate::foreign::{edu, joined, room};
use crate::server::{ALICES, BOBS, REMOTE, Server};

const ROBIN: &str = "@robin:remote.example";

/// The types of what a user sees of a room beside its events.
async fn seen(server: &Server, actor: &Actor, room_id: &RoomId) -> Vec<Value> {
    let answer = server.services().sync.sync(actor, &SyncRequest::default()).await.unwrap();
    let answer = serde_json::to_value(answer).unwrap();
    let events = answer["rooms"]["join"][room_id.as_str()]["ephemeral"]["events"].clone();
    events.as_array().cloned().unwrap_or_default().iter().map(|event| event["type"].clone()).collect()
}

/// Otherwise whoever has an account with one tenant sees that another lives with it, by speaking to one and listening to the other.
#[tokio::test]
async fn what_a_server_says_to_one_tenant_the_users_of_another_are_not_told() {
    for (edu_type, content) in [
        ("m.typing", json!({ "room_id": "ROOM", "user_id": ROBIN, "typing": true })),
        (
            "m.receipt",
            json!({ "ROOM": { "m.read": { ROBIN: { "event_ids": ["EVENT"], "data": { "ts": 5 } } } } }),
        ),
    ] {
        let server = Server::start();
        let alice = server.ground.actor("@alice:alice.example").await;
        let bob = server.ground.actor("@bob:bob.example").await;
        let room_id = room(&server, &alice, None).await;
        let event_id = joined(&server, &room_id, ROBIN).await;
        let entry = Entry { room: room_id.clone().into(), via: Vec::new(), reason: None };
        server.services().rooms.join(&bob, entry).await.unwrap();
        let content = content.to_string().replace("ROOM", room_id.as_str());
        let content: Value = serde_json::from_str(&content.replace("EVENT", event_id.as_str())).unwrap();
        let tell = async |tenant: &str| {
            let told = edu(REMOTE, edu_type, (edu_type, content.clone())).to(tenant);
            server.send(told).await.ok();
            (seen(&server, &alice, &room_id).await, seen(&server, &bob, &room_id).await)
        };
        assert_eq!(tell(ALICES).await, (vec![json!(edu_type)], vec![]));
        assert_eq!(tell(BOBS).await, (vec![json!(edu_type)], vec![json!(edu_type)]));
    }
}
