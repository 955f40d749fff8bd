//! Power levels as numbers, and the ways in which they are written.

use freehold_canonical_json::RawValue;
use ruma_common::room_version_rules::AuthorizationRules;

/// How much a user may do.
///
/// Levels compare as numbers; creators of rooms of version 12 and later stand above every number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Power {
    /// A power level.
    Level(i64),
    /// Higher than any level: the
    /// [creators](https://spec.matrix.org/v1.19/rooms/v12/#event-format) of a room of version 12.
    Infinite,
}

/// The largest integer of [canonical JSON](https://spec.matrix.org/v1.19/appendices/#canonical-json).
const INTEGER_MAX: i64 = (1 << 53) - 1;

/// A named level of an `m.room.power_levels` event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamedLevel {
    /// `users_default`: the level of users that are not in `users`. 0 if unspecified.
    UsersDefault,
    /// `events_default`: required for message events that are not in `events`. 0 if unspecified.
    EventsDefault,
    /// `state_default`: required for state events that are not in `events`. 50 if unspecified.
    StateDefault,
    /// `ban`: required to ban. 50 if unspecified.
    Ban,
    /// `redact`: required to redact other users' events. 50 if unspecified.
    Redact,
    /// `kick`: required to kick. 50 if unspecified.
    Kick,
    /// `invite`: required to invite. 0 if unspecified.
    Invite,
}

impl NamedLevel {
    /// All of them, in the order in which the rules list them.
    pub const ALL: [Self; 7] = [
        Self::UsersDefault,
        Self::EventsDefault,
        Self::StateDefault,
        Self::Ban,
        Self::Redact,
        Self::Kick,
        Self::Invite,
    ];

    /// The level where the event does not name it, or where there is no event.
    pub const fn default_level(self) -> i64 {
        match self {
            Self::UsersDefault | Self::EventsDefault | Self::Invite => 0,
            Self::StateDefault | Self::Ban | Self::Redact | Self::Kick => 50,
        }
    }

    /// The name of the property in the content of the event.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UsersDefault => "users_default",
            Self::EventsDefault => "events_default",
            Self::StateDefault => "state_default",
            Self::Ban => "ban",
            Self::Redact => "redact",
            Self::Kick => "kick",
            Self::Invite => "invite",
        }
    }
}

/// Which ways of writing a level a room version accepts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LevelFormat {
    strings: bool,
    floats: bool,
}

impl LevelFormat {
    pub(crate) fn of(rules: &AuthorizationRules) -> Self {
        Self { strings: !rules.integer_power_levels, floats: !rules.strict_canonical_json }
    }

    /// Reads a level; `None` when it is not one.
    pub(crate) fn read(self, value: RawValue<'_>) -> Option<i64> {
        let text = value.text();
        match text.as_bytes().first()? {
            b'"' if self.strings => integer_of_string(&value.as_str()?),
            b'-' | b'0'..=b'9' => self.number(text),
            _ => None,
        }
    }

    fn number(self, text: &str) -> Option<i64> {
        if self.floats {
            // Numbers of the relaxed form have no bound; see `saturating`.
            return if text.contains(['.', 'e', 'E']) { truncated(text) } else { saturating(text) };
        }
        text.parse().ok().filter(|level: &i64| level.unsigned_abs() <= INTEGER_MAX.unsigned_abs())
    }
}

/// A level [written as a string](https://spec.matrix.org/v1.19/rooms/v1/#mroompower_levels-events-accept-values-as-strings):
/// "a single base 10 integer, no float values or decimal points, optionally with any number of
/// leading zeroes", "optionally prefixed with a single `-` or `+`", "optionally with any number of
/// leading or trailing whitespace characters".
fn integer_of_string(text: &str) -> Option<i64> {
    let trimmed = text.trim();
    let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    saturating(trimmed)
}

/// An integer of any size. What lies outside 64 bits becomes the nearest integer inside: the text
/// sets no bound for strings, nor for numbers before room version 6, and Python's integers, by
/// which the reference server compares them, have none.
fn saturating(text: &str) -> Option<i64> {
    let negative = text.starts_with('-');
    let bound = if negative { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(bound))
}

/// A level [written as a float](https://spec.matrix.org/v1.19/rooms/v1/#mroompower_levels-events-accept-values-as-floats):
/// "exponential notation is applied", then "the value is truncated at the decimal point"; "values
/// outside the range represented by IEEE754 binary64" are none.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the truncation is the specified one, and `as` saturates like `saturating`"
)]
fn truncated(text: &str) -> Option<i64> {
    let float: f64 = text.parse().ok()?;
    float.is_finite().then_some(float.trunc() as i64)
}

#[cfg(test)]
mod tests {
    use freehold_event::RoomVersion;

    use super::*;

    fn read(version: &RoomVersion, text: &str) -> Option<i64> {
        let value = RawValue::new(text).ok()?;
        LevelFormat::of(&version.rules().authorization).read(value)
    }

    #[test]
    fn levels_are_read_as_each_version_writes_them() {
        let v5 = RoomVersion::V5;
        let v9 = RoomVersion::V9;
        let v10 = RoomVersion::V10;
        // Text, and what versions 1-5, 6-9 and 10-12 make of it.
        for (text, floaty, stringy, strict) in [
            ("50", Some(50), Some(50), Some(50)),
            ("-50", Some(-50), Some(-50), Some(-50)),
            ("0", Some(0), Some(0), Some(0)),
            ("9007199254740991", Some(INTEGER_MAX), Some(INTEGER_MAX), Some(INTEGER_MAX)),
            ("9007199254740992", Some(INTEGER_MAX + 1), None, None),
            ("99999999999999999999", Some(i64::MAX), None, None),
            ("-99999999999999999999", Some(i64::MIN), None, None),
            ("50.57", Some(50), None, None),
            ("-50.57", Some(-50), None, None),
            ("5.114698E4", Some(51146), None, None),
            ("1e2", Some(100), None, None),
            ("1e400", None, None, None),
            ("-1e400", None, None, None),
            (r#""100""#, Some(100), Some(100), None),
            (r#""000100""#, Some(100), Some(100), None),
            (r#""+100""#, Some(100), Some(100), None),
            (r#""-100""#, Some(-100), Some(-100), None),
            (r#"" 00100 ""#, Some(100), Some(100), None),
            (r#"" +100 ""#, Some(100), Some(100), None),
            (r#""\n\t-0100\n""#, Some(-100), Some(-100), None),
            (r#""\u0031""#, Some(1), Some(1), None),
            (r#""99999999999999999999""#, Some(i64::MAX), Some(i64::MAX), None),
            (r#""-99999999999999999999""#, Some(i64::MIN), Some(i64::MIN), None),
            (r#""+-1""#, None, None, None),
            (r#""--1""#, None, None, None),
            (r#""+ 1""#, None, None, None),
            (r#""1 0""#, None, None, None),
            (r#""1_0""#, None, None, None),
            (r#""1.0""#, None, None, None),
            (r#""1e2""#, None, None, None),
            (r#""0x10""#, None, None, None),
            (r#""""#, None, None, None),
            (r#""+""#, None, None, None),
            (r#""NaN""#, None, None, None),
            (r#""Infinity""#, None, None, None),
            (r#""٣""#, None, None, None),
            ("NaN", None, None, None),
            ("Infinity", None, None, None),
            ("true", None, None, None),
            ("null", None, None, None),
            ("[]", None, None, None),
            ("{}", None, None, None),
        ] {
            assert_eq!(read(v5, text), floaty, "{text} in 1-5");
            assert_eq!(read(v9, text), stringy, "{text} in 6-9");
            assert_eq!(read(v10, text), strict, "{text} in 10-12");
        }
    }
}
