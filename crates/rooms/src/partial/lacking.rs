//! What of the state of a room could not be verified when it was joined, and comes late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_event::{RawPdu, ReferenceLimits};
use freehold_room::Event;
use freehold_state_map::StateMap;
use freehold_store::tables::rooms::{
    EVENT_JSON, LACKING_EVENTS, LACKING_ROOMS, LackingEventRow, LackingRoomRow,
};
use freehold_store::{EventNumber, Order, RoomNumber, Tenant};
use ruma_common::{OwnedEventId, RoomId, ServerName};

use super::Completion;
use super::complete::Since;
use super::states::States;
use crate::error::ActionError;
use crate::ingest::Given;
use crate::limits::{
    LACKING_BYTES_MAX, LACKING_EVENTS_MAX, LACKING_PAUSE_MS, LACKING_TRIES_MAX, LACKING_WAIT_MAX_MS,
    LACKING_WAIT_MIN_MS, RESTATED_MAX,
};
use crate::loaded::parse;
use crate::read::{Reader, RoomFacts, Unreadable};
use crate::receive::Incoming;
use crate::remote::{BadAnswer, Heard, Lacking, NotTaken};
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::Work;

/// A room of whose state part could not be verified.
#[derive(Clone, Debug)]
pub struct LackingRoom {
    /// The room.
    pub room: Arc<RoomFacts>,
    /// The tenant whose user joined it.
    pub tenant: Tenant,
}

/// What came of looking again for what a room lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateState {
    /// The room lacks nothing that is known of.
    Whole,
    /// The keys cannot be had yet.
    Waits,
    /// Some of it, or all, is in the state now.
    Came,
}

impl Reader {
    /// The rooms that lack part of their state for which it is time to ask for keys again: mostly there is none.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn lacking_rooms(&self) -> Result<Vec<LackingRoom>, Unreadable> {
        let rows = self.snapshot.scan_prefix(&LACKING_ROOMS, &(), Order::Ascending, usize::MAX).await?;
        let now_ts = self.rooms.now_ts();
        let mut rooms = Vec::new();
        for (number, row) in rows.into_iter().filter(|(_, row)| row.retry_ts <= now_ts) {
            rooms.extend(self.lacking_room(number, &row).await?);
        }
        Ok(rooms)
    }

    /// Whether a room lacks something of users of a server, and the keys were not asked for just now. Those of a server that speaks can
    /// mostly be had.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn lacks_state_of(&self, room: &RoomFacts, server: &ServerName) -> Result<bool, Unreadable> {
        let row = self.snapshot.get(&LACKING_ROOMS, &room.number).await?;
        let since_ts = self.rooms.now_ts().saturating_sub(LACKING_PAUSE_MS);
        if row.is_none_or(|row| row.tried_ts > since_ts) {
            return Ok(false);
        }
        let rows = self.lacking_events(room.number).await?;
        let mut pdus = rows.iter().filter_map(|(_, row)| parse(&row.json, room.version).ok());
        Ok(pdus.any(|pdu| pdu.sender().server_name() == server))
    }

    async fn lacking_room(
        &self,
        number: RoomNumber,
        row: &LackingRoomRow,
    ) -> Result<Option<LackingRoom>, Unreadable> {
        let Some(room) = self.room(number).await? else { return Ok(None) };
        let json = self.snapshot.get(&EVENT_JSON, &row.join).await?;
        let json = json.ok_or_else(|| Unreadable::damaged("a join is missing"))?;
        let join = parse(&json, room.version)?;
        let tenant = self.rooms.0.outside.identities.tenant(join.sender().server_name());
        Ok(tenant.map(|tenant| LackingRoom { room, tenant }))
    }

    async fn lacking_events(
        &self,
        room: RoomNumber,
    ) -> Result<Vec<(OwnedEventId, LackingEventRow)>, Unreadable> {
        let rows = self
            .snapshot
            .scan_prefix(&LACKING_EVENTS, &(room,), Order::Ascending, LACKING_EVENTS_MAX)
            .await?;
        Ok(rows.into_iter().map(|((_, event_id), row)| (event_id, row)).collect())
    }
}

impl Rooms {
    /// Looks again for the keys of those who signed what a room lacks, and takes into its state what holds: into the one before the join,
    /// and into those since, where nothing else has taken its place.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn take_late_state(&self, room_id: &RoomId) -> Result<LateState, ActionError> {
        let turn = self.turn(room_id);
        let _turn = turn.lock().await;
        let reader = self.reader()?;
        let Some(number) = reader.room_number(room_id).await? else { return Ok(LateState::Whole) };
        let row = reader.snapshot.get(&LACKING_ROOMS, &number).await?;
        let Some(row) = row else { return Ok(LateState::Whole) };
        if reader.is_partial(number).await? {
            return Ok(LateState::Waits);
        }
        let room = reader.lacking_room(number, &row).await?;
        let is_left = reader.local_joined(number).await?.is_empty();
        let Some(LackingRoom { room, tenant }) = room.filter(|_| !is_left) else {
            tried!(self.try_give_up(room_id))?;
            return Ok(LateState::Whole);
        };
        let rows = reader.lacking_events(number).await?;
        drop(reader);
        let mut heard = Heard::default();
        for (_, row) in &rows {
            let pdu = RawPdu::new(row.json.as_bytes()).parse_with(room.version, ReferenceLimits::BACKFILL);
            if let Ok(pdu) = pdu {
                // There are fewer than an answer may have.
                let _ = heard.add_event(pdu.check_content_hash(), row.is_of_state);
            }
        }
        let keys = self.keys_for(&tenant, heard.events.values().map(|event| event.pdu())).await;
        let taken = async {
            let came = self.take_late(room_id, &mut heard, keys).await?;
            tried!(self.try_late_state(room_id, &came, &heard.lacking))
        };
        taken.await.map_err(|error: NotTaken| match error {
            NotTaken::Answer(source) => ActionError::Damaged(Box::new(source)),
            NotTaken::Here(error) => error,
        })
    }

    async fn try_give_up(&self, room_id: &RoomId) -> Result<(), ActionError> {
        let mut work = Work::begin(self, room_id).await?;
        work.forget_lacking().await?;
        work.commit().await
    }

    async fn try_late_state(
        &self,
        room_id: &RoomId,
        came: &[OwnedEventId],
        lacking: &[Lacking],
    ) -> Result<LateState, NotTaken> {
        let mut work = Work::begin(self, room_id).await?;
        let Some(row) = work.snapshot.get(&LACKING_ROOMS, &work.number).await? else {
            return Ok(LateState::Whole);
        };
        let is_new = work.comes_late(&row, came).await?;
        work.forget_lacking().await?;
        let is_due = row.retry_ts <= self.now_ts();
        let tries = row.tries.saturating_add(u32::from(is_due));
        if tries < LACKING_TRIES_MAX {
            let retry_ts = if is_due { self.now_ts().saturating_add(wait_ms(tries)) } else { row.retry_ts };
            let row = LackingRoomRow { tries, retry_ts, tried_ts: self.now_ts(), ..row };
            work.still_lacks(&row, lacking);
        }
        work.commit().await?;
        Ok(match (is_new, lacking.is_empty()) {
            (true, _) => LateState::Came,
            (false, true) => LateState::Whole,
            (false, false) => LateState::Waits,
        })
    }
}

/// How long the keys are not asked for after some tries in vain, in milliseconds.
fn wait_ms(tries: u32) -> i64 {
    (0..tries).fold(LACKING_WAIT_MIN_MS, |wait_ms, _| wait_ms.saturating_mul(2)).min(LACKING_WAIT_MAX_MS)
}

impl Work {
    /// The room lacks what could not be verified of the state before a join.
    pub(crate) fn lacks(&mut self, join: EventNumber, lacking: &[Lacking]) {
        let now_ts = self.rooms.now_ts();
        let retry_ts = now_ts.saturating_add(wait_ms(0));
        self.still_lacks(&LackingRoomRow { join, tries: 0, tried_ts: now_ts, retry_ts }, lacking);
    }

    fn still_lacks(&mut self, row: &LackingRoomRow, lacking: &[Lacking]) {
        if lacking.is_empty() {
            return;
        }
        let mut bytes = 0_usize;
        for event in lacking.iter().take(LACKING_EVENTS_MAX) {
            bytes = bytes.saturating_add(event.json.len());
            if bytes > LACKING_BYTES_MAX {
                break;
            }
            let row = LackingEventRow { json: event.json.clone(), is_of_state: event.is_of_state };
            self.batch.put(&LACKING_EVENTS, &(self.number, event.event_id.clone()), &row);
        }
        self.batch.put(&LACKING_ROOMS, &self.number, row);
        self.is_lacking = true;
    }

    /// Nothing more is awaited.
    pub(crate) async fn forget_lacking(&mut self) -> Result<(), ActionError> {
        if !self.is_lacking {
            return Ok(());
        }
        let rows =
            self.snapshot.scan_prefix(&LACKING_EVENTS, &(self.number,), Order::Ascending, usize::MAX).await?;
        rows.iter().for_each(|(place, _)| self.batch.delete(&LACKING_EVENTS, place));
        self.batch.delete(&LACKING_ROOMS, &self.number);
        self.is_lacking = false;
        Ok(())
    }

    /// Events of the state before a join come late; gives whether any of them changes it.
    async fn comes_late(&mut self, row: &LackingRoomRow, came: &[OwnedEventId]) -> Result<bool, NotTaken> {
        let given = match self.given_state(Some(came)).await? {
            Ok(given) => given.unwrap_or_default(),
            Err(Incoming::BadState(error)) => return Err(BadAnswer::State(error).into()),
            Err(_) => return Ok(false),
        };
        let join = self.event_numbered(row.join.0).await?;
        let told = join.state_before.ok_or_else(|| ActionError::damaged("a join without a state"))?;
        let told = self.computed(|_, shelf| shelf.open(told)).await?;
        let whole = self.with_late(&told, &given).await?;
        if whole.root_id() == told.root_id() {
            return Ok(false);
        }
        match self.check_join(&join, &whole).await {
            Ok(()) => {}
            // By what nobody could know then, the user had not been let in. The room goes on as it is.
            Err(NotTaken::Answer(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
        let since = self.newest_since(&join).await?;
        let changes = self.replace_states(&since, &mut States::new(told, whole), &[]).await?;
        self.beside.completion = Some(Completion { join, changes, joined: Vec::new() });
        Ok(true)
    }

    /// A state with events that come late, where it has nothing in their places.
    async fn with_late(&mut self, told: &StateMap, given: &Given) -> Result<StateMap, ActionError> {
        self.computed(|_, shelf| {
            let mut whole = told.clone();
            for (key, entry) in given {
                if whole.get(*key, &shelf.nodes())?.is_none() {
                    whole.insert(*key, *entry, &shelf.nodes())?;
                }
            }
            Ok(whole)
        })
        .await
    }

    /// The join, and the newest events that may have come after it.
    async fn newest_since(&mut self, join: &Arc<Event>) -> Result<Vec<Since>, ActionError> {
        let (mut since, mut next) = (BTreeMap::new(), BTreeSet::new());
        for number in self.machine.forward_extremities().into_iter().chain([join.number]) {
            next.insert((self.event_numbered(number).await?.pdu.depth(), number));
        }
        while let Some((depth, number)) = next.pop_last() {
            let event = self.event_numbered(number).await?;
            let Some(state_before) = event.state_before else { continue };
            let is_join = number == join.number;
            if (depth <= join.pdu.depth() || since.len() >= RESTATED_MAX) && !is_join {
                continue;
            }
            if !is_join {
                for prev in &event.prev_events {
                    if !since.contains_key(prev) {
                        next.insert((self.event_numbered(*prev).await?.pdu.depth(), *prev));
                    }
                }
            }
            since.insert(number, Since { event, state_before });
        }
        let mut since: Vec<Since> = since.into_values().collect();
        since.sort_by_key(|since| since.event.pdu.depth());
        Ok(since)
    }
}
