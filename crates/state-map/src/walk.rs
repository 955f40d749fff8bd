//! Enumeration in the order of keys and in the order of generations.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::slice;

use crate::map::Entry;
use crate::node::{Body, Node, Region};
use crate::store::{LoadError, NodeId, NodeStore};

/// The entries of a map in the order of keys.
pub(crate) struct Iter<'a, S> {
    nodes: &'a S,
    items: slice::Iter<'a, (u64, Entry)>,
    /// Subtrees still to come, the next one last.
    ahead: Vec<&'a Node>,
}

impl<'a, S: NodeStore> Iter<'a, S> {
    pub(crate) fn new(root: &'a Node, nodes: &'a S) -> Iter<'a, S> {
        Iter { nodes, items: [].iter(), ahead: vec![root] }
    }
}

impl<S: NodeStore> Iterator for Iter<'_, S> {
    type Item = Result<(u64, Entry), LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(Ok(*item));
            }
            match self.ahead.pop()?.body(self.nodes) {
                Ok(Body::Leaf(items)) => self.items = items.iter(),
                Ok(Body::Branch(branch)) => {
                    self.ahead.extend(branch.children.iter().rev().flatten().map(AsRef::as_ref));
                }
                Err(error) => {
                    self.ahead.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The uppermost nodes that cannot be read because the store does not have them.
pub(crate) fn missing(root: &Node, nodes: &impl NodeStore) -> Result<Vec<NodeId>, LoadError> {
    let (mut ahead, mut missing) = (vec![root], Vec::new());
    while let Some(node) = ahead.pop() {
        match node.body(nodes) {
            Ok(Body::Leaf(_)) => {}
            Ok(Body::Branch(branch)) => ahead.extend(branch.children.iter().flatten().map(AsRef::as_ref)),
            Err(LoadError::Missing { id }) => missing.push(id),
            Err(error) => return Err(error),
        }
    }
    Ok(missing)
}

/// The entries of a map from the highest generation down.
pub(crate) struct HighestFirst<'a, S> {
    nodes: &'a S,
    above: Option<u64>,
    ahead: BinaryHeap<Ahead<'a>>,
}

struct Ahead<'a> {
    /// The generation of the entry, or the greatest one in the subtree.
    generation: u64,
    /// The key of the entry, or a lower bound of the keys in the subtree.
    key: u64,
    what: What<'a>,
}

enum What<'a> {
    Entry(Entry),
    Subtree(&'a Node),
}

impl<'a, S: NodeStore> HighestFirst<'a, S> {
    pub(crate) fn new(root: &'a Node, above: Option<u64>, nodes: &'a S) -> HighestFirst<'a, S> {
        let mut this = HighestFirst { nodes, above, ahead: BinaryHeap::new() };
        if root.summary().len > 0 {
            this.push(root.summary().max_generation, Region::ALL.prefix, What::Subtree(root));
        }
        this
    }

    fn push(&mut self, generation: u64, key: u64, what: What<'a>) {
        if self.above.is_none_or(|above| generation > above) {
            self.ahead.push(Ahead { generation, key, what });
        }
    }

    fn expand(&mut self, node: &'a Node) -> Result<(), LoadError> {
        match node.body(self.nodes)? {
            Body::Leaf(items) => {
                for (key, entry) in items {
                    self.push(entry.generation, *key, What::Entry(*entry));
                }
            }
            Body::Branch(branch) => {
                for (nibble, child) in branch.children.iter().enumerate() {
                    if let Some(child) = child {
                        let lowest = branch.region.slot(nibble).prefix;
                        self.push(child.summary().max_generation, lowest, What::Subtree(child));
                    }
                }
            }
        }
        Ok(())
    }
}

impl<S: NodeStore> Iterator for HighestFirst<'_, S> {
    type Item = Result<(u64, Entry), LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = self.ahead.pop()?;
            match next.what {
                What::Entry(entry) => return Some(Ok((next.key, entry))),
                What::Subtree(node) => {
                    if let Err(error) = self.expand(node) {
                        self.ahead.clear();
                        return Some(Err(error));
                    }
                }
            }
        }
    }
}

impl Ahead<'_> {
    /// Highest generation first, then lowest key; a subtree before the entry that may be equal to
    /// its first one.
    fn rank(&self) -> (u64, Reverse<u64>, bool) {
        (self.generation, Reverse(self.key), matches!(self.what, What::Subtree(_)))
    }
}

impl Ord for Ahead<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Ahead<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ahead<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ahead<'_> {}
