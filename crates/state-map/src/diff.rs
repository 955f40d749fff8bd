//! What differs between snapshots, found without looking at what they share.

use std::sync::Arc;

use crate::map::Entry;
use crate::node::{Body, Branch, FAN_OUT, NIBBLES, Node, common_nibbles, nibble};
use crate::store::{LoadError, NodeStore};

/// One key that two snapshots disagree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: u64,
    /// Its entry in the older map.
    pub old: Option<Entry>,
    /// Its entry in the newer map.
    pub new: Option<Entry>,
}

/// The keys that several snapshots disagree on: one row for each key, one column for each snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differences {
    width: usize,
    keys: Vec<u64>,
    entries: Vec<Option<Entry>>,
}

impl Differences {
    /// Number of keys that differ.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether all snapshots hold the same.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that differ, in order, each with its entry in every snapshot (in the order in which the
    /// snapshots were given).
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u64, &[Option<Entry>])> {
        self.keys.iter().copied().zip(self.entries.chunks_exact(self.width.max(1)))
    }
}

/// Room is made at once for so many rows.
const USUAL: usize = 32;

/// The rows on which the tries below `roots` differ.
///
/// The work is proportional to the rows found and the paths to them: a subtree that all tries share
/// is skipped at its top, and where one trie has a leaf and another a branch, all but a leaf's
/// worth of the branch are rows.
pub(crate) fn differences<'a>(
    roots: impl Iterator<Item = &'a Arc<Node>>,
    nodes: &impl NodeStore,
) -> Result<Differences, LoadError> {
    let cursors: Vec<Cursor<'a>> = roots.map(Cursor::Node).collect();
    let mut found = Differences { width: cursors.len(), keys: Vec::new(), entries: Vec::new() };
    if !Cursor::are_same(&cursors) {
        found.keys.reserve(USUAL);
        found.entries.reserve(USUAL.saturating_mul(found.width));
    }
    let mut walk = Walk { nodes, found };
    walk.region(&cursors)?;
    Ok(walk.found)
}

/// What one snapshot holds in the region being compared, not looked into yet.
#[derive(Clone, Copy)]
enum Cursor<'a> {
    Items(&'a [(u64, Entry)]),
    Node(&'a Arc<Node>),
}

/// The same, loaded.
enum View<'a> {
    Items(&'a [(u64, Entry)]),
    Branch(&'a Arc<Node>, &'a Branch),
}

struct Walk<'s, S> {
    nodes: &'s S,
    found: Differences,
}

impl<S: NodeStore> Walk<'_, S> {
    fn region(&mut self, cursors: &[Cursor<'_>]) -> Result<(), LoadError> {
        if Cursor::are_same(cursors) {
            return Ok(());
        }
        let views = cursors.iter().map(|cursor| cursor.view(self.nodes)).collect::<Result<Vec<_>, _>>()?;
        let Some(depth) = depth_of_split(&views) else {
            self.merge(&views);
            return Ok(());
        };
        let mut parts = Vec::with_capacity(views.len());
        for nibble in 0..FAN_OUT {
            parts.clear();
            parts.extend(views.iter().map(|view| view.part(depth, nibble)));
            self.region(&parts)?;
        }
        Ok(())
    }

    /// Compares regions that are all down to entries.
    fn merge(&mut self, views: &[View<'_>]) {
        let mut rest: Vec<&[(u64, Entry)]> = views
            .iter()
            .map(|view| match view {
                View::Items(items) => *items,
                // Not met: a branch always has a depth of split.
                View::Branch(..) => &[],
            })
            .collect();
        while let Some(key) = rest.iter().filter_map(|items| items.first()).map(|(key, _)| *key).min() {
            let start = self.found.entries.len();
            for items in &mut rest {
                let entry = take_key(items, key);
                self.found.entries.push(entry);
            }
            let row = self.found.entries.get(start..).unwrap_or(&[]);
            if row.iter().all(|entry| row.first() == Some(entry)) {
                self.found.entries.truncate(start);
            } else {
                self.found.keys.push(key);
            }
        }
    }
}

/// Takes the first item off `items` if it is that of `key`.
fn take_key(items: &mut &[(u64, Entry)], key: u64) -> Option<Entry> {
    match items.split_first() {
        Some(((first, entry), rest)) if *first == key => {
            *items = rest;
            Some(*entry)
        }
        _ => None,
    }
}

/// The first nibble in which the keys of the views differ, if one of them is a branch.
fn depth_of_split(views: &[View<'_>]) -> Option<u8> {
    let mut depth: Option<u8> = None;
    let mut anchor: Option<u64> = None;
    let mut narrowed = NIBBLES;
    for view in views {
        let (first, last) = match view {
            View::Items([]) => continue,
            View::Items([(only, _)]) => (*only, *only),
            View::Items([(first, _), .., (last, _)]) => (*first, *last),
            View::Branch(_, branch) => {
                let shallowest = depth.map_or(branch.region.depth, |depth| depth.min(branch.region.depth));
                depth = Some(shallowest);
                (branch.region.prefix, branch.region.prefix)
            }
        };
        let anchor = *anchor.get_or_insert(first);
        narrowed = narrowed.min(common_nibbles(anchor, first)).min(common_nibbles(anchor, last));
    }
    depth.map(|depth| depth.min(narrowed))
}

impl<'a> Cursor<'a> {
    fn are_same(cursors: &[Cursor<'_>]) -> bool {
        cursors.iter().zip(cursors.iter().skip(1)).all(|pair| match pair {
            (Cursor::Node(a), Cursor::Node(b)) => Node::is_same(a, b),
            (Cursor::Items(a), Cursor::Items(b)) => a == b,
            _ => false,
        })
    }

    fn view(&self, nodes: &impl NodeStore) -> Result<View<'a>, LoadError> {
        Ok(match *self {
            Cursor::Items(items) => View::Items(items),
            Cursor::Node(node) => match node.body(nodes)? {
                Body::Leaf(items) => View::Items(items),
                Body::Branch(branch) => View::Branch(node, branch),
            },
        })
    }
}

impl<'a> View<'a> {
    /// What this holds of the keys with `value` in the nibble after `depth` others (which all keys here share).
    fn part(&self, depth: u8, value: usize) -> Cursor<'a> {
        const NOTHING: Cursor<'static> = Cursor::Items(&[]);
        match self {
            View::Items(items) => {
                let start = items.partition_point(|(key, _)| nibble(*key, depth) < value);
                let end = items.partition_point(|(key, _)| nibble(*key, depth) <= value);
                Cursor::Items(items.get(start..end).unwrap_or(&[]))
            }
            View::Branch(_, branch) if branch.region.depth == depth => {
                branch.children.get(value).and_then(Option::as_ref).map_or(NOTHING, Cursor::Node)
            }
            View::Branch(node, branch) if nibble(branch.region.prefix, depth) == value => Cursor::Node(node),
            View::Branch(..) => NOTHING,
        }
    }
}
