//! The authorisation rules of every Matrix room version, as pure functions that give reasons.
//!
//! Whether an event is allowed depends on the event and on a state of the room:
//! [`check`] holds one against the other and answers `Ok` or a [`Denial`], which names the rule and
//! the event the rule looked at. The same function serves every occasion: the checks of a received
//! event, the check of one's own, and each step of state resolution.
//!
//! What this crate deliberately does not do: it fetches nothing ([`auth_types_needed`] says what to
//! fetch), verifies no event signatures (that comes before, in `freehold-signing`; the signatures
//! inside third-party invites are part of the rules and are verified here), computes no state, keeps
//! no clock and does no I/O. It never looks at the identifier of a room version: all differences
//! are switches of [`RoomVersion::rules`](freehold_event::RoomVersion::rules).
//!
//! The two types to start from are [`PreparedState`], the facts of a state read once and used for
//! many checks, and [`Denial`]. A server with caches of its own implements [`AuthState`] instead.
//!
//! ```
//! use freehold_event::{EventView, RoomVersion};
//! use freehold_event_auth::{AuthRule, PreparedState, check};
//!
//! /// An event of Alice's, with what does not matter here filled in.
//! fn event<'a>(
//!     id: &'a &'static str,
//!     event_type: &'a str,
//!     state_key: Option<&'a str>,
//!     content: &'a str,
//! ) -> EventView<'a, &'static str> {
//!     EventView {
//!         id,
//!         event_id: id,
//!         room_id: Some("!room:example.org"),
//!         event_type,
//!         state_key,
//!         sender: "@alice:example.org",
//!         content,
//!         origin_server_ts: 0,
//!         depth: 1,
//!         prev_events: &[],
//!         auth_events: &[],
//!         redacts: None,
//!         rejected: false,
//!     }
//! }
//!
//! let version = RoomVersion::V11;
//! let state = PreparedState::from_events(version, [
//!     event(&"$create", "m.room.create", Some(""), r#"{"room_version":"11"}"#),
//!     event(&"$alice", "m.room.member", Some("@alice:example.org"), r#"{"membership":"join"}"#),
//!     event(&"$levels", "m.room.power_levels", Some(""), r#"{"events":{"m.room.topic":60}}"#),
//! ]);
//!
//! let message = event(&"$hello", "m.room.message", None, r#"{"body":"hello"}"#);
//! assert_eq!(check(&message, &state, version), Ok(()));
//!
//! let topic = event(&"$topic", "m.room.topic", Some(""), r#"{"topic":"gardening"}"#);
//! let denial = check(&topic, &state, version).unwrap_err();
//! assert_eq!(denial.rule, AuthRule::RequiredPower);
//! assert_eq!(denial.rule.number(version).unwrap().to_string(), "7");
//! assert_eq!(denial.against.as_deref(), Some("$levels"));
//! ```
//!
//! # On receipt of an event
//!
//! | check | against | consequence of a failure |
//! |---|---|---|
//! | 1 format, 2 signatures | the event itself | dropped |
//! | 3 content hash | the event itself | redacted, then goes on |
//! | 4 [`check_auth_events`], [`check`] | its `auth_events` | rejected |
//! | 5 [`check`] | the state before it | rejected |
//! | 6 [`check`] | the current state | soft-failed |
//! | 7 [`PolicyServer::recommends`] | the room's policy server | soft-failed |
//!
//! [`ReceiptCheck`] is this table as a total function. [`AuthorizedPdu`] is the type of an event that
//! passed checks 1 to 5; there is no way to one around them.
//!
//! # Where the text is silent
//!
//! * A level that cannot be read (`"ban": "high"`) rejects the power-level event in every version,
//!   not only from 10 on, as in ruma-state-res; `notifications` matters from room version 6 on, and
//!   is not looked at before.
//! * Levels that no rule bounds (strings, and numbers before room version 6) are taken as the nearest
//!   64-bit integer; in Synapse they have no bound.
//! * Power levels that should have been rejected and are part of a state all the same count as far
//!   as they can be read; ruma-state-res rejects what would need the rest.
//! * Without an `m.room.join_rules` event, or without `join_rule` in it, the join rule is `invite`,
//!   as in Synapse; ruma-state-res rejects the join.
//! * A property of the power levels that is added or removed has its default as the value that is
//!   not there, as in ruma-state-res; in Synapse it has none.
//! * An absent `users` is in order, as everywhere.
//! * An `m.room.power_levels` event with another state key than `""`, or with none, is held against the
//!   room's power levels like every other, as in ruma-state-res; Synapse compares it with nothing.
//! * An `m.room.member` event whose state key is no user ID counts as one without state key; Synapse
//!   and ruma-state-res reject it too.
//! * `m.federate` closes a room only when it is the JSON value `false`.
//! * A `creator` that is `null` is none.
//! * A redaction whose event id has no domain is not of the domain of a target that has none either.

mod authorized;
mod check;
mod content;
mod denial;
mod level;
mod level_map;
mod member;
mod policy_server;
mod power_levels;
mod power_levels_rules;
mod prepared;
mod receipt;
mod room_create;
mod rule;
mod selection;
mod state;
mod third_party_invite;

pub use authorized::{AuthorizedPdu, Refusal, SoftFailure, UnauthorizedPdu, recheck};
pub use check::{Content, check, check_read};
pub use denial::Denial;
pub use level::{NamedLevel, Power};
pub use policy_server::PolicyServer;
pub use power_levels::PowerLevels;
pub use prepared::PreparedState;
pub use receipt::{Consequence, ReceiptCheck};
pub use room_create::RoomCreate;
pub use rule::{AuthRule, RuleNumber};
pub use selection::{AuthTypes, NamedAuthEvents, auth_types_needed, check_auth_events};
pub use state::{AuthState, Fact, JoinRule, ThirdPartyInvite};

/// What a member event says; see [`AuthState::membership`].
pub use freehold_event::Membership;
