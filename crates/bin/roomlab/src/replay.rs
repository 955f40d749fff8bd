//! A room from its first event to its last: the verdict on each event and the state before and after it.

use std::collections::BTreeSet;

use freehold_event::{EventSource, EventView, Field};
use freehold_event_auth::{
    Denial, NamedAuthEvents, PreparedState, auth_types_needed, check, check_auth_events,
};
use freehold_state_map::{NoStore, StateMap};
use freehold_state_res::{Algorithm, ResolveError};

use crate::cli;
use crate::failure::Failure;
use crate::progress;
use crate::resolver;
use crate::room::{Event, Room};
use crate::states::{self, StateKeys};

/// A room and what becomes of its events.
#[derive(Debug)]
pub(crate) struct Replay<'r> {
    pub(crate) room: &'r Room,
    pub(crate) algorithm: Algorithm,
    pub(crate) keys: StateKeys,
    /// By number.
    steps: Vec<Step>,
}

/// What became of one event.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) verdict: Verdict,
    pub(crate) before: Option<StateMap>,
    pub(crate) after: Option<StateMap>,
}

/// What the checks on receipt that concern authorisation say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It passes both.
    Accepted,
    /// Rejected because a field is too long in bytes.
    OverByteLimit(Field),
    /// Check 4: rejected by its auth events.
    DeniedByAuthEvents(Denial),
    /// Check 5: rejected by the state before it.
    DeniedByState(Denial),
    /// An auth event is not in the file, so nothing can be said.
    AuthEventsMissing { event: u64 },
    /// It passes check 4; the state before it is not known because this event is not in the file.
    StateUnknown { missing: u64 },
}

impl Verdict {
    pub(crate) fn is_rejected(&self) -> bool {
        matches!(self, Verdict::OverByteLimit(_)) || self.denial().is_some()
    }

    pub(crate) fn denial(&self) -> Option<&Denial> {
        match self {
            Verdict::DeniedByAuthEvents(denial) | Verdict::DeniedByState(denial) => Some(denial),
            _ => None,
        }
    }
}

/// Goes through a room, with the algorithm of its version or with another one.
pub(crate) fn replay(room: &Room, algorithm: Option<cli::Algorithm>) -> Result<Replay<'_>, Failure> {
    let bar = progress::bar("states", room.events.len());
    let mut replay = Replay {
        room,
        algorithm: resolver::algorithm(algorithm, room.version),
        keys: StateKeys::of(room),
        steps: Vec::with_capacity(room.events.len()),
    };
    for event in &room.events {
        let step = replay.judge(event)?;
        replay.steps.push(step);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(replay)
}

impl Replay<'_> {
    /// What became of an event; `None` when the file does not have it.
    pub(crate) fn step(&self, number: u64) -> Option<&Step> {
        self.steps.get(usize::try_from(number).ok()?)
    }

    /// The verdict on an event of the file.
    pub(crate) fn verdict(&self, number: u64) -> Option<&Verdict> {
        self.step(number).map(|step| &step.verdict)
    }

    /// The events at the end of the room: those that were not rejected and that no other such event has
    /// among its `prev_events`.
    pub(crate) fn extremities(&self) -> Vec<u64> {
        let is_rejected = |number| self.verdict(number).is_some_and(Verdict::is_rejected);
        let accepted = || self.room.events.iter().filter(|event| !is_rejected(event.number));
        let continued: BTreeSet<u64> =
            accepted().flat_map(|event| event.prev_events.iter().copied()).collect();
        accepted().map(|event| event.number).filter(|number| !continued.contains(number)).collect()
    }

    /// The events at which several different states meet.
    pub(crate) fn merges(&self) -> impl Iterator<Item = &Event> {
        self.room.events.iter().filter(|event| {
            self.states_after(&event.prev_events)
                .is_ok_and(|states| states.iter().any(|state| Some(state) != states.first()))
        })
    }

    /// The states after these events, or the first of them whose state is not known.
    pub(crate) fn states_after(&self, events: &[u64]) -> Result<Vec<&StateMap>, u64> {
        events
            .iter()
            .map(|event| self.step(*event).and_then(|step| step.after.as_ref()).ok_or(*event))
            .collect()
    }

    /// The event for which the state after `number` is not known.
    pub(crate) fn first_missing(&self, number: u64) -> u64 {
        match self.verdict(number) {
            Some(Verdict::StateUnknown { missing } | Verdict::AuthEventsMissing { event: missing }) => {
                *missing
            }
            Some(_) => {
                let prev_events = self.room.event(number).map(|event| event.prev_events.as_slice());
                let unknown = self.states_after(prev_events.unwrap_or_default()).err();
                unknown.map_or(number, |unknown| self.first_missing(unknown))
            }
            None => number,
        }
    }

    /// The state in which these events leave the room.
    pub(crate) fn state_after(&self, events: &[u64]) -> Result<Result<StateMap, u64>, Failure> {
        let states = match self.states_after(events) {
            Ok(states) => states,
            Err(unknown) => return Ok(Err(self.first_missing(unknown))),
        };
        match states.as_slice() {
            [] => Ok(Ok(StateMap::new())),
            [first, rest @ ..] if rest.iter().all(|state| state == first) => Ok(Ok((*first).clone())),
            _ => match resolver::resolve(self, &states) {
                Ok(resolved) => Ok(Ok(resolved.state)),
                Err(error) => self.unresolved(events, *error),
            },
        }
    }

    /// A resolution that needs an event the file does not have gives no state; any other failure
    /// ends the command.
    fn unresolved(&self, events: &[u64], error: ResolveError<u64>) -> Result<Result<StateMap, u64>, Failure> {
        match error {
            ResolveError::MissingEvents { events } if !events.is_empty() => {
                Ok(Err(events.first().copied().unwrap_or_default()))
            }
            source => {
                let at = events.first().map_or("?", |event| self.room.name(*event));
                Err(Failure::Resolve { event_id: at.to_owned(), source: Box::new(source) })
            }
        }
    }

    fn judge(&self, event: &Event) -> Result<Step, Failure> {
        let (before, missing) = match self.state_after(&event.prev_events)? {
            Ok(before) => (Some(before), None),
            Err(missing) => (None, Some(missing)),
        };
        let verdict = match self.verdict_by_auth_events(event) {
            Verdict::Accepted => match (&before, missing) {
                (Some(before), _) => self.verdict_by_state(event, before),
                (None, missing) => Verdict::StateUnknown { missing: missing.unwrap_or(event.number) },
            },
            other => other,
        };
        let after = before.clone().map(|mut after| {
            if !verdict.is_rejected()
                && let Some((key, entry)) = self.keys.entry(event)
            {
                // Cannot fail: the state lives in memory.
                let _ = after.insert(key, entry, &NoStore);
            }
            after
        });
        Ok(Step { verdict, before, after })
    }

    fn verdict_by_auth_events(&self, event: &Event) -> Verdict {
        if let Some(field) = event.received().over_byte_limit() {
            return Verdict::OverByteLimit(field);
        }
        let mut auth_events = Vec::with_capacity(event.auth_events.len());
        for number in &event.auth_events {
            match self.event(number) {
                Some(view) => auth_events.push(view),
                None => return Verdict::AuthEventsMissing { event: *number },
            }
        }
        let create = self.create_by_room_id(event);
        let Some(view) = self.event(&event.number) else { return Verdict::Accepted };
        let named = NamedAuthEvents { auth_events: &auth_events, create };
        let state = PreparedState::from_events(self.room.version, auth_events.iter().copied().chain(create));
        check_auth_events(&view, &named, self.room.version)
            .and_then(|()| check(&view, &state, self.room.version))
            .map_or_else(Verdict::DeniedByAuthEvents, |()| Verdict::Accepted)
    }

    fn verdict_by_state(&self, event: &Event, before: &StateMap) -> Verdict {
        let Some(view) = self.event(&event.number) else { return Verdict::Accepted };
        let needed = auth_types_needed(&view, self.room.version);
        let entries = needed.iter().chain([("m.room.create", "")]).filter_map(|(event_type, state_key)| {
            let key = self.keys.number(event_type, state_key)?;
            self.event(&states::get(before, key)?)
        });
        let state = PreparedState::from_events(self.room.version, entries);
        check(&view, &state, self.room.version).map_or_else(Verdict::DeniedByState, |()| Verdict::Accepted)
    }

    /// The create event that a room id of room version 12 names.
    fn create_by_room_id(&self, event: &Event) -> Option<EventView<'_, u64>> {
        if !self.room.version.rules().authorization.room_create_event_id_as_room_id {
            return None;
        }
        let id = event.pdu().room_id().as_str().strip_prefix('!')?;
        let number = self.room.number(&format!("${id}"))?;
        self.event(&number)
    }
}

/// The events of the room with the verdicts reached so far.
impl EventSource for Replay<'_> {
    type Id = u64;

    fn event(&self, id: &u64) -> Option<EventView<'_, u64>> {
        let rejected = self.verdict(*id).is_some_and(Verdict::is_rejected);
        self.room.view(*id, rejected)
    }

    fn generation(&self, id: &u64) -> Option<u64> {
        self.room.event(*id).map(|event| event.generation)
    }
}
