//! The Matrix PDU of every room version: format, hashes, ids, redaction.

mod build;
mod error;
mod field;
mod hash;
mod hashed;
mod pdu;
mod raw;
mod read;
mod redaction;
mod room_version;
mod template;
mod text;
mod view;

pub use build::{BuildError, EventReference, NewPdu, ProtoEvent};
pub use error::{Expected, FormatError};
pub use field::Field;
pub use hash::{EventHash, content_hash, event_id_of, reference_hash};
pub use hashed::{ContentHashVerdict, HashedPdu};
pub use pdu::{MAX_FIELD_LENGTH, MAX_PDU_BYTES, Pdu, ReferenceLimits};
pub use raw::RawPdu;
pub use redaction::redact;
pub use room_version::{LengthUnit, RoomVersion, UnknownRoomVersion};
pub use template::MembershipTemplate;
pub use view::{EventSource, EventView, server_name_of};
