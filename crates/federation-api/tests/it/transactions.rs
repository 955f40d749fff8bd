//! What other servers send.

use std::sync::Arc;

use freehold_federation_api::{RememberedCursor, Transactions};
use freehold_rooms::NewEvent;
use freehold_store::Batch;
use freehold_store::tables::accounts::{DEVICE_NUMBERS, DEVICES, DeviceRow};
use freehold_store::tables::receipts::RECEIPTS;
use freehold_store::tables::rooms::CURRENT_STATE;
use freehold_store::{Order, Position, RoomNumber, Table};
use futures_util::FutureExt as _;
use ruma_common::{EventId, RoomId};
use serde_json::{Value, json};

use crate::foreign::{Said, edu, forged, join, joined, made, message, put, room, sent};
use crate::server::{BOBS, DENIED, NOW_TS, REMOTE, Server};

const ALICE: &str = "@alice:alice.example";
const ROBIN: &str = "@robin:remote.example";

/// Whether an event is shown in a room.
async fn is_shown(server: &Server, room_id: &RoomId, event_id: &EventId) -> bool {
    let reader = server.services().rooms.reader().unwrap();
    let room = reader.room_number(room_id).await.unwrap().unwrap();
    reader.event_of_room(room, event_id).await.unwrap().is_some()
}

#[tokio::test]
async fn a_transaction_is_taken_once_and_answered_the_same_again_even_after_a_restart() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let room_id = room(&server, &alice, None).await;
    joined(&server, &room_id, ROBIN).await;
    let hello = made(&server, &room_id, message(ROBIN, "hello")).await;
    let answer = server.send(sent(REMOTE, "1", &[&hello.json])).await.ok();
    assert_eq!(answer, json!({ "pdus": { hello.event_id.as_str(): {} } }));
    assert!(is_shown(&server, &room_id, &hello.event_id).await);
    // Another body under the same id is not looked at.
    let other = made(&server, &room_id, message(ROBIN, "other")).await;
    assert_eq!(server.send(sent(REMOTE, "1", &[&other.json])).await.ok(), answer);
    written(&server, "1").await;
    for server in [&server, &server.restarted()] {
        assert_eq!(server.send(sent(REMOTE, "1", &[&other.json])).await.ok(), answer);
        assert!(!is_shown(server, &room_id, &other.event_id).await);
    }
    // The id is that of one server at one tenant.
    assert_eq!(server.send(sent(REMOTE, "1", &[]).to(BOBS)).await.ok(), json!({ "pdus": {} }));
    assert_eq!(server.send(sent("other.example", "1", &[])).await.ok(), json!({ "pdus": {} }));
}

/// Waits until the answer to a transaction is written down.
async fn written(server: &Server, id: &str) {
    let rows = freehold_store::tables::federation::TRANSACTIONS;
    let mut is_written = false;
    for _ in 0..1_000 {
        let snapshot = server.ground.store.snapshot().unwrap();
        let kept = snapshot.scan_prefix(&rows, &(), Order::Ascending, usize::MAX).await.unwrap();
        is_written = kept.iter().any(|((.., kept), _)| kept == id);
        if is_written {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(is_written, "transaction {id} is not written down");
}

/// When the process ends before the answer is written down, the events are there all the same.
#[tokio::test]
async fn a_transaction_of_events_that_comes_again_after_a_crash_is_answered_the_same() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let room_id = room(&server, &alice, None).await;
    joined(&server, &room_id, ROBIN).await;
    let hello = made(&server, &room_id, message(ROBIN, "hello")).await;
    let answer = server.send(sent(REMOTE, "1", &[&hello.json])).await.ok();
    let crashed = server.restarted();
    assert!(is_shown(&crashed, &room_id, &hello.event_id).await);
    assert_eq!(crashed.send(sent(REMOTE, "1", &[&hello.json])).await.ok(), answer);
}

#[tokio::test]
async fn twins_of_a_transaction_at_the_same_time_are_taken_once() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let room_id = room(&server, &alice, None).await;
    let event = made(&server, &room_id, join(ROBIN)).await;
    let ask = || server.send(sent(REMOTE, "twin", &[&event.json]));
    let (one, other) = tokio::join!(ask(), ask());
    assert_eq!(one.ok(), other.ok());
}

#[tokio::test]
async fn only_the_last_transactions_are_remembered() {
    let server = Server::start();
    for number in 0..250 {
        let body = json!({ "pdus": [], "edus": [{ "edu_type": "new", "content": {} }] });
        server.send(put(REMOTE, &number.to_string(), &body)).await.ok();
    }
    let rows = freehold_store::tables::federation::TRANSACTIONS;
    let snapshot = server.ground.store.snapshot().unwrap();
    let kept = snapshot.scan_prefix(&rows, &(), Order::Ascending, usize::MAX).await.unwrap();
    assert!((1..=100).contains(&kept.len()), "{}", kept.len());
}

#[tokio::test]
async fn transactions_of_servers_that_never_come_again_are_forgotten_after_a_week() {
    const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1000;
    let server = Server::start();
    let strangers = 300;
    for number in 0..strangers {
        let body = json!({ "pdus": [], "edus": [{ "edu_type": "new", "content": {} }] });
        let origin = ["other.example", REMOTE][number % 2];
        server.send(put(origin, &number.to_string(), &body)).await.ok();
    }
    let kept = async || {
        let snapshot = server.ground.store.snapshot().unwrap();
        let (rows, ages) = (
            freehold_store::tables::federation::TRANSACTIONS,
            freehold_store::tables::federation::TRANSACTION_AGES,
        );
        let rows = snapshot.scan_prefix(&rows, &(), Order::Ascending, usize::MAX).await.unwrap();
        let ages = snapshot.scan_prefix(&ages, &(), Order::Ascending, usize::MAX).await.unwrap();
        assert_eq!(rows.len(), ages.len());
        rows.len()
    };
    let round = async |now_ts: i64| {
        let transactions = Transactions::new(server.ground.store.clone(), Arc::new(now_ts));
        let mut next = Some(RememberedCursor::default());
        while let Some(from) = next {
            next = transactions.forget_old(from).await.unwrap();
        }
    };
    let before = kept().await;
    assert!(before > 0);
    round(NOW_TS + WEEK_MS).await;
    assert_eq!(kept().await, before);
    round(NOW_TS + WEEK_MS + 1).await;
    assert_eq!(kept().await, 0);
}

/// The id of an event does not cover its signatures, so one without any is told by them only while it is not known.
#[tokio::test]
async fn a_known_event_is_answered_before_its_signatures_are_looked_at() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let room_id = room(&server, &alice, None).await;
    joined(&server, &room_id, ROBIN).await;
    let event = made(&server, &room_id, message(ROBIN, "hello")).await;
    let mut unsigned = event.json.clone();
    unsigned["signatures"] = json!({});
    let refused = server.send(sent(REMOTE, "1", &[&unsigned])).await.ok();
    assert!(refused["pdus"][event.event_id.as_str()]["error"].is_string(), "{refused}");
    server.send(sent(REMOTE, "2", &[&event.json])).await.ok();
    let known = server.send(sent(REMOTE, "3", &[&unsigned])).await.ok();
    assert_eq!(known, json!({ "pdus": { event.event_id.as_str(): {} } }));
}

#[tokio::test]
async fn cve_2018_16515_a_server_does_not_speak_for_users_of_another_by_signing_their_events_itself() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let room_id = room(&server, &alice, None).await;
    joined(&server, &room_id, ROBIN).await;
    for sender in [ROBIN, ALICE] {
        let forged = forged(&server, &room_id, message(sender, "forged"), "evil.example").await;
        let answer = server.send(sent("evil.example", sender, &[&forged.json])).await.ok();
        assert!(answer["pdus"][forged.event_id.as_str()]["error"].is_string(), "{answer}");
        assert!(!is_shown(&server, &room_id, &forged.event_id).await);
    }
}

#[tokio::test]
async fn cve_2019_18835_no_membership_comes_in_without_the_signature_of_the_users_server() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let room_id = room(&server, &alice, None).await;
    let forged = forged(&server, &room_id, join("@victim:other.example"), REMOTE).await;
    let answer = server.send(sent(REMOTE, "1", &[&forged.json])).await.ok();
    assert!(answer["pdus"][forged.event_id.as_str()]["error"].is_string(), "{answer}");
    assert!(!is_shown(&server, &room_id, &forged.event_id).await);
}

#[tokio::test]
async fn events_of_a_room_that_the_tenant_is_not_in_change_nothing_though_a_neighbour_is_in_it() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let room_id = room(&server, &alice, None).await;
    joined(&server, &room_id, ROBIN).await;
    let event = made(&server, &room_id, message(ROBIN, "hello")).await;
    let mut elsewhere = event.json.clone();
    elsewhere["room_id"] = "!nothing:alice.example".into();
    let of_the_neighbour = server.send(sent(REMOTE, "1", &[&event.json]).to(BOBS)).await;
    let of_nobody = server.send(sent(REMOTE, "2", &[&elsewhere]).to(BOBS)).await;
    assert_eq!(of_the_neighbour.bytes, of_nobody.bytes);
    assert!(!is_shown(&server, &room_id, &event.event_id).await);
}

/// Servers that believe a tenant to be in a room, and such as want to fill a disk, send without end.
#[tokio::test]
async fn of_a_transaction_of_which_nothing_comes_nothing_is_written() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let room_id = room(&server, &alice, None).await;
    joined(&server, &room_id, ROBIN).await;
    let left = made(&server, &room_id, message(ROBIN, "are you there")).await;
    server.services().rooms.leave(&alice, &room_id, None).await.unwrap();
    let mut elsewhere = left.json.clone();
    elsewhere["room_id"] = "!nothing:alice.example".into();
    let before = server.ground.store.snapshot().unwrap().position();
    let contents = [vec![], vec![&left.json], vec![&elsewhere]];
    for (place, events) in contents.iter().enumerate() {
        let answer = server.send(sent(REMOTE, &place.to_string(), events)).await.ok();
        assert_eq!(answer, json!({ "pdus": {} }));
    }
    assert_eq!(server.ground.store.snapshot().unwrap().position(), before);
}

#[tokio::test]
async fn who_is_shut_out_of_a_room_is_not_heard_in_it() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let acl = json!({ "allow": ["*"], "deny": ["REMOTE.*"] });
    let open = room(&server, &alice, None).await;
    joined(&server, &open, ROBIN).await;
    let event = made(&server, &open, message(ROBIN, "hello")).await;
    let acl = NewEvent {
        event_type: "m.room.server_acl".to_owned(),
        state_key: Some(String::new()),
        content: serde_json::value::to_raw_value(&acl).unwrap(),
        transaction_id: None,
    };
    server.services().rooms.send(&alice, &open, acl).await.unwrap();
    let answer = server.send(sent(REMOTE, "1", &[&event.json])).await.ok();
    let error = answer["pdus"][event.event_id.as_str()]["error"].as_str().unwrap();
    assert_eq!(error, "the room does not let your server speak");
    assert!(!is_shown(&server, &open, &event.event_id).await);
    let typing = json!({ "room_id": open, "user_id": ROBIN, "typing": true });
    server.send(edu(REMOTE, "2", ("m.typing", typing))).await.ok();
    let receipt = json!({ open.as_str(): { "m.read": { ROBIN: receipt(&event.event_id) } } });
    server.send(edu(REMOTE, "3", ("m.receipt", receipt))).await.ok();
    assert_eq!(receipts(&server).await, 0);
}

#[tokio::test]
async fn too_much_in_one_transaction_is_refused_before_any_of_it_is_looked_at() {
    let server = Server::start();
    let many = |count: usize| vec![json!({}); count];
    for (pdus, edus, status) in [(50, 100, 200), (51, 0, 400), (0, 101, 400)] {
        let body = json!({ "pdus": many(pdus), "edus": many(edus) });
        let answer = server.send(put(REMOTE, &format!("{pdus}-{edus}"), &body)).await;
        assert_eq!(answer.status.as_u16(), status, "{pdus} {edus}");
    }
    let long = "x".repeat(256);
    assert_eq!(server.send(put(REMOTE, &long, &json!({}))).await.error(), (400, "M_INVALID_PARAM"));
    // Refused, it is not remembered, and can be sent rightly.
    server.send(put(REMOTE, "51-0", &json!({ "pdus": [] }))).await.ok();
}

#[tokio::test]
async fn what_is_no_event_and_no_edu_harms_nothing_else_in_its_transaction() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let room_id = room(&server, &alice, None).await;
    joined(&server, &room_id, ROBIN).await;
    let event = made(&server, &room_id, message(ROBIN, "hello")).await;
    let nonsense = [
        json!(5),
        json!({ "room_id": 5 }),
        json!({ "room_id": room_id, "depth": "deep" }),
        json!({ "room_id": room_id, "type": "m.room.message", "content": 5 }),
    ];
    let edus = [json!(null), json!({ "edu_type": "m.typing", "content": [] }), json!({ "edu_type": "new" })];
    let mut pdus: Vec<&Value> = nonsense.iter().collect();
    pdus.push(&event.json);
    let answer = server.send(put(REMOTE, "1", &json!({ "pdus": pdus, "edus": edus }))).await.ok();
    assert_eq!(answer["pdus"][event.event_id.as_str()], json!({}));
    assert!(is_shown(&server, &room_id, &event.event_id).await);
}

fn receipt(event_id: &EventId) -> Value {
    json!({ "event_ids": [event_id], "data": { "ts": 5 } })
}

/// How many receipts there are.
async fn receipts(server: &Server) -> usize {
    let snapshot = server.ground.store.snapshot().unwrap();
    snapshot.scan_prefix(&RECEIPTS, &(), Order::Ascending, usize::MAX).await.unwrap().len()
}

/// Also CVE-2023-42453, by way of the federation.
#[tokio::test]
async fn a_server_says_of_its_own_users_in_the_room_only_what_they_read() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let room_id = room(&server, &alice, None).await;
    let event_id = joined(&server, &room_id, ROBIN).await;
    let told = |user: &str, kind: &str| {
        ("m.receipt", json!({ room_id.as_str(): { kind: { user: receipt(&event_id) } } }))
    };
    let forged = [
        (told(ALICE, "m.read"), "a tenant's user"),
        (told("@other:other.example", "m.read"), "another server's user"),
        (told("@absent:remote.example", "m.read"), "a user who is not in the room"),
        (told(ROBIN, "m.read.private"), "a private receipt"),
        (told("nonsense", "m.read"), "nobody"),
    ];
    for (told, who) in forged {
        server.send(edu(REMOTE, &who.replace(' ', "-"), told)).await.ok();
        assert_eq!(receipts(&server).await, 0, "{who}");
    }
    // To a tenant that is not in the room it is about nothing.
    server.send(edu(REMOTE, "bob", told(ROBIN, "m.read")).to(BOBS)).await.ok();
    assert_eq!(receipts(&server).await, 0);
    server.send(edu(REMOTE, "right", told(ROBIN, "m.read"))).await.ok();
    assert_eq!(receipts(&server).await, 1);
}

#[tokio::test]
async fn a_receipt_may_come_with_the_event_that_it_is_about() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let room_id = room(&server, &alice, None).await;
    joined(&server, &room_id, ROBIN).await;
    let event = made(&server, &room_id, message(ROBIN, "hello")).await;
    let read = json!({ room_id.as_str(): { "m.read": { ROBIN: receipt(&event.event_id) } } });
    let edu = json!({ "edu_type": "m.receipt", "content": read });
    let body = json!({ "pdus": [event.json], "edus": [edu] });
    server.send(put(REMOTE, "1", &body)).await.ok();
    assert_eq!(receipts(&server).await, 1);
}

/// A device of a user, into which messages come.
async fn device(server: &Server, user_id: &str) -> freehold_store::DeviceNumber {
    let actor = server.ground.actor(user_id).await;
    let (number, mut batch) = (actor.device.unwrap(), Batch::new());
    let device_id = "DEVICE".to_owned();
    batch.put(&DEVICE_NUMBERS, &(actor.user, device_id.clone()), &number);
    batch.put(
        &DEVICES,
        &number,
        &DeviceRow { user: actor.user, device_id, display_name: None, created_ts: 0 },
    );
    server.ground.store.commit(batch).await.unwrap();
    number
}

async fn messages(server: &Server, device: freehold_store::DeviceNumber) -> usize {
    let snapshot = server.ground.store.snapshot().unwrap();
    let page = server.services().encryption.to_device_since(&snapshot, device, Position(0), 100).await;
    page.unwrap().messages.len()
}

/// Also continuwuity SEC12: messages to users of other servers were taken in.
#[tokio::test]
async fn messages_for_devices_come_once_from_their_sender_to_users_of_the_tenant() {
    let server = Server::start();
    let (alices, bobs) = (device(&server, ALICE).await, device(&server, "@bob:bob.example").await);
    let to_device = |sender: &str, message_id: &str| {
        let messages = json!({
            ALICE: { "DEVICE": {} },
            "@bob:bob.example": { "*": {} },
            "@other:other.example": { "*": {} },
        });
        let content =
            json!({ "sender": sender, "type": "m.test", "message_id": message_id, "messages": messages });
        ("m.direct_to_device", content)
    };
    server.send(edu(REMOTE, "1", to_device(ROBIN, "a"))).await.ok();
    assert_eq!((messages(&server, alices).await, messages(&server, bobs).await), (1, 0));
    server.send(edu(REMOTE, "2", to_device(ROBIN, "a"))).await.ok();
    assert_eq!(messages(&server, alices).await, 1, "the same message in another transaction");
    server.send(edu(REMOTE, "3", to_device("@other:other.example", "b"))).await.ok();
    server.send(edu(REMOTE, "4", to_device(ALICE, "c"))).await.ok();
    server.send(edu(REMOTE, "5", to_device(ROBIN, &"x".repeat(200)))).await.ok();
    assert_eq!(messages(&server, alices).await, 1, "forged or malformed");
    server.send(edu("other.example", "6", to_device("@other:other.example", "a"))).await.ok();
    assert_eq!(messages(&server, alices).await, 2, "message ids are each server's own");
    server.send(edu(DENIED, "7", to_device("@x:denied.example", "a"))).await;
    assert_eq!(messages(&server, alices).await, 2, "from a denied server");
    // What nobody here gets leaves nothing behind.
    let noted = async || {
        let rows = freehold_store::tables::encryption::TO_DEVICE_RECEIVED;
        let snapshot = server.ground.store.snapshot().unwrap();
        snapshot.scan_prefix(&rows, &(), Order::Ascending, usize::MAX).await.unwrap().len()
    };
    let before = noted().await;
    for (number, messages) in [
        json!({}),
        json!({ "@nobody:alice.example": { "*": {} } }),
        json!({ "@bob:bob.example": { "*": {} } }),
    ]
    .into_iter()
    .enumerate()
    {
        let message_id = format!("for-nobody-{number}");
        let content =
            json!({ "sender": ROBIN, "type": "m.test", "message_id": message_id, "messages": messages });
        server.send(edu(REMOTE, &message_id, ("m.direct_to_device", content))).await.ok();
    }
    assert_eq!(noted().await, before);
}

#[tokio::test]
async fn typing_is_heard_of_the_servers_own_users_in_the_room_only() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let room_id = room(&server, &alice, None).await;
    joined(&server, &room_id, ROBIN).await;
    let waiting = server.ground.store.wakes().wait_for(alice.user);
    let typing = |user: &str| ("m.typing", json!({ "room_id": room_id, "user_id": user, "typing": true }));
    for (number, user) in [ALICE, "@other:other.example", "@absent:remote.example"].iter().enumerate() {
        server.send(edu(REMOTE, &number.to_string(), typing(user))).await.ok();
    }
    server.send(edu(REMOTE, "bob", typing(ROBIN)).to(BOBS)).await.ok();
    let mut waiting = std::pin::pin!(waiting.woken());
    assert!(waiting.as_mut().now_or_never().is_none(), "nobody was told of what was forged");
    server.send(edu(REMOTE, "right", typing(ROBIN))).await.ok();
    assert!(waiting.as_mut().now_or_never().is_some());
}

/// Who may do everything in one room takes nothing from another, not by way of a neighbour either.
#[tokio::test]
async fn a_redaction_of_one_room_does_nothing_in_another() {
    let server = Server::start();
    let (alice, bob) = (server.ground.actor(ALICE).await, server.ground.actor("@bob:bob.example").await);
    let room_id = room(&server, &alice, None).await;
    joined(&server, &room_id, ROBIN).await;
    let evil = "@evil:denied.example";
    let levels = json!({ "users": { "@bob:bob.example": 100, evil: 100 } });
    let create = freehold_rooms::CreateRoom {
        preset: Some(freehold_rooms::Preset::PublicChat),
        room_version: Some("11".to_owned()),
        power_level_content_override: Some(serde_json::value::to_raw_value(&levels).unwrap()),
        ..freehold_rooms::CreateRoom::default()
    };
    let own = server.services().rooms.create_room(&bob, create).await.unwrap();
    let into_own = made(&server, &own, join(evil)).await;
    let answer = server.send(sent(DENIED, "join", &[&into_own.json]).to(BOBS)).await.ok();
    assert_eq!(answer, json!({ "pdus": { into_own.event_id.as_str(): {} } }));
    let hello = made(&server, &room_id, message(ROBIN, "hello")).await;
    let redaction = Said {
        sender: evil,
        event_type: "m.room.redaction",
        state_key: None,
        content: json!({ "redacts": hello.event_id }),
    };
    let redaction = made(&server, &own, redaction).await;
    let answer = server.send(sent(DENIED, "1", &[&redaction.json]).to(BOBS)).await.ok();
    assert_eq!(answer, json!({ "pdus": { redaction.event_id.as_str(): {} } }));
    let answer = server.send(sent(REMOTE, "1", &[&hello.json])).await.ok();
    assert_eq!(answer, json!({ "pdus": { hello.event_id.as_str(): {} } }));
    let reader = server.services().rooms.reader().unwrap();
    let room = reader.room_number(&room_id).await.unwrap().unwrap();
    let shown = reader.event_of_room(room, &hello.event_id).await.unwrap().unwrap();
    assert!(shown.pdu.content().contains("hello"));
    assert_eq!(
        reader.event_of_room(room, &redaction.event_id).await.unwrap().map(|event| event.row.room),
        None
    );
}

/// synapse#7543: one bad event failed a whole transaction.
#[tokio::test]
async fn synapse_7543_a_damaged_room_keeps_no_events_of_others_from_being_taken() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let (damaged, sound) = (room(&server, &alice, None).await, room(&server, &alice, None).await);
    joined(&server, &damaged, ROBIN).await;
    let other = "@other:remote.example";
    joined(&server, &sound, other).await;
    let lost = made(&server, &damaged, message(ROBIN, "lost")).await;
    let hello = made(&server, &sound, message(other, "hello")).await;
    let number = server.services().rooms.reader().unwrap().room_number(&damaged).await.unwrap().unwrap();
    let mut batch = Batch::new();
    batch.put(&Table::<RoomNumber, ()>::new(CURRENT_STATE.id, CURRENT_STATE.name), &number, &());
    server.ground.store.commit(batch).await.unwrap();
    let server = server.restarted();
    let answer = server.send(sent(REMOTE, "1", &[&lost.json, &hello.json])).await.ok();
    assert_eq!(answer["pdus"][hello.event_id.as_str()], json!({}));
    assert!(is_shown(&server, &sound, &hello.event_id).await);
}
