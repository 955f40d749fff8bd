//! A server whose events are made of ruma's types.
//!
//! The identifiers of ruma are strings inside, so a view of such an event borrows and copies
//! nothing; `OwnedEventId` itself is the key.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::iter_over_hash_type,
    reason = "an example tells what it does"
)]

use std::collections::HashMap;

use freehold_event::{EventSource, EventView, RoomVersion};
use freehold_state_res::{PlainForks, ResolveBudget, resolve};
use ruma_common::{
    IdParseError, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, owned_event_id,
    owned_room_id, owned_user_id,
};
use ruma_events::StateEventType;
use serde_json::value::{RawValue, to_raw_value};

/// An event as servers of the Conduit family keep it.
struct Pdu {
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    kind: String,
    state_key: Option<String>,
    content: Box<RawValue>,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    prev_events: Vec<OwnedEventId>,
    auth_events: Vec<OwnedEventId>,
}

struct Timeline(HashMap<OwnedEventId, Pdu>);

impl EventSource for Timeline {
    type Id = OwnedEventId;

    fn event(&self, id: &OwnedEventId) -> Option<EventView<'_, OwnedEventId>> {
        let pdu = self.0.get(id)?;
        Some(EventView {
            id: &pdu.event_id,
            event_id: pdu.event_id.as_str(),
            room_id: Some(pdu.room_id.as_str()),
            event_type: &pdu.kind,
            state_key: pdu.state_key.as_deref(),
            sender: pdu.sender.as_str(),
            content: pdu.content.get(),
            origin_server_ts: i64::from(pdu.origin_server_ts.get()),
            depth: 0,
            prev_events: &pdu.prev_events,
            auth_events: &pdu.auth_events,
            redacts: None,
            rejected: false,
        })
    }
}

/// A state map as `ruma-state-res` has it, but for the event type, which is borrowed as text here.
type StateMap = HashMap<(String, String), OwnedEventId>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let alice = owned_user_id!("@alice:example.org");
    let mut timeline = Timeline(HashMap::new());
    let mut send =
        |name: &str, kind: StateEventType, key: &str, content: serde_json::Value, cited: &[&str]| {
            let pdu = Pdu {
                event_id: OwnedEventId::try_from(name)?,
                room_id: owned_room_id!("!room:example.org"),
                sender: alice.clone(),
                kind: kind.to_string(),
                state_key: Some(key.to_owned()),
                content: to_raw_value(&content)?,
                origin_server_ts: MilliSecondsSinceUnixEpoch(1_u32.into()),
                prev_events: Vec::new(),
                auth_events: cited
                    .iter()
                    .map(|id| OwnedEventId::try_from(*id))
                    .collect::<Result<_, IdParseError>>()?,
            };
            timeline.0.insert(pdu.event_id.clone(), pdu);
            Ok::<_, Box<dyn std::error::Error>>(())
        };
    let join = serde_json::json!({ "membership": "join" });
    send("$create", StateEventType::RoomCreate, "", serde_json::json!({ "room_version": "11" }), &[])?;
    send("$alice", StateEventType::RoomMember, alice.as_str(), join, &["$create"])?;
    let topic = |topic: &str| serde_json::json!({ "topic": topic });
    send("$cats", StateEventType::RoomTopic, "", topic("cats"), &["$create", "$alice"])?;
    send("$dogs", StateEventType::RoomTopic, "", topic("dogs"), &["$create", "$alice"])?;

    let state = |topic: OwnedEventId| -> StateMap {
        let key = |kind: StateEventType, key: &str| (kind.to_string(), key.to_owned());
        HashMap::from([
            (key(StateEventType::RoomCreate, ""), owned_event_id!("$create")),
            (key(StateEventType::RoomMember, alice.as_str()), owned_event_id!("$alice")),
            (key(StateEventType::RoomTopic, ""), topic),
        ])
    };
    let maps = [state(owned_event_id!("$cats")), state(owned_event_id!("$dogs"))];
    let forks = PlainForks::new(&maps);
    let resolution = resolve(RoomVersion::V11, &forks, &timeline, &ResolveBudget::default())?;
    for step in &resolution.steps {
        println!("{} {:?} {:?}", step.event_id, step.order, step.outcome);
    }
    // Both topics are as good; the event id decides, and the later one stands.
    assert_eq!(forks.state(&resolution)[&("m.room.topic", "")], "$dogs");
    Ok(())
}
