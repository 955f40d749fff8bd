//! The authorisation rules, in the order of the specification.

use std::collections::BTreeSet;

use freehold_event::server_name_of;
use ruma_common::UserId;
use serde_json::Value;

use super::{
    Differences, State,
    member::check_member,
    power::{Power, PowerLevels},
    power_levels::check_power_levels,
    selection,
};
use crate::event::{Events, RoomEvent};

/// An event that the rules do not allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    /// The number of the rule, as on the page of the room version: `5.3.6`.
    pub rule: String,
    /// What is wrong, in few words.
    pub why: &'static str,
}

/// Denies with a rule number when the condition holds: "if …, reject".
pub(super) fn reject_if(condition: bool, rule: impl Into<String>, why: &'static str) -> Result<(), Denied> {
    if condition { Err(Denied { rule: rule.into(), why }) } else { Ok(()) }
}

/// The rules that look at nothing but the event and its `auth_events` list: rule 1 on the create
/// event, and the rule "considering the event's `auth_events`" (with rule 2 of version 12).
///
/// # Errors
///
/// The first rule that rejects the event.
pub fn check_auth_events(event: &RoomEvent, events: &Events, version: &Differences) -> Result<(), Denied> {
    if event.event_type == "m.room.create" {
        return check_create(event, version);
    }
    // Version 12: "2. If the event's `room_id` is not an event ID for an accepted (not rejected)
    // `m.room.create` event, with the sigil `!` instead of `$`, reject."
    if version.creators_rule {
        let create = create_by_room_id(event, events);
        let accepted = create.is_some_and(|create| create.event_type == "m.room.create" && !create.rejected);
        reject_if(!accepted, "2", "room id is not that of an accepted create event")?;
    }
    // "Considering the event's `auth_events`:"
    let rule = version.auth_events_rule();
    let selected = selection(event, version);
    let mut seen = BTreeSet::new();
    for auth_event_id in &event.auth_events {
        let Some(auth_event) = events.get(auth_event_id) else {
            return Err(Denied { rule: format!("{rule}"), why: "auth event is not known" });
        };
        let Some(key) = auth_event.state_map_key() else {
            return Err(Denied { rule: format!("{rule}.2"), why: "auth event is not a state event" });
        };
        // "1. If there are duplicate entries for a given `type` and `state_key` pair, reject."
        reject_if(!seen.insert(key.clone()), format!("{rule}.1"), "duplicate auth event")?;
        // "2. If there are entries whose `type` and `state_key` don't match those specified by the
        // auth events selection algorithm described in the server specification, reject."
        reject_if(!selected.contains(&key), format!("{rule}.2"), "auth event is not of the selection")?;
        // "3. If there are entries which were themselves rejected under the checks performed on
        // receipt of a PDU, reject."
        reject_if(auth_event.rejected, format!("{rule}.3"), "auth event was rejected")?;
        // "5. If any event in `auth_events` has a `room_id` which does not match that of the event
        // being authorised, reject."
        reject_if(auth_event.room_id != event.room_id, format!("{rule}.5"), "auth event of another room")?;
    }
    // Up to version 11: "4. If there is no `m.room.create` event among the entries, reject."
    let create = ("m.room.create".to_owned(), String::new());
    let missing = !version.creators_rule && !seen.contains(&create);
    reject_if(missing, format!("{rule}.4"), "no create event among the auth events")
}

/// The create event that the room id of an event names (version 12).
pub(super) fn create_by_room_id<'a>(event: &RoomEvent, events: &'a Events) -> Option<&'a RoomEvent> {
    events.get(&event.room_id.as_deref()?.replacen('!', "$", 1))
}

/// "1. If type is `m.room.create`:"
fn check_create(event: &RoomEvent, version: &Differences) -> Result<(), Denied> {
    let content = event.content_object();
    // "1. If it has any `prev_events`, reject."
    reject_if(!event.prev_events.is_empty(), "1.1", "create event has previous events")?;
    if version.creators_rule {
        // Version 12: "2. If the event has a `room_id`, reject."
        reject_if(event.room_id.is_some(), "1.2", "create event has a room id")?;
    } else {
        // "2. If the domain of the `room_id` does not match the domain of the `sender`, reject."
        let room_server = event.room_id.as_deref().and_then(server_name_of);
        let same = room_server.is_some() && room_server == server_name_of(&event.sender);
        reject_if(!same, "1.2", "room id and sender are of different servers")?;
    }
    // "3. If `content.room_version` is present and is not a recognised version, reject."
    let unknown = content
        .get("room_version")
        .is_some_and(|room_version| room_version.as_str().and_then(Differences::of).is_none());
    reject_if(unknown, "1.3", "unknown room version")?;
    // Up to version 10: "4. If `content` has no `creator` property, reject."
    let no_creator = version.creator_in_content && !content.contains_key("creator");
    reject_if(no_creator, "1.4", "no creator")?;
    // Version 12: "4. If `additional_creators` is present in `content` and is not an array of
    // strings where each string passes the same user ID validation applied to `sender`, reject."
    let additional = content.get("additional_creators").filter(|_| version.creators_rule);
    let valid = additional.is_none_or(|list| {
        list.as_array().is_some_and(|list| list.iter().all(|id| id.as_str().is_some_and(is_user_id)))
    });
    reject_if(!valid, "1.4", "additional creators are not user ids")
    // "5. Otherwise, allow."
}

/// Whether a string is a [user id](https://spec.matrix.org/v1.19/appendices/#user-identifiers),
/// historical ones included.
pub(super) fn is_user_id(id: &str) -> bool {
    UserId::parse(id).is_ok()
}

/// All the rules after those of [`check_auth_events`], against a room state.
///
/// # Errors
///
/// The first rule that rejects the event.
pub fn check(event: &RoomEvent, state: &State<'_>, version: &Differences) -> Result<(), Denied> {
    if event.event_type == "m.room.create" {
        return check_create(event, version);
    }
    let member = version.member_rule();
    check_federation(event, state, member - u8::from(version.aliases_rule) - 1)?;
    // Up to version 5: "4. If type is `m.room.aliases`:"
    if version.aliases_rule && event.event_type == "m.room.aliases" {
        // "1. If event has no `state_key`, reject."
        reject_if(event.state_key.is_none(), "4.1", "aliases event without a state key")?;
        // "2. If sender's domain doesn't match `state_key`, reject."
        let same = event.state_key.as_deref() == server_name_of(&event.sender);
        // "3. Otherwise, allow."
        return reject_if(!same, "4.2", "aliases of another server");
    }
    // "If type is `m.room.member`:"
    if event.event_type == "m.room.member" {
        return check_member(event, state, version);
    }
    check_others(event, state, version, member + 1)
}

/// "3. If the `content` of the `m.room.create` event in the room state has the property
/// `m.federate` set to `false`, and the `sender` domain of the event does not match the `sender`
/// domain of the create event, reject."
fn check_federation(event: &RoomEvent, state: &State<'_>, rule: u8) -> Result<(), Denied> {
    let create = state.get(&("m.room.create".to_owned(), String::new())).copied();
    // Nothing is allowed in a room that was not created: rule 2.4 and rule 2 of version 12 see to
    // it for the auth events; a state without a create event is no state of a room.
    let Some(create) = create else {
        return Err(Denied { rule: format!("{rule}"), why: "no create event in the state" });
    };
    let closed = create.content_object().get("m.federate") == Some(&Value::Bool(false));
    let foreign = server_name_of(&event.sender) != server_name_of(&create.sender);
    reject_if(closed && foreign, format!("{rule}"), "room is not federated")
}

/// The rules after the member rule; `rule` is the number of the first of them.
fn check_others(event: &RoomEvent, state: &State<'_>, version: &Differences, rule: u8) -> Result<(), Denied> {
    let levels = PowerLevels::in_state(state, version);
    let sender = levels.of_user(&event.sender);
    // "6. If the `sender`'s current membership state is not `join`, reject."
    let joined = membership(state, &event.sender) == "join";
    reject_if(!joined, format!("{rule}"), "sender is not joined")?;
    // "7. If type is `m.room.third_party_invite`: 1. Allow if and only if `sender`'s current power
    // level is greater than or equal to the *invite level*."
    if event.event_type == "m.room.third_party_invite" {
        let enough = sender >= Power::Finite(levels.of("invite"));
        return reject_if(!enough, format!("{}.1", rule + 1), "not enough power to invite");
    }
    // "8. If the event type's *required power level* is greater than the `sender`'s power level,
    // reject."
    let required = Power::Finite(levels.required_for(event));
    reject_if(required > sender, format!("{}", rule + 2), "not enough power for this event type")?;
    // "9. If the event has a `state_key` that starts with an `@` and does not match the `sender`,
    // reject."
    let foreign = event.state_key.as_deref().is_some_and(|key| key.starts_with('@') && key != event.sender);
    reject_if(foreign, format!("{}", rule + 3), "state key is another user")?;
    // "10. If type is `m.room.power_levels`:"
    if event.event_type == "m.room.power_levels" {
        return check_power_levels(event, state, version, rule + 4);
    }
    // Up to version 2: "11. If type is `m.room.redaction`:"
    if version.redaction_rule && event.event_type == "m.room.redaction" {
        // "1. If the `sender`'s power level is greater than or equal to the *redact level*, allow."
        let enough = sender >= Power::Finite(levels.of("redact"));
        // "2. If the domain of the `event_id` of the event being redacted is the same as the
        // domain of the `event_id` of the `m.room.redaction`, allow."
        let own = event.redacts.as_deref().and_then(server_name_of) == server_name_of(&event.event_id);
        // "3. Otherwise, reject."
        return reject_if(!enough && !own, "11.3", "not enough power to redact");
    }
    // "Otherwise, allow."
    Ok(())
}

/// The membership of a user in a room state; `leave` when there is no member event.
pub(super) fn membership(state: &State<'_>, user_id: &str) -> String {
    let event = state.get(&("m.room.member".to_owned(), user_id.to_owned()));
    event.and_then(|event| event.content_str("membership")).unwrap_or_else(|| "leave".to_owned())
}
