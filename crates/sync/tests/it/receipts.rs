//! Receipts and unread counts.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use freehold_rooms::NewEvent;
use freehold_store::tables::receipts::ReceiptKind;
use freehold_store::{BoxFuture, Tenant};
use freehold_sync::{NewReceipt, OtherServers, PresenceForAll, PublicReceipt, ReceiptError, ToldPresence};
use ruma_common::{OwnedEventId, OwnedServerName, RoomId, UserId};
use serde_json::{Value, json};

use crate::hosted::raw;
use crate::person::{ALICE, BOB, People, events, filter, joined};

fn receipt(event_id: &OwnedEventId, kind: ReceiptKind) -> Vec<NewReceipt> {
    vec![NewReceipt { event_id: event_id.clone(), kind, thread: None }]
}

fn unread(answer: &Value, room: &RoomId) -> (u64, u64) {
    let counts = &joined(answer, room)["unread_notifications"];
    (counts["notification_count"].as_u64().unwrap(), counts["highlight_count"].as_u64().unwrap())
}

async fn send(people: &People, room: &RoomId, content: Value) {
    let event = NewEvent {
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: raw(&content),
        transaction_id: None,
    };
    people.world.rooms.send(&people.alice, room, event).await.unwrap();
}

#[tokio::test]
async fn a_receipt_is_shown_to_others_and_a_private_one_to_its_user_only() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let said = people.world.say(&people.alice, &room, "a").await;
    let (alice, bob) = (people.sync(&people.alice, None).await, people.sync(&people.bob, None).await);
    for (kind, name, others_see) in
        [(ReceiptKind::ReadPrivate, "m.read.private", false), (ReceiptKind::Read, "m.read", true)]
    {
        people.service.set_receipts(&people.bob, &room, receipt(&said, kind)).await.unwrap();
        let seen = |answer: &Value| {
            events(&joined(answer, &room)["ephemeral"])
                .iter()
                .any(|event| event["content"][said.as_str()][name].get(BOB).is_some())
        };
        assert!(seen(&people.sync(&people.bob, Some(&bob)).await));
        assert_eq!(seen(&people.sync(&people.alice, Some(&alice)).await), others_see, "{name}");
        assert_eq!(seen(&people.sync(&people.alice, None).await), others_see, "{name}");
    }
}

#[tokio::test]
async fn a_receipt_does_not_go_back_and_needs_an_event_of_the_room() {
    let people = People::new().await;
    let (room, other) = (people.shared_room().await, people.shared_room().await);
    let (first, second) = (
        people.world.say(&people.alice, &room, "1").await,
        people.world.say(&people.alice, &room, "2").await,
    );
    people.service.set_receipts(&people.bob, &room, receipt(&second, ReceiptKind::Read)).await.unwrap();
    people.service.set_receipts(&people.bob, &room, receipt(&first, ReceiptKind::Read)).await.unwrap();
    let answer = people.sync(&people.alice, None).await;
    let shown = &events(&joined(&answer, &room)["ephemeral"])[0]["content"];
    assert!(shown.get(second.as_str()).is_some() && shown.get(first.as_str()).is_none());
    let wrong = people.service.set_receipts(&people.bob, &other, receipt(&first, ReceiptKind::Read)).await;
    assert!(matches!(wrong, Err(ReceiptError::UnknownEvent(_))));
    people.world.rooms.leave(&people.bob, &room, None).await.unwrap();
    let gone = people.service.set_receipts(&people.bob, &room, receipt(&second, ReceiptKind::Read)).await;
    assert!(matches!(gone, Err(ReceiptError::NotJoined)));
}

#[tokio::test]
async fn counts_rise_with_what_others_say_and_fall_with_receipts_and_own_messages() {
    let people = People::new().await;
    let room = people.shared_room().await;
    people.sync(&people.bob, None).await;
    people.world.say(&people.alice, &room, "one").await;
    let said = people.world.say(&people.alice, &room, "two").await;
    assert_eq!(unread(&people.sync(&people.bob, None).await, &room), (2, 0));
    let mention = json!({ "msgtype": "m.text", "body": "hello", "m.mentions": { "user_ids": [BOB] } });
    send(&people, &room, mention).await;
    assert_eq!(unread(&people.sync(&people.bob, None).await, &room), (3, 1), "a mention is highlighted");
    people.service.set_receipts(&people.bob, &room, receipt(&said, ReceiptKind::Read)).await.unwrap();
    assert_eq!(unread(&people.sync(&people.bob, None).await, &room), (1, 1));
    people.world.say(&people.bob, &room, "answer").await;
    assert_eq!(unread(&people.sync(&people.bob, None).await, &room), (0, 0));
    assert_eq!(unread(&people.sync(&people.alice, None).await, &room), (1, 0));
}

#[tokio::test]
async fn threads_are_counted_apart_when_asked_for() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let root = people.world.say(&people.alice, &room, "root").await;
    let in_thread = json!({
        "msgtype": "m.text", "body": "in the thread",
        "m.relates_to": { "rel_type": "m.thread", "event_id": root },
    });
    send(&people, &room, in_thread).await;
    assert_eq!(unread(&people.sync(&people.bob, None).await, &room), (2, 0));
    let asked = json!({ "room": { "timeline": { "unread_thread_notifications": true } } });
    let by_thread = |answer: &Value| {
        let threads = &joined(answer, &room)["unread_thread_notifications"];
        threads[root.as_str()]["notification_count"].as_u64()
    };
    let answer = people.sync_with(&people.bob, None, |request| request.filter = filter(asked.clone())).await;
    assert_eq!((unread(&answer, &room), by_thread(&answer)), ((1, 0), Some(1)));
    let of_thread =
        vec![NewReceipt { event_id: root.clone(), kind: ReceiptKind::Read, thread: Some("main".to_owned()) }];
    people.service.set_receipts(&people.bob, &room, of_thread).await.unwrap();
    let answer = people.sync_with(&people.bob, None, |request| request.filter = filter(asked)).await;
    assert_eq!((unread(&answer, &room), by_thread(&answer)), ((0, 0), Some(1)));
}

#[tokio::test]
async fn what_a_user_typed_is_not_shown_to_who_is_elsewhere() {
    let people = People::new().await;
    let room = people.world.rooms.create_room(&people.alice, Default::default()).await.unwrap();
    let error = people.service.set_typing(&people.bob, &room, None).await;
    assert!(error.is_err());
    people.service.set_typing(&people.alice, &room, Some(std::time::Duration::from_secs(5))).await.unwrap();
    let answer = people.sync(&people.alice, None).await;
    assert_eq!(events(&joined(&answer, &room)["ephemeral"])[0]["content"]["user_ids"], json!([ALICE]));
}

/// The events up to which other servers are told that somebody read.
#[derive(Default)]
struct Told(Mutex<Vec<OwnedEventId>>);

impl OtherServers for Told {
    fn typing<'a>(&'a self, _: &'a Tenant, _: (&'a RoomId, &'a UserId), _: bool) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn receipt<'a>(
        &'a self,
        _: &'a Tenant,
        _: (&'a RoomId, &'a UserId),
        receipt: PublicReceipt,
    ) -> BoxFuture<'a, ()> {
        self.0.lock().unwrap().push(receipt.event_id);
        Box::pin(std::future::ready(()))
    }

    fn presence<'a>(
        &'a self,
        _: &'a Tenant,
        _: BTreeSet<OwnedServerName>,
        _: (&'a UserId, &'a ToldPresence),
    ) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn other_servers_are_told_of_receipts_that_are_public_and_go_forward() {
    let told = Arc::new(Told::default());
    let people = People::with(Arc::new(1_700_000_000_000_i64), told.clone(), Arc::new(PresenceForAll)).await;
    let room = people.shared_room().await;
    let (first, second) = (
        people.world.say(&people.alice, &room, "1").await,
        people.world.say(&people.alice, &room, "2").await,
    );
    for event in [&second, &first, &second] {
        people.service.set_receipts(&people.bob, &room, receipt(event, ReceiptKind::Read)).await.unwrap();
    }
    people
        .service
        .set_receipts(&people.alice, &room, receipt(&first, ReceiptKind::ReadPrivate))
        .await
        .unwrap();
    assert_eq!(*told.0.lock().unwrap(), [second]);
}
