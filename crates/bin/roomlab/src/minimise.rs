//! `roomlab minimise`.

use std::str::FromStr;

/// What a smaller room must still show.
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
