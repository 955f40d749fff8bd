//! A process of two tenants that sends, and the servers that it sends to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use freehold_federation::fake::{Network, RuntimeClock, Seeded, answer};
use freehold_federation::{DeviceNews, Outbound, OutboundParts, OwnDevices, TenantsByNumber};
use freehold_rooms::{NoProfiles, NoRemoteServers, Outside, Rooms, RoomsSettings};
use freehold_store::tables::identity::{ROOM_IDS, ROOM_NUMBERS};
use freehold_store::tables::outbound::{MessageRow, OUTGOING_DEVICE_LISTS, OUTGOING_MESSAGES};
use freehold_store::tables::rooms::{
    CURRENT_STATE, CurrentStateRow, EVENT_JSON, EVENTS, EventRow, OUTGOING, OutgoingRow, ROOM_SERVERS, ROOMS,
    RoomRow, RoomServerRow, Standing,
};
use freehold_store::{
    Batch, BoxFuture, CommitError, Engine, EngineError, EngineSnapshot, EventNumber, Interner, Key,
    MemoryEngine, Order, Position, RoomNumber, ScanRange, Snapshot, Store, Table, TableId, Tenant,
    TenantNumber, TimelineIndex, UserNumber, Value,
};
use hyper::body::Bytes;
use hyper::{Request, Response};
use ruma_common::{OwnedRoomId, RoomId};
use serde_json::{Value as Json, json};

use crate::world::{START_TS, Tenants, World, ordinary, server, tenant};

pub(crate) const ALICE: &str = "alice.example";
pub(crate) const BOB: &str = "bob.example";

/// An engine that can be made to fail, and counts.
#[derive(Default)]
pub(crate) struct Faulty {
    inner: MemoryEngine,
    pub(crate) commits: AtomicUsize,
    /// How many of the next commits fail.
    pub(crate) failing: AtomicUsize,
    /// How many of the next reads of events fail.
    pub(crate) unreadable: Arc<AtomicUsize>,
}

/// What such an engine shows.
struct FaultySnapshot {
    inner: Box<dyn EngineSnapshot>,
    unreadable: Arc<AtomicUsize>,
}

impl EngineSnapshot for FaultySnapshot {
    fn position(&self) -> Position {
        self.inner.position()
    }

    fn get_many<'a>(
        &'a self,
        table: TableId,
        keys: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<Option<Vec<u8>>>, EngineError>> {
        let fewer = |left: usize| left.checked_sub(1);
        if table == EVENT_JSON.id
            && self.unreadable.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok()
        {
            return Box::pin(std::future::ready(Err(EngineError("a disk that is busy".to_owned()))));
        }
        self.inner.get_many(table, keys)
    }

    fn scan<'a>(
        &'a self,
        table: TableId,
        range: ScanRange,
        order: Order,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Vec<u8>, Vec<u8>)>, EngineError>> {
        self.inner.scan(table, range, order, limit)
    }
}

impl Engine for Faulty {
    fn snapshot(&self) -> Result<Box<dyn EngineSnapshot>, EngineError> {
        let unreadable = Arc::clone(&self.unreadable);
        Ok(Box::new(FaultySnapshot { inner: self.inner.snapshot()?, unreadable }))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Position, CommitError>> {
        Box::pin(async move {
            // Like a disk: others run meanwhile, and some of them may be the last thing that happens.
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.commits.fetch_add(1, Ordering::Relaxed);
            let failing = self.failing.load(Ordering::Relaxed);
            if failing > 0 {
                self.failing.store(failing - 1, Ordering::Relaxed);
                return Err(CommitError::Engine(EngineError("no space left".to_owned())));
            }
            let done = self.inner.commit(batch).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            done
        })
    }
}

/// What a server does with transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It takes them.
    #[default]
    Takes,
    /// It takes them, and the answer never comes.
    TakesSilently,
    /// It takes them, and the answer to those that contain a text never comes.
    TakesSilentlyIf(&'static str),
    /// It answers with a status.
    Refuses(u16),
    /// It answers so to those of one tenant.
    RefusesTenant(&'static str, u16),
    /// It answers so to those that contain a text.
    RefusesText(&'static str, u16),
}

/// Another server, which takes everything once.
#[derive(Clone, Default)]
pub(crate) struct Peer(Arc<Mutex<Taken>>);

#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) manner: Manner,
    /// How many requests there were.
    pub(crate) requests: usize,
    /// Transactions by origin and id, without their times.
    pub(crate) transactions: BTreeMap<(String, String), Json>,
    /// Ids that came more than once.
    pub(crate) repeated: BTreeSet<String>,
    /// What came first, in order: events and messages by what they say.
    pub(crate) events: Vec<(String, String)>,
    pub(crate) messages: Vec<String>,
    /// Everything in the order in which it was applied.
    pub(crate) order: Vec<String>,
    pub(crate) edus: Vec<Json>,
    under_way: BTreeSet<String>,
    known: BTreeSet<String>,
}

impl Peer {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap()
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.lock().manner = manner;
    }

    /// What came of a tenant's events, in order.
    pub(crate) fn said_by(&self, origin: &str) -> Vec<String> {
        let taken = self.lock();
        taken.events.iter().filter(|(of, _)| of == origin).map(|(_, body)| body.clone()).collect()
    }

    async fn serve(self, name: String, request: Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path().to_owned();
        let Some(id) = path.strip_prefix("/_matrix/federation/v1/send/") else {
            return ordinary(&name)(request);
        };
        let mut body: Json = serde_json::from_slice(request.body()).unwrap();
        let origin = body["origin"].as_str().unwrap().to_owned();
        let manner = {
            let mut taken = self.lock();
            taken.requests += 1;
            assert!(taken.under_way.insert(origin.clone()), "two transactions of {origin} at a time");
            taken.manner.clone()
        };
        let under_way = UnderWay(&self, &origin);
        tokio::time::sleep(Duration::from_millis(3)).await;
        drop(under_way);
        let text = body.to_string();
        let status = match manner {
            Manner::Refuses(status) => Some(status),
            Manner::RefusesTenant(refused, status) if refused == origin => Some(status),
            Manner::RefusesText(refused, status) if text.contains(refused) => Some(status),
            _ => None,
        };
        if let Some(status) = status {
            return answer(status, r#"{"errcode":"M_UNKNOWN","error":"no"}"#);
        }
        body.as_object_mut().unwrap().remove("origin_server_ts");
        self.lock().take(&origin, id, body);
        if manner == Manner::TakesSilently
            || matches!(manner, Manner::TakesSilentlyIf(what) if text.contains(what))
        {
            std::future::pending::<()>().await;
        }
        answer(200, r#"{"pdus":{}}"#)
    }
}

/// A transaction that is under way, until whoever sends it is gone.
struct UnderWay<'w>(&'w Peer, &'w str);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way.remove(self.1);
    }
}

impl Taken {
    fn take(&mut self, origin: &str, id: &str, body: Json) {
        let key = (origin.to_owned(), id.to_owned());
        if let Some(before) = self.transactions.get(&key) {
            assert_eq!(*before, body, "the same id for something else");
            self.repeated.insert(id.to_owned());
            return;
        }
        let (pdus, edus) = (body["pdus"].as_array().unwrap(), body["edus"].as_array().unwrap());
        assert!(pdus.len() <= 50 && edus.len() <= 100, "{} and {}", pdus.len(), edus.len());
        for edu in edus {
            if edu["edu_type"] == "m.direct_to_device" {
                let id = edu["content"]["message_id"].as_str().unwrap();
                if self.known.insert(format!("{origin} message {id}")) {
                    self.messages.push(id.to_owned());
                    self.order.push(id.to_owned());
                }
            }
        }
        for pdu in pdus {
            let said = pdu["content"]["body"].as_str().unwrap();
            if self.known.insert(format!("{origin} event {said}")) {
                self.events.push((origin.to_owned(), said.to_owned()));
                self.order.push(said.to_owned());
            }
        }
        self.edus.extend(edus.iter().cloned());
        self.transactions.insert(key, body);
    }
}

/// The tenants by number; some are out of service.
#[derive(Default)]
pub(crate) struct Numbers(pub(crate) Mutex<BTreeSet<u32>>);

impl TenantsByNumber for Numbers {
    fn tenant(&self, number: TenantNumber) -> Option<Tenant> {
        let name = if number.0 == 1 { ALICE } else { BOB };
        (!self.0.lock().unwrap().contains(&number.0)).then(|| tenant(name))
    }
}

/// Devices of whom there is always something to tell.
struct Devices;

impl OwnDevices for Devices {
    fn device_list_update<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
    ) -> BoxFuture<'a, DeviceNews> {
        let news = json!({ "user": user.0, "stream_id": snapshot.position().0 }).to_string();
        Box::pin(std::future::ready(Ok(Some(news))))
    }

    fn signing_key_update<'a>(&'a self, _: &'a Snapshot, _: UserNumber) -> BoxFuture<'a, DeviceNews> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// A process of two tenants, and what outlives it.
pub(crate) struct Post {
    pub(crate) engine: Arc<Faulty>,
    pub(crate) store: Store,
    pub(crate) world: World,
    pub(crate) outbound: Outbound,
    pub(crate) numbers: Arc<Numbers>,
    /// What the authors of events take the time for, if they are wrong.
    pub(crate) authors_ts: Option<i64>,
    running: Option<tokio::task::JoinHandle<()>>,
    count: u64,
}

impl Post {
    /// A process that runs.
    pub(crate) async fn new() -> Self {
        let engine = Arc::new(Faulty::default());
        let (network, clock) = (Network::default(), Arc::new(RuntimeClock::new(START_TS)));
        let mut post = Self::over(engine, network, clock, Arc::default(), 0).await;
        post.run();
        post
    }

    async fn over(
        engine: Arc<Faulty>,
        network: Network,
        clock: Arc<RuntimeClock>,
        numbers: Arc<Numbers>,
        count: u64,
    ) -> Self {
        let store = Store::open(Arc::clone(&engine) as Arc<dyn Engine>).await.unwrap();
        let world = World::over(network, store.clone(), clock.clone()).await;
        let outside = Outside {
            identities: Arc::new(Tenants),
            profiles: Arc::new(NoProfiles),
            remote: Arc::new(NoRemoteServers),
            clock: clock.clone(),
        };
        let rooms = Rooms::new(store.clone(), Interner::new(&store), outside, RoomsSettings::default());
        let outbound = Outbound::open(OutboundParts {
            client: world.client.clone(),
            rooms,
            store: store.clone(),
            identities: Arc::new(Tenants),
            tenants: Arc::clone(&numbers) as Arc<dyn TenantsByNumber>,
            devices: Arc::new(Devices),
            clock,
            randomness: Arc::new(Seeded::new(7)),
        });
        let outbound = outbound.await.unwrap();
        Post { engine, store, world, outbound, numbers, authors_ts: None, running: None, count }
    }

    pub(crate) fn run(&mut self) {
        let outbound = self.outbound.clone();
        self.running = Some(tokio::spawn(async move { outbound.run().await }));
    }

    /// The process dies at once.
    pub(crate) async fn die(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            let _ = running.await;
        }
    }

    /// The process dies, and another one starts over what was durable.
    pub(crate) async fn restart(&mut self) {
        self.die().await;
        let (network, clock) = (self.world.network.clone(), self.world.clock.clone());
        *self = Self::over(self.engine.clone(), network, clock, self.numbers.clone(), self.count).await;
        self.run();
    }

    /// A server on the network.
    pub(crate) fn peer(&self, name: &str) -> (Peer, SocketAddr) {
        let (peer, name) = (Peer::default(), name.to_owned());
        let (served, serving) = (peer.clone(), name.clone());
        let handler = move |request| -> BoxFuture<'static, Response<Bytes>> {
            Box::pin(served.clone().serve(serving.clone(), request))
        };
        let address = self.world.network.serve(&name, 8448, Arc::new(handler));
        (peer, address)
    }

    /// A room with some servers in it from the beginning.
    pub(crate) async fn room(&self, room: u64, servers: &[&str]) -> OwnedRoomId {
        let room_id = RoomId::parse(format!("!r{room}:alice.example")).unwrap();
        let mut batch = Batch::new();
        let row = RoomRow { version: "11".to_owned(), create: EventNumber(0) };
        batch.put(&ROOMS, &RoomNumber(room), &row);
        batch.put(&ROOM_IDS, &RoomNumber(room), &room_id);
        batch.put(&ROOM_NUMBERS, &room_id, &RoomNumber(room));
        for name in servers {
            let row = RoomServerRow { joined: 1, since: Position(0) };
            batch.put(&ROOM_SERVERS, &(RoomNumber(room), server(name)), &row);
        }
        put_state(&mut batch, room);
        self.store.commit(batch).await.unwrap();
        room_id
    }

    /// A server leaves a room.
    pub(crate) async fn leave(&self, room: u64, name: &str) {
        let mut batch = Batch::new();
        batch.delete(&ROOM_SERVERS, &(RoomNumber(room), server(name)));
        put_state(&mut batch, room);
        self.store.commit(batch).await.unwrap();
    }

    /// A server comes into a room.
    pub(crate) async fn join(&self, room: u64, name: &str) {
        let (mut batch, key) = (Batch::new(), (RoomNumber(room), server(name)));
        batch.at_position(move |since, writes| {
            writes.put(&ROOM_SERVERS, &key, &RoomServerRow { joined: 1, since });
        });
        put_state(&mut batch, room);
        self.store.commit(batch).await.unwrap();
    }

    /// A tenant says something in a room.
    pub(crate) async fn say(&mut self, tenant: &str, room: u64, body: &str) {
        self.say_to(tenant, room, &[body.to_owned()], &[]).await;
    }

    /// A tenant says several things at once, about users of some servers.
    pub(crate) async fn say_to(&mut self, by: &str, room: u64, bodies: &[String], others: &[&str]) {
        let mut batch = Batch::new();
        let (mut rows, queued_ts) = (Vec::new(), self.world.now_ts());
        for body in bodies {
            self.count += 1;
            let event = EventNumber(self.count);
            batch.put(&EVENTS, &event, &event_row(room, self.authors_ts.unwrap_or(queued_ts)));
            batch.put(&EVENT_JSON, &event, &event_json(by, room, body));
            let others = others.iter().map(|name| server(name)).collect();
            rows.push(OutgoingRow { room: RoomNumber(room), event, queued_ts, others });
        }
        let number = tenant(by).number();
        batch.send_events(number);
        batch.at_position(move |position, writes| {
            for (place, row) in (0..).zip(rows) {
                writes.put(&OUTGOING, &(number, position, place), &row);
            }
        });
        self.store.commit(batch).await.unwrap();
    }

    /// A user of a tenant sends messages to devices of a server, at once.
    pub(crate) async fn message(&self, by: &str, to: &str, ids: &[String]) {
        let (number, to) = (tenant(by).number(), server(to));
        let mut batch = Batch::new();
        batch.send_to(number, to.clone());
        let ids = ids.to_vec();
        batch.at_position(move |position, writes| {
            for (place, id) in (0..).zip(ids) {
                let content = json!({ "message_id": id, "messages": {} }).to_string();
                let row = MessageRow { edu_type: "m.direct_to_device".to_owned(), content };
                writes.put(&OUTGOING_MESSAGES, &(number, to.clone(), position, place), &row);
            }
        });
        self.store.commit(batch).await.unwrap();
    }

    /// The device list of a user of a tenant changes.
    pub(crate) async fn device_list(&self, by: &str, to: &str, user: u64) {
        let (number, to) = (tenant(by).number(), server(to));
        let mut batch = Batch::new();
        batch.send_to(number, to.clone());
        batch.at_position(move |position, writes| {
            writes.put(&OUTGOING_DEVICE_LISTS, &(number, to, UserNumber(user)), &position);
        });
        self.store.commit(batch).await.unwrap();
    }

    /// How many rows a table has.
    pub(crate) async fn rows<K: Key, V: Value>(&self, table: &Table<K, V>) -> usize {
        let snapshot = self.store.snapshot().unwrap();
        snapshot.scan_prefix(table, &(), Order::Ascending, usize::MAX).await.unwrap().len()
    }

    /// How many commits there were since this was last asked.
    pub(crate) fn commits(&self) -> usize {
        self.engine.commits.swap(0, Ordering::Relaxed)
    }
}

/// A room has a state that no room had before.
fn put_state(batch: &mut Batch, room: u64) {
    batch.at_position(move |position, writes| {
        let mut state = [0; 20];
        state[..8].copy_from_slice(&position.0.to_be_bytes());
        let (forward_extremities, last) = (Vec::new(), TimelineIndex(0));
        let row = CurrentStateRow { state, forward_extremities, joined: 1, invited: 0, last };
        writes.put(&CURRENT_STATE, &RoomNumber(room), &row);
    });
}

fn event_row(room: u64, origin_server_ts: i64) -> EventRow {
    EventRow {
        room: RoomNumber(room),
        sender: UserNumber(1),
        state_key: None,
        generation: 1,
        depth: 1,
        origin_server_ts,
        standing: Standing::Accepted,
        timeline: None,
        membership: None,
        transaction: None,
        redacted_by: None,
        state_before: None,
        prev_events: Vec::new(),
        auth_events: Vec::new(),
    }
}

fn event_json(by: &str, room: u64, body: &str) -> String {
    // Members in canonical order; nothing of it is verified by who sends it.
    format!(
        r#"{{"auth_events":[],"content":{{"body":"{body}"}},"depth":1,"hashes":{{"sha256":"{hash}"}},"origin_server_ts":1,"prev_events":[],"room_id":"!r{room}:alice.example","sender":"@u:{by}","signatures":{{}},"type":"m.room.message"}}"#,
        hash = "A".repeat(43),
    )
}

/// Names for several things.
pub(crate) fn names(what: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{what}{number}")).collect()
}
