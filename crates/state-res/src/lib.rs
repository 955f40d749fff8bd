//! State resolution of every Matrix room version over a caller's events, with an explanation.
//!
//! When a room's history forks, each fork has a state of its own; resolution makes one state of
//! them, the same on every server. [`resolve`] does so for the algorithms of
//! [room version 1](https://spec.matrix.org/v1.19/rooms/v1/#state-resolution),
//! [2 to 11](https://spec.matrix.org/v1.19/rooms/v2/#state-resolution) (called 2.0) and
//! [12](https://spec.matrix.org/v1.19/rooms/v12/#state-resolution) (2.1,
//! [MSC4297](https://github.com/matrix-org/matrix-spec-proposals/pull/4297)).
//!
//! # What it does not do
//!
//! - **No I/O.** Events come from an [`EventSource`](freehold_event::EventSource), a trait with one
//!   necessary method. A server with an asynchronous store answers from what it has fetched so far;
//!   what else is needed comes back as [`ResolveError::MissingEvents`], to be fetched before the
//!   next call. There is nothing to implement twice.
//! - **No event type.** Events are seen as [`EventView`](freehold_event::EventView)s, and named by
//!   whatever key the caller has.
//! - **No checks on receipt.** Signatures, hashes, and the rules on an event's own `auth_events`
//!   have been seen to before an event gets into a state. All events are of one room.
//! - **No unbounded work.** Every resolution has a [`ResolveBudget`].
//!
//! # Where to start
//!
//! [`PlainForks`] (maps of any kind) or [`SnapshotForks`] (persistent snapshots, by which a resolution
//! costs the conflict and not the room) say what to resolve; [`Resolution`] says what came of it, and
//! of every event that took part, why.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use freehold_event::{EventSource, EventView, RoomVersion};
//! use freehold_state_res::{PlainForks, ResolveBudget, resolve};
//!
//! /// A server's own events.
//! struct Event {
//!     id: &'static str,
//!     kind: (&'static str, &'static str),
//!     sender: &'static str,
//!     content: &'static str,
//!     ts: i64,
//!     auth_events: Vec<&'static str>,
//! }
//!
//! struct Store(BTreeMap<&'static str, Event>);
//!
//! impl EventSource for Store {
//!     type Id = &'static str;
//!
//!     fn event(&self, id: &&'static str) -> Option<EventView<'_, &'static str>> {
//!         let event = self.0.get(id)?;
//!         Some(EventView {
//!             id: &event.id,
//!             event_id: event.id,
//!             room_id: Some("!room:example.org"),
//!             event_type: event.kind.0,
//!             state_key: Some(event.kind.1),
//!             sender: event.sender,
//!             content: event.content,
//!             origin_server_ts: event.ts,
//!             depth: event.ts,
//!             prev_events: &[],
//!             auth_events: &event.auth_events,
//!             redacts: None,
//!             rejected: false,
//!         })
//!     }
//! }
//!
//! let alice = "@alice:example.org";
//! let event = |id, kind, content, ts, auth_events: &[&'static str]| {
//!     (id, Event { id, kind, sender: alice, content, ts, auth_events: auth_events.to_vec() })
//! };
//! let store = Store(BTreeMap::from([
//!     event("$create", ("m.room.create", ""), "{}", 0, &[]),
//!     event("$alice", ("m.room.member", alice), r#"{"membership":"join"}"#, 1, &["$create"]),
//!     event("$cats", ("m.room.topic", ""), r#"{"topic":"cats"}"#, 2, &["$create", "$alice"]),
//!     event("$dogs", ("m.room.topic", ""), r#"{"topic":"dogs"}"#, 3, &["$create", "$alice"]),
//! ]));
//!
//! let state = |topic| {
//!     BTreeMap::from([
//!         (("m.room.create", ""), "$create"),
//!         (("m.room.member", alice), "$alice"),
//!         (("m.room.topic", ""), topic),
//!     ])
//! };
//! let (ours, theirs) = (state("$cats"), state("$dogs"));
//! let forks = PlainForks::new([&ours, &theirs]);
//! let resolution = resolve(RoomVersion::V11, &forks, &store, &ResolveBudget::default())?;
//!
//! assert_eq!(*forks.state(&resolution)[&("m.room.topic", "")], "$dogs");
//! let tried: Vec<_> = resolution.mainline_order().map(|step| step.event_id).collect();
//! assert_eq!(tried, ["$cats", "$dogs"]);
//! # Ok::<(), freehold_state_res::ResolveError<&'static str>>(())
//! ```
//!
//! # What it costs
//!
//! Between the conflicted events and where their auth chains meet, every link is followed once.
//! Below that nothing is, with one exception: an event that only some forks' conflicted events cite
//! belongs to the auth difference, unless it is *unconflicted* state or in the auth chain of such. To know that, the unconflicted events of a greater [generation](generation_above) are
//! looked at, the greatest first, until the question is settled. Mostly the first few settle it; at
//! worst each is looked at once. Memory grows with what was looked at. When the conflicted events of all
//! forks cite the same events, which is mostly so, nothing below those is looked at.
//!
//! An event may be asked for more than once; [`EventSource`](freehold_event::EventSource) should answer
//! from memory. A source that keeps generations, numbers of keys and summaries of members beside its events
//! says so by the optional methods of that trait; then the texts of ordinary members are not read at
//! all, which in a large room is most of the time.

mod budget;
mod cited;
mod conflict;
mod difference;
mod error;
mod forks;
mod generation;
mod graph;
mod hashed_forks;
mod hashing;
mod key;
mod lookup;
mod mainline;
mod node_map;
mod plain_forks;
mod position_table;
mod power_order;
mod resolution;
mod resolve;
mod slot;
mod snapshot_forks;
mod standing;
mod subgraph;
mod v1;
mod v2;

pub use budget::{BudgetLine, ResolveBudget};
pub use error::ResolveError;
pub use forks::{ConflictedEntry, Forks, UnconflictedEntry};
pub use generation::{generation_above, generations};
pub use plain_forks::{PlainForks, StateKey};
pub use resolution::{Order, Outcome, Part, Pass, Resolution, Resolved, Step};
pub use resolve::{Algorithm, resolve, resolve_by};
pub use snapshot_forks::{SnapshotForks, StateKeys};
