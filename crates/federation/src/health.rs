//! Who answers, and who does not: shared by all tenants.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::{Event, EventListener};
use freehold_store::tables::federation::{HealthRow, SERVER_HEALTH};
use freehold_store::{Clock, Order, ReadError, Store};
use lru::LruCache;
use ruma_common::{OwnedServerName, ServerName};

use crate::backlog::Backlog;
use crate::discovery::doubled;
use crate::limits::{
    HEALTH_DURABLE_MS, HEALTH_SERVERS_MAX, HEALTH_WAIT_MAX_MS, HEALTH_WAIT_MIN_MS, RETRIED_TOGETHER_MS,
    WAKE_AFTER_MS,
};
use crate::randomness::Randomness;

/// Which servers do not answer, and when they are tried again.
///
/// A server that is well takes no place. One that fails is tried ever more rarely, by one request at a time; any sign of
/// life has it tried at once. Who was refused something is no business of this: only that nobody answered is.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

/// What [`Health`] is made of.
pub struct HealthParts {
    /// Where failing servers are written down.
    pub store: Store,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Spreads the attempts.
    pub randomness: Arc<dyn Randomness>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    backlog: Backlog<HealthRow>,
    ill: Mutex<LruCache<OwnedServerName, Ill>>,
    /// Servers of which somebody waits to hear.
    awaited: Mutex<BTreeMap<OwnedServerName, Arc<Event>>>,
}

struct Ill {
    row: HealthRow,
    /// Until when the one request under way has to tell how it went.
    trying_until_ts: i64,
    /// When it last failed, or was read from the store.
    failed_ts: i64,
    written: bool,
    changed: Arc<Event>,
}

/// What is to be expected of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It answered when it was last asked, or was never asked.
    Well,
    /// It has failed, and may be tried now.
    Due {
        /// Since when it fails, in milliseconds since the Unix epoch.
        since_ts: i64,
    },
    /// It has failed, and is left in peace.
    Waiting {
        /// Since when it fails, in milliseconds since the Unix epoch.
        since_ts: i64,
        /// When it is tried again.
        retry_ts: i64,
        /// How often it was tried in vain.
        failures: u32,
    },
}

/// For how long the one request that tries a failing server keeps others away.
const TRIAL_MS: i64 = 60_000;

impl Health {
    /// Remembers who did not answer when this process last ran.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(parts: HealthParts) -> Result<Self, ReadError> {
        let (snapshot, now_ts) = (parts.store.snapshot()?, parts.clock.now_ts());
        let rows: Vec<(OwnedServerName, HealthRow)> =
            snapshot.scan_prefix(&SERVER_HEALTH, &(), Order::Ascending, HEALTH_SERVERS_MAX).await?;
        let capacity = NonZeroUsize::new(HEALTH_SERVERS_MAX).unwrap_or(NonZeroUsize::MIN);
        let mut ill = LruCache::new(capacity);
        for (server, row) in rows {
            ill.put(server, Ill { row, written: true, ..Ill::new(now_ts) });
        }
        Ok(Health(Arc::new(Inner {
            clock: parts.clock,
            randomness: parts.randomness,
            backlog: Backlog::new(parts.store, &SERVER_HEALTH),
            ill: Mutex::new(ill),
            awaited: Mutex::default(),
        })))
    }

    /// What is to be expected of a server.
    pub fn outlook(&self, server: &ServerName) -> Outlook {
        let now_ts = self.0.clock.now_ts();
        self.0.lock().peek(server).map_or(Outlook::Well, |ill| ill.outlook(now_ts))
    }

    /// Whether a server answered when it was last asked, or may be tried now. A hint: it may have died since.
    pub fn is_alive(&self, server: &ServerName) -> bool {
        !matches!(self.outlook(server), Outlook::Waiting { .. })
    }

    /// Asks to send a request to a server. Whoever may is to say how it went, with [`succeeded`](Self::succeeded) or
    /// [`failed`](Self::failed).
    ///
    /// # Errors
    /// When the server may be asked next, in milliseconds since the Unix epoch.
    pub fn admit(&self, server: &ServerName) -> Result<(), i64> {
        let now_ts = self.0.clock.now_ts();
        let mut ill = self.0.lock();
        let Some(ill) = ill.get_mut(server) else { return Ok(()) };
        match ill.outlook(now_ts) {
            Outlook::Well | Outlook::Due { .. } => {
                ill.trying_until_ts = now_ts.saturating_add(TRIAL_MS);
                Ok(())
            }
            Outlook::Waiting { retry_ts, .. } => Err(retry_ts),
        }
    }

    /// Whoever was admitted does not ask, or has said how it went: others may.
    pub(crate) fn is_not_tried(&self, server: &ServerName) {
        if let Some(ill) = self.0.lock().get_mut(server)
            && ill.trying_until_ts != i64::MIN
        {
            ill.trying_until_ts = i64::MIN;
            ill.changed.notify(usize::MAX);
        }
    }

    /// A server answered.
    pub fn succeeded(&self, server: &ServerName) {
        let Some((server, ill)) = self.0.lock().pop_entry(server) else { return };
        if ill.written {
            self.0.backlog.put(server, None);
        }
        ill.changed.notify(usize::MAX);
    }

    /// A server did not answer.
    pub fn failed(&self, server: &ServerName) {
        let now_ts = self.0.clock.now_ts();
        let mut all = self.0.lock();
        if !all.contains(server)
            && let Some((forgotten, ill)) = all.push(server.to_owned(), Ill::new(now_ts))
            && ill.written
        {
            // What is not remembered is not written down either, so that the table is bounded, too.
            self.0.backlog.put(forgotten, None);
        }
        let Some(ill) = all.get_mut(server) else { return };
        // Several requests that were under way at the same time have failed once.
        if now_ts < ill.row.retry_ts && now_ts >= ill.trying_until_ts {
            return;
        }
        ill.row.failures = ill.row.failures.saturating_add(1);
        let wait_ms = doubled(ill.row.failures, HEALTH_WAIT_MIN_MS, HEALTH_WAIT_MAX_MS);
        ill.row.retry_ts = together(now_ts.saturating_add(self.0.randomness.around(wait_ms)));
        ill.trying_until_ts = i64::MIN;
        ill.failed_ts = now_ts;
        if wait_ms >= HEALTH_DURABLE_MS {
            ill.written = true;
            self.0.backlog.put(server.to_owned(), Some(ill.row.clone()));
        }
    }

    /// A server showed that it lives, by a request to us for example: it may be tried soon, however long it was to be left in
    /// peace.
    pub fn heard_from(&self, server: &ServerName) {
        if let Some(awaited) = self.0.awaited().get(server) {
            awaited.notify(usize::MAX);
        }
        let now_ts = self.0.clock.now_ts();
        let mut all = self.0.lock();
        let Some(ill) = all.get_mut(server) else { return };
        let due_ts = ill.failed_ts.saturating_add(WAKE_AFTER_MS).max(now_ts);
        if due_ts < ill.row.retry_ts {
            ill.row.retry_ts = due_ts;
            ill.changed.notify(usize::MAX);
        }
    }

    /// Waits until a server shows by itself that it lives.
    pub async fn wait_until_heard(&self, server: &ServerName) {
        let (event, heard) = {
            let mut awaited = self.0.awaited();
            let event = Arc::clone(awaited.entry(server.to_owned()).or_default());
            let heard = event.listen();
            (event, heard)
        };
        let _waiting = Waiting { health: self, server, event };
        heard.await;
    }

    /// Waits until a server may be tried.
    pub async fn wait_until_due(&self, server: &ServerName) {
        loop {
            let Some((time, changed)) = self.wait_of(server) else { return };
            tokio::select! {
                biased;
                () = tokio::time::sleep(time) => {}
                () = changed => {}
            }
        }
    }

    /// For how long a server is left in peace, and what says that it is shorter.
    fn wait_of(&self, server: &ServerName) -> Option<(Duration, EventListener)> {
        let now_ts = self.0.clock.now_ts();
        let all = self.0.lock();
        let ill = all.peek(server)?;
        let Outlook::Waiting { retry_ts, .. } = ill.outlook(now_ts) else { return None };
        let wait_ms = u64::try_from(retry_ts.saturating_sub(now_ts)).unwrap_or_default();
        Some((Duration::from_millis(wait_ms), ill.changed.listen()))
    }
}

/// Somebody who waits to hear of a server.
struct Waiting<'w> {
    health: &'w Health,
    server: &'w ServerName,
    event: Arc<Event>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut awaited = self.health.0.awaited();
        // One is in the map, one is this; others are of others who wait.
        if Arc::strong_count(&self.event) <= 2 {
            awaited.remove(self.server);
        }
    }
}

/// A time, or a moment later: who is tried at about the same time is tried at the same time, so that this process wakes once
/// for all of them.
fn together(ts: i64) -> i64 {
    let late = ts.rem_euclid(RETRIED_TOGETHER_MS);
    ts.saturating_add(if late == 0 { 0 } else { RETRIED_TOGETHER_MS - late })
}

impl Inner {
    fn awaited(&self) -> MutexGuard<'_, BTreeMap<OwnedServerName, Arc<Event>>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<OwnedServerName, Ill>> {
        self.ill.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ill {
    fn new(now_ts: i64) -> Self {
        let row = HealthRow { since_ts: now_ts, failures: 0, retry_ts: now_ts };
        let changed = Arc::default();
        Ill { row, trying_until_ts: i64::MIN, failed_ts: now_ts, written: false, changed }
    }

    fn outlook(&self, now_ts: i64) -> Outlook {
        let HealthRow { since_ts, failures, retry_ts } = self.row;
        let retry_ts = retry_ts.max(self.trying_until_ts);
        if now_ts < retry_ts {
            Outlook::Waiting { since_ts, retry_ts, failures }
        } else {
            Outlook::Due { since_ts }
        }
    }
}
