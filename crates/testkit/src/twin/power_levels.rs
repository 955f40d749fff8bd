//! "If type is `m.room.power_levels`:"

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    Denied, Differences, State,
    auth::{is_user_id, reject_if},
    power::{LEVELS, Power, PowerLevels, level},
};
use crate::event::RoomEvent;

/// The power levels rule of every room version; `rule` is its number.
pub(super) fn check_power_levels(
    event: &RoomEvent,
    state: &State<'_>,
    version: &Differences,
    rule: u8,
) -> Result<(), Denied> {
    let new = event.content_object();
    let levels = PowerLevels::in_state(state, version);
    check_shape(&new, &levels, version, rule)?;
    // "If there is no previous `m.room.power_levels` event in the room, allow."
    let key = ("m.room.power_levels".to_owned(), String::new());
    let Some(old) = state.get(&key).map(|event| event.content_object()) else {
        return Ok(());
    };
    let change = Change {
        old: &old,
        new: &new,
        sender: levels.of_user(&event.sender),
        sender_id: &event.sender,
        version,
        rule,
    };
    change.check_levels()?;
    change.check_map("events")?;
    if version.notifications {
        change.check_map("notifications")?;
    }
    change.check_users()
    // "Otherwise, allow."
}

/// The points before the comparison with the previous event.
fn check_shape(
    new: &Map<String, Value>,
    levels: &PowerLevels<'_>,
    version: &Differences,
    rule: u8,
) -> Result<(), Denied> {
    // From version 10: "1. If any of the properties `users_default`, `events_default`,
    // `state_default`, `ban`, `redact`, `kick`, or `invite` in `content` are present and not an
    // integer, reject." Before, the list is silent; but "values outside the range […] cause the
    // power level event to be rejected", and strings "must be [in] the following format".
    let wrong = LEVELS.iter().any(|(name, _)| new.get(*name).is_some_and(|v| level(v, version).is_none()));
    reject_if(wrong, format!("{rule}.1"), "level is not an integer")?;
    // "2. If either of the properties `events` or `notifications` in `content` are present and not
    // an object with values that are integers, reject."
    let maps: &[&str] = if version.notifications { &["events", "notifications"] } else { &["events"] };
    let wrong = maps.iter().any(|name| !is_map_of_levels(new.get(*name), version));
    let point = if version.string_levels { 1 } else { 2 };
    reject_if(wrong, format!("{rule}.{point}"), "map of levels is not one")?;
    // "If the `users` property in `content` is not an object with keys that are valid user IDs
    // with values that are integers (up to version 9: or a string that is an integer), reject."
    // An absent `users` is accepted, as by every implementation.
    let point = format!("{rule}.{}", version.power_point(1));
    let users = new.get("users");
    reject_if(!is_map_of_levels(users, version), point.clone(), "users is not a map of levels")?;
    let names: BTreeSet<&str> = entries(users).map(|(user_id, _)| user_id).collect();
    reject_if(!names.iter().all(|user_id| is_user_id(user_id)), point, "users names no user id")?;
    // Version 12: "4. If the `users` property in `content` contains the `sender` of the
    // `m.room.create` event or any of the `additional_creators` array (if present) from the
    // `content` of the `m.room.create` event, reject."
    let creator = version.creators_rule && levels.creators().iter().any(|id| names.contains(id.as_str()));
    reject_if(creator, format!("{rule}.4"), "users names a creator")
}

/// Whether a property is absent, or an object whose values are all levels.
fn is_map_of_levels(property: Option<&Value>, version: &Differences) -> bool {
    property.is_none_or(|value| {
        value.as_object().is_some_and(|map| map.values().all(|value| level(value, version).is_some()))
    })
}

fn entries(property: Option<&Value>) -> impl Iterator<Item = (&str, &Value)> {
    let object = property.and_then(Value::as_object).into_iter().flatten();
    object.map(|(key, value)| (key.as_str(), value))
}

/// The previous power levels, the new ones, and who wants to change them.
struct Change<'a> {
    old: &'a Map<String, Value>,
    new: &'a Map<String, Value>,
    sender: Power,
    sender_id: &'a str,
    version: &'a Differences,
    rule: u8,
}

impl Change<'_> {
    fn point(&self, point_in_v1: u8) -> String {
        format!("{}.{}", self.rule, self.version.power_point(point_in_v1))
    }

    /// "For the properties `users_default`, `events_default`, `state_default`, `ban`, `redact`,
    /// `kick`, `invite` check if they were added, changed or removed. For each found alteration:"
    ///
    /// "Power levels are inferred from defaults when not explicitly supplied": a property that is
    /// added or removed had, or gets, its default as its value.
    fn check_levels(&self) -> Result<(), Denied> {
        for (name, default) in LEVELS {
            let read = |content: &Map<String, Value>| level(content.get(name)?, self.version);
            let (current, new) = (read(self.old), read(self.new));
            if current == new {
                continue;
            }
            let above = |level: Option<i64>| self.above(Some(level.unwrap_or(default)));
            // "1. If the current value is higher than the `sender`'s current power level, reject."
            reject_if(above(current), format!("{}.1", self.point(3)), "current level is above the sender")?;
            // "2. If the new value is higher than the `sender`'s current power level, reject."
            reject_if(above(new), format!("{}.2", self.point(3)), "new level is above the sender")?;
        }
        Ok(())
    }

    /// "For each entry being changed in, or removed from, the `events` (version 6: or
    /// `notifications`) property", and "for each entry being added to, or changed in".
    fn check_map(&self, property: &str) -> Result<(), Denied> {
        for (_, current, _) in self.changed_entries(property) {
            // "If the current value is greater than the `sender`'s current power level, reject."
            reject_if(
                self.above(current),
                format!("{}.1", self.point(4)),
                "current level is above the sender",
            )?;
        }
        for (_, _, new) in self.changed_entries(property) {
            // "If the new value is greater than the `sender`'s current power level, reject."
            reject_if(self.above(new), format!("{}.1", self.point(5)), "new level is above the sender")?;
        }
        Ok(())
    }

    fn check_users(&self) -> Result<(), Denied> {
        for (user_id, current, _) in self.changed_entries("users") {
            // "For each entry being changed in, or removed from, the `users` property, other than
            // the `sender`'s own entry: If the current value is greater than or equal to the
            // `sender`'s current power level, reject."
            let equal_or_above = current.is_some_and(|level| Power::Finite(level) >= self.sender);
            let other = user_id != self.sender_id;
            reject_if(
                other && equal_or_above,
                format!("{}.1", self.point(6)),
                "user is not below the sender",
            )?;
        }
        for (_, _, new) in self.changed_entries("users") {
            // "For each entry being added to, or changed in, the `users` property: If the new value
            // is greater than the `sender`'s current power level, reject."
            reject_if(self.above(new), format!("{}.1", self.point(7)), "new level is above the sender")?;
        }
        Ok(())
    }

    fn above(&self, level: Option<i64>) -> bool {
        level.is_some_and(|level| Power::Finite(level) > self.sender)
    }

    /// The entries of a map that are not the same in both contents: key, old level, new level.
    fn changed_entries(&self, property: &str) -> Vec<(String, Option<i64>, Option<i64>)> {
        let (old, new) = (self.old.get(property), self.new.get(property));
        let keys: BTreeSet<&str> = entries(old).chain(entries(new)).map(|(key, _)| key).collect();
        let read = |map: Option<&Value>, key: &str| level(map?.get(key)?, self.version);
        keys.into_iter()
            .map(|key| (key.to_owned(), read(old, key), read(new, key)))
            .filter(|(_, old, new)| old != new)
            .collect()
    }
}
