//! How a room becomes partial.

use std::collections::BTreeSet;

use freehold_event::Pdu;
use freehold_room::Event;
use freehold_store::tables::rooms::{CURRENT_STATE, EventRow, PARTIAL_ROOMS, PartialRoomRow, Standing};
use freehold_store::{EventNumber, StateKeyNumber};
use ruma_common::{OwnedEventId, OwnedServerName, RoomId, ServerName};

use crate::error::ActionError;
use crate::outside::Members;
use crate::remote::{Heard, Lacking};
use crate::rooms::Rooms;
use crate::rows::event_rows;
use crate::work::{Wanted, Work};

/// What a server said of the members of a room.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    resident: OwnedServerName,
    /// Whether members are left out.
    omits: bool,
    servers: Vec<OwnedServerName>,
    /// What of it could not be verified yet.
    pub(crate) lacking: Vec<Lacking>,
}

impl Said {
    /// What an answer says. The server that helps is in the room, whatever it says.
    pub(crate) fn by(resident: &ServerName, heard: &mut Heard) -> Self {
        let mut servers = std::mem::take(&mut heard.servers);
        servers.push(resident.to_owned());
        Said { resident: resident.to_owned(), omits: heard.members_omitted, servers, lacking: Vec::new() }
    }
}

impl Rooms {
    /// Which members are asked for when a room is joined: a few of a room that is new here, if somebody sees to the others. Of a
    /// room that was known before, much is here already.
    pub(crate) async fn members_to_ask_for(&self, room_id: &RoomId) -> Result<Members, ActionError> {
        let snapshot = self.0.store.snapshot()?;
        let room = snapshot.number_of(&room_id.to_owned()).await?;
        let current = match room {
            Some(room) => snapshot.get(&CURRENT_STATE, &room).await?,
            None => None,
        };
        // One that was begun and never joined has no forward extremities.
        let is_known = current.is_some_and(|current| !current.forward_extremities.is_empty());
        let is_partial = match room {
            Some(room) => snapshot.get(&PARTIAL_ROOMS, &room).await?.is_some(),
            None => false,
        };
        let has_members = is_known && !is_partial;
        Ok(if has_members || !self.0.settings.omits_members { Members::All } else { Members::Few })
    }

    /// The state that was told before a join, with the members whom the join cites: they authorise it, so that they are of that
    /// state. A server that leaves members out may tell them as parts of the auth chain alone.
    pub(crate) async fn with_cited_members(
        &self,
        join: &Pdu,
        mut state: Vec<OwnedEventId>,
    ) -> Result<Vec<OwnedEventId>, ActionError> {
        let snapshot = self.0.store.snapshot()?;
        let room = snapshot.number_of(&join.room_id().to_owned()).await?;
        let told = event_rows(&snapshot, &state).await?.into_iter();
        let told: BTreeSet<StateKeyNumber> = told.filter_map(|row| row?.state_key).collect();
        let cited = join.auth_events();
        for (event_id, row) in cited.iter().zip(event_rows(&snapshot, cited).await?) {
            let is_member = |row: &EventRow| {
                row.membership.is_some() && row.standing != Standing::Rejected && Some(row.room) == room
            };
            let key = row.filter(is_member).and_then(|row| row.state_key);
            if key.is_some_and(|key| !told.contains(&key)) {
                state.push(event_id.clone());
            }
        }
        Ok(state)
    }
}

impl Work {
    /// The room is partial after a staged join, if members were left out; and if it was before everybody left, because what is
    /// known since then lacks members.
    pub(crate) fn becomes_partial(&mut self, join: &Event, said: &Said, before: Option<PartialRoomRow>) {
        if !said.omits && before.is_none() {
            return;
        }
        let identities = &self.rooms.0.outside.identities;
        let mut servers = said.servers.clone();
        if !said.omits {
            servers.extend(before.iter().flat_map(|row| row.servers.iter().cloned()));
        }
        servers.retain(|server| identities.tenant(server).is_none());
        servers.sort_unstable();
        servers.dedup();
        let row = PartialRoomRow {
            join: EventNumber(join.number),
            resident: said.resident.clone(),
            servers,
            since_ts: self.rooms.now_ts(),
        };
        row.servers.iter().for_each(|server| self.beside.servers.step(server, 1));
        self.batch.expect_unchanged(&PARTIAL_ROOMS, &self.number, before.as_ref());
        self.batch.put(&PARTIAL_ROOMS, &self.number, &row);
        self.is_partial = true;
        self.tell_of_partial(true);
    }

    /// Of a partial room, who is in it is not known: nothing is done about the membership of others.
    pub(crate) fn expect_known(&self, wanted: &Wanted) -> Result<(), ActionError> {
        let is_about_another = wanted.event_type == "m.room.member"
            && wanted.state_key.as_deref() != Some(wanted.sender.as_str());
        if self.is_partial && is_about_another { Err(ActionError::Partial) } else { Ok(()) }
    }

    /// Nobody here is in the room any more, which was partial then: another join is let in, by which it is partial again.
    pub(crate) async fn part_partial(&mut self) -> Result<Option<PartialRoomRow>, ActionError> {
        let row = self.snapshot.get(&PARTIAL_ROOMS, &self.number).await?;
        for server in row.iter().flat_map(|row| &row.servers) {
            self.beside.servers.step(server, -1);
        }
        self.drop_held().await?;
        self.is_partial = false;
        Ok(row)
    }

    /// The room is not partial any more: who is in it is known by name.
    pub(super) fn end_partial(&mut self, row: &PartialRoomRow) {
        row.servers.iter().for_each(|server| self.beside.servers.step(server, -1));
        self.batch.expect_unchanged(&PARTIAL_ROOMS, &self.number, Some(row));
        self.batch.delete(&PARTIAL_ROOMS, &self.number);
        self.is_partial = false;
        self.tell_of_partial(false);
    }

    /// Who waits for rooms to become partial, or whole, is told once this is durable.
    fn tell_of_partial(&mut self, is_partial: bool) {
        let (rooms, room) = (self.rooms.clone(), self.number);
        self.batch.once_durable(move |_| rooms.0.partial.tell(room, is_partial));
    }
}
