//! What an event does to its room.

use std::sync::Arc;

use freehold_event_auth::{AuthorizedPdu, NamedAuthEvents};
use freehold_signing::SignedPdu;
use freehold_state_map::{Change, Entry, StateMap};

use crate::before::{Before, states_after};
use crate::event::{Event, Standing};
use crate::receive::{CreateError, Numbers, Place, Receipt, Refused};
use crate::resolve::resolved;
use crate::room::{Extremity, Facts, Room, state_after};
use crate::shelf::{Nodes, Shelf, Stop};

impl Room {
    /// A new room, out of its create event.
    ///
    /// # Errors
    /// [`CreateError`].
    pub fn create_from(create: SignedPdu, numbers: Numbers) -> Result<Receipt, CreateError> {
        let begun = Room::begin(create, numbers)?;
        let state_before = Some(begun.room.state.root_id());
        let event = Event { standing: Standing::Accepted, state_before, ..Event::clone(&begun.event) };
        let mut receipt = begun.room.appended(event, numbers.state_key, &Shelf::new())?;
        receipt.nodes.extend(begun.nodes);
        Ok(receipt)
    }

    /// A room of which nothing is known but that it has this create event, which is an outlier for now. It has no forward
    /// extremities and an empty state until the first event is received, mostly one with a state given from outside.
    ///
    /// # Errors
    /// [`CreateError`].
    pub fn begin(create: SignedPdu, numbers: Numbers) -> Result<Receipt, CreateError> {
        let version = create.pdu().version();
        let facts = Facts::none(version);
        let named: NamedAuthEvents<'_, u64> = NamedAuthEvents { auth_events: &[], create: None };
        let authorized =
            AuthorizedPdu::check(create, &named, &facts.auth).map_err(|unauthorized| unauthorized.refusal)?;
        let pdu = authorized.into_signed().into_hashed().into_pdu();
        let (room_id, state) = (pdu.room_id().to_owned(), StateMap::new());
        let event = Event {
            number: numbers.event,
            pdu,
            prev_events: Vec::new(),
            auth_events: Vec::new(),
            generation: 0,
            standing: Standing::Outlier,
            state_before: None,
        };
        let (facts, extremities) = (Arc::new(facts), Vec::new());
        let room = Room { version, room_id, create: numbers.event, state, facts, extremities };
        let mut nodes = Nodes::none();
        room.state.save(&mut nodes).map_err(Stop::from)?;
        Ok(Receipt {
            event: Arc::new(event),
            refused: None,
            nodes: nodes.into_made(),
            state_changes: Vec::new(),
            missing_prev: Vec::new(),
            room,
        })
    }

    /// The receipt of an accepted event that comes after everything in the room.
    pub(crate) fn appended(
        &self,
        event: Event,
        state_key: Option<u64>,
        shelf: &Shelf,
    ) -> Result<Receipt, Stop> {
        let mut room = self.clone();
        let mut nodes = shelf.nodes();
        let mut state_changes = Vec::new();
        if let Some(key) = state_key {
            let entry = Entry { event: event.number, generation: event.generation };
            let old = room.state.insert(key, entry, &nodes)?;
            room.state.save_changes(&self.state, &mut nodes)?;
            Arc::make_mut(&mut room.facts).update(&event);
            state_changes.push(Change { key, old, new: Some(entry) });
        }
        room.extremities = vec![Arc::new(Extremity::from(&event))];
        let event = Arc::new(event);
        let missing_prev = Vec::new();
        Ok(Receipt { event, refused: None, nodes: nodes.into_made(), state_changes, missing_prev, room })
    }

    /// The receipt of any other event.
    pub(crate) fn merged(
        &self,
        (event, refused): (Event, Option<Refused>),
        Before { state: before, missing_prev, .. }: Before,
        place: Place,
        shelf: &Shelf,
    ) -> Result<Receipt, Stop> {
        let mut nodes = shelf.nodes();
        before.save_changes(&self.state, &mut nodes)?;
        let mut room = self.clone();
        let mut state_changes = Vec::new();
        let event = Arc::new(event);
        if event.standing == Standing::Accepted && place == Place::New {
            room.extremities.retain(|extremity| !event.prev_events.contains(&extremity.number));
            room.extremities.push(Arc::new(Extremity::from(&*event)));
            if room.extremities.iter().all(|extremity| self.has_current_state(extremity)) {
                // Their resolution is what they all are.
                let nodes = nodes.into_made();
                return Ok(Receipt { event, refused, nodes, state_changes, missing_prev, room });
            }
            let newest = room.extremities.pop();
            let others = shelf.events(&room.forward_extremities())?;
            let mut states = states_after(others.into_iter().map(|other| &**other), &self.state, shelf)?;
            states.push(state_after(&event, &before, shelf)?);
            let mut with_event = shelf.clone();
            with_event.put_event(Arc::clone(&event));
            room.extremities.extend(newest);
            room.state = resolved(self.version, &states, &with_event)?;
            room.facts = Arc::new(Facts::read(self.version, &room.state, &with_event)?);
            state_changes = self.state.diff(&room.state, &nodes)?;
            room.state.save_changes(&self.state, &mut nodes)?;
        }
        Ok(Receipt { event, refused, nodes: nodes.into_made(), state_changes, missing_prev, room })
    }
}
