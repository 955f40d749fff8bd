//! The `m.room.power_levels` event, read once and looked up often.

use freehold_canonical_json::{RawValue, fields};
use freehold_event::RoomVersion;

use crate::{AuthRule, NamedLevel, Power, RoomCreate, level::LevelFormat, level_map::LevelMap};

/// The content of an
/// [`m.room.power_levels`](https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels) event
/// in a form in which checks cost a few comparisons, however many users it names.
///
/// Make it once per power-level event and keep it: the 23 µs that a check takes elsewhere in a
/// room with 100 named users, and 296 µs with 1,000, are all spent on parsing the event again.
///
/// Reading never fails. What cannot be read is left out, as if it were not there, and
/// [`PowerLevels::fault`] names it: an event with a fault is itself rejected, so that none should
/// ever be part of a room's state.
///
/// ```
/// use freehold_event::RoomVersion;
/// use freehold_event_auth::{NamedLevel, PowerLevels};
///
/// let content = r#"{"invite":25,"users":{"@alice:example.org":100}}"#;
/// let levels = PowerLevels::read(content, RoomVersion::V11);
/// assert_eq!(levels.user_level("@alice:example.org"), 100);
/// assert_eq!(levels.user_level("@bob:example.org"), 0);
/// assert_eq!(levels.level(NamedLevel::Invite), 25);
/// assert_eq!(levels.required_level("m.room.topic", Some("")), 50);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PowerLevels {
    /// Indexed by `NamedLevel as usize`.
    named: [Option<i64>; 7],
    pub(crate) events: LevelMap,
    pub(crate) notifications: LevelMap,
    pub(crate) users: LevelMap,
    faults: Faults,
}

/// What cannot be read in an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Faults {
    /// Indexed by `NamedLevel as usize`.
    named: [bool; 7],
    events: bool,
    notifications: bool,
    users: bool,
}

impl PowerLevels {
    /// Reads the content of an event of a room of the given version.
    pub fn read(content: &str, version: &RoomVersion) -> Self {
        let rules = &version.rules().authorization;
        let format = LevelFormat::of(rules);
        let mut levels = Self::default();
        for field in fields(content) {
            let Ok((key, value)) = field else {
                return Self::unreadable();
            };
            match &*key {
                "users" => levels.users = read_map(value, format, &mut levels.faults.users),
                "events" => levels.events = read_map(value, format, &mut levels.faults.events),
                // Before room version 6 no rule looks at `notifications`.
                "notifications" if rules.limit_notifications_power_levels => {
                    let fault = &mut levels.faults.notifications;
                    levels.notifications = read_map(value, format, fault);
                }
                name => levels.read_named(name, value, format),
            }
        }
        levels
    }

    /// Of a content that is no JSON object, or holds a number that no double is near.
    fn unreadable() -> Self {
        Self { faults: Faults { named: [true; 7], ..Faults::default() }, ..Self::default() }
    }

    fn read_named(&mut self, name: &str, value: RawValue<'_>, format: LevelFormat) {
        let Some(named) = NamedLevel::ALL.into_iter().find(|named| named.name() == name) else {
            return;
        };
        let level = format.read(value);
        if let Some(slot) = self.named.get_mut(named as usize) {
            *slot = level;
        }
        if let Some(fault) = self.faults.named.get_mut(named as usize) {
            *fault = level.is_none();
        }
    }

    /// The level of a user: its entry in `users`, or else `users_default`.
    ///
    /// For the power of a user in a room, creators considered, see [`Power::of_user`].
    pub fn user_level(&self, user_id: &str) -> i64 {
        self.users.level(user_id).unwrap_or_else(|| self.level(NamedLevel::UsersDefault))
    }

    /// The [*required power
    /// level*](https://spec.matrix.org/v1.19/server-server-api/#definitions) of an event: the entry
    /// of its type in `events`, or else `state_default` when it has a state key and
    /// `events_default` when it has none.
    pub fn required_level(&self, event_type: &str, state_key: Option<&str>) -> i64 {
        self.events.level(event_type).unwrap_or_else(|| self.level(NamedLevel::of_events(state_key)))
    }

    /// A named level, or its default where the event does not name it.
    pub fn level(&self, level: NamedLevel) -> i64 {
        self.named(level).unwrap_or(level.default_level())
    }

    /// A named level where the event names it.
    pub(crate) fn named(&self, level: NamedLevel) -> Option<i64> {
        self.named.get(level as usize).copied().flatten()
    }

    /// The first rule on the shape of the content that it breaks, whether its `users` are user IDs
    /// aside.
    pub fn fault(&self) -> Option<AuthRule> {
        let Faults { named, events, notifications, users } = self.faults;
        [
            (named.contains(&true), AuthRule::PowerLevelsProperty),
            (events || notifications, AuthRule::PowerLevelsMap),
            (users, AuthRule::PowerLevelsUsers),
        ]
        .into_iter()
        .find_map(|(fault, rule)| fault.then_some(rule))
    }
}

fn read_map(value: RawValue<'_>, format: LevelFormat, fault: &mut bool) -> LevelMap {
    let mut map = LevelMap::default();
    // A later member with the same key replaces an earlier one, its fault included.
    *fault = false;
    let Some(fields) = value.as_object() else {
        *fault = true;
        return map;
    };
    map = LevelMap::with_text_len(value.text().len());
    for field in fields {
        match field.ok().and_then(|(name, value)| Some((name, format.read(value)?))) {
            Some((name, level)) => map.push(&name, level),
            None => *fault = true,
        }
    }
    map.finish();
    map
}

impl NamedLevel {
    fn of_events(state_key: Option<&str>) -> Self {
        if state_key.is_some() { Self::StateDefault } else { Self::EventsDefault }
    }
}

impl Power {
    /// The power level of a creator before room version 12 while there are no power levels.
    const CREATOR: i64 = 100;

    /// The power of a user, given the create event and the power levels of a state.
    ///
    /// Creators stand above all levels from room version 12 on; before, the creator has 100 and
    /// everybody else 0 as long as there is no `m.room.power_levels` event.
    pub fn of_user(user_id: &str, create: Option<&RoomCreate>, power_levels: Option<&PowerLevels>) -> Self {
        let is_creator = || create.is_some_and(|create| create.is_creator(user_id));
        if create.is_some_and(RoomCreate::privileges_creators) && is_creator() {
            return Self::Infinite;
        }
        match power_levels {
            Some(levels) => Self::Level(levels.user_level(user_id)),
            None if is_creator() => Self::Level(Self::CREATOR),
            None => Self::Level(NamedLevel::UsersDefault.default_level()),
        }
    }
}

impl Default for &PowerLevels {
    /// The levels of a room without an `m.room.power_levels` event.
    fn default() -> Self {
        static UNSPECIFIED: PowerLevels = PowerLevels {
            named: [None; 7],
            events: LevelMap::EMPTY,
            notifications: LevelMap::EMPTY,
            users: LevelMap::EMPTY,
            faults: Faults { named: [false; 7], events: false, notifications: false, users: false },
        };
        &UNSPECIFIED
    }
}
