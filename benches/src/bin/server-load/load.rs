//! The load that every server gets: accounts, rooms, messages, and people who wait for them.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::disk;
use crate::http::Outcome;
use crate::latency;
use crate::metrics::Syncs;
use crate::pace::{Bound, Paced, closed};
use crate::person::Person;
use crate::process::{Resident, Server};

/// How much load.
#[derive(Clone, Copy)]
pub(crate) struct Amounts {
    pub(crate) registrations: Bound,
    pub(crate) rooms: Bound,
    /// How many people send at once, each in a room of his own.
    pub(crate) senders: usize,
    pub(crate) events: Bound,
    /// How many pairs of people talk while delivery is measured, and for how many seconds.
    pub(crate) pairs: usize,
    pub(crate) latency_seconds: u64,
    pub(crate) syncs: usize,
}

impl Amounts {
    pub(crate) const FULL: Amounts = Amounts {
        registrations: Bound { count: 60, seconds: 40 },
        rooms: Bound { count: 500, seconds: 20 },
        senders: 50,
        events: Bound { count: usize::MAX, seconds: 10 },
        pairs: 5,
        latency_seconds: 20,
        syncs: 50,
    };
    pub(crate) const SMOKE: Amounts = Amounts {
        registrations: Bound { count: 10, seconds: 10 },
        rooms: Bound { count: 20, seconds: 5 },
        senders: 5,
        events: Bound { count: 200, seconds: 2 },
        pairs: 2,
        latency_seconds: 2,
        syncs: 5,
    };
}

/// A figure, or why there is none.
pub(crate) type Figure<T> = Outcome<T>;

/// What a server did.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) started_in: f64,
    pub(crate) idle: Figure<Resident>,
    pub(crate) registrations: Figure<Paced>,
    pub(crate) rooms: Figure<Paced>,
    pub(crate) events: Figure<Paced>,
    pub(crate) delivery: Figure<Paced>,
    pub(crate) initial_sync: Figure<InitialSync>,
    pub(crate) incremental_sync: Figure<Paced>,
    /// The same syncs as the server measured them, from the request's head to the answer's.
    pub(crate) incremental_inside: Figure<Paced>,
    /// One write with a sync, on the disk of the servers, while nothing else is asked of them.
    pub(crate) disk: Figure<Paced>,
    pub(crate) after: Figure<Resident>,
}

/// The first sync of somebody who is in many rooms.
#[derive(Clone)]
pub(crate) struct InitialSync {
    pub(crate) rooms: usize,
    pub(crate) paced: Paced,
}

/// How many requests are under way at once where a rate is measured for one tenant.
const AT_ONCE: usize = 16;
/// Before resident memory is read, the server has this long to settle.
const SETTLE_SECONDS: u64 = 2;

/// Measures a server that was just started.
pub(crate) async fn run(server: &Server, folder: &Path, amounts: Amounts) -> Load {
    settle().await;
    let idle = server.process.resident();
    let (registrations, people) = both(register(server, amounts.registrations).await);
    let no_people = || "nobody could be registered".to_owned();
    let people = people.ok().filter(|people| people.len() > 1).ok_or_else(no_people);
    let mut load = Load {
        name: server.name,
        started_in: server.started_in,
        idle,
        registrations,
        rooms: Err(no_people()),
        events: Err(no_people()),
        delivery: Err(no_people()),
        initial_sync: Err(no_people()),
        incremental_sync: Err(no_people()),
        incremental_inside: Err(no_people()),
        disk: Err(no_people()),
        after: Err(no_people()),
    };
    if let Ok(people) = people {
        load.measure((server, folder), people, amounts).await;
    }
    load
}

async fn settle() {
    tokio::time::sleep(std::time::Duration::from_secs(SETTLE_SECONDS)).await;
}

impl Load {
    async fn measure(
        &mut self,
        (server, folder): (&Server, &Path),
        mut people: Vec<Person>,
        amounts: Amounts,
    ) {
        let Some(collector) = people.pop() else { return };
        self.log("rooms");
        let (rooms, room_ids) = both(create_rooms(&collector, amounts.rooms).await);
        self.rooms = rooms;
        self.log("events");
        let senders = people.iter().take(amounts.senders).cloned().collect();
        self.events = send_events(senders, amounts.events).await;
        self.log("delivery");
        self.disk = disk::write_and_sync(folder);
        self.delivery = latency::delivery(&people, amounts.pairs, amounts.latency_seconds).await;
        self.log("syncs");
        match room_ids {
            Ok(room_ids) => {
                self.initial_sync = initial_sync(&collector, room_ids.len()).await;
                let incremental = incremental_sync(server, &collector, &room_ids, amounts.syncs).await;
                let (outside, inside) = both(incremental);
                (self.incremental_sync, self.incremental_inside) = (outside, inside.flatten());
            }
            Err(reason) => {
                self.initial_sync = Err(reason.clone());
                self.incremental_sync = Err(reason);
            }
        }
        settle().await;
        self.after = server.process.resident();
    }

    fn log(&self, what: &str) {
        eprintln!("{}: {what}", self.name);
    }

    pub(crate) fn to_json(&self) -> Value {
        let paced = |figure: &Figure<Paced>| shown(figure.as_ref().map(Paced::to_json));
        let bytes = |figure: &Figure<Resident>| shown(figure.as_ref().map(|resident| json!(resident.all)));
        let initial = self.initial_sync.as_ref();
        json!({
            "server": self.name,
            "started_in_seconds": self.started_in,
            "idle_resident_bytes": bytes(&self.idle),
            "registrations": paced(&self.registrations),
            "room_creations": paced(&self.rooms),
            "events_sent": paced(&self.events),
            "delivery": paced(&self.delivery),
            "initial_sync": shown(initial.map(|sync| json!({"rooms": sync.rooms, "times": sync.paced.to_json()}))),
            "incremental_sync": paced(&self.incremental_sync),
            "incremental_sync_inside": paced(&self.incremental_inside),
            "disk_write_and_sync": paced(&self.disk),
            "resident_bytes_after": bytes(&self.after),
        })
    }
}

fn shown(figure: Result<Value, &String>) -> Value {
    figure.unwrap_or_else(|reason| json!({"failed": reason}))
}

fn both<A, B>(outcome: Outcome<(A, B)>) -> (Figure<A>, Figure<B>) {
    match outcome {
        Ok((a, b)) => (Ok(a), Ok(b)),
        Err(reason) => (Err(reason.clone()), Err(reason)),
    }
}

async fn register(server: &Server, bound: Bound) -> Outcome<(Paced, Vec<Person>)> {
    eprintln!("{}: registrations", server.name);
    let (http, host) = (server.http.clone(), server.host.clone());
    closed(8, bound, move |_, number| {
        let (http, host) = (http.clone(), host.clone());
        async move { Person::register(&http, &host, &format!("person{number:04}")).await }
    })
    .await
}

async fn create_rooms(collector: &Person, bound: Bound) -> Outcome<(Paced, Vec<String>)> {
    let collector = collector.clone();
    let rooms = closed(AT_ONCE, bound, move |_, _| {
        let collector = collector.clone();
        async move { collector.create_room("private_chat").await }
    });
    let (paced, mut room_ids) = rooms.await?;
    let made = room_ids.len();
    room_ids.sort();
    room_ids.dedup();
    if room_ids.len() == made { Ok((paced, room_ids)) } else { Err("a room id was given twice".into()) }
}

/// Everybody sends in a room of his own, one message after the other.
async fn send_events(senders: Vec<Person>, bound: Bound) -> Figure<Paced> {
    let count = senders.len();
    let creators = senders.clone();
    let create = closed(8, Bound { count, seconds: 60 }, move |_, number| {
        let creator = creators.get(number).cloned();
        async move {
            let creator = creator.ok_or("nobody to make a room")?;
            let room_id = creator.create_room("private_chat").await?;
            Ok((creator, room_id))
        }
    });
    let (_, rooms) = create.await?;
    if rooms.len() < count {
        return Err(format!("only {} of {count} rooms could be made in the time", rooms.len()));
    }
    let rooms = Arc::new(rooms);
    let send = closed(count, bound, move |worker, number| {
        let rooms = Arc::clone(&rooms);
        async move {
            let (sender, room_id) = rooms.get(worker).ok_or("nobody to send")?;
            sender.send(room_id, &format!("message {number}")).await
        }
    });
    let (paced, mut event_ids) = send.await?;
    let sent = event_ids.len();
    event_ids.sort();
    event_ids.dedup();
    if event_ids.len() == sent { Ok(paced) } else { Err("an event id was given twice".into()) }
}

/// How often an initial sync is made: the median counts.
const INITIAL_SYNCS: u64 = 3;

async fn initial_sync(person: &Person, rooms: usize) -> Figure<InitialSync> {
    let mut times = Vec::new();
    for attempt in 1..=INITIAL_SYNCS {
        // It waits for nothing in any case; another timeout makes it another request, which Synapse has no answer to in
        // its cache of responses.
        let synced = person.sync(None, attempt).await?;
        if synced.rooms() != rooms {
            return Err(format!("the initial sync has {} rooms, not {rooms}", synced.rooms()));
        }
        times.push(synced.seconds);
    }
    Ok(InitialSync { rooms, paced: all_of(times) })
}

/// One message in one of the rooms, and a sync that brings it.
async fn incremental_sync(
    server: &Server,
    person: &Person,
    room_ids: &[String],
    syncs: usize,
) -> Outcome<(Paced, Figure<Paced>)> {
    let mut since = person.sync(None, 0).await?.next_batch;
    let (mut times, mut inside) = (Vec::new(), Vec::new());
    for number in 0..syncs {
        let room_id = room_ids.get(number * 7 % room_ids.len().max(1)).ok_or("there are no rooms")?;
        let body = format!("news {number}");
        person.send(room_id, &body).await?;
        let before = inside_of(server).await?;
        let synced = person.sync(Some(&since), 0).await?;
        if let Some((before, after)) = before.zip(inside_of(server).await?) {
            inside.push(one_sync(before, after)?);
        }
        if synced.rooms() != 1 || synced.messages(room_id) != [body.as_str()] {
            return Err(format!("an incremental sync has {} rooms and not the one message", synced.rooms()));
        }
        times.push(synced.seconds);
        since = synced.next_batch;
    }
    let inside = match inside.len() {
        0 => Err("only ours says how long it took".into()),
        _ => Ok(all_of(inside)),
    };
    Ok((all_of(times), inside))
}

fn all_of(times: Vec<f64>) -> Paced {
    let all = times.iter().sum();
    Paced::new(times, all)
}

async fn inside_of(server: &Server) -> Outcome<Option<Syncs>> {
    match &server.metrics {
        Some(metrics) => metrics.syncs().await.map(Some),
        None => Ok(None),
    }
}

/// The seconds of the one sync between two looks.
fn one_sync(before: Syncs, after: Syncs) -> Outcome<f64> {
    let count = after.count - before.count;
    if (count - 1.0).abs() < 0.5 {
        Ok(after.seconds - before.seconds)
    } else {
        Err(format!("the server counts {count} syncs in place of one"))
    }
}
