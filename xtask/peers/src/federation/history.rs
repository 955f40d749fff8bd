//! What was said before a server came in: it pages through all of it, and redactions reach it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Pair, membership::server_of, steps::Steps};
use crate::{
    failure::{Failure, Result},
    home::Home,
    user::{User, escaped, until},
};

const PAGES_MAX: usize = 200;

pub(super) fn run(pair: &Pair<'_>, events: usize, steps: &mut Steps) {
    steps.run(&format!("{}: who comes late pages through {events} events", pair.direction), || {
        late(pair, events)
    });
    steps.run(&format!("{}: a redaction takes the content on both servers", pair.direction), || {
        redacted(pair)
    });
}

fn people(pair: &Pair<'_>, role: &str) -> Result<(User, User)> {
    let suffix = if pair.direction.starts_with("ours") { "o" } else { "t" };
    let register =
        |server: &dyn Home, name: &str| User::register(pair.client, server, &format!("{role}{name}{suffix}"));
    Ok((register(pair.first, "writer")?, register(pair.second, "reader")?))
}

fn late(pair: &Pair<'_>, events: usize) -> Result<()> {
    let (writer, reader) = people(pair, "late")?;
    let room = writer.create_room(&json!({"preset": "public_chat"}))?;
    let mut said = Vec::with_capacity(events);
    for number in 0..events {
        said.push(writer.say(&room, &format!("line {number}"))?);
    }
    reader.join(&room, server_of(writer.id())?)?;
    let mut read = page_back(&reader, &room)?;
    read.reverse();
    let known: BTreeSet<&String> = said.iter().collect();
    let read: Vec<String> = read.into_iter().filter(|event| known.contains(event)).collect();
    if read == said {
        return Ok(());
    }
    let missing = said.iter().filter(|event| !read.contains(event)).count();
    Err(Failure::new(format!("of {events} events {} were read, {missing} are missing", read.len())))
}

/// The ids of all events of a room, newest first.
fn page_back(reader: &User, room: &str) -> Result<Vec<String>> {
    let mut read = Vec::new();
    let mut from = String::new();
    for _ in 0..PAGES_MAX {
        let path = format!("/rooms/{}/messages?dir=b&limit=100{from}", escaped(room));
        let page = reader.call("GET", &path, None)?;
        let chunk = page.get("chunk").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let ids = chunk.iter().filter_map(|event| event.get("event_id").and_then(Value::as_str));
        read.extend(ids.map(str::to_owned));
        match page.get("end").and_then(Value::as_str) {
            Some(end) => from = format!("&from={}", escaped(end)),
            None => return Ok(read),
        }
    }
    Err(Failure::new(format!("the history did not end within {PAGES_MAX} pages")))
}

fn redacted(pair: &Pair<'_>) -> Result<()> {
    let (writer, reader) = people(pair, "redacting")?;
    let room = writer.create_room(&json!({"preset": "public_chat"}))?;
    reader.join(&room, server_of(writer.id())?)?;
    for (author, other) in [(&writer, &reader), (&reader, &writer)] {
        let event = author.say(&room, "regretted")?;
        until("the message", || other.sees(&room, &event))?;
        author.redact(&room, &event)?;
        until("the redaction", || {
            other.event(&room, &event).is_ok_and(|event| !event.to_string().contains("regretted"))
        })?;
    }
    Ok(())
}
