//! A room as a server with interned numbers has it: events and state keys are integers, states are
//! persistent snapshots.

use std::collections::BTreeMap;

use freehold_event::{EventSource, EventView, MemberSummary, RoomVersion};
use freehold_state_map::{Entry, LoadError, NoStore, StateMap as Snapshot};
use freehold_state_res::{ResolveBudget, SnapshotForks, resolve};
use freehold_testkit::{Events, RoomEvent, StateKey, StateMap};

/// Events by number. The numbers run against the order of the event ids, so that whoever sorts by
/// number is found out.
pub(crate) struct Numbered<'a> {
    events: BTreeMap<u64, NumberedEvent<'a>>,
    numbers: BTreeMap<&'a str, u64>,
    keys: BTreeMap<StateKey, u64>,
}

struct NumberedEvent<'a> {
    number: u64,
    event: &'a RoomEvent,
    prev_events: Vec<u64>,
    auth_events: Vec<u64>,
    generation: u64,
}

impl EventSource for Numbered<'_> {
    type Id = u64;

    fn event(&self, id: &u64) -> Option<EventView<'_, u64>> {
        let NumberedEvent { number, event, prev_events, auth_events, .. } = self.events.get(id)?;
        Some(event.view().with_ids(number, prev_events, auth_events))
    }

    fn generation(&self, id: &u64) -> Option<u64> {
        Some(self.events.get(id)?.generation)
    }

    fn key_number(&self, id: &u64) -> Option<u64> {
        self.keys.get(&self.events.get(id)?.event.state_map_key()?).copied()
    }

    /// Not of every event, so that those with and without are mixed.
    fn member_summary(&self, id: &u64) -> Option<MemberSummary> {
        MemberSummary::of(&self.event(id)?).filter(|_| !id.is_multiple_of(4))
    }
}

impl<'a> Numbered<'a> {
    /// Numbers the events of a room. Every event that is cited must be there.
    pub(crate) fn new(events: &'a Events) -> Self {
        let numbers: BTreeMap<&str, u64> = events.keys().rev().map(String::as_str).zip(1..).collect();
        let lookup = |ids: &[String]| ids.iter().filter_map(|id| numbers.get(id.as_str()).copied()).collect();
        let generations = generations(events);
        let numbered = events.values().filter_map(|event| {
            let number = *numbers.get(event.event_id.as_str())?;
            let generation = generations.get(event.event_id.as_str()).copied().unwrap_or(0);
            let (prev_events, auth_events) = (lookup(&event.prev_events), lookup(&event.auth_events));
            Some((number, NumberedEvent { number, event, prev_events, auth_events, generation }))
        });
        let keys = events.values().filter_map(RoomEvent::state_map_key);
        let keys: std::collections::BTreeSet<StateKey> = keys.collect();
        Self { events: numbered.collect(), keys: keys.into_iter().rev().zip(1..).collect(), numbers }
    }

    fn snapshot(&self, state: &StateMap) -> Result<Snapshot, LoadError> {
        let mut snapshot = Snapshot::new();
        for (key, id) in state {
            if let Some((key, event)) = self.keys.get(key).zip(self.numbers.get(id.as_str())) {
                let generation = self.generation(event).unwrap_or(0);
                snapshot.insert(*key, Entry { event: *event, generation }, &NoStore)?;
            }
        }
        Ok(snapshot)
    }

    /// Resolves states, given as snapshots.
    pub(crate) fn resolve(
        &self,
        version: &'static RoomVersion,
        states: &[StateMap],
    ) -> Result<StateMap, String> {
        let snapshots = states.iter().map(|state| self.snapshot(state)).collect::<Result<Vec<_>, _>>();
        let snapshots = snapshots.map_err(|error| error.to_string())?;
        let maps: Vec<&Snapshot> = snapshots.iter().collect();
        let number = |event_type: &str, state_key: &str| {
            self.keys.get(&(event_type.to_owned(), state_key.to_owned())).copied()
        };
        let forks = SnapshotForks::new(&maps, &number, &NoStore).map_err(|error| error.to_string())?;
        let resolution =
            resolve(version, &forks, self, &ResolveBudget::UNLIMITED).map_err(|error| error.to_string())?;
        let state =
            forks.state(&resolution, |event_type, state_key| number(event_type, state_key).unwrap_or(0));
        let state = state.map_err(|error| error.to_string())?;
        let entries = state.iter(&NoStore).map(|entry| {
            let (_, entry) = entry.map_err(|error| error.to_string())?;
            let event = self.events.get(&entry.event).ok_or("an event out of nowhere")?;
            let key = event.event.state_map_key().ok_or("a message event in the state")?;
            Ok((key, event.event.event_id.clone()))
        });
        entries.collect()
    }
}

/// The length of the longest auth path behind each event, by going over the events until nothing
/// changes.
fn generations(events: &Events) -> BTreeMap<&str, u64> {
    let mut generations: BTreeMap<&str, u64> = events.keys().map(|id| (id.as_str(), 0)).collect();
    loop {
        let mut changed = false;
        for event in events.values() {
            let behind = event.auth_events.iter().filter_map(|id| generations.get(id.as_str()));
            let generation = behind.max().map_or(0, |highest| highest + 1);
            if generations.insert(&event.event_id, generation) != Some(generation) {
                changed = true;
            }
        }
        if !changed {
            return generations;
        }
    }
}
