//! The sync itself: what is new between two positions, and waiting until something is
//! (<https://spec.matrix.org/v1.19/client-server-api/#syncing>).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use freehold_rooms::{Reader, Rooms, Unreadable, Viewer};
use freehold_store::{
    Actor, Clock, DeviceNumber, Position, ReadError, RoomNumber, Snapshot, Store, UserNumber,
};
use ruma_client_api::filter::FilterDefinition;
use ruma_common::{OwnedUserId, RoomId};
use tokio::task::JoinError;
use tokio::time::{Instant, timeout_at};

use crate::filter::{event_passes, limit};
use crate::lazy_members::SentMembers;
use crate::news::{AccountNews, DeviceNews, NewsError};
use crate::other_servers::OtherServers;
use crate::presence::{Presence, PresencePolicies, PresenceState};
use crate::receipts::{NewReceipt, ReceiptError, set_receipts};
use crate::response::{EventJson, SyncResponse};
use crate::rooms_update::RoomsLook;
use crate::token::SyncToken;
use crate::typing::Typing;
use crate::unread::Unread;

/// For how long a sync waits at most.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(300);
/// How many messages for a device one answer holds.
const TO_DEVICE_MAX: usize = 100;

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub struct SyncRequest {
    /// What it has seen; nothing if absent.
    pub since: Option<SyncToken>,
    /// What it wants to see.
    pub filter: FilterDefinition,
    /// Whether it wants all state of all rooms.
    pub full_state: bool,
    /// How long it wants to wait for news.
    pub timeout: Duration,
    /// Which state goes with a timeline.
    pub state_form: StateForm,
    /// How the user is seen who is connected by this; not at all if `Offline`.
    pub set_presence: PresenceState,
}

/// Which state goes with a timeline, and under which name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateForm {
    /// Up to the start of the timeline: `state`.
    #[default]
    Before,
    /// Up to the end of the timeline: `state_after`.
    After,
    /// The same by the name of MSC4222.
    UnstableAfter,
}

/// Why a sync cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The request came with a token that belongs to no device.
    #[error("sync needs an access token that belongs to a device")]
    NoDevice,
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Another service failed.
    #[error(transparent)]
    News(#[from] NewsError),
    /// A room cannot be read.
    #[error(transparent)]
    Room(#[from] Unreadable),
    /// The look at some of the rooms ended without a result: the server is stopping, or has a defect.
    #[error("the rooms were not looked at to the end")]
    Ended(#[source] JoinError),
}

/// Answers syncs. A clone is another handle on the same.
#[derive(Clone)]
pub struct SyncService(pub(crate) Arc<Inner>);

/// What sync asks of others.
#[derive(Clone)]
pub struct Outside {
    /// The users' own data.
    pub accounts: Arc<dyn AccountNews>,
    /// Devices, their messages and keys.
    pub devices: Arc<dyn DeviceNews>,
    /// Who is told beside the people here.
    pub servers: Arc<dyn OtherServers>,
    /// Which tenants let be known who is online.
    pub presence: Arc<dyn PresencePolicies>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) rooms: Rooms,
    pub(crate) outside: Outside,
    pub(crate) typing: Typing,
    pub(crate) presence: Presence,
    pub(crate) sent_members: SentMembers,
    pub(crate) unread: Unread,
    started: u64,
}

/// Who asks for what.
#[derive(Clone)]
struct Asked {
    actor: Arc<Actor>,
    device: DeviceNumber,
    request: Arc<SyncRequest>,
}

/// What the client has seen, with an answer, of what is counted since the process started.
struct Seen {
    typing: u64,
    presence: u64,
}

/// One look at what is new for a device.
pub(crate) struct Look {
    pub(crate) inner: Arc<Inner>,
    pub(crate) snapshot: Snapshot,
    pub(crate) reader: Reader,
    pub(crate) viewer: Viewer,
    pub(crate) actor: Arc<Actor>,
    pub(crate) device: DeviceNumber,
    pub(crate) request: Arc<SyncRequest>,
    /// Whom the user ignores.
    pub(crate) ignored: BTreeSet<OwnedUserId>,
    /// The account data that is new, by the room it is about.
    pub(crate) account_data: BTreeMap<Option<RoomNumber>, Vec<EventJson>>,
    /// Up to where the client has seen typing notices.
    pub(crate) typing_since: u64,
    /// Up to where the client was told who is online.
    pub(crate) presence_since: u64,
}

impl SyncService {
    /// Answers for the rooms of a store.
    pub fn new(store: Store, rooms: Rooms, outside: Outside) -> Self {
        let started = u64::try_from(outside.clock.now_ts()).unwrap_or_default();
        SyncService(Arc::new(Inner {
            store,
            rooms,
            outside,
            typing: Typing::default(),
            presence: Presence::default(),
            sent_members: SentMembers::default(),
            unread: Unread::default(),
            started,
        }))
    }

    /// A filter that the user stored.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn filter(
        &self,
        actor: &Actor,
        filter_id: &str,
    ) -> Result<Option<FilterDefinition>, NewsError> {
        self.0.outside.accounts.filter(actor, filter_id).await
    }

    /// Sets receipts of a user in a room, all at once. Those that would go back are left out.
    ///
    /// # Errors
    /// [`ReceiptError`]; nothing was set.
    pub async fn set_receipts(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        receipts: Vec<NewReceipt>,
    ) -> Result<(), ReceiptError> {
        let now_ts = self.0.outside.clock.now_ts();
        let public = set_receipts((&self.0.store, &self.0.rooms), actor, room_id, receipts, now_ts).await?;
        for receipt in public {
            self.0.outside.servers.receipt(&actor.tenant, (room_id, &actor.user_id), receipt).await;
        }
        Ok(())
    }

    /// What is new for a device since its token; waits for news as long as the request says.
    ///
    /// # Errors
    /// [`SyncError`].
    pub async fn sync(&self, actor: &Actor, request: &SyncRequest) -> Result<SyncResponse, SyncError> {
        let device = actor.device.ok_or(SyncError::NoDevice)?;
        let deadline = Instant::now() + request.timeout.min(TIMEOUT_MAX);
        if let Some(since) = request.since {
            self.0.outside.devices.received(device, since.to_device).await;
        }
        self.note_connected(actor, request).await;
        let asked = Asked { actor: Arc::new(actor.clone()), device, request: Arc::new(request.clone()) };
        loop {
            let waiting = self.0.store.wakes().wait_for(actor.user);
            let response = self.look(asked.clone()).await?;
            let at_once = request.since.is_none() || request.full_state || !response.is_empty();
            if at_once || timeout_at(deadline, waiting.woken()).await.is_err() {
                return Ok(response);
            }
        }
    }
}

impl SyncService {
    async fn look(&self, asked: Asked) -> Result<SyncResponse, SyncError> {
        let inner = Arc::clone(&self.0);
        let Asked { actor, device, request } = asked;
        // Before the snapshot, so that what is typed in between is told again rather than not at all.
        let seen = Seen { typing: inner.typing.serial(), presence: inner.presence.serial() };
        let snapshot = inner.store.snapshot()?;
        let since = request.since.filter(|since| since.started == inner.started);
        let (typing_since, presence_since) = since.map_or((0, 0), |since| (since.typing, since.presence));
        let reader = inner.rooms.reader_at(snapshot.clone());
        let viewer = Viewer::from(&*actor);
        let account_data = inner.account_data(&snapshot, actor.user, &request).await?;
        let ignored = reader.ignored_by(actor.user).await?;
        let look = Look {
            inner,
            snapshot,
            reader,
            viewer,
            actor,
            device,
            request,
            ignored,
            account_data,
            typing_since,
            presence_since,
        };
        Arc::new(look).answer(seen).await
    }
}

impl Inner {
    async fn account_data(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
        request: &SyncRequest,
    ) -> Result<BTreeMap<Option<RoomNumber>, Vec<EventJson>>, SyncError> {
        let since = request.since.map(|since| since.position);
        let mut by_room: BTreeMap<_, Vec<EventJson>> = BTreeMap::new();
        for data in self.outside.accounts.account_data(snapshot, user, since).await? {
            let is_counted_by = ["m.push_rules", "m.ignored_user_list"].contains(&&*data.event_type);
            if data.room.is_none() && is_counted_by {
                self.unread.forget(user, data.changed);
            }
            by_room.entry(data.room).or_default().push(data.event);
        }
        Ok(by_room)
    }
}

impl Look {
    async fn answer(self: Arc<Self>, seen: Seen) -> Result<SyncResponse, SyncError> {
        let since = self.since();
        let devices = &self.inner.outside.devices;
        let held = devices.held_keys(&self.snapshot, self.device).await?;
        let to_device_since = self.request.since.map_or(Position(0), |since| since.to_device);
        let (to_device, to_device_seen) =
            devices.to_device(&self.snapshot, self.device, to_device_since, TO_DEVICE_MAX).await?;
        let device_lists = match since {
            Some(since) => devices.device_lists(&self.snapshot, &self.actor, since).await?,
            None => Default::default(),
        };
        let account_data = self.account_data.get(&None).cloned().unwrap_or_default();
        let next = SyncToken {
            position: self.snapshot.position(),
            to_device: to_device_seen,
            typing: seen.typing,
            presence: seen.presence,
            started: self.inner.started,
        };
        Ok(SyncResponse {
            next_batch: next.to_string(),
            rooms: RoomsLook::new(&self).await?.rooms_update().await?,
            account_data: self.filtered(account_data).into(),
            presence: self.presence().into(),
            to_device: to_device.into(),
            device_lists,
            device_one_time_keys_count: held.one_time,
            device_unused_fallback_key_types: held.unused_fallback,
        })
    }

    /// The position up to which the client has seen everything.
    pub(crate) fn since(&self) -> Option<Position> {
        self.request.since.map(|since| since.position)
    }

    fn filtered(&self, mut account_data: Vec<EventJson>) -> Vec<EventJson> {
        let filter = &self.request.filter.account_data;
        account_data.retain(|event| event_passes(filter, event.get()));
        limit(&mut account_data, filter.limit);
        account_data
    }
}

impl fmt::Debug for SyncService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncService").finish_non_exhaustive()
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}
