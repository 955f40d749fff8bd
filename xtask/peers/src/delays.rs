//! How long a message takes from server to server: sent by a user of one, until the sync of a user of another shows it.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

use crate::{
    certificates::Authority,
    failure::{Failure, Result},
    freehold::Freehold,
    home::Home,
    http::Client,
    synapse::{Setting, Synapse},
    user::{User, string},
};

/// What the run is made of.
pub(crate) struct Run<'a> {
    pub(crate) python: &'a Path,
    pub(crate) freehold: &'a Path,
    pub(crate) folder: &'a Path,
    /// How many messages are timed in each direction.
    pub(crate) messages: usize,
}

/// Messages before those that are timed: connections and keys are there then.
const BEFORE: usize = 5;
/// How long a message may take.
const SECONDS_MAX: u64 = 30;
/// A message is sent when the other side's sync has waited for so long.
const WAITED: Duration = Duration::from_millis(60);

/// Prints the median delays in seconds as JSON, by who sends and who sees.
pub(crate) fn run(run: &Run<'_>) -> Result<()> {
    let authority = Authority::create(run.folder)?;
    let client = Client::trusting(&authority.pem())?;
    let (python, folder) = (run.python, run.folder);
    let setting = Setting { python, folder, authority: &authority, client: &client, presence: false };
    let first = Synapse::start(&setting, "first")?;
    let second = Synapse::start(&setting, "second")?;
    let mut ours = Freehold::start(run.freehold, run.folder, &authority, &client, 1)?;
    let mut other = Freehold::start(run.freehold, &run.folder.join("other"), &authority, &client, 1)?;
    let delays = {
        let (tenant, neighbour) = (ours.tenant(0)?, other.tenant(0)?);
        let mut pairs = [
            ("ours → theirs", Wire::lay(&client, tenant, &first, "out")?, Vec::new()),
            ("theirs → ours", Wire::lay(&client, &first, tenant, "in")?, Vec::new()),
            ("ours → ours", Wire::lay(&client, tenant, neighbour, "alone")?, Vec::new()),
            ("theirs → theirs", Wire::lay(&client, &first, &second, "between")?, Vec::new()),
        ];
        // In turn, so that whatever else the machine does slows all of them.
        for number in 0..BEFORE + run.messages {
            for (_, wire, delays) in &mut pairs {
                let delay = wire.time(&format!("message {number}"))?;
                if number >= BEFORE {
                    delays.push(delay);
                }
            }
        }
        let medians = pairs.into_iter().map(|(name, _, delays)| (name.to_owned(), json!(median(delays))));
        medians.collect::<Map<String, Value>>()
    };
    ours.stop()?;
    other.stop()?;
    println!("{}", Value::Object(delays));
    Ok(())
}

/// Two people in a room, one of whom speaks.
struct Wire {
    speaker: User,
    reader: User,
    room: String,
    since: String,
}

impl Wire {
    fn lay(client: &Client, from: &dyn Home, to: &dyn Home, name: &str) -> Result<Self> {
        let speaker = User::register(client, from, &format!("speaker_{name}"))?;
        let reader = User::register(client, to, &format!("reader_{name}"))?;
        let room = speaker.create_room(&json!({"preset": "public_chat"}))?;
        reader.join(&room, from.server_name())?;
        let since = string(&reader.call("GET", "/sync?timeout=0", None)?, "next_batch")?;
        Ok(Wire { speaker, reader, room, since })
    }

    /// How many seconds a message takes.
    fn time(&mut self, text: &str) -> Result<f64> {
        let (room, speaker) = (self.room.clone(), &self.speaker);
        let (reader, since) = (&self.reader, self.since.clone());
        let (seen, sent) = thread::scope(|scope| {
            let seen = scope.spawn(|| wait(reader, &room, text, since));
            thread::sleep(WAITED);
            let started = Instant::now();
            let sent = speaker.say(&room, text).map(|_| started);
            (seen.join(), sent)
        });
        let (at, since) = seen.map_err(|_| Failure::new("the reader panicked"))??;
        self.since = since;
        Ok(at.duration_since(sent?).as_secs_f64())
    }
}

/// Syncs until a message is shown; gives when, and where to go on.
fn wait(reader: &User, room: &str, text: &str, mut since: String) -> Result<(Instant, String)> {
    let deadline = Instant::now() + Duration::from_secs(SECONDS_MAX);
    while Instant::now() < deadline {
        let answer = reader.call("GET", &format!("/sync?timeout=10000&since={since}"), None)?;
        let at = Instant::now();
        since = string(&answer, "next_batch")?;
        let events = answer.pointer("/rooms/join").and_then(|rooms| rooms.get(room));
        let events = events.and_then(|room| room.pointer("/timeline/events")).and_then(Value::as_array);
        let shows = |event: &Value| event.pointer("/content/body").and_then(Value::as_str) == Some(text);
        if events.is_some_and(|events| events.iter().any(shows)) {
            return Ok((at, since));
        }
    }
    Err(Failure::new(format!("waited {SECONDS_MAX} s for {text}")))
}

fn median(mut delays: Vec<f64>) -> Option<f64> {
    delays.sort_by(f64::total_cmp);
    delays.get(delays.len() / 2).copied()
}
