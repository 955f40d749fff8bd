//! What users are not told of whom they ignore.

use std::time::Duration;

use freehold_rooms::NewEvent;
use freehold_store::tables::receipts::ReceiptKind;
use freehold_sync::NewReceipt;
use serde_json::{Value, json};

use crate::hosted::raw;
use crate::person::{ALICE, People, bodies, events, joined};

#[tokio::test]
async fn of_ignored_users_only_state_events_are_told() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let first = people.sync(&people.bob, None).await;
    let said = people.world.say(&people.alice, &room, "said").await;
    let read = NewReceipt { event_id: said, kind: ReceiptKind::Read, thread: None };
    people.service.set_receipts(&people.alice, &room, vec![read]).await.unwrap();
    people.service.set_typing(&people.alice, &room, Some(Duration::from_secs(9))).await.unwrap();
    let topic = json!({ "topic": "a topic" });
    people.world.put(&people.alice, &room, ("m.room.topic", ""), topic).await.unwrap();
    for (since, ignores) in [(None, false), (Some(&first), false), (None, true), (Some(&first), true)] {
        if ignores {
            people.ignore(&people.bob, &people.alice).await;
        }
        let answer = people.sync(&people.bob, since).await;
        let room = joined(&answer, &room);
        assert_eq!(bodies(room).is_empty(), ignores);
        let timeline = events(&room["timeline"]);
        assert!(timeline.iter().any(|event| event["content"]["topic"] == "a topic"), "state is told");
        let of_alice = |event: &&Value| event["content"].to_string().contains(ALICE);
        let told = events(&room["ephemeral"]).iter().filter(of_alice).count();
        assert_eq!(told, if ignores { 0 } else { 2 }, "that she types, and up to where she read");
    }
}

#[tokio::test]
async fn what_ignored_users_say_is_not_counted() {
    let people = People::new().await;
    let room = people.shared_room().await;
    people.world.say(&people.alice, &room, "said").await;
    people.ignore(&people.bob, &people.alice).await;
    people.world.say(&people.alice, &room, "said again").await;
    let answer = people.sync(&people.bob, None).await;
    assert_eq!(joined(&answer, &room)["unread_notifications"]["notification_count"], 0);
}

#[tokio::test]
async fn a_thread_is_told_without_what_ignored_users_say_in_it() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let root = people.world.say(&people.bob, &room, "root").await;
    let in_thread = |body: &str| NewEvent {
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: raw(&json!({
            "msgtype": "m.text", "body": body, "m.relates_to": { "rel_type": "m.thread", "event_id": root },
        })),
        transaction_id: None,
    };
    people.world.rooms.send(&people.bob, &room, in_thread("own")).await.unwrap();
    people.world.rooms.send(&people.alice, &room, in_thread("other")).await.unwrap();
    for (count, latest) in [(2, "other"), (1, "own")] {
        let answer = people.sync(&people.bob, None).await;
        let timeline = events(&joined(&answer, &room)["timeline"]);
        let root = timeline.iter().find(|event| event["content"]["body"] == "root").unwrap();
        let thread = &root["unsigned"]["m.relations"]["m.thread"];
        assert_eq!(thread["count"], count);
        assert_eq!(thread["latest_event"]["content"]["body"], latest);
        people.ignore(&people.bob, &people.alice).await;
    }
}
