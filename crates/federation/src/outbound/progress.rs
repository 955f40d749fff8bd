//! How far the events of a tenant have come.

use std::collections::BTreeMap;

use freehold_store::Position;

/// A place in the log of a tenant's events.
pub(super) type At = (Position, u16);

/// The beginning of every log.
pub(super) const BEGINNING: At = (Position(0), 0);

/// How far the events of a tenant have come: to queues, and through them.
#[derive(Debug)]
pub(super) struct Progress {
    /// The last event that was given to queues.
    pub(super) dispatched: At,
    /// Events that some queues have in memory, with how many.
    outstanding: BTreeMap<At, usize>,
    /// What was last written down of it.
    pub(super) written: At,
}

impl Progress {
    /// Goes on where it was written down.
    pub(super) fn resumed(written: At) -> Self {
        Progress { dispatched: written, outstanding: BTreeMap::new(), written }
    }

    /// An event was given to some queues.
    pub(super) fn given(&mut self, at: At, queues: usize) {
        self.dispatched = self.dispatched.max(at);
        if queues > 0 {
            self.outstanding.insert(at, queues);
        }
    }

    /// A queue is done with an event: it was sent, or what is missing is written down.
    pub(super) fn done(&mut self, at: At) {
        if let Some(queues) = self.outstanding.get_mut(&at) {
            *queues = queues.saturating_sub(1);
            if *queues == 0 {
                self.outstanding.remove(&at);
            }
        }
    }

    /// Up to where all queues are done.
    pub(super) fn handed_over(&self) -> At {
        match self.outstanding.first_key_value() {
            Some((first, _)) => before(*first),
            None => self.dispatched,
        }
    }
}

/// The place just before another.
pub(super) fn before((position, place): At) -> At {
    match place.checked_sub(1) {
        Some(place) => (position, place),
        None => (Position(position.0.saturating_sub(1)), u16::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(position: u64) -> At {
        (Position(position), 0)
    }

    #[test]
    fn all_is_handed_over_up_to_what_the_slowest_queue_has_not_sent() {
        let mut progress = Progress::resumed(at(3));
        progress.given(at(5), 2);
        progress.given(at(6), 1);
        assert_eq!(progress.handed_over(), before(at(5)));
        progress.done(at(6));
        progress.done(at(5));
        assert_eq!(progress.handed_over(), before(at(5)));
        progress.done(at(5));
        assert_eq!(progress.handed_over(), at(6));
    }

    #[test]
    fn an_event_that_nobody_is_to_have_is_handed_over() {
        let mut progress = Progress::resumed(BEGINNING);
        progress.given(at(9), 0);
        assert_eq!(progress.handed_over(), at(9));
    }
}
