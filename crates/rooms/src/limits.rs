//! Everything in rooms that somebody else can grow, and how far.

/// How many events are received in one change at most.
pub const BATCH_MAX: usize = 500;

/// How many events that several brought are received in one change. While it is committed, the signatures of what comes next are
/// checked; with more at once, all would wait for the disk at the same time, and the processors for all.
pub(crate) const TOGETHER_MAX: usize = 200;

/// How many events of a list are checked before others have their turn.
pub(crate) const CHECKED_AT_ONCE: usize = 8;

/// How many rows of other events are read at once before a change of several events; where there are more, each event asks for
/// its own.
pub(crate) const READ_AHEAD_MAX: usize = 64;

/// How many forward extremities a room may have before an event of ours ties them up. Each one costs every server that makes the
/// next event a resolution.
pub(crate) const EXTREMITIES_MAX: usize = 10;

/// How many redactions wait for one event.
pub(crate) const WAITING_PER_TARGET_MAX: usize = 20;

/// How many redactions wait in one room, for whatever events, once it is looked.
pub(crate) const WAITING_PER_ROOM_MAX: usize = 1_000;

/// How many users of ours are asked whether they may send it.
pub(crate) const SPEAKERS_MAX: usize = 32;

/// How many missing events of a room are looked at; one with more is hostile, and gets its history in parts.
pub(crate) const MISSING_MAX: usize = 10_000;

/// How many events a server gets that asks for missing ones.
pub(crate) const MISSING_EVENTS_MAX: usize = 50;

/// How many events a server gets that asks for history.
pub(crate) const BACKFILL_MAX: usize = 100;

/// How many events are looked at for each one that a server may get: those that it has, and those that were rejected, are
/// walked over.
pub(crate) const STEPS_PER_EVENT: usize = 8;

/// How many events a server may name in a question.
pub(crate) const NAMED_MAX: usize = 100;

/// How many events an auth chain may have; the largest rooms have some ten thousand.
pub(crate) const AUTH_CHAIN_MAX: usize = 500_000;

/// How many events that a server may not see are passed over when the one nearest to a time is looked for.
pub(crate) const NEAREST_MAX: usize = 64;

/// How many bytes an answer to a join has at most. The greatest public rooms need some hundred megabytes.
pub(crate) const ANSWER_BYTES_MAX: u64 = 512 << 20;

/// How many events an answer to a join brings at most.
pub(crate) const ANSWER_EVENTS_MAX: usize = 400_000;

/// How many bytes one member or one event of an answer has at most. An event has 65,536 in canonical form; servers add
/// what is not part of it.
pub(crate) const ANSWER_PIECE_MAX: usize = 256 << 10;

/// How many events of an answer are read at a time, and roughly how many bytes.
pub(crate) const READ_EVENTS: usize = 256;
/// See [`READ_EVENTS`].
pub(crate) const READ_BYTES: usize = 1 << 20;

/// How many events of an answer are verified at a time, and taken in one change.
pub(crate) const TAKEN_AT_ONCE: usize = 1_000;

/// How many such changes are under way while the answer still comes: one is verified, another one written.
pub(crate) const TAKEN_AHEAD: usize = 2;

/// How many events wait for such a change before no more of the answer is read.
pub(crate) const WAITING_AHEAD_MAX: usize = 3_000;

/// How many events of the state of a room are kept, which nobody can verify yet, to be verified when the keys can be had; of more
/// the others are left out.
pub(crate) const LACKING_EVENTS_MAX: usize = 2_000;

/// How many bytes they have together.
pub(crate) const LACKING_BYTES_MAX: usize = 4 << 20;

/// After how many milliseconds their keys are asked for again; it doubles each time.
pub(crate) const LACKING_WAIT_MIN_MS: i64 = 60 * 1_000;

/// The longest such wait, in milliseconds.
pub(crate) const LACKING_WAIT_MAX_MS: i64 = 24 * 60 * 60 * 1_000;

/// How long nobody is asked again for the sake of somebody who speaks, in milliseconds.
pub(crate) const LACKING_PAUSE_MS: i64 = 10 * 1_000;

/// How often they are asked for before what they signed is given up: after some three weeks.
pub(crate) const LACKING_TRIES_MAX: u32 = 30;

/// How many events before which the state is made whole, when some of it comes late: the newest.
pub(crate) const RESTATED_MAX: usize = 5_000;

/// How many servers an answer names at most.
pub(crate) const ANSWER_SERVERS_MAX: usize = 100_000;

/// How many servers are asked to help with one membership at most.
pub(crate) const RESIDENTS_MAX: usize = 20;

/// How many of them are asked at the same time.
pub(crate) const RESIDENTS_AT_ONCE: usize = 3;

/// How many aliases of other servers a canonical alias event names for the first time: each has its server asked.
pub(crate) const FOREIGN_ALIASES_MAX: usize = 8;

/// How many rooms that are not known here a user is invited to at most, or knocks on.
pub(crate) const PENDING_MAX: usize = 1_000;

/// How many events of stripped state are kept of one invite or knock.
pub(crate) const STRIPPED_EVENTS_MAX: usize = 32;

/// How many bytes one of them has at most.
pub(crate) const STRIPPED_BYTES_MAX: usize = 65_536;

/// How many bytes of profiles of users of other servers are kept in memory, roughly.
pub(crate) const PROFILES_BYTES: usize = 4 << 20;

/// How many bytes one of them has at most, as JSON.
pub(crate) const PROFILE_BYTES_MAX: usize = 64 << 10;

/// For how long one of them is believed, in milliseconds.
pub(crate) const PROFILE_AGE_MAX_MS: i64 = 10 * 60 * 1_000;

/// How many rooms of a space are told of.
pub(crate) const SPACE_CHILDREN_MAX: usize = 200;

/// How many servers are read of each of them.
pub(crate) const SPACE_VIA_MAX: usize = 10;

/// How many events are held of a room while only a few of its members are known.
pub(crate) const HELD_EVENTS_MAX: u64 = 5_000;

/// How many bytes their texts have at most.
pub(crate) const HELD_BYTES_MAX: u64 = 16 << 20;

/// How many are held of all rooms together, roughly: rooms lack members for minutes, few of them at a time.
pub(crate) const HELD_EVENTS_IN_ALL_MAX: u64 = 100_000;

/// How many bytes those have at most, roughly.
pub(crate) const HELD_BYTES_IN_ALL_MAX: u64 = 256 << 20;

/// Of how many servers whose events were too many it is noted that they were.
pub(crate) const HELD_TURNED_AWAY_MAX: usize = 32;
