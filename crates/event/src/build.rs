//! Making new events.

use freehold_canonical_json::{Object, Value};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId, room_version_rules::EventsReferenceFormatVersion};

use crate::{
    error::FormatError,
    field::Field,
    hash::{EventHash, HashedId, content_hash},
    hashed::HashedPdu,
    pdu::Pdu,
    room_version::RoomVersion,
};

/// What a new event is made from: everything that its author decides.
///
/// # Example
///
/// ```
/// use freehold_canonical_json::{Object, Value};
/// use freehold_event::{ProtoEvent, RoomVersion};
/// use ruma_common::user_id;
///
/// let mut proto = ProtoEvent::new(user_id!("@al:example.org").to_owned(), "m.room.create");
/// proto.state_key = Some(String::new());
/// proto.content.insert("room_version", "12");
/// proto.origin_server_ts = 1_700_000_000_000;
/// proto.depth = 1;
/// let new = proto.build(RoomVersion::V12)?;
/// assert!(new.pdu().hashes().starts_with(r#"{"sha256":""#));
/// assert_eq!(new.pdu().room_id().as_str()[1..], new.pdu().event_id().as_str()[1..]);
/// # Ok::<(), freehold_event::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProtoEvent {
    /// The event id, which room versions 1 and 2 have the author choose: `$opaque:domain`.
    pub event_id: Option<OwnedEventId>,
    /// The room; `None` on the create event of a room whose id is derived from it (version 12).
    pub room_id: Option<OwnedRoomId>,
    /// The user who sends the event.
    pub sender: OwnedUserId,
    /// The event type.
    pub event_type: String,
    /// The state key of a state event.
    pub state_key: Option<String>,
    /// The content.
    pub content: Object<'static>,
    /// The target of a redaction; it is put where the room version wants it.
    pub redacts: Option<OwnedEventId>,
    /// The time, in milliseconds since the Unix epoch.
    pub origin_server_ts: i64,
    /// The depth, see [`RoomVersion::depth_after`]; clamped to what the room version allows.
    pub depth: i64,
    /// The events that come immediately before this one.
    pub prev_events: Vec<EventReference>,
    /// The events that authorise this one.
    pub auth_events: Vec<EventReference>,
}

/// A reference to another event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventReference {
    /// The id of the other event.
    pub event_id: OwnedEventId,
    /// Its reference hash, which room versions 1 and 2 put beside the id.
    pub reference_hash: Option<EventHash>,
}

/// With the reference hash where the room version puts it beside the id. Elsewhere it is what the id says.
impl From<&Pdu> for EventReference {
    fn from(pdu: &Pdu) -> Self {
        let reference_hash = has_hashes(pdu.version()).then(|| pdu.reference_hash());
        Self { event_id: pdu.event_id().to_owned(), reference_hash }
    }
}

impl From<OwnedEventId> for EventReference {
    fn from(event_id: OwnedEventId) -> Self {
        Self { event_id, reference_hash: None }
    }
}

/// Why no event can be made; the fault is with the one who asked for it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The room version has the author choose the event id, and there is none.
    #[error("this room version needs an event id")]
    EventIdMissing,
    /// The room version computes event ids, and there is one.
    #[error("this room version computes event ids")]
    EventIdGiven,
    /// The room id is derived from this event, and there is one.
    #[error("the room id is derived from this event")]
    RoomIdGiven,
    /// The room version puts the reference hash beside the id of an event, and there is none.
    #[error("the reference hash of {0} is missing")]
    ReferenceHashMissing(OwnedEventId),
    /// A field is longer than the specification allows, although this room version tolerates it
    /// in events of others.
    #[error("`{0}` is too long")]
    TooLong(Field),
    /// The result would be no well-formed event.
    #[error("not a well-formed event")]
    Format(#[from] FormatError),
}

impl ProtoEvent {
    /// An event with a sender and a type, and nothing else yet.
    pub fn new(sender: OwnedUserId, event_type: impl Into<String>) -> Self {
        Self {
            event_id: None,
            room_id: None,
            sender,
            event_type: event_type.into(),
            state_key: None,
            content: Object::new(),
            redacts: None,
            origin_server_ts: 0,
            depth: 0,
            prev_events: Vec::new(),
            auth_events: Vec::new(),
        }
    }

    /// Makes the event in the format of the room version, with its content hash, ready to be
    /// signed ([adding hashes and signatures to outgoing
    /// events](https://spec.matrix.org/v1.19/server-server-api/#adding-hashes-and-signatures-to-outgoing-events)).
    ///
    /// It passed every check that an event of somebody else has to pass.
    ///
    /// # Errors
    ///
    /// What was asked for is no event that other servers would take.
    pub fn build(self, version: &'static RoomVersion) -> Result<NewPdu, BuildError> {
        self.check_ids(version)?;
        let mut object = self.into_object(version)?;
        let hash = content_hash(&object).to_base64();
        let hashes: Object<'_> = [("sha256", hash)].into_iter().collect();
        object.insert(Field::Hashes.name(), hashes);
        object.insert(Field::Signatures.name(), Object::new());
        let pdu = Pdu::parse(&object.to_canonical_vec(), version)?;
        match pdu.over_byte_limit() {
            Some(field) => Err(BuildError::TooLong(field)),
            None => Ok(NewPdu { pdu }),
        }
    }

    fn check_ids(&self, version: &RoomVersion) -> Result<(), BuildError> {
        let derives_room_id = self.event_type == "m.room.create"
            && version.rules().authorization.room_create_event_id_as_room_id;
        if derives_room_id && self.room_id.is_some() {
            return Err(BuildError::RoomIdGiven);
        }
        match (HashedId::of(version), &self.event_id) {
            (None, None) => Err(BuildError::EventIdMissing),
            (Some(_), Some(_)) => Err(BuildError::EventIdGiven),
            _ => Ok(()),
        }
    }

    fn into_object(self, version: &RoomVersion) -> Result<Object<'static>, BuildError> {
        let mut content = self.content;
        let mut object = Object::new();
        if let Some(target) = self.redacts {
            let in_content = version.rules().redaction.content_field_redacts;
            let place = if in_content { &mut content } else { &mut object };
            place.insert(Field::Redacts.name(), target.to_string());
        }
        if let Some(event_id) = self.event_id {
            object.insert(Field::EventId.name(), event_id.to_string());
        }
        if let Some(room_id) = self.room_id {
            object.insert(Field::RoomId.name(), room_id.to_string());
        }
        if let Some(state_key) = self.state_key {
            object.insert(Field::StateKey.name(), state_key);
        }
        object.insert(Field::Sender.name(), self.sender.to_string());
        object.insert(Field::Type.name(), self.event_type);
        object.insert(Field::Content.name(), content);
        object.insert(Field::OriginServerTs.name(), self.origin_server_ts);
        object.insert(Field::Depth.name(), self.depth.min(version.depth_max()));
        object.insert(Field::PrevEvents.name(), references(self.prev_events, version)?);
        object.insert(Field::AuthEvents.name(), references(self.auth_events, version)?);
        Ok(object)
    }
}

/// Whether the room version puts reference hashes beside the ids of events.
fn has_hashes(version: &RoomVersion) -> bool {
    version.rules().events_reference_format == EventsReferenceFormatVersion::V1
}

fn references(
    references: Vec<EventReference>,
    version: &RoomVersion,
) -> Result<Vec<Value<'static>>, BuildError> {
    let with_hash = has_hashes(version);
    let mut values = Vec::with_capacity(references.len());
    for EventReference { event_id, reference_hash } in references {
        let id = Value::from(event_id.to_string());
        if !with_hash {
            values.push(id);
            continue;
        }
        let Some(hash) = reference_hash else {
            return Err(BuildError::ReferenceHashMissing(event_id));
        };
        let hashes: Object<'_> = [("sha256", hash.to_base64())].into_iter().collect();
        values.push(Value::Array(vec![id, Value::Object(hashes)]));
    }
    Ok(values)
}

/// An event that was made here and bears no signature yet.
///
/// A type of its own, so that what is asked to sign as the author can tell a new event from one
/// that somebody else sent: nothing received ever becomes a `NewPdu`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPdu {
    pdu: Pdu,
}

impl NewPdu {
    /// The event. In room versions 3 and later its id is final.
    pub fn pdu(&self) -> &Pdu {
        &self.pdu
    }

    /// What is to be signed, see [`Pdu::signed_bytes`].
    pub fn signed_bytes(&self) -> &[u8] {
        self.pdu.signed_bytes()
    }

    /// The event with a signature, as unpadded Base64.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooLarge`] when there is no room left for it.
    pub fn with_signature(
        self,
        server_name: &str,
        key_id: &str,
        signature: &str,
    ) -> Result<HashedPdu, FormatError> {
        HashedPdu::intact(self.pdu).with_signature(server_name, key_id, signature)
    }
}
