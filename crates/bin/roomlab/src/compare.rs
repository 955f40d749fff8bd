//! `roomlab compare`: the same questions to three implementations.

mod known;
mod naive;
mod ruma;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use freehold_state_map::StateMap;
use serde_json::{Value, json};

use crate::cli::CompareArgs;
use crate::compare::naive::Naive;
use crate::compare::ruma::Ruma;
use crate::failure::Failure;
use crate::output::{Report, write_file};
use crate::progress;
use crate::replay::{Replay, replay};
use crate::resolver::{self, algorithm_name};
use crate::room::{self, Event, Room};
use crate::states;

pub(crate) use crate::compare::known::known_differences;

/// A resolved state, as everybody can say it.
pub(crate) type Answer = BTreeMap<(String, String), String>;

/// What the comparison of some rooms came to.
#[derive(Debug)]
pub(crate) struct Comparison {
    rooms: Vec<Compared>,
}

/// What the comparison of one room came to.
#[derive(Debug)]
struct Compared {
    file: String,
    room_version: &'static str,
    algorithm: &'static str,
    tally: Tally,
    /// Why ruma may be of another opinion; looked for when it is.
    known: Vec<&'static str>,
    saved: Option<PathBuf>,
}

/// What was compared, and where the implementations disagree.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    events: usize,
    resolutions: usize,
    /// Why ruma was not asked.
    without_ruma: Option<String>,
    pub(crate) disagreements: Vec<Disagreement>,
}

/// Two answers to one question.
#[derive(Debug)]
pub(crate) struct Disagreement {
    /// The event, or the merge.
    at: String,
    question: &'static str,
    /// Who is not of our opinion.
    other: &'static str,
    differences: Vec<Difference>,
}

/// One point of a disagreement.
#[derive(Debug)]
struct Difference {
    about: String,
    ours: Option<String>,
    theirs: Option<String>,
}

/// Runs the command.
pub(crate) fn compare(args: &CompareArgs) -> Result<Comparison, Failure> {
    let mut rooms = Vec::new();
    for path in &args.files {
        let room = room::load(path)?;
        let replay = replay(&room, args.algorithm)?;
        let tally = tally(&replay)?;
        let saved =
            if tally.disagreements.is_empty() { None } else { Some(save(&args.save, &room, &tally)?) };
        rooms.push(Compared {
            file: room.file.clone(),
            room_version: room.version.id(),
            algorithm: algorithm_name(replay.algorithm),
            known: if tally.disagreements.iter().any(|disagreement| disagreement.other == "ruma") {
                known_differences(&replay)
            } else {
                Vec::new()
            },
            tally,
            saved,
        });
    }
    Ok(Comparison { rooms })
}

/// Asks everybody about every event and every merge of a room, and about its end.
pub(crate) fn tally(replay: &Replay<'_>) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let naive = Naive::new(replay);
    let ruma = Ruma::new(replay).map_err(|why| tally.without_ruma = Some(why)).ok();
    let bar = progress::bar("comparing", replay.room.events.len());
    let merges: BTreeSet<u64> = replay.merges().map(|event| event.number).collect();
    for event in &replay.room.events {
        if let Some(naive) = &naive {
            tally.receipt(replay, event, naive);
        }
        if merges.contains(&event.number) {
            let at = event.pdu().event_id().as_str();
            tally.resolution(replay, at, &event.prev_events, (naive.as_ref(), ruma.as_ref()))?;
        }
        bar.inc(1);
    }
    let end = replay.extremities();
    if end.len() > 1 {
        tally.resolution(replay, "the end", &end, (naive.as_ref(), ruma.as_ref()))?;
    }
    bar.finish_and_clear();
    Ok(tally)
}

impl Tally {
    /// Is the event accepted, and if not, by which rule is it rejected?
    fn receipt(&mut self, replay: &Replay<'_>, event: &Event, naive: &Naive<'_>) {
        let Some(step) = replay.step(event.number) else { return };
        let Some(before) = &step.before else { return };
        self.events += 1;
        let number = |denial: &freehold_event_auth::Denial| denial.rule.number(denial.version);
        let ours = step.verdict.denial().and_then(number).map(|number| number.to_string());
        let theirs = naive.denying_rule(event, before);
        if ours != theirs {
            self.disagreements.push(Disagreement {
                at: event.pdu().event_id().to_string(),
                question: "which rule rejects the event",
                other: "twin",
                differences: vec![Difference { about: event.title(), ours, theirs }],
            });
        }
    }

    /// What do these states resolve to?
    fn resolution(
        &mut self,
        replay: &Replay<'_>,
        at: &str,
        forks: &[u64],
        (naive, ruma): (Option<&Naive<'_>>, Option<&Ruma<'_>>),
    ) -> Result<(), Failure> {
        let Ok(states) = replay.states_after(forks) else { return Ok(()) };
        self.resolutions += 1;
        let resolved = resolver::resolve(replay, &states)
            .map_err(|source| Failure::Resolve { event_id: at.to_owned(), source })?;
        let ours = answer(replay, &resolved.state);
        if let Some(naive) = naive {
            self.answers(at, "twin", &ours, &naive.resolve(&states));
        }
        match ruma.map(|ruma| ruma.resolve(&states)) {
            Some(Ok(theirs)) => self.answers(at, "ruma", &ours, &theirs),
            Some(Err(why)) => self.without_ruma = Some(why),
            None => {}
        }
        Ok(())
    }

    fn answers(&mut self, at: &str, other: &'static str, ours: &Answer, theirs: &Answer) {
        let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        let differences: Vec<Difference> = keys
            .into_iter()
            .filter(|key| ours.get(key) != theirs.get(key))
            .map(|key| Difference {
                about: format!("{} {}", key.0, key.1),
                ours: ours.get(key).cloned(),
                theirs: theirs.get(key).cloned(),
            })
            .collect();
        if !differences.is_empty() {
            let question = "what the forks resolve to";
            self.disagreements.push(Disagreement { at: at.to_owned(), question, other, differences });
        }
    }
}

/// A state in names.
fn answer(replay: &Replay<'_>, state: &StateMap) -> Answer {
    states::entries(state)
        .map(|(key, entry)| {
            let (event_type, state_key) = replay.keys.name(key);
            ((event_type.to_owned(), state_key.to_owned()), replay.room.name(entry.event).to_owned())
        })
        .collect()
}

/// Writes the room and what was found in it, as a file that every command reads.
fn save(dir: &Path, room: &Room, tally: &Tally) -> Result<PathBuf, Failure> {
    let failure = |source| Failure::Write { path: dir.display().to_string(), source };
    std::fs::create_dir_all(dir).map_err(failure)?;
    let room_id = room.events.first().map_or("room", |event| event.pdu().room_id().as_str());
    let name: String = room_id.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    let path = dir.join(format!("v{}-{name}.jsonl", room.version));
    let notes: Vec<Value> = tally.disagreements.iter().map(Disagreement::json).collect();
    let header = json!({ "room_version": room.version.id(), "disagreements": notes });
    let mut content = format!("{header}\n").into_bytes();
    content.extend(room.lines());
    write_file(&path, &content)?;
    Ok(path)
}

impl Disagreement {
    fn json(&self) -> Value {
        let difference = |difference: &Difference| json!({ "about": difference.about, "ours": difference.ours, self.other: difference.theirs });
        json!({
            "at": self.at,
            "question": self.question,
            "differences": self.differences.iter().map(difference).collect::<Vec<_>>(),
        })
    }
}

impl Report for Comparison {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for room in &self.rooms {
            let tally = &room.tally;
            writeln!(
                out,
                "{}: version {}, algorithm {}: {} events and {} resolutions compared, {} disagreements",
                room.file,
                room.room_version,
                room.algorithm,
                tally.events,
                tally.resolutions,
                tally.disagreements.len()
            )?;
            if let Some(why) = &tally.without_ruma {
                writeln!(out, "  without ruma: {why}")?;
            }
            for disagreement in &tally.disagreements {
                writeln!(out, "  at {}: {}?", disagreement.at, disagreement.question)?;
                for difference in &disagreement.differences {
                    let said = |said: &Option<String>| said.clone().unwrap_or_else(|| "nothing".to_owned());
                    let (ours, theirs) = (said(&difference.ours), said(&difference.theirs));
                    writeln!(out, "    {}: ours {ours}, {} {theirs}", difference.about, disagreement.other)?;
                }
            }
            for why in &room.known {
                writeln!(out, "  ruma is known to differ: {why}")?;
            }
            if let Some(path) = &room.saved {
                writeln!(out, "  saved as {}", path.display())?;
            }
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let room = |room: &Compared| {
            json!({
                "file": room.file,
                "room_version": room.room_version,
                "algorithm": room.algorithm,
                "events": room.tally.events,
                "resolutions": room.tally.resolutions,
                "without_ruma": room.tally.without_ruma,
                "disagreements": room.tally.disagreements.iter().map(Disagreement::json).collect::<Vec<_>>(),
                "known_differences_of_ruma": room.known,
                "saved": room.saved.as_ref().map(|path| path.display().to_string()),
            })
        };
        Value::Array(self.rooms.iter().map(room).collect())
    }

    fn has_findings(&self) -> bool {
        self.rooms.iter().any(|room| !room.tally.disagreements.is_empty())
    }
}
