//! Rooms that are joined with a few of their members, as clients are told of them.

use std::sync::Arc;
use std::time::Duration;

use freehold_rooms::Unverified;
use freehold_store::Actor;
use freehold_sync::{NoNews, NoOtherServers, Outside, PresenceForAll, SyncRequest, SyncService};
use ruma_common::{OwnedRoomId, ServerName};
use serde_json::{Value, json};

use crate::hosted::{World, entry};
use crate::network::Network;
use crate::person::{ALICE, BOB, bodies, filter, joined, keys, token};

const CAROL: &str = "@carol:three.example";

/// A room with members of two servers, and somebody of a third who joins it with few of them, and syncs.
struct Scene {
    two: World,
    service: SyncService,
    bob: Actor,
    room: OwnedRoomId,
}

impl Scene {
    async fn new() -> Self {
        let network = Network::new();
        let one = network.world(&["one.example"]).await;
        let mut two = network.world(&["two.example"]).await;
        two.rooms = two.omitting();
        let three = network.world(&["three.example"]).await;
        let (alice, bob, carol) = (one.actor(ALICE).await, two.actor(BOB).await, three.actor(CAROL).await);
        let room = one.public_room(&alice, "11").await;
        one.put(&alice, &room, ("m.room.name", ""), json!({ "name": "many" })).await.unwrap();
        three.rooms.join(&carol, entry(&room, &["one.example"])).await.unwrap();
        let outside = Outside {
            accounts: Arc::new(NoNews),
            devices: Arc::new(NoNews),
            servers: Arc::new(NoOtherServers),
            presence: Arc::new(PresenceForAll),
            clock: two.outside().clock,
        };
        let service = SyncService::new(two.store.clone(), two.rooms.clone(), outside);
        Scene { two, service, bob, room }
    }

    async fn join(&self) {
        self.two.rooms.join(&self.bob, entry(&self.room, &["one.example"])).await.unwrap();
    }

    async fn complete(&self) {
        let one = ServerName::parse("one.example").unwrap();
        self.two.rooms.complete(&self.room, &one, Unverified::Waits).await.unwrap();
    }

    async fn sync(&self, client: Client, since: Option<&Value>) -> Value {
        serde_json::to_value(self.service.sync(&self.bob, &client.request(since)).await.unwrap()).unwrap()
    }

    fn is_told(&self, answer: &Value) -> bool {
        !joined(answer, &self.room).is_null()
    }
}

/// What a client wants to know of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Lazy,
    Full,
}

impl Client {
    fn request(self, since: Option<&Value>) -> SyncRequest {
        let lazy = json!({ "room": { "state": { "lazy_load_members": self == Client::Lazy } } });
        SyncRequest { since: since.map(token), filter: filter(lazy), ..SyncRequest::default() }
    }
}

/// The members in state and timeline.
fn members(room: &Value) -> Vec<String> {
    let mut all = keys(&room["state"]);
    all.extend(keys(&room["timeline"]));
    all.into_iter().filter(|(event_type, _)| event_type == "m.room.member").map(|(_, user)| user).collect()
}

#[tokio::test]
async fn a_client_that_wants_all_members_is_told_of_a_room_once_and_when_all_are_known() {
    let scene = Scene::new().await;
    let before = scene.sync(Client::Full, None).await;
    scene.join().await;
    scene.two.say(&scene.bob, &scene.room, "here I am").await;
    let partial = scene.sync(Client::Full, Some(&before)).await;
    assert!(!scene.is_told(&partial), "{partial}");
    assert!(!scene.is_told(&scene.sync(Client::Full, None).await));
    scene.complete().await;
    for since in [&before, &partial] {
        let answer = scene.sync(Client::Full, Some(since)).await;
        let room = joined(&answer, &scene.room);
        assert_eq!(members(room), [ALICE, BOB, CAROL], "{room}");
        assert_eq!(room["summary"]["m.joined_member_count"], 3);
        assert_eq!(bodies(room), ["here I am"]);
        // That was all of it.
        assert!(!scene.is_told(&scene.sync(Client::Full, Some(&answer)).await));
    }
}

#[tokio::test]
async fn a_client_that_wants_few_members_is_told_at_once_and_once_more_when_all_are_known() {
    let scene = Scene::new().await;
    let before = scene.sync(Client::Lazy, None).await;
    scene.join().await;
    scene.two.say(&scene.bob, &scene.room, "here I am").await;
    let partial = scene.sync(Client::Lazy, Some(&before)).await;
    let room = joined(&partial, &scene.room);
    assert!(keys(&room["state"]).contains(&("m.room.name".to_owned(), String::new())), "{room}");
    assert_eq!(bodies(room), ["here I am"]);
    // How many there are is not known: nothing is said of it.
    assert!(room["summary"]["m.joined_member_count"].is_null(), "{room}");
    assert!(!scene.is_told(&scene.sync(Client::Lazy, Some(&partial)).await));
    scene.complete().await;
    let whole = scene.sync(Client::Lazy, Some(&partial)).await;
    let room = joined(&whole, &scene.room);
    assert_eq!(room["summary"]["m.joined_member_count"], 3, "{room}");
    assert!(keys(&room["state"]).contains(&("m.room.name".to_owned(), String::new())), "{room}");
    assert!(!scene.is_told(&scene.sync(Client::Lazy, Some(&whole)).await));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_news_is_woken_when_a_room_becomes_whole() {
    for client in [Client::Lazy, Client::Full] {
        let scene = Scene::new().await;
        scene.join().await;
        let partial = scene.sync(client, None).await;
        let waiting = SyncRequest { timeout: Duration::from_secs(60), ..client.request(Some(&partial)) };
        let completing = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            scene.complete().await;
        };
        let (answer, ()) = tokio::join!(scene.service.sync(&scene.bob, &waiting), completing);
        let answer = serde_json::to_value(answer.unwrap()).unwrap();
        assert!(scene.is_told(&answer), "{client:?} {answer}");
    }
}
