//! What a smaller room must still show.

use std::fmt;
use std::str::FromStr;

use freehold_event_auth::Denial;
use freehold_state_res::Outcome;

use crate::compare::{self, known_differences};
use crate::failure::Failure;
use crate::replay::{Replay, Verdict};
use crate::resolver;
use crate::standing::standings;

/// What a smaller room must still show, as the command line says it.
#[derive(Clone, Debug)]
pub(crate) enum Predicate {
    /// Implementations disagree.
    Disagreement,
    /// The event is in the final state.
    Wins(String),
    /// The event is in conflict and not in the final state.
    Loses(String),
    /// Some event is denied by this rule.
    Denied(String),
}

impl FromStr for Predicate {
    type Err = String;

    fn from_str(text: &str) -> Result<Predicate, String> {
        match text.split_once('=') {
            None if text == "disagreement" => Ok(Predicate::Disagreement),
            Some(("wins", event)) => Ok(Predicate::Wins(event.to_owned())),
            Some(("loses", event)) => Ok(Predicate::Loses(event.to_owned())),
            Some(("denied", rule)) => Ok(Predicate::Denied(rule.to_owned())),
            _ => Err("there are: disagreement, wins=EVENT, loses=EVENT, denied=RULE".to_owned()),
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Predicate::Disagreement => f.write_str("disagreement"),
            Predicate::Wins(event) => write!(f, "wins={event}"),
            Predicate::Loses(event) => write!(f, "loses={event}"),
            Predicate::Denied(rule) => write!(f, "denied={rule}"),
        }
    }
}

/// The same, with events by their number in the whole room.
pub(super) enum Target {
    /// Over something else than a known difference that the whole room does not have: else a search for a new
    /// disagreement slips off to an old one.
    Disagreement {
        known: Vec<&'static str>,
    },
    Wins(u64),
    Loses(u64),
    Denied(String),
}

impl Target {
    pub(super) fn of(predicate: &Predicate, replay: &Replay<'_>) -> Result<Target, Failure> {
        let room = replay.room;
        let number = |event_id: &String| {
            room.find(event_id)
                .map(|event| event.number)
                .ok_or_else(|| Failure::NoSuchEvent { file: room.file.clone(), event_id: event_id.clone() })
        };
        Ok(match predicate {
            Predicate::Disagreement => Target::Disagreement { known: known_differences(replay) },
            Predicate::Wins(event) => Target::Wins(number(event)?),
            Predicate::Loses(event) => Target::Loses(number(event)?),
            Predicate::Denied(rule) => Target::Denied(rule.clone()),
        })
    }

    /// Whether a part of the room shows it; `numbers` gives the number in the part for one in the whole.
    pub(super) fn holds(
        &self,
        replay: &Replay<'_>,
        numbers: &dyn Fn(u64) -> Option<u64>,
    ) -> Result<bool, Failure> {
        let standing = |event: u64| -> Result<_, Failure> {
            let Some(number) = numbers(event) else { return Ok(None) };
            Ok(standings(replay)?.get(&number).copied())
        };
        Ok(match self {
            Target::Disagreement { known } => {
                let is_known = |why: &&str| known.contains(why);
                !compare::tally(replay)?.disagreements.is_empty()
                    && known_differences(replay).iter().all(is_known)
            }
            Target::Wins(event) => standing(*event)?.is_some_and(|standing| standing.wins),
            Target::Loses(event) => {
                standing(*event)?.is_some_and(|standing| standing.conflicted && !standing.wins)
            }
            Target::Denied(rule) => denied_on_receipt(replay, rule) || denied_at_a_merge(replay, rule),
        })
    }
}

fn denied_on_receipt(replay: &Replay<'_>, rule: &str) -> bool {
    let verdicts = replay.room.events.iter().filter_map(|event| replay.verdict(event.number));
    verdicts.filter_map(Verdict::denial).any(|denial| is_rule(denial, rule))
}

fn denied_at_a_merge(replay: &Replay<'_>, rule: &str) -> bool {
    let end = replay.extremities();
    let merges = replay.merges().map(|event| event.prev_events.as_slice());
    merges.chain([end.as_slice()]).any(|forks| {
        let Ok(states) = replay.states_after(forks) else { return false };
        let Ok(resolved) = resolver::resolve(replay, &states) else { return false };
        resolved.resolution.steps.iter().any(|step| match &step.outcome {
            Outcome::Denied(denial) | Outcome::Rejected(denial) => is_rule(denial, rule),
            _ => false,
        })
    })
}

/// Whether a rule is the one meant, by number or by name.
fn is_rule(denial: &Denial, rule: &str) -> bool {
    let number = denial.rule.number(denial.version).map(|number| number.to_string());
    number.as_deref() == Some(rule) || format!("{:?}", denial.rule).eq_ignore_ascii_case(rule)
}
