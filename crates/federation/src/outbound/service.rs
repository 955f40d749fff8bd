//! The service that sends.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_rooms::{Identities, Rooms, Unreadable};
use freehold_store::tables::outbound::{BEHIND, HANDED_OVER, OUTGOING_DEVICE_LISTS, OUTGOING_MESSAGES};
use freehold_store::{Clock, Order, Position, ReadError, Snapshot, Store, Tenant, TenantNumber, UserNumber};
use ruma_common::{OwnedServerName, RoomId, UserId};

use super::ephemeral::{Ephemeral, ToldReceipt};
use super::progress::{At, BEGINNING, Progress};
use super::queue::Queue;
use crate::client::Client;
use crate::randomness::Randomness;

/// A tenant and a server.
pub(super) type Key = (TenantNumber, OwnedServerName);

/// Who sends for tenants what other servers are to have. A clone is another handle on the same.
#[derive(Clone)]
pub struct Outbound(pub(super) Arc<Inner>);

/// What an [`Outbound`] is made of.
pub struct OutboundParts {
    /// Makes the requests.
    pub client: Client,
    /// The rooms whose events are sent.
    pub rooms: Rooms,
    /// Where everything that is to be sent is written down.
    pub store: Store,
    /// Who is hosted here.
    pub identities: Arc<dyn Identities>,
    /// The tenants by their numbers.
    pub tenants: Arc<dyn TenantsByNumber>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Spreads the attempts.
    pub randomness: Arc<dyn Randomness>,
}

/// The tenants by their numbers.
pub trait TenantsByNumber: Send + Sync {
    /// The tenant with a number, if it is in service.
    fn tenant(&self, number: TenantNumber) -> Option<Tenant>;
}

/// How much there is to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboundReport {
    /// Pairs of tenant and server with something to be sent.
    pub queues: usize,
    /// Those of them that do not keep up: the server does not answer, or not fast enough.
    pub behind: usize,
}

pub(super) struct Inner {
    pub(super) parts: OutboundParts,
    state: Mutex<State>,
    /// Makes the ids of transactions different from those of earlier runs.
    pub(super) started_ts: i64,
    pub(super) transactions: AtomicU64,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) queues: BTreeMap<Key, Queue>,
    pub(super) progress: BTreeMap<TenantNumber, Progress>,
}

/// How often it is written down how far events have come, and who ceased to send begins anew.
const TICK: Duration = Duration::from_secs(1);

impl Outbound {
    /// Goes on where it was when this process last ran. Nothing is sent before [`run`](Self::run).
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(parts: OutboundParts) -> Result<Self, ReadError> {
        let snapshot = parts.store.snapshot()?;
        let mut state = State::default();
        let behind: Vec<(Key, At)> = snapshot.scan_prefix(&BEHIND, &(), Order::Ascending, usize::MAX).await?;
        for (key, at) in behind {
            state.queues.entry(key).or_default().behind = Some(at);
        }
        for key in messages_wait_for(&snapshot).await? {
            state.queues.entry(key).or_default().has_messages = true;
        }
        let handed_over: Vec<(TenantNumber, At)> =
            snapshot.scan_prefix(&HANDED_OVER, &(), Order::Ascending, usize::MAX).await?;
        for (tenant, at) in handed_over {
            state.progress.insert(tenant, Progress::resumed(at));
        }
        let started_ts = parts.clock.now_ts();
        let (state, transactions) = (Mutex::new(state), AtomicU64::new(0));
        Ok(Outbound(Arc::new(Inner { parts, state, started_ts, transactions })))
    }

    /// Sends for as long as it is polled.
    pub async fn run(&self) {
        self.dispatch_all().await;
        loop {
            let put_out = tokio::time::timeout(TICK, self.0.parts.store.outgoing().next()).await;
            match put_out {
                Ok(put_out) => self.take(put_out).await,
                Err(_) => {
                    self.write_progress().await;
                    self.resume();
                }
            }
        }
    }

    /// Tells the other servers in a room that a user of a tenant types, or stopped.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn tell_typing(
        &self,
        tenant: &Tenant,
        (room_id, user_id): (&RoomId, &UserId),
        typing: bool,
    ) -> Result<(), Unreadable> {
        self.tell(tenant, room_id, |waiting| {
            waiting.type_in(room_id.to_owned(), user_id.to_owned(), typing);
        })
        .await
    }

    /// Tells the other servers in a room up to where a user of a tenant read.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn tell_receipt(
        &self,
        tenant: &Tenant,
        (room_id, user_id): (&RoomId, &UserId),
        receipt: &ToldReceipt,
    ) -> Result<(), Unreadable> {
        self.tell(tenant, room_id, |waiting| {
            waiting.read_in(room_id.to_owned(), user_id.to_owned(), receipt.clone());
        })
        .await
    }

    /// How much there is to be sent.
    pub fn report(&self) -> OutboundReport {
        let state = self.0.lock();
        let behind = state.queues.values().filter(|queue| queue.behind.is_some()).count();
        OutboundReport { queues: state.queues.len(), behind }
    }

    async fn tell(
        &self,
        tenant: &Tenant,
        room_id: &RoomId,
        add: impl Fn(&mut Ephemeral),
    ) -> Result<(), Unreadable> {
        let reader = self.0.parts.rooms.reader()?;
        let Some(room) = reader.room_number(room_id).await? else { return Ok(()) };
        for (server, _) in reader.servers_in(room).await? {
            if self.0.parts.identities.tenant(&server).is_some() {
                continue;
            }
            let key = (tenant.number(), server);
            {
                let mut state = self.0.lock();
                let queue = state.queues.entry(key.clone()).or_default();
                // Who does not answer now need not hear later that somebody typed.
                if queue.behind.is_none() {
                    add(&mut queue.ephemeral);
                }
            }
            self.send(key);
        }
        Ok(())
    }
}

impl Inner {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn progress(&mut self, tenant: TenantNumber) -> &mut Progress {
        self.progress.entry(tenant).or_insert_with(|| Progress::resumed(BEGINNING))
    }
}

/// For whom messages or device lists wait: one read for each.
async fn messages_wait_for(snapshot: &Snapshot) -> Result<Vec<Key>, ReadError> {
    let mut found = Vec::new();
    let mut start = (TenantNumber(0), None::<OwnedServerName>);
    loop {
        let after = |name: &OwnedServerName| (start.0, name.clone(), Position(u64::MAX), u16::MAX);
        let end = (TenantNumber(u32::MAX),);
        let next = match &start.1 {
            Some(name) => {
                snapshot.scan_range(&OUTGOING_MESSAGES, (&after(name), &end), Order::Ascending, 1).await?
            }
            None => snapshot.scan_range(&OUTGOING_MESSAGES, (&(start.0,), &end), Order::Ascending, 1).await?,
        };
        let Some((key, _)) = next.into_iter().next() else { break };
        start = (key.0, Some(key.1.clone()));
        found.push((key.0, key.1));
    }
    let mut last: Option<Key> = None;
    loop {
        let end = (TenantNumber(u32::MAX),);
        let next = match &last {
            Some((tenant, name)) => {
                let after = (*tenant, name.clone(), UserNumber(u64::MAX));
                snapshot.scan_range(&OUTGOING_DEVICE_LISTS, (&after, &end), Order::Ascending, 1).await?
            }
            None => {
                let start = (TenantNumber(0),);
                snapshot.scan_range(&OUTGOING_DEVICE_LISTS, (&start, &end), Order::Ascending, 1).await?
            }
        };
        let Some((key, _)) = next.into_iter().next() else { break };
        let key = (key.0, key.1);
        last = Some(key.clone());
        found.push(key);
    }
    Ok(found)
}
