//! Content hash, reference hash and event id.

use std::fmt;

use base64::{
    Engine, alphabet,
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig,
        general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
    },
};
use freehold_canonical_json::{Object, Sink, Value};
use ruma_common::room_version_rules::EventIdFormatVersion;
use sha2::{Digest, Sha256};

use crate::{redaction::redact, room_version::RoomVersion};

/// A SHA-256 hash of an event: its content hash or its reference hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventHash([u8; 32]);

impl EventHash {
    /// The 32 bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash as [unpadded Base64](https://spec.matrix.org/v1.19/appendices/#unpadded-base64),
    /// the form under `hashes.sha256`.
    pub fn to_base64(&self) -> String {
        STANDARD_NO_PAD.encode(self.0)
    }

    /// The hash as [URL-safe unpadded
    /// Base64](https://spec.matrix.org/v1.19/appendices/#url-safe-unpadded-base64).
    pub fn to_url_safe_base64(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads a hash as tolerantly as the reference implementation does: either alphabet, with or
    /// without padding, whatever the bits are that the last character has to spare.
    ///
    /// `None` when the text is not 32 bytes.
    pub fn from_base64(text: &str) -> Option<Self> {
        let engine = if text.contains(['-', '_']) { TOLERANT_URL_SAFE } else { TOLERANT_STANDARD };
        let mut bytes = [0; 33];
        let length = engine.decode_slice(text, &mut bytes).ok()?;
        let hash: &[u8; 32] = bytes.get(..length)?.try_into().ok()?;
        Some(Self(*hash))
    }
}

impl From<[u8; 32]> for EventHash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventHash").field(&self.to_base64()).finish()
    }
}

/// The hash that is to stand under `hashes.sha256`: the one that covers everything an event says.
///
/// > First, any existing `unsigned`, `signatures`, and `hashes` properties are removed. The
/// > resulting object is then encoded as Canonical JSON, and the JSON is hashed using SHA-256.
///
/// ([Calculating the content hash for an
/// event](https://spec.matrix.org/v1.19/server-server-api/#calculating-the-content-hash-for-an-event))
pub fn content_hash(event: &Object<'_>) -> EventHash {
    let mut sink = HashSink::default();
    event.write_canonical_if(in_content_hash, &mut sink);
    sink.finish()
}

/// The hash that identifies an event, the same before and after redaction.
///
/// > 1. The event is put through the redaction algorithm.
/// > 2. The `signatures` and `unsigned` properties are removed from the event, if present.
/// > 3. The event is converted into Canonical JSON.
/// > 4. A sha256 hash is calculated on the resulting JSON object.
///
/// ([Calculating the reference hash for an
/// event](https://spec.matrix.org/v1.19/server-server-api/#calculating-the-reference-hash-for-an-event))
///
/// In room versions that compute event ids the object must be in the federation format: an
/// `event_id` added for local use would be hashed, because redaction keeps it.
pub fn reference_hash(event: &Object<'_>, version: &RoomVersion) -> EventHash {
    let mut sink = HashSink::default();
    redact(event, version).write_canonical_if(|key| key != "signatures", &mut sink);
    sink.finish()
}

/// The id of an event: computed from its reference hash, or as given in the room versions where
/// events carry it.
///
/// `None` when the room version wants an `event_id` and there is none.
pub fn event_id_of(event: &Object<'_>, version: &RoomVersion) -> Option<String> {
    match HashedId::of(version) {
        Some(alphabet) => Some(alphabet.event_id(&reference_hash(event, version))),
        None => event.get("event_id").and_then(Value::as_str).map(str::to_owned),
    }
}

/// How a room version spells the event ids that it computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HashedId {
    /// Room version 3: the standard alphabet.
    Standard,
    /// Room versions 4 and later.
    UrlSafe,
}

impl HashedId {
    /// `None` when events carry their id.
    pub(crate) fn of(version: &RoomVersion) -> Option<Self> {
        match version.rules().event_id_format {
            EventIdFormatVersion::V1 => None,
            EventIdFormatVersion::V2 => Some(Self::Standard),
            // The enum is open, but its third format is the last one there is.
            _ => Some(Self::UrlSafe),
        }
    }

    pub(crate) fn event_id(self, reference_hash: &EventHash) -> String {
        let mut id = String::with_capacity(44);
        id.push('$');
        match self {
            Self::Standard => STANDARD_NO_PAD.encode_string(reference_hash.0, &mut id),
            Self::UrlSafe => URL_SAFE_NO_PAD.encode_string(reference_hash.0, &mut id),
        }
        id
    }
}

/// SHA-256 as a place to write canonical JSON to.
#[derive(Default)]
pub(crate) struct HashSink(Sha256);

impl HashSink {
    pub(crate) fn finish(self) -> EventHash {
        EventHash(self.0.finalize().into())
    }
}

impl Sink for HashSink {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

pub(crate) fn hash_bytes(bytes: &[u8]) -> EventHash {
    EventHash(Sha256::digest(bytes).into())
}

/// Whether a top-level member counts for the content hash.
pub(crate) fn in_content_hash(key: &str) -> bool {
    !matches!(key, "unsigned" | "signatures" | "hashes")
}

const TOLERANT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const TOLERANT_STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, TOLERANT);
const TOLERANT_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, TOLERANT);
