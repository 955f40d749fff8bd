//! The conflicted state set.

use std::borrow::Borrow;

use freehold_event::EventSource;

use crate::{
    error::Failure,
    forks::Forks,
    graph::Graph,
    key::KeyNumber,
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
    /// How many keys there are.
    pub(crate) keys: usize,
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
    ) -> Result<Self, Failure<S::Id>> {
        let entries = forks.conflicted().count();
        let mut conflict = Self {
            entries: Vec::with_capacity(entries),
            events: Vec::with_capacity(entries),
            is_conflicted: NodeMap::for_nodes(entries),
            keys: 0,
        };
        graph.expect_events(entries.saturating_add(entries / 2).saturating_add(BATCH));
        let mut conflicted = forks.conflicted();
        let (mut batch, mut nodes) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        loop {
            batch.extend(conflicted.by_ref().take(BATCH));
            if batch.is_empty() {
                break;
            }
            graph.enter_together(batch.iter().map(|entry| entry.event.borrow()), &mut nodes)?;
            for (entry, node) in batch.drain(..).zip(&nodes) {
                if let Some(generation) = entry.generation {
                    graph.set_generation(*node, generation);
                }
                conflict.add(graph, Entry { key: entry.key, fork: entry.fork, node: *node });
            }
        }
        graph.complete()?;
        Ok(conflict)
    }

    fn add<S: EventSource>(&mut self, graph: &mut Graph<'_, S>, entry: Entry) {
        if self.entries.last().is_none_or(|last| last.key != entry.key) {
            self.keys += 1;
        }
        if !self.is_conflicted.get(entry.node) {
            self.is_conflicted.set(entry.node, true);
            self.events.push(entry.node);
            graph.set_key_number(entry.node, KeyNumber::new(self.keys - 1));
        }
        self.entries.push(entry);
    }

    /// One entry for each key, in the order of their numbers.
    pub(crate) fn first_of_keys(&self) -> impl Iterator<Item = &Entry> {
        self.entries.chunk_by(|a, b| a.key == b.key).filter_map(|key| key.first())
    }
}
