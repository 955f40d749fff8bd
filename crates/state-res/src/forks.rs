//! The states to resolve.

use std::borrow::Borrow;

use freehold_state_map::LoadError;

/// The states to resolve, as the resolver sees them.
///
/// [`PlainForks`](crate::PlainForks) implements it over maps of any kind and
/// [`SnapshotForks`](crate::SnapshotForks) over [`StateMap`](freehold_state_map::StateMap)s. A
/// server with another kind of snapshot implements it itself: whoever can tell what *differs*
/// without reading everything gets resolutions that cost the conflict and not the room.
///
/// # Contract
///
/// A key `(event_type, state_key)` that has the same event in every fork is *unconflicted*; every
/// other key is *conflicted*, also when some fork lacks it. The order in which things are
/// enumerated has no influence on the resolved state.
pub trait Forks<Id> {
    /// How an event is named: `Id` itself, or a reference to one.
    type Event: Borrow<Id>;

    /// Number of forks.
    fn count(&self) -> usize;

    /// The entries of the conflicted keys: one item for each fork that has the key, the items of
    /// one key together.
    fn conflicted(&self) -> impl Iterator<Item = ConflictedEntry<Self::Event>>;

    /// The event of an unconflicted key; `None` for a conflicted key and for one that no fork has.
    ///
    /// # Errors
    ///
    /// [`LoadError`] when a snapshot cannot be read.
    fn unconflicted(&self, event_type: &str, state_key: &str) -> Result<Option<Self::Event>, LoadError>;

    /// The events of the unconflicted keys, best those with the greatest generation first. Those
    /// whose generation is known and not greater than `above` may be left out.
    ///
    /// Read only as far as needed, to find out which events are in the auth chain of every fork.
    fn unconflicted_above(
        &self,
        above: u64,
    ) -> impl Iterator<Item = Result<UnconflictedEntry<Self::Event>, LoadError>>;
}

/// What one fork has for one conflicted key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConflictedEntry<Event> {
    /// Number of the key, equal for the entries of one key.
    pub key: usize,
    /// Number of the fork, counted from 0.
    pub fork: usize,
    /// The event.
    pub event: Event,
    /// Its generation, when the snapshot keeps it (see
    /// [`EventSource::generation`](freehold_event::EventSource::generation)).
    pub generation: Option<u64>,
}

/// What all forks have for one unconflicted key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnconflictedEntry<Event> {
    /// The event.
    pub event: Event,
    /// Its generation, when the snapshot keeps it.
    pub generation: Option<u64>,
}
