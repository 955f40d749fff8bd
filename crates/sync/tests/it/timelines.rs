//! Which rooms and events a sync shows.

use freehold_rooms::{Between, CreateRoom};
use freehold_store::Order;
use freehold_sync::TimelineToken;
use ruma_common::RoomId;
use serde_json::{Value, json};

use crate::hosted::{about, entry};
use crate::person::{BOB, People, bodies, events, filter, joined};

#[tokio::test]
async fn what_was_said_since_the_last_sync_is_shown_once() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let first = people.sync(&people.bob, None).await;
    assert_eq!(joined(&first, &room)["timeline"]["events"].as_array().unwrap().len(), 8);
    people.world.say(&people.alice, &room, "one").await;
    people.world.say(&people.bob, &room, "two").await;
    let second = people.sync(&people.bob, Some(&first)).await;
    assert_eq!(bodies(joined(&second, &room)), ["one", "two"]);
    assert_eq!(joined(&second, &room)["timeline"]["limited"], false);
    let third = people.sync(&people.bob, Some(&second)).await;
    assert_eq!(third.get("rooms"), None);
    let again = people.sync(&people.bob, Some(&first)).await;
    assert_eq!(bodies(joined(&again, &room)), ["one", "two"], "a token can be used again");
}

#[tokio::test]
async fn a_gap_is_said_to_be_one_and_the_state_in_it_is_told() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let first = people.sync(&people.bob, None).await;
    people.world.put(&people.alice, &room, ("m.room.topic", ""), json!({ "topic": "t" })).await.unwrap();
    for number in 0..15 {
        people.world.say(&people.alice, &room, &number.to_string()).await;
    }
    let answer = people.sync(&people.bob, Some(&first)).await;
    let room = joined(&answer, &room);
    assert_eq!(room["timeline"]["limited"], true);
    assert_eq!(bodies(room), ["5", "6", "7", "8", "9", "10", "11", "12", "13", "14"]);
    assert_eq!(events(&room["state"]).len(), 1);
    assert_eq!(events(&room["state"])[0]["content"]["topic"], "t");
    assert!(room["timeline"]["prev_batch"].as_str().unwrap().starts_with('t'));
}

#[tokio::test]
async fn an_invite_comes_with_its_stripped_state_and_goes_when_it_is_declined() {
    let people = People::new().await;
    let create = CreateRoom {
        invite: vec![people.bob.user_id.clone()],
        name: Some("n".into()),
        ..CreateRoom::default()
    };
    let room = people.world.rooms.create_room(&people.alice, create).await.unwrap();
    let invited = people.sync(&people.bob, None).await;
    let stripped = events(&invited["rooms"]["invite"][room.as_str()]["invite_state"]);
    let of_type = |wanted: &str| stripped.iter().any(|event| event["type"] == wanted);
    assert!(of_type("m.room.name") && of_type("m.room.create") && of_type("m.room.member"), "{stripped:?}");
    people.world.rooms.leave(&people.bob, &room, None).await.unwrap();
    let left = people.sync(&people.bob, Some(&invited)).await;
    assert!(left["rooms"]["leave"].get(room.as_str()).is_some());
    assert!(left["rooms"].get("invite").is_none());
    let hidden = events(&left["rooms"]["leave"][room.as_str()]["timeline"]);
    assert!(hidden.iter().all(|event| event["type"] != "m.room.name"), "{hidden:?}");
}

#[tokio::test]
async fn invites_of_ignored_users_are_not_shown() {
    let people = People::new().await;
    people.ignore(&people.bob, &people.alice).await;
    let create = CreateRoom { invite: vec![people.bob.user_id.clone()], ..CreateRoom::default() };
    people.world.rooms.create_room(&people.alice, create).await.unwrap();
    let answer = people.sync(&people.bob, None).await;
    assert!(answer.get("rooms").is_none(), "{answer}");
}

#[tokio::test]
async fn who_was_kicked_is_told_and_sees_nothing_of_what_follows() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let first = people.sync(&people.bob, None).await;
    people.world.say(&people.alice, &room, "before").await;
    people.world.rooms.kick(&people.alice, &room, about(&people.bob)).await.unwrap();
    people.world.say(&people.alice, &room, "after").await;
    let answer = people.sync(&people.bob, Some(&first)).await;
    let left = &answer["rooms"]["leave"][room.as_str()];
    assert_eq!(bodies(left), ["before"]);
    assert!(answer["rooms"].get("join").is_none());
    assert_eq!(people.sync(&people.bob, Some(&answer)).await.get("rooms"), None);
    assert!(
        people.sync(&people.bob, None).await.get("rooms").is_none(),
        "left rooms are not in a first sync"
    );
    let with_left = people
        .sync_with(&people.bob, None, |request| {
            request.filter = filter(json!({ "room": { "include_leave": true } }))
        })
        .await;
    assert!(with_left["rooms"]["leave"].get(room.as_str()).is_some());
}

#[tokio::test]
async fn who_joins_later_sees_of_the_past_what_the_room_allows() {
    let people = People::new().await;
    for (visibility, sees) in [("shared", true), ("joined", false)] {
        let room = people.world.public_room(&people.alice, "12").await;
        let content = json!({ "history_visibility": visibility });
        people.world.put(&people.alice, &room, ("m.room.history_visibility", ""), content).await.unwrap();
        people.world.say(&people.alice, &room, "past").await;
        let before = people.sync(&people.bob, None).await;
        people.world.rooms.join(&people.bob, entry(&room, &["one.example"])).await.unwrap();
        people.world.say(&people.alice, &room, "present").await;
        let answer = people.sync(&people.bob, Some(&before)).await;
        let room = joined(&answer, &room);
        assert_eq!(bodies(room).contains(&"past"), sees, "{visibility}");
        assert!(bodies(room).contains(&"present"));
        assert_eq!(room["summary"]["m.joined_member_count"], 2);
    }
}

#[tokio::test]
async fn filters_choose_rooms_and_events() {
    let people = People::new().await;
    let (one, two) = (people.shared_room().await, people.shared_room().await);
    people.world.say(&people.alice, &one, "a").await;
    people.world.put(&people.alice, &one, ("m.room.topic", ""), json!({ "topic": "t" })).await.unwrap();
    let asked =
        json!({ "room": { "not_rooms": [two], "timeline": { "types": ["m.room.message"], "limit": 1 } } });
    let answer = people.sync_with(&people.bob, None, |request| request.filter = filter(asked)).await;
    assert!(answer["rooms"]["join"].get(two.as_str()).is_none());
    assert_eq!(bodies(joined(&answer, &one)), ["a"]);
    assert_eq!(events(&joined(&answer, &one)["timeline"]).len(), 1);
}

#[tokio::test]
async fn a_room_that_nobody_touched_is_not_in_the_answer() {
    let people = People::new().await;
    let (one, two) = (people.shared_room().await, people.shared_room().await);
    let first = people.sync(&people.bob, None).await;
    people.world.say(&people.alice, &one, "a").await;
    let answer = people.sync(&people.bob, Some(&first)).await;
    assert!(answer["rooms"]["join"].get(one.as_str()).is_some());
    assert!(answer["rooms"]["join"].get(two.as_str()).is_none());
    let members: &Value = &joined(&first, &two)["state"];
    assert!(
        events(members).iter().all(|event| event["state_key"] != BOB || event["type"] == "m.room.member")
    );
}

#[tokio::test]
async fn of_events_a_device_gets_the_fields_that_its_filter_names() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let first = people.sync(&people.bob, None).await;
    people.world.say(&people.alice, &room, "short").await;
    people.world.put(&people.alice, &room, ("m.room.topic", ""), json!({ "topic": "t" })).await.unwrap();
    let wanted = json!({ "event_fields": ["type", "content.body"], "room": { "timeline": { "limit": 1 } } });
    let answer =
        |since| people.sync_with(&people.bob, since, |request| request.filter = filter(wanted.clone()));
    let news = answer(Some(&first)).await;
    let all = [events(&joined(&news, &room)["timeline"]), events(&joined(&news, &room)["state"])].concat();
    assert_eq!(all, [json!({ "type": "m.room.topic", "content": {} })]);
    let whole = answer(None).await;
    let state = events(&joined(&whole, &room)["state"]);
    assert!(!state.is_empty() && state.iter().all(|event| event.get("type").is_some()));
    assert!(state.iter().all(|event| event.get("event_id").is_none() && event.get("sender").is_none()));
}

#[tokio::test]
async fn however_many_rooms_changed_each_is_told_of() {
    let people = People::new().await;
    let mut rooms = Vec::new();
    for _ in 0..70 {
        rooms.push(people.world.rooms.create_room(&people.bob, CreateRoom::default()).await.unwrap());
    }
    let first = people.sync(&people.bob, None).await;
    for changed in [3, 70] {
        for room in rooms.iter().take(changed) {
            people.world.say(&people.bob, room, "news").await;
        }
        let invited = CreateRoom { invite: vec![people.bob.user_id.clone()], ..CreateRoom::default() };
        people.world.rooms.create_room(&people.alice, invited).await.unwrap();
        let news = people.sync(&people.bob, Some(&first)).await;
        assert_eq!(news["rooms"]["join"].as_object().unwrap().len(), changed);
        assert!(!news["rooms"]["invite"].as_object().unwrap().is_empty());
    }
}

/// The bodies of what comes before a token of a timeline, newest first.
async fn bodies_before(people: &People, room: &RoomId, token: &Value) -> Vec<String> {
    let token: TimelineToken = token.as_str().unwrap().parse().unwrap();
    let (reader, room) = (people.world.reader(), people.world.number(room).await);
    let before = reader.timeline(room, Between::before(token.next), Order::Descending, 100).await.unwrap();
    let numbers: Vec<_> = before.into_iter().map(|(_, number)| number).collect();
    reader.events(&numbers).await.unwrap().iter().filter_map(|event| crate::hosted::body(event)).collect()
}

#[tokio::test]
async fn from_a_timeline_in_which_nothing_is_shown_one_reads_back_to_all_that_was_said() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let first = people.sync(&people.bob, None).await;
    for body in ["1", "2", "3"] {
        people.world.say(&people.alice, &room, body).await;
    }
    for since in [Some(&first), None] {
        let nothing = json!({ "room": { "timeline": { "limit": 0 } } });
        let answer = people.sync_with(&people.bob, since, |request| request.filter = filter(nothing)).await;
        let timeline = &joined(&answer, &room)["timeline"];
        assert_eq!(timeline["limited"], true);
        assert_eq!(bodies_before(&people, &room, &timeline["prev_batch"]).await, ["3", "2", "1"]);
    }
    let others = json!({ "room": { "timeline": { "types": ["example.other"] } } });
    let answer = people.sync_with(&people.bob, None, |request| request.filter = filter(others)).await;
    let timeline = &joined(&answer, &room)["timeline"];
    assert_eq!(timeline["limited"], false, "all was looked at");
    let before = bodies_before(&people, &room, &timeline["prev_batch"]).await;
    assert!(before.is_empty(), "what the filter left out was looked at: {before:?}");
}
