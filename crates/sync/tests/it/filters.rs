//! What filters choose.

use std::time::Duration;

use freehold_store::tables::receipts::ReceiptKind;
use freehold_sync::NewReceipt;
use serde_json::{Value, json};

use crate::person::{People, events, filter, joined};

#[tokio::test]
async fn each_part_of_a_room_may_be_wanted_of_some_rooms_only() {
    let people = People::new().await;
    let (one, two) = (people.shared_room().await, people.shared_room().await);
    for room in [&one, &two] {
        people.service.set_typing(&people.alice, room, Some(Duration::from_secs(9))).await.unwrap();
    }
    for part in ["timeline", "state", "ephemeral"] {
        for chosen in [json!({ "rooms": [one] }), json!({ "not_rooms": [two] })] {
            let mut asked = json!({ "room": { "timeline": { "limit": 2 } } });
            asked["room"][part] = chosen;
            if part == "timeline" {
                asked["room"][part]["limit"] = json!(2);
            }
            let answer = people.sync_with(&people.bob, None, |request| request.filter = filter(asked)).await;
            for other in ["timeline", "state", "ephemeral"] {
                assert!(!events(&joined(&answer, &one)[other]).is_empty(), "{part} {other}");
                let is_empty = events(&joined(&answer, &two)[other]).is_empty();
                assert_eq!(is_empty, other == part, "{part} {other}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn no_more_of_what_is_beside_the_timeline_is_told_than_the_limit_says() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let said = people.world.say(&people.alice, &room, "said").await;
    let read = NewReceipt { event_id: said, kind: ReceiptKind::Read, thread: None };
    people.service.set_receipts(&people.alice, &room, vec![read]).await.unwrap();
    people.service.set_typing(&people.alice, &room, Some(Duration::from_secs(9))).await.unwrap();
    for limit in 0..3 {
        let asked = json!({ "room": { "ephemeral": { "limit": limit } } });
        let answer = people.sync_with(&people.bob, None, |request| request.filter = filter(asked)).await;
        assert_eq!(events(&joined(&answer, &room)["ephemeral"]).len(), limit);
    }
}

#[tokio::test]
async fn events_come_as_they_go_between_servers_when_that_is_asked_for() {
    let people = People::new().await;
    let room = people.shared_room().await;
    people.world.say(&people.alice, &room, "said").await;
    for (format, as_between_servers) in [("client", false), ("federation", true)] {
        let asked = json!({ "event_format": format, "room": { "timeline": { "limit": 1 } } });
        let answer = people.sync_with(&people.bob, None, |request| request.filter = filter(asked)).await;
        let room = joined(&answer, &room);
        let all: Vec<Value> = [events(&room["timeline"]), events(&room["state"])].concat();
        assert!(all.len() > 5);
        for event in all {
            assert_eq!(event.get("auth_events").is_some(), as_between_servers, "{event}");
            assert_eq!(event.get("hashes").is_some(), as_between_servers, "{event}");
            assert_eq!(event.get("event_id").is_none(), as_between_servers, "{event}");
        }
    }
}
