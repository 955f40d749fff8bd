//! JSON objects: members in canonical order.

use std::{borrow::Cow, slice, vec};

use crate::{Sink, Value, string::write_string};

/// The members of a JSON object, sorted by key in canonical order (Unicode code points, which is
/// the byte order of UTF-8), each key once.
///
/// Look-up is a binary search. Inserting moves the members behind the new one: to build a large
/// object, collect it from an iterator.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Object<'a> {
    // INVARIANT: strictly ascending by key.
    members: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Object<'a> {
    /// An object without members.
    pub const fn new() -> Self {
        Self { members: Vec::new() }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether a key is there.
    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_ok()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        let at = self.find(key).ok()?;
        self.members.get(at).map(|(_, value)| value)
    }

    /// The value of a key, for change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value<'a>> {
        let at = self.find(key).ok()?;
        self.members.get_mut(at).map(|(_, value)| value)
    }

    /// Sets the value of a key; returns the one before.
    pub fn insert(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) -> Option<Value<'a>> {
        let (key, value) = (key.into(), value.into());
        match self.find(&key) {
            Ok(at) => {
                let slot = self.members.get_mut(at)?;
                Some(std::mem::replace(&mut slot.1, value))
            }
            Err(at) => {
                self.members.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes a member out; returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Value<'a>> {
        let at = self.find(key).ok()?;
        Some(self.members.remove(at).1)
    }

    /// Keeps the members for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value<'a>) -> bool) {
        self.members.retain_mut(|(key, value)| keep(key, value));
    }

    /// Takes all members out.
    pub fn clear(&mut self) {
        self.members.clear();
    }

    /// The members in canonical order.
    pub fn iter(&self) -> Iter<'_, 'a> {
        Iter { members: self.members.iter() }
    }

    /// The keys in canonical order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value<'a>> {
        self.iter().map(|(_, value)| value)
    }

    /// Feeds the canonical form to a sink.
    pub fn write_canonical(&self, sink: &mut impl Sink) {
        self.write_canonical_if(|_| true, sink);
    }

    /// Feeds the canonical form of the object without some of its members to a sink, as hashes and
    /// signatures want it, without changing the object.
    pub fn write_canonical_if(&self, mut keep: impl FnMut(&str) -> bool, sink: &mut impl Sink) {
        let mut separator: &[u8] = b"{";
        for (key, value) in self.iter().filter(|(key, _)| keep(key)) {
            sink.write(separator);
            write_string(key, sink);
            sink.write(b":");
            value.write_canonical(sink);
            separator = b",";
        }
        sink.write(if separator == b"{" { b"{}" } else { b"}" });
    }

    /// The canonical form.
    pub fn to_canonical_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_canonical(&mut out);
        out
    }

    /// The same object, borrowing from nothing.
    pub fn into_owned(self) -> Object<'static> {
        let members = self.members.into_iter();
        let owned = members.map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned()));
        Object { members: owned.collect() }
    }

    /// An object from members in the order of a text; of duplicates the last one counts.
    pub(crate) fn from_members(mut members: Vec<(Cow<'a, str>, Value<'a>)>) -> Self {
        if !members.is_sorted_by(|a, b| a.0 < b.0) {
            // A stable sort leaves duplicates in the order in which they came.
            members.sort_by(|a, b| a.0.cmp(&b.0));
            members.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    std::mem::swap(later, earlier);
                }
                same
            });
        }
        Self { members }
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.members.binary_search_by(|(own, _)| own.as_ref().cmp(key))
    }
}

/// The members of an [`Object`] in canonical order.
#[derive(Clone, Debug)]
pub struct Iter<'o, 'a> {
    members: slice::Iter<'o, (Cow<'a, str>, Value<'a>)>,
}

impl<'o, 'a> Iterator for Iter<'o, 'a> {
    type Item = (&'o str, &'o Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.members.next().map(|(key, value)| (key.as_ref(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.members.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_, '_> {}

impl DoubleEndedIterator for Iter<'_, '_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.members.next_back().map(|(key, value)| (key.as_ref(), value))
    }
}

impl<'o, 'a> IntoIterator for &'o Object<'a> {
    type Item = (&'o str, &'o Value<'a>);
    type IntoIter = Iter<'o, 'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for Object<'a> {
    type Item = (Cow<'a, str>, Value<'a>);
    type IntoIter = vec::IntoIter<(Cow<'a, str>, Value<'a>)>;

    fn into_iter(self) -> Self::IntoIter {
        self.members.into_iter()
    }
}

/// Of several members with the same key the last one counts.
impl<'a, K: Into<Cow<'a, str>>, V: Into<Value<'a>>> FromIterator<(K, V)> for Object<'a> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        let members = members.into_iter();
        Self::from_members(members.map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// Of several members with the same key the last one counts.
impl<'a, K: Into<Cow<'a, str>>, V: Into<Value<'a>>> Extend<(K, V)> for Object<'a> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, members: I) {
        let mut all = std::mem::take(&mut self.members);
        all.extend(members.into_iter().map(|(key, value)| (key.into(), value.into())));
        *self = Self::from_members(all);
    }
}
