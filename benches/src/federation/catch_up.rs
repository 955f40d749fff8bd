//! What was missed in an hour away: other servers are asked in every room, and what they have is received.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use freehold_event::Pdu;
use freehold_federation::{Asking, Fetching, MissingQuery, NoAnswer, StateIds, WholeState};
use freehold_rooms::{Between, Rooms};
use freehold_signing::{KeySource, Signature, WantedKey};
use freehold_store::{BoxFuture, Order};
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, RoomId};

use super::Run;
use super::api::ingest;
use super::foreign::{Elsewhere, Made};
use super::ground::{Ground, KnownKeys, failed, runtime, server};
use super::limit::{CORES, SIGNED_BYTES, Signatures};
use crate::rows::{Outcome, Row, Target, Unit};

/// Servers in whose rooms we are.
const ORIGINS: usize = 20;
/// How long each question takes.
const ROUND_TRIP: Duration = Duration::from_millis(1);

/// The rows about what was missed.
pub(crate) fn rows(run: &Run) -> Vec<Row<'static>> {
    let measured = runtime().and_then(|runtime| runtime.block_on(measure(run)));
    let figure = |of: fn(&Figures) -> f64| measured.as_ref().map(of).map_err(Clone::clone);
    let row =
        |what, unit, ours, peers, target| Row { what, unit, ours, peers, target, reason: String::new() };
    vec![
        row(
            "catch-up of 10,000 events in 200 rooms after an hour away; limit: their signatures alone on two cores",
            Unit::Seconds,
            figure(|figures| figures.seconds),
            vec![figure(|figures| figures.limit)],
            Target::TimesAtMost(5.0),
        ),
        row(
            "catch-up: rooms in which something is missing or not in order",
            Unit::Count,
            figure(|figures| figures.wrong),
            Vec::new(),
            Target::AtMost(0.0),
        ),
    ]
}

struct Figures {
    seconds: f64,
    limit: f64,
    wrong: f64,
}

async fn measure(run: &Run) -> Outcome<Figures> {
    let (rooms, events) = (run.amount(200, 3), 50);
    let ground = Ground::new(&run.folder("catch-up")?, 1).await?;
    let origins: Vec<OwnedServerName> =
        (0..ORIGINS).map(|number| server(&format!("origin{number}.example"))).collect();
    let keys = KnownKeys::of(origins.iter().map(|origin| &**origin));
    let host = ground.actor("@host:t1.example").await?;
    let mut missed = BTreeMap::new();
    for origin in origins.iter().cycle().take(rooms) {
        let room_id = ground.public_room(&host).await?;
        let mut room = Elsewhere::of(&ground.rooms, &room_id).await?;
        let member = room.join(&ground.rooms, &keys, &format!("@speaker:{origin}")).await?;
        let mut said: Vec<Made> = Vec::with_capacity(events);
        for number in 0..events {
            let after = said.last().map_or(&room.head, |last| &last.event_id).clone();
            let depth = room.depth + 1 + number as i64;
            said.push(room.message(&member, (&format!("said meanwhile {number}"), depth), &[after])?);
        }
        missed.insert(room_id, said);
    }
    let signatures = Signatures::of_length(SIGNED_BYTES);
    let time = run.amount(Duration::from_millis(300), Duration::from_millis(1));
    let before = signatures.per_second(CORES, time);
    let others = Arc::new(Others { missed, keys });
    let ingest = ingest(&ground, Arc::clone(&others) as Arc<dyn Fetching>);
    let started = Instant::now();
    let caught_up = ingest.catch_up().await;
    let seconds = started.elapsed().as_secs_f64();
    let per_second = (before + signatures.per_second(CORES, time)) / 2.0;
    if caught_up.missed != rooms {
        return Err(format!("{caught_up:?} in {rooms} rooms"));
    }
    let mut wrong = 0.0;
    for (room_id, said) in &others.missed {
        wrong += if ends_with(&ground.rooms, room_id, said).await? { 0.0 } else { 1.0 };
    }
    Ok(Figures { seconds, limit: (rooms * events) as f64 / per_second, wrong })
}

/// Whether the timeline of a room ends with just these events in their order.
async fn ends_with(rooms: &Rooms, room_id: &RoomId, said: &[Made]) -> Outcome<bool> {
    let wrong = failed("read a room");
    let reader = rooms.reader().map_err(|error| wrong(&error))?;
    let number = reader.room_number(room_id).await.map_err(|error| wrong(&error))?.ok_or("no such room")?;
    let last = reader.timeline(number, Between::ALL, Order::Descending, said.len()).await;
    let last: Vec<_> =
        last.map_err(|error| wrong(&error))?.into_iter().rev().map(|(_, event)| event).collect();
    let events = reader.events(&last).await.map_err(|error| wrong(&error))?;
    Ok(events.iter().map(|event| event.pdu.event_id()).eq(said.iter().map(|made| &*made.event_id)))
}

/// The other servers, which know what was missed.
struct Others {
    missed: BTreeMap<OwnedRoomId, Vec<Made>>,
    keys: KnownKeys,
}

impl Others {
    /// An answer, after its time.
    fn answer<'a, T: Send + 'a>(
        &'a self,
        room_id: &RoomId,
        find: impl FnOnce(&[Made]) -> Option<T>,
    ) -> BoxFuture<'a, Result<T, NoAnswer>> {
        let found = self.missed.get(room_id).and_then(|said| find(said));
        Box::pin(async move {
            tokio::time::sleep(ROUND_TRIP).await;
            found.ok_or(NoAnswer::Useless("no such thing"))
        })
    }
}

impl Fetching for Others {
    fn keys<'a>(&'a self, _: &'a [WantedKey]) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>> {
        let keys: Box<dyn KeySource + Send + Sync> = Box::new(self.keys.clone());
        Box::pin(std::future::ready(keys))
    }

    fn missing_events<'a>(
        &'a self,
        asking: Asking<'a>,
        query: &'a MissingQuery,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>> {
        self.answer(asking.room_id, |said| {
            let is_latest = |made: &Made| query.latest_events.contains(&made.event_id);
            let end = said.iter().position(is_latest)?;
            let start = end.saturating_sub(query.limit);
            Some(said.get(start..end)?.iter().map(|made| made.text.clone()).collect())
        })
    }

    fn event<'a>(
        &'a self,
        asking: Asking<'a>,
        event_id: &'a EventId,
    ) -> BoxFuture<'a, Result<String, NoAnswer>> {
        self.answer(asking.room_id, |said| {
            Some(said.iter().find(|made| made.event_id == event_id)?.text.clone())
        })
    }

    fn last_event<'a>(&'a self, asking: Asking<'a>, _: i64) -> BoxFuture<'a, Result<OwnedEventId, NoAnswer>> {
        self.answer(asking.room_id, |said| Some(said.last()?.event_id.clone()))
    }

    fn event_auth<'a>(
        &'a self,
        asking: Asking<'a>,
        _: &'a EventId,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>> {
        self.answer(asking.room_id, |_| None)
    }

    fn state_ids<'a>(
        &'a self,
        asking: Asking<'a>,
        _: &'a EventId,
    ) -> BoxFuture<'a, Result<StateIds, NoAnswer>> {
        self.answer(asking.room_id, |_| None)
    }

    fn state<'a>(
        &'a self,
        asking: Asking<'a>,
        _: &'a EventId,
    ) -> BoxFuture<'a, Result<WholeState, NoAnswer>> {
        self.answer(asking.room_id, |_| None)
    }

    fn backfill<'a>(
        &'a self,
        asking: Asking<'a>,
        _: &'a [OwnedEventId],
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>> {
        self.answer(asking.room_id, |_| None)
    }

    fn policy_signature<'a>(
        &'a self,
        asking: Asking<'a>,
        _: &'a Pdu,
    ) -> BoxFuture<'a, Result<Signature, NoAnswer>> {
        self.answer(asking.room_id, |_| None)
    }
}
