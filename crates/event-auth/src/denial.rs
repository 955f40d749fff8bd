//! What a rejection says.

use freehold_event::RoomVersion;

use crate::AuthRule;

/// Why an event is not authorised: the rule, and the event the rule looked at.
///
/// A denial is evidence, not a sentence: compare it by value, and render it where it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("rule {} of room version {} ({:?}) rejects the event", NumberOf(self), .version.id(), .rule)]
pub struct Denial {
    /// The rule that rejects the event.
    pub rule: AuthRule,
    /// The room version whose rules were applied.
    pub version: &'static RoomVersion,
    /// The id of the event that the rule held the rejected event against: the power levels, the
    /// membership, the join rules, the auth event. `None` when the rule looks at nothing but the
    /// event itself, or when what it looked for is missing.
    pub against: Option<Box<str>>,
}

impl Denial {
    pub(crate) fn new(rule: AuthRule, version: &'static RoomVersion, against: Option<&str>) -> Self {
        Self { rule, version, against: against.map(Box::from) }
    }
}

struct NumberOf<'a>(&'a Denial);

impl std::fmt::Display for NumberOf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.rule.number(self.0.version) {
            Some(number) => number.fmt(f),
            // Not reached by the checks of this crate: they apply the rules a version has.
            None => f.write_str("(none)"),
        }
    }
}
