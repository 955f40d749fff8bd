//! What can be wrong with the format of an event.

use freehold_canonical_json::ParseError;

use crate::{field::Field, room_version::LengthUnit};

/// Why bytes are no well-formed PDU of a room version.
///
/// The fault is always with the server that made the event (or that relayed it); the consequence
/// is that [the event is dropped](https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The bytes are not a JSON object, or not JSON that the room version allows.
    #[error("not a JSON object that the room version allows")]
    Json(#[from] ParseError),
    /// The event is larger than [`MAX_PDU_BYTES`](crate::MAX_PDU_BYTES).
    #[error("{bytes} bytes of canonical JSON are too many")]
    TooLarge {
        /// The size of the event as canonical JSON.
        bytes: usize,
    },
    /// A required field is not there.
    #[error("`{0}` is missing")]
    Missing(Field),
    /// A field has a value of a type that it must not have.
    #[error("`{field}` is not {expected}")]
    WrongType {
        /// The field.
        field: Field,
        /// What it must be.
        expected: Expected,
    },
    /// A string is longer than [`MAX_FIELD_LENGTH`](crate::MAX_FIELD_LENGTH).
    #[error("{length} {unit} in `{field}` are too many")]
    TooLong {
        /// The field.
        field: Field,
        /// How long it is.
        length: usize,
        /// What was counted.
        unit: LengthUnit,
    },
    /// A field that must hold an identifier does not.
    #[error("`{field}` does not hold an identifier of this room version: {value:?}")]
    NotAnIdentifier {
        /// The field.
        field: Field,
        /// What it holds, at most 255 bytes.
        value: String,
    },
    /// The depth is negative or beyond [`RoomVersion::depth_max`](crate::RoomVersion::depth_max).
    #[error("depth {0} is out of range")]
    DepthOutOfRange(i64),
    /// `auth_events` or `prev_events` names too many events.
    #[error("{count} events in `{field}` are more than {limit}")]
    TooManyReferences {
        /// Which of the two.
        field: Field,
        /// How many events it names.
        count: usize,
        /// How many it may name.
        limit: usize,
    },
    /// An item of `auth_events` or `prev_events` does not refer to an event in the way of the room
    /// version.
    #[error("item {index} of `{field}` is not a reference to an event")]
    NotAReference {
        /// Which of the two.
        field: Field,
        /// Which item, counted from 0.
        index: usize,
    },
}

/// The type that a field must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// A string.
    String,
    /// An integer of at most 64 bits.
    Integer,
    /// An array.
    Array,
    /// An object.
    Object,
    /// An object with a string under `sha256`.
    Hashes,
    /// An object of objects of strings.
    Signatures,
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::String => "a string",
            Self::Integer => "a 64-bit integer",
            Self::Array => "an array",
            Self::Object => "an object",
            Self::Hashes => "an object with a string under `sha256`",
            Self::Signatures => "an object of objects of strings",
        })
    }
}
