//! Finding events by their keys among those that an event cites.

use freehold_event::EventSource;

use crate::{error::Failure, graph::Graph, key::Key, node_map::Node};

impl<S: EventSource> Graph<'_, S> {
    /// The `m.room.power_levels` event in the `auth_events` of an event.
    pub(crate) fn power_levels_cited(&mut self, node: Node) -> Result<Option<Node>, Failure<S::Id>> {
        self.cited(node, Key::PowerLevels)
    }

    /// The first event in the `auth_events` of an event that has this key.
    pub(crate) fn cited(&mut self, node: Node, key: Key<'_>) -> Result<Option<Node>, Failure<S::Id>> {
        self.find_cited(node, |graph, auth_event| graph.has_key(auth_event, key))
    }

    /// The first event in the `auth_events` of an event that has this key and was not rejected.
    pub(crate) fn cited_and_not_rejected(
        &mut self,
        node: Node,
        key: Key<'_>,
    ) -> Result<Option<Node>, Failure<S::Id>> {
        self.find_cited(node, |graph, auth_event| {
            graph.has_key(auth_event, key) && !graph.is_rejected(auth_event)
        })
    }

    /// The first event in the `auth_events` of an event that has the same key as that event and was
    /// not rejected.
    pub(crate) fn cited_on_own_key(&mut self, node: Node) -> Result<Option<Node>, Failure<S::Id>> {
        self.find_cited(node, |graph, auth_event| {
            graph.have_same_key(node, auth_event) && !graph.is_rejected(auth_event)
        })
    }

    #[inline]
    fn find_cited(
        &mut self,
        node: Node,
        is_wanted: impl Fn(&Self, Node) -> bool,
    ) -> Result<Option<Node>, Failure<S::Id>> {
        for position in self.links(node)? {
            let auth_event = self.link(position);
            self.load(auth_event)?;
            if is_wanted(self, auth_event) {
                return Ok(Some(auth_event));
            }
        }
        Ok(None)
    }

    /// Whether an event that was read was rejected on receipt.
    pub(crate) fn is_rejected(&self, node: Node) -> bool {
        self.loaded(node).is_some_and(|event| event.rejected)
    }
}
