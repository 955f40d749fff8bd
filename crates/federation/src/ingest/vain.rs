//! Events of history that nobody could give: others are asked for first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_store::{EventNumber, RoomNumber};
use ruma_common::OwnedEventId;

use crate::limits::{BACKFILL_FROM_MAX, VAIN_BACKOFF_MAX_MS, VAIN_BACKOFF_MIN_MS, VAIN_MAX};

/// The events that were asked for in vain, by room. Whoever is in a room can name any number of events that never were, and they stay
/// missing for ever.
#[derive(Default)]
pub(super) struct Vain(Mutex<BTreeMap<RoomNumber, BTreeMap<OwnedEventId, Wait>>>);

/// How long an event stands behind others.
#[derive(Clone, Copy)]
struct Wait {
    wait_ms: i64,
    until_ts: i64,
}

impl Vain {
    /// Before which of the events that are missing in a room to ask for history now, each with one that follows it. Those that wait come
    /// after all others, and those that are followed by what came last come first.
    pub(super) fn next(
        &self,
        room: RoomNumber,
        missing: &[(OwnedEventId, EventNumber)],
        now_ts: i64,
    ) -> BTreeSet<OwnedEventId> {
        let all = self.lock();
        let waits = all.get(&room);
        let mut order: Vec<_> = missing
            .iter()
            .map(|(event_id, follower)| {
                let wait = waits.and_then(|waits| waits.get(event_id));
                let until_ts = wait.map_or(0, |wait| wait.until_ts);
                (if now_ts < until_ts { until_ts } else { 0 }, std::cmp::Reverse(*follower), event_id)
            })
            .collect();
        order.sort_unstable();
        let mut next = BTreeSet::new();
        for (.., event_id) in order {
            if next.len() >= BACKFILL_FROM_MAX {
                break;
            }
            next.insert(event_id.clone());
        }
        next
    }

    /// Notes what came of events that were asked for: the ones are still missing, the others no longer.
    pub(super) fn note(
        &self,
        room: RoomNumber,
        (asked, missing): (&BTreeSet<OwnedEventId>, &BTreeSet<OwnedEventId>),
        now_ts: i64,
    ) {
        let mut all = self.lock();
        let waits = all.entry(room).or_default();
        for event_id in asked {
            if !missing.contains(event_id) {
                waits.remove(event_id);
                continue;
            }
            let last = waits.get(event_id).map_or(0, |wait| wait.wait_ms);
            let wait_ms = last.saturating_mul(2).clamp(VAIN_BACKOFF_MIN_MS, VAIN_BACKOFF_MAX_MS);
            waits.insert(event_id.clone(), Wait { wait_ms, until_ts: now_ts.saturating_add(wait_ms) });
        }
        if waits.is_empty() {
            all.remove(&room);
        }
        while all.values().map(BTreeMap::len).sum::<usize>() > VAIN_MAX {
            // The room that needs most begins anew, and no other.
            let most = all.iter().max_by_key(|(_, waits)| waits.len()).map(|(room, _)| *room);
            let Some(most) = most else { break };
            all.remove(&most);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RoomNumber, BTreeMap<OwnedEventId, Wait>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ruma_common::EventId;

    use super::*;

    const ROOM: RoomNumber = RoomNumber(1);

    fn missing(count: u64) -> Vec<(OwnedEventId, EventNumber)> {
        let event =
            |number: u64| (EventId::parse(format!("$event{number:05}")).unwrap(), EventNumber(number % 100));
        (0..count).map(event).collect()
    }

    #[test]
    fn every_missing_event_is_asked_for_before_any_is_asked_for_again() {
        let vain = Vain::default();
        let missing = missing(95);
        let mut asked = BTreeSet::new();
        for step in 0..5 {
            let next = vain.next(ROOM, &missing, step);
            assert!(next.len() == BACKFILL_FROM_MAX);
            let before = asked.len();
            asked.extend(next.iter().cloned());
            assert_eq!(asked.len(), (before + BACKFILL_FROM_MAX).min(95), "step {step}");
            vain.note(ROOM, (&next, &next), step);
        }
        // What was found after all waits no longer.
        let next = vain.next(ROOM, &missing, 10);
        vain.note(ROOM, (&next, &BTreeSet::new()), 10);
        assert_eq!(vain.next(ROOM, &missing, 11), next);
    }

    #[test]
    fn a_room_with_many_makes_no_other_begin_anew() {
        let vain = Vain::default();
        let few: BTreeSet<OwnedEventId> = missing(3).into_iter().map(|(event_id, _)| event_id).collect();
        vain.note(RoomNumber(2), (&few, &few), 0);
        let many: BTreeSet<OwnedEventId> =
            missing(VAIN_MAX as u64).into_iter().map(|(event_id, _)| event_id).collect();
        vain.note(ROOM, (&many, &many), 0);
        let rooms: Vec<RoomNumber> = vain.lock().keys().copied().collect();
        assert_eq!(rooms, [RoomNumber(2)]);
    }
}
