//! Which member events a device was sent already, so that lazy loading does not repeat them
//! (<https://spec.matrix.org/v1.19/client-server-api/#lazy-loading-room-members>).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_store::{DeviceNumber, EventNumber, RoomNumber};

/// For how many (device, room) pairs it is remembered.
const REMEMBERED: usize = 4_096;
/// How many member events are remembered for each; then all are forgotten and sent again as needed.
const EVENTS_MAX: usize = 1_024;
/// How many member events are remembered for all together, at 8 to 16 bytes each.
const EVENTS_TOGETHER: usize = 128 * 1_024;

/// Member events that devices were sent. Forgetting only costs a repetition.
#[derive(Debug, Default)]
pub(crate) struct SentMembers(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    sent: BTreeMap<(DeviceNumber, RoomNumber), BTreeSet<EventNumber>>,
    oldest_first: VecDeque<(DeviceNumber, RoomNumber)>,
    /// How many events `sent` holds.
    events: usize,
}

impl SentMembers {
    /// Forgets what a device was sent of a room: it starts anew.
    pub(crate) fn forget(&self, key: (DeviceNumber, RoomNumber)) {
        let mut remembered = self.lock();
        if let Some(sent) = remembered.sent.get_mut(&key) {
            let forgotten = std::mem::take(sent).len();
            remembered.events -= forgotten;
        }
    }

    /// Whether a device has not been sent a member event yet.
    pub(crate) fn is_new(&self, key: (DeviceNumber, RoomNumber), event: EventNumber) -> bool {
        !self.lock().sent.get(&key).is_some_and(|sent| sent.contains(&event))
    }

    /// Remembers that a device is sent a member event.
    pub(crate) fn remember(&self, key: (DeviceNumber, RoomNumber), event: EventNumber) {
        let mut remembered = self.lock();
        if !remembered.sent.contains_key(&key) {
            remembered.oldest_first.push_back(key);
        }
        let sent = remembered.sent.entry(key).or_default();
        let before = sent.len();
        if before >= EVENTS_MAX {
            sent.clear();
        }
        sent.insert(event);
        let after = sent.len();
        remembered.events = remembered.events + after - before;
        remembered.bound();
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    /// Forgets what was remembered first until there is not too much.
    fn bound(&mut self) {
        while self.oldest_first.len() > REMEMBERED || self.events > EVENTS_TOGETHER {
            let Some(oldest) = self.oldest_first.pop_front() else { break };
            let forgotten = self.sent.remove(&oldest).map_or(0, |sent| sent.len());
            self.events -= forgotten;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (DeviceNumber, RoomNumber) = (DeviceNumber(1), RoomNumber(1));

    #[test]
    fn a_member_is_sent_once_to_each_device() {
        let sent = SentMembers::default();
        assert!(sent.is_new(KEY, EventNumber(5)));
        sent.remember(KEY, EventNumber(5));
        assert!(!sent.is_new(KEY, EventNumber(5)));
        assert!(sent.is_new((DeviceNumber(2), RoomNumber(1)), EventNumber(5)));
        sent.forget(KEY);
        assert!(sent.is_new(KEY, EventNumber(5)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let sent = SentMembers::default();
        for room in 0..(REMEMBERED as u64 + 10) {
            sent.remember((DeviceNumber(1), RoomNumber(room)), EventNumber(1));
        }
        assert_eq!(sent.lock().sent.len(), REMEMBERED);
        for event in 0..(EVENTS_MAX as u64 + 10) {
            sent.remember((DeviceNumber(1), RoomNumber(9_000)), EventNumber(event));
        }
        assert!(sent.lock().sent[&(DeviceNumber(1), RoomNumber(9_000))].len() <= EVENTS_MAX);
        for (room, event) in (0..1_000).flat_map(|room| (0..200).map(move |event| (room, event))) {
            sent.remember((DeviceNumber(2), RoomNumber(room)), EventNumber(event));
        }
        let remembered = sent.lock();
        let held: usize = remembered.sent.values().map(BTreeSet::len).sum();
        assert_eq!(held, remembered.events);
        assert!(held <= EVENTS_TOGETHER);
    }
}
