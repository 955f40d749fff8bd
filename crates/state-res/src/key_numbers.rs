//! Numbers for the keys of the room state.

use crate::{hashing::Map, key::Key};

/// The number of a key: the state that is being built is an array over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyNumber(u32);

impl KeyNumber {
    pub(crate) const fn position(self) -> usize {
        self.0 as usize
    }
}

/// The keys that a resolution has met, numbered as they come, so that each is hashed once and not
/// whenever it is asked about.
pub(crate) struct KeyNumbers<'a> {
    create: Option<KeyNumber>,
    power_levels: Option<KeyNumber>,
    join_rules: Option<KeyNumber>,
    members: Map<&'a str, KeyNumber>,
    others: Map<(&'a str, &'a str), KeyNumber>,
    next: u32,
}

impl<'a> KeyNumbers<'a> {
    pub(crate) fn new() -> Self {
        Self {
            create: None,
            power_levels: None,
            join_rules: None,
            members: Map::default(),
            others: Map::default(),
            next: 0,
        }
    }

    /// Makes room for this many members at once.
    pub(crate) fn expect_members(&mut self, members: usize) {
        self.members.reserve(members);
    }

    /// The number of a key that was met before.
    pub(crate) fn get(&self, key: Key<'_>) -> Option<KeyNumber> {
        match key {
            Key::Create => self.create,
            Key::PowerLevels => self.power_levels,
            Key::JoinRules => self.join_rules,
            Key::Member(user_id) => self.members.get(user_id).copied(),
            Key::Other(event_type, state_key) => self.others.get(&(event_type, state_key)).copied(),
        }
    }

    /// The number of a key, given to it now if it has none.
    pub(crate) fn number(&mut self, key: Key<'a>) -> KeyNumber {
        // There are no more keys than events, whose nodes are `u32`s too.
        let new = KeyNumber(self.next);
        let number = match key {
            Key::Create => *self.create.get_or_insert(new),
            Key::PowerLevels => *self.power_levels.get_or_insert(new),
            Key::JoinRules => *self.join_rules.get_or_insert(new),
            Key::Member(user_id) => *self.members.entry(user_id).or_insert(new),
            Key::Other(event_type, state_key) => *self.others.entry((event_type, state_key)).or_insert(new),
        };
        self.next = self.next.saturating_add(u32::from(number == new));
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_number_and_no_two_have_the_same() {
        let mut numbers = KeyNumbers::new();
        let keys = [
            Key::Create,
            Key::PowerLevels,
            Key::JoinRules,
            Key::Member("@alice:example.org"),
            Key::Member(""),
            Key::Other("m.room.topic", ""),
            Key::Other("m.room.topic", "@alice:example.org"),
            Key::Other("", "m.room.topic"),
        ];
        assert!(keys.iter().all(|key| numbers.get(*key).is_none()));
        let given: Vec<_> = keys.iter().map(|key| numbers.number(*key)).collect();
        assert_eq!(
            given.iter().map(|number| number.position()).collect::<Vec<_>>(),
            (0..8).collect::<Vec<_>>()
        );
        for (key, number) in keys.iter().zip(given) {
            assert_eq!((numbers.number(*key), numbers.get(*key)), (number, Some(number)));
        }
    }
}
