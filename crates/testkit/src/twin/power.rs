//! Power levels as the twin reads them.

use serde_json::{Map, Value};

use super::{Differences, State};
use crate::event::RoomEvent;

/// The power of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// A number.
    Finite(i64),
    /// "The power level of 'room creators' is infinitely high" (room version 12).
    Infinite,
}

/// The properties of `m.room.power_levels` that hold one level each, with their defaults
/// (server-server API, "Definitions"; `m.room.power_levels` in the client-server API).
pub(super) const LEVELS: [(&str, i64); 7] = [
    ("users_default", 0),
    ("events_default", 0),
    ("state_default", 50),
    ("ban", 50),
    ("redact", 50),
    ("kick", 50),
    ("invite", 0),
];

/// Reads one level as the room version allows it to be written, `None` when it is not a level.
pub(super) fn level(value: &Value, version: &Differences) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            // "First, exponential notation is applied. Second, the value is truncated at the
            // decimal point." The parser has done the first.
            let float = number.as_f64().filter(|f| version.float_levels && f.abs() < 9.2e18)?;
            #[expect(clippy::cast_possible_truncation, reason = "the bound is checked above")]
            Some(float.trunc() as i64)
        }),
        Value::String(text) if version.string_levels => string_level(text),
        _ => None,
    }
}

/// "A single base 10 integer, optionally with any number of leading zeroes; optionally prefixed
/// with a single `-` or `+`; optionally with leading or trailing whitespace."
fn string_level(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| text.parse().ok()).flatten()
}

/// What the current power levels event says, or the defaults when there is none.
pub(super) struct PowerLevels<'a> {
    content: Option<Map<String, Value>>,
    creators: Vec<String>,
    version: &'a Differences,
}

impl<'a> PowerLevels<'a> {
    /// The power levels in a room state.
    pub(super) fn in_state(state: &State<'_>, version: &'a Differences) -> Self {
        let find = |event_type: &str| state.get(&(event_type.to_owned(), String::new())).copied();
        Self::new(find("m.room.power_levels"), find("m.room.create"), version)
    }

    /// The power levels that an event and the create event say.
    pub(super) fn new(
        power_levels: Option<&RoomEvent>,
        create: Option<&RoomEvent>,
        version: &'a Differences,
    ) -> Self {
        Self {
            content: power_levels.map(RoomEvent::content_object),
            creators: create.map(|create| creators(create, version)).unwrap_or_default(),
            version,
        }
    }

    /// The power of a user.
    pub(super) fn of_user(&self, user_id: &str) -> Power {
        let is_creator = self.creators.iter().any(|creator| creator == user_id);
        if is_creator && self.version.creators_rule {
            return Power::Infinite;
        }
        let Some(content) = &self.content else {
            // "Defaults to 0, unless there is no power levels event: then the creator has 100."
            return Power::Finite(if is_creator { 100 } else { 0 });
        };
        let own = content.get("users").and_then(|users| users.get(user_id));
        let own = own.and_then(|value| level(value, self.version));
        Power::Finite(own.unwrap_or_else(|| self.of("users_default")))
    }

    /// One of the levels of [`LEVELS`].
    pub(super) fn of(&self, name: &str) -> i64 {
        let default = LEVELS.iter().find(|(known, _)| *known == name).map_or(0, |(_, level)| *level);
        let value = self.content.as_ref().and_then(|content| content.get(name));
        value.and_then(|value| level(value, self.version)).unwrap_or(default)
    }

    /// "The event type is either listed explicitly in the `events` section or given by either
    /// `state_default` or `events_default` depending on if the event is a state event or not."
    pub(super) fn required_for(&self, event: &RoomEvent) -> i64 {
        let content = self.content.as_ref();
        let listed = content.and_then(|content| content.get("events")?.get(&event.event_type));
        let default = if event.state_key.is_some() { "state_default" } else { "events_default" };
        listed.and_then(|value| level(value, self.version)).unwrap_or_else(|| self.of(default))
    }

    /// The creators, as far as they are privileged by name.
    pub(super) fn creators(&self) -> &[String] {
        &self.creators
    }
}

/// The creators of a room: from version 12 the sender of the create event and the
/// `additional_creators`, in version 11 the sender, before that `content.creator`.
fn creators(create: &RoomEvent, version: &Differences) -> Vec<String> {
    if version.creator_in_content {
        return create.content_str("creator").into_iter().collect();
    }
    let mut creators = vec![create.sender.clone()];
    if version.creators_rule {
        let content = create.content_object();
        let additional = content.get("additional_creators").and_then(Value::as_array);
        let additional = additional.into_iter().flatten().filter_map(Value::as_str);
        creators.extend(additional.map(str::to_owned));
    }
    creators
}

/// The user id that may make the first join of a room: the creator, in the singular.
pub(super) fn creator(create: &RoomEvent, version: &Differences) -> Option<String> {
    creators(create, version).into_iter().next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn levels_are_read_as_the_room_version_allows() {
        for (value, v1, v6, v10) in [
            (json!(50), Some(50), Some(50), Some(50)),
            (json!(50.57), Some(50), None, None),
            (json!(-1.9), Some(-1), None, None),
            (json!("100"), Some(100), Some(100), None),
            (json!(" +000100 "), Some(100), Some(100), None),
            (json!("-100"), Some(-100), Some(-100), None),
            (json!("1.0"), None, None, None),
            (json!("+-1"), None, None, None),
            (json!(""), None, None, None),
            (json!(null), None, None, None),
            (json!([5]), None, None, None),
        ] {
            for (version, expected) in [("1", v1), ("6", v6), ("10", v10)] {
                let version = Differences::of(version).unwrap();
                assert_eq!(level(&value, &version), expected, "{value}");
            }
        }
    }
}
