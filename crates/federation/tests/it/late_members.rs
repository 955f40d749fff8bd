//! Rooms that are joined with a few of their members: who asks for the others, and what becomes of events that come meanwhile.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use freehold_federation::fake::Seeded;
use freehold_federation::{
    Asking, Fetching, Ingest, IngestParts, LateMembers, MissingQuery, NoAnswer, StateIds, TakeError, Taken,
    TakenEvents, WholeState,
};
use freehold_rooms::{Identities, StoredEvent};
use freehold_signing::{KeySource, Signature, WantedKey};
use freehold_store::{Actor, BoxFuture};
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, ServerName};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::hosted::{World, entry};
use crate::network::Network;

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";
const CAROL: &str = "@carol:three.example";

/// A room of two servers, and somebody of a third who has joined it with few of its members.
struct Scene {
    network: Arc<Network>,
    one: Arc<World>,
    two: World,
    alice: Actor,
    bob: Actor,
    room: OwnedRoomId,
    asked: Arc<Mutex<Vec<&'static str>>>,
}

impl Scene {
    async fn new() -> Self {
        let network = Network::new();
        let one = Arc::new(network.world(&["one.example"]).await);
        let mut two = network.world(&["two.example"]).await;
        two.rooms = two.omitting();
        let three = network.world(&["three.example"]).await;
        let (alice, bob, carol) = (one.actor(ALICE).await, two.actor(BOB).await, three.actor(CAROL).await);
        let room = one.public_room(&alice, "12").await;
        one.put(&alice, &room, ("m.room.name", ""), json!({ "name": "many" })).await.unwrap();
        three.rooms.join(&carol, entry(&room, &["one.example"])).await.unwrap();
        two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
        network.asked();
        Scene { network, one, two, alice, bob, room, asked: Arc::default() }
    }

    fn ingest(&self) -> Ingest {
        let neighbour =
            Neighbour { network: self.network.clone(), one: self.one.clone(), asked: self.asked.clone() };
        Ingest::new(IngestParts {
            rooms: self.two.rooms.clone(),
            identities: self.two.hosted.clone() as Arc<dyn Identities>,
            fetching: Arc::new(neighbour),
            clock: self.two.outside().clock,
        })
    }

    /// What is said at the server that helped, as it brings it.
    async fn said(&self, body: &str) -> String {
        let event_id = self.one.say(&self.alice, &self.room, body).await;
        let reader = self.one.reader();
        let event = reader.snapshot().number_of(&event_id).await.unwrap().unwrap();
        reader.event(event).await.unwrap().pdu.canonical_json().to_owned()
    }

    async fn bring(&self, texts: &[String]) -> TakenEvents {
        let ingest = self.ingest();
        let mut taken = TakenEvents::new();
        for texts in texts.chunks(50) {
            let origin = ServerName::parse("one.example").unwrap();
            taken.extend(ingest.take(&self.bob.tenant, &origin, &self.room, texts.to_vec()).await);
        }
        taken
    }

    async fn is_partial(&self) -> bool {
        let number = self.two.number(&self.room).await;
        self.two.reader().is_partial(number).await.unwrap()
    }

    /// How many events are held; `None` if there is nothing left to be done.
    async fn held(&self) -> Option<u64> {
        let number = self.two.number(&self.room).await;
        self.two.reader().held_of(number).await.unwrap().map(|held| held.events)
    }

    /// Whoever sees to members does, until there is nothing left to be done.
    async fn finish(&self) {
        self.work_until(async {
            while self.is_partial().await || self.held().await.is_some() {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    async fn work_until(&self, stop: impl Future<Output = ()>) {
        LateMembers::new(self.ingest(), Arc::new(Seeded::new(1))).run_until(stop).await;
    }

    async fn bodies(&self) -> Vec<String> {
        self.two.visible_bodies(&self.bob, &self.room).await
    }
}

/// The server that helped, when something is missing.
struct Neighbour {
    network: Arc<Network>,
    one: Arc<World>,
    asked: Arc<Mutex<Vec<&'static str>>>,
}

impl Neighbour {
    async fn asked(&self, asking: Asking<'_>, what: &'static str) -> Result<Vec<Arc<StoredEvent>>, NoAnswer> {
        self.asked.lock().unwrap().push(what);
        match asking.at.as_str() {
            "one.example" => Ok(self.one.timeline(asking.room_id).await),
            _ => Err(NoAnswer::Useless("somebody else")),
        }
    }
}

fn text(event: &Arc<StoredEvent>) -> String {
    event.pdu.canonical_json().to_owned()
}

fn useless<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, NoAnswer>> {
    Box::pin(std::future::ready(Err(NoAnswer::Useless("not told"))))
}

impl Fetching for Neighbour {
    fn keys<'a>(&'a self, _: &'a [WantedKey]) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>> {
        Box::pin(async move {
            // As over a network, others have their turn meanwhile.
            tokio::task::yield_now().await;
            Box::new(self.network.all_keys()) as Box<dyn KeySource + Send + Sync>
        })
    }

    fn missing_events<'a>(
        &'a self,
        asking: Asking<'a>,
        query: &'a MissingQuery,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>> {
        Box::pin(async move {
            let events = self.asked(asking, "missing_events").await?;
            let is_latest = |event: &Arc<StoredEvent>| event.pdu.event_id() == query.latest_events[0];
            let before = events.iter().position(is_latest).unwrap_or(0);
            Ok(events[before.saturating_sub(query.limit)..before].iter().map(text).collect())
        })
    }

    fn event<'a>(
        &'a self,
        asking: Asking<'a>,
        event_id: &'a EventId,
    ) -> BoxFuture<'a, Result<String, NoAnswer>> {
        Box::pin(async move {
            let events = self.asked(asking, "event").await?;
            let found = events.iter().find(|event| event.pdu.event_id() == event_id);
            found.map(text).ok_or(NoAnswer::Useless("no such event"))
        })
    }

    fn event_auth<'a>(
        &'a self,
        _: Asking<'a>,
        _: &'a EventId,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>> {
        useless()
    }

    fn state_ids<'a>(&'a self, _: Asking<'a>, _: &'a EventId) -> BoxFuture<'a, Result<StateIds, NoAnswer>> {
        useless()
    }

    fn state<'a>(&'a self, _: Asking<'a>, _: &'a EventId) -> BoxFuture<'a, Result<WholeState, NoAnswer>> {
        useless()
    }

    fn backfill<'a>(
        &'a self,
        _: Asking<'a>,
        _: &'a [OwnedEventId],
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>> {
        useless()
    }

    fn last_event<'a>(&'a self, asking: Asking<'a>, _: i64) -> BoxFuture<'a, Result<OwnedEventId, NoAnswer>> {
        Box::pin(async move {
            let events = self.asked(asking, "last_event").await?;
            Ok(events.last().unwrap().pdu.event_id().to_owned())
        })
    }

    fn policy_signature<'a>(
        &'a self,
        _: Asking<'a>,
        _: &'a freehold_event::Pdu,
    ) -> BoxFuture<'a, Result<Signature, NoAnswer>> {
        useless()
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_come_while_members_are_missing_are_held_and_judged_when_the_room_is_whole() {
    let scene = Scene::new().await;
    let texts = [scene.said("one").await, scene.said("two").await];
    let forged = texts[0].replace("\"depth\":", "\"depth\":9");
    let taken = scene.bring(&[texts[1].clone(), forged, texts[0].clone(), texts[0].clone()]).await;
    assert!(matches!(taken[1].1, Err(TakeError::Dropped(_))), "{taken:?}");
    for place in [0, 2, 3] {
        assert!(matches!(taken[place].1, Ok(Taken::Held)), "{taken:?}");
    }
    assert_eq!(scene.held().await, Some(2));
    assert_eq!(scene.bodies().await, [""; 0]);
    scene.two.say(&scene.bob, &scene.room, "here I am").await;
    scene.finish().await;
    assert_eq!(scene.bodies().await, ["here I am", "one", "two"]);
    assert_eq!(scene.two.membership(&scene.room, CAROL).await.as_deref(), Some("join"));
    // Nothing had to be fetched, and what comes again is known.
    assert!(!scene.asked.lock().unwrap().contains(&"missing_events"));
    let again = scene.bring(&texts).await;
    assert!(again.iter().all(|(_, taken)| matches!(taken, Ok(Taken::Known))), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stops_while_it_takes_what_was_held_goes_on_afterwards() {
    let mut scene = Scene::new().await;
    let mut texts = Vec::new();
    for number in 0..120 {
        texts.push(scene.said(&number.to_string()).await);
    }
    let taken = scene.bring(&texts).await;
    assert!(taken.iter().all(|(_, taken)| matches!(taken, Ok(Taken::Held))), "{taken:?}");
    // Once the room is whole and some of it was taken.
    scene
        .work_until(async {
            while scene.held().await == Some(120) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    let left = scene.held().await.unwrap();
    assert!(left > 0 && left < 120 && !scene.is_partial().await, "{left}");
    scene.two.rooms = scene.two.omitting();
    scene.finish().await;
    let expected: Vec<String> = (0..120).map(|number| number.to_string()).collect();
    assert_eq!(scene.bodies().await, expected);
}

#[tokio::test(start_paused = true)]
async fn what_was_too_much_to_be_held_is_asked_for_afterwards() {
    let scene = Scene::new().await;
    let mut texts = Vec::new();
    for number in 0..285 {
        texts.push(scene.said(&format!("{number:060000}")).await);
    }
    let taken = scene.bring(&texts).await;
    let turned_away = taken.iter().filter(|(_, taken)| matches!(taken, Err(TakeError::Partial))).count();
    assert!(turned_away > 0 && turned_away < 20, "{turned_away}");
    assert_eq!(scene.held().await, Some(285 - turned_away as u64));
    scene.finish().await;
    let bodies = scene.bodies().await;
    assert_eq!(bodies.len(), 285);
    assert!(bodies.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn members_are_asked_for_until_somebody_tells_them() {
    let scene = Scene::new().await;
    scene.network.set_down(&["one.example"]);
    let silent = async {
        sleep(Duration::from_secs(600)).await;
        let asked = scene.network.asked();
        // Whoever is in the room is asked, again and again, and seldom.
        for server in ["one.example", "three.example"] {
            let times = asked.iter().filter(|what| **what == format!("state {server}")).count();
            assert!(times > 3 && times < 20, "{server} {asked:?}");
        }
        assert!(scene.is_partial().await);
    };
    scene.work_until(silent).await;
    scene.network.set_down(&[]);
    scene.finish().await;
    assert_eq!(scene.two.membership(&scene.room, CAROL).await.as_deref(), Some("join"));
    assert!(scene.asked.lock().unwrap().contains(&"last_event"));
}

/// A room that nobody made whole in hours is asked for rarely; that is of no concern to who comes back.
#[tokio::test(start_paused = true)]
async fn who_comes_back_to_a_room_does_not_wait_for_those_who_were_asked_before() {
    let scene = Scene::new().await;
    scene.network.set_down(&["one.example", "three.example"]);
    scene
        .work_until(async {
            sleep(Duration::from_secs(24 * 60 * 60)).await;
            scene.two.rooms.leave(&scene.bob, &scene.room, None).await.unwrap();
            scene.network.deliver(&scene.two, &scene.one).await;
            scene.network.set_down(&[]);
            let start = Instant::now();
            scene.two.rooms.join(&scene.bob, entry(&scene.room, &["one.example"])).await.unwrap();
            assert!(scene.is_partial().await);
            while scene.is_partial().await {
                sleep(Duration::from_millis(10)).await;
            }
            assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        })
        .await;
}
