//! Who is told who is online.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use freehold_store::{Actor, BoxFuture, Clock, Tenant};
use freehold_sync::{
    OtherServers, PresenceError, PresencePolicies, PresenceState, PublicReceipt, Shown, SyncRequest,
    ToldPresence,
};
use ruma_common::{OwnedServerName, RoomId, UserId};
use serde_json::Value;

use crate::hosted::{World, entry};
use crate::network::Network;
use crate::person::{ALICE, BOB, People, events, token};

const SECOND: i64 = 1_000;

/// A clock that is set by hand.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_ts(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Tenants that want no presence, and whatever other servers are told.
#[derive(Default)]
struct Around {
    off: Mutex<BTreeSet<OwnedServerName>>,
    told: Mutex<Vec<(String, PresenceState, Vec<String>)>>,
}

impl PresencePolicies for Around {
    fn shows_presence<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, bool> {
        let is_off = self.off.lock().unwrap().contains(tenant.server_name());
        Box::pin(std::future::ready(!is_off))
    }
}

impl OtherServers for Around {
    fn typing<'a>(&'a self, _: &'a Tenant, _: (&'a RoomId, &'a UserId), _: bool) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn receipt<'a>(
        &'a self,
        _: &'a Tenant,
        _: (&'a RoomId, &'a UserId),
        _: PublicReceipt,
    ) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn presence<'a>(
        &'a self,
        _: &'a Tenant,
        servers: BTreeSet<OwnedServerName>,
        (user_id, told): (&'a UserId, &'a ToldPresence),
    ) -> BoxFuture<'a, ()> {
        let servers = servers.iter().map(ToString::to_string).collect();
        self.told.lock().unwrap().push((user_id.to_string(), told.shown.state, servers));
        Box::pin(std::future::ready(()))
    }
}

struct Stage {
    people: People,
    clock: Arc<Hand>,
    around: Arc<Around>,
}

impl Stage {
    async fn new() -> Self {
        Stage::of(World::new(&["one.example", "two.example"]).await).await
    }

    async fn of(world: World) -> Self {
        let clock = Arc::new(Hand(AtomicI64::new(1_700_000_000_000)));
        let around = Arc::new(Around::default());
        let people = People::of(world, clock.clone(), around.clone(), around.clone()).await;
        Stage { people, clock, around }
    }

    fn pass(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// A sync of somebody who is online.
    async fn sync(&self, actor: &Actor, since: Option<&Value>) -> Value {
        self.people.sync_with(actor, since, |request| request.set_presence = PresenceState::Online).await
    }

    async fn round(&self) {
        self.people.service.tell_presence_once().await;
    }
}

/// Who is told to be how.
fn seen(answer: &Value) -> Vec<(&str, &str)> {
    events(&answer["presence"])
        .iter()
        .map(|event| (event["sender"].as_str().unwrap(), event["content"]["presence"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn who_shares_a_room_is_told_who_comes_and_goes() {
    let stage = Stage::new().await;
    let Stage { people, .. } = &stage;
    people.shared_room().await;
    let first = stage.sync(&people.alice, None).await;
    assert_eq!(seen(&first), []);
    stage.round().await;
    let second = stage.sync(&people.alice, Some(&first)).await;
    assert_eq!(seen(&second), [(ALICE, "online")]);
    stage.sync(&people.bob, None).await;
    stage.round().await;
    let third = stage.sync(&people.alice, Some(&second)).await;
    assert_eq!(seen(&third), [(BOB, "online")]);
    let event = &events(&third["presence"])[0];
    assert_eq!(event["type"], "m.presence");
    assert_eq!(event["content"]["currently_active"], true);
    stage.pass(31 * SECOND);
    stage.sync(&people.alice, Some(&third)).await;
    stage.round().await;
    let last = stage.sync(&people.alice, Some(&third)).await;
    assert!(seen(&last).contains(&(BOB, "offline")), "{last}");
    let told = stage.around.told.lock().unwrap().clone();
    let other = vec!["two.example".to_owned()];
    assert_eq!(told[0], (ALICE.to_owned(), PresenceState::Online, other));
}

#[tokio::test]
async fn of_what_happens_between_two_rounds_the_end_is_told() {
    let stage = Stage::new().await;
    let Stage { people, .. } = &stage;
    people.shared_room().await;
    for actor in [&people.alice, &people.bob] {
        stage.sync(actor, None).await;
    }
    stage.round().await;
    let seen_by_bob = stage.sync(&people.bob, None).await;
    stage.pass(6 * SECOND);
    let request = SyncRequest {
        since: Some(token(&seen_by_bob)),
        timeout: Duration::from_secs(30),
        ..SyncRequest::default()
    };
    let (service, bob) = (people.service.clone(), people.bob.clone());
    let waiting = tokio::spawn(async move { service.sync(&bob, &request).await.unwrap() });
    tokio::task::yield_now().await;
    for (state, status_msg) in [
        (PresenceState::Offline, None),
        (PresenceState::Online, Some("hello")),
        (PresenceState::Unavailable, Some("at lunch")),
    ] {
        let shown = Shown { state, status_msg: status_msg.map(str::to_owned) };
        people.service.set_presence(&people.alice, shown).await;
    }
    assert!(!waiting.is_finished());
    stage.round().await;
    let answer = serde_json::to_value(waiting.await.unwrap()).unwrap();
    assert_eq!(seen(&answer), [(ALICE, "unavailable")]);
    assert_eq!(events(&answer["presence"])[0]["content"]["status_msg"], "at lunch");
}

#[tokio::test]
async fn who_shares_no_room_is_told_nothing() {
    let stage = Stage::new().await;
    let Stage { people, .. } = &stage;
    for actor in [&people.alice, &people.bob] {
        stage.sync(actor, None).await;
    }
    stage.round().await;
    let answer = stage.sync(&people.bob, None).await;
    assert_eq!(seen(&answer), [], "nobody is in a room");
    let asked = people.service.presence_of(&people.bob, &people.alice.user_id).await;
    assert!(matches!(asked, Err(PresenceError::NoSharedRoom)), "{asked:?}");
    let nobody = UserId::parse("@nobody:one.example").unwrap();
    let asked = people.service.presence_of(&people.bob, &nobody).await;
    assert!(matches!(asked, Err(PresenceError::NoSharedRoom)), "{asked:?}");
    people.shared_room().await;
    let asked = people.service.presence_of(&people.bob, &people.alice.user_id).await.unwrap();
    assert_eq!(asked.shown.state, PresenceState::Online);
    // Who was told of nobody, as there was no room, is told once there is one.
    stage.pass(6 * SECOND);
    let before = stage.sync(&people.bob, Some(&answer)).await;
    stage.sync(&people.alice, Some(&answer)).await;
    stage.round().await;
    let answer = stage.sync(&people.bob, Some(&before)).await;
    assert!(seen(&answer).contains(&(ALICE, "online")), "{answer}");
}

#[tokio::test]
async fn a_tenant_that_wants_no_presence_has_none() {
    let stage = Stage::new().await;
    let Stage { people, around, .. } = &stage;
    people.shared_room().await;
    around.off.lock().unwrap().insert(people.bob.tenant.server_name().to_owned());
    for actor in [&people.alice, &people.bob] {
        stage.sync(actor, None).await;
    }
    let online = Shown { state: PresenceState::Online, status_msg: None };
    people.service.set_presence(&people.bob, online).await;
    stage.round().await;
    assert_eq!(seen(&stage.sync(&people.bob, None).await), []);
    assert_eq!(seen(&stage.sync(&people.alice, None).await), [(ALICE, "online")]);
    let of_bob = people.service.presence_of(&people.alice, &people.bob.user_id).await.unwrap();
    assert_eq!(of_bob.shown.state, PresenceState::Offline);
    let of_alice = people.service.presence_of(&people.bob, &people.alice.user_id).await.unwrap();
    assert_eq!(of_alice.shown.state, PresenceState::Offline);
}

#[tokio::test]
async fn a_filter_leaves_presence_out() {
    let stage = Stage::new().await;
    let Stage { people, .. } = &stage;
    people.shared_room().await;
    stage.sync(&people.alice, None).await;
    stage.round().await;
    let without = crate::person::filter(serde_json::json!({ "presence": { "types": [] } }));
    let answer = people.sync_with(&people.alice, None, |request| request.filter = without).await;
    assert_eq!(seen(&answer), []);
    assert_eq!(seen(&stage.sync(&people.alice, None).await), [(ALICE, "online")]);
}

#[tokio::test]
async fn of_users_whom_somebody_ignores_they_are_told_nothing() {
    let stage = Stage::new().await;
    let Stage { people, .. } = &stage;
    people.shared_room().await;
    people.ignore(&people.alice, &people.bob).await;
    let first = stage.sync(&people.alice, None).await;
    stage.sync(&people.bob, None).await;
    stage.round().await;
    assert_eq!(seen(&stage.sync(&people.alice, Some(&first)).await), [(ALICE, "online")]);
    assert_eq!(seen(&stage.sync(&people.alice, None).await), [(ALICE, "online")]);
    people.settle(&people.alice, "m.ignored_user_list", serde_json::json!({ "ignored_users": {} })).await;
    let both = stage.sync(&people.alice, None).await;
    assert_eq!(seen(&both), [(ALICE, "online"), (BOB, "online")]);
}

#[tokio::test]
async fn a_server_that_comes_into_a_room_is_told_who_is_online_there() {
    let network = Network::new();
    let stage = Stage::of(network.world(&["one.example", "two.example"]).await).await;
    let far = network.world(&["far.example"]).await;
    let Stage { people, around, .. } = &stage;
    let room = people.world.public_room(&people.alice, "12").await;
    people.world.join(&people.bob, &room).await;
    stage.sync(&people.alice, None).await;
    stage.round().await;
    around.told.lock().unwrap().clear();
    let carol = far.actor("@carol:far.example").await;
    far.rooms.join(&carol, entry(&room, &["one.example"])).await.unwrap();
    for _ in 0..2 {
        stage.round().await;
        let told = around.told.lock().unwrap().clone();
        let of_alice = (ALICE.to_owned(), PresenceState::Online, vec!["far.example".to_owned()]);
        assert_eq!(told, [of_alice], "once, and nothing of those who are not online");
    }
}
