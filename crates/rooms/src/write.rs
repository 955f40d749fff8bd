//! What a change of a room writes: one batch with everything in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use freehold_event::Pdu;
use freehold_room::{Event, Standing};
use freehold_state_map::Change;
use freehold_store::tables::rooms::{
    CURRENT_STATE, CurrentStateRow, EVENT_JSON, EVENTS, EventRow, LOCAL_MEMBERS, MEMBER_CHANGES, MEMBERSHIPS,
    Membership, MembershipRow, PENDING, RELATIONS, ROOMS, RelationRow, RoomRow, SENT, STATE_HISTORY,
    STATE_NODES, TIMELINE,
};
use freehold_store::{
    BoxFuture, EventNumber, Position, RoomNumber, StateKeyNumber, Tenant, TimelineIndex, UserNumber, Writes,
};
use ruma_common::{OwnedUserId, UserId};

use crate::error::ActionError;
use crate::loaded::standing_row;
use crate::partial::Completion;
use crate::send::Transaction;
use crate::work::{KnownMember, Work};

/// Makes the row of the current state once the position is known.
pub(crate) type RowAt = Box<dyn FnOnce(Position) -> CurrentStateRow + Send>;

/// What is written when the position is known.
#[derive(Default)]
struct Positioned {
    /// With where clients are shown the event.
    events: Vec<(EventNumber, EventRow, Shown)>,
    relations: Vec<(EventNumber, Shown, RelationRow)>,
    memberships: Vec<((UserNumber, RoomNumber), MembershipChange)>,
}

/// Where clients are shown an event.
#[derive(Clone, Copy)]
enum Shown {
    /// Nowhere.
    No,
    /// At the end, in this place among the events of the batch.
    Last(usize),
    /// At this place, before everything else.
    Before(TimelineIndex),
}

impl Shown {
    fn at(self, position: Position) -> Option<TimelineIndex> {
        match self {
            Shown::No => None,
            Shown::Last(place) => Some(index(position, place)),
            Shown::Before(index) => Some(index),
        }
    }
}

/// A membership of a user of a tenant, as it is after the batch.
struct MembershipChange {
    row: MembershipRow,
    /// Whether the user was joined until an event of this batch.
    left: Option<usize>,
    /// Whether the user stays joined, with another name perhaps.
    stays: bool,
}

impl Work {
    /// Writes everything that is staged into the batch; gives the row of the current state as it will be.
    ///
    /// Boxed, as other futures of the room that many wait for: the compiler copies those that are not into every crate that
    /// waits for them.
    pub(crate) fn write(&mut self) -> BoxFuture<'_, Result<RowAt, ActionError>> {
        Box::pin(self.write_staged())
    }

    async fn write_staged(&mut self) -> Result<RowAt, ActionError> {
        let mut later = Positioned::default();
        self.write_room();
        let mut changed = false;
        for place in 0..self.staged.len() {
            let Some(receipt) = self.staged.get(place) else { break };
            let (event, changes) = (Arc::clone(&receipt.event), receipt.state_changes.clone());
            for (id, bytes) in &receipt.nodes {
                self.batch.put(&STATE_NODES, id.as_bytes(), bytes);
            }
            changed |= !changes.is_empty();
            self.write_event(&event, place, &mut later).await?;
            for change in changes {
                self.write_membership((place, &event), change, &mut later).await?;
            }
        }
        changed |= self.write_completion(&mut later).await?;
        self.tell_of_devices().await?;
        let foreign_before = self.foreign_servers;
        self.write_servers().await?;
        self.write_outgoing(foreign_before);
        let released = std::mem::take(&mut self.beside.released);
        self.beside.shown_now = released.iter().map(|(number, _)| *number).collect();
        let places = self.staged.len()..;
        let released = released.into_iter().zip(places);
        later.events.extend(released.map(|((number, row), place)| {
            let before = self.beside.history.get(&number.0).copied().map(Shown::Before);
            (number, row, before.unwrap_or(Shown::Last(place)))
        }));
        self.write_transaction();
        if changed || self.last_place().is_some() || !self.beside.redacted.is_empty() {
            self.wake();
        }
        let row = self.row_at();
        let written = row.clone();
        let number = self.number;
        self.batch.at_position(move |position, writes| {
            let row = written.at(position);
            writes.put(&CURRENT_STATE, &number, &row);
            if changed {
                writes.put(&STATE_HISTORY, &(number, position), &row.state);
            }
            later.write(number, position, writes);
        });
        Ok(Box::new(move |position| row.at(position)))
    }

    /// Writes what a room brings beside its states that becomes whole; gives whether it does.
    async fn write_completion(&mut self, later: &mut Positioned) -> Result<bool, ActionError> {
        let Some(Completion { join, changes, joined }) = self.beside.completion.take() else {
            return Ok(false);
        };
        for change in changes {
            self.write_membership((0, &join), change, later).await?;
        }
        for (key, row) in joined {
            // Servers are in the room that were not known to be when the user came in.
            self.beside.came.insert((row.tenant, key.0));
            later.memberships.push((key, MembershipChange { row, left: None, stays: false }));
        }
        Ok(true)
    }

    fn write_room(&mut self) {
        match &self.row {
            Some(row) => self.batch.expect_unchanged(&CURRENT_STATE, &self.number, Some(row)),
            None => {
                let row = RoomRow {
                    version: self.machine.version().id().to_owned(),
                    create: EventNumber(self.machine.create()),
                };
                self.batch.expect_absent(&ROOMS, &self.number);
                self.batch.put(&ROOMS, &self.number, &row);
            }
        }
    }

    async fn write_event(
        &mut self,
        event: &Event,
        place: usize,
        later: &mut Positioned,
    ) -> Result<(), ActionError> {
        let number = EventNumber(event.number);
        let redacted_by = self.beside.redacted_on_arrival.get(&event.number).copied();
        let pdu = redacted_by.map(|_| event.pdu.redacted());
        let text = pdu.as_ref().unwrap_or(&event.pdu).canonical_json().to_owned();
        self.batch.put(&EVENT_JSON, &number, &text);
        let last = place + 1 == self.staged.len();
        let state_key = match event.pdu.state_key() {
            Some(key) => self.shelf.state_key(event.pdu.event_type(), key).ok().flatten().map(StateKeyNumber),
            None => None,
        };
        let row = EventRow {
            room: self.number,
            sender: self.user(event.pdu.sender()).await?,
            state_key,
            generation: event.generation,
            depth: event.pdu.depth(),
            origin_server_ts: event.pdu.origin_server_ts(),
            standing: standing_row(event.standing),
            timeline: None,
            membership: membership_of(event),
            transaction: self.beside.transaction.as_ref().filter(|_| last).map(Transaction::id),
            redacted_by,
            state_before: event.state_before.map(|root| *root.as_bytes()),
            prev_events: event.prev_events.iter().copied().map(EventNumber).collect(),
            auth_events: event.auth_events.iter().copied().map(EventNumber).collect(),
        };
        let shown = self.shown(event, place);
        later.events.push((number, row, shown));
        if event.standing == Standing::Accepted
            && redacted_by.is_none()
            && let Some((target, relation)) = self.relation(event).await?
        {
            later.relations.push((target, shown, relation));
        }
        Ok(())
    }

    fn shown(&self, event: &Event, place: usize) -> Shown {
        match self.beside.history.get(&event.number) {
            Some(index) => Shown::Before(*index),
            None if self.is_shown(event) => Shown::Last(place),
            None => Shown::No,
        }
    }

    /// The place of the last event of the batch that comes at the end of the timeline.
    fn last_place(&self) -> Option<usize> {
        let is_last =
            |event: &Event| self.is_shown(event) && !self.beside.history.contains_key(&event.number);
        match self.beside.shown_now.len() {
            0 => self.staged.iter().rposition(|receipt| is_last(&receipt.event)),
            // With history, what was withheld becomes history, too.
            _ if !self.beside.history.is_empty() => None,
            released => Some(self.staged.len() + released - 1),
        }
    }

    /// Whether clients are shown the event.
    pub(crate) fn is_shown(&self, event: &Event) -> bool {
        event.standing == Standing::Accepted && !self.beside.withheld.contains(&event.number)
    }

    /// Writes what a change of the state says about a membership.
    async fn write_membership(
        &mut self,
        (place, cause): (usize, &Arc<Event>),
        change: Change,
        later: &mut Positioned,
    ) -> Result<(), ActionError> {
        let new = self.member_of(change.new.map(|entry| entry.event)).await?;
        let old = self.member_of(change.old.map(|entry| entry.event)).await?;
        let membership = new.as_ref().and_then(|member| member.membership);
        let before = old.as_ref().and_then(|member| member.membership);
        let Some(member) = new.or(old) else {
            return Ok(());
        };
        self.count(before, membership);
        let Some(user_id) = member.user_id else {
            return Ok(());
        };
        self.beside.servers.count(user_id.server_name(), (before, membership));
        let Some(tenant) = self.rooms.0.outside.identities.tenant(user_id.server_name()) else {
            return Ok(());
        };
        let membership = membership.unwrap_or(Membership::Leave);
        let event = member.event;
        let stripped_state = match membership {
            Membership::Invite | Membership::Knock => self.stripped_state(cause).await?,
            _ => Vec::new(),
        };
        let said = Said { membership, before, event, place, stripped_state };
        self.set_local(&tenant, user_id, said, later).await
    }

    async fn set_local(
        &mut self,
        tenant: &Tenant,
        user_id: OwnedUserId,
        said: Said,
        later: &mut Positioned,
    ) -> Result<(), ActionError> {
        let user = self.user(&user_id).await?;
        let key = (user, self.number);
        match said.membership {
            Membership::Join if said.before != Some(Membership::Join) => {
                self.beside.came.insert((tenant.number(), user));
            }
            Membership::Join => {}
            _ => drop(self.beside.came.remove(&(tenant.number(), user))),
        }
        let known = self.snapshot.get(&MEMBERSHIPS, &key).await?;
        let is_join = |membership: Option<Membership>| membership == Some(Membership::Join);
        let was_joined = is_join(said.before) && is_join(known.as_ref().map(|row| row.membership));
        let stays = was_joined && is_join(Some(said.membership));
        if let Some(known) = known.as_ref().filter(|_| !stays) {
            self.batch.delete(&MEMBER_CHANGES, &(self.number, known.since, user));
        }
        let row = MembershipRow {
            membership: said.membership,
            tenant: tenant.number(),
            event: said.event,
            since: known.as_ref().filter(|_| stays).map_or(Position(0), |row| row.since),
            joined_until: known.and_then(|row| row.joined_until),
            forgotten: false,
            stripped_state: said.stripped_state,
        };
        let left = said.before == Some(Membership::Join) && said.membership != Membership::Join;
        later.memberships.push((key, MembershipChange { row, left: left.then_some(said.place), stays }));
        self.batch.put(&LOCAL_MEMBERS, &(self.number, tenant.number(), user), &said.membership);
        self.batch.delete(&PENDING, &key);
        Arc::make_mut(&mut self.locals.0).insert(user, (tenant.number(), said.membership));
        self.batch.wake(user);
        Ok(())
    }

    /// Whose membership an event is; `None` if it is no membership.
    async fn member_of(&mut self, number: Option<u64>) -> Result<Option<KnownMember>, ActionError> {
        let Some(number) = number else {
            return Ok(None);
        };
        if let Some(known) = self.beside.members.get(&number) {
            return Ok(Some(known.clone()));
        }
        let event = self.event_numbered(number).await?;
        Ok(is_member(&event).then(|| KnownMember {
            event: EventNumber(number),
            user_id: event.pdu.state_key().and_then(|key| UserId::parse(key).ok()),
            membership: membership_of(&event),
        }))
    }

    fn count(&mut self, before: Option<Membership>, after: Option<Membership>) {
        let counts = &mut self.beside.counts;
        for (membership, step) in [(before, -1), (after, 1)] {
            match membership {
                Some(Membership::Join) => counts.joined += step,
                Some(Membership::Invite) => counts.invited += step,
                _ => {}
            }
        }
    }

    /// The number of a user.
    pub(crate) async fn user(&mut self, user_id: &UserId) -> Result<UserNumber, ActionError> {
        if let Some(user) = self.beside.users.get(user_id) {
            return Ok(*user);
        }
        let user_id = user_id.to_owned();
        let user = self.rooms.0.interner.number_of(&self.snapshot, &user_id, &mut self.batch).await?;
        self.beside.users.insert(user_id, user);
        Ok(user)
    }

    fn write_transaction(&mut self) {
        if let (Some(transaction), Some(last)) = (&self.beside.transaction, self.staged.last()) {
            let key = transaction.place(self.number);
            self.batch.expect_absent(&SENT, &key);
            self.batch.put(&SENT, &key, &EventNumber(last.event.number));
        }
    }

    fn wake(&mut self) {
        self.batch.touch(self.number);
        for user in self.locals.joined() {
            self.batch.wake(user);
        }
    }

    fn row_at(&self) -> CurrentRow {
        let last_place = self.last_place();
        let count = |known: Option<u64>, step: i64| known.unwrap_or(0).saturating_add_signed(step);
        CurrentRow {
            row: CurrentStateRow {
                state: *self.machine.state().root_id().as_bytes(),
                forward_extremities: self
                    .machine
                    .forward_extremities()
                    .into_iter()
                    .map(EventNumber)
                    .collect(),
                joined: count(self.row.as_ref().map(|row| row.joined), self.beside.counts.joined),
                invited: count(self.row.as_ref().map(|row| row.invited), self.beside.counts.invited),
                last: self.row.as_ref().map_or(TimelineIndex(0), |row| row.last),
            },
            last_place,
        }
    }
}

/// What a membership event says.
struct Said {
    membership: Membership,
    before: Option<Membership>,
    event: EventNumber,
    place: usize,
    stripped_state: Vec<String>,
}

#[derive(Clone)]
struct CurrentRow {
    row: CurrentStateRow,
    last_place: Option<usize>,
}

impl CurrentRow {
    fn at(&self, position: Position) -> CurrentStateRow {
        let last = self.last_place.map_or(self.row.last, |place| index(position, place));
        CurrentStateRow { last, ..self.row.clone() }
    }
}

impl Positioned {
    fn write(self, room: RoomNumber, position: Position, writes: &mut Writes) {
        for (number, mut row, shown) in self.events {
            if let Some(at) = shown.at(position) {
                row.timeline = Some(at);
                writes.put(&TIMELINE, &(room, at), &number);
            }
            writes.put(&EVENTS, &number, &row);
        }
        for (target, shown, relation) in self.relations {
            if let Some(at) = shown.at(position) {
                writes.put(&RELATIONS, &(room, target, at), &relation);
            }
        }
        let mut last: BTreeMap<(UserNumber, RoomNumber), MembershipRow> = BTreeMap::new();
        for (key, MembershipChange { mut row, left, stays }) in self.memberships {
            let earlier = last.get(&key);
            if !stays || earlier.is_some_and(|earlier| earlier.since == position) {
                row.since = position;
            }
            let before = earlier.and_then(|row| row.joined_until);
            row.joined_until = left.map(|place| index(position, place)).or(before).or(row.joined_until);
            last.insert(key, row);
        }
        for (key, row) in last {
            writes.put(&MEMBERSHIPS, &key, &row);
            writes.put(&MEMBER_CHANGES, &(room, row.since, key.0), &());
        }
    }
}

fn index(position: Position, place: usize) -> TimelineIndex {
    TimelineIndex::at(position, u16::try_from(place).unwrap_or(u16::MAX))
}

fn is_member(event: &Event) -> bool {
    event.pdu.event_type() == "m.room.member"
}

/// The membership that an event gives.
pub(crate) fn membership_of(event: &Event) -> Option<Membership> {
    membership_in(&event.pdu)
}

/// The membership that the text of an event gives.
pub(crate) fn membership_in(pdu: &Pdu) -> Option<Membership> {
    if pdu.event_type() != "m.room.member" || pdu.state_key().is_none() {
        return None;
    }
    match freehold_event_auth::Membership::of_content(pdu.content()) {
        freehold_event_auth::Membership::Join => Some(Membership::Join),
        freehold_event_auth::Membership::Invite => Some(Membership::Invite),
        freehold_event_auth::Membership::Leave => Some(Membership::Leave),
        freehold_event_auth::Membership::Ban => Some(Membership::Ban),
        freehold_event_auth::Membership::Knock => Some(Membership::Knock),
        freehold_event_auth::Membership::Other => None,
    }
}
