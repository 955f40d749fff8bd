//! What another server would say of our rooms, and what we say of its events.

use std::collections::BTreeMap;

use freehold_event::{RawPdu, RoomVersion};
use freehold_rooms::{ActionError, CreateRoom, Identities, Incoming, InitialState, Redaction};
use freehold_signing::{KeyId, KeySource, KeyValidity, PublishedKey, VerifyingKey, verify_event};
use freehold_testkit::{Events, RoomEvent, twin};
use ruma_common::{OwnedRoomId, RoomId, ServerName};
use serde_json::{Value, json};

use crate::hosted::{World, about, entry, message, raw};

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";
const CAROL: &str = "@carol:three.example";
pub(crate) const SERVERS: [&str; 3] = ["one.example", "two.example", "three.example"];

/// The keys that the tenants publish.
pub(crate) struct Published(BTreeMap<String, VerifyingKey>);

impl Published {
    pub(crate) fn of(world: &World) -> Self {
        let key_id = KeyId::parse("ed25519:1").unwrap();
        let key = |server: &str| {
            let tenant = world.hosted.tenant(&ServerName::parse(server).unwrap()).unwrap();
            world.hosted.published_key(&tenant, &key_id, 0).unwrap().0
        };
        Published(world.all_servers().iter().map(|server| ((*server).to_owned(), key(server))).collect())
    }
}

impl KeySource for Published {
    fn key(&self, server: &ServerName, _: &KeyId) -> Option<PublishedKey<'_>> {
        let validity = KeyValidity::Current { valid_until_ts: i64::MAX };
        Some(PublishedKey { key: self.0.get(server.as_str())?, validity })
    }
}

/// People of three tenants do all sorts of things in a room.
pub(crate) async fn lively_room(world: &World, version: &str) -> OwnedRoomId {
    let (alice, bob, carol) = (world.actor(ALICE).await, world.actor(BOB).await, world.actor(CAROL).await);
    let room = world.public_room(&alice, version).await;
    world.join(&bob, &room).await;
    world.say(&bob, &room, "hello").await;
    world.rooms.invite(&alice, &room, about(&carol)).await.unwrap();
    world.rooms.join(&carol, entry(&room, &[])).await.unwrap();
    let said = world.say(&carol, &room, "regretted").await;
    let redaction = Redaction { event_id: said, reason: None, transaction_id: None };
    world.rooms.redact(&carol, &room, redaction).await.unwrap();
    let mut levels = world.state(&room, "m.room.power_levels", "").await.unwrap();
    levels["users"][BOB] = json!(50);
    world.put(&alice, &room, ("m.room.power_levels", ""), levels).await.unwrap();
    world.put(&bob, &room, ("m.room.topic", ""), json!({ "topic": "of mine" })).await.unwrap();
    world.rooms.kick(&bob, &room, about(&carol)).await.unwrap();
    world.join(&carol, &room).await;
    world.rooms.ban(&bob, &room, about(&carol)).await.unwrap();
    world.put(&alice, &room, ("m.room.join_rules", ""), json!({ "join_rule": "invite" })).await.unwrap();
    world.rooms.leave(&bob, &room, None).await.unwrap();
    room
}

fn twin_event(json: &str, version: &'static RoomVersion) -> RoomEvent {
    let pdu = RawPdu::new(json.as_bytes()).parse(version).unwrap();
    let ids = |ids: &[ruma_common::OwnedEventId]| ids.iter().map(ToString::to_string).collect();
    let view = pdu.view();
    RoomEvent {
        event_id: pdu.event_id().to_string(),
        room_id: view.room_id.map(str::to_owned),
        event_type: view.event_type.to_owned(),
        state_key: view.state_key.map(str::to_owned),
        sender: view.sender.to_owned(),
        content: view.content.to_owned(),
        origin_server_ts: view.origin_server_ts,
        depth: view.depth,
        prev_events: ids(view.prev_events),
        auth_events: ids(view.auth_events),
        redacts: view.redacts.map(str::to_owned),
        rejected: false,
        pdu: Some(json.to_owned()),
    }
}

/// The events of a room as they were sent out, oldest first.
async fn texts(world: &World, room: &RoomId) -> Vec<String> {
    world.timeline(room).await.iter().map(|event| event.pdu.canonical_json().to_owned()).collect()
}

#[tokio::test]
async fn every_event_holds_before_a_stranger_and_the_state_is_the_naive_twins() {
    let world = World::new(&SERVERS).await;
    let keys = Published::of(&world);
    for version in RoomVersion::ALL {
        let room = lively_room(&world, version.id()).await;
        let differences = twin::Differences::of(version.id()).unwrap();
        let mut history = twin::History::new(differences);
        let mut events = Events::new();
        let mut last = Vec::new();
        for json in texts(&world, &room).await {
            let pdu = RawPdu::new(json.as_bytes()).parse(version).unwrap();
            verify_event(pdu.check_content_hash(), &keys, i64::MAX / 2).unwrap();
            let event = twin_event(&json, version);
            let before = history.state_before(&event.prev_events, &events);
            let verdict = twin::receive(&event, &before, &events, &differences);
            assert_eq!(verdict, twin::Verdict::Accepted, "{version}: {json}");
            history.record(&event, &before);
            last = vec![event.event_id.clone()];
            events.insert(event.event_id.clone(), event);
        }
        let expected = history.state_before(&last, &events);
        let number = world.number(&room).await;
        let state = world.reader().current_state(number).await.unwrap();
        let ours = state.events().await.unwrap().into_iter().map(|event| {
            let key = (event.pdu.event_type().to_owned(), event.pdu.state_key().unwrap().to_owned());
            (key, event.pdu.event_id().to_string())
        });
        assert_eq!(ours.collect::<BTreeMap<_, _>>(), expected, "{version}");
    }
}

/// A server that signs whatever names one of its users as the authoriser of a join lets anybody in.
#[tokio::test]
async fn nobody_chooses_who_authorises_a_join() {
    let world = World::new(&SERVERS).await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let space = world.public_room(&alice, "12").await;
    let rules =
        json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": space }] });
    let rules = InitialState {
        event_type: "m.room.join_rules".to_owned(),
        state_key: String::new(),
        content: raw(&rules),
    };
    let create = CreateRoom { initial_state: vec![rules], ..CreateRoom::default() };
    let room = world.rooms.create_room(&alice, create).await.unwrap();
    world.join(&bob, &space).await;
    world.join(&bob, &room).await;
    world.rooms.leave(&bob, &room, None).await.unwrap();
    world.rooms.leave(&bob, &space, None).await.unwrap();
    let forged = json!({ "membership": "join", "join_authorised_via_users_server": ALICE });
    let refused = world.put(&bob, &room, ("m.room.member", BOB), forged).await;
    assert!(matches!(refused, Err(ActionError::CannotAuthorise)), "{refused:?}");
    assert_eq!(world.membership(&room, BOB).await.as_deref(), Some("leave"));
}

#[tokio::test]
async fn received_events_are_judged_and_kept() {
    let world = World::new(&SERVERS).await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let keys = Published::of(&world);
    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    let before = world.timeline(&room).await.len();
    let last = world.timeline(&room).await.pop().unwrap();
    // Bob's server says two things at once, of which one is not allowed.
    let known = last.pdu.canonical_json().as_bytes().to_vec();
    assert!(matches!(world.rooms.receive(&room, &known, &keys).await.unwrap(), Incoming::Known));
    let hello = foreign(&world, &last.pdu, (BOB, "m.room.message", None), json!({ "body": "hello" })).await;
    let unsigned = String::from_utf8(hello.clone()).unwrap().replace("two.example\":{", "three.example\":{");
    let dropped = world.rooms.receive(&room, unsigned.as_bytes(), &keys).await.unwrap();
    assert!(matches!(dropped, Incoming::Dropped(_)), "{dropped:?}");
    assert!(matches!(world.rooms.receive(&room, &hello, &keys).await.unwrap(), Incoming::Kept(None)));
    let topic = foreign(&world, &last.pdu, (BOB, "m.room.topic", Some("")), json!({ "topic": "mine" })).await;
    assert!(matches!(world.rooms.receive(&room, &topic, &keys).await.unwrap(), Incoming::Kept(Some(_))));
    assert_eq!(world.timeline(&room).await.len(), before + 1);
    assert_eq!(world.visible_bodies(&alice, &room).await, ["hello"]);
    assert_eq!(world.state(&room, "m.room.topic", "").await, None);
    world.say(&alice, &room, "and to you").await;
    assert_eq!(world.visible_bodies(&bob, &room).await, ["hello", "and to you"]);
}

#[tokio::test]
async fn a_redaction_waits_for_what_it_redacts() {
    let world = World::new(&SERVERS).await;
    let (alice, bob, carol) = (world.actor(ALICE).await, world.actor(BOB).await, world.actor(CAROL).await);
    let keys = Published::of(&world);
    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    world.join(&carol, &room).await;
    let last = world.timeline(&room).await.pop().unwrap();
    for (redactor, is_applied) in [(BOB, true), (CAROL, false)] {
        let body = format!("said before {redactor}");
        let target = foreign(&world, &last.pdu, (BOB, "m.room.message", None), json!({ "body": body })).await;
        let target_id = RawPdu::new(&target).parse(RoomVersion::V12).unwrap().event_id().to_owned();
        let content = json!({ "redacts": target_id });
        let redaction = foreign(&world, &last.pdu, (redactor, "m.room.redaction", None), content).await;
        let before = world.timeline(&room).await.len();
        assert!(matches!(world.rooms.receive(&room, &redaction, &keys).await.unwrap(), Incoming::Kept(None)));
        assert_eq!(world.timeline(&room).await.len(), before, "a redaction is not shown before its target");
        assert!(matches!(world.rooms.receive(&room, &target, &keys).await.unwrap(), Incoming::Kept(None)));
        let shown = world.visible_bodies(&alice, &room).await.contains(&body);
        assert_eq!(shown, !is_applied, "{redactor}");
        let more = if is_applied { 2 } else { 1 };
        assert_eq!(world.timeline(&room).await.len(), before + more, "{redactor}");
    }
    world.rooms.send(&alice, &room, message("goes on")).await.unwrap();
}

/// An event of a server that has seen the room up to `after`.
pub(crate) async fn foreign(
    world: &World,
    after: &freehold_event::Pdu,
    (sender, event_type, state_key): (&str, &str, Option<&str>),
    content: Value,
) -> Vec<u8> {
    use freehold_event::{EventReference, ProtoEvent};
    let sender = ruma_common::UserId::parse(sender).unwrap();
    let tenant = world.hosted.tenant(sender.server_name()).unwrap();
    let mut proto = ProtoEvent::new(sender.clone(), event_type);
    let text = content.to_string();
    let parsed = freehold_canonical_json::parse(text.as_bytes(), &freehold_canonical_json::Limits::STRICT);
    proto.content = parsed.unwrap().into_object().unwrap().into_owned();
    proto.state_key = state_key.map(str::to_owned);
    let redacts = content["redacts"].as_str().filter(|_| event_type == "m.room.redaction");
    proto.redacts = redacts.map(|target| ruma_common::EventId::parse(target).unwrap());
    if matches!(after.version().id(), "1" | "2") {
        let event_id = format!("${event_type}-{}:{}", after.depth(), sender.server_name());
        proto.event_id = Some(ruma_common::EventId::parse(event_id).unwrap());
    }
    proto.room_id = Some(after.room_id().to_owned());
    proto.depth = after.depth() + 1;
    proto.origin_server_ts = after.origin_server_ts() + 1;
    proto.prev_events = vec![EventReference::from(after)];
    proto.auth_events = world.auth_events(after.room_id(), sender.as_str()).await;
    let new = proto.build(after.version()).unwrap();
    let purpose = freehold_keyring::Purpose::Event { sender: &sender };
    let signer = world.hosted.signer(&tenant, purpose, 0).unwrap();
    let signer: &dyn freehold_signing::Signer = &*signer;
    let signed = freehold_signing::sign_event(new, &signer).unwrap().complete().unwrap();
    signed.pdu().canonical_json().as_bytes().to_vec()
}
