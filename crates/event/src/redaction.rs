//! What the redaction algorithm of each room version leaves of an event.
//!
//! > Upon receipt of a redaction event, the server must strip off any keys not in the following
//! > list […]. The content object must also be stripped of all keys, unless it is one of the
//! > following event types
//!
//! (fragments of the room version pages, last [room version
//! 11](https://spec.matrix.org/v1.19/rooms/v11/#redactions)). The lists are here once, in terms of
//! the switches of [`RedactionRules`], and they are applied to trees and to canonical text.

use freehold_canonical_json::{Object, ObjectWriter, Sink, Value, fields};
use ruma_common::room_version_rules::RedactionRules;

use crate::{
    field::{Field, FieldMap},
    room_version::RoomVersion,
};

/// Redacts an event given as an object, as the room version says.
///
/// Signatures survive, `unsigned` does not. The algorithm is total: an object that is no
/// well-formed PDU (no `type`, say) is stripped as an event of a type without exceptions, and a
/// `content` that is not an object becomes `{}`.
///
/// ```
/// use freehold_canonical_json::{Limits, parse};
/// use freehold_event::{RoomVersion, redact};
///
/// let event = parse(
///     br#"{"content":{"displayname":"Al","membership":"join"},"type":"m.room.member"}"#,
///     &Limits::STRICT,
/// ).unwrap();
/// let redacted = redact(event.as_object().unwrap(), RoomVersion::V11);
/// assert_eq!(
///     redacted.to_canonical_vec(),
///     br#"{"content":{"membership":"join"},"type":"m.room.member"}"#,
/// );
/// ```
pub fn redact<'a>(event: &Object<'a>, version: &RoomVersion) -> Object<'a> {
    let event_type = event.get("type").and_then(Value::as_str).unwrap_or_default();
    let redaction = Redaction::new(version, event_type);
    let mut redacted = Object::new();
    for (key, value) in event.iter() {
        match Field::find(key) {
            Some(field @ Field::Content) => {
                redacted.insert(field.name(), redact_content(value, redaction));
            }
            Some(field) if keeps_field(field, redaction.rules) => {
                redacted.insert(field.name(), value.clone());
            }
            _ => {}
        }
    }
    redacted
}

/// Writes what redaction leaves of an event, also without the given field.
///
/// Everything that is written is a slice of the text.
pub(crate) fn write_redacted(
    event: &FieldMap<'_>,
    redaction: Redaction<'_>,
    omitted: Option<Field>,
    sink: &mut impl Sink,
) {
    let mut writer = ObjectWriter::new(sink);
    for (field, member) in event.iter() {
        match field {
            Field::Content => {
                let mut content = writer.object(Field::Content.name());
                redaction.write_content(member.value().text(), &mut content);
                content.finish();
            }
            field if Some(field) != omitted && keeps_field(field, redaction.rules) => {
                writer.members(member.text());
            }
            _ => {}
        }
    }
    writer.finish();
}

/// The redaction algorithm of a room version, for one type of event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Redaction<'a> {
    rules: &'a RedactionRules,
    class: ContentClass,
}

impl<'a> Redaction<'a> {
    pub(crate) fn new(version: &'a RoomVersion, event_type: &str) -> Self {
        Self { rules: &version.rules().redaction, class: ContentClass::of(event_type) }
    }

    fn write_content(self, content: &str, writer: &mut ObjectWriter<'_, impl Sink>) {
        if self.class == ContentClass::Other {
            return;
        }
        for (key, value) in fields(content).flatten() {
            match self.class.keeps(&key, self.rules) {
                Keep::Nothing => {}
                Keep::Whole => writer.value(&key, value.text()),
                Keep::Only(inner_key) => {
                    let Some(inner) = value.as_object() else { continue };
                    let mut kept = writer.object(&key);
                    for (_, value) in inner.flatten().filter(|(key, _)| key == inner_key) {
                        kept.value(inner_key, value.text());
                    }
                    kept.finish();
                }
            }
        }
    }
}

fn redact_content<'a>(content: &Value<'a>, redaction: Redaction<'_>) -> Object<'a> {
    let mut redacted = Object::new();
    for (key, value) in content.as_object().into_iter().flatten() {
        match redaction.class.keeps(key, redaction.rules) {
            Keep::Nothing => {}
            Keep::Whole => {
                redacted.insert(key.to_owned(), value.clone());
            }
            Keep::Only(inner_key) => {
                let Some(inner) = value.as_object() else { continue };
                let kept = inner.get(inner_key).map(|value| (inner_key, value.clone()));
                redacted.insert(key.to_owned(), kept.into_iter().collect::<Object<'a>>());
            }
        }
    }
    redacted
}

/// Whether a top-level field survives redaction. `content` does, with less in it.
pub(crate) fn keeps_field(field: Field, rules: &RedactionRules) -> bool {
    match field {
        Field::EventId
        | Field::Type
        | Field::RoomId
        | Field::Sender
        | Field::StateKey
        | Field::Content
        | Field::Hashes
        | Field::Signatures
        | Field::Depth
        | Field::PrevEvents
        | Field::AuthEvents
        | Field::OriginServerTs => true,
        Field::PrevState | Field::Origin | Field::Membership => rules.keep_origin_membership_prev_state,
        Field::Redacts | Field::Unsigned => false,
    }
}

/// How much of a member of `content` survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The member goes.
    Nothing,
    /// The member stays as it is.
    Whole,
    /// The member stays if it is an object, with only this key in it.
    ///
    /// The specification "allows the `signed` key of the `third_party_invite` key". As in the
    /// reference implementation, an object without that key becomes `{}`, and what is not an
    /// object goes.
    Only(&'static str),
}

/// The event types with exceptions for their `content`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentClass {
    Member,
    Create,
    JoinRules,
    PowerLevels,
    Aliases,
    HistoryVisibility,
    Redaction,
    /// Every other type: `content` is emptied.
    Other,
}

impl ContentClass {
    pub(crate) fn of(event_type: &str) -> Self {
        match event_type {
            "m.room.member" => Self::Member,
            "m.room.create" => Self::Create,
            "m.room.join_rules" => Self::JoinRules,
            "m.room.power_levels" => Self::PowerLevels,
            "m.room.aliases" => Self::Aliases,
            "m.room.history_visibility" => Self::HistoryVisibility,
            "m.room.redaction" => Self::Redaction,
            _ => Self::Other,
        }
    }

    /// What happens to a member of `content`.
    pub(crate) fn keeps(self, key: &str, rules: &RedactionRules) -> Keep {
        let whole = match (self, key) {
            (Self::Member, "membership")
            | (Self::JoinRules, "join_rule")
            | (Self::HistoryVisibility, "history_visibility") => true,
            (Self::Member, "join_authorised_via_users_server") => {
                rules.keep_room_member_join_authorised_via_users_server
            }
            (Self::Member, "third_party_invite") if rules.keep_room_member_third_party_invite_signed => {
                return Keep::Only("signed");
            }
            (Self::Create, "creator") => true,
            (Self::Create, _) => rules.keep_room_create_content,
            (Self::JoinRules, "allow") => rules.keep_room_join_rules_allow,
            (Self::PowerLevels, key) => keeps_power_level(key, rules),
            (Self::Aliases, "aliases") => rules.keep_room_aliases_aliases,
            (Self::Redaction, "redacts") => rules.keep_room_redaction_redacts,
            _ => false,
        };
        if whole { Keep::Whole } else { Keep::Nothing }
    }
}

fn keeps_power_level(key: &str, rules: &RedactionRules) -> bool {
    match key {
        "ban" | "events" | "events_default" | "kick" | "redact" | "state_default" | "users"
        | "users_default" => true,
        "invite" => rules.keep_room_power_levels_invite,
        _ => false,
    }
}
