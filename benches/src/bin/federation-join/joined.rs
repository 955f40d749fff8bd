//! One join, from the request of the user to everything being there.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};

use crate::http::{Call, Outcome, encode, json as parse};
use crate::person::Person;
use crate::process::Server;
use crate::resident::Resident;

/// How long somebody may take until everything is there.
const COMPLETE_SECONDS_MAX: u64 = 600;
/// How often the memory of the server is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What one join took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joined {
    /// Seconds until the user is in the room and has sent a message there.
    pub(crate) usable: f64,
    /// Seconds until all members are told.
    pub(crate) complete: f64,
    /// Bytes of memory at the most, beyond those before the join.
    pub(crate) extra_bytes: f64,
    /// Seconds that processors worked for it.
    pub(crate) processor_seconds: f64,
}

impl Joined {
    /// Has a new user join.
    pub(crate) async fn measure(server: &Server, resident: &Resident) -> Outcome<Self> {
        let joiner = Person::register(&server.http, &server.host, "joiner").await?;
        // What starting left over is done by then.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (before, worked) = (server.process.resident()?.all, worked_seconds(server.process.child.id())?);
        let watched = watched(server, steps(&joiner, server, resident));
        let ((usable, complete), peak) = watched.await?;
        let processor_seconds = worked_seconds(server.process.child.id())? - worked;
        Ok(Joined { usable, complete, extra_bytes: peak - before, processor_seconds })
    }

    pub(crate) fn words(&self) -> String {
        format!(
            "usable after {:.2} s, complete after {:.2} s, {:.0} MB of memory, {:.2} s of processors",
            self.usable,
            self.complete,
            self.extra_bytes / 1e6,
            self.processor_seconds
        )
    }

    pub(crate) fn from_json(figures: &Value) -> Option<Self> {
        let figure = |name: &str| figures.get(name).and_then(Value::as_f64);
        Some(Joined {
            usable: figure("usable_seconds")?,
            complete: figure("complete_seconds")?,
            extra_bytes: figure("extra_memory_bytes")?,
            processor_seconds: figure("processor_seconds")?,
        })
    }

    pub(crate) fn to_json(self) -> Value {
        json!({
            "usable_seconds": self.usable, "complete_seconds": self.complete,
            "extra_memory_bytes": self.extra_bytes, "processor_seconds": self.processor_seconds,
        })
    }
}

/// Joins, says something, and asks who is there until all are told. What that answer itself takes is not counted.
async fn steps(joiner: &Person, server: &Server, resident: &Resident) -> Outcome<(f64, f64)> {
    let room_id = resident.room.room_id.as_str();
    let started = Instant::now();
    joiner.join(room_id, resident.name.as_str()).await?;
    joiner.send(room_id, "hello").await?;
    let usable = started.elapsed().as_secs_f64();
    let expected = resident.room.members().len() + 1;
    while started.elapsed() < Duration::from_secs(COMPLETE_SECONDS_MAX) {
        // Who cannot say yet may fail, or take too long.
        if told(joiner, server, room_id).await.is_ok_and(|told| told == expected) {
            let complete = started.elapsed().as_secs_f64();
            let again = Instant::now();
            told(joiner, server, room_id).await?;
            return Ok((usable, (complete - again.elapsed().as_secs_f64()).max(usable)));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(format!("{}: {expected} members were not told in {COMPLETE_SECONDS_MAX} s", server.name))
}

/// How many members are told.
async fn told(joiner: &Person, server: &Server, room_id: &str) -> Outcome<usize> {
    let path = format!("/_matrix/client/v3/rooms/{}/joined_members", encode(room_id));
    let (host, token) = (&*server.host, Some(&*joiner.token));
    let call = Call { method: Method::GET, host, path: &path, token, body: None };
    let answer = parse(&server.http.send(call).await?)?;
    Ok(answer.get("joined").and_then(Value::as_object).map_or(0, serde_json::Map::len))
}

/// How many seconds the processors worked for a process, threads that have ended included; in hundredths.
pub(crate) fn worked_seconds(process: u32) -> Outcome<f64> {
    let file = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    // What follows the name of the program, which may hold anything.
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks: Vec<f64> =
        after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse().ok()).collect();
    match ticks.as_slice() {
        [user, system] => Ok((user + system) / 100.0),
        _ => Err(format!("{file} reads `{text}`")),
    }
}

/// Does something, and watches how much memory the server takes meanwhile at the most.
async fn watched<T>(server: &Server, doing: impl Future<Output = Outcome<T>>) -> Outcome<(T, f64)> {
    let mut doing = Box::pin(doing);
    let mut peak: f64 = 0.0;
    loop {
        tokio::select! {
            done = &mut doing => return Ok((done?, peak)),
            () = tokio::time::sleep(LOOK_EVERY) => peak = peak.max(server.process.resident()?.all),
        }
    }
}
