//! What the events of one change bring beside themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_room::Event;
use freehold_state_map::NodeId;
use freehold_store::tables::rooms::{EventRow, Membership};
use freehold_store::{EventNumber, TenantNumber, TimelineIndex, UserNumber};
use ruma_common::{OwnedEventId, OwnedUserId};

use crate::ingest::NamedBy;
use crate::partial::Completion;
use crate::send::Transaction;
use crate::servers::ServerCounts;

/// What staged events bring beside themselves.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// The request with which the last staged event was sent.
    pub(crate) transaction: Option<Transaction>,
    /// Events redacted, by what; with the text that is left of them.
    pub(crate) redacted: Vec<(EventNumber, EventNumber)>,
    /// How many more are joined and invited than before.
    pub(crate) counts: Counts,
    /// Outliers that are outliers no longer.
    pub(crate) settled: Vec<EventNumber>,
    /// The places in the timeline of staged events that are history.
    pub(crate) history: BTreeMap<u64, TimelineIndex>,
    /// Events that clients are not shown yet: redactions of what is not here.
    pub(crate) withheld: BTreeSet<u64>,
    /// Events that were withheld and are shown now.
    pub(crate) released: Vec<(EventNumber, EventRow)>,
    /// Which those are, once they are written.
    pub(crate) shown_now: Vec<EventNumber>,
    /// Staged events that were redacted before they came, by what.
    pub(crate) redacted_on_arrival: BTreeMap<u64, EventNumber>,
    /// How many more users of each server are joined than before.
    pub(crate) servers: ServerCounts,
    /// Which staged events a tenant sends to other servers.
    pub(crate) outgoing: BTreeMap<u64, TenantNumber>,
    /// The users of the events, by id.
    pub(crate) users: BTreeMap<OwnedUserId, UserNumber>,
    /// The users of tenants who come in.
    pub(crate) came: BTreeSet<(TenantNumber, UserNumber)>,
    /// Whether some of them did, once that is written.
    pub(crate) some_came: bool,
    /// Which events are staged.
    pub(crate) staged_ids: BTreeSet<OwnedEventId>,
    /// The redactions among them.
    pub(crate) redactions: Vec<Arc<Event>>,
    /// Staged events that follow missing ones, by these.
    pub(crate) missing_prevs: NamedBy,
    /// What was read at once for all events of the change.
    pub(crate) read_ahead: Option<ReadAhead>,
    /// Events that were here, and the state before which is another now.
    pub(crate) restated: Vec<EventNumber>,
    /// Nodes of states in the batch that no staged event brings.
    pub(crate) nodes: Vec<NodeId>,
    /// What else a room brings that becomes whole.
    pub(crate) completion: Option<Completion>,
    /// Whose membership events are, by their numbers, as far as that is known without reading them.
    pub(crate) members: BTreeMap<u64, KnownMember>,
}

/// What the store says of events that name others, read at once for all events of a change.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    /// The events that follow missing ones, by these.
    pub(crate) missing_prevs: NamedBy,
    /// The redactions that wait for what they redact, by that.
    pub(crate) waiting_redactions: NamedBy,
}

/// Whose membership an event is.
#[derive(Clone, Debug)]
pub(crate) struct KnownMember {
    pub(crate) event: EventNumber,
    /// The user, if the state key is one.
    pub(crate) user_id: Option<OwnedUserId>,
    pub(crate) membership: Option<Membership>,
}

/// By how much the numbers of members change.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) joined: i64,
    pub(crate) invited: i64,
}
