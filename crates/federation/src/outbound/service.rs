//! The service that sends.

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::Event;
use freehold_rooms::{Identities, Rooms};
use freehold_store::tables::outbound::{BEHIND, HANDED_OVER, WAITING_MESSAGES};
use freehold_store::{Clock, Order, Position, ReadError, Store, Tenant, TenantNumber};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::devices::OwnDevices;
use super::permits::Permits;
use super::progress::{At, Progress};
use super::state::{Key, State};
use super::waiting::{lists_wait_for, messages_wait_for, missed_by};
use crate::client::Client;
use crate::limits::{STOP_TIME_MS, TENDED_EVERY_MS};
use crate::randomness::Randomness;

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
    /// What other servers are told of devices.
    pub devices: Arc<dyn OwnDevices>,
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
    /// Transactions that are under way.
    pub under_way: usize,
}

pub(super) struct Inner {
    pub(super) parts: OutboundParts,
    pub(super) permits: Permits,
    state: Mutex<State>,
    /// Some queue has something to send, and nobody who sends it.
    pub(super) ready: Event,
    pub(super) is_stopping: AtomicBool,
    /// Tells transactions apart that have the same in them and are not the same.
    pub(super) nonce: AtomicU64,
}

/// How often it is written down how far events have come.
const TICK: Duration = Duration::from_secs(1);
/// How often it is looked whether tenants are in service again.
const PARKED: Duration = Duration::from_secs(60);

impl Outbound {
    /// Goes on where it was when this process last ran. Nothing is sent before [`run`](Self::run).
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(parts: OutboundParts) -> Result<Self, ReadError> {
        let snapshot = parts.store.snapshot()?;
        let mut state = State::default();
        let handed_over: Vec<(TenantNumber, At)> =
            snapshot.scan_prefix(&HANDED_OVER, &(), Order::Ascending, usize::MAX).await?;
        for (tenant, at) in handed_over {
            state.progress.insert(tenant, Progress::resumed(at));
        }
        let behind: Vec<(Key, At)> = snapshot.scan_prefix(&BEHIND, &(), Order::Ascending, usize::MAX).await?;
        for (key, at) in behind {
            state.resume_behind(key, at);
        }
        for key in messages_wait_for(&snapshot).await? {
            let queue = state.queue(&key);
            (queue.has_messages, queue.may_have_sent) = (true, true);
        }
        for key in lists_wait_for(&snapshot).await? {
            state.queue(&key).has_lists = true;
        }
        for key in missed_by(&snapshot).await? {
            state.queue(&key).has_missed = true;
        }
        let waited: Vec<(Key, (i64, Position))> =
            snapshot.scan_prefix(&WAITING_MESSAGES, &(), Order::Ascending, usize::MAX).await?;
        for (key, _) in waited {
            let queue = state.queue(&key);
            (queue.has_messages, queue.has_waited) = (true, true);
        }
        let nonce = parts.clock.now_ts().cast_unsigned() << 16;
        Ok(Outbound(Arc::new(Inner {
            parts,
            permits: Permits::new(),
            state: Mutex::new(state),
            ready: Event::new(),
            is_stopping: AtomicBool::new(false),
            nonce: AtomicU64::new(nonce),
        })))
    }

    /// Sends for as long as it is polled. Whoever drops it stops at once: what was under way is sent again.
    pub async fn run(&self) {
        self.run_until(std::future::pending()).await;
    }

    /// Sends until it is time to stop. What is under way then is brought to its end, if that does not take long.
    pub async fn run_until(&self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut senders = JoinSet::new();
        let (mut tick, mut had_chores) = (Instant::now() + TICK, false);
        let (mut unpark, mut tend) = (Instant::now() + PARKED, Instant::now() + TENDED_EVERY);
        self.dispatch_all().await;
        self.wake_all();
        loop {
            self.begin_sending(&mut senders);
            let (ready, has_chores) = (self.0.ready.listen(), self.has_chores());
            if self.0.lock().has_ready() {
                continue;
            }
            // What just began is likely done a moment later, and written down once.
            if has_chores && !had_chores {
                tick = Instant::now() + TICK;
            }
            had_chores = has_chores;
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = sleep_until(tick), if has_chores => {
                    self.dispatch_unread().await;
                    self.write_progress().await;
                    tick = Instant::now() + TICK;
                }
                () = sleep_until(unpark) => {
                    self.unpark();
                    unpark = Instant::now() + PARKED;
                }
                () = sleep_until(tend) => {
                    self.tend_all().await;
                    tend = Instant::now() + TENDED_EVERY;
                }
                Some(_) = senders.join_next(), if !senders.is_empty() => {}
                () = ready => {}
                put_out = self.0.parts.store.outgoing().next() => self.take(put_out).await,
            }
        }
        self.finish(senders).await;
    }

    /// How much there is to be sent.
    pub fn report(&self) -> OutboundReport {
        let under_way = self.0.permits.under_way();
        let state = self.0.lock();
        let behind = state.queues.values().filter(|queue| queue.behind().is_some()).count();
        OutboundReport { queues: state.queues.len(), behind, under_way }
    }

    fn has_chores(&self) -> bool {
        self.0.lock().look_for_chores()
    }

    /// Has somebody send for each queue that has something to send.
    fn begin_sending(&self, senders: &mut JoinSet<()>) {
        loop {
            let Some(key) = self.0.lock().next_ready() else { return };
            let this = self.clone();
            senders.spawn(async move { this.drive(key).await });
        }
    }

    /// Brings to its end what is under way, and writes down how far everything came.
    async fn finish(&self, mut senders: JoinSet<()>) {
        self.0.is_stopping.store(true, Ordering::SeqCst);
        let landed = tokio::time::timeout(Duration::from_millis(STOP_TIME_MS), self.0.permits.landed()).await;
        if landed.is_err() {
            tracing::info!("transactions that are under way are given up; they are sent again");
        }
        senders.shutdown().await;
        self.write_progress().await;
    }

    fn wake_all(&self) {
        let mut state = self.0.lock();
        let keys: Vec<Key> = state.queues.keys().cloned().collect();
        keys.iter().for_each(|key| state.wake(key));
    }

    /// Queues of tenants that were not in service, and may be again.
    fn unpark(&self) {
        let parked = std::mem::take(&mut self.0.lock().parked);
        for key in parked {
            let is_back = self.0.parts.tenants.tenant(key.0).is_some();
            let mut state = self.0.lock();
            match is_back {
                true => state.wake(&key),
                false => drop(state.parked.insert(key)),
            }
        }
    }
}

const TENDED_EVERY: Duration = Duration::from_millis(TENDED_EVERY_MS);

impl Inner {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever runs what there is to do.
    pub(super) fn announce(&self) {
        if self.lock().has_news() {
            self.ready.notify(usize::MAX);
        }
    }
}

/// A number that is not 0.
pub(super) fn at_least_one(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN)
}
