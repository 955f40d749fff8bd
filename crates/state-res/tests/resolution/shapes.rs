//! The same room in the shapes that a server may have it in.

use std::collections::BTreeMap;

use freehold_event::{EventSource, EventView, MemberSummary, RoomVersion};
use freehold_state_map::{Entry, NoStore, StateMap as Snapshot};
use freehold_state_res::{PlainForks, Resolution, ResolveBudget, SnapshotForks, generations, resolve};
use freehold_testkit::{Events, MemoryEvents, RoomEvent, StateKey, StateMap};

/// The whole resolved state, with keys of its own.
pub(crate) fn plain_state(forks: &PlainForks<'_, String>, resolution: &Resolution<'_, String>) -> StateMap {
    let state = forks.state(resolution).into_iter();
    state.map(|((kind, key), id)| ((kind.to_owned(), key.to_owned()), id.clone())).collect()
}

/// A room whose events and keys are numbered, with the generation of each event.
pub(crate) struct Indexed {
    events: Vec<Numbered>,
    numbers: BTreeMap<String, u64>,
    keys: Vec<StateKey>,
}

struct Numbered {
    id: u64,
    event: RoomEvent,
    prev_events: Vec<u64>,
    auth_events: Vec<u64>,
    generation: u64,
}

impl Indexed {
    /// Numbers events by the order of their ids, which has nothing to do with their order in time.
    pub(crate) fn new(events: &Events) -> Self {
        let source = MemoryEvents(events);
        let generations = generations(&source, events.keys(), &ResolveBudget::UNLIMITED).unwrap();
        let numbers: BTreeMap<String, u64> = events.keys().cloned().zip(1_000..).collect();
        let keys: std::collections::BTreeSet<StateKey> =
            events.values().filter_map(RoomEvent::state_map_key).collect();
        let number = |ids: &[String]| ids.iter().map(|id| numbers[id]).collect();
        let events = events
            .values()
            .map(|event| Numbered {
                id: numbers[&event.event_id],
                prev_events: number(&event.prev_events),
                auth_events: number(&event.auth_events),
                generation: generations[&event.event_id],
                event: event.clone(),
            })
            .collect();
        Self { events, numbers, keys: keys.into_iter().rev().collect() }
    }

    pub(crate) fn key(&self, event_type: &str, state_key: &str) -> Option<u64> {
        let found =
            self.keys.iter().position(|key| (key.0.as_str(), key.1.as_str()) == (event_type, state_key));
        found.map(|position| position as u64)
    }

    pub(crate) fn snapshot(&self, state: &StateMap) -> Snapshot {
        let entry = |(key, id): (&StateKey, &String)| {
            let numbered = &self.events[(self.numbers[id] - 1_000) as usize];
            let key = self.key(&key.0, &key.1).unwrap();
            (key, Entry { event: numbered.id, generation: numbered.generation })
        };
        state.iter().map(entry).collect()
    }

    pub(crate) fn resolve_plain(&self, version: &'static RoomVersion, states: &[StateMap]) -> StateMap {
        let states: Vec<BTreeMap<&StateKey, u64>> = states
            .iter()
            .map(|state| state.iter().map(|(key, id)| (key, self.numbers[id])).collect())
            .collect();
        let forks = PlainForks::new(states.iter().map(|state| state.iter().map(|(key, id)| (*key, id))));
        let resolution = resolve(version, &forks, self, &ResolveBudget::default()).unwrap();
        let state = forks.state(&resolution).into_iter();
        state.map(|((kind, key), id)| ((kind.to_owned(), key.to_owned()), self.event_id(*id))).collect()
    }

    pub(crate) fn resolve_snapshots(&self, version: &'static RoomVersion, states: &[StateMap]) -> StateMap {
        let snapshots: Vec<Snapshot> = states.iter().map(|state| self.snapshot(state)).collect();
        let snapshots: Vec<&Snapshot> = snapshots.iter().collect();
        let number = |kind: &str, key: &str| self.key(kind, key);
        let forks = SnapshotForks::new(&snapshots, &number, &NoStore).unwrap();
        let resolution = resolve(version, &forks, self, &ResolveBudget::default()).unwrap();
        let state = forks.state(&resolution, |_, _| unreachable!("every key has a number")).unwrap();
        let entries = state.iter(&NoStore).map(|entry| entry.unwrap());
        entries.map(|(key, entry)| (self.keys[key as usize].clone(), self.event_id(entry.event))).collect()
    }

    fn event_id(&self, id: u64) -> String {
        self.events[(id - 1_000) as usize].event.event_id.clone()
    }
}

impl EventSource for Indexed {
    type Id = u64;

    fn event(&self, id: &u64) -> Option<EventView<'_, u64>> {
        let numbered = self.events.get(id.checked_sub(1_000)? as usize)?;
        let Numbered { id, event, prev_events, auth_events, .. } = numbered;
        Some(event.view().with_ids(id, prev_events, auth_events))
    }

    fn generation(&self, id: &u64) -> Option<u64> {
        Some(self.events.get(id.checked_sub(1_000)? as usize)?.generation)
    }

    fn member_summary(&self, id: &u64) -> Option<MemberSummary> {
        MemberSummary::of(&self.event(id)?)
    }
}
