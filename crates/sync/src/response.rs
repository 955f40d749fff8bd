//! What a sync answers (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync>).
//!
//! Events are JSON texts that were made for the client already; these types only put them in their places.

use std::collections::BTreeMap;

use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::Serialize;
use serde_json::value::RawValue;

/// An event as it is sent to the client.
pub type EventJson = Box<RawValue>;

/// The whole answer.
#[derive(Debug, Default, Serialize)]
pub struct SyncResponse {
    /// Where the next sync goes on.
    pub next_batch: String,
    /// News of rooms.
    #[serde(skip_serializing_if = "RoomsUpdate::is_empty")]
    pub rooms: RoomsUpdate,
    /// News of the user's own data.
    #[serde(skip_serializing_if = "EventList::is_empty")]
    pub account_data: EventList,
    /// Who came online, or went.
    #[serde(skip_serializing_if = "EventList::is_empty")]
    pub presence: EventList,
    /// Messages for this device.
    #[serde(skip_serializing_if = "EventList::is_empty")]
    pub to_device: EventList,
    /// Whose devices changed.
    #[serde(skip_serializing_if = "DeviceLists::is_empty")]
    pub device_lists: DeviceLists,
    /// How many one-time keys of this device the server has.
    pub device_one_time_keys_count: BTreeMap<String, u64>,
    /// For which algorithms the server has a fallback key that was not used.
    pub device_unused_fallback_key_types: Vec<String>,
}

impl SyncResponse {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
            && self.account_data.is_empty()
            && self.presence.is_empty()
            && self.to_device.is_empty()
            && self.device_lists.is_empty()
    }
}

/// News of rooms, by how the user stands to them.
#[derive(Debug, Default, Serialize)]
pub struct RoomsUpdate {
    /// Joined.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub join: BTreeMap<OwnedRoomId, JoinedRoom>,
    /// Invited.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub invite: BTreeMap<OwnedRoomId, InvitedRoom>,
    /// Knocking.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub knock: BTreeMap<OwnedRoomId, KnockedRoom>,
    /// Left or banned.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub leave: BTreeMap<OwnedRoomId, LeftRoom>,
}

impl RoomsUpdate {
    fn is_empty(&self) -> bool {
        self.join.is_empty() && self.invite.is_empty() && self.knock.is_empty() && self.leave.is_empty()
    }

    /// Takes in the news of other rooms.
    pub(crate) fn extend(&mut self, others: RoomsUpdate) {
        self.join.extend(others.join);
        self.invite.extend(others.invite);
        self.knock.extend(others.knock);
        self.leave.extend(others.leave);
    }
}

/// A list of events.
#[derive(Debug, Default, Serialize)]
pub struct EventList {
    /// The events.
    pub events: Vec<EventJson>,
}

impl EventList {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl From<Vec<EventJson>> for EventList {
    fn from(events: Vec<EventJson>) -> Self {
        EventList { events }
    }
}

/// The state of a room that comes with a timeline: one of three fields, as the client asked.
#[derive(Debug, Default, Serialize)]
pub struct StateUpdate {
    /// Up to the start of the timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<EventList>,
    /// Up to the end of the timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_after: Option<EventList>,
    /// The same under the name of MSC4222, by which clients knew it first.
    #[serde(rename = "org.matrix.msc4222.state_after", skip_serializing_if = "Option::is_none")]
    pub unstable_state_after: Option<EventList>,
}

impl StateUpdate {
    fn has_events(&self) -> bool {
        [&self.state, &self.state_after, &self.unstable_state_after]
            .into_iter()
            .flatten()
            .any(|events| !events.is_empty())
    }
}

/// News of a room that the user is in.
#[derive(Debug, Default, Serialize)]
pub struct JoinedRoom {
    /// What the client needs to name the room.
    #[serde(skip_serializing_if = "Summary::is_empty")]
    pub summary: Summary,
    /// The state.
    #[serde(flatten)]
    pub state: StateUpdate,
    /// The events.
    pub timeline: Timeline,
    /// Receipts and typing.
    #[serde(skip_serializing_if = "EventList::is_empty")]
    pub ephemeral: EventList,
    /// The user's own data for the room.
    #[serde(skip_serializing_if = "EventList::is_empty")]
    pub account_data: EventList,
    /// What the user has not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread_notifications: Option<UnreadCounts>,
    /// The same by thread.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unread_thread_notifications: BTreeMap<OwnedEventId, UnreadCounts>,
}

impl JoinedRoom {
    /// Whether there is nothing to tell; counts alone are news only beside something else.
    pub fn is_empty(&self) -> bool {
        self.timeline.events.is_empty()
            && !self.timeline.limited
            && !self.state.has_events()
            && self.ephemeral.is_empty()
            && self.account_data.is_empty()
    }
}

/// Events of a room in order.
#[derive(Debug, Default, Serialize)]
pub struct Timeline {
    /// The events.
    pub events: Vec<EventJson>,
    /// Whether there are more between the last sync and these.
    pub limited: bool,
    /// Where `/messages` goes on backwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_batch: Option<String>,
}

/// What a client needs to name a room without knowing all members.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Up to five members other than the user.
    #[serde(rename = "m.heroes", skip_serializing_if = "Option::is_none")]
    pub heroes: Option<Vec<OwnedUserId>>,
    /// How many are joined.
    #[serde(rename = "m.joined_member_count", skip_serializing_if = "Option::is_none")]
    pub joined_member_count: Option<u64>,
    /// How many are invited.
    #[serde(rename = "m.invited_member_count", skip_serializing_if = "Option::is_none")]
    pub invited_member_count: Option<u64>,
}

impl Summary {
    fn is_empty(&self) -> bool {
        self == &Summary::default()
    }
}

/// Counts of what the user has not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnreadCounts {
    /// Events that notify.
    pub notification_count: u64,
    /// Events that notify and are highlighted.
    pub highlight_count: u64,
}

/// A room to which the user is invited.
#[derive(Debug, Default, Serialize)]
pub struct InvitedRoom {
    /// Stripped state.
    pub invite_state: EventList,
}

/// A room into which the user asked to be let.
#[derive(Debug, Default, Serialize)]
pub struct KnockedRoom {
    /// Stripped state.
    pub knock_state: EventList,
}

/// A room that the user left.
#[derive(Debug, Default, Serialize)]
pub struct LeftRoom {
    /// The state.
    #[serde(flatten)]
    pub state: StateUpdate,
    /// The events up to the leave.
    pub timeline: Timeline,
    /// The user's own data for the room.
    #[serde(skip_serializing_if = "EventList::is_empty")]
    pub account_data: EventList,
}

/// Whose devices changed, and with whom no encrypted room is shared any more.
#[derive(Debug, Default, Serialize)]
pub struct DeviceLists {
    /// Devices or keys changed, or a room is shared now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<OwnedUserId>,
    /// No room is shared any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<OwnedUserId>,
}

impl DeviceLists {
    fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.left.is_empty()
    }
}
