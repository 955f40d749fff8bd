//! An event as the machine holds it.

use freehold_event::{EventView, Pdu};
use freehold_state_map::NodeId;

/// An event of a room, with the numbers under which the server knows it and its neighbours.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its own number.
    pub number: u64,
    /// The event.
    pub pdu: Pdu,
    /// The numbers of its `prev_events`, in their order.
    pub prev_events: Vec<u64>,
    /// The numbers of its `auth_events`, in their order.
    pub auth_events: Vec<u64>,
    /// Longest path of `auth_events` down to an event without any.
    pub generation: u64,
    /// What the checks on receipt made of it.
    pub standing: Standing,
    /// Root of the state before it; `None` for an outlier.
    pub state_before: Option<NodeId>,
}

/// What the checks on receipt made of an event
/// (<https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Allowed by its auth events, the state before it and the current state.
    Accepted,
    /// Not allowed by the current state: kept, not shown.
    SoftFailed,
    /// Not allowed by its auth events or by the state before it.
    Rejected,
    /// Known only as part of somebody's auth chain or state.
    Outlier,
}

impl Event {
    /// What authorisation rules and state resolution see of it.
    pub fn view(&self) -> EventView<'_, u64> {
        let view = self.pdu.view();
        EventView {
            rejected: self.standing == Standing::Rejected,
            ..view.with_ids(&self.number, &self.prev_events, &self.auth_events)
        }
    }
}
