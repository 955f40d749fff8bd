//! Rooms of which only a few members are known: what is answered at once, and what waits until all are.

use std::sync::Arc;
use std::time::Duration;

use freehold_rooms::Unverified;
use ruma_common::{OwnedRoomId, ServerName};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::hosted::{World, entry};
use crate::network::Network;
use crate::server::{ALICES, Answer, Ask, BOBS, Server};

const ALICE: &str = "@alice:alice.example";
const BOB: &str = "@bob:bob.example";
const CAROL: &str = "@carol:three.example";

/// For how long a request waits at most.
const PATIENCE: Duration = Duration::from_secs(25);

/// A room of two servers, which a user here has joined with few of its members.
struct Scene {
    _network: Arc<Network>,
    here: World,
    server: Server,
    room: OwnedRoomId,
}

impl Scene {
    async fn new() -> Self {
        let network = Network::new();
        let one = network.world(&["one.example"]).await;
        let mut here = network.world(&[ALICES, BOBS]).await;
        here.rooms = here.omitting();
        let three = network.world(&["three.example"]).await;
        let owner = one.actor("@owner:one.example").await;
        let room = one.public_room(&owner, "12").await;
        one.put(&owner, &room, ("m.room.name", ""), json!({ "name": "many" })).await.unwrap();
        three.rooms.join(&three.actor(CAROL).await, entry(&room, &["one.example"])).await.unwrap();
        here.rooms.join(&here.actor(ALICE).await, entry(&room, &["one.example"])).await.unwrap();
        let server = Server::over_rooms(&here.store, &here.interner, here.rooms.clone());
        Scene { _network: network, here, server, room }
    }

    /// Asks something about the room, and says for how long that took.
    async fn ask(&self, method: &str, what: &str, (user, body): (&str, &Value)) -> (Answer, Duration) {
        let path = format!("/_matrix/client/v3/rooms/{}/{what}", self.room);
        let start = Instant::now();
        let answer = self.server.send(Ask::new(method, &path).by(user).json(body)).await;
        (answer, start.elapsed())
    }

    async fn complete(&self) {
        let one = ServerName::parse("one.example").unwrap();
        self.here.rooms.complete(&self.room, &one, Unverified::Waits).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_members_is_answered_at_once() {
    let scene = Scene::new().await;
    let message = json!({ "msgtype": "m.text", "body": "here I am" });
    let at_once = [
        ("PUT", "send/m.room.message/1", message),
        ("GET", "state/m.room.name", json!({})),
        ("PUT", "typing/@alice:alice.example", json!({ "typing": false })),
        ("POST", "read_markers", json!({})),
        (
            "PUT",
            "state/m.room.member/@alice:alice.example",
            json!({ "membership": "join", "displayname": "A" }),
        ),
        ("POST", "leave", json!({})),
    ];
    for (method, what, body) in at_once {
        let (answer, took) = scene.ask(method, what, (ALICE, &body)).await;
        answer.ok();
        assert!(took < Duration::from_secs(1), "{what}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_needs_all_members_waits_and_is_refused_as_something_to_try_again() {
    let scene = Scene::new().await;
    let carol = json!({ "user_id": CAROL });
    for (method, what, body) in [
        ("GET", "members", &json!({})),
        ("GET", "joined_members", &json!({})),
        ("GET", "state", &json!({})),
        ("GET", "state/m.room.member/@carol:three.example", &json!({})),
        ("GET", "messages?dir=b", &json!({})),
        ("POST", "invite", &carol),
        ("POST", "kick", &carol),
    ] {
        let (answer, took) = scene.ask(method, what, (ALICE, body)).await;
        assert_eq!(answer.error(), (503, "M_UNKNOWN"), "{what}");
        assert!(took >= PATIENCE && took < PATIENCE * 2, "{what}: {took:?}");
    }
    // What can be refused at once is.
    let left = json!({ "membership": "leave" });
    let (answer, took) = scene.ask("PUT", "state/m.room.member/@carol:three.example", (ALICE, &left)).await;
    assert_eq!(answer.error(), (503, "M_UNKNOWN"));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_answered_when_the_room_is_whole() {
    let scene = Scene::new().await;
    let nothing = json!({});
    let completing = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        scene.complete().await;
    };
    let ((answer, took), ()) =
        tokio::join!(scene.ask("GET", "joined_members", (ALICE, &nothing)), completing);
    let joined = answer.ok()["joined"].as_object().unwrap().len();
    assert_eq!(joined, 3);
    assert!(took >= Duration::from_secs(3) && took < PATIENCE, "{took:?}");
    let (answer, took) = scene.ask("GET", "members", (ALICE, &nothing)).await;
    assert_eq!(answer.ok()["chunk"].as_array().unwrap().len(), 3);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// Who is in the room already says so to friends at once.
#[tokio::test(start_paused = true)]
async fn another_user_of_the_tenant_who_wants_in_waits_until_all_members_are_known() {
    let scene = Scene::new().await;
    let completing = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        scene.complete().await;
    };
    let path = format!("/_matrix/client/v3/join/{}?via={ALICES}", scene.room);
    let joining = scene.server.send(Ask::new("POST", &path).by("@dora:alice.example").json(&json!({})));
    let (answer, ()) = tokio::join!(joining, completing);
    assert_eq!(answer.ok()["room_id"], scene.room.as_str());
}

/// How long an answer takes would tell whether a neighbour is in the room.
#[tokio::test(start_paused = true)]
async fn who_never_was_in_the_room_is_refused_as_if_nobody_here_were() {
    let scene = Scene::new().await;
    let (refused, took) = scene.ask("GET", "members", (BOB, &json!({}))).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let path = "/_matrix/client/v3/rooms/!nowhere:one.example/members";
    let nowhere = scene.server.send(Ask::new("GET", path).by(BOB)).await;
    assert_eq!((refused.status, refused.json), (nowhere.status, nowhere.json));
}
