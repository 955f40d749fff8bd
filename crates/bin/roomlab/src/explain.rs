//! `roomlab explain`: why an event is or is not in the state, step by step.

use std::collections::BTreeSet;
use std::io::{self, Write};

use freehold_event_auth::{Denial, Power};
use freehold_state_map::StateMap;
use freehold_state_res::{Order, Outcome, Pass, Resolution, Step};
use serde_json::{Value, json};

use crate::cli::ExplainArgs;
use crate::failure::Failure;
use crate::output::{Report, one_line};
use crate::replay::{Replay, Verdict, replay};
use crate::resolver::{self, Resolved, algorithm_name};
use crate::room::{self, Event};
use crate::states;

/// The story of an event.
#[derive(Debug)]
pub(crate) struct Story {
    event_id: String,
    title: String,
    sender: String,
    algorithm: &'static str,
    /// Whether it is in the state at the end of the room; `None` when that is not known.
    in_final_state: Option<bool>,
    chapters: Vec<Chapter>,
}

/// One thing that happened to the event.
#[derive(Debug)]
struct Chapter {
    /// Where: the event at which it happened, if any.
    at: Option<String>,
    headline: String,
    details: Vec<String>,
}

/// Runs the command.
pub(crate) fn explain(args: &ExplainArgs) -> Result<Story, Failure> {
    let room = room::load(&args.file)?;
    let event = room
        .find(&args.event)
        .ok_or_else(|| Failure::NoSuchEvent { file: room.file.clone(), event_id: args.event.clone() })?;
    let replay = replay(&room, args.algorithm)?;
    let teller = Teller { replay: &replay, event, key: replay.keys.entry(event).map(|(key, _)| key) };
    let mut chapters = vec![teller.receipt()];
    if let Some(key) = teller.key {
        chapters.extend(teller.history(key)?);
    }
    let (end, in_final_state) = teller.end()?;
    chapters.push(end);
    Ok(Story {
        event_id: event.pdu().event_id().to_string(),
        title: event.title(),
        sender: event.pdu().sender().to_string(),
        algorithm: algorithm_name(replay.algorithm),
        in_final_state,
        chapters,
    })
}

/// A denial in words.
pub(crate) fn denial(denial: &Denial) -> String {
    match &denial.against {
        None => denial.to_string(),
        Some(event_id) => format!("{denial}, held against {event_id}"),
    }
}

struct Teller<'r> {
    replay: &'r Replay<'r>,
    event: &'r Event,
    /// The key of the state that it is an entry of.
    key: Option<u64>,
}

impl Teller<'_> {
    /// What the checks on receipt said.
    fn receipt(&self) -> Chapter {
        let name = |number: &u64| self.replay.room.name(*number).to_owned();
        let verdict = self.replay.verdict(self.event.number).cloned().unwrap_or(Verdict::Accepted);
        let (headline, details) = match verdict {
            Verdict::Accepted if self.key.is_none() => ("accepted; it is no state event".to_owned(), vec![]),
            Verdict::Accepted => {
                let before = match self.held_before() {
                    None => "there was no such entry before".to_owned(),
                    Some(before) => format!("it replaces {}", name(&before)),
                };
                ("accepted: in the state after it".to_owned(), vec![before])
            }
            Verdict::OverByteLimit(field) => {
                (format!("rejected because `{field}` is over the limit in bytes"), vec![])
            }
            Verdict::DeniedByAuthEvents(why) => {
                ("rejected by its auth events, so it changes no state".to_owned(), vec![denial(&why)])
            }
            Verdict::DeniedByState(why) => {
                ("rejected by the state before it, so it changes no state".to_owned(), vec![denial(&why)])
            }
            Verdict::AuthEventsMissing { event } => {
                (format!("not checked: auth event {} is not in the file", name(&event)), vec![])
            }
            Verdict::StateUnknown { missing } => {
                let details = vec!["passes the rules on its auth events".to_owned()];
                (format!("the state before it is not known: {} is not in the file", name(&missing)), details)
            }
        };
        Chapter { at: None, headline: format!("on receipt: {headline}"), details }
    }

    fn held_before(&self) -> Option<u64> {
        let before = self.replay.step(self.event.number)?.before.as_ref()?;
        states::get(before, self.key?)
    }

    /// Every merge that had anything to decide about the event, and every event that replaced it, in order.
    fn history(&self, key: u64) -> Result<Vec<Chapter>, Failure> {
        let merges: BTreeSet<u64> = self.replay.merges().map(|event| event.number).collect();
        let mut chapters = Vec::new();
        for event in &self.replay.room.events {
            let at = event.pdu().event_id().to_string();
            if merges.contains(&event.number) {
                chapters.extend(self.resolution(&event.prev_events, key, Some(at.clone()))?);
            }
            if self.is_replaced_by(event, key) {
                let headline = format!("replaced by {} of {}", event.title(), event.pdu().sender());
                chapters.push(Chapter { at: Some(at), headline, details: Vec::new() });
            }
        }
        Ok(chapters)
    }

    fn is_replaced_by(&self, event: &Event, key: u64) -> bool {
        let Some(step) = self.replay.step(event.number) else { return false };
        let held = |state: &Option<StateMap>| state.as_ref().and_then(|state| states::get(state, key));
        event.number != self.event.number
            && held(&step.before) == Some(self.event.number)
            && held(&step.after) == Some(event.number)
    }

    /// What a resolution made of the event, if it was about it.
    fn resolution(&self, forks: &[u64], key: u64, at: Option<String>) -> Result<Option<Chapter>, Failure> {
        let Ok(states) = self.replay.states_after(forks) else { return Ok(None) };
        let resolved = resolver::resolve(self.replay, &states).map_err(|source| Failure::Resolve {
            event_id: at.clone().unwrap_or_else(|| "the end of the room".to_owned()),
            source,
        })?;
        let Some(place) = resolved.resolution.steps.iter().position(|step| *step.event == self.event.number)
        else {
            return Ok(None);
        };
        let held: Vec<String> = (1..)
            .zip(&states)
            .map(|(fork, state)| match states::get(state, key) {
                Some(event) => format!("fork {fork} has {}", self.replay.room.name(event)),
                None => format!("fork {fork} has nothing"),
            })
            .collect();
        let mut details = held;
        details.extend(self.steps(&resolved.resolution, place, key));
        let winner = states::get(&resolved.state, key);
        Ok(Some(Chapter { at, headline: self.outcome_of_merge(&resolved, winner), details }))
    }

    fn outcome_of_merge(&self, resolved: &Resolved<'_>, winner: Option<u64>) -> String {
        let forks = "forks meet";
        match winner {
            Some(winner) if winner == self.event.number => format!("{forks}: it wins"),
            Some(winner) => {
                let by_step = resolved.resolution.steps.iter().any(|step| *step.event == winner);
                let how = if by_step { "wins" } else { "stands, unconflicted" };
                format!("{forks}: {} {how}", self.replay.room.name(winner))
            }
            None => format!("{forks}: nothing wins, the entry is gone"),
        }
    }

    /// The steps of the algorithm that concern the event or others of its key.
    fn steps(&self, resolution: &Resolution<'_, u64>, place: usize, key: u64) -> Vec<String> {
        let mut said = Vec::new();
        for (index, step) in resolution.steps.iter().enumerate() {
            let of_key = self.replay.room.event(*step.event).and_then(|event| self.replay.keys.entry(event));
            if of_key.is_some_and(|(of, _)| of == key) || index == place {
                let mark = if index == place { "this event" } else { step.event_id };
                said.push(format!(
                    "step {} of {}: {mark} ({}), {}: {}",
                    index + 1,
                    resolution.steps.len(),
                    part(step),
                    order(&step.order),
                    outcome(&step.outcome)
                ));
            }
        }
        said
    }

    /// How it stands at the end of the room.
    fn end(&self) -> Result<(Chapter, Option<bool>), Failure> {
        let extremities = self.replay.extremities();
        let at_end = |headline: String, details| Chapter { at: None, headline, details };
        let Some(key) = self.key else {
            return Ok((
                at_end("at the end: no state event, so in no state".to_owned(), vec![]),
                Some(false),
            ));
        };
        let state = match self.replay.state_after(&extremities)? {
            Ok(state) => state,
            Err(missing) => {
                let name = self.replay.room.name(missing);
                return Ok((at_end(format!("at the end: not known without {name}"), vec![]), None));
            }
        };
        let several = extremities.len() > 1;
        let details = if several { self.resolution(&extremities, key, None)? } else { None };
        let details = details.map(|chapter| chapter.details).unwrap_or_default();
        let winner = states::get(&state, key);
        let wins = winner == Some(self.event.number);
        let headline = match winner {
            _ if wins => "at the end: it is in the state".to_owned(),
            Some(winner) => format!("at the end: {} is in its place", self.replay.room.name(winner)),
            None => "at the end: the state has no such entry".to_owned(),
        };
        Ok((at_end(headline, details), Some(wins)))
    }
}

fn part(step: &Step<'_, u64>) -> &'static str {
    if step.part.conflicted {
        "in conflict"
    } else if step.part.subgraph {
        "in the conflicted state subgraph"
    } else {
        "in the auth difference"
    }
}

fn order(order: &Order) -> String {
    match order {
        Order::Power { sender: Power::Infinite } => "power order, sender is a creator".to_owned(),
        Order::Power { sender: Power::Level(level) } => format!("power order, sender has power {level}"),
        Order::Mainline { position: Some(position) } => format!("mainline order, position {position}"),
        Order::Mainline { position: None } => "mainline order, no power levels behind it".to_owned(),
        Order::Pass(Pass::PowerLevels) => "pass of power levels".to_owned(),
        Order::Pass(Pass::JoinRules) => "pass of join rules".to_owned(),
        Order::Pass(Pass::Members) => "pass of members".to_owned(),
        Order::Pass(Pass::Others) => "pass of all others".to_owned(),
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Applied => "allowed and applied".to_owned(),
        Outcome::Denied(why) => format!("not allowed, {}", denial(why)),
        Outcome::Rejected(why) => format!("rejected on receipt, {}", denial(why)),
        Outcome::NotState => "no state event".to_owned(),
        Outcome::NotTried => "not tried, the matter was settled".to_owned(),
        _ => "passed over".to_owned(),
    }
}

impl Report for Story {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} {} of {}", self.event_id, one_line(&self.title), one_line(&self.sender))?;
        writeln!(out, "algorithm {}", self.algorithm)?;
        for (number, chapter) in (1..).zip(&self.chapters) {
            let at = chapter.at.as_ref().map(|at| format!("at {at}, ")).unwrap_or_default();
            writeln!(out, "\n{number}. {at}{}", one_line(&chapter.headline))?;
            for detail in &chapter.details {
                writeln!(out, "   {}", one_line(detail))?;
            }
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let chapter = |chapter: &Chapter| json!({ "at": chapter.at, "headline": chapter.headline, "details": chapter.details });
        json!({
            "event_id": self.event_id,
            "event": self.title,
            "sender": self.sender,
            "algorithm": self.algorithm,
            "in_final_state": self.in_final_state,
            "story": self.chapters.iter().map(chapter).collect::<Vec<_>>(),
        })
    }
}
