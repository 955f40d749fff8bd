//! What is asked of other servers so that events can be received.

use std::error::Error;

use freehold_event::Pdu;
use freehold_rooms::ActionError;
use freehold_signing::{KeySource, Signature, WantedKey};
use freehold_store::{BoxFuture, Tenant};
use ruma_common::{EventId, OwnedEventId, RoomId, ServerName};

/// Asks other servers. Every call is on behalf of a tenant; nothing in an answer was verified.
pub trait Fetching: Send + Sync {
    /// The keys of servers, tenants too, that can be had within reasonable time.
    fn keys<'a>(&'a self, wanted: &'a [WantedKey]) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>>;

    /// Events before some, as JSON texts
    /// (<https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1get_missing_eventsroomid>).
    fn missing_events<'a>(
        &'a self,
        asking: Asking<'a>,
        query: &'a MissingQuery,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>>;

    /// One event, as a JSON text (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1eventeventid>).
    fn event<'a>(
        &'a self,
        asking: Asking<'a>,
        event_id: &'a EventId,
    ) -> BoxFuture<'a, Result<String, NoAnswer>>;

    /// The auth chain of an event, as JSON texts
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1event_authroomideventid>).
    fn event_auth<'a>(
        &'a self,
        asking: Asking<'a>,
        event_id: &'a EventId,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>>;

    /// The state before an event, by ids
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1state_idsroomid>).
    fn state_ids<'a>(
        &'a self,
        asking: Asking<'a>,
        event_id: &'a EventId,
    ) -> BoxFuture<'a, Result<StateIds, NoAnswer>>;

    /// The state before an event
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1stateroomid>).
    fn state<'a>(
        &'a self,
        asking: Asking<'a>,
        event_id: &'a EventId,
    ) -> BoxFuture<'a, Result<WholeState, NoAnswer>>;

    /// Events and those before them, as JSON texts
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1backfillroomid>).
    fn backfill<'a>(
        &'a self,
        asking: Asking<'a>,
        from: &'a [OwnedEventId],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>>;

    /// The last event that was sent before a time, in milliseconds since the Unix epoch
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid>).
    fn last_event<'a>(
        &'a self,
        asking: Asking<'a>,
        before_ts: i64,
    ) -> BoxFuture<'a, Result<OwnedEventId, NoAnswer>>;

    /// The signature of a policy server on an event
    /// (<https://spec.matrix.org/v1.19/server-server-api/#post_matrixpolicyv1sign>).
    fn policy_signature<'a>(
        &'a self,
        asking: Asking<'a>,
        event: &'a Pdu,
    ) -> BoxFuture<'a, Result<Signature, NoAnswer>>;
}

/// Who asks whom about which room.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// In whose name.
    pub tenant: &'a Tenant,
    /// Which server.
    pub at: &'a ServerName,
    /// About which room.
    pub room_id: &'a RoomId,
    /// Whether the server has just spoken: it lives, so that it is asked even if it did not answer lately.
    pub has_spoken: bool,
}

/// Which events are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingQuery {
    /// The latest that are here.
    pub earliest_events: Vec<OwnedEventId>,
    /// Those whose previous ones are missing.
    pub latest_events: Vec<OwnedEventId>,
    /// How many are wanted.
    pub limit: usize,
}

/// A state, by ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateIds {
    /// The state.
    pub pdu_ids: Vec<OwnedEventId>,
    /// Its auth chain.
    pub auth_chain_ids: Vec<OwnedEventId>,
}

/// A state, as JSON texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeState {
    /// The state.
    pub pdus: Vec<String>,
    /// Its auth chain.
    pub auth_chain: Vec<String>,
}

/// Why there is no answer that is of use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoAnswer {
    /// There is nobody to ask.
    #[error("there is no server to ask")]
    Nobody,
    /// The server that brought what is asked about cannot be spoken to now.
    #[error("the server that brought it cannot be asked now")]
    Unreached(#[source] Box<dyn Error + Send + Sync>),
    /// The server was not reached, or said no.
    #[error("the server gave no answer")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
    /// The server did not say what it was asked.
    #[error("the server's answer is of no use: {0}")]
    Useless(&'static str),
    /// It took too long.
    #[error("no answer in time")]
    TooSlow,
    /// More is missing than is fetched.
    #[error("more is missing than is fetched")]
    TooMuch,
    /// What came could not be looked at here; a fault of ours.
    #[error("what was fetched cannot be looked at")]
    Here(#[source] Box<ActionError>),
}

impl NoAnswer {
    /// Of two, the one that may be another at another time.
    pub(super) fn or(self, later: NoAnswer) -> NoAnswer {
        if matches!(self, NoAnswer::Unreached(_)) { self } else { later }
    }
}
