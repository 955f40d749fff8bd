//! Everything in rooms that somebody else can grow, and how far.

/// How many events are received in one change at most.
pub const BATCH_MAX: usize = 500;

/// How many forward extremities a room may have before an event of ours ties them up. Each one costs every server that makes the
/// next event a resolution.
pub(crate) const EXTREMITIES_MAX: usize = 10;

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
