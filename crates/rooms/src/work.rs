//! One change of a room: events made, checked, and committed together.

use std::sync::Arc;

use freehold_canonical_json::Object;
use freehold_event::RoomVersion;
use freehold_event_auth::{Refusal, SoftFailure};
use freehold_room::{
    Coming, CreateError, Draft, DraftError, Event, Numbers, Receipt, ReceiveError, Received, Refused, Room,
    Shelf, Stop,
};
use freehold_signing::SignedPdu;
use freehold_store::tables::rooms::CurrentStateRow;
use freehold_store::{Actor, Batch, RoomNumber, Snapshot, Tenant};
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};

pub(crate) use crate::beside::{Beside, KnownMember, ReadAhead};
use crate::error::ActionError;
use crate::ingest::Ready;
use crate::loaded::{Loaded, Locals, fulfil};
use crate::numbers::numbers_of;
use crate::random;
use crate::rooms::{Cell, Rooms};
use crate::sign;

/// What is to become an event.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) sender: OwnedUserId,
    pub(crate) event_type: String,
    pub(crate) state_key: Option<String>,
    pub(crate) content: Object<'static>,
    pub(crate) redacts: Option<OwnedEventId>,
    pub(crate) origin_server_ts: i64,
}

impl Wanted {
    /// A state event.
    pub(crate) fn state(sender: &ruma_common::UserId, key: (&str, &str), content: Object<'static>) -> Self {
        Wanted {
            sender: sender.to_owned(),
            event_type: key.0.to_owned(),
            state_key: Some(key.1.to_owned()),
            content,
            redacts: None,
            origin_server_ts: 0,
        }
    }
}

/// A change of a room under way. The room is locked meanwhile; nothing has happened before [`Work::commit`].
pub(crate) struct Work {
    pub(crate) rooms: Rooms,
    pub(crate) snapshot: Snapshot,
    pub(crate) number: RoomNumber,
    pub(crate) machine: Room,
    pub(crate) shelf: Shelf,
    pub(crate) locals: Locals,
    /// How many servers are in the room that are not hosted here.
    pub(crate) foreign_servers: u64,
    /// Whether only a few members are known.
    pub(crate) is_partial: bool,
    /// Whether part of the state could not be verified yet.
    pub(crate) is_lacking: bool,
    pub(crate) batch: Batch,
    pub(crate) staged: Vec<Receipt>,
    /// What the staged events bring beside themselves.
    pub(crate) beside: Beside,
    /// What is known already of events that are about to be received.
    pub(crate) ready: Ready,
    /// The row that is in the store; `None` for a new room.
    pub(crate) row: Option<CurrentStateRow>,
    /// What is to be said once the change is durable, before the next writer has its turn.
    pub(crate) when_durable: Option<WhenDurable>,
    pub(crate) guard: tokio::sync::OwnedMutexGuard<Option<Loaded>>,
    /// The place of a new room, to be put where others find it.
    pub(crate) new_cell: Option<Cell>,
}

/// What is said once a change is durable.
pub(crate) type WhenDurable = Box<dyn FnOnce() + Send + Sync>;

impl Work {
    /// Begins a change of a room.
    ///
    /// # Errors
    /// [`ActionError::UnknownRoom`].
    pub(crate) async fn begin(rooms: &Rooms, room_id: &RoomId) -> Result<Self, ActionError> {
        let unknown = || ActionError::UnknownRoom(room_id.to_owned());
        let snapshot = rooms.0.store.snapshot()?;
        let number = snapshot.number_of(&room_id.to_owned()).await?.ok_or_else(unknown)?;
        let guard = rooms.cell(number).lock_owned().await;
        Work::with(rooms, number, guard).await?.ok_or_else(unknown)
    }

    /// Begins a change of a room that is locked; `None` if there is no such room.
    pub(crate) async fn with(
        rooms: &Rooms,
        number: RoomNumber,
        mut guard: tokio::sync::OwnedMutexGuard<Option<Loaded>>,
    ) -> Result<Option<Self>, ActionError> {
        // What is durable now: the writer before us may have committed while we waited.
        let snapshot = rooms.0.store.snapshot()?;
        if guard.is_none() {
            *guard = Loaded::load(rooms, &snapshot, number).await?;
            rooms.note_bytes(number, guard.as_ref().map_or(0, Loaded::bytes));
        }
        let Some(loaded) = guard.as_mut() else {
            return Ok(None);
        };
        // If the change is given up, what was put on the shelf for it goes with it.
        let mut shelf = std::mem::take(&mut loaded.shelf);
        shelf.allow(rooms.0.settings.resolve_budget);
        Ok(Some(Work {
            rooms: rooms.clone(),
            snapshot,
            number,
            machine: loaded.machine.clone(),
            shelf,
            locals: loaded.locals.clone(),
            foreign_servers: loaded.foreign_servers,
            is_partial: loaded.is_partial,
            is_lacking: loaded.is_lacking,
            batch: Batch::new(),
            staged: Vec::new(),
            beside: Beside::default(),
            ready: Ready::default(),
            row: Some(loaded.row.clone()),
            when_durable: None,
            guard,
            new_cell: None,
        }))
    }

    /// Waits for something while others write to the room, before anything is staged; the change goes on from what the room is then. What
    /// was made before follows what was the last event before: a fork, as if it had come from elsewhere.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn while_open<T>(&mut self, done: impl Future<Output = T>) -> Result<T, ActionError> {
        // Lets go of the room.
        self.guard = Cell::default().lock_owned().await;
        let done = done.await;
        let guard = self.rooms.cell(self.number).lock_owned().await;
        let now = Work::with(&self.rooms, self.number, guard).await?;
        let now = now.ok_or_else(|| ActionError::UnknownRoom(self.room_id()))?;
        let Work { snapshot, machine, shelf, locals, row, guard, .. } = now;
        (self.snapshot, self.row, self.guard) = (snapshot, row, guard);
        (self.machine, self.shelf, self.locals) = (machine, shelf, locals);
        let Work { foreign_servers, is_partial, is_lacking, .. } = now;
        (self.foreign_servers, self.is_partial, self.is_lacking) = (foreign_servers, is_partial, is_lacking);
        Ok(done)
    }

    /// Begins a change of a room by somebody who has, or had, to do with it. To everybody else there is no telling
    /// whether there is such a room.
    ///
    /// # Errors
    /// [`ActionError::NotInRoom`].
    pub(crate) async fn begin_as(
        rooms: &Rooms,
        actor: &Actor,
        room_id: &RoomId,
    ) -> Result<Self, ActionError> {
        let work = Work::begin(rooms, room_id).await.map_err(|error| match error {
            ActionError::UnknownRoom(_) => ActionError::NotInRoom,
            error => error,
        })?;
        if work.locals.0.contains_key(&actor.user) { Ok(work) } else { Err(ActionError::NotInRoom) }
    }

    /// Begins a new room with its create event.
    pub(crate) async fn create(
        rooms: &Rooms,
        tenant: &Tenant,
        version: &'static RoomVersion,
        wanted: Wanted,
    ) -> Result<Self, ActionError> {
        let derives_id = version.rules().authorization.room_create_event_id_as_room_id;
        let room_id = if derives_id { None } else { Some(new_room_id(rooms, tenant)?) };
        let ts = wanted.origin_server_ts;
        let draft = draft(rooms, (version, tenant), wanted)?;
        let new = Room::draft_create(draft, room_id, version)?;
        let signed = sign::signed(rooms, tenant, new, ts)?;
        let (mut work, event) =
            Work::first(rooms, signed, Room::create_from).await?.map_err(|error| match error {
                CreateError::Refused(refusal) => refused(refusal),
                CreateError::Stop(stop) => stop.into(),
            })?;
        work.send_out(tenant, &event);
        Ok(work)
    }

    /// Begins a new room with its create event, as `found` makes it.
    pub(crate) async fn first(
        rooms: &Rooms,
        create: SignedPdu,
        found: fn(SignedPdu, Numbers) -> Result<Receipt, CreateError>,
    ) -> Result<Result<(Self, Arc<Event>), CreateError>, ActionError> {
        let snapshot = rooms.0.store.snapshot()?;
        let mut batch = Batch::new();
        let room_id = create.pdu().room_id().to_owned();
        let number = rooms.0.interner.number_of(&snapshot, &room_id, &mut batch).await?;
        let numbers = numbers_of(rooms, &snapshot, &create, &mut batch).await?;
        let receipt = match found(create, numbers) {
            Ok(receipt) => receipt,
            Err(error) => return Ok(Err(error)),
        };
        let cell = Cell::default();
        let mut work = Work {
            rooms: rooms.clone(),
            snapshot,
            number,
            machine: receipt.room.clone(),
            shelf: Shelf::new(),
            locals: Locals::default(),
            foreign_servers: 0,
            is_partial: false,
            is_lacking: false,
            batch,
            staged: Vec::new(),
            beside: Beside::default(),
            ready: Ready::default(),
            row: None,
            when_durable: None,
            guard: Arc::clone(&cell).lock_owned().await,
            new_cell: Some(cell),
        };
        let event = work.stage(receipt, numbers);
        Ok(Ok((work, event)))
    }

    /// Makes an event and checks it as if it had come from elsewhere.
    ///
    /// # Errors
    /// [`ActionError`]; nothing is staged.
    pub(crate) async fn append(
        &mut self,
        tenant: &Tenant,
        wanted: Wanted,
    ) -> Result<Arc<Event>, ActionError> {
        let signed = self.signed_event(tenant, wanted).await?;
        let ts = signed.pdu().origin_server_ts();
        let signed = match self.concerns_others(tenant, &signed) {
            true => sign::verified(&self.rooms, signed, ts)?,
            false => signed,
        };
        let signed = self.recommended(tenant, signed).await?;
        let event = self.receive(signed).await?;
        self.send_out(tenant, &event);
        Ok(event)
    }

    /// Makes an event that comes after everything in the room, with the signatures of the tenants whom it concerns.
    pub(crate) async fn signed_event(
        &mut self,
        tenant: &Tenant,
        wanted: Wanted,
    ) -> Result<SignedPdu, ActionError> {
        self.expect_known(&wanted)?;
        let ts = match wanted.origin_server_ts {
            0 => self.rooms.now_ts(),
            ts => ts,
        };
        let place = (self.machine.version(), tenant);
        let draft = draft(&self.rooms, place, Wanted { origin_server_ts: ts, ..wanted })?;
        let new = loop {
            match self.machine.draft(draft.clone(), &self.shelf) {
                Ok(new) => break new,
                Err(DraftError::Build(error)) => return Err(error.into()),
                Err(DraftError::Stop(stop)) => self.fulfil(stop).await?,
            }
        };
        sign::signed(&self.rooms, tenant, new, ts)
    }

    /// Receives an event that is signed by all who must.
    pub(crate) async fn receive(&mut self, signed: SignedPdu) -> Result<Arc<Event>, ActionError> {
        let numbers = numbers_of(&self.rooms, &self.snapshot, &signed, &mut self.batch).await?;
        self.shelve_key(&signed, numbers);
        let policy = self.policy_server().await?;
        let receipt = loop {
            let coming = Coming { policy: policy.as_ref(), ..Coming::NEW };
            match self.machine.receive(signed.clone(), numbers, coming, &self.shelf) {
                Ok(Received::Receipt(receipt)) => break *receipt,
                Ok(Received::Fetch(_) | Received::Unsettled(_)) => {
                    return Err(ActionError::damaged("an event of ours names unknown events"));
                }
                Err(ReceiveError::Stop(stop)) => self.fulfil(stop).await?,
                Err(error) => return Err(ActionError::Damaged(Box::new(error))),
            }
        };
        match receipt.refused {
            None => Ok(self.stage(receipt, numbers)),
            Some(Refused::Rejected(refusal)) => Err(refused(refusal)),
            Some(Refused::SoftFailed(SoftFailure::Denied(denial))) => Err(ActionError::Forbidden(denial)),
            Some(Refused::SoftFailed(failure)) => Err(ActionError::Damaged(Box::new(failure))),
        }
    }

    /// Puts the number of an event's type and state key on the shelf.
    pub(crate) fn shelve_key(&mut self, signed: &SignedPdu, numbers: Numbers) {
        if let (Some(state_key), Some(number)) = (signed.pdu().state_key(), numbers.state_key) {
            let key = (signed.pdu().event_type().to_owned(), state_key.to_owned());
            self.shelf.put_state_key(key, Some(number));
        }
    }

    pub(crate) fn stage(&mut self, receipt: Receipt, numbers: Numbers) -> Arc<Event> {
        let event = Arc::clone(&receipt.event);
        self.shelf.put_event(Arc::clone(&event));
        // What comes next in the same change reads states that are not in the store yet.
        for (id, bytes) in &receipt.nodes {
            self.shelf.put_node(*id, bytes.clone());
        }
        if let (Some(state_key), Some(number)) = (event.pdu.state_key(), numbers.state_key) {
            let key = (event.pdu.event_type().to_owned(), state_key.to_owned());
            self.shelf.put_state_key(key, Some(number));
        }
        self.machine = receipt.room.clone();
        self.beside.staged_ids.insert(event.pdu.event_id().to_owned());
        if event.pdu.event_type() == "m.room.redaction" {
            self.beside.redactions.push(Arc::clone(&event));
        }
        self.staged.push(receipt);
        event
    }

    /// Whether users of other tenants see the event, or are meant by it: then it is verified on their behalf.
    fn concerns_others(&self, tenant: &Tenant, signed: &SignedPdu) -> bool {
        let about_other = || {
            let target = signed.pdu().state_key().filter(|_| signed.pdu().event_type() == "m.room.member");
            target.is_some_and(|target| {
                freehold_event::server_name_of(target) != Some(tenant.server_name().as_str())
            })
        };
        self.locals.has_others(tenant.number()) || about_other()
    }

    pub(crate) async fn fulfil(&mut self, stop: freehold_room::Stop) -> Result<(), ActionError> {
        fulfil(&self.snapshot, self.machine.version(), &mut self.shelf, stop).await
    }

    /// Computes something of the room, with whatever has to be read for it.
    pub(crate) async fn computed<T>(
        &mut self,
        compute: impl Fn(&Room, &Shelf) -> Result<T, Stop>,
    ) -> Result<T, ActionError> {
        loop {
            match compute(&self.machine, &self.shelf) {
                Ok(done) => return Ok(done),
                Err(stop) => self.fulfil(stop).await?,
            }
        }
    }

    /// An event of the room by its number.
    pub(crate) async fn event_numbered(&mut self, number: u64) -> Result<Arc<Event>, ActionError> {
        self.computed(|_, shelf| shelf.event(number).cloned()).await
    }

    /// The event that the current state holds under a type and state key.
    pub(crate) async fn state_event(
        &mut self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Arc<Event>>, ActionError> {
        let find = |machine: &Room, shelf: &Shelf| {
            Ok(shelf.event_in(machine.state(), event_type, state_key)?.cloned())
        };
        self.computed(find).await
    }

    /// The room id.
    pub(crate) fn room_id(&self) -> OwnedRoomId {
        self.machine.room_id().to_owned()
    }
}

/// A refusal of an event of ours.
fn refused(refusal: Refusal) -> ActionError {
    match refusal {
        Refusal::Denied { denial, .. } => ActionError::Forbidden(denial),
        refusal => ActionError::Damaged(Box::new(refusal)),
    }
}

fn draft(
    rooms: &Rooms,
    (version, tenant): (&'static RoomVersion, &Tenant),
    wanted: Wanted,
) -> Result<Draft, ActionError> {
    let event_id = if author_chooses_id(version) { Some(new_event_id(rooms, tenant)?) } else { None };
    Ok(Draft {
        event_id,
        sender: wanted.sender,
        event_type: wanted.event_type,
        state_key: wanted.state_key,
        content: wanted.content,
        redacts: wanted.redacts,
        origin_server_ts: wanted.origin_server_ts,
    })
}

fn new_room_id(rooms: &Rooms, tenant: &Tenant) -> Result<OwnedRoomId, ActionError> {
    let id = format!("!{}:{}", random::opaque(&*rooms.0.settings.entropy)?, tenant.server_name());
    RoomId::parse(id).map_err(|_| ActionError::damaged("a tenant with a name that fits in no room id"))
}

/// Whether events carry an id that their author chose.
pub(crate) fn author_chooses_id(version: &RoomVersion) -> bool {
    version.rules().event_id_format == ruma_common::room_version_rules::EventIdFormatVersion::V1
}

pub(crate) fn new_event_id(rooms: &Rooms, tenant: &Tenant) -> Result<OwnedEventId, ActionError> {
    let id = format!("${}:{}", random::opaque(&*rooms.0.settings.entropy)?, tenant.server_name());
    EventId::parse(id).map_err(|_| ActionError::damaged("a tenant with a name that fits in no event id"))
}
