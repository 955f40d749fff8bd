//! The well-formed PDU.

use std::sync::Arc;

use freehold_canonical_json::{CanonicalMember, CanonicalObject, RawValue};
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};

use crate::{
    error::FormatError,
    field::{Field, FieldMap},
    hash::{EventHash, HashSink, hash_bytes, in_content_hash},
    read::{self, Reader},
    redaction::{Redaction, write_redacted},
    room_version::RoomVersion,
    text::{Span, Text},
    view::EventView,
};

/// The greatest size of an event, in bytes of canonical JSON in the federation format with
/// signatures ([size limits](https://spec.matrix.org/v1.19/client-server-api/#size-limits)).
pub const MAX_PDU_BYTES: usize = 65_536;

/// The greatest length of `type`, `state_key` and every identifier, see [`LengthUnit`] for what
/// is counted ([size limits](https://spec.matrix.org/v1.19/client-server-api/#size-limits)).
///
/// [`LengthUnit`]: crate::LengthUnit
pub const MAX_FIELD_LENGTH: usize = 255;

/// How many events the references of a PDU may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceLimits {
    /// The greatest number of `auth_events`.
    pub auth_events: usize,
    /// The greatest number of `prev_events`.
    pub prev_events: usize,
}

impl ReferenceLimits {
    /// The limits of the [event format](https://spec.matrix.org/v1.19/rooms/v11/#event-format):
    /// 10 and 20.
    pub const STRICT: Self = Self { auth_events: 10, prev_events: 20 };

    /// No limits but the size of the event, for [answers to
    /// `/backfill`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1backfillroomid)
    /// and nothing else:
    ///
    /// > Though the PDU definitions require that `prev_events` and `auth_events` be limited in
    /// > number, the response of backfill MUST NOT be validated on these specific restrictions.
    pub const BACKFILL: Self = Self { auth_events: usize::MAX, prev_events: usize::MAX };
}

/// A persistent data unit (an event in the federation format) that has the format of its room
/// version and is within every limit. Nothing is known yet about its hashes and signatures.
///
/// It is its own canonical JSON text plus where things lie in it. What was received is what is
/// kept, members without a meaning included, so what was accepted can always be sent on. Room
/// versions 1–5 allow numbers that canonical JSON does not have; these are kept as the reference
/// implementation prints them.
///
/// # Example
///
/// ```
/// use freehold_event::{Pdu, RoomVersion};
///
/// let pdu = Pdu::parse(br#"{
///     "type": "m.room.message", "room_id": "!room:example.org", "sender": "@al:example.org",
///     "content": {"body": "hi"}, "depth": 7, "origin_server_ts": 1700000000000,
///     "prev_events": ["$previous"], "auth_events": ["$create"],
///     "hashes": {"sha256": "wrong"}, "signatures": {}, "org.example.unknown": [null]
/// }"#, RoomVersion::V11)?;
/// assert_eq!(pdu.content(), r#"{"body":"hi"}"#);
/// assert_eq!(pdu.event_id().as_str().len(), 44);
/// assert!(pdu.canonical_json().contains("org.example.unknown"));
/// # Ok::<(), freehold_event::FormatError>(())
/// ```
#[derive(Clone)]
pub struct Pdu(Arc<Read>);

/// An event as it was read. On its way it is handed on and kept in many places, and never changes.
struct Read {
    version: &'static RoomVersion,
    /// INVARIANT: at most [`MAX_PDU_BYTES`].
    object: CanonicalObject,
    /// What signatures and the reference hash cover.
    signed: Vec<u8>,
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    parts: Parts,
}

/// What the format checks read from the text.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) event_type: Text,
    pub(crate) state_key: Option<Text>,
    pub(crate) sender: OwnedUserId,
    /// As it stands in the event.
    pub(crate) room_id: Option<Text>,
    /// Taken out once it is checked.
    pub(crate) given_event_id: Option<OwnedEventId>,
    pub(crate) content: Span,
    pub(crate) hashes: Span,
    /// What stands under `hashes.sha256`.
    pub(crate) content_hash: Text,
    pub(crate) signatures: Span,
    pub(crate) origin_server_ts: i64,
    pub(crate) depth: i64,
    pub(crate) prev_events: Vec<OwnedEventId>,
    pub(crate) auth_events: Vec<OwnedEventId>,
    pub(crate) redacts: Option<Text>,
    pub(crate) over_byte_limit: Option<Field>,
}

impl Pdu {
    /// Parses an event and checks it against the event format of the room version and all limits.
    ///
    /// # Errors
    ///
    /// The event is not valid and must be dropped, see [check 1 on
    /// receipt](https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu).
    pub fn parse(json: &[u8], version: &'static RoomVersion) -> Result<Self, FormatError> {
        Self::parse_with(json, version, ReferenceLimits::STRICT)
    }

    /// Like [`Pdu::parse`], with other limits on the number of referenced events.
    ///
    /// # Errors
    ///
    /// As [`Pdu::parse`].
    pub fn parse_with(
        json: &[u8],
        version: &'static RoomVersion,
        limits: ReferenceLimits,
    ) -> Result<Self, FormatError> {
        let object = CanonicalObject::parse(json, version.json_limits())?;
        if object.as_str().len() > MAX_PDU_BYTES {
            return Err(FormatError::TooLarge { bytes: object.as_str().len() });
        }
        let fields = FieldMap::of(&object);
        let reader = Reader { text: object.as_str(), fields: &fields, version };
        let mut parts = reader.parts(limits)?;
        let redaction = Redaction::new(version, parts.event_type.of(object.as_str()));
        // Exact for all events whose content is emptied, but for the signatures.
        let kept = object.as_str().len().saturating_sub(parts.content.len());
        let mut signed = Vec::with_capacity(kept);
        write_redacted(&fields, redaction, Some(Field::Signatures), &mut signed);
        let event_id = match parts.given_event_id.take() {
            Some(event_id) => event_id,
            None => read::computed_id(version, &hash_bytes(&signed))?,
        };
        let room_id = read::room_id_of(&parts, &event_id, version, object.as_str())?;
        Ok(Self(Arc::new(Read { version, object, signed, event_id, room_id, parts })))
    }

    /// The room version by whose rules this event was read.
    pub fn version(&self) -> &'static RoomVersion {
        self.0.version
    }

    /// The whole event as canonical JSON in the federation format: what is stored and sent on.
    pub fn canonical_json(&self) -> &str {
        self.0.object.as_str()
    }

    /// The event id: computed, or as given in the room versions where events carry it.
    ///
    /// Elsewhere an `event_id` in the event is a member without a meaning, kept and hashed like any
    /// other that the redaction algorithm keeps.
    pub fn event_id(&self) -> &EventId {
        &self.0.event_id
    }

    /// The room that the event belongs to.
    ///
    /// Where the id of the create event is the id of the room (room version 12), that of a create
    /// event is derived; [`Pdu::view`] shows the field as it is.
    pub fn room_id(&self) -> &RoomId {
        &self.0.room_id
    }

    /// The user who sent the event.
    pub fn sender(&self) -> &UserId {
        &self.0.parts.sender
    }

    /// The event type, such as `m.room.member`.
    pub fn event_type(&self) -> &str {
        self.0.parts.event_type.of(self.0.object.as_str())
    }

    /// The state key, `None` when the event is not a state event.
    pub fn state_key(&self) -> Option<&str> {
        self.0.parts.state_key.as_ref().map(|key| key.of(self.0.object.as_str()))
    }

    /// The canonical JSON text of the `content` object.
    pub fn content(&self) -> &str {
        self.0.parts.content.of(self.0.object.as_str())
    }

    /// When the sender's server made the event, in milliseconds since the Unix epoch.
    pub fn origin_server_ts(&self) -> i64 {
        self.0.parts.origin_server_ts
    }

    /// The depth that the sender's server claims.
    pub fn depth(&self) -> i64 {
        self.0.parts.depth
    }

    /// The events that came immediately before this one.
    pub fn prev_events(&self) -> &[OwnedEventId] {
        &self.0.parts.prev_events
    }

    /// The events that authorise this one.
    pub fn auth_events(&self) -> &[OwnedEventId] {
        &self.0.parts.auth_events
    }

    /// The target of an `m.room.redaction` event, from where [the room version puts
    /// it](https://spec.matrix.org/v1.19/rooms/v11/#moving-the-redacts-property-of-mroomredaction-events-to-a-content-property).
    pub fn redacts(&self) -> Option<&str> {
        self.0.parts.redacts.as_ref().map(|target| target.of(self.0.object.as_str()))
    }

    /// A top-level member, with a meaning in the specification or without.
    pub fn member(&self, name: &str) -> Option<RawValue<'_>> {
        self.0.object.get(name)
    }

    /// All top-level members in canonical order.
    pub fn members(&self) -> impl ExactSizeIterator<Item = CanonicalMember<'_>> {
        self.0.object.iter()
    }

    /// The canonical JSON text of the `signatures` object: by server name, then by key id.
    pub fn signatures(&self) -> &str {
        self.0.parts.signatures.of(self.0.object.as_str())
    }

    /// The canonical JSON text of the `hashes` object.
    pub fn hashes(&self) -> &str {
        self.0.parts.hashes.of(self.0.object.as_str())
    }

    /// What signatures on this event sign: its redacted form without `signatures` and `unsigned`,
    /// as canonical JSON.
    ///
    /// The same before and after redaction, and what the reference hash is taken of.
    pub fn signed_bytes(&self) -> &[u8] {
        &self.0.signed
    }

    /// The [reference
    /// hash](https://spec.matrix.org/v1.19/server-server-api/#calculating-the-reference-hash-for-an-event).
    pub fn reference_hash(&self) -> EventHash {
        hash_bytes(&self.0.signed)
    }

    /// The [content
    /// hash](https://spec.matrix.org/v1.19/server-server-api/#calculating-the-content-hash-for-an-event)
    /// as it should be; [`Pdu::check_content_hash`] compares it with what the event claims.
    pub fn content_hash(&self) -> EventHash {
        let mut sink = HashSink::default();
        self.0.object.write_if(in_content_hash, &mut sink);
        sink.finish()
    }

    /// The [content
    /// hash](https://spec.matrix.org/v1.19/server-server-api/#calculating-the-content-hash-for-an-event)
    /// that the event claims, `None` when what stands there is no hash.
    pub fn claimed_content_hash(&self) -> Option<EventHash> {
        EventHash::from_base64(self.0.parts.content_hash.of(self.0.object.as_str()))
    }

    /// The field that is over the limit in bytes although not in the unit that the room version
    /// counts, if there is one. Such an event must be rejected (not dropped), see
    /// [`LengthUnit`](crate::LengthUnit).
    pub fn over_byte_limit(&self) -> Option<Field> {
        self.0.parts.over_byte_limit
    }

    /// The event as the redaction algorithm of its room version leaves it. The signatures stay,
    /// the event id is the same, `unsigned` is gone.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut json = Vec::with_capacity(self.0.object.as_str().len());
        let redaction = Redaction::new(self.0.version, self.event_type());
        write_redacted(&FieldMap::of(&self.0.object), redaction, None, &mut json);
        // Redaction takes nothing away that the format asks for, so there is no error to be had.
        Self::parse_with(&json, self.0.version, ReferenceLimits::BACKFILL).unwrap_or_else(|_| self.clone())
    }

    /// The borrowed view for authorisation rules and state resolution, not marked as rejected.
    pub fn view(&self) -> EventView<'_, OwnedEventId> {
        EventView {
            id: &self.0.event_id,
            event_id: self.0.event_id.as_str(),
            room_id: self.0.parts.room_id.as_ref().map(|id| id.of(self.0.object.as_str())),
            event_type: self.event_type(),
            state_key: self.state_key(),
            sender: self.0.parts.sender.as_str(),
            content: self.content(),
            origin_server_ts: self.0.parts.origin_server_ts,
            depth: self.0.parts.depth,
            prev_events: &self.0.parts.prev_events,
            auth_events: &self.0.parts.auth_events,
            redacts: self.redacts(),
            rejected: false,
        }
    }
}

impl std::fmt::Debug for Pdu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pdu")
            .field("event_id", &self.0.event_id)
            .field("version", &self.0.version)
            .field("object", &self.0.object)
            .finish_non_exhaustive()
    }
}

/// Two events are equal when every byte of them is, in the same room version.
impl PartialEq for Pdu {
    fn eq(&self, other: &Self) -> bool {
        self.0.version == other.0.version && self.0.object == other.0.object
    }
}

impl Eq for Pdu {}
