//! Servers that lie about their rooms, or about their users.

use freehold_event::RoomVersion;
use freehold_rooms::{ActionError, BadAnswer};
use ruma_common::RoomId;
use serde_json::{Value, json};

use crate::entering::state;
use crate::hosted::{World, entry};
use crate::network::Network;

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";
const CAROL: &str = "@carol:three.example";

/// An answer to a join is taken apart by a hostile hand; each time the room is not joined.
#[tokio::test]
async fn what_a_hostile_server_tells_of_a_room_is_not_believed() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 8] = [
        ("members left out", |answer| answer["members_omitted"] = json!(true)),
        ("no create event", |answer| {
            answer["state"].as_array_mut().unwrap().retain(|event| event["type"] != "m.room.create");
        }),
        ("a create event that nobody signed", |answer| {
            for list in ["state", "auth_chain"] {
                for event in answer[list].as_array_mut().unwrap() {
                    if event["type"] == "m.room.create" {
                        event["signatures"] = json!({});
                    }
                }
            }
        }),
        ("no state", |answer| answer["state"] = json!([])),
        ("another room", |answer| {
            for list in ["state", "auth_chain"] {
                for event in answer[list].as_array_mut().unwrap() {
                    event["room_id"] = json!("!other:one.example");
                }
            }
        }),
        ("a state twice", |answer| {
            let mut twice = answer["auth_chain"].as_array().unwrap().clone();
            twice.retain(|event| event["type"] == "m.room.member");
            answer["state"].as_array_mut().unwrap().extend(twice);
        }),
        ("what authorises the state left out", |answer| answer["auth_chain"] = json!([])),
        ("no JSON", |answer| *answer = json!([200, answer.clone()])),
    ];
    for (name, change) in changes {
        let network = Network::new();
        let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
        let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
        let room = one.public_room(&alice, "11").await;
        let profile = json!({ "membership": "join", "displayname": "Alice" });
        one.put(&alice, &room, ("m.room.member", ALICE), profile).await.unwrap();
        network.meddle(move |what, answer| {
            if what != "send_join" {
                return answer;
            }
            let mut answer: Value = serde_json::from_str(&answer).unwrap();
            change(&mut answer);
            answer.to_string()
        });
        let failed = two.rooms.join(&bob, entry(&room, &["one.example"])).await;
        assert!(matches!(failed, Err(ActionError::BadAnswer { .. })), "{name}: {failed:?}");
        assert_eq!(two.membership(&room, BOB).await, None, "{name}");
        // The honest answer is taken afterwards.
        network.leave_alone();
        two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
        assert_eq!(state(&one, &room).await, state(&two, &room).await, "{name}");
    }
}

/// synapse#11012: events whose auth events were rejected came into the state by way of `send_join`.
#[tokio::test]
async fn synapse_11012_what_builds_on_a_rejected_event_does_not_come_with_a_join() {
    let network = Network::new();
    let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
    let evil = network.world(&["three.example"]).await;
    let (alice, bob, carol) = (one.actor(ALICE).await, two.actor(BOB).await, evil.actor(CAROL).await);
    let room = one.public_room(&alice, "11").await;
    evil.rooms.join(&carol, entry(&room, &["one.example"])).await.unwrap();
    network.deliver(&one, &evil).await;
    // Carol makes herself powerful, which no server allows, and names the room by that power.
    let levels =
        forged(&evil, &room, ("m.room.power_levels", json!({ "users": { CAROL: 100 } })), None).await;
    let name = forged(&evil, &room, ("m.room.name", json!({ "name": "mine" })), Some(&levels)).await;
    let topic = forged(&evil, &room, ("m.room.topic", json!({ "topic": "mine" })), None).await;
    network.meddle(move |what, answer| {
        if what != "send_join" {
            return answer;
        }
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        let state = answer["state"].as_array_mut().unwrap();
        state.retain(|event| event["type"] != "m.room.power_levels");
        for event in [&levels, &name, &topic] {
            state.push(serde_json::from_str(event.pdu().canonical_json()).unwrap());
        }
        answer.to_string()
    });
    two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
    for event_type in ["m.room.name", "m.room.topic"] {
        assert_eq!(two.state(&room, event_type, "").await, None, "{event_type}");
    }
    let levels = two.state(&room, "m.room.power_levels", "").await;
    assert!(levels.is_none_or(|levels| levels["users"][CAROL].is_null()));
}

/// An event that its sender's server signed, authorised by the state of the room, and by other power levels.
async fn forged(
    world: &World,
    room: &RoomId,
    (event_type, content): (&str, Value),
    levels: Option<&freehold_signing::SignedPdu>,
) -> freehold_signing::SignedPdu {
    use freehold_event::{EventReference, ProtoEvent};
    use freehold_rooms::Identities;
    let reader = world.reader();
    let number = world.number(room).await;
    let facts = reader.room(number).await.unwrap().unwrap();
    let current = reader.current_state(number).await.unwrap();
    let sender = ruma_common::UserId::parse(CAROL).unwrap();
    let mut proto = ProtoEvent::new(sender.clone(), event_type);
    let text = content.to_string();
    let parsed = freehold_canonical_json::parse(text.as_bytes(), &freehold_canonical_json::Limits::STRICT);
    proto.content = parsed.unwrap().into_object().unwrap().into_owned();
    proto.state_key = Some(String::new());
    proto.room_id = Some(room.to_owned());
    proto.depth = 100;
    proto.origin_server_ts = 1_700_000_000_500;
    for (event_type, state_key) in [("m.room.create", ""), ("m.room.member", CAROL)] {
        let event = current.get(event_type, state_key).await.unwrap().unwrap();
        proto.auth_events.push(EventReference::from(&event.pdu));
        proto.prev_events = vec![EventReference::from(&event.pdu)];
    }
    match levels {
        Some(levels) => proto.auth_events.push(EventReference::from(levels.pdu())),
        None => {
            let levels = current.get("m.room.power_levels", "").await.unwrap().unwrap();
            proto.auth_events.push(EventReference::from(&levels.pdu));
        }
    }
    let new = proto.build(facts.version).unwrap();
    let tenant = world.hosted.tenant(sender.server_name()).unwrap();
    let purpose = freehold_keyring::Purpose::Event { sender: &sender };
    let signer = world.hosted.signer(&tenant, purpose, 0).unwrap();
    let signer: &dyn freehold_signing::Signer = &*signer;
    freehold_signing::sign_event(new, &signer).unwrap().complete().unwrap()
}

/// CVE-2026-24471: whatever a server put into a template was signed.
#[tokio::test]
async fn cve_2026_24471_nothing_of_a_template_is_signed_but_its_place() {
    let network = Network::new();
    let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    let room = one.public_room(&alice, "11").await;
    // Another event: refused.
    network.meddle(|what, template| match what {
        "make_join" => template.replace("\"m.room.member\"", "\"m.room.message\""),
        _ => template,
    });
    let refused = two.rooms.join(&bob, entry(&room, &["one.example"])).await;
    let is_refused = matches!(&refused, Err(ActionError::BadAnswer { source: BadAnswer::Form(_), .. }));
    assert!(is_refused, "{refused:?}");
    // More in the event: left out.
    network.meddle(|what, template| match what {
        "make_join" => {
            template.replace("\"content\":{", "\"redacts\":\"$x\",\"content\":{\"displayname\":\"Eve\",")
        }
        _ => template,
    });
    two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
    let member = two.state(&room, "m.room.member", BOB).await.unwrap();
    assert_eq!(member, json!({ "membership": "join" }));
}

/// CVE-2020-26257, CVE-2019-18835: rooms and ids of the path were not compared with the event, and signatures not checked.
#[tokio::test]
async fn cve_2020_26257_a_sent_event_is_the_one_of_the_path_and_signed() {
    use freehold_rooms::{NotServed, OwnStep, SentMembership};
    let network = Network::new();
    let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    let (room, other) = (one.public_room(&alice, "11").await, one.public_room(&alice, "11").await);
    two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
    let reader = two.reader();
    let state = reader.current_state(two.number(&room).await).await.unwrap();
    let join = state.get("m.room.member", BOB).await.unwrap().unwrap();
    let text = join.pdu.canonical_json().to_owned();
    // One that was never sent here.
    let fresh = text.replace("\"depth\":", "\"depth\":1");
    let fresh_id =
        freehold_event::Pdu::parse(fresh.as_bytes(), RoomVersion::V11).unwrap().event_id().to_owned();
    let origin = bob.tenant.server_name();
    let sent = SentMembership {
        origin,
        room_id: &room,
        event_id: join.pdu.event_id(),
        step: OwnStep::Join,
        event: text.as_bytes(),
    };
    let wrong_id = ruma_common::EventId::parse("$other").unwrap();
    let cases = [
        SentMembership { room_id: &other, ..sent },
        SentMembership { event_id: &wrong_id, ..sent },
        SentMembership { step: OwnStep::Leave, ..sent },
        SentMembership { origin: carol_server(), ..sent },
        SentMembership { event: fresh.as_bytes(), event_id: &fresh_id, ..sent },
    ];
    for case in cases {
        let refused = one.rooms.accept_membership(&alice.tenant, case).await;
        let is_refused = matches!(&refused, Err(NotServed::Invalid(_) | NotServed::BadEvent(_)));
        assert!(is_refused, "{case:?}: {refused:?}");
    }
    assert!(
        one.rooms.accept_membership(&alice.tenant, sent).await.is_ok(),
        "the same event again is no error"
    );
}

fn carol_server() -> &'static ruma_common::ServerName {
    <&ruma_common::ServerName>::try_from("three.example").unwrap()
}
