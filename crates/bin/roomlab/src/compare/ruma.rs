//! `ruma-state-res`, asked about a replayed room.

use std::collections::BTreeSet;
use std::sync::Arc;

use freehold_event::EventView;
use freehold_state_map::StateMap;
use freehold_state_res::Algorithm;
use ruma_common::room_version_rules::StateResolutionV2Rules;
use ruma_common::{EventId, OwnedEventId};
use ruma_events::StateEventType;
use ruma_state_res::utils::event_id_set::EventIdSet;

use crate::compare::Answer;
use crate::replay::{Replay, Verdict};
use crate::room::{Event, Room};

/// The events of a room as ruma sees them.
pub(super) struct Ruma<'r> {
    replay: &'r Replay<'r>,
    /// By number.
    events: Vec<Arc<RumaEvent>>,
}

/// An event as ruma sees it.
type RumaEvent = freehold_testkit::RumaEvent<OwnedEventId>;

impl<'r> Ruma<'r> {
    /// Converts the events; the first that ruma has no place for is the error.
    pub(super) fn new(replay: &'r Replay<'r>) -> Result<Ruma<'r>, String> {
        let convert = |event: &Event| {
            let rejected = replay.verdict(event.number).is_some_and(Verdict::is_rejected);
            let view = EventView { rejected, ..event.pdu().view() };
            let converted = RumaEvent::of(&view, |id| EventId::parse(id).ok());
            converted.map(Arc::new).ok_or_else(|| format!("no place for {}", event.pdu().event_id()))
        };
        let events = replay.room.events.iter().map(convert).collect::<Result<_, _>>()?;
        Ok(Ruma { replay, events })
    }

    /// Resolves states.
    pub(super) fn resolve(&self, states: &[&StateMap]) -> Result<Answer, String> {
        let rules = match self.replay.algorithm {
            Algorithm::V1 => return Err("ruma does not have this algorithm".to_owned()),
            Algorithm::V2_0 => StateResolutionV2Rules::V2_0,
            Algorithm::V2_1 => StateResolutionV2Rules::V2_1,
        };
        let room = self.replay.room;
        let maps: Vec<ruma_state_res::StateMap<OwnedEventId>> =
            states.iter().map(|state| self.to_ruma(state)).collect();
        let chains = states.iter().map(|state| {
            // The events of a state count into its full auth chain, as on the network.
            self.ids(&auth_chain(room, crate::states::entries(state).map(|(_, entry)| entry.event)))
        });
        let resolved = ruma_state_res::resolve(
            &room.version.rules().authorization,
            &rules,
            &maps,
            chains.collect(),
            |id| room.number(id.as_str()).and_then(|number| self.event(number)),
            |conflicted| Some(self.subgraph(conflicted)),
        );
        let resolved = resolved.map_err(|error| error.to_string())?;
        Ok(resolved.into_iter().map(|((kind, key), id)| ((kind.to_string(), key), id.to_string())).collect())
    }

    fn event(&self, number: u64) -> Option<Arc<RumaEvent>> {
        self.events.get(usize::try_from(number).ok()?).cloned()
    }

    fn to_ruma(&self, state: &StateMap) -> ruma_state_res::StateMap<OwnedEventId> {
        crate::states::entries(state)
            .filter_map(|(key, entry)| {
                let (event_type, state_key) = self.replay.keys.name(key);
                let event_id = self.event(entry.event)?.id();
                Some(((StateEventType::from(event_type), state_key.to_owned()), event_id))
            })
            .collect()
    }

    fn ids(&self, numbers: &BTreeSet<u64>) -> EventIdSet<OwnedEventId> {
        numbers.iter().filter_map(|number| Some(self.event(*number)?.id())).collect()
    }

    /// The events on `auth_events` paths between conflicted events, ends included.
    fn subgraph(&self, conflicted: &ruma_state_res::StateMap<Vec<OwnedEventId>>) -> EventIdSet<OwnedEventId> {
        let room = self.replay.room;
        let ids = conflicted.values().flatten();
        let ends: BTreeSet<u64> = ids.filter_map(|id| room.number(id.as_str())).collect();
        let mut between = ends.clone();
        for number in auth_chain(room, ends.iter().copied()) {
            let direct = room.event(number).into_iter().flat_map(|event| event.auth_events.iter().copied());
            if !auth_chain(room, direct).is_disjoint(&ends) {
                between.insert(number);
            }
        }
        self.ids(&between)
    }
}

/// These events and everything in their auth chains, as far as the file has it.
fn auth_chain(room: &Room, heads: impl Iterator<Item = u64>) -> BTreeSet<u64> {
    let mut chain = BTreeSet::new();
    let mut to_visit: Vec<u64> = heads.collect();
    while let Some(number) = to_visit.pop() {
        if let Some(event) = room.event(number)
            && chain.insert(number)
        {
            to_visit.extend(&event.auth_events);
        }
    }
    chain
}
