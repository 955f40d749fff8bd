//! Users of other servers in rooms of tenants: their events, as their servers would make them.

use freehold_canonical_json::{Limits, Object, parse};
use freehold_event::{EventReference, ProtoEvent, RoomVersion};
use freehold_rooms::{Incoming, Rooms};
use freehold_signing::sign_event;
use freehold_store::Clock as _;
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};

use super::ground::{KnownKeys, Now, failed, signer};
use crate::rows::Outcome;

/// A room as those elsewhere know it.
pub(crate) struct Elsewhere {
    pub(crate) room_id: OwnedRoomId,
    /// The events that authorise everything: create event and power levels.
    basis: Vec<OwnedEventId>,
    join_rules: OwnedEventId,
    /// What the next event of the setting up follows.
    pub(crate) head: OwnedEventId,
    pub(crate) depth: i64,
}

/// Somebody of another server who is in a room.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) user_id: OwnedUserId,
    join: OwnedEventId,
}

/// An event with its text.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) event_id: OwnedEventId,
    pub(crate) text: String,
}

impl Elsewhere {
    /// A room that has one forward extremity.
    pub(crate) async fn of(rooms: &Rooms, room_id: &RoomId) -> Outcome<Self> {
        let said = failed("read a room");
        let reader = rooms.reader().map_err(|error| said(&error))?;
        let number =
            reader.room_number(room_id).await.map_err(|error| said(&error))?.ok_or("no such room")?;
        let row =
            reader.current(number).await.map_err(|error| said(&error))?.ok_or("a room without a state")?;
        let heads = reader.events(&row.forward_extremities).await.map_err(|error| said(&error))?;
        let head = heads.first().ok_or("a room without a head")?;
        let state = reader.current_state(number).await.map_err(|error| said(&error))?;
        let mut found = Vec::new();
        for event_type in ["m.room.create", "m.room.power_levels", "m.room.join_rules"] {
            let event = state.get(event_type, "").await.map_err(|error| said(&error))?;
            found.push(event.ok_or("a room without its state")?.pdu.event_id().to_owned());
        }
        let join_rules = found.pop().ok_or("a room without join rules")?;
        Ok(Elsewhere {
            room_id: room_id.to_owned(),
            basis: found,
            join_rules,
            head: head.pdu.event_id().to_owned(),
            depth: head.row.depth,
        })
    }

    /// Somebody of another server joins the room; it has one head then.
    pub(crate) async fn join(&mut self, rooms: &Rooms, keys: &KnownKeys, user_id: &str) -> Outcome<Member> {
        let sender = UserId::parse(user_id).map_err(|error| error.to_string())?;
        let mut join = self.event(&sender, "m.room.member", &json!({ "membership": "join" }));
        join.state_key = Some(sender.to_string());
        join.auth_events.push(self.join_rules.clone().into());
        join.prev_events = vec![self.head.clone().into()];
        self.depth += 1;
        join.depth = self.depth;
        let made = signed(join)?;
        let received = rooms.receive(&self.room_id, made.text.as_bytes(), keys).await;
        match received.map_err(|error| failed("receive a join")(&error))? {
            Incoming::Kept(None) => {}
            other => return Err(format!("a join came to {other:?}")),
        }
        self.head = made.event_id.clone();
        Ok(Member { user_id: sender, join: made.event_id })
    }

    /// A message after some events.
    pub(crate) fn message(
        &self,
        by: &Member,
        (body, depth): (&str, i64),
        after: &[OwnedEventId],
    ) -> Outcome<Made> {
        let content = json!({ "msgtype": "m.text", "body": body });
        let mut event = self.event(&by.user_id, "m.room.message", &content);
        event.auth_events.push(by.join.clone().into());
        event.prev_events = after.iter().cloned().map(EventReference::from).collect();
        event.depth = depth;
        signed(event)
    }

    fn event(&self, sender: &UserId, event_type: &str, content: &Value) -> ProtoEvent {
        let mut event = ProtoEvent::new(sender.to_owned(), event_type);
        event.room_id = Some(self.room_id.clone());
        event.content = object(content);
        event.origin_server_ts = Now.now_ts();
        event.auth_events = self.basis.iter().cloned().map(EventReference::from).collect();
        event
    }
}

fn signed(event: ProtoEvent) -> Outcome<Made> {
    let signer = signer(event.sender.server_name());
    let event = event.build(RoomVersion::V11).map_err(|error| failed("make an event")(&error))?;
    let signed = sign_event(event, &signer).map_err(|error| failed("sign an event")(&error))?;
    let (pdu, event_id) = (signed.pdu(), signed.pdu().event_id().to_owned());
    Ok(Made { event_id, text: pdu.canonical_json().to_owned() })
}

fn object(content: &Value) -> Object<'static> {
    let text = content.to_string();
    let value = parse(text.as_bytes(), &Limits::STRICT).expect("JSON").into_owned();
    value.into_object().expect("an object")
}
