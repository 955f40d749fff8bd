//! The conflicted state set.

use std::borrow::Borrow;

use freehold_event::EventSource;

use crate::{
    ResolveError,
    forks::Forks,
    graph::Graph,
    node_map::{Node, NodeMap},
};

/// So many events are read together.
const BATCH: usize = 32;

/// The conflicted state set: the events of the keys on which the forks disagree.
pub(crate) struct Conflict {
    /// One for each fork and conflicted key that it has; the entries of a key together.
    pub(crate) entries: Vec<Entry>,
    /// The events, each once.
    pub(crate) events: Vec<Node>,
    pub(crate) is_conflicted: NodeMap<bool>,
}

pub(crate) struct Entry {
    pub(crate) key: usize,
    pub(crate) fork: usize,
    pub(crate) node: Node,
}

impl Conflict {
    pub(crate) fn read<S: EventSource, F: Forks<S::Id>>(
        graph: &mut Graph<'_, S>,
        forks: &F,
    ) -> Result<Self, ResolveError<S::Id>> {
        let mut conflict = Self { entries: Vec::new(), events: Vec::new(), is_conflicted: NodeMap::new() };
        let entries = forks.conflicted().count();
        graph.expect_events(entries.saturating_add(entries / 2));
        conflict.entries.reserve(entries);
        conflict.events.reserve(entries);
        let mut conflicted = forks.conflicted();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            batch.extend(conflicted.by_ref().take(BATCH));
            if batch.is_empty() {
                break;
            }
            let nodes = graph.enter_together(batch.iter().map(|entry| entry.event.borrow()))?;
            for (entry, node) in batch.drain(..).zip(nodes) {
                if let Some(generation) = entry.generation {
                    graph.set_generation(node, generation);
                }
                conflict.add(Entry { key: entry.key, fork: entry.fork, node });
            }
        }
        graph.complete()?;
        Ok(conflict)
    }

    fn add(&mut self, entry: Entry) {
        if !self.is_conflicted.get(entry.node) {
            self.is_conflicted.set(entry.node, true);
            self.events.push(entry.node);
        }
        self.entries.push(entry);
    }

    /// One entry for each key.
    pub(crate) fn first_of_keys(&self) -> impl Iterator<Item = &Entry> {
        self.entries.chunk_by(|a, b| a.key == b.key).filter_map(|key| key.first())
    }
}
