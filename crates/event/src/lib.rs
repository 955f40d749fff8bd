//! The Matrix PDU of every room version: format, hashes, ids, redaction.
//!
//! Servers exchange the events of a room as
//! [PDUs](https://spec.matrix.org/v1.19/server-server-api/#pdus). What a PDU looks like, what it is
//! called, and what of it survives a redaction depends on the [version of its
//! room](https://spec.matrix.org/v1.19/rooms/); all of that is here, for versions 1 to 12, as one
//! table of switches ([`RoomVersion`]).
//!
//! # Stages
//!
//! What was checked about an event is its type. Each one has a single guarded way in:
//!
//! | type | what is known |
//! |---|---|
//! | [`RawPdu`] | nothing; it only hints at which room version to look up |
//! | [`Pdu`] | it is well-formed and within every limit; its id is known |
//! | [`HashedPdu`] | its content is what its content hash covers, or was redacted |
//!
//! The next ones (signed, authorised) belong to `freehold-signing` and `freehold-event-auth`.
//! New events start as a [`ProtoEvent`] and become a [`NewPdu`], which is a type apart so that
//! nothing received is ever signed as if it had been made here.
//!
//! # What is received is what is kept
//!
//! A [`Pdu`] is its own canonical JSON text plus where things lie in it. Members that nobody knows
//! are stored, hashed and forwarded like the rest, and an event that could not be serialised again
//! cannot exist. Hashes and the bytes that signatures cover are slices of that text.
//!
//! # What this crate deliberately does not do
//!
//! It checks no signature, looks no event up, knows nothing of authorisation, and does not judge
//! what `content` says. It has no clock and no randomness: timestamps, and the event ids that room
//! versions 1 and 2 have authors choose, come from the caller.
//!
//! # Where to start
//!
//! With [`Pdu`] for events that arrive and [`ProtoEvent`] for events that are made. Authorisation
//! rules and state resolution see neither, but an [`EventView`] that any server can build from
//! events of its own.
//!
//! ```
//! use freehold_event::{ContentHashVerdict, RawPdu, RoomVersion};
//!
//! let raw = RawPdu::new(br#"{
//!     "auth_events": [], "content": {"room_version": "12"}, "depth": 1,
//!     "hashes": {"sha256": "/Is2LF+XgGdfCVjcqU13VI3gndrzRjw5RD80bhkKxcI"},
//!     "origin_server_ts": 1700000000000, "prev_events": [], "sender": "@al:example.org",
//!     "signatures": {}, "state_key": "", "type": "m.room.create"
//! }"#);
//! // The version of the room comes from the store, or from the create event itself.
//! let version = raw.created_room_version().unwrap()?;
//! assert_eq!(version, RoomVersion::V12);
//!
//! let pdu = raw.parse(version)?;
//! assert_eq!(pdu.event_id(), "$ta3_jqdLWFbuw1EZtD-ORYyPIJmO32KzfPDlgxbv8f0");
//! assert_eq!(pdu.room_id(), "!ta3_jqdLWFbuw1EZtD-ORYyPIJmO32KzfPDlgxbv8f0");
//!
//! let hashed = pdu.check_content_hash();
//! assert_eq!(hashed.verdict(), ContentHashVerdict::Intact);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod error;
mod field;
mod hash;
mod hashed;
mod membership;
mod pdu;
mod raw;
mod read;
mod redaction;
mod room_version;
mod template;
mod text;
mod view;

/// The identifiers, in the version in which this crate takes and gives them.
pub use ruma_common;

pub use build::{BuildError, EventReference, NewPdu, ProtoEvent};
pub use error::{Expected, FormatError};
pub use field::Field;
pub use hash::{EventHash, content_hash, event_id_of, reference_hash};
pub use hashed::{ContentHashVerdict, HashedPdu};
pub use membership::{MemberSummary, Membership};
pub use pdu::{MAX_FIELD_LENGTH, MAX_PDU_BYTES, Pdu, ReferenceLimits};
pub use raw::RawPdu;
pub use redaction::redact;
pub use room_version::{LengthUnit, RoomVersion, UnknownRoomVersion};
pub use template::MembershipTemplate;
pub use view::{EventSource, EventView, server_name_of, server_name_of_user};
