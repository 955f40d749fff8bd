//! Which state goes with a timeline.

use freehold_sync::StateForm;
use serde_json::{Value, json};

use crate::person::{ALICE, BOB, People, events, filter, joined, keys};

fn member(user_id: &str) -> (String, String) {
    ("m.room.member".to_owned(), user_id.to_owned())
}

#[tokio::test]
async fn state_and_timeline_of_a_first_sync_together_are_the_state_of_the_room() {
    let people = People::new().await;
    let room = people.shared_room().await;
    for limit in [0, 1, 3, 50] {
        let asked = json!({ "room": { "timeline": { "limit": limit } } });
        let answer = people.sync_with(&people.bob, None, |request| request.filter = filter(asked)).await;
        let room = joined(&answer, &room);
        let mut all = keys(&room["state"]);
        assert_eq!(all.len(), events(&room["state"]).len(), "no key is told twice");
        all.extend(keys(&room["timeline"]));
        for wanted in
            ["m.room.create", "m.room.power_levels", "m.room.join_rules", "m.room.history_visibility"]
        {
            assert!(all.contains(&(wanted.to_owned(), String::new())), "{limit}: {wanted}");
        }
        assert!(all.contains(&member(ALICE)) && all.contains(&member(BOB)), "{limit}");
    }
}

#[tokio::test]
async fn state_after_is_the_state_at_the_end_and_comes_even_when_empty() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let first = people.sync(&people.bob, None).await;
    people.world.put(&people.alice, &room, ("m.room.topic", ""), json!({ "topic": "t" })).await.unwrap();
    people.world.say(&people.alice, &room, "a").await;
    let names =
        [(StateForm::After, "state_after"), (StateForm::UnstableAfter, "org.matrix.msc4222.state_after")];
    for (form, name) in names {
        let answer = people.sync_with(&people.bob, Some(&first), |request| request.state_form = form).await;
        let update = joined(&answer, &room);
        assert!(update.get("state").is_none());
        assert_eq!(events(&update[name])[0]["content"]["topic"], "t");
        people.world.say(&people.alice, &room, "b").await;
        let next = people.sync_with(&people.bob, Some(&answer), |request| request.state_form = form).await;
        assert_eq!(joined(&next, &room)[name], json!({ "events": [] }));
    }
}

#[tokio::test]
async fn lazy_loading_sends_the_members_one_needs_and_each_once() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let lazy = |limit: u64| {
        filter(json!({ "room": { "state": { "lazy_load_members": true }, "timeline": { "limit": limit } } }))
    };
    people.world.say(&people.bob, &room, "b").await;
    let first = people.sync_with(&people.bob, None, |request| request.filter = lazy(1)).await;
    let state = keys(&joined(&first, &room)["state"]);
    assert!(state.contains(&member(BOB)), "the user's own membership is always there");
    people.world.say(&people.alice, &room, "a").await;
    let second = people.sync_with(&people.bob, Some(&first), |request| request.filter = lazy(10)).await;
    let state = joined(&second, &room)["state"].clone();
    assert!(!keys(&state).contains(&member(BOB)), "{state}");
    people.world.say(&people.alice, &room, "c").await;
    let third = people.sync_with(&people.bob, Some(&second), |request| request.filter = lazy(10)).await;
    assert!(events(&joined(&third, &room)["state"]).is_empty(), "the sender is known by now");
    let redundant =
        json!({ "room": { "state": { "lazy_load_members": true, "include_redundant_members": true } } });
    let fourth =
        people.sync_with(&people.bob, Some(&second), |request| request.filter = filter(redundant)).await;
    assert_eq!(keys(&joined(&fourth, &room)["state"]), [member(ALICE)].into());
}

#[tokio::test]
async fn a_room_without_a_name_is_named_after_the_others_in_it() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let answer = people.sync(&people.bob, None).await;
    let summary: &Value = &joined(&answer, &room)["summary"];
    assert_eq!(summary["m.heroes"], json!([ALICE]));
    assert_eq!(summary["m.joined_member_count"], 2);
    people.world.put(&people.alice, &room, ("m.room.name", ""), json!({ "name": "n" })).await.unwrap();
    let answer = people.sync(&people.bob, None).await;
    assert!(joined(&answer, &room)["summary"].get("m.heroes").is_none());
}

#[tokio::test]
async fn full_state_is_told_even_when_nothing_happened() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let first = people.sync(&people.bob, None).await;
    let answer = people.sync_with(&people.bob, Some(&first), |request| request.full_state = true).await;
    let state = keys(&joined(&answer, &room)["state"]);
    assert!(state.contains(&("m.room.create".to_owned(), String::new())));
    assert!(events(&joined(&answer, &room)["timeline"]).is_empty());
}
