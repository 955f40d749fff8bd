//! The auth events selection.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Differences;
use crate::event::{RoomEvent, StateKey};

/// Which entries of the room state give the sender permission to send the event
/// ([auth events selection](https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection)).
pub fn selection(event: &RoomEvent, version: &Differences) -> BTreeSet<StateKey> {
    let mut selected = BTreeSet::new();
    // "The `auth_events` for the `m.room.create` event in a room is empty; for other events, it
    // should be the following subset of the room state:"
    if event.event_type == "m.room.create" {
        return selected;
    }
    let mut select = |event_type: &str, state_key: &str| {
        selected.insert((event_type.to_owned(), state_key.to_owned()));
    };
    // "Depending on the room version, the `m.room.create` event." Version 12: "The `m.room.create`
    // event MUST NOT be selected for `auth_events` on events."
    if !version.creators_rule {
        select("m.room.create", "");
    }
    // "The current `m.room.power_levels` event, if any."
    select("m.room.power_levels", "");
    // "The sender's current `m.room.member` event, if any."
    select("m.room.member", &event.sender);
    // "If type is `m.room.member`:"
    if event.event_type == "m.room.member" {
        let content = event.content_object();
        let member = |name: &str| content.get(name).and_then(Value::as_str).unwrap_or_default();
        let membership = member("membership");
        // "The target's current `m.room.member` event, if any."
        if let Some(target) = &event.state_key {
            select("m.room.member", target);
        }
        // "If `membership` is `join`, `invite` or `knock`, the current `m.room.join_rules` event,
        // if any."
        if ["join", "invite", "knock"].contains(&membership) {
            select("m.room.join_rules", "");
        }
        // "If membership is `invite` and `content` contains a `third_party_invite` property, the
        // current `m.room.third_party_invite` event with `state_key` matching
        // `content.third_party_invite.signed.token`, if any."
        let token = content.get("third_party_invite").and_then(|invite| invite.pointer("/signed/token"));
        if let Some(token) = token.and_then(Value::as_str).filter(|_| membership == "invite") {
            select("m.room.third_party_invite", token);
        }
        // "If `membership` is `join`, `content.join_authorised_via_users_server` is present, and
        // the room version supports restricted rooms, then the `m.room.member` event with
        // `state_key` matching `content.join_authorised_via_users_server`."
        let authoriser = content.get("join_authorised_via_users_server").and_then(Value::as_str);
        if let Some(authoriser) = authoriser.filter(|_| membership == "join" && version.restricted) {
            select("m.room.member", authoriser);
        }
    }
    selected
}
