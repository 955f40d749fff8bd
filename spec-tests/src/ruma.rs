//! `ruma-state-res` as an oracle for authorisation and state resolution.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use freehold_event::RoomVersion;
use freehold_testkit::{Events, StateMap, twin};
use ruma_common::{EventId, OwnedEventId};
use ruma_events::StateEventType;
use ruma_state_res::utils::event_id_set::EventIdSet;

/// An event as ruma sees it.
pub type RumaEvent = freehold_testkit::RumaEvent<OwnedEventId>;

/// The events of a room as ruma sees them.
#[derive(Clone, Debug)]
pub struct RumaRoom {
    version: &'static RoomVersion,
    events: BTreeMap<OwnedEventId, Arc<RumaEvent>>,
}

impl RumaRoom {
    /// Converts events; `None` when one has an identifier that ruma does not accept.
    pub fn new(version: &'static RoomVersion, events: &Events) -> Option<Self> {
        let events = events.values().map(|event| {
            let event = RumaEvent::of(&event.view(), |id| EventId::parse(id).ok())?;
            Some((event.id(), Arc::new(event)))
        });
        Some(Self { version, events: events.collect::<Option<_>>()? })
    }

    fn fetch(&self, event_id: &EventId) -> Option<Arc<RumaEvent>> {
        self.events.get(event_id).cloned()
    }

    /// The rules that look at the event and its `auth_events` list.
    ///
    /// # Errors
    ///
    /// Ruma's description of the rule that rejects the event.
    pub fn check_auth_events(&self, event_id: &str) -> Result<(), String> {
        let event = self.event(event_id)?;
        let rules = &self.version.rules().authorization;
        ruma_state_res::check_state_independent_auth_rules(rules, &*event, |id| self.fetch(id))
    }

    /// The rules that look at a state.
    ///
    /// # Errors
    ///
    /// Ruma's description of the rule that rejects the event.
    pub fn check(&self, event_id: &str, state: &StateMap) -> Result<(), String> {
        let event = self.event(event_id)?;
        let rules = &self.version.rules().authorization;
        ruma_state_res::check_state_dependent_auth_rules(rules, &*event, |event_type, state_key| {
            let id = state.get(&(event_type.to_string(), state_key.to_owned()))?;
            self.fetch(&EventId::parse(id).ok()?)
        })
    }

    fn event(&self, event_id: &str) -> Result<Arc<RumaEvent>, String> {
        let id = EventId::parse(event_id).map_err(|error| error.to_string())?;
        self.fetch(&id).ok_or_else(|| format!("`{event_id}` is not in the room"))
    }

    /// Resolves states; the auth chains and the conflicted subgraph, which ruma leaves to its
    /// caller, are those of the naive twin.
    ///
    /// # Errors
    ///
    /// Ruma's description of what went wrong, and room version 1, which ruma cannot resolve.
    pub fn resolve(&self, states: &[StateMap], events: &Events) -> Result<StateMap, String> {
        let rules = self.version.rules();
        let Some(algorithm) = rules.state_res.v2_rules() else {
            return Err("ruma does not implement this algorithm".to_owned());
        };
        let maps: Vec<ruma_state_res::StateMap<OwnedEventId>> = states.iter().map(to_ruma).collect();
        let chains = states.iter().map(|state| {
            let chains = state.values().flat_map(|id| twin::auth_chain(id, events));
            // Ruma's own tests count the events of a state into its chain, too.
            let chains = chains.chain(state.values().cloned());
            chains.filter_map(|id| EventId::parse(&id).ok()).collect::<EventIdSet<_>>()
        });
        let resolved = ruma_state_res::resolve(
            &rules.authorization,
            algorithm,
            &maps,
            chains.collect(),
            |id| self.fetch(id),
            |conflicted| Some(subgraph(conflicted, events)),
        );
        resolved.map(from_ruma).map_err(|error| error.to_string())
    }
}

/// The events on `auth_events` paths between conflicted events, ends included.
fn subgraph(
    conflicted: &ruma_state_res::StateMap<Vec<OwnedEventId>>,
    events: &Events,
) -> EventIdSet<OwnedEventId> {
    let conflicted: BTreeSet<String> = conflicted.values().flatten().map(ToString::to_string).collect();
    let below = conflicted.iter().flat_map(|id| twin::auth_chain(id, events));
    let between = below.filter(|id| !twin::auth_chain(id, events).is_disjoint(&conflicted));
    let all = between.chain(conflicted.iter().cloned());
    all.filter_map(|id| EventId::parse(&id).ok()).collect()
}

fn to_ruma(state: &StateMap) -> ruma_state_res::StateMap<OwnedEventId> {
    let entries = state.iter().filter_map(|((event_type, state_key), id)| {
        Some(((StateEventType::from(event_type.as_str()), state_key.clone()), EventId::parse(id).ok()?))
    });
    entries.collect::<HashMap<_, _>>()
}

fn from_ruma(state: ruma_state_res::StateMap<OwnedEventId>) -> StateMap {
    let entries = state
        .into_iter()
        .map(|((event_type, state_key), id)| ((event_type.to_string(), state_key), id.to_string()));
    entries.collect()
}
