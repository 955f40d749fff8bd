//! How far the events of a tenant have come.

use std::collections::{BTreeMap, BTreeSet};

use freehold_store::Position;
use ruma_common::{OwnedServerName, ServerName};

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
    /// Where the servers are that do not keep up.
    behind: BTreeSet<(At, OwnedServerName)>,
    /// What was last written down of it.
    pub(super) written: At,
    /// Up to where the log was cut.
    pub(super) cut: At,
    /// How many events were given to queues since somebody last looked how long the log is.
    pub(super) since_looked: usize,
    /// How often queues fell behind, or read the log no longer.
    pub(super) shifts: u64,
}

impl Progress {
    /// Goes on where it was written down.
    pub(super) fn resumed(written: At) -> Self {
        let (outstanding, behind) = (BTreeMap::new(), BTreeSet::new());
        Progress {
            dispatched: written,
            outstanding,
            behind,
            written,
            cut: BEGINNING,
            since_looked: 0,
            shifts: 0,
        }
    }

    /// An event was given to some queues.
    pub(super) fn given(&mut self, at: At, queues: usize) {
        self.dispatched = self.dispatched.max(at);
        self.since_looked += 1;
        if queues > 0 {
            self.outstanding.insert(at, queues);
        }
    }

    /// A queue is done with an event: it was sent, or the queue reads it from the log.
    pub(super) fn done(&mut self, at: At) {
        if let Some(queues) = self.outstanding.get_mut(&at) {
            *queues = queues.saturating_sub(1);
            if *queues == 0 {
                self.outstanding.remove(&at);
            }
        }
    }

    /// A server that was behind up to one place is so up to another.
    pub(super) fn moved(&mut self, server: &ServerName, from: Option<At>, to: Option<At>) {
        if let Some(from) = from {
            self.behind.remove(&(from, server.to_owned()));
        }
        if let Some(to) = to {
            self.behind.insert((to, server.to_owned()));
        }
    }

    /// Up to where all queues are done that keep up.
    pub(super) fn handed_over(&self) -> At {
        match self.outstanding.first_key_value() {
            Some((first, _)) => before(*first),
            None => self.dispatched,
        }
    }

    /// The servers that do not keep up, the slowest first.
    pub(super) fn behind(&self) -> impl Iterator<Item = &(At, OwnedServerName)> {
        self.behind.iter()
    }

    /// Up to where nobody needs the log any more.
    pub(super) fn floor(&self) -> At {
        let handed_over = self.handed_over();
        self.behind.first().map_or(handed_over, |(slowest, _)| handed_over.min(*slowest))
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

    #[test]
    fn the_log_is_needed_from_where_the_slowest_queue_is() {
        let mut progress = Progress::resumed(at(9));
        assert_eq!(progress.floor(), at(9));
        let [one, two, three] = ["one.example", "two.example", "three.example"]
            .map(|name| <&ServerName>::try_from(name).unwrap());
        progress.moved(one, None, Some(at(4)));
        progress.moved(two, None, Some(at(4)));
        progress.moved(three, None, Some(at(7)));
        progress.moved(one, Some(at(4)), Some(at(8)));
        assert_eq!(progress.floor(), at(4));
        progress.moved(two, Some(at(4)), None);
        assert_eq!(progress.floor(), at(7));
        progress.given(at(10), 1);
        assert_eq!(progress.floor(), at(7));
        progress.moved(three, Some(at(7)), None);
        assert_eq!(progress.floor(), at(8));
        assert_eq!(progress.behind().count(), 1);
    }
}
