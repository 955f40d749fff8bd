//! How much is known of who is online, and how much of it is told.

/// After this time without doing anything, somebody online is `unavailable`, in milliseconds: "e.g. 5 minutes"
/// (<https://spec.matrix.org/v1.19/client-server-api/#presence>).
pub(super) const IDLE_MS: i64 = 5 * 60 * 1000;
/// For how long somebody is connected after the end of a sync, in milliseconds: as long as clients need to begin the next.
pub(super) const GRACE_MS: i64 = 30 * 1000;
/// For how long somebody is connected who says so and does not sync, in milliseconds.
pub(super) const SAID_MS: i64 = 60 * 1000;
/// For how long another server is believed, in milliseconds. Others than ours repeat it within 25 minutes.
pub(super) const BELIEVED_MS: i64 = 30 * 60 * 1000;
/// After this time other servers are told anew of somebody who is online, in milliseconds.
pub(super) const REPEATED_MS: i64 = 25 * 60 * 1000;
/// The time between two changes of one user that are told, in milliseconds, at least.
pub(super) const PAUSE_MS: i64 = 5 * 1000;
/// Of how many users it is known whether they are online: some 30 MiB. Beyond it, those who were not connected for the
/// longest time are forgotten.
pub(super) const USERS_MAX: usize = 65_536;
/// How many users are told of in one round. The others have their turn in the next.
pub(super) const TOLD_TOGETHER: usize = 500;
/// How many users of other servers are told of in one round: their rooms have to be looked for.
pub(super) const HEARD_TOGETHER: usize = 50;
/// How many changes of its users a server may tell of between two rounds.
pub(super) const HEARD_OF_SERVER: usize = 100;
/// Rooms with more joined members are left out.
pub(super) const ROOM_MEMBERS_MAX: u64 = 250;
/// How many rooms of a user are looked at.
pub(super) const ROOMS_MAX: usize = 200;
/// In how many rooms of a tenant's users it is looked for a user of another server.
pub(super) const ROOMS_SEARCHED: usize = 300;
/// How many users one answer tells of.
pub(super) const ANSWERED_MAX: usize = 300;
/// How many changes wait for one user. Beyond it, the user is told of everybody anew.
pub(super) const NEWS_MAX: usize = 1_000;
/// Longest status message in bytes that is told on.
pub(super) const STATUS_BYTES_MAX: usize = 512;
/// Of how many devices of a user it is known whether they are connected; of more, those that were so last.
pub(super) const DEVICES_MAX: usize = 16;
/// How many users who are online are told of to servers that came into their rooms, in one round.
pub(super) const TOLD_TO_NEWCOMERS: usize = 1_000;
