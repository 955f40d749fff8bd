//! Events that were accepted lately, by their texts: the same event comes once for each tenant in its room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ruma_common::{OwnedEventId, OwnedRoomId, RoomId};
use sha2::{Digest as _, Sha256};

use crate::limits::RECENT_EVENTS_MAX;

/// Stands for the text of an event: its hash. Who could make another text with the same one could make another event with
/// the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TextKey([u8; 32]);

impl TextKey {
    pub(super) fn of(text: &str) -> Self {
        TextKey(Sha256::digest(text.as_bytes()).into())
    }
}

/// Which texts are those of events that are here and were accepted. That is true of them for ever, whoever brings them; whether it
/// is to be told to somebody is asked elsewhere each time.
#[derive(Clone, Default)]
pub(super) struct RecentEvents(Arc<Mutex<Generations>>);

/// What is found stays; what was not asked for while as many others came is forgotten.
#[derive(Default)]
struct Generations {
    young: HashMap<TextKey, Recent>,
    old: HashMap<TextKey, Recent>,
}

#[derive(Clone)]
struct Recent {
    room_id: Arc<OwnedRoomId>,
    event_id: OwnedEventId,
}

impl RecentEvents {
    /// The event with a text, and its room.
    pub(super) fn find(&self, key: &TextKey) -> Option<(Arc<OwnedRoomId>, OwnedEventId)> {
        let mut generations = self.lock();
        if let Some(Recent { room_id, event_id }) = generations.young.get(key) {
            return Some((Arc::clone(room_id), event_id.clone()));
        }
        let recent = generations.old.remove(key)?;
        let found = (Arc::clone(&recent.room_id), recent.event_id.clone());
        generations.put(*key, recent);
        Some(found)
    }

    /// Notes accepted events of a room.
    pub(super) fn put(&self, room_id: &RoomId, events: impl IntoIterator<Item = (TextKey, OwnedEventId)>) {
        let room_id: Arc<OwnedRoomId> = Arc::new(room_id.to_owned());
        let mut generations = self.lock();
        for (key, event_id) in events {
            generations.put(key, Recent { room_id: Arc::clone(&room_id), event_id });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn put(&mut self, key: TextKey, recent: Recent) {
        if self.young.len() >= RECENT_EVENTS_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, recent);
    }
}

#[cfg(test)]
mod tests {
    use ruma_common::EventId;

    use super::*;

    #[test]
    fn no_more_are_remembered_than_may_be_and_those_asked_for_stay() {
        let (recent, room_id) = (RecentEvents::default(), RoomId::parse("!room:one.example").unwrap());
        let event_id = EventId::parse("$event").unwrap();
        let key = |number: usize| TextKey::of(&number.to_string());
        for number in 0..RECENT_EVENTS_MAX * 3 {
            recent.put(&room_id, [(key(number), event_id.clone())]);
            assert!(recent.find(&key(0)).is_some_and(|(room, event)| **room == room_id && event == event_id));
        }
        assert!(recent.find(&key(1)).is_none());
        let generations = recent.lock();
        assert!(generations.young.len() + generations.old.len() <= RECENT_EVENTS_MAX);
    }
}
