//! The queue of one tenant to one server.

use std::collections::VecDeque;

use freehold_store::EventNumber;

use super::ephemeral::Ephemeral;
use super::progress::At;
use crate::limits::QUEUED_EVENTS_MAX;

/// What waits to be sent from one tenant to one server.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Events in order, when the queue keeps up.
    events: VecDeque<(At, EventNumber)>,
    /// Whether what is to be sent is read from the log instead, because it did not come through.
    pub(super) behind: Option<At>,
    /// Whether there may be messages in their table.
    pub(super) has_messages: bool,
    /// Typing and receipts.
    pub(super) ephemeral: Ephemeral,
    /// Whether somebody sends.
    pub(super) sending: bool,
}

impl Queue {
    /// Adds an event; `false` if it is not held, because the queue reads it from the log later.
    pub(super) fn push(&mut self, at: At, event: EventNumber) -> bool {
        if self.behind.is_some() {
            return false;
        }
        self.events.push_back((at, event));
        true
    }

    /// Whether more waits than is held in memory.
    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= QUEUED_EVENTS_MAX
    }

    /// The next events.
    pub(super) fn next(&self, limit: usize) -> Vec<(At, EventNumber)> {
        self.events.iter().take(limit).copied().collect()
    }

    /// Some events went through.
    pub(super) fn sent(&mut self, count: usize) {
        self.events.drain(..count.min(self.events.len()));
    }

    /// Lets go of the events: from now on they are read from the log, from after `at`.
    pub(super) fn fall_behind(&mut self, at: At) -> Vec<At> {
        self.behind = Some(self.behind.map_or(at, |behind| behind.min(at)));
        self.ephemeral.clear();
        self.events.drain(..).map(|(at, _)| at).collect()
    }

    /// The first event that is held.
    pub(super) fn first(&self) -> Option<At> {
        self.events.front().map(|(at, _)| *at)
    }

    /// Whether there is nothing to send.
    pub(super) fn is_idle(&self) -> bool {
        self.events.is_empty() && self.behind.is_none() && !self.has_messages && self.ephemeral.is_empty()
    }
}
