//! Rooms: one copy of each, however many tenants are in it.

use freehold_state_map::NodeId;
use ruma_common::{OwnedEventId, OwnedRoomAliasId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::number::{
    DeviceNumber, EventNumber, Position, RoomNumber, StateKeyNumber, TenantNumber, TimelineIndex, UserNumber,
};
use crate::table::{Table, TableId};

/// A room of which part of the state before a join could not be verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LackingRoomRow {
    /// The join.
    pub join: EventNumber,
    /// How often it was time to ask for the keys again, in vain.
    pub tries: u32,
    /// When they were asked for last, in milliseconds since the Unix epoch.
    pub tried_ts: i64,
    /// When they are asked for again, in milliseconds since the Unix epoch.
    pub retry_ts: i64,
}

/// An event that could not be verified, or is authorised by one that could not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LackingEventRow {
    /// The event in federation format, as another server told it.
    pub json: String,
    /// Whether it is said to be of the state before the join, and not only to authorise something of it.
    pub is_of_state: bool,
}

/// What never changes in a room.
pub const ROOMS: Table<RoomNumber, RoomRow> = Table::new(TableId(10), "rooms");
/// What an event is to the server, without its text.
pub const EVENTS: Table<EventNumber, EventRow> = Table::new(TableId(11), "events");
/// The event in federation format, as canonical JSON.
pub const EVENT_JSON: Table<EventNumber, String> = Table::new(TableId(12), "event_json");
/// The events of a room in the order in which clients see them.
pub const TIMELINE: Table<(RoomNumber, TimelineIndex), EventNumber> = Table::new(TableId(13), "timeline");
/// The newest state of a room.
pub const CURRENT_STATE: Table<RoomNumber, CurrentStateRow> = Table::new(TableId(14), "current_state");
/// Nodes of state maps, by their ids.
pub const STATE_NODES: Table<[u8; NodeId::LEN], Vec<u8>> = Table::new(TableId(15), "state_nodes");
/// The rooms of a user of a tenant.
pub const MEMBERSHIPS: Table<(UserNumber, RoomNumber), MembershipRow> =
    Table::new(TableId(16), "memberships");
/// The users of tenants in a room, by tenant.
pub const LOCAL_MEMBERS: Table<(RoomNumber, TenantNumber, UserNumber), Membership> =
    Table::new(TableId(17), "local_members");
/// The events of a room that relate to an event, in timeline order. The event may be one that is not here, or of another room.
pub const RELATIONS: Table<(RoomNumber, EventNumber, TimelineIndex), RelationRow> =
    Table::new(TableId(18), "relations");
/// The room of an alias.
pub const ALIASES: Table<OwnedRoomAliasId, AliasRow> = Table::new(TableId(19), "aliases");
/// The aliases of a room that belong to a tenant.
pub const ROOM_ALIASES: Table<(RoomNumber, TenantNumber, OwnedRoomAliasId), ()> =
    Table::new(TableId(20), "room_aliases");
/// The rooms that a tenant's directory lists.
pub const DIRECTORY: Table<(TenantNumber, RoomNumber), ()> = Table::new(TableId(21), "directory");
/// Which event a device's request with a transaction id made, so that a repetition makes none: by what was asked for, which is the
/// type of the event, or that an event be redacted.
pub const SENT: Table<(DeviceNumber, RoomNumber, String, String), EventNumber> =
    Table::new(TableId(22), "sent");
/// The state of a room from a position on, until the next one that is listed.
pub const STATE_HISTORY: Table<(RoomNumber, Position), [u8; NodeId::LEN]> =
    Table::new(TableId(23), "state_history");
/// Redactions that wait for the event they are about, which only one of their own room can be.
pub const WAITING_REDACTIONS: Table<(RoomNumber, OwnedEventId, EventNumber), ()> =
    Table::new(TableId(24), "waiting_redactions");
/// The servers with joined users in a room, those of tenants too.
pub const ROOM_SERVERS: Table<(RoomNumber, OwnedServerName), RoomServerRow> =
    Table::new(TableId(25), "room_servers");
/// The servers that once had joined users in a room and lost the last of them since: of what was said until then they may ask.
/// A server that came back has a row here, too.
pub const FORMER_SERVERS: Table<(RoomNumber, OwnedServerName), ()> =
    Table::new(TableId(37), "former_servers");
/// Events that a tenant sends to other servers, in order: the position of the batch that made each, and its place in
/// the batch.
pub const OUTGOING: Table<(TenantNumber, Position, u16), OutgoingRow> = Table::new(TableId(26), "outgoing");
/// Events of a room of which the state is not known here, by the accepted events that have them as `prev_events`.
pub const MISSING_PREVS: Table<(RoomNumber, OwnedEventId, EventNumber), ()> =
    Table::new(TableId(27), "missing_prevs");

/// Messages of which only what a redaction leaves is here, because nobody here keeps them any longer.
pub const FORGOTTEN: Table<EventNumber, ()> = Table::new(TableId(28), "forgotten");
/// When messages were last forgotten, in milliseconds since the Unix epoch, if their contents may still lie in files of the engine.
pub const UNERASED: Table<(), i64> = Table::new(TableId(29), "unerased");

/// Rooms that users of tenants joined, of whose members only a few are known yet.
pub const PARTIAL_ROOMS: Table<RoomNumber, PartialRoomRow> = Table::new(TableId(30), "partial_rooms");

/// Events of others that came while only a few members of their room were known, and are judged once all are: by `depth`, so
/// that each comes after those that it follows.
pub const HELD_EVENTS: Table<(RoomNumber, i64, OwnedEventId), HeldEventRow> =
    Table::new(TableId(31), "held_events");
/// How much is held of a room.
pub const HELD: Table<RoomNumber, HeldRow> = Table::new(TableId(32), "held");
/// Rooms that were joined when not everything of their state could be verified: nobody told the keys of some who had signed it.
pub const LACKING_ROOMS: Table<RoomNumber, LackingRoomRow> = Table::new(TableId(35), "lacking_rooms");
/// What they lack.
pub const LACKING_EVENTS: Table<(RoomNumber, OwnedEventId), LackingEventRow> =
    Table::new(TableId(36), "lacking_events");

/// The users of tenants in a room by when their membership last changed: one row for each row of [`LOCAL_MEMBERS`] whose
/// membership the room's own events gave.
pub const MEMBER_CHANGES: Table<(RoomNumber, Position, UserNumber), ()> =
    Table::new(TableId(38), "member_changes");
/// The rooms that users of a tenant created.
pub const TENANT_ROOMS: Table<(TenantNumber, RoomNumber), ()> = Table::new(TableId(39), "tenant_rooms");
/// Invites and knocks of users of tenants in rooms that nobody here is in.
pub const PENDING: Table<(UserNumber, RoomNumber), PendingRow> = Table::new(TableId(34), "pending");

/// What never changes in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomRow {
    /// The id of its room version.
    pub version: String,
    /// Its `m.room.create` event.
    pub create: EventNumber,
}

/// What an event is to the server, without its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    /// Its room.
    pub room: RoomNumber,
    /// Who sent it.
    pub sender: UserNumber,
    /// Its type and state key, if it is a state event.
    pub state_key: Option<StateKeyNumber>,
    /// Longest path of `auth_events` down to an event without any.
    pub generation: u64,
    /// Its `depth`.
    pub depth: i64,
    /// Its `origin_server_ts`, in milliseconds since the Unix epoch.
    pub origin_server_ts: i64,
    /// What the checks on receipt made of it.
    pub standing: Standing,
    /// Where it stands in the timeline, if clients see it there.
    pub timeline: Option<TimelineIndex>,
    /// For a membership event, the membership it gives.
    pub membership: Option<Membership>,
    /// The device and transaction id with which it was sent, if it was sent here with one.
    pub transaction: Option<(DeviceNumber, String)>,
    /// The redaction that took its content, if one did.
    pub redacted_by: Option<EventNumber>,
    /// Root of the state before it, if known.
    pub state_before: Option<[u8; NodeId::LEN]>,
    /// Its `prev_events`.
    pub prev_events: Vec<EventNumber>,
    /// Its `auth_events`.
    pub auth_events: Vec<EventNumber>,
}

/// What the checks on receipt made of an event
/// (<https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Allowed by its auth events, the state before it and the current state.
    Accepted,
    /// Not allowed by the current state: kept, not shown.
    SoftFailed,
    /// Not allowed by its auth events or the state before it.
    Rejected,
    /// Known only as part of somebody's auth chain or state.
    Outlier,
}

/// The newest state of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentStateRow {
    /// Root of the state map.
    pub state: [u8; NodeId::LEN],
    /// Events that no other event has as `prev_events` yet.
    pub forward_extremities: Vec<EventNumber>,
    /// How many users are joined.
    pub joined: u64,
    /// How many users are invited.
    pub invited: u64,
    /// The last event of the timeline.
    pub last: TimelineIndex,
}

/// A user's membership of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Membership {
    /// Invited.
    Invite,
    /// Joined.
    Join,
    /// Left, or was kicked.
    Leave,
    /// Banned.
    Ban,
    /// Asked to be let in.
    Knock,
}

/// How a user of a tenant stands to a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipRow {
    /// The membership now.
    pub membership: Membership,
    /// The tenant whose user it is.
    pub tenant: TenantNumber,
    /// The member event that says so.
    pub event: EventNumber,
    /// When it became so.
    pub since: Position,
    /// Until when the user was joined, if the user was and no longer is.
    pub joined_until: Option<TimelineIndex>,
    /// Whether the user forgot the room after leaving it.
    pub forgotten: bool,
    /// For an invite or knock: the stripped state that came with it, as JSON texts.
    pub stripped_state: Vec<String>,
}

/// An event that relates to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationRow {
    /// The event that relates.
    pub event: EventNumber,
    /// Its sender.
    pub sender: UserNumber,
    /// Its `rel_type`.
    pub rel_type: String,
    /// Its event type.
    pub event_type: String,
}

/// Where an alias leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasRow {
    /// The room.
    pub room: RoomNumber,
    /// Who made the alias.
    pub creator: OwnedUserId,
}

/// A server in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomServerRow {
    /// How many of its users are joined; never 0.
    pub joined: u64,
    /// When the first of them came in, since when there was always one.
    pub since: Position,
}

/// An event that a tenant sends to the servers in its room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingRow {
    /// Its room.
    pub room: RoomNumber,
    /// The event.
    pub event: EventNumber,
    /// When it was put here, in milliseconds since the Unix epoch, by our own clock: that of the event is its author's.
    pub queued_ts: i64,
    /// Who is told beside the servers in the room: the server of the user whom a membership is about, which may not be
    /// in it, or no longer.
    pub others: Vec<OwnedServerName>,
}

/// A room that a user of a tenant joined, of whose members only a few are known yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialRoomRow {
    /// The join. In the state before it members are missing, and nothing else is.
    pub join: EventNumber,
    /// The server that helped.
    pub resident: OwnedServerName,
    /// The servers that are in the room, as that one said, without those of tenants. Each has a user more in
    /// [`ROOM_SERVERS`] than is known by name.
    pub servers: Vec<OwnedServerName>,
    /// When that was, in milliseconds since the Unix epoch.
    pub since_ts: i64,
}

/// An event of another server that is not judged yet. It is well-formed and signed by whoever must sign it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldEventRow {
    /// The server that brought it, which may speak in the room.
    pub origin: OwnedServerName,
    /// The event in federation format, as canonical JSON.
    pub event: String,
}

/// How much is held of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRow {
    /// How many events.
    pub events: u64,
    /// How many bytes their texts have.
    pub bytes: u64,
    /// Servers of whose events some were too many, in the order of their names: they are asked for their newest event
    /// afterwards.
    pub turned_away: Vec<OwnedServerName>,
}

/// An invite or a knock of a user in a room that nobody here is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRow {
    /// The id of the room version.
    pub room_version: String,
    /// Servers that are in the room, as far as the user heard.
    pub servers: Vec<OwnedServerName>,
    /// Who invited; for a knock, the user.
    pub sender: OwnedUserId,
    /// The event in federation format, as canonical JSON.
    pub event: String,
}
