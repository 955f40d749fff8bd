//! Templates that another server gives for a membership event.

use freehold_canonical_json::{CanonicalObject, Object, RawValue, member};
use ruma_common::{OwnedRoomId, OwnedUserId, room_version_rules::EventsReferenceFormatVersion};

use crate::{
    build::{EventReference, ProtoEvent},
    error::FormatError,
    field::{Field, FieldMap},
    hash::EventHash,
    pdu::ReferenceLimits,
    read::Reader,
    room_version::RoomVersion,
};

/// What is taken from the answer to
/// [`make_join`](https://spec.matrix.org/v1.19/server-server-api/#joining-rooms), `make_leave` or
/// `make_knock`: where in the room the new event belongs, and nothing else.
///
/// The template is data from which an event is built and never a document to sign. Whatever else
/// is in it (another type, another user, another room, more content) has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipTemplate {
    /// The events that come immediately before the new one.
    pub prev_events: Vec<EventReference>,
    /// The events that authorise the new one.
    pub auth_events: Vec<EventReference>,
    /// The depth of the new event.
    pub depth: i64,
    /// The user who authorises a [restricted
    /// join](https://spec.matrix.org/v1.19/server-server-api/#restricted-rooms), in room versions
    /// that have it.
    pub join_authorised_via_users_server: Option<OwnedUserId>,
}

impl MembershipTemplate {
    /// Reads the template of an event of a room of the given version.
    ///
    /// # Errors
    ///
    /// A part that is needed is missing or wrong; the fault is with the other server.
    pub fn parse(json: &[u8], version: &'static RoomVersion) -> Result<Self, FormatError> {
        let object = CanonicalObject::parse(json, version.json_limits())?;
        let fields = FieldMap::of(&object);
        let reader = Reader { text: object.as_str(), fields: &fields, version };
        let limits = ReferenceLimits::STRICT;
        let prev_events = reader.references(Field::PrevEvents, limits.prev_events)?;
        let auth_events = reader.references(Field::AuthEvents, limits.auth_events)?;
        let hashes = |field: Field| reference_hashes(object.get(field.name()), version);
        Ok(Self {
            prev_events: join(prev_events, hashes(Field::PrevEvents)),
            auth_events: join(auth_events, hashes(Field::AuthEvents)),
            depth: reader.depth()?,
            join_authorised_via_users_server: authoriser(&object, version),
        })
    }

    /// The event that changes a user's own membership, to be completed and built.
    pub fn event(self, room_id: OwnedRoomId, user_id: OwnedUserId, membership: &'static str) -> ProtoEvent {
        let mut event = ProtoEvent::new(user_id.clone(), "m.room.member");
        event.room_id = Some(room_id);
        event.state_key = Some(user_id.to_string());
        event.content = Object::new();
        event.content.insert("membership", membership);
        if let Some(authoriser) = self.join_authorised_via_users_server {
            event.content.insert(AUTHORISER, authoriser.to_string());
        }
        event.depth = self.depth;
        event.prev_events = self.prev_events;
        event.auth_events = self.auth_events;
        event
    }
}

const AUTHORISER: &str = "join_authorised_via_users_server";

fn authoriser(object: &CanonicalObject, version: &RoomVersion) -> Option<OwnedUserId> {
    if !version.rules().authorization.restricted_join_rule {
        return None;
    }
    let content = object.get(Field::Content.name())?;
    let authoriser = member(content.text(), AUTHORISER).ok()??;
    OwnedUserId::try_from(&*authoriser.as_str()?).ok()
}

/// The hashes beside the ids, where the room version has them.
fn reference_hashes(references: Option<RawValue<'_>>, version: &RoomVersion) -> Vec<Option<EventHash>> {
    if version.rules().events_reference_format != EventsReferenceFormatVersion::V1 {
        return Vec::new();
    }
    let pairs = references.and_then(|value| value.as_array()).into_iter().flatten().flatten();
    pairs.map(reference_hash).collect()
}

fn reference_hash(pair: RawValue<'_>) -> Option<EventHash> {
    let hashes = pair.as_array()?.flatten().nth(1)?;
    let hash = member(hashes.text(), "sha256").ok()??;
    EventHash::from_base64(&hash.as_str()?)
}

fn join(ids: Vec<ruma_common::OwnedEventId>, hashes: Vec<Option<EventHash>>) -> Vec<EventReference> {
    let hashes = hashes.into_iter().chain(std::iter::repeat(None));
    let pairs = ids.into_iter().zip(hashes);
    pairs.map(|(event_id, reference_hash)| EventReference { event_id, reference_hash }).collect()
}
