//! How many transactions are under way at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::Event;
use lru::LruCache;
use ruma_common::{OwnedServerName, ServerName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::service::at_least_one;
use crate::limits::{PROVEN_SERVERS_MAX, TRANSACTIONS_AT_ONCE, UNPROVEN_TRANSACTIONS_AT_ONCE};

/// Bounds how many transactions are under way. Servers that took the last one have places of their own: however many
/// others do not answer, these never wait for them.
pub(super) struct Permits {
    proven: Arc<Semaphore>,
    unproven: Arc<Semaphore>,
    servers: Mutex<LruCache<OwnedServerName, ()>>,
    under_way: Arc<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    count: AtomicUsize,
    fewer: Event,
}

/// The permission for one transaction.
pub(super) struct Permit {
    _place: Option<OwnedSemaphorePermit>,
    under_way: Arc<UnderWay>,
}

impl Permits {
    pub(super) fn new() -> Self {
        Permits {
            proven: Arc::new(Semaphore::new(TRANSACTIONS_AT_ONCE)),
            unproven: Arc::new(Semaphore::new(UNPROVEN_TRANSACTIONS_AT_ONCE)),
            servers: Mutex::new(LruCache::new(at_least_one(PROVEN_SERVERS_MAX))),
            under_way: Arc::default(),
        }
    }

    /// Waits for a place.
    pub(super) async fn wait(&self, server: &ServerName) -> Permit {
        let places = if self.is_proven(server) { &self.proven } else { &self.unproven };
        // Nobody closes them.
        let place = Arc::clone(places).acquire_owned().await.ok();
        self.under_way.count.fetch_add(1, Ordering::SeqCst);
        Permit { _place: place, under_way: Arc::clone(&self.under_way) }
    }

    /// Whether a server took the last transaction.
    pub(super) fn is_proven(&self, server: &ServerName) -> bool {
        self.servers().get(server).is_some()
    }

    /// A server took a transaction.
    pub(super) fn proved(&self, server: &ServerName) {
        if self.servers().get(server).is_none() {
            self.servers().put(server.to_owned(), ());
        }
    }

    /// A server did not.
    pub(super) fn doubted(&self, server: &ServerName) {
        self.servers().pop(server);
    }

    /// How many are under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.count.load(Ordering::SeqCst)
    }

    /// Waits until none is.
    pub(super) async fn landed(&self) {
        loop {
            let fewer = self.under_way.fewer.listen();
            if self.under_way() == 0 {
                return;
            }
            fewer.await;
        }
    }

    fn servers(&self) -> MutexGuard<'_, LruCache<OwnedServerName, ()>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.under_way.count.fetch_sub(1, Ordering::SeqCst);
        self.under_way.fewer.notify(usize::MAX);
    }
}
