//! The newest sessions, in memory.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_store::tables::accounts::TokenHash;
use lru::LruCache;

use crate::session::KnownSession;

/// Sessions by the hash of their access token; the longest not used is forgotten first.
#[derive(Debug)]
pub(crate) struct SessionCache(Mutex<Remembered>);

#[derive(Debug)]
struct Remembered {
    sessions: LruCache<TokenHash, Arc<KnownSession>>,
    forgotten: Epoch,
    size: NonZeroUsize,
}

/// How often sessions were forgotten on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

impl SessionCache {
    pub(crate) fn new(size: usize) -> Self {
        let size = NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN);
        // Unbounded for the map, so that it takes memory for what it holds and not for what it might hold.
        let sessions = LruCache::unbounded();
        SessionCache(Mutex::new(Remembered { sessions, forgotten: Epoch(0), size }))
    }

    /// The session of a token, or else the epoch that [`SessionCache::remember`] takes. Call it before reading.
    pub(crate) fn find(&self, token: &TokenHash) -> Result<Arc<KnownSession>, Epoch> {
        let mut remembered = self.lock();
        remembered.sessions.get(token).cloned().ok_or(remembered.forgotten)
    }

    /// Remembers what was read, unless sessions were forgotten since the epoch: it may be one of them.
    pub(crate) fn remember(&self, token: TokenHash, session: Arc<KnownSession>, since: Epoch) {
        let mut remembered = self.lock();
        if remembered.forgotten != since {
            return;
        }
        remembered.sessions.put(token, session);
        if remembered.sessions.len() > remembered.size.get() {
            remembered.sessions.pop_lru();
        }
    }

    /// Forgets the sessions of tokens. Call it when the change that concerns them is durable.
    pub(crate) fn forget(&self, tokens: &[TokenHash]) {
        let mut remembered = self.lock();
        remembered.forgotten.0 += 1;
        for token in tokens {
            remembered.sessions.pop(token);
        }
    }

    /// How many sessions are remembered.
    pub(crate) fn len(&self) -> usize {
        self.lock().sessions.len()
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
