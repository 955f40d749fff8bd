//! Where the public keys of other servers come from, and for what they are good.

use ruma_common::ServerName;

use crate::{KeyId, VerifyingKey};

/// The published keys the caller knows.
///
/// This crate fetches nothing: what the source does not know is skipped or reported, as the
/// specification says for the case at hand, and the error names what to fetch.
pub trait KeySource {
    /// The key `server` published under `key_id`, current or old.
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>>;
}

impl<K: KeySource + ?Sized> KeySource for &K {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        (**self).key(server, key_id)
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

/// How far ahead a `valid_until_ts` is believed at most, in milliseconds: 7 days
/// (<https://spec.matrix.org/v1.19/rooms/v5/#signing-key-validity-period>).
pub const VALIDITY_AHEAD_MAX_MS: i64 = 7 * 24 * 60 * 60 * 1000;
