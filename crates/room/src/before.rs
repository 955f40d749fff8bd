//! What an event follows, and the state before it.

use std::sync::Arc;

use freehold_signing::SignedPdu;
use freehold_state_map::{Entry, StateMap};
use ruma_common::OwnedEventId;

use crate::event::Event;
use crate::receive::{Coming, Fetch, ReceiveError};
use crate::resolve::resolved;
use crate::room::{Facts, Room, state_after};
use crate::shelf::{Shelf, Stop};

/// Why a state that another server gave is none of the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GivenError {
    /// Two events have one type and state key.
    #[error("two events of the given state have one type and state key")]
    Twice,
    /// One of them is no state event.
    #[error("an event of the given state is no state event")]
    NoState,
    /// One of them is of another room.
    #[error("an event of the given state is of another room")]
    OtherRoom,
    /// The create event of the room is not in it.
    #[error("the given state has not the create event of the room")]
    OtherCreate,
}

/// The state before an event.
pub(crate) struct Before {
    pub(crate) state: StateMap,
    pub(crate) facts: Arc<Facts>,
    /// The events before it of which the state is not known.
    pub(crate) missing_prev: Vec<OwnedEventId>,
    /// Whether it is the current state of the room.
    pub(crate) is_current: bool,
    /// Whether the event follows all forward extremities.
    pub(crate) follows_all: bool,
}

/// The number of an event, and the events that it names.
pub(crate) struct Links {
    pub(crate) number: u64,
    pub(crate) prev_events: Vec<u64>,
    pub(crate) auth_events: Vec<u64>,
    missing_prev: Vec<OwnedEventId>,
    pub(crate) missing_auth: Vec<OwnedEventId>,
}

impl Links {
    pub(crate) fn find(event: &SignedPdu, number: u64, shelf: &Shelf) -> Result<Links, Stop> {
        let pdu = event.pdu();
        let (prev_events, missing_prev) = split(pdu.prev_events(), shelf)?;
        let (auth_events, missing_auth) = split(pdu.auth_events(), shelf)?;
        Ok(Links { number, prev_events, auth_events, missing_prev, missing_auth })
    }
}

impl Room {
    /// The room state before an event: the resolution of the states after its `prev_events`
    /// (<https://spec.matrix.org/v1.19/server-server-api/#definitions>). Where those cannot be had, what another server says
    /// it is, resolved with what is known here.
    pub(crate) fn state_before(
        &self,
        links: &Links,
        coming: Coming<'_>,
        shelf: &Shelf,
    ) -> Result<Result<Before, Fetch>, ReceiveError> {
        if links.missing_auth.is_empty() && links.missing_prev.is_empty() {
            let follows_all = self.is_head(&links.prev_events);
            if follows_all || self.are_after_current(&links.prev_events) {
                return Ok(Ok(self.current_before(Vec::new(), follows_all)));
            }
        }
        let prev_events = shelf.events(&links.prev_events)?;
        // An outlier has no state of its own to speak of.
        let (known, outliers): (Vec<_>, Vec<_>) =
            prev_events.into_iter().partition(|event| event.state_before.is_some());
        let outliers = outliers.iter().map(|event| event.pdu.event_id().to_owned());
        let missing_prev: Vec<OwnedEventId> = links.missing_prev.iter().cloned().chain(outliers).collect();
        let given = coming.given.filter(|_| !missing_prev.is_empty());
        let is_stuck = !missing_prev.is_empty() && given.is_none();
        if is_stuck || !links.missing_auth.is_empty() {
            let prev_events = if is_stuck { missing_prev } else { Vec::new() };
            return Ok(Err(Fetch { prev_events, auth_events: links.missing_auth.clone() }));
        }
        let mut states = states_after(known.into_iter().map(|event| &**event), &self.state, shelf)?;
        if let Some(given) = given {
            states.push(self.given_state(given)?);
        }
        let state = resolved(self.version, &states, shelf)?;
        if state.root_id() == self.state.root_id() {
            return Ok(Ok(self.current_before(missing_prev, false)));
        }
        let facts = Arc::new(Facts::read(self.version, &state, shelf)?);
        Ok(Ok(Before { state, facts, missing_prev, is_current: false, follows_all: false }))
    }

    /// The current state as the one before an event.
    fn current_before(&self, missing_prev: Vec<OwnedEventId>, follows_all: bool) -> Before {
        let (state, facts) = (self.state.clone(), self.facts.clone());
        Before { state, facts, missing_prev, is_current: true, follows_all }
    }

    /// Whether these are forward extremities after each of which the state is the current one, and so their resolution.
    fn are_after_current(&self, prev_events: &[u64]) -> bool {
        let is_after_current = |prev: &u64| {
            let mut extremities = self.extremities.iter();
            extremities.any(|extremity| extremity.number == *prev && self.has_current_state(extremity))
        };
        !prev_events.is_empty() && prev_events.iter().all(is_after_current)
    }

    /// Whether these are the forward extremities.
    fn is_head(&self, prev_events: &[u64]) -> bool {
        let (mut prev, mut heads) = (prev_events.to_vec(), self.forward_extremities());
        prev.sort_unstable();
        heads.sort_unstable();
        !heads.is_empty() && prev == heads
    }

    fn given_state(&self, given: &[(u64, Entry)]) -> Result<StateMap, ReceiveError> {
        let state: StateMap = given.iter().copied().collect();
        if state.len() < given.len() {
            return Err(GivenError::Twice.into());
        }
        let has_create = given.iter().any(|(_, entry)| entry.event == self.create);
        if has_create { Ok(state) } else { Err(GivenError::OtherCreate.into()) }
    }
}

/// The states after some events; those without a state are passed over. The one that lies open is not read again.
pub(crate) fn states_after<'a>(
    events: impl Iterator<Item = &'a Event>,
    open: &StateMap,
    shelf: &Shelf,
) -> Result<Vec<StateMap>, Stop> {
    let mut states = Vec::new();
    for event in events {
        if let Some(root) = event.state_before {
            let before = if root == open.root_id() { open.clone() } else { shelf.open(root)? };
            states.push(state_after(event, &before, shelf)?);
        }
    }
    Ok(states)
}

fn split(event_ids: &[OwnedEventId], shelf: &Shelf) -> Result<(Vec<u64>, Vec<OwnedEventId>), Stop> {
    let mut known = Vec::with_capacity(event_ids.len());
    let mut missing = Vec::new();
    for (event_id, number) in event_ids.iter().zip(shelf.numbers(event_ids)?) {
        match number {
            Some(number) => known.push(number),
            None => missing.push(event_id.clone()),
        }
    }
    Ok((known, missing))
}
