//! The checks on receipt that need the room, and what they make of an event.

use std::sync::Arc;

use freehold_event::EventView;
use freehold_event_auth::{AuthorizedPdu, NamedAuthEvents, PreparedState};
use freehold_signing::SignedPdu;
use freehold_state_map::NodeId;
use freehold_state_res::generation_above;

use crate::before::{Before, Links};
use crate::event::{Event, Standing};
use crate::receive::{Coming, Place, Refused};
use crate::room::Room;
use crate::shelf::{Shelf, Stop};

impl Room {
    /// Checks 4 to 6.
    pub(crate) fn judge(
        &self,
        event: SignedPdu,
        (links, before): (&Links, &Before),
        coming: Coming<'_>,
        shelf: &Shelf,
    ) -> Result<(Event, Option<Refused>), Stop> {
        let auth_events = shelf.events(&links.auth_events)?;
        let views: Vec<EventView<'_, u64>> = auth_events.iter().map(|event| event.view()).collect();
        let named = NamedAuthEvents { auth_events: &views, create: self.implied_create(shelf)? };
        let view = event.pdu().view();
        let facts_before = before.facts.with_members(&view, &before.state, shelf)?;
        // History is not judged by what came later, and a room of which nothing is here yet has no current state.
        let is_judged_now = coming.place != Place::History && !self.extremities.is_empty();
        let facts_now = match before.is_current || !is_judged_now {
            true => None,
            false => Some(self.facts_for(&view, shelf)?),
        };
        let (signed, refused) = match AuthorizedPdu::check(event, &named, &facts_before) {
            Err(unauthorized) => {
                let unauthorized = *unauthorized;
                (unauthorized.pdu, Some(Refused::Rejected(unauthorized.refusal)))
            }
            // Check 6 is check 5 again when the state before the event is the current one.
            Ok(authorized) if is_judged_now && (facts_now.is_some() || coming.policy.is_some()) => {
                let now = authorized.check_current(&facts_now.unwrap_or(facts_before), coming.policy);
                (authorized.into_signed(), now.err().map(Refused::SoftFailed))
            }
            Ok(authorized) => (authorized.into_signed(), None),
        };
        let state_before = Some(before.state.root_id());
        Ok((judged(signed, links, &auth_events, (&refused, state_before)), refused))
    }

    /// Check 4 alone.
    pub(crate) fn judge_outlier(
        &self,
        event: SignedPdu,
        links: &Links,
        shelf: &Shelf,
    ) -> Result<(Event, Option<Refused>), Stop> {
        let auth_events = shelf.events(&links.auth_events)?;
        let views: Vec<EventView<'_, u64>> = auth_events.iter().map(|event| event.view()).collect();
        let create = self.implied_create(shelf)?;
        let named = NamedAuthEvents { auth_events: &views, create };
        // Check 4 is all there is when the state before the event is said to be what its auth events make.
        let state = PreparedState::from_events(self.version, views.iter().copied().chain(create));
        let (signed, refused) = match AuthorizedPdu::check(event, &named, &state) {
            Ok(authorized) => (authorized.into_signed(), None),
            Err(unauthorized) => {
                let unauthorized = *unauthorized;
                (unauthorized.pdu, Some(Refused::Rejected(unauthorized.refusal)))
            }
        };
        Ok((judged(signed, links, &auth_events, (&refused, None)), refused))
    }

    /// The create event, in room versions where no event names it.
    fn implied_create<'a>(&self, shelf: &'a Shelf) -> Result<Option<EventView<'a, u64>>, Stop> {
        let by_room_id = self.version.rules().authorization.room_create_event_id_as_room_id;
        Ok(if by_room_id { Some(shelf.event(self.create)?.view()) } else { None })
    }
}

/// An event with what the checks made of it.
fn judged(
    signed: SignedPdu,
    links: &Links,
    auth_events: &[&Arc<Event>],
    (refused, state_before): (&Option<Refused>, Option<NodeId>),
) -> Event {
    let standing = match refused {
        Some(Refused::Rejected(_)) => Standing::Rejected,
        Some(Refused::SoftFailed(_)) => Standing::SoftFailed,
        None if state_before.is_none() => Standing::Outlier,
        None => Standing::Accepted,
    };
    Event {
        number: links.number,
        pdu: signed.into_hashed().into_pdu(),
        prev_events: links.prev_events.clone(),
        auth_events: links.auth_events.clone(),
        generation: generation_above(auth_events.iter().map(|event| event.generation)),
        standing,
        state_before,
    }
}
