//! How a partial room becomes whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_room::{Event, GivenError, Room, StoredRoom, rechecked};
use freehold_state_map::{Change, NodeId, StateMap};
use freehold_store::tables::rooms::{
    EVENTS, MEMBER_CHANGES, MEMBERSHIPS, Membership, MembershipRow, OUTGOING, OutgoingRow, PARTIAL_ROOMS,
    PartialRoomRow, STATE_HISTORY, TIMELINE,
};
use freehold_store::{EventNumber, Order, RoomNumber, TenantNumber, UserNumber};
use ruma_common::{OwnedEventId, OwnedServerName, RoomId, ServerName};

use super::states::States;
use crate::error::ActionError;
use crate::receive::Incoming;
use crate::remote::{BadAnswer, Lacking, NotTaken};
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::Work;

/// What a room that becomes whole brings beside its states.
#[derive(Debug)]
pub(crate) struct Completion {
    /// The join since which it was partial.
    pub(crate) join: Arc<Event>,
    /// How its current state changes.
    pub(crate) changes: Vec<Change>,
    /// Those of its users here who are joined, as if they had come in now: what they were told of the room was not all.
    pub(crate) joined: Vec<((UserNumber, RoomNumber), MembershipRow)>,
}

/// What becomes of members who cannot be verified, because nobody tells the keys of their servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// The room stays partial: the keys may be told later. What was verified is not verified again.
    Waits,
    /// They are left out until their keys can be had.
    LeftOut,
}

/// An event since the join, with the state before it.
pub(super) struct Since {
    pub(super) event: Arc<Event>,
    pub(super) state_before: NodeId,
}

impl Rooms {
    /// Has a server tell the members of a partial room that are not known yet, verifies them, and makes the room whole. What
    /// was taken before it broke off is not verified anew. Of a room that is not partial nothing is asked.
    ///
    /// # Errors
    /// [`ActionError::Refused`] and [`ActionError::BadAnswer`] when that server is of no help, [`ActionError::NotInRoom`] when nobody
    /// here is in the room any more; it is as partial as it was.
    pub async fn complete(
        &self,
        room_id: &RoomId,
        at: &ServerName,
        unverified: Unverified,
    ) -> Result<(), ActionError> {
        let turn = self.turn(room_id);
        let _turn = turn.lock().await;
        let reader = self.reader()?;
        let Some(number) = reader.room_number(room_id).await? else { return Ok(()) };
        let Some(partial) = reader.partial_room(number).await? else { return Ok(()) };
        if reader.local_joined(number).await?.is_empty() {
            return Err(ActionError::NotInRoom);
        }
        drop(reader);
        let tenant = partial.tenant.ok_or(ActionError::NotInRoom)?;
        let asked = self.0.outside.remote.state(&tenant, at, (room_id, &partial.join)).await;
        let mut body = asked.map_err(|answer| ActionError::Refused { server: at.to_owned(), answer })?;
        let taken = async {
            let room = (room_id, partial.room.version);
            let (mut heard, keys) = self.hear_of_known(&tenant, room, &mut *body).await?;
            let state = self.take_told(room, &mut heard, keys).await?;
            if !heard.lacking.is_empty() && unverified == Unverified::Waits {
                return Err(BadAnswer::Unverified(heard.lacking.len()).into());
            }
            tried!(self.try_complete(room_id, &state, &heard.lacking))
        };
        taken.await.map_err(|error| match error {
            NotTaken::Answer(source) => ActionError::BadAnswer { server: at.to_owned(), source },
            NotTaken::Here(error) => error,
        })
    }

    async fn try_complete(
        &self,
        room_id: &RoomId,
        state: &[OwnedEventId],
        lacking: &[Lacking],
    ) -> Result<(), NotTaken> {
        let mut work = Work::begin(self, room_id).await?;
        let Some(row) = work.snapshot.get(&PARTIAL_ROOMS, &work.number).await? else { return Ok(()) };
        work.becomes_whole(&row, state).await?;
        work.forget_lacking().await?;
        work.lacks(row.join, lacking);
        Ok(work.commit().await?)
    }
}

impl Work {
    /// The room is whole: `state` is what a server gave as the state before the join.
    async fn becomes_whole(&mut self, row: &PartialRoomRow, state: &[OwnedEventId]) -> Result<(), NotTaken> {
        let join = self.event_numbered(row.join.0).await?;
        let told = join.state_before.ok_or_else(|| ActionError::damaged("a join without a state"))?;
        let told = self.computed(|_, shelf| shelf.open(told)).await?;
        let whole = self.whole_state(&told, state).await?;
        self.check_join(&join, &whole).await?;
        let since = self.since(&join).await?;
        let mut states = States::new(told, whole);
        let changes = self.replace_states(&since, &mut states, &row.servers).await?;
        self.restate_history(&mut states).await?;
        let joined = self.come_in_anew().await?;
        self.beside.completion = Some(Completion { join, changes, joined });
        self.end_partial(row);
        Ok(())
    }

    /// What a server gave as the state before the join, if it is what was told then and more members.
    async fn whole_state(&mut self, told: &StateMap, state: &[OwnedEventId]) -> Result<StateMap, NotTaken> {
        let given = match self.given_state(Some(state)).await? {
            Ok(given) => given.unwrap_or_default(),
            Err(Incoming::BadState(error)) => return Err(BadAnswer::State(error).into()),
            Err(_) => return Err(BadAnswer::Form("events of the state are not told").into()),
        };
        let mut whole = StateMap::new();
        for (key, entry) in given {
            let before = whole.insert(key, entry, &self.shelf.nodes());
            if before.map_err(freehold_room::Stop::from).map_err(ActionError::from)?.is_some() {
                return Err(BadAnswer::State(GivenError::Twice).into());
            }
        }
        let changes = self.computed(|_, shelf| Ok(told.diff(&whole, &shelf.nodes())?)).await?;
        let is_member = |change: &Change| {
            let is_known = |event: u64| self.is_lacking || self.beside.members.contains_key(&event);
            change.old.is_none() && change.new.is_some_and(|entry| is_known(entry.event))
        };
        if changes.iter().all(is_member) { Ok(whole) } else { Err(BadAnswer::OtherState.into()) }
    }

    /// With all members known the join must still be allowed.
    pub(super) async fn check_join(&mut self, join: &Arc<Event>, whole: &StateMap) -> Result<(), NotTaken> {
        let create = self.machine.create();
        let verdict = self.computed(|_, shelf| rechecked(join, create, Some(whole), shelf)).await?;
        Ok(verdict.map_err(|refusal| BadAnswer::Refused(Box::new(refusal)))?)
    }

    /// The join, what came after it, and what was before it if the room was partial then, too, and left: only events of ours. For
    /// those of before it the members are taken who were in the room when it was joined again; of then nobody tells.
    async fn since(&mut self, join: &Arc<Event>) -> Result<Vec<Since>, ActionError> {
        let (mut since, mut next) = (BTreeMap::new(), self.machine.forward_extremities());
        next.push(join.number);
        let shown =
            self.snapshot.scan_prefix(&TIMELINE, &(self.number,), Order::Ascending, usize::MAX).await?;
        next.extend(shown.into_iter().map(|(_, event)| event.0));
        while let Some(number) = next.pop() {
            if since.contains_key(&number) {
                continue;
            }
            let event = self.event_numbered(number).await?;
            let Some(state_before) = event.state_before else { continue };
            next.extend(event.prev_events.iter().copied());
            since.insert(number, Since { event, state_before });
        }
        let mut since: Vec<Since> = since.into_values().collect();
        since.sort_by_key(|since| since.event.pdu.depth());
        Ok(since)
    }

    /// The states since the join become whole, and the current one with them; gives how that changes. Servers that were not named
    /// then are told what they were not sent.
    pub(super) async fn replace_states(
        &mut self,
        since: &[Since],
        states: &mut States,
        named: &[OwnedServerName],
    ) -> Result<Vec<Change>, ActionError> {
        self.save(&states.whole, &states.told).await?;
        self.restate(since, states).await?;
        let changes = self.change_current(states).await?;
        self.tell_servers_not_named(named, since, &changes).await?;
        Ok(changes)
    }

    /// The states before the events since the join become whole.
    async fn restate(&mut self, since: &[Since], states: &mut States) -> Result<(), ActionError> {
        for Since { event, state_before } in since {
            let number = EventNumber(event.number);
            let row = self.snapshot.get(&EVENTS, &number).await?;
            let mut row = row.ok_or_else(|| ActionError::damaged("an event is missing"))?;
            let moved = self.moved(*state_before, states).await?;
            let root = moved.ok_or_else(|| ActionError::damaged("a state without what was before it"))?;
            row.state_before = Some(*root.as_bytes());
            self.batch.put(&EVENTS, &number, &row);
            self.beside.restated.push(number);
            self.shelf.put_event(Arc::new(Event { state_before: Some(root), ..Event::clone(event) }));
        }
        Ok(())
    }

    /// What the states were since the join is whole in looking back, too.
    async fn restate_history(&mut self, states: &mut States) -> Result<(), ActionError> {
        let rows =
            self.snapshot.scan_prefix(&STATE_HISTORY, &self.number, Order::Ascending, usize::MAX).await?;
        for (key, root) in rows {
            if let Some(moved) = self.moved(NodeId::from_bytes(root), states).await? {
                self.batch.put(&STATE_HISTORY, &key, moved.as_bytes());
            }
        }
        Ok(())
    }

    /// The current state becomes whole; gives how it changes.
    async fn change_current(&mut self, states: &mut States) -> Result<Vec<Change>, ActionError> {
        let before = self.machine.state().clone();
        let root = self.moved(before.root_id(), states).await?;
        let root = root.ok_or_else(|| ActionError::damaged("a state without what was before it"))?;
        let stored = StoredRoom {
            version: self.machine.version(),
            room_id: self.room_id(),
            create: self.machine.create(),
            state: root,
            forward_extremities: self.machine.forward_extremities(),
        };
        let machine = self.computed(|_, shelf| Room::open(&stored, shelf)).await?;
        let changes = self.computed(|_, shelf| Ok(before.diff(machine.state(), &shelf.nodes())?)).await?;
        self.machine = machine;
        Ok(changes)
    }

    /// Servers that the one that helped did not name have not been sent what was said since the join.
    async fn tell_servers_not_named(
        &mut self,
        named: &[OwnedServerName],
        since: &[Since],
        changes: &[Change],
    ) -> Result<(), ActionError> {
        let identities = Arc::clone(&self.rooms.0.outside.identities);
        let named: BTreeSet<&OwnedServerName> = named.iter().collect();
        let members = changes.iter().filter_map(|change| self.beside.members.get(&change.new?.event));
        let joined = members.filter(|member| member.membership == Some(Membership::Join));
        let servers = joined.filter_map(|member| Some(member.user_id.as_ref()?.server_name().to_owned()));
        let unnamed: BTreeSet<OwnedServerName> =
            servers.filter(|server| !named.contains(server) && identities.tenant(server).is_none()).collect();
        if unnamed.is_empty() {
            return Ok(());
        }
        let mut rows: Vec<(TenantNumber, OutgoingRow)> = Vec::new();
        for Since { event, .. } in since {
            if let Some(tenant) = identities.tenant(event.pdu.sender().server_name()) {
                let others = unnamed.iter().cloned().collect();
                let (event, queued_ts) = (EventNumber(event.number), self.rooms.now_ts());
                let row = OutgoingRow { room: self.number, event, queued_ts, others };
                rows.push((tenant.number(), row));
            }
        }
        rows.iter().for_each(|(tenant, _)| self.batch.send_events(*tenant));
        self.batch.at_position(move |position, writes| {
            for (place, (tenant, row)) in (0..=u16::MAX).zip(rows) {
                writes.put(&OUTGOING, &(tenant, position, place), &row);
            }
        });
        Ok(())
    }

    /// The users here who are in the room come into it anew.
    async fn come_in_anew(&mut self) -> Result<Vec<((UserNumber, RoomNumber), MembershipRow)>, ActionError> {
        let users: Vec<UserNumber> = self.locals.joined().collect();
        let mut joined = Vec::with_capacity(users.len());
        for user in users {
            let key = (user, self.number);
            if let Some(row) = self.snapshot.get(&MEMBERSHIPS, &key).await? {
                self.batch.delete(&MEMBER_CHANGES, &(self.number, row.since, user));
                joined.push((key, row));
            }
        }
        Ok(joined)
    }
}
