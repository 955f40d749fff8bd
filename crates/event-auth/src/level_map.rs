//! A compact map from names to power levels.

/// Levels by name, sorted by name, with all names in one buffer: two allocations however many
/// entries there are.
///
/// Events carry their members in canonical order as a rule, so that nothing has to be sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LevelMap {
    names: String,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Where the name lies in the buffer.
    start: u32,
    end: u32,
    level: i64,
}

impl LevelMap {
    /// No entries.
    pub(crate) const EMPTY: Self = Self { names: String::new(), entries: Vec::new() };

    /// An empty map with room for what this many bytes of JSON can hold.
    pub(crate) fn with_text_len(len: usize) -> Self {
        Self { names: String::with_capacity(len), entries: Vec::with_capacity(len / 32) }
    }

    /// Adds an entry; call [`LevelMap::finish`] before anything is looked up.
    ///
    /// A name beyond 4 GiB of names is dropped; no event is that long.
    pub(crate) fn push(&mut self, name: &str, level: i64) {
        let start = self.names.len();
        self.names.push_str(name);
        if let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(self.names.len())) {
            self.entries.push(Entry { start, end, level });
        }
    }

    /// Brings the entries into order. Of entries with the same name the last one counts.
    pub(crate) fn finish(&mut self) {
        let names = &self.names;
        let name = |entry: &Entry| name_in(names, entry);
        if self.entries.is_sorted_by(|one, next| name(one) < name(next)) {
            return;
        }
        // The sort is stable: the last of several equal names stays last, then comes first, and
        // is what `dedup_by` keeps.
        self.entries.reverse();
        self.entries.sort_by(|one, other| name(one).cmp(name(other)));
        self.entries.dedup_by(|next, kept| name(next) == name(kept));
    }

    /// The level under a name.
    pub(crate) fn level(&self, name: &str) -> Option<i64> {
        let found = self.entries.binary_search_by(|entry| name_in(&self.names, entry).cmp(name));
        found.ok().and_then(|index| self.entries.get(index)).map(|entry| entry.level)
    }

    /// The entries, in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.entries.iter().map(|entry| (name_in(&self.names, entry), entry.level))
    }
}

fn name_in<'a>(names: &'a str, entry: &Entry) -> &'a str {
    names.get(entry.start as usize..entry.end as usize).unwrap_or_default()
}

/// An entry that two maps do not agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alteration<'a> {
    pub(crate) name: &'a str,
    /// The level in the first map.
    pub(crate) current: Option<i64>,
    /// The level in the second map.
    pub(crate) new: Option<i64>,
}

/// The entries added, changed or removed between two maps, in the order of their names.
pub(crate) fn alterations<'a>(
    current: &'a LevelMap,
    new: &'a LevelMap,
) -> impl Iterator<Item = Alteration<'a>> {
    let mut current = current.iter().peekable();
    let mut new = new.iter().peekable();
    std::iter::from_fn(move || {
        let next = match (current.peek(), new.peek()) {
            (None, None) => return None,
            (Some(&(name, _)), None) => name,
            (None, Some(&(name, _))) => name,
            (Some(&(one, _)), Some(&(other, _))) => one.min(other),
        };
        let level = |(_, level): (&str, i64)| level;
        Some(Alteration {
            name: next,
            current: current.next_if(|(name, _)| *name == next).map(level),
            new: new.next_if(|(name, _)| *name == next).map(level),
        })
    })
    .filter(|alteration| alteration.current != alteration.new)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn map_of(entries: &[(String, i64)]) -> LevelMap {
        let mut map = LevelMap::with_text_len(0);
        for (name, level) in entries {
            map.push(name, *level);
        }
        map.finish();
        map
    }

    fn entries() -> impl Strategy<Value = Vec<(String, i64)>> {
        prop::collection::vec(("[a-c]{0,2}", 0_i64..4), 0..12)
    }

    #[test]
    fn entries_that_all_have_one_name_are_one_entry() {
        let map = map_of(&[("a".into(), 1), ("a".into(), 2)]);
        assert_eq!(map.iter().collect::<Vec<_>>(), [("a", 2)]);
    }

    proptest! {
        #[test]
        fn a_level_map_is_a_map_in_which_the_last_entry_counts(entries in entries()) {
            let map = map_of(&entries);
            let expected: BTreeMap<String, i64> = entries.iter().cloned().collect();
            let listed: Vec<(String, i64)> =
                map.iter().map(|(name, level)| (name.to_owned(), level)).collect();
            prop_assert_eq!(listed, expected.clone().into_iter().collect::<Vec<_>>());
            for (name, _) in &entries {
                prop_assert_eq!(map.level(name), expected.get(name).copied());
            }
            prop_assert_eq!(map.level("d"), None);
        }

        #[test]
        fn alterations_are_the_entries_on_which_two_maps_differ(
            current in entries(),
            new in entries(),
        ) {
            let (current, new) = (map_of(&current), map_of(&new));
            let found: Vec<_> = alterations(&current, &new).collect();
            let mut names: Vec<&str> =
                current.iter().chain(new.iter()).map(|(name, _)| name).collect();
            names.sort_unstable();
            names.dedup();
            let expected: Vec<_> = names
                .into_iter()
                .map(|name| Alteration {
                    name,
                    current: current.level(name),
                    new: new.level(name),
                })
                .filter(|alteration| alteration.current != alteration.new)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
