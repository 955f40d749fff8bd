//! What was said before a server came in: it pages through all of it, and redactions reach it.

use std::collections::BTreeSet;

use serde_json::json;

use super::{
    Pair,
    people::{People, server_of},
    steps::Steps,
};
use crate::failure::{Failure, Result};

pub(super) fn run(pair: &Pair<'_>, events: usize, steps: &mut Steps) {
    steps.run(&format!("{}: who comes late pages through {events} events", pair.direction), || {
        late(pair, events)
    });
    steps.run(&format!("{}: a redaction takes the content on both servers", pair.direction), || {
        redacted(pair)
    });
}

fn late(pair: &Pair<'_>, events: usize) -> Result<()> {
    let People { host: writer, guest: reader } = People::register(pair, "late")?;
    let room = writer.create_room(&json!({"preset": "public_chat"}))?;
    let mut said = Vec::with_capacity(events);
    for number in 0..events {
        said.push(writer.say(&room, &format!("line {number}"))?);
    }
    reader.join(&room, server_of(writer.id())?)?;
    let mut read = reader.all_events(&room)?;
    read.reverse();
    let known: BTreeSet<&String> = said.iter().collect();
    let read: Vec<String> = read.into_iter().filter(|event| known.contains(event)).collect();
    if read == said {
        return Ok(());
    }
    let missing = said.iter().filter(|event| !read.contains(event)).count();
    Err(Failure::new(format!("of {events} events {} were read, {missing} are missing", read.len())))
}

fn redacted(pair: &Pair<'_>) -> Result<()> {
    let people = People::register(pair, "redacting")?;
    let room = people.public_room("regrets")?;
    people.guest_joins(&room)?;
    people.redact(&room)
}
