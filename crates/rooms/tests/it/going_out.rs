//! What tenants send to other servers, and how forward extremities are kept few.

use freehold_event::{EventReference, Pdu, ProtoEvent, RoomVersion};
use freehold_rooms::{Identities, Incoming, MemberAction};
use freehold_signing::{KeyId, ServerSigner, SigningKey, sign_event};
use freehold_store::{Actor, Position};
use ruma_common::{EventId, OwnedRoomId, ServerName, UserId};
use serde_json::{Value, json};

use crate::elsewhere::Keys;
use crate::hosted::World;

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";
const EVE: &str = "@eve:far.example";
const SEED: [u8; 32] = [9; 32];

/// The keys of the server that is not hosted here.
pub(crate) fn far_keys() -> Keys {
    let key = SigningKey::from_seed(&SEED).verifying_key().clone();
    Keys([("far.example".to_owned(), key)].into_iter().collect())
}

/// An event of Eve's after some others, authorised by events of the current state.
pub(crate) async fn far_event(
    world: &World,
    (prev, auth): (&[&Pdu], &[(&str, &str)]),
    (event_type, state_key): (&str, Option<&str>),
    content: Value,
) -> Vec<u8> {
    let reader = world.reader();
    let room_id = prev[0].room_id().to_owned();
    let room = reader.room_number(&room_id).await.unwrap().unwrap();
    let state = reader.current_state(room).await.unwrap();
    let mut proto = ProtoEvent::new(UserId::parse(EVE).unwrap(), event_type);
    let parsed = freehold_canonical_json::parse(
        content.to_string().as_bytes(),
        &freehold_canonical_json::Limits::STRICT,
    )
    .map(|value| value.into_object().unwrap().into_owned());
    proto.content = parsed.unwrap();
    proto.state_key = state_key.map(str::to_owned);
    proto.room_id = Some(room_id);
    proto.depth = prev.iter().map(|pdu| pdu.depth()).max().unwrap() + 1;
    proto.origin_server_ts = prev[0].origin_server_ts() + 1;
    proto.prev_events = prev.iter().map(|pdu| EventReference::from(*pdu)).collect();
    for (event_type, state_key) in auth {
        let event = state.get(event_type, state_key).await.unwrap().unwrap();
        proto.auth_events.push(EventReference::from(&event.pdu));
    }
    let new = proto.build(RoomVersion::V12).unwrap();
    let far = ServerName::parse("far.example").unwrap();
    let signer = ServerSigner::new(far, KeyId::parse("ed25519:1").unwrap(), SigningKey::from_seed(&SEED));
    sign_event(new, &signer).unwrap().complete().unwrap().pdu().canonical_json().as_bytes().to_vec()
}

pub(crate) async fn receive(world: &World, room: &OwnedRoomId, json: &[u8]) -> Incoming {
    world.rooms.receive(room, json, &far_keys()).await.unwrap()
}

/// A room of Alice's and Bob's to which Eve comes from elsewhere.
pub(crate) async fn visited_room(world: &World) -> (Actor, Actor, OwnedRoomId) {
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    let last = world.timeline(&room).await.pop().unwrap();
    let auth = [("m.room.power_levels", ""), ("m.room.join_rules", "")];
    let join = (("m.room.member", Some(EVE)), json!({ "membership": "join" }));
    let join = far_event(world, (&[&last.pdu], &auth), join.0, join.1).await;
    let joined = receive(world, &room, &join).await;
    assert!(matches!(joined, Incoming::Kept(None)), "{joined:?}");
    (alice, bob, room)
}

pub(crate) const SPEAKS: [(&str, &str); 2] = [("m.room.power_levels", ""), ("m.room.member", EVE)];

async fn sent(world: &World, actor: &Actor) -> Vec<(String, Vec<String>)> {
    let reader = world.reader();
    let rows = reader.outgoing(actor.tenant.number(), (Position(0), 0), 100).await.unwrap();
    let mut sent = Vec::new();
    for (_, row) in rows {
        let event = reader.event(row.event).await.unwrap();
        let others = row.others.iter().map(ToString::to_string).collect();
        sent.push((event.pdu.event_type().to_owned(), others));
    }
    sent
}

#[tokio::test]
async fn events_of_tenants_go_out_while_others_are_in_the_room() {
    let world = World::new(&["one.example", "two.example"]).await;
    let (alice, bob, room) = visited_room(&world).await;
    assert_eq!(sent(&world, &alice).await, [], "nobody else was there");
    world.say(&alice, &room, "hello").await;
    world.say(&bob, &room, "hello to you").await;
    let message = ("m.room.message".to_owned(), Vec::<String>::new());
    assert_eq!(sent(&world, &alice).await, std::slice::from_ref(&message));
    assert_eq!(sent(&world, &bob).await, std::slice::from_ref(&message));
    // Who is thrown out hears of it, and then no more.
    let eve = MemberAction { user_id: UserId::parse(EVE).unwrap(), reason: None };
    world.rooms.ban(&alice, &room, eve).await.unwrap();
    world.say(&alice, &room, "among ourselves").await;
    let ban = ("m.room.member".to_owned(), vec!["far.example".to_owned()]);
    assert_eq!(sent(&world, &alice).await, [message, ban]);
    // What others say is sent by others.
    let number = world.number(&room).await;
    let servers = world.reader().servers_in(number).await.unwrap();
    assert_eq!(servers.len(), 2);
}

/// An event that follows an old one again and again makes a forward extremity each time.
#[tokio::test]
async fn forward_extremities_stay_few_and_none_is_lost() {
    let world = World::new(&["one.example", "two.example"]).await;
    let (alice, _, room) = visited_room(&world).await;
    let last = world.timeline(&room).await.pop().unwrap();
    let mut most = 0;
    for place in 0..40 {
        let body = json!({ "body": format!("{place}") });
        let said = far_event(&world, (&[&last.pdu], &SPEAKS), ("m.room.message", None), body).await;
        assert!(matches!(receive(&world, &room, &said).await, Incoming::Kept(None)));
        let number = world.number(&room).await;
        most = most.max(world.reader().forward_extremities(number).await.unwrap().len());
    }
    assert!(most <= 11, "{most}");
    assert_eq!(world.visible_bodies(&alice, &room).await.len(), 40);
    // Clients are not shown what ties them up; other servers are sent it.
    let shown = world.timeline(&room).await;
    assert!(shown.iter().all(|event| event.pdu.event_type() != "org.matrix.dummy_event"));
    let tied: Vec<_> = sent(&world, &alice).await;
    assert!(tied.iter().any(|(event_type, _)| event_type == "org.matrix.dummy_event"), "{tied:?}");
    // Everything that was said precedes what is said next.
    world.say(&alice, &room, "and so").await;
    let number = world.number(&room).await;
    assert_eq!(world.reader().forward_extremities(number).await.unwrap().len(), 1);
}

/// A second create event, which the server of the creator can sign at any time in old room versions, changes nothing.
#[tokio::test]
async fn a_room_has_one_create_event() {
    let world = World::new(&["one.example"]).await;
    let alice = world.actor(ALICE).await;
    let room = world.public_room(&alice, "6").await;
    let mut proto = ProtoEvent::new(alice.user_id.clone(), "m.room.create");
    let content = json!({ "creator": ALICE, "room_version": "6", "m.federate": false }).to_string();
    let content =
        freehold_canonical_json::parse(content.as_bytes(), &freehold_canonical_json::Limits::STRICT);
    proto.content = content.unwrap().into_object().unwrap().into_owned();
    proto.state_key = Some(String::new());
    proto.room_id = Some(room.clone());
    proto.depth = 1;
    let new = proto.build(RoomVersion::V6).unwrap();
    let purpose = freehold_keyring::Purpose::Event { sender: &alice.user_id };
    let signer = world.hosted.signer(&alice.tenant, purpose, 0).unwrap();
    let signer: &dyn freehold_signing::Signer = &*signer;
    let create = sign_event(new, &signer).unwrap().complete().unwrap();
    let create = create.pdu().canonical_json().as_bytes().to_vec();
    let key = world.hosted.published_key(&alice.tenant, &KeyId::parse("ed25519:1").unwrap(), 0).unwrap().0;
    let keys = Keys([("one.example".to_owned(), key)].into_iter().collect());
    let answers = [
        world.rooms.receive(&room, &create, &keys).await.unwrap(),
        world.rooms.receive_outliers(&room, &[&create], &keys).await.unwrap().remove(0),
    ];
    for answer in answers {
        assert!(matches!(answer, Incoming::Dropped(_)), "{answer:?}");
    }
    assert_eq!(world.state(&room, "m.room.create", "").await.unwrap().get("m.federate"), None);
}

/// continuwuity 0f0dcb4f5: the signature of a policy server was not asked of every event.
#[tokio::test]
async fn what_the_policy_server_does_not_recommend_is_soft_failed() {
    let world = World::new(&["one.example", "two.example"]).await;
    let (alice, _, room) = visited_room(&world).await;
    let key = SigningKey::from_seed(&[5; 32]);
    let policy =
        json!({ "via": "far.example", "public_keys": { "ed25519": key.verifying_key().to_base64() } });
    world.put(&alice, &room, ("m.room.policy", ""), policy).await.unwrap();
    let last = world.timeline(&room).await.pop().unwrap();
    let said =
        far_event(&world, (&[&last.pdu], &SPEAKS), ("m.room.message", None), json!({ "body": "a" })).await;
    let pdu = freehold_event::RawPdu::new(&said).parse(RoomVersion::V12).unwrap();
    let number = world.number(&room).await;
    let asked = world.reader().policy_server_to_ask(number, &pdu).await.unwrap().unwrap();
    assert_eq!(asked.server_name(), "far.example");
    assert!(matches!(receive(&world, &room, &said).await, Incoming::Kept(Some(_))));
    // Signed by the policy server, with the key in the state.
    let said =
        far_event(&world, (&[&last.pdu], &SPEAKS), ("m.room.message", None), json!({ "body": "b" })).await;
    let pdu = freehold_event::RawPdu::new(&said).parse(RoomVersion::V12).unwrap();
    let far = ServerName::parse("far.example").unwrap();
    let signature = key.sign(pdu.signed_bytes());
    let delivery = freehold_rooms::Delivery { json: &said, state: None, policy: Some((&far, &signature)) };
    let kept = world.rooms.deliver(&room, delivery, &far_keys()).await.unwrap();
    assert!(matches!(kept, Incoming::Kept(None)), "{kept:?}");
    assert_eq!(world.visible_bodies(&alice, &room).await, ["b"]);
    // Nobody can be asked here: what users of ours say is not sent.
    let refused = world.rooms.send(&alice, &room, crate::hosted::message("c")).await;
    assert!(matches!(refused, Err(freehold_rooms::ActionError::Refused { .. })), "{refused:?}");
    // It is kept with that signature, for whoever asks for it.
    let id = EventId::parse(pdu.event_id().as_str()).unwrap();
    let stored = world.reader().event_of_room(number, &id).await.unwrap().unwrap();
    assert!(world.reader().policy_server_to_ask(number, &stored.pdu).await.unwrap().is_none());
}
