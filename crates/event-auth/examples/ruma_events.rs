//! A server whose events are made of ruma's identifiers and `serde_json`'s raw values, with facts
//! of the state in a cache of its own: it implements `AuthState` and copies nothing.
//!
//! `cargo run -p freehold-event-auth --example ruma_events`
#![expect(clippy::print_stdout, reason = "an example shows what it finds")]

use freehold_event::{EventView, RoomVersion};
use freehold_event_auth::{
    AuthState, Fact, JoinRule, Membership, PowerLevels, RoomCreate, ThirdPartyInvite, check,
};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId, owned_event_id, owned_room_id, owned_user_id};
use serde_json::value::{RawValue, to_raw_value};

struct Pdu {
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    event_type: String,
    state_key: Option<String>,
    sender: OwnedUserId,
    content: Box<RawValue>,
    origin_server_ts: i64,
    prev_events: Vec<OwnedEventId>,
    auth_events: Vec<OwnedEventId>,
}

impl Pdu {
    fn view(&self) -> EventView<'_, OwnedEventId> {
        EventView {
            id: &self.event_id,
            event_id: self.event_id.as_str(),
            room_id: Some(self.room_id.as_str()),
            event_type: &self.event_type,
            state_key: self.state_key.as_deref(),
            sender: self.sender.as_str(),
            content: self.content.get(),
            origin_server_ts: self.origin_server_ts,
            depth: 1,
            prev_events: &self.prev_events,
            auth_events: &self.auth_events,
            redacts: None,
            rejected: false,
        }
    }
}

/// What this server remembers of a room. The power levels were parsed when they changed.
struct Room {
    create: (OwnedEventId, RoomCreate),
    power_levels: (OwnedEventId, PowerLevels),
    members: Vec<(OwnedUserId, OwnedEventId, Membership)>,
}

impl AuthState for Room {
    type Id = OwnedEventId;

    fn create(&self) -> Option<Fact<'_, &RoomCreate>> {
        let (event_id, create) = &self.create;
        Some(Fact { value: create, event_id: event_id.as_str() })
    }

    fn is_create(&self, id: &OwnedEventId) -> bool {
        *id == self.create.0
    }

    fn power_levels(&self) -> Option<Fact<'_, &PowerLevels>> {
        let (event_id, levels) = &self.power_levels;
        Some(Fact { value: levels, event_id: event_id.as_str() })
    }

    fn join_rule(&self) -> Option<Fact<'_, JoinRule>> {
        None
    }

    fn membership(&self, user_id: &str) -> Option<Fact<'_, Membership>> {
        let (_, event_id, membership) = self.members.iter().find(|(user, ..)| user == user_id)?;
        Some(Fact { value: *membership, event_id: event_id.as_str() })
    }

    fn third_party_invite(&self, _token: &str) -> Option<Fact<'_, ThirdPartyInvite<'_>>> {
        None
    }
}

fn main() -> Result<(), serde_json::Error> {
    let version = RoomVersion::V11;
    let alice = owned_user_id!("@alice:example.org");
    let pdu = |event_id: OwnedEventId, event_type: &str, content: serde_json::Value| {
        Ok::<_, serde_json::Error>(Pdu {
            event_id,
            room_id: owned_room_id!("!garden:example.org"),
            event_type: event_type.to_owned(),
            state_key: Some(String::new()),
            sender: alice.clone(),
            content: to_raw_value(&content)?,
            origin_server_ts: 0,
            prev_events: Vec::new(),
            auth_events: Vec::new(),
        })
    };
    let create =
        pdu(owned_event_id!("$create"), "m.room.create", serde_json::json!({ "room_version": "11" }))?;
    let levels =
        serde_json::json!({ "users": { "@alice:example.org": 50 }, "events": { "m.room.name": 60 } });
    let room = Room {
        create: (create.event_id.clone(), RoomCreate::new(&create.view(), version)),
        power_levels: (owned_event_id!("$levels"), PowerLevels::read(&levels.to_string(), version)),
        members: vec![(alice.clone(), owned_event_id!("$alice"), Membership::Join)],
    };
    for event_type in ["m.room.topic", "m.room.name"] {
        let event = pdu(owned_event_id!("$event"), event_type, serde_json::json!({}))?;
        match check(&event.view(), &room, version) {
            Ok(()) => println!("{event_type} is allowed"),
            Err(denial) => println!("{event_type}: {denial}"),
        }
    }
    Ok(())
}
