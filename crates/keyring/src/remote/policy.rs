//! Bounds and times of the fetching of keys, in one place.

use std::collections::BTreeMap;

use freehold_signing::{KeyId, VerifyingKey};
use ruma_common::OwnedServerName;

/// Everything a stranger could make grow, and how long things last. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPolicy {
    /// How many servers are remembered in memory; those used longest ago leave for the store.
    pub servers_max: usize,
    /// How many servers of which no key is known may wait to be asked: their names may be invented, and who invents them must not
    /// take the places of everybody else.
    pub strangers_max: usize,
    /// How many bytes the remembered documents and keys may have together.
    pub bytes_max: usize,
    /// How many keys may have a table of 33 KB, by which they verify faster: those used most
    /// (see [`PreparedKeys`](freehold_signing::PreparedKeys)).
    pub prepared_max: usize,
    /// How many requests may be under way at a time.
    pub in_flight_max: usize,
    /// How many verifications may wait for one server.
    pub waiting_per_server_max: usize,
    /// How many servers are asked for in one request to a notary.
    pub batch_max: usize,
    /// How long a request to a notary waits for company.
    pub batch_delay_ms: i64,
    /// After which time a request without an answer has failed.
    pub timeout_ms: i64,
    /// The shortest time between two questions about the same server while it answers: a key it
    /// does not publish is not asked for more often, however many events name it.
    pub repeat_min_ms: i64,
    /// The first wait after a failure; it doubles with each further one.
    pub back_off_min_ms: i64,
    /// The longest wait after a failure.
    pub back_off_max_ms: i64,
}

impl FetchPolicy {
    /// The longest key document that is read, in bytes. One with 480 keys fits.
    pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
    /// The most keys of one server that are read from a document, and that are remembered.
    pub(crate) const KEYS_PER_SERVER_MAX: usize = 512;
    /// The longest answer of a notary that is read, in bytes.
    pub const NOTARY_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
    /// The most servers a notary query may ask us about.
    pub(crate) const QUERY_SERVERS_MAX: usize = 100;
    /// The longest notary query that is read, in bytes.
    pub const QUERY_BYTES_MAX: usize = 256 * 1024;

    /// The wait after the given number of failures in a row.
    pub(crate) fn back_off_ms(&self, failures: u32) -> i64 {
        let doubled = self.back_off_min_ms.saturating_mul(1_i64 << failures.saturating_sub(1).min(32));
        doubled.min(self.back_off_max_ms)
    }
}

impl Default for FetchPolicy {
    /// What suits a server in the public federation: of its servers some ten thousand are alive at
    /// a time, and each publishes under 1 KB.
    fn default() -> Self {
        Self {
            servers_max: 10_000,
            strangers_max: 2_500,
            bytes_max: 32 * 1024 * 1024,
            prepared_max: 128,
            in_flight_max: 64,
            waiting_per_server_max: 1000,
            batch_max: 100,
            batch_delay_ms: 50,
            timeout_ms: 30_000,
            repeat_min_ms: 60_000,
            back_off_min_ms: 60_000,
            back_off_max_ms: 24 * 60 * 60 * 1000,
        }
    }
}

/// A notary: a server that is trusted to tell the keys of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notary {
    /// Its name.
    pub server_name: OwnedServerName,
    /// The keys its answers are checked with. If there are none, those it publishes itself are
    /// fetched directly and used.
    pub keys: BTreeMap<KeyId, VerifyingKey>,
}
