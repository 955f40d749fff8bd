//! Servers that do not answer any more, beside one that does: what they do to it, and what they cost when nothing happens.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use freehold_canonical_json::{Object, Value};
use freehold_federation::fake::{Network, Trouble, answer};
use freehold_federation::limits::HEALTH_WAIT_MAX_MS;
use freehold_federation::{
    AddressPolicy, Client, ClientParts, Discovery, DiscoveryParts, Health, HealthParts, NoDevices, Outbound,
    OutboundParts, Randomness as _, SystemRandomness, TenantsByNumber, Web,
};
use freehold_rooms::NewEvent;
use freehold_signing::sign_json;
use freehold_store::tables::federation::{HealthRow, SERVER_HEALTH};
use freehold_store::{Actor, Batch, Clock as _, Tenant, TenantNumber};
use ruma_common::{OwnedRoomId, OwnedServerName};
use serde_json::json;

use super::Run;
use super::foreign::Elsewhere;
use super::ground::{Ground, Hosted, KnownKeys, Now, failed, key_id, key_of, runtime, server, signer};
use crate::measure::median;
use crate::rows::{Outcome, Row, Target, Unit};

const LIVE: &str = "live.example";
/// How long a request to the live server takes.
const ROUND_TRIP: Duration = Duration::from_millis(1);
/// How long anything may take to arrive.
const ARRIVE_MAX: Duration = Duration::from_secs(20);

/// The rows about servers that do not answer.
pub(crate) fn rows(run: &Run) -> Vec<Row<'static>> {
    let measured = runtime().and_then(|runtime| {
        let measured = runtime.block_on(measure(run));
        // Requests to servers that hang are not waited for.
        runtime.shutdown_background();
        measured
    });
    let figure = |of: fn(&Figures) -> f64| measured.as_ref().map(of).map_err(Clone::clone);
    let row =
        |what, unit, ours, peers, target| Row { what, unit, ours, peers, target, reason: SCHEDULE.into() };
    vec![
        row(
            "delivery to a live server with 1,000 dead ones in the room, p50; limit: without them",
            Unit::Seconds,
            figure(|figures| figures.beside_dead),
            vec![figure(|figures| figures.alone)],
            Target::TimesAtMost(1.05),
        ),
        row(
            "1,000 servers that died just now: processor time while nothing happens, of one core",
            Unit::Share,
            figure(|figures| figures.idle),
            Vec::new(),
            Target::AtMost(0.01),
        ),
        row(
            "1,000 servers that died a day ago: processor time while nothing happens, of one core",
            Unit::Share,
            idle_beside_long_dead(run),
            Vec::new(),
            Target::AtMost(0.01),
        ),
    ]
}

const SCHEDULE: &str =
    "each is tried again after 5 s, 10 s, 20 s and so on, 12 h at most, each time half as long more or less";

/// Which share of a core is used while nothing happens, with servers that have been dead for a day.
fn idle_beside_long_dead(run: &Run) -> Outcome<f64> {
    let runtime = runtime()?;
    let measured = runtime.block_on(async {
        let ground = Ground::new(&run.folder("long-dead")?, 1).await?;
        let dead = names(run.amount(1000, 20));
        note_failures(&ground, &dead).await?;
        let speaking = Speaking::start(ground, dead).await?;
        speaking.deliver("before").await?;
        tokio::time::sleep(run.amount(Duration::from_secs(5), Duration::from_millis(10))).await;
        Ok(idle(run).await)
    });
    runtime.shutdown_background();
    measured
}

/// Writes down that servers did not answer for a day, with when each is tried next.
async fn note_failures(ground: &Ground, dead: &[OwnedServerName]) -> Outcome<()> {
    let (now_ts, mut batch) = (Now.now_ts(), Batch::new());
    for server in dead {
        let retry_ts = now_ts + SystemRandomness.around(HEALTH_WAIT_MAX_MS);
        let row = HealthRow { since_ts: now_ts - 24 * 3_600_000, failures: 14, retry_ts };
        batch.put(&SERVER_HEALTH, server, &row);
    }
    ground.store.commit(batch).await.map(drop).map_err(|error| failed("write who is ill")(&error))
}

/// The share of a core that is used while nothing happens.
async fn idle(run: &Run) -> f64 {
    let (used, time) = (ProcessTime::now(), run.amount(Duration::from_secs(20), Duration::from_millis(50)));
    tokio::time::sleep(time).await;
    used.elapsed().as_secs_f64() / time.as_secs_f64()
}

fn names(dead: usize) -> Vec<OwnedServerName> {
    (0..dead).map(|number| server(&format!("dead{number}.example"))).collect()
}

struct Figures {
    beside_dead: f64,
    alone: f64,
    idle: f64,
}

async fn measure(run: &Run) -> Outcome<Figures> {
    let alone = Speaking::start(Ground::new(&run.folder("alone")?, 1).await?, Vec::new()).await?;
    let ground = Ground::new(&run.folder("beside-dead")?, 1).await?;
    let beside_dead = Speaking::start(ground, names(run.amount(1000, 20))).await?;
    // The dead are found to be dead first.
    for round in 0..run.amount(5, 1) {
        for speaking in [&alone, &beside_dead] {
            speaking.deliver(&format!("before {round}")).await?;
        }
        tokio::time::sleep(run.amount(Duration::from_secs(1), Duration::from_millis(10))).await;
    }
    let (mut times_alone, mut times_beside) = (Vec::new(), Vec::new());
    for round in 0..run.amount(300, 3) {
        times_alone.push(alone.deliver(&format!("message {round}")).await?);
        times_beside.push(beside_dead.deliver(&format!("message {round}")).await?);
    }
    let idle = idle(run).await;
    let p50 = |times: Vec<f64>| median(times.into_iter());
    Ok(Figures { beside_dead: p50(times_beside), alone: p50(times_alone), idle })
}

/// A tenant's user who speaks in a room with a user of a live server, and with users of dead ones.
struct Speaking {
    ground: Ground,
    host: Actor,
    room_id: OwnedRoomId,
    arrived: std::sync::Mutex<Receiver<(Instant, Vec<u8>)>>,
}

impl Speaking {
    async fn start(ground: Ground, dead: Vec<OwnedServerName>) -> Outcome<Self> {
        let host = ground.actor("@host:t1.example").await?;
        let room_id = ground.public_room(&host).await?;
        let servers: Vec<OwnedServerName> = dead.iter().cloned().chain([server(LIVE)]).collect();
        let keys = KnownKeys::of(servers.iter().map(|server| &**server));
        let mut room = Elsewhere::of(&ground.rooms, &room_id).await?;
        for server in &servers {
            room.join(&ground.rooms, &keys, &format!("@reader:{server}")).await?;
        }
        let network = Network::default();
        let arrived = live(&network);
        bury(&network, &dead);
        let outbound = outbound(&ground, network).await?;
        tokio::spawn(async move { outbound.run().await });
        Ok(Speaking { ground, host, room_id, arrived: arrived.into() })
    }

    /// Sends a message; gives how many seconds later the live server has it.
    async fn deliver(&self, body: &str) -> Outcome<f64> {
        let content = json!({ "msgtype": "m.text", "body": body }).to_string();
        let event = NewEvent {
            event_type: "m.room.message".to_owned(),
            state_key: None,
            content: serde_json::from_str(&content).map_err(|error| error.to_string())?,
            transaction_id: None,
        };
        let started = Instant::now();
        let sent = self.ground.rooms.send(&self.host, &self.room_id, event).await;
        let event_id = sent.map_err(|error| failed("send a message")(&error))?;
        let marker = format!("\"body\":\"{body}\"");
        while started.elapsed() < ARRIVE_MAX {
            {
                let arrived = self.arrived.lock().map_err(|error| error.to_string())?;
                for (at, transaction) in arrived.try_iter() {
                    if String::from_utf8_lossy(&transaction).contains(&marker) {
                        return Ok(at.duration_since(started).as_secs_f64());
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(format!("{event_id} did not arrive in {} s", ARRIVE_MAX.as_secs()))
    }
}

/// Puts the live server on the network; gives the transactions that come to it.
fn live(network: &Network) -> Receiver<(Instant, Vec<u8>)> {
    let (told, arrived) = channel();
    let document = key_document();
    network.serve(
        LIVE,
        8448,
        Arc::new(move |request| {
            let (told, document) = (told.clone(), document.clone());
            Box::pin(async move {
                tokio::time::sleep(ROUND_TRIP).await;
                match request.uri().path() {
                    "/_matrix/key/v2/server" => answer(200, document),
                    path if path.starts_with("/_matrix/federation/v1/send/") => {
                        // Whoever has measured enough does not listen any more.
                        let _ = told.send((Instant::now(), request.into_body().to_vec()));
                        answer(200, r#"{"pdus":{}}"#)
                    }
                    _ => answer(404, r#"{"errcode":"M_UNRECOGNIZED","error":"no such thing"}"#),
                }
            })
        }),
    );
    arrived
}

/// Servers that are dead in every way: their names are gone, nobody listens, nothing ever comes back.
fn bury(network: &Network, dead: &[OwnedServerName]) {
    for (number, server) in dead.iter().enumerate() {
        match number % 4 {
            0 => network.kill_name(server.as_str()),
            1 => {
                let low = u16::try_from(number).unwrap_or_default().to_be_bytes();
                network.address(server.as_str(), &[IpAddr::V4(Ipv4Addr::new(198, 18, low[0], low[1]))]);
            }
            2 => {}
            _ => {
                let address = network.host(server.as_str(), 8448, |_| answer(500, ""));
                network.trouble(address, Trouble::Hangs);
            }
        }
    }
}

fn key_document() -> Vec<u8> {
    let name = server(LIVE);
    let mut keys = Object::new();
    let key = key_of(&name).verifying_key().to_base64();
    keys.insert(key_id().as_str().to_owned(), Object::from_iter([("key", Value::from(key))]));
    let mut document = Object::new();
    document.insert("server_name", Value::from(LIVE.to_owned()));
    document.insert("valid_until_ts", Value::from(Now.now_ts() + 3_600_000));
    document.insert("verify_keys", keys);
    document.insert("old_verify_keys", Object::new());
    sign_json(&mut document, &signer(&name)).expect("a document that can be signed");
    document.to_canonical_vec()
}

async fn outbound(ground: &Ground, network: Network) -> Outcome<Outbound> {
    let (clock, randomness) = (Arc::new(Now), Arc::new(SystemRandomness));
    let parts =
        HealthParts { store: ground.store.clone(), clock: clock.clone(), randomness: randomness.clone() };
    let health = Health::open(parts).await.map_err(|error| failed("read who is well")(&error))?;
    let web = Web::new(Arc::new(network), AddressPolicy::default());
    let discovery =
        Discovery::new(DiscoveryParts { web, clock: clock.clone(), randomness: randomness.clone() });
    let client = Client::new(ClientParts {
        discovery,
        identities: Arc::new(ground.hosted),
        health,
        clock: clock.clone(),
    });
    let outbound = Outbound::open(OutboundParts {
        client,
        rooms: ground.rooms.clone(),
        store: ground.store.clone(),
        identities: Arc::new(ground.hosted),
        tenants: Arc::new(ground.hosted),
        devices: Arc::new(NoDevices),
        clock,
        randomness,
    });
    outbound.await.map_err(|error| failed("read what is to be sent")(&error))
}

impl TenantsByNumber for Hosted {
    fn tenant(&self, number: TenantNumber) -> Option<Tenant> {
        (1..=self.0).contains(&number.0).then(|| Hosted::number(number.0))
    }
}
