//! The queue of one tenant to one server.

use std::collections::VecDeque;

use freehold_store::EventNumber;

use super::ephemeral::Ephemeral;
use super::progress::{At, BEGINNING, before};
use crate::limits::QUEUED_EVENTS_MAX;

/// What waits to be sent from one tenant to one server.
#[derive(Debug)]
pub(super) struct Queue {
    /// Events in order, when the queue keeps up.
    events: VecDeque<(At, EventNumber)>,
    /// Up to where the server has the log, if what it is to have is read from there.
    behind: Option<At>,
    /// What was read from the log before the queue kept up; it does not come again.
    read_up_to: At,
    /// What the store says of `behind`.
    pub(super) written: Option<At>,
    /// Whether there may be messages in their table.
    pub(super) has_messages: bool,
    /// Whether there may be more of them than when they were last counted.
    pub(super) has_more_messages: bool,
    /// Whether there may be device lists or signing keys in their tables.
    pub(super) has_lists: bool,
    /// Whether there may be last events of rooms, of the time when the server was given up.
    pub(super) has_missed: bool,
    /// Whether it was written down since when messages wait.
    pub(super) has_waited: bool,
    /// Whether the first messages may have been sent, and nothing came back: they are sent together as they were.
    pub(super) may_have_sent: bool,
    /// Typing and receipts.
    pub(super) ephemeral: Ephemeral,
    /// Whether somebody sends, or is about to.
    pub(super) is_busy: bool,
    /// Whether whoever sends waits for the server: events that come meanwhile are not held.
    is_waiting: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Queue {
            events: VecDeque::new(),
            behind: None,
            read_up_to: BEGINNING,
            written: None,
            has_messages: false,
            has_more_messages: true,
            has_lists: false,
            has_missed: false,
            has_waited: false,
            may_have_sent: false,
            ephemeral: Ephemeral::default(),
            is_busy: false,
            is_waiting: false,
        }
    }
}

impl Queue {
    /// Adds an event; `false` if it is not held, because the queue reads it from the log or has done so.
    pub(super) fn push(&mut self, at: At, event: EventNumber) -> bool {
        if self.behind.is_some() || at <= self.read_up_to {
            return false;
        }
        self.events.push_back((at, event));
        true
    }

    /// Whether no event is held in memory any more, as there are too many, or the server is waited for.
    pub(super) fn is_full(&self) -> bool {
        self.is_waiting || self.events.len() >= QUEUED_EVENTS_MAX
    }

    /// The next events.
    pub(super) fn next(&self, limit: usize) -> Vec<(At, EventNumber)> {
        self.events.iter().take(limit).copied().collect()
    }

    /// Events went through up to a place. Those that are no longer held.
    pub(super) fn sent(&mut self, up_to: At) -> Vec<At> {
        if let Some(behind) = &mut self.behind {
            *behind = up_to.max(*behind);
            return Vec::new();
        }
        let count = self.events.iter().take_while(|(at, _)| *at <= up_to).count();
        self.events.drain(..count).map(|(at, _)| at).collect()
    }

    /// Lets go of the events: from now on they are read from the log. `dispatched` is the last event that queues were given.
    /// Those that are no longer held.
    pub(super) fn fall_behind(&mut self, dispatched: At) -> Vec<At> {
        self.ephemeral.clear();
        if self.behind.is_none() {
            self.behind = Some(self.events.front().map_or(dispatched, |(at, _)| before(*at)));
        }
        let held = std::mem::take(&mut self.events);
        held.into_iter().map(|(at, _)| at).collect()
    }

    /// The server is waited for. A queue that holds no events does not fall behind by that: what others need of the log has
    /// nothing to do with it. Those that are no longer held.
    pub(super) fn begin_to_wait(&mut self) -> Vec<At> {
        self.is_waiting = true;
        self.ephemeral.clear();
        match self.events.front() {
            Some((first, _)) => self.fall_behind(before(*first)),
            None => Vec::new(),
        }
    }

    /// The server may be spoken to again.
    pub(super) fn end_to_wait(&mut self) {
        self.is_waiting = false;
    }

    /// Whether typing and receipts are told now: who does not answer now need not hear later that somebody typed.
    pub(super) fn hears(&self) -> bool {
        self.behind.is_none() && !self.is_waiting
    }

    /// The log was read to its end: from now on events come as they happen.
    pub(super) fn keep_up(&mut self, read_up_to: At) {
        self.behind = None;
        self.read_up_to = read_up_to;
    }

    /// Goes on where an earlier run of this process wrote down that it was.
    pub(super) fn resume_behind(&mut self, at: At) {
        (self.behind, self.written) = (Some(at), Some(at));
    }

    /// Up to where the server has the log, if the queue does not keep up.
    pub(super) fn behind(&self) -> Option<At> {
        self.behind
    }

    /// Whether there is nothing to send.
    pub(super) fn is_idle(&self) -> bool {
        let has_rows = self.has_messages || self.has_lists || self.has_missed;
        self.events.is_empty() && self.behind.is_none() && !has_rows && self.ephemeral.is_empty()
    }

    /// Whether nothing has to be remembered of it.
    pub(super) fn is_forgettable(&self) -> bool {
        self.is_idle() && !self.is_busy && self.written.is_none()
    }
}

#[cfg(test)]
mod tests {
    use freehold_store::Position;

    use super::*;

    const fn at(position: u64) -> At {
        (Position(position), 0)
    }

    fn queue(positions: &[u64]) -> Queue {
        let mut queue = Queue::default();
        positions.iter().for_each(|position| assert!(queue.push(at(*position), EventNumber(*position))));
        queue
    }

    #[test]
    fn what_is_sent_while_the_queue_falls_behind_is_not_read_again() {
        let mut queue = queue(&[3, 5, 8]);
        assert_eq!(queue.next(2).len(), 2);
        assert_eq!(queue.fall_behind(at(8)), [at(3), at(5), at(8)]);
        assert_eq!(queue.behind(), Some(before(at(3))));
        assert_eq!(queue.sent(at(5)), [], "they were let go of once");
        assert_eq!(queue.behind(), Some(at(5)));
        assert_eq!(queue.sent(at(4)), []);
        assert_eq!(queue.behind(), Some(at(5)), "it never goes back");
    }

    #[test]
    fn a_queue_that_waits_falls_behind_with_the_first_event() {
        let mut waiting = queue(&[]);
        waiting.begin_to_wait();
        assert_eq!((waiting.behind(), waiting.is_full(), waiting.hears()), (None, true, false));
        waiting.fall_behind(at(4));
        assert!(!waiting.push(at(5), EventNumber(5)));
        assert_eq!(waiting.behind(), Some(at(4)));
        let mut waiting = queue(&[3, 5]);
        assert_eq!(waiting.begin_to_wait(), [at(3), at(5)]);
        assert_eq!(waiting.behind(), Some(before(at(3))));
        waiting.end_to_wait();
        assert!(!waiting.is_full() && !waiting.hears());
    }

    #[test]
    fn an_empty_queue_falls_behind_after_what_was_dispatched() {
        let mut queue = Queue::default();
        queue.fall_behind(at(9));
        assert_eq!(queue.behind(), Some(at(9)));
        assert!(!queue.push(at(10), EventNumber(10)));
        queue.keep_up(at(12));
        assert!(!queue.push(at(12), EventNumber(12)), "it was read from the log");
        assert!(queue.push(at(13), EventNumber(13)));
    }
}
