//! Events of one busy room, brought by several servers at once in signed transactions of 50, on their whole way in; and the
//! same events again, for further tenants of the process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cpu_time::{ProcessTime, ThreadTime};
use freehold_rooms::Entry;
use ruma_common::{OwnedEventId, OwnedServerName, RoomId};
use tokio::sync::watch;

use super::Run;
use super::api::{Api, Sent};
use super::foreign::{Elsewhere, Made, Member};
use super::ground::{Ground, Hosted, KnownKeys, failed, runtime, server};
use super::limit::{CORES, SIGNED_BYTES, Signatures};
use crate::measure::median;
use crate::rows::{Outcome, Row, Target, Unit};

/// Servers that speak at the same time.
const ORIGINS: usize = 8;
/// Events of a transaction.
const EVENTS: usize = 50;
/// A server has seen what another one said so many transactions ago.
const BEHIND: usize = 3;

/// The rows about events that come in.
pub(crate) fn rows(run: &Run) -> Vec<Row<'static>> {
    let measured = runtime().and_then(|runtime| runtime.block_on(Busy::measure(run)));
    let (inbound, further) = match measured {
        Ok(busy) => {
            let further = busy.further_tenants(run);
            (Ok(busy.figures), further)
        }
        Err(reason) => (Err(reason.clone()), Err(reason)),
    };
    let figure = |of: fn(&Figures) -> f64| inbound.as_ref().map(of).map_err(Clone::clone);
    let again = |of: fn(&Further) -> f64| further.as_ref().map(of).map_err(Clone::clone);
    let row =
        |what, unit, ours, target| Row { what, unit, ours, peers: Vec::new(), target, reason: String::new() };
    vec![
        Row {
            peers: vec![figure(|figures| figures.limit)],
            reason: "what else an event costs is in the next row".into(),
            ..row(
                "inbound events of one busy room, all checks, durable; limit: signatures alone on two cores",
                Unit::PerSecond,
                figure(|figures| figures.limit * figures.share),
                Target::TimesAtLeast(0.6),
            )
        },
        row(
            "the same, processor time of an event in verifications of one signature",
            Unit::Times,
            figure(|figures| figures.verifications),
            Target::None,
        ),
        row(
            "the same event for further tenants, on one core",
            Unit::PerSecond,
            again(|further| further.per_second),
            Target::AtLeast(50_000.0),
        ),
        row(
            "the same event for further tenants: writes to the disk",
            Unit::Count,
            again(|further| further.commits),
            Target::AtMost(0.0),
        ),
    ]
}

/// What was measured of events that come for the first time.
struct Figures {
    /// Signatures in a second.
    limit: f64,
    /// Events for each signature that could have been verified: the median over the rounds.
    share: f64,
    /// Processor time of an event, in verifications.
    verifications: f64,
}

/// What was measured of events that come again.
struct Further {
    per_second: f64,
    commits: f64,
}

/// A room in which several servers speak at the same time.
struct Busy {
    ground: Ground,
    api: Arc<Api>,
    origins: Vec<OwnedServerName>,
    /// The transactions, by round and origin.
    rounds: Vec<Vec<Vec<Made>>>,
    figures: Figures,
}

impl Busy {
    async fn measure(run: &Run) -> Outcome<Self> {
        let tenants = run.amount(10, 2);
        let ground = Ground::new(&run.folder("inbound")?, tenants).await?;
        let origins: Vec<OwnedServerName> =
            (0..ORIGINS).map(|number| server(&format!("origin{number}.example"))).collect();
        let keys = KnownKeys::of(origins.iter().map(|origin| &**origin));
        let host = ground.actor("@host:t1.example").await?;
        let room_id = ground.public_room(&host).await?;
        for number in 2..=tenants {
            enter(&ground, number, &room_id).await?;
        }
        let mut room = Elsewhere::of(&ground.rooms, &room_id).await?;
        let mut members = Vec::new();
        for origin in &origins {
            members.push(room.join(&ground.rooms, &keys, &format!("@speaker:{origin}")).await?);
        }
        let parts = run.amount(5, 1);
        let rounds = said(&room, &members, run.amount(50, 1))?;
        let api = Arc::new(Api::over(&ground, &keys));
        let signatures = Signatures::of_length(SIGNED_BYTES);
        let time = run.amount(Duration::from_millis(300), Duration::from_millis(1));
        let (mut shares, mut limits, mut costs) = (Vec::new(), Vec::new(), Vec::new());
        for (part, rounds) in rounds.chunks(rounds.len().div_ceil(parts)).enumerate() {
            let transactions = signed(&origins, (part, rounds))?;
            let before = signatures.per_second(CORES, time);
            let (started, used) = (Instant::now(), ProcessTime::now());
            send_all(&api, transactions).await?;
            let (seconds, used) = (started.elapsed().as_secs_f64(), used.elapsed().as_secs_f64());
            let limit = (before + signatures.per_second(CORES, time)) / 2.0;
            let events = (rounds.len() * ORIGINS * EVENTS) as f64;
            shares.push(events / seconds / limit);
            costs.push(used / events / signatures.core_seconds(run.amount(50, 1)));
            limits.push(limit);
        }
        let median = |values: Vec<f64>| median(values.into_iter());
        let figures = Figures { limit: median(limits), share: median(shares), verifications: median(costs) };
        Ok(Busy { ground, api, origins, rounds, figures })
    }

    /// The last events again, for all other tenants, on one thread.
    fn further_tenants(&self, run: &Run) -> Outcome<Further> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let last = self.rounds.len().saturating_sub(run.amount(10, 1));
        let (mut sent, mut events) = (Vec::new(), 0);
        for number in 2..=self.ground.hosted.0 {
            let tenant = Hosted::number(number);
            for (round, transactions) in self.rounds.iter().enumerate().skip(last) {
                for (origin, made) in self.origins.iter().zip(transactions) {
                    let texts: Vec<&str> = made.iter().map(|made| made.text.as_str()).collect();
                    events += texts.len();
                    sent.push(Sent::of(origin, &tenant, (&format!("again{round}"), &texts))?);
                }
            }
        }
        let (before, started) = (self.ground.commits(), ThreadTime::now());
        runtime.block_on(async {
            for transaction in sent {
                self.api.accepts(transaction).await?;
            }
            Ok::<(), String>(())
        })?;
        let seconds = started.elapsed().as_secs_f64();
        let commits = self.ground.commits() - before;
        Ok(Further { per_second: events as f64 / seconds, commits: commits as f64 })
    }
}

/// Somebody of a tenant enters a room that its neighbours are in.
async fn enter(ground: &Ground, number: u32, room_id: &RoomId) -> Outcome<()> {
    let guest = ground.actor(&format!("@guest:t{number}.example")).await?;
    let entry = Entry { room: room_id.to_owned().into(), via: vec![server("t1.example")], reason: None };
    let entered = ground.rooms.join(&guest, entry).await;
    entered.map(drop).map_err(|error| failed("join a room")(&error))
}

/// What all say: in each round, everybody one transaction, whose events follow each other, and the first of which also
/// follows what another one said some rounds before.
fn said(room: &Elsewhere, members: &[Member], rounds: usize) -> Outcome<Vec<Vec<Vec<Made>>>> {
    let mut all: Vec<Vec<Vec<Made>>> = Vec::with_capacity(rounds);
    let last = |all: &[Vec<Vec<Made>>], round: usize, origin: usize| -> Option<OwnedEventId> {
        Some(all.get(round)?.get(origin)?.last()?.event_id.clone())
    };
    for round in 0..rounds {
        let mut transactions = Vec::with_capacity(members.len());
        for (origin, member) in members.iter().enumerate() {
            let own = round.checked_sub(1).and_then(|before| last(&all, before, origin));
            let others = (origin + 1) % members.len();
            let heard = round.checked_sub(BEHIND).and_then(|before| last(&all, before, others));
            let mut after: Vec<OwnedEventId> = own.into_iter().chain(heard).collect();
            if after.is_empty() {
                after.push(room.head.clone());
            }
            let mut transaction: Vec<Made> = Vec::with_capacity(EVENTS);
            for number in 0..EVENTS {
                let depth = room.depth + 1 + (round * EVENTS + number) as i64;
                let body =
                    format!("message {number} of round {round}: so much to say, and so little time for it");
                let made = room.message(member, (&body, depth), &after)?;
                after = vec![made.event_id.clone()];
                transaction.push(made);
            }
            transactions.push(transaction);
        }
        all.push(transactions);
    }
    Ok(all)
}

/// The transactions of each origin, for the first tenant.
fn signed(
    origins: &[OwnedServerName],
    (part, rounds): (usize, &[Vec<Vec<Made>>]),
) -> Outcome<Vec<Vec<Sent>>> {
    let tenant = Hosted::number(1);
    let mut all = Vec::with_capacity(origins.len());
    for (number, origin) in origins.iter().enumerate() {
        let mut sent = Vec::with_capacity(rounds.len());
        for (round, transactions) in rounds.iter().enumerate() {
            let made = transactions.get(number).map(Vec::as_slice).unwrap_or_default();
            let texts: Vec<&str> = made.iter().map(|made| made.text.as_str()).collect();
            sent.push(Sent::of(origin, &tenant, (&format!("{part}-{round}"), &texts))?);
        }
        all.push(sent);
    }
    Ok(all)
}

/// Each origin sends its transactions one after the other, and is never ahead of what it has heard of the others.
async fn send_all(api: &Arc<Api>, transactions: Vec<Vec<Sent>>) -> Outcome<()> {
    let (told, heard): (Vec<_>, Vec<_>) = transactions.iter().map(|_| watch::channel(0)).unzip();
    let mut tasks = Vec::with_capacity(transactions.len());
    for (origin, (sent, told)) in transactions.into_iter().zip(told).enumerate() {
        let api = Arc::clone(api);
        let mut other = heard.get((origin + 1) % heard.len()).ok_or("an origin without others")?.clone();
        tasks.push(tokio::spawn(async move {
            for (round, transaction) in sent.into_iter().enumerate() {
                let needed = (round + 1).saturating_sub(BEHIND);
                let seen = other.wait_for(|done| *done >= needed).await;
                seen.map(drop).map_err(|_| "another origin failed".to_owned())?;
                api.accepts(transaction).await?;
                told.send_replace(round + 1);
            }
            Ok::<(), String>(())
        }));
    }
    for task in tasks {
        task.await.map_err(|error| error.to_string())??;
    }
    Ok(())
}
