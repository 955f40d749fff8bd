//! `roomlab minimise`: delta debugging of rooms.

mod ddmin;
mod predicate;
mod relink;

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::cli::{Algorithm, MinimiseArgs};
use crate::failure::Failure;
use crate::minimise::predicate::Target;
use crate::output::{Report, write_file};
use crate::progress;
use crate::replay::replay;
use crate::room::{self, Parsed, Room};

pub(crate) use crate::minimise::predicate::Predicate;

/// What was left.
#[derive(Debug)]
pub(crate) struct Minimised {
    before: usize,
    after: usize,
    tries: u64,
}

/// Runs the command.
pub(crate) fn run(args: &MinimiseArgs) -> Result<Minimised, Failure> {
    let room = room::load(&args.file)?;
    let target = Target::of(&args.still, &replay(&room, args.algorithm)?)?;
    let mut trial = Trial { room: &room, target, algorithm: args.algorithm, tries: 0 };
    let everything: Vec<u64> = room.events.iter().map(|event| event.number).collect();
    if !trial.shows(&everything)? {
        return Err(Failure::BadRequest(format!("{} does not show it in the first place", room.file)));
    }
    let bar = progress::spinner("minimising");
    let mut kept = ddmin::minimise(&room, everything, |kept| {
        bar.set_message(format!("{} events", kept.len()));
        bar.inc(1);
        trial.shows(kept)
    })?;
    let mut content = trial.subset(&kept).lines();
    if args.relink {
        kept = ddmin::one_by_one(&room, kept, |kept| {
            bar.set_message(format!("{} events", kept.len()));
            bar.inc(1);
            trial.shows_relinked(kept)
        })?;
        content = relink::relink(&room, &kept).map(|(room, _)| room.lines()).unwrap_or(content);
    }
    bar.finish_and_clear();
    let header = json!({ "room_version": room.version.id(), "still": args.still.to_string() });
    let mut file = format!("{header}\n").into_bytes();
    file.extend(content);
    write_file(&args.output, &file)?;
    Ok(Minimised { before: room.events.len(), after: kept.len(), tries: trial.tries })
}

/// Parts of a room, and the question whether they still show it.
struct Trial<'r> {
    room: &'r Room,
    target: Target,
    algorithm: Option<Algorithm>,
    tries: u64,
}

impl Trial<'_> {
    /// The room of these events, as they are.
    fn subset(&self, kept: &[u64]) -> Room {
        let events = kept.iter().filter_map(|number| self.room.event(*number));
        let parsed = events.map(|event| Parsed {
            line: event.line,
            pdu: event.received().clone(),
            over_reference_limit: event.over_reference_limit.clone(),
        });
        Room::new(self.room.file.clone(), self.room.version, parsed.collect()).0
    }

    fn shows(&mut self, kept: &[u64]) -> Result<bool, Failure> {
        self.tries += 1;
        let part = self.subset(kept);
        let names = |number: u64| part.number(self.room.name(number));
        self.target.holds(&replay(&part, self.algorithm)?, &names)
    }

    fn shows_relinked(&mut self, kept: &[u64]) -> Result<bool, Failure> {
        self.tries += 1;
        let Some((part, new_ids)) = relink::relink(self.room, kept) else { return Ok(false) };
        let names = |number: u64| part.number(new_ids.get(&number)?);
        self.target.holds(&replay(&part, self.algorithm)?, &names)
    }
}

impl Report for Minimised {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} of {} events are enough ({} rooms tried)", self.after, self.before, self.tries)
    }

    fn json(&self) -> Value {
        json!({ "before": self.before, "after": self.after, "tries": self.tries })
    }
}
