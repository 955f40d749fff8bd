//! The format checks: what each field of a PDU must be.

use std::borrow::Cow;

use freehold_canonical_json::{Kind, RawValue, member};
use ruma_common::{
    EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, ServerName,
    room_version_rules::{EventsReferenceFormatVersion, RoomIdFormatVersion},
};

use crate::{
    error::{Expected, FormatError},
    field::{Field, FieldMap},
    hash::{EventHash, HashedId},
    pdu::{MAX_FIELD_LENGTH, Parts, ReferenceLimits},
    room_version::{LengthUnit, RoomVersion},
    text::{Span, Text},
    view::server_name_of,
};

/// An event that is canonical JSON, about to be checked.
pub(crate) struct Reader<'t> {
    /// The whole event.
    pub(crate) text: &'t str,
    pub(crate) fields: &'t FieldMap<'t>,
    pub(crate) version: &'static RoomVersion,
}

impl<'t> Reader<'t> {
    /// Checks everything but the size.
    pub(crate) fn parts(&self, limits: ReferenceLimits) -> Result<Parts, FormatError> {
        let event_type = self.string(Field::Type)?;
        let event_type_text = event_type.of(self.text);
        let state_key = self.optional_string(Field::StateKey)?;
        let state_key_text = state_key.as_ref().map(|key| key.of(self.text)).unwrap_or_default();
        let over_type = self.length(Field::Type, event_type_text)?;
        let over_state_key = self.length(Field::StateKey, state_key_text)?;
        if self.find(Field::Unsigned).is_some() {
            self.object(Field::Unsigned)?;
        }
        Ok(Parts {
            sender: self.sender()?,
            room_id: self.room_id(event_type_text)?,
            given_event_id: self.event_id()?,
            content: self.object(Field::Content)?,
            hashes: self.object(Field::Hashes)?,
            content_hash: self.content_hash()?,
            signatures: self.signatures()?,
            origin_server_ts: self.integer(Field::OriginServerTs)?,
            depth: self.depth()?,
            prev_events: self.references(Field::PrevEvents, limits.prev_events)?,
            auth_events: self.references(Field::AuthEvents, limits.auth_events)?,
            redacts: self.redacts(event_type_text)?,
            over_byte_limit: over_type.or(over_state_key),
            event_type,
            state_key,
        })
    }

    /// The event id, `None` in room versions that compute it.
    fn event_id(&self) -> Result<Option<OwnedEventId>, FormatError> {
        if !self.version.rules().event_format.require_event_id {
            return Ok(None);
        }
        let text = self.string(Field::EventId)?;
        let id = text.of(self.text);
        id_length(Field::EventId, id)?;
        let parsed = event_id(id, self.version);
        parsed.map(Some).ok_or_else(|| not_an_identifier(Field::EventId, id))
    }

    fn sender(&self) -> Result<OwnedUserId, FormatError> {
        let text = self.string(Field::Sender)?;
        let id = text.of(self.text);
        id_length(Field::Sender, id)?;
        // Historical user ids must be accepted, and this conversion does.
        OwnedUserId::try_from(id).map_err(|_| not_an_identifier(Field::Sender, id))
    }

    /// The room id; only a create event may lack it, and only where its event id is the room id.
    ///
    /// If it is there all the same it is kept: it is the authorisation rules (1.2) that reject
    /// such an event.
    fn room_id(&self, event_type: &str) -> Result<Option<Text>, FormatError> {
        let may_lack =
            event_type == "m.room.create" && !self.version.rules().event_format.require_room_create_room_id;
        if may_lack && self.find(Field::RoomId).is_none() {
            return Ok(None);
        }
        let text = self.string(Field::RoomId)?;
        let id = text.of(self.text);
        id_length(Field::RoomId, id)?;
        if !is_room_id(id, self.version) {
            return Err(not_an_identifier(Field::RoomId, id));
        }
        Ok(Some(text))
    }

    /// Names of servers, below them key ids, below them strings. The strings need not be signatures.
    fn signatures(&self) -> Result<Span, FormatError> {
        let expected = Expected::Signatures;
        let wrong_type = FormatError::WrongType { field: Field::Signatures, expected };
        let value = self.value(Field::Signatures)?;
        let mut servers = value.as_object().ok_or(wrong_type.clone())?.flatten();
        let well_formed = servers.all(|(_, keys)| {
            keys.as_object()
                .is_some_and(|keys| keys.flatten().all(|(_, signature)| signature.kind() == Kind::String))
        });
        if well_formed { Ok(Span::within(self.text, value.text())) } else { Err(wrong_type) }
    }

    fn content_hash(&self) -> Result<Text, FormatError> {
        let wrong_type = FormatError::WrongType { field: Field::Hashes, expected: Expected::Hashes };
        let hash = member(self.value(Field::Hashes)?.text(), "sha256").ok().flatten();
        hash.and_then(|hash| Text::within(self.text, hash)).ok_or(wrong_type)
    }

    /// Must be below the limit or at it, where it is clamped.
    pub(crate) fn depth(&self) -> Result<i64, FormatError> {
        let depth = self.integer(Field::Depth)?;
        if (0..=self.version.depth_max()).contains(&depth) {
            Ok(depth)
        } else {
            Err(FormatError::DepthOutOfRange(depth))
        }
    }

    pub(crate) fn references(&self, field: Field, limit: usize) -> Result<Vec<OwnedEventId>, FormatError> {
        let wrong_type = FormatError::WrongType { field, expected: Expected::Array };
        let elements = self.value(field)?.as_array().ok_or(wrong_type)?;
        let mut ids = Vec::with_capacity(4);
        for (index, element) in elements.flatten().enumerate() {
            let id = reference(element, self.version);
            ids.push(id.ok_or(FormatError::NotAReference { field, index })?);
        }
        if ids.len() > limit {
            return Err(FormatError::TooManyReferences { field, count: ids.len(), limit });
        }
        Ok(ids)
    }

    /// The target of a redaction. Before room version 11 the event format has it, from then on it
    /// is content, which has no format here. It has a meaning on redactions only.
    fn redacts(&self, event_type: &str) -> Result<Option<Text>, FormatError> {
        if event_type != "m.room.redaction" {
            return Ok(None);
        }
        if !self.version.rules().redaction.content_field_redacts {
            return self.optional_string(Field::Redacts);
        }
        let target = member(self.value(Field::Content)?.text(), "redacts").ok().flatten();
        Ok(target.and_then(|target| Text::within(self.text, target)))
    }

    fn integer(&self, field: Field) -> Result<i64, FormatError> {
        let wrong_type = FormatError::WrongType { field, expected: Expected::Integer };
        self.value(field)?.as_i64().ok_or(wrong_type)
    }

    fn object(&self, field: Field) -> Result<Span, FormatError> {
        let value = self.value(field)?;
        if value.kind() == Kind::Object {
            Ok(Span::within(self.text, value.text()))
        } else {
            Err(FormatError::WrongType { field, expected: Expected::Object })
        }
    }

    fn string(&self, field: Field) -> Result<Text, FormatError> {
        self.optional_string(field)?.ok_or(FormatError::Missing(field))
    }

    fn optional_string(&self, field: Field) -> Result<Option<Text>, FormatError> {
        let Some(value) = self.find(field) else { return Ok(None) };
        let wrong_type = FormatError::WrongType { field, expected: Expected::String };
        Text::within(self.text, value).map(Some).ok_or(wrong_type)
    }

    fn value(&self, field: Field) -> Result<RawValue<'t>, FormatError> {
        self.find(field).ok_or(FormatError::Missing(field))
    }

    fn find(&self, field: Field) -> Option<RawValue<'t>> {
        self.fields.get(field).map(|member| member.value())
    }

    /// Checks the length of a string in the unit of the room version; returns the field when it is
    /// too long in bytes all the same.
    fn length(&self, field: Field, text: &str) -> Result<Option<Field>, FormatError> {
        if text.len() <= MAX_FIELD_LENGTH {
            return Ok(None);
        }
        let unit = self.version.length_unit();
        let length = match unit {
            LengthUnit::Bytes => text.len(),
            LengthUnit::CodePoints => text.chars().count(),
        };
        if length > MAX_FIELD_LENGTH {
            return Err(FormatError::TooLong { field, length, unit });
        }
        Ok(Some(field))
    }
}

/// The event id that an event has by its reference hash.
pub(crate) fn computed_id(
    version: &RoomVersion,
    reference_hash: &EventHash,
) -> Result<OwnedEventId, FormatError> {
    let spelling = HashedId::of(version).ok_or(FormatError::Missing(Field::EventId))?;
    let id = spelling.event_id(reference_hash);
    OwnedEventId::try_from(id.as_str()).map_err(|_| not_an_identifier(Field::EventId, &id))
}

/// The room of an event. Where [the id of the create event is that of the
/// room](https://spec.matrix.org/v1.19/rooms/v12/#room-ids), that of a create event is derived,
/// whatever it says itself.
pub(crate) fn room_id_of(
    parts: &Parts,
    event_id: &EventId,
    version: &RoomVersion,
    text: &str,
) -> Result<OwnedRoomId, FormatError> {
    let derives = version.rules().authorization.room_create_event_id_as_room_id;
    let id = if derives && parts.event_type.of(text) == "m.room.create" {
        Cow::Owned(event_id.as_str().replacen('$', "!", 1))
    } else {
        let id = parts.room_id.as_ref().ok_or(FormatError::Missing(Field::RoomId))?;
        Cow::Borrowed(id.of(text))
    };
    OwnedRoomId::try_from(&*id).map_err(|_| not_an_identifier(Field::RoomId, &id))
}

/// The event id in an item of `auth_events` or `prev_events`.
fn reference(element: RawValue<'_>, version: &RoomVersion) -> Option<OwnedEventId> {
    let id = match version.rules().events_reference_format {
        // The hash beside the id has never been checked by anybody, so it only has to be there.
        EventsReferenceFormatVersion::V1 => {
            let mut pair = element.as_array()?.flatten();
            let id = pair.next()?;
            pair.next().filter(|hashes| hashes.kind() == Kind::Object)?;
            pair.next().is_none().then_some(id)?
        }
        _ => element,
    };
    event_id(&id.as_str()?, version)
}

/// `$opaque:domain` where events carry their id. Elsewhere an id that no event can have is still
/// a string, which is all that the event format asks: it is a reference that leads nowhere.
fn event_id(id: &str, version: &RoomVersion) -> Option<OwnedEventId> {
    let wants_domain = HashedId::of(version).is_none();
    if id.len() > MAX_FIELD_LENGTH || (wants_domain && !id.contains(':')) {
        return None;
    }
    OwnedEventId::try_from(id).ok()
}

/// `!opaque:domain`, or the id of the create event with another sigil.
fn is_room_id(id: &str, version: &RoomVersion) -> bool {
    let well_formed = match version.rules().room_id_format {
        RoomIdFormatVersion::V1 => {
            server_name_of(id).is_some_and(|name| <&ServerName>::try_from(name).is_ok())
        }
        _ => id.strip_prefix('!').is_some_and(is_url_safe_hash),
    };
    well_formed && <&RoomId>::try_from(id).is_ok()
}

/// Whether a text is 32 bytes in URL-safe unpadded Base64.
fn is_url_safe_hash(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn id_length(field: Field, id: &str) -> Result<(), FormatError> {
    if id.len() > MAX_FIELD_LENGTH {
        return Err(FormatError::TooLong { field, length: id.len(), unit: LengthUnit::Bytes });
    }
    Ok(())
}

fn not_an_identifier(field: Field, id: &str) -> FormatError {
    let value = id.chars().take(MAX_FIELD_LENGTH).collect();
    FormatError::NotAnIdentifier { field, value }
}
