//! Users of other servers in rooms of tenants: their events, as their servers would make them.

use freehold_canonical_json::{Limits, Object, Value as JsonValue, parse};
use freehold_event::{EventReference, Pdu, ProtoEvent, RoomVersion};
use freehold_rooms::{CreateRoom, InitialState, Preset};
use freehold_signing::{sign_event, sign_json};
use freehold_store::Actor;
use ruma_common::{OwnedEventId, OwnedRoomId, RoomId, UserId};
use serde_json::{Value, json};

use crate::server::{Ask, NOW_TS, Server, signer};

/// A public room of a tenant's user.
pub(crate) async fn room(server: &Server, actor: &Actor, acl: Option<Value>) -> OwnedRoomId {
    let acl = acl.map(|content| InitialState {
        event_type: "m.room.server_acl".to_owned(),
        state_key: String::new(),
        content: serde_json::value::to_raw_value(&content).unwrap(),
    });
    let create = CreateRoom {
        preset: Some(Preset::PublicChat),
        room_version: Some("11".to_owned()),
        initial_state: acl.into_iter().collect(),
        ..CreateRoom::default()
    };
    server.services().rooms.create_room(actor, create).await.unwrap()
}

/// An event of a user of another server, after everything that is in the room.
pub(crate) struct Event {
    pub(crate) event_id: OwnedEventId,
    pub(crate) json: Value,
}

/// What is in an event.
pub(crate) struct Said<'s> {
    pub(crate) sender: &'s str,
    pub(crate) event_type: &'s str,
    pub(crate) state_key: Option<&'s str>,
    pub(crate) content: Value,
}

/// A message.
pub(crate) fn message<'s>(sender: &'s str, body: &str) -> Said<'s> {
    let content = json!({ "msgtype": "m.text", "body": body });
    Said { sender, event_type: "m.room.message", state_key: None, content }
}

/// A join.
pub(crate) fn join(sender: &str) -> Said<'_> {
    let content = json!({ "membership": "join" });
    Said { sender, event_type: "m.room.member", state_key: Some(sender), content }
}

/// Makes an event, signed by the server of its sender.
pub(crate) async fn made(server: &Server, room_id: &RoomId, said: Said<'_>) -> Event {
    let reader = server.services().rooms.reader().unwrap();
    let room = reader.room_number(room_id).await.unwrap().unwrap();
    let heads = reader.current(room).await.unwrap().unwrap().forward_extremities;
    let heads = reader.events(&heads).await.unwrap();
    let state = reader.current_state(room).await.unwrap();
    let sender = UserId::parse(said.sender).unwrap();
    let mut event = ProtoEvent::new(sender.clone(), said.event_type);
    event.room_id = Some(room_id.to_owned());
    event.state_key = said.state_key.map(str::to_owned);
    event.content = object(&said.content);
    event.origin_server_ts = NOW_TS;
    event.depth = heads.iter().map(|head| head.row.depth).max().unwrap() + 1;
    event.prev_events = heads.iter().map(|head| reference(head.pdu.event_id().to_owned())).collect();
    let keys = [
        ("m.room.create", ""),
        ("m.room.power_levels", ""),
        ("m.room.join_rules", ""),
        ("m.room.member", said.sender),
    ];
    for (event_type, key) in keys {
        // Join rules matter to members only.
        if event_type == "m.room.join_rules" && said.event_type != "m.room.member" {
            continue;
        }
        let found = state.get(event_type, key).await.unwrap();
        event.auth_events.extend(found.map(|found| reference(found.pdu.event_id().to_owned())));
    }
    let signed = sign_event(event.build(RoomVersion::V11).unwrap(), &signer(sender.server_name())).unwrap();
    let json = serde_json::from_str(signed.pdu().canonical_json()).unwrap();
    Event { event_id: signed.pdu().event_id().to_owned(), json }
}

/// Makes an event that another server signed than the one of its sender.
pub(crate) async fn forged(server: &Server, room_id: &RoomId, said: Said<'_>, by: &str) -> Event {
    let mut event = made(server, room_id, said).await;
    let pdu = Pdu::parse(event.json.to_string().as_bytes(), RoomVersion::V11).unwrap();
    let mut signed: Value = serde_json::from_str(pdu.redacted().canonical_json()).unwrap();
    signed["signatures"] = json!({});
    let mut signed = object(&signed);
    sign_json(&mut signed, &signer(by.try_into().unwrap())).unwrap();
    let signed: Value = serde_json::from_slice(&signed.to_canonical_vec()).unwrap();
    event.json["signatures"] = signed["signatures"].clone();
    event
}

/// Sends events to a tenant.
pub(crate) fn sent(origin: &str, transaction: &str, pdus: &[&Value]) -> Ask {
    let body = json!({ "origin": origin, "origin_server_ts": NOW_TS, "pdus": pdus });
    put(origin, transaction, &body)
}

/// Sends an EDU to a tenant.
pub(crate) fn edu(origin: &str, transaction: &str, (edu_type, content): (&str, Value)) -> Ask {
    let edus = [json!({ "edu_type": edu_type, "content": content })];
    put(
        origin,
        transaction,
        &json!({ "origin": origin, "origin_server_ts": NOW_TS, "pdus": [], "edus": edus }),
    )
}

/// Sends a transaction.
pub(crate) fn put(origin: &str, transaction: &str, body: &Value) -> Ask {
    Ask::new("PUT", &format!("/_matrix/federation/v1/send/{transaction}")).by(origin).json(body)
}

/// A user of another server joins a room.
pub(crate) async fn joined(server: &Server, room_id: &RoomId, user_id: &str) -> OwnedEventId {
    let event = made(server, room_id, join(user_id)).await;
    let origin = user_id.split_once(':').unwrap().1;
    let answer = server.send(sent(origin, &format!("join-{user_id}"), &[&event.json])).await.ok();
    assert_eq!(answer, json!({ "pdus": { event.event_id.as_str(): {} } }));
    event.event_id
}

fn reference(event_id: OwnedEventId) -> EventReference {
    EventReference { event_id, reference_hash: None }
}

fn object(value: &Value) -> Object<'static> {
    let text = value.to_string();
    let parsed = parse(text.as_bytes(), &Limits::RELAXED).unwrap();
    JsonValue::into_object(parsed).unwrap().into_owned()
}
