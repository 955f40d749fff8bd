//! Unread counts: which events since the last receipt notify a user
//! (<https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications>).
//!
//! Counts have one source: the timeline, the receipts and the push rules. What was counted once is remembered in memory, so
//! that a sync looks only at what is new; forgetting it changes no answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_store::{Position, RoomNumber, TimelineIndex, UserNumber};
use ruma_common::OwnedEventId;

use crate::receipts::Kept;
use crate::response::UnreadCounts;

/// How many events are looked at for one count: who has not read for longer sees at most this many.
pub(crate) const EVENTS_MAX: usize = 2_000;
/// Of how many rooms of users the counts are remembered.
const REMEMBERED: usize = 20_000;

/// Counts of a room: of the main timeline and of each thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoomCounts {
    /// What is in no thread.
    pub(crate) main: UnreadCounts,
    /// What is in a thread, by its root.
    pub(crate) threads: BTreeMap<OwnedEventId, UnreadCounts>,
}

impl RoomCounts {
    /// All together.
    pub(crate) fn total(&self) -> UnreadCounts {
        self.threads.values().fold(self.main, |sum, one| UnreadCounts {
            notification_count: sum.notification_count + one.notification_count,
            highlight_count: sum.highlight_count + one.highlight_count,
        })
    }

    /// Counts one event by what the push rules make of it.
    pub(crate) fn count(&mut self, thread: Option<OwnedEventId>, actions: Notifies) {
        let counts = match thread {
            None => &mut self.main,
            Some(root) => self.threads.entry(root).or_default(),
        };
        counts.notification_count += u64::from(actions.notify);
        counts.highlight_count += u64::from(actions.notify && actions.highlight);
    }

    /// The user sent something: what came before it, in its thread, is read.
    pub(crate) fn spoke(&mut self, thread: Option<&OwnedEventId>) {
        match thread {
            None => self.main = UnreadCounts::default(),
            Some(root) => {
                self.threads.remove(root);
            }
        }
    }
}

/// What push rules make of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notifies {
    /// It notifies.
    pub(crate) notify: bool,
    /// It is highlighted.
    pub(crate) highlight: bool,
}

/// Up to where a user read each thread of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReadUpTo {
    /// The whole room.
    pub(crate) room: TimelineIndex,
    /// `main`, and thread roots.
    pub(crate) threads: BTreeMap<String, TimelineIndex>,
}

impl ReadUpTo {
    /// From the receipts of a user who joined at `joined`. Of `m.read` and `m.read.private`, the one further ahead counts.
    pub(crate) fn new(joined: TimelineIndex, receipts: &[Kept]) -> Self {
        let mut read = ReadUpTo { room: joined, threads: BTreeMap::new() };
        for (_, _, thread, receipt) in receipts {
            let up_to = match thread {
                None => &mut read.room,
                Some(thread) => read.threads.entry(thread.clone()).or_default(),
            };
            *up_to = (*up_to).max(receipt.index);
        }
        read
    }

    /// The first event that can be unread comes after this one.
    pub(crate) fn least(&self) -> TimelineIndex {
        self.room
    }

    /// Whether an event of a thread is read.
    pub(crate) fn covers(&self, index: TimelineIndex, thread: Option<&OwnedEventId>) -> bool {
        let name = thread.map_or("main", |root| root.as_str());
        index <= self.room || self.threads.get(name).is_some_and(|up_to| index <= *up_to)
    }
}

/// What was counted: with which receipts, up to where.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) read: ReadUpTo,
    pub(crate) to: TimelineIndex,
    pub(crate) counts: RoomCounts,
}

impl Counted {
    /// Nothing was counted yet.
    pub(crate) fn nothing(read: ReadUpTo) -> Self {
        Counted { to: read.least(), read, counts: RoomCounts::default() }
    }
}

/// The counts that are remembered.
#[derive(Debug, Default)]
pub(crate) struct Unread(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    counted: BTreeMap<(UserNumber, RoomNumber), Arc<Counted>>,
    oldest_first: VecDeque<(UserNumber, RoomNumber)>,
}

impl Unread {
    /// Where counting goes on: what was counted with the same receipts up to `to` or before, or nothing.
    pub(crate) fn go_on(&self, key: (UserNumber, RoomNumber), read: ReadUpTo, to: TimelineIndex) -> Counted {
        let remembered = self.lock().counted.get(&key).cloned();
        match remembered {
            Some(counted) if counted.read == read && counted.to <= to => Counted::clone(&counted),
            _ => Counted::nothing(read),
        }
    }

    /// Forgets what was counted for a user before the push rules changed.
    pub(crate) fn forget(&self, user: UserNumber, changed: Position) {
        let mut remembered = self.lock();
        let rooms = (user, RoomNumber(0))..=(user, RoomNumber(u64::MAX));
        let is_outdated = |counted: &Counted| counted.to < TimelineIndex::last_of(changed);
        let outdated = remembered.counted.range(rooms).filter(|(_, counted)| is_outdated(counted));
        let keys: Vec<_> = outdated.map(|(key, _)| *key).collect();
        // They stay in the order of ages, where a key without counts does no harm.
        for key in keys {
            remembered.counted.insert(key, Arc::new(Counted::nothing(ReadUpTo::default())));
        }
    }

    /// Remembers what was counted.
    pub(crate) fn remember(&self, key: (UserNumber, RoomNumber), counted: Counted) {
        let mut remembered = self.lock();
        if remembered.counted.insert(key, Arc::new(counted)).is_none() {
            remembered.oldest_first.push_back(key);
        }
        if remembered.oldest_first.len() > REMEMBERED
            && let Some(oldest) = remembered.oldest_first.pop_front()
        {
            remembered.counted.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use freehold_store::Position;
    use freehold_store::tables::receipts::{ReceiptKind, ReceiptRow};
    use ruma_common::owned_event_id;

    use super::*;

    fn receipt(kind: ReceiptKind, thread: Option<&str>, index: i64) -> Kept {
        let row = ReceiptRow {
            event_id: owned_event_id!("$event"),
            index: TimelineIndex(index),
            ts: 0,
            since: Position(1),
        };
        (UserNumber(1), kind, thread.map(str::to_owned), row)
    }

    #[test]
    fn the_receipt_further_ahead_counts() {
        let receipts = [receipt(ReceiptKind::Read, None, 5), receipt(ReceiptKind::ReadPrivate, None, 9)];
        let read = ReadUpTo::new(TimelineIndex(2), &receipts);
        assert!(read.covers(TimelineIndex(9), None));
        assert!(!read.covers(TimelineIndex(10), None));
    }

    #[test]
    fn a_threaded_receipt_reads_its_thread_only() {
        let root = owned_event_id!("$root");
        let read = ReadUpTo::new(TimelineIndex(0), &[receipt(ReceiptKind::Read, Some("$root"), 7)]);
        assert!(read.covers(TimelineIndex(7), Some(&root)));
        assert!(!read.covers(TimelineIndex(7), None));
        let main = ReadUpTo::new(TimelineIndex(0), &[receipt(ReceiptKind::Read, Some("main"), 7)]);
        assert!(main.covers(TimelineIndex(7), None));
        assert!(!main.covers(TimelineIndex(7), Some(&root)));
    }

    #[test]
    fn what_a_user_says_marks_what_came_before_it_in_the_same_thread_as_read() {
        let root = owned_event_id!("$root");
        let loud = Notifies { notify: true, highlight: true };
        let mut counts = RoomCounts::default();
        counts.count(None, loud);
        counts.count(Some(root.clone()), loud);
        counts.count(Some(root.clone()), Notifies { notify: true, highlight: false });
        assert_eq!(counts.total(), UnreadCounts { notification_count: 3, highlight_count: 2 });
        counts.spoke(None);
        assert_eq!(counts.total(), UnreadCounts { notification_count: 2, highlight_count: 1 });
        counts.spoke(Some(&root));
        assert_eq!(counts, RoomCounts::default());
    }

    #[test]
    fn a_count_goes_on_only_with_the_same_receipts_and_rules() {
        let unread = Unread::default();
        let key = (UserNumber(1), RoomNumber(1));
        let read = ReadUpTo { room: TimelineIndex(3), threads: BTreeMap::new() };
        let mut counted = Counted::nothing(read.clone());
        let at = TimelineIndex::last_of(Position(5));
        counted.to = at;
        unread.remember(key, counted);
        let goes_on =
            |read: &ReadUpTo| unread.go_on(key, read.clone(), TimelineIndex::last_of(Position(6))).to == at;
        assert!(goes_on(&read));
        assert!(!goes_on(&ReadUpTo { room: TimelineIndex(4), threads: BTreeMap::new() }));
        assert_eq!(unread.go_on(key, read.clone(), TimelineIndex(8)).to, TimelineIndex(3));
        unread.forget(UserNumber(2), Position(9));
        assert!(goes_on(&read));
        unread.forget(UserNumber(1), Position(4));
        assert!(goes_on(&read), "the rules changed before");
        unread.forget(UserNumber(1), Position(6));
        assert!(!goes_on(&read));
    }
}
