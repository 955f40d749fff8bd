//! The state before an event as another server gave it.

use std::collections::BTreeSet;

use freehold_room::{Fetch, GivenError};
use freehold_signing::SignedPdu;
use freehold_state_map::Entry;
use freehold_store::tables::rooms::{self, EVENTS, Membership};
use freehold_store::{EventNumber, StateKeyNumber};
use ruma_common::{OwnedEventId, UserId};

use crate::error::ActionError;
use crate::limits::BATCH_MAX;
use crate::receive::Incoming;
use crate::work::{KnownMember, Work};

/// The state before an event: events by the numbers of their types and state keys.
pub(crate) type Given = Vec<(u64, Entry)>;

/// State events that are looked at whatever the event is about.
const LOOKED_AT: [&str; 4] =
    ["m.room.create", "m.room.power_levels", "m.room.join_rules", "m.room.server_acl"];

impl Work {
    /// What a server gave as a state, in numbers; what was rejected counts for nothing.
    pub(crate) async fn given_state(
        &mut self,
        state: Option<&[OwnedEventId]>,
    ) -> Result<Result<Option<Given>, Incoming>, ActionError> {
        let Some(event_ids) = state else {
            return Ok(Ok(None));
        };
        let (mut given, mut missing) = (Given::with_capacity(event_ids.len()), Vec::new());
        let mut numbered = Vec::with_capacity(event_ids.len());
        for page in event_ids.chunks(BATCH_MAX) {
            for (event_id, number) in page.iter().zip(self.snapshot.numbers_of(page).await?) {
                match number {
                    Some(number) => numbered.push((number, event_id)),
                    None => missing.push(event_id.clone()),
                }
            }
        }
        // Events that were taken together lie together.
        numbered.sort_unstable();
        for page in numbered.chunks(BATCH_MAX) {
            if let Err(error) = self.given_page(page, &mut given, &mut missing).await? {
                return Ok(Err(Incoming::BadState(error)));
            }
        }
        if missing.is_empty() {
            return Ok(Ok(Some(given)));
        }
        Ok(Err(Incoming::Fetch(Fetch { prev_events: Vec::new(), auth_events: missing })))
    }

    async fn given_page(
        &mut self,
        events: &[(EventNumber, &OwnedEventId)],
        given: &mut Given,
        missing: &mut Vec<OwnedEventId>,
    ) -> Result<Result<(), GivenError>, ActionError> {
        let numbers: Vec<EventNumber> = events.iter().map(|(number, _)| *number).collect();
        let rows = self.snapshot.rows_of(&EVENTS, &numbers).await?;
        let mut members = Vec::new();
        for ((number, event_id), row) in events.iter().zip(rows) {
            let Some(row) = row else {
                missing.push((*event_id).clone());
                continue;
            };
            if row.room != self.number {
                return Ok(Err(GivenError::OtherRoom));
            }
            let Some(key) = row.state_key else {
                return Ok(Err(GivenError::NoState));
            };
            if row.standing != rooms::Standing::Rejected {
                given.push((key.0, Entry { event: number.0, generation: row.generation }));
                members.extend(row.membership.map(|membership| (*number, key, membership)));
            }
        }
        self.note_members(members).await?;
        Ok(Ok(()))
    }

    /// Notes whose memberships some events are, so that they need not be read.
    async fn note_members(
        &mut self,
        members: Vec<(EventNumber, StateKeyNumber, Membership)>,
    ) -> Result<(), ActionError> {
        let keys: Vec<StateKeyNumber> = members.iter().map(|(_, key, _)| *key).collect();
        let ids = self.snapshot.ids_of(&keys).await?;
        for ((event, _, membership), (_, state_key)) in members.into_iter().zip(ids) {
            let user_id = UserId::parse(state_key).ok();
            let known = KnownMember { event, user_id, membership: Some(membership) };
            self.beside.members.insert(event.0, known);
        }
        Ok(())
    }

    /// Puts on the shelf what is looked at when an event is received after a given state, and is not on it: to find out bit by
    /// bit what is missing would take the state apart as often.
    pub(crate) async fn shelve_for(&mut self, event: &SignedPdu, given: &Given) -> Result<(), ActionError> {
        let pdu = event.pdu();
        let named: Vec<OwnedEventId> = pdu.auth_events().iter().chain(pdu.prev_events()).cloned().collect();
        let numbers = self.computed(|_, shelf| shelf.numbers(&named)).await?;
        let mut keys = BTreeSet::new();
        for event_type in LOOKED_AT {
            keys.extend(self.computed(|_, shelf| shelf.state_key(event_type, "")).await?);
        }
        let mut events: Vec<u64> =
            given.iter().filter(|(key, _)| keys.contains(key)).map(|(_, entry)| entry.event).collect();
        events.extend(numbers.into_iter().flatten());
        self.computed(|_, shelf| shelf.events(&events).map(drop)).await
    }
}
