//! State resolution 2.0 ([room version 2](https://spec.matrix.org/v1.19/rooms/v2/#state-resolution))
//! and 2.1 ([room version 12](https://spec.matrix.org/v1.19/rooms/v12/#state-resolution)).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Algorithm, Differences, Power,
    auth::create_by_room_id,
    power::PowerLevels,
    resolve::{Dropped, Resolved, auth_chain, check_in_state},
};
use crate::event::{Events, RoomEvent, StateMap};

/// What counts into the full auth chain of a state; how step 1 finds "the events in the auth chain of
/// *P* which also belong to the full conflicted set"; and what counts as an edge between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// As every implementation on the network does it (Synapse, the Conduit family, Dendrite's
    /// library): the events of a state count into its full auth chain; from *P* along `auth_events`, going on only from events
    /// of the full conflicted set, and edges are `auth_events` links.
    Deployed,
    /// As the text has it: the events of a state count into its full auth chain only where one
    /// cites another; by the whole auth chain, through whatever lies between.
    WholeChain,
}

/// "The *resolution* of a set of states is obtained as follows:"
pub(super) fn resolve(version: &Differences, states: &[StateMap], events: &Events, walk: Walk) -> Resolved {
    let (unconflicted, conflicted) = split(states);
    if conflicted.is_empty() {
        return Resolved { state: unconflicted, ..Resolved::default() };
    }
    let full_conflicted_set = full_conflicted_set(version, states, &conflicted, events, walk);
    let run = Run { version, events, walk, full: full_conflicted_set };
    // "1. Select the set *X* of all *power events* that appear in the *full conflicted set*. For
    // each such power event *P*, enlarge *X* by adding the events in the auth chain of *P* which
    // also belong to the full conflicted set. Sort *X* into a list using the *reverse topological
    // power ordering*."
    let power_order = run.reverse_topological_power_ordering(&run.enlarged_power_events());
    // "2. Apply the *iterative auth checks algorithm*, starting from the *unconflicted state map*
    // (version 12: an *empty* state map), to the list of events from the previous step to get a
    // partially resolved state."
    let mut state = match version.algorithm {
        Algorithm::V2_1 => StateMap::new(),
        _ => unconflicted.clone(),
    };
    let mut dropped = run.iterative_auth_checks(&mut state, &power_order);
    // "3. Take all remaining events that weren't picked in step 1 and order them by the mainline
    // ordering based on the power level in the partially resolved state obtained in step 2."
    let remaining = run.full.iter().filter(|id| !power_order.contains(id)).cloned().collect();
    let power_levels = state.get(&("m.room.power_levels".to_owned(), String::new())).cloned();
    let mainline_order = run.mainline_ordering(remaining, power_levels);
    // "4. Apply the *iterative auth checks algorithm* on the partial resolved state and the list
    // of events from the previous step."
    dropped.extend(run.iterative_auth_checks(&mut state, &mainline_order));
    // "5. Update the result by replacing any event with the event with the same key from the
    // *unconflicted state map*, if such an event exists, to get the final resolved state."
    state.extend(unconflicted);
    Resolved { state, dropped, full_conflicted_set: run.full, power_order, mainline_order }
}

/// "If a given key *K* is present in every *Si* with the same value *V* in each state map, then
/// the pair (*K*, *V*) belongs to the *unconflicted state map*. Otherwise, *V* belongs to the
/// *conflicted state set*."
fn split(states: &[StateMap]) -> (StateMap, BTreeSet<String>) {
    let mut unconflicted = StateMap::new();
    let mut conflicted = BTreeSet::new();
    for (key, value) in states.iter().flatten() {
        if states.iter().all(|state| state.get(key) == Some(value)) {
            unconflicted.insert(key.clone(), value.clone());
        } else {
            conflicted.insert(value.clone());
        }
    }
    (unconflicted, conflicted)
}

/// "The *full conflicted set* is the union of the conflicted state set (version 12: the conflicted
/// state subgraph) and the auth difference."
fn full_conflicted_set(
    version: &Differences,
    states: &[StateMap],
    conflicted: &BTreeSet<String>,
    events: &Events,
    walk: Walk,
) -> BTreeSet<String> {
    let mut full = conflicted.clone();
    full.extend(auth_difference(states, events, walk));
    if version.algorithm == Algorithm::V2_1 {
        full.extend(conflicted_state_subgraph(conflicted, events));
    }
    // An event that is not known cannot be judged.
    full.retain(|id| events.contains_key(id));
    full
}

/// "The *auth difference* is calculated by first calculating the full auth chain for each state
/// *Si*, that is the union of the auth chains for each event in *Si*, and then taking every event
/// that doesn't appear in every auth chain. If *Ci* is the full auth chain of *Si*, then the auth
/// difference is ∪ *Ci* − ∩ *Ci*."
fn auth_difference(states: &[StateMap], events: &Events, walk: Walk) -> BTreeSet<String> {
    let chain_of = |state: &StateMap| -> BTreeSet<String> {
        let own = state.values().filter(|_| walk == Walk::Deployed).cloned();
        own.chain(state.values().flat_map(|id| auth_chain(id, events))).collect()
    };
    let chains: Vec<BTreeSet<String>> = states.iter().map(chain_of).collect();
    let union: BTreeSet<String> = chains.iter().flatten().cloned().collect();
    union.into_iter().filter(|id| !chains.iter().all(|chain| chain.contains(id))).collect()
}

/// "Starting from an event in the *conflicted state set* and following `auth_events` edges may
/// lead to another event in the conflicted state set. The union of all such paths between any pair
/// of events in the conflicted state set (including endpoints) forms a subgraph of the original
/// `auth_event` graph, called the *conflicted state subgraph*."
fn conflicted_state_subgraph(conflicted: &BTreeSet<String>, events: &Events) -> BTreeSet<String> {
    let below: BTreeSet<String> = conflicted.iter().flat_map(|id| auth_chain(id, events)).collect();
    // An event lies on such a path when a conflicted event leads to it and it leads to one.
    below.into_iter().filter(|id| !auth_chain(id, events).is_disjoint(conflicted)).collect()
}

struct Run<'a> {
    version: &'a Differences,
    events: &'a Events,
    walk: Walk,
    full: BTreeSet<String>,
}

impl Run<'_> {
    /// The set *X* of step 1.
    fn enlarged_power_events(&self) -> BTreeSet<String> {
        let power_events = self.full.iter().filter(|id| self.events.get(*id).is_some_and(is_power_event));
        let mut enlarged: BTreeSet<String> = power_events.clone().cloned().collect();
        for power_event in power_events {
            enlarged.extend(self.chain_in_full_conflicted_set(power_event));
        }
        enlarged
    }

    fn chain_in_full_conflicted_set(&self, event_id: &str) -> BTreeSet<String> {
        if self.walk == Walk::WholeChain {
            return auth_chain(event_id, self.events).intersection(&self.full).cloned().collect();
        }
        let mut chain = BTreeSet::new();
        let mut to_visit = vec![event_id];
        while let Some(event) = to_visit.pop().and_then(|id| self.events.get(id)) {
            for auth_event_id in event.auth_events.iter().filter(|id| self.full.contains(*id)) {
                if chain.insert(auth_event_id.clone()) {
                    to_visit.push(auth_event_id);
                }
            }
        }
        chain
    }

    /// The events that have to come before an event: its edges in "the DAG formed by auth events".
    fn edges(&self, event_id: &str) -> BTreeSet<String> {
        match self.walk {
            Walk::WholeChain => auth_chain(event_id, self.events),
            Walk::Deployed => {
                let event = self.events.get(event_id);
                event.into_iter().flat_map(|event| event.auth_events.iter().cloned()).collect()
            }
        }
    }

    /// "The reverse topological power ordering can be found by sorting the events using Kahn's
    /// algorithm for topological sorting, and at each step selecting, among all the candidate
    /// vertices, the smallest vertex using the above comparison relation."
    fn reverse_topological_power_ordering(&self, set: &BTreeSet<String>) -> Vec<String> {
        let edges: BTreeMap<&String, BTreeSet<String>> = set.iter().map(|id| (id, self.edges(id))).collect();
        let mut remaining = set.clone();
        let mut order = Vec::new();
        loop {
            let candidates = remaining
                .iter()
                .filter(|id| edges.get(id).is_some_and(|edges| edges.is_disjoint(&remaining)));
            let Some(smallest) = candidates.min_by_key(|id| self.power_key(id)).cloned() else {
                return order;
            };
            remaining.remove(&smallest);
            order.push(smallest);
        }
    }

    /// "*x* < *y* if 1. *x*'s sender has *greater* power level than *y*'s sender, when looking at
    /// their respective `auth_event`s; or 2. the senders have the same power level, but *x*'s
    /// `origin_server_ts` is *less* than *y*'s `origin_server_ts`; or 3. the senders have the same
    /// power level and the events have the same `origin_server_ts`, but *x*'s `event_id` is *less*
    /// than *y*'s `event_id`."
    fn power_key(&self, event_id: &str) -> (std::cmp::Reverse<Option<Power>>, i64, String) {
        let event = self.events.get(event_id);
        let power = event.map(|event| self.sender_power(event));
        let ts = event.map_or(0, |event| event.origin_server_ts);
        (std::cmp::Reverse(power), ts, event_id.to_owned())
    }

    fn sender_power(&self, event: &RoomEvent) -> Power {
        let cited = |event_type: &str| self.cited(event, event_type);
        let create = if self.version.creators_rule {
            create_by_room_id(event, self.events)
        } else {
            cited("m.room.create")
        };
        PowerLevels::new(cited("m.room.power_levels"), create, self.version).of_user(&event.sender)
    }

    /// The event of the given type, with an empty state key, in the `auth_events` of an event.
    fn cited(&self, event: &RoomEvent, event_type: &str) -> Option<&RoomEvent> {
        let mut auth_events = event.auth_events.iter().filter_map(|id| self.events.get(id));
        auth_events.find(|auth_event| auth_event.is_state(event_type, ""))
    }

    /// "Constructs a new room state by iterating through the event list and applying the state
    /// event to the room state if the state event is allowed by the authorisation rules. If the
    /// state event is not allowed by the authorisation rules, then the event is ignored."
    fn iterative_auth_checks(&self, state: &mut StateMap, list: &[String]) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        for event in list.iter().filter_map(|id| self.events.get(id)) {
            let Some(key) = event.state_map_key() else { continue };
            match check_in_state(self.version, event, state, self.events) {
                Ok(()) => {
                    state.insert(key, event.event_id.clone());
                }
                Err(denied) => dropped.push(Dropped { event_id: event.event_id.clone(), denied }),
            }
        }
        dropped
    }

    /// "*x* < *y* if 1. the mainline position of *x* is **greater** than the mainline position of
    /// *y*; or 2. the mainline positions of the events are the same, but *x*'s `origin_server_ts`
    /// is *less* than *y*'s `origin_server_ts`; or 3. […] *x*'s `event_id` is *less* than *y*'s
    /// `event_id`."
    fn mainline_ordering(&self, set: BTreeSet<String>, power_levels: Option<String>) -> Vec<String> {
        // "The *mainline of P0* is the list of events [*P0*, *P1*, ..., *Pn*]"
        let mut mainline: Vec<String> = power_levels.clone().into_iter().collect();
        mainline.extend(power_levels.map(|id| self.power_levels_behind(&id)).unwrap_or_default());
        // "Find the smallest index *j* ≥ 1 for which *ej* belongs to the mainline of *P*. If such
        // a *j* exists, then *ej* = *Pi* for some unique index *i* ≥ 0. Otherwise set *i* = ∞."
        let position = |id: &String| {
            let behind = self.power_levels_behind(id);
            behind.iter().find_map(|e| mainline.iter().position(|p| p == e)).unwrap_or(usize::MAX)
        };
        let ts = |id: &String| self.events.get(id).map_or(0, |event| event.origin_server_ts);
        let mut list: Vec<String> = set.into_iter().collect();
        list.sort_by_cached_key(|id| (std::cmp::Reverse(position(id)), ts(id), id.clone()));
        list
    }

    /// "Repeatedly fetch *Pi+1*, the `m.room.power_levels` event in the `auth_events` of *Pi*,
    /// until *Pi* has no `m.room.power_levels` event in its `auth_events`": the list without the
    /// event it starts from.
    fn power_levels_behind(&self, event_id: &str) -> Vec<String> {
        let mut list = Vec::new();
        let mut current = self.events.get(event_id);
        while let Some(next) = current.and_then(|event| self.cited(event, "m.room.power_levels")) {
            list.push(next.event_id.clone());
            current = Some(next);
        }
        list
    }
}

/// "A *power event* is a state event with type `m.room.power_levels` or `m.room.join_rules`, or a
/// state event with type `m.room.member` where the `membership` is `leave` or `ban` and the
/// `sender` does not match the `state_key`."
///
/// Only state key `""` counts for the first two, as in every implementation: others mean nothing.
fn is_power_event(event: &RoomEvent) -> bool {
    match event.event_type.as_str() {
        "m.room.power_levels" | "m.room.join_rules" => event.state_key.as_deref() == Some(""),
        "m.room.member" => {
            let removes = matches!(event.content_str("membership").as_deref(), Some("leave" | "ban"));
            let of_other = event.state_key.as_ref().is_some_and(|target| *target != event.sender);
            removes && of_other
        }
        _ => false,
    }
}
