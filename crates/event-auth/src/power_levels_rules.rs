//! Rule 9 (10 in room versions 1–5 and 12): "if type is `m.room.power_levels`".

use freehold_event::RoomVersion;

use crate::{
    AuthRule, Denial, Fact, NamedLevel, Power, PowerLevels, RoomCreate,
    level_map::{Alteration, alterations},
    room_create::is_user_id,
};

/// What the rule holds the event against.
pub(crate) struct Current<'a> {
    pub(crate) create: Fact<'a, &'a RoomCreate>,
    pub(crate) power_levels: Option<Fact<'a, &'a PowerLevels>>,
    pub(crate) sender_power: Power,
}

/// Checks the rule, item by item. The numbers in the comments are those of room version 12, which
/// has all items.
pub(crate) fn check_power_levels(
    sender: &str,
    new: &PowerLevels,
    current: &Current<'_>,
    version: &'static RoomVersion,
) -> Result<(), Denial> {
    check_shape(new, current, version)?;
    // 10.5 "If there is no previous `m.room.power_levels` event in the room, allow."
    let Some(old) = current.power_levels else {
        return Ok(());
    };
    let broken = altered_property(old.value, new, current.sender_power)
        .or_else(|| altered_entry(old.value, new, current.sender_power))
        .or_else(|| altered_user(old.value, new, sender, current.sender_power));
    match broken {
        Some(rule) => Err(Denial::new(rule, version, Some(old.event_id))),
        // 10.11 "Otherwise, allow."
        None => Ok(()),
    }
}

/// The items that look at the new content alone.
fn check_shape(
    new: &PowerLevels,
    current: &Current<'_>,
    version: &'static RoomVersion,
) -> Result<(), Denial> {
    // 10.1 "If any of the properties `users_default`, […] are present and not an integer, reject."
    // 10.2 "If either of the properties `events` or `notifications` in `content` are present and
    // not an object with values that are integers, reject."
    // 10.3 "If the `users` property in `content` is not an object with keys that are valid user IDs
    // with values that are integers, reject." An absent `users` is in order; the text does not say
    // so, and every implementation does it.
    let users_are_ids = || new.users.iter().all(|(user_id, _)| is_user_id(user_id));
    let fault = new.fault().or_else(|| (!users_are_ids()).then_some(AuthRule::PowerLevelsUsers));
    if let Some(rule) = fault {
        return Err(Denial::new(rule, version, None));
    }
    // 10.4 "If the `users` property in `content` contains the `sender` of the `m.room.create` event
    // or any of the `additional_creators`, reject."
    let create = current.create.value;
    if create.privileges_creators() && new.users.iter().any(|(user_id, _)| create.is_creator(user_id)) {
        let against = Some(current.create.event_id);
        return Err(Denial::new(AuthRule::PowerLevelsCreator, version, against));
    }
    Ok(())
}

/// 10.6 "For the properties `users_default`, `events_default`, `state_default`, `ban`, `redact`,
/// `kick`, `invite` check if they were added, changed or removed."
///
/// A property that is not there has its default as its value ("power levels are inferred from
/// defaults when not explicitly supplied").
fn altered_property(old: &PowerLevels, new: &PowerLevels, sender: Power) -> Option<AuthRule> {
    let altered = || NamedLevel::ALL.into_iter().filter(|level| old.named(*level) != new.named(*level));
    let above = |levels: &PowerLevels, level| Power::Level(levels.level(level)) > sender;
    altered().find_map(|level| {
        // 10.6.1 "If the current value is higher than the `sender`'s current power level, reject."
        if above(old, level) {
            Some(AuthRule::PropertyCurrent)
        // 10.6.2 "If the new value is higher than the `sender`'s current power level, reject."
        } else if above(new, level) {
            Some(AuthRule::PropertyNew)
        } else {
            None
        }
    })
}

/// 10.7 "For each entry being changed in, or removed from, the `events` or `notifications`
/// properties" and 10.8 "being added to, or changed in". Before room version 6 `notifications` is
/// not read, and so never altered.
fn altered_entry(old: &PowerLevels, new: &PowerLevels, sender: Power) -> Option<AuthRule> {
    let altered =
        || alterations(&old.events, &new.events).chain(alterations(&old.notifications, &new.notifications));
    // 10.7.1 "If the current value is greater than the `sender`'s current power level, reject."
    let current = |entry: Alteration<'_>| is_above(entry.current, sender);
    // 10.8.1 "If the new value is greater than the `sender`'s current power level, reject."
    let new = |entry: Alteration<'_>| is_above(entry.new, sender);
    altered()
        .any(current)
        .then_some(AuthRule::EntryCurrent)
        .or_else(|| altered().any(new).then_some(AuthRule::EntryNew))
}

/// 10.9 "For each entry being changed in, or removed from, the `users` property, other than the
/// `sender`'s own entry" and 10.10 "being added to, or changed in".
fn altered_user(old: &PowerLevels, new: &PowerLevels, sender_id: &str, sender: Power) -> Option<AuthRule> {
    let altered = || alterations(&old.users, &new.users);
    // 10.9.1 "If the current value is greater than or equal to the `sender`'s current power level,
    // reject."
    let current = |entry: Alteration<'_>| {
        entry.name != sender_id && entry.current.is_some_and(|level| Power::Level(level) >= sender)
    };
    // 10.10.1 "If the new value is greater than the `sender`'s current power level, reject."
    let new = |entry: Alteration<'_>| is_above(entry.new, sender);
    altered()
        .any(current)
        .then_some(AuthRule::UserCurrent)
        .or_else(|| altered().any(new).then_some(AuthRule::UserNew))
}

fn is_above(level: Option<i64>, sender: Power) -> bool {
    level.is_some_and(|level| Power::Level(level) > sender)
}
