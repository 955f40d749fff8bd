//! Where the public keys of other servers come from, and for what they are good.

use freehold_event::RoomVersion;
use ruma_common::ServerName;

use crate::{KeyId, PreparedKeys, VerifyingKey};

/// The published keys the caller knows.
///
/// This crate fetches nothing: what the source does not know is skipped or reported, as the
/// specification says for the case at hand, and the error names what to fetch.
pub trait KeySource {
    /// The key `server` published under `key_id`, current or old.
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>>;

    /// Where the keys that are used most have tables, by which they verify faster; `None` when this source
    /// keeps none.
    fn prepared(&self) -> Option<&PreparedKeys> {
        None
    }
}

impl<K: KeySource + ?Sized> KeySource for &K {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        (**self).key(server, key_id)
    }

    fn prepared(&self) -> Option<&PreparedKeys> {
        (**self).prepared()
    }
}

/// A key as a server published it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedKey<'a> {
    /// The public key.
    pub key: &'a VerifyingKey,
    /// Until when it may be relied on.
    pub validity: KeyValidity,
}

/// Until when a published key may be relied on. Times are Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyValidity {
    /// Under `verify_keys`: in use, and to be believed until this time unless published again.
    Current {
        /// The `valid_until_ts` of the document that named the key.
        valid_until_ts: i64,
    },
    /// Under `old_verify_keys`: no longer in use since this time. Good for events up to then, never
    /// for requests.
    Old {
        /// The `expired_ts` of the key.
        expired_ts: i64,
    },
}

impl KeyValidity {
    /// Whether the key may sign an event of this time in a room of this version.
    ///
    /// From room version 5 on, `valid_until_ts`, taken as at most 7 days after `now_ms`, must not be
    /// before the event's `origin_server_ts`
    /// (<https://spec.matrix.org/v1.19/rooms/v5/#signing-key-validity-period>); before, it is
    /// ignored. A key known to have expired before the event is no good in any version
    /// (<https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events>).
    pub fn covers_event(self, origin_server_ts: i64, version: &RoomVersion, now_ms: i64) -> bool {
        match self {
            Self::Old { expired_ts } => origin_server_ts <= expired_ts,
            Self::Current { .. } if !version.rules().enforce_key_validity => true,
            Self::Current { valid_until_ts } => {
                origin_server_ts <= valid_until_ts.min(now_ms.saturating_add(VALIDITY_AHEAD_MAX_MS))
            }
        }
    }

    /// Whether the key may sign a request, or anything else that is of now: it is in use, and the
    /// document that says so is not out of date.
    pub fn covers_request(self, now_ms: i64) -> bool {
        match self {
            Self::Old { .. } => false,
            Self::Current { valid_until_ts } => now_ms <= valid_until_ts,
        }
    }
}

/// The keys of a source that are in use and valid at a time: what signs documents of now, such as
/// the answers of other servers.
#[derive(Clone, Copy, Debug)]
pub struct ValidAt<K> {
    /// All keys.
    pub keys: K,
    /// The time in Unix milliseconds.
    pub now_ms: i64,
}

impl<K: KeySource> KeySource for ValidAt<K> {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        self.keys.key(server, key_id).filter(|key| key.validity.covers_request(self.now_ms))
    }

    fn prepared(&self) -> Option<&PreparedKeys> {
        self.keys.prepared()
    }
}

/// How far ahead a `valid_until_ts` is believed at most, in milliseconds: 7 days
/// (<https://spec.matrix.org/v1.19/rooms/v5/#signing-key-validity-period>).
pub const VALIDITY_AHEAD_MAX_MS: i64 = 7 * 24 * 60 * 60 * 1000;
