//! What is told of rooms that somebody is not in, or no longer.

use freehold_rooms::CreateRoom;
use freehold_store::Position;
use freehold_sync::{StateForm, SyncToken};
use ruma_common::{OwnedRoomId, RoomId};
use serde_json::{Value, json};

use crate::hosted::{about, entry};
use crate::person::{BOB, People, events, filter};

/// State that stripped state does not hold.
const HIDDEN: &str = "example.hidden";

/// A room that can be knocked on, with something in its state and something said.
async fn room(people: &People) -> OwnedRoomId {
    let room = people.world.rooms.create_room(&people.alice, CreateRoom::default()).await.unwrap();
    let rule = json!({ "join_rule": "knock" });
    people.world.put(&people.alice, &room, ("m.room.join_rules", ""), rule).await.unwrap();
    hide(people, &room, "before").await;
    room
}

async fn hide(people: &People, room: &RoomId, value: &str) {
    people.world.put(&people.alice, room, (HIDDEN, ""), json!({ "value": value })).await.unwrap();
    people.world.say(&people.alice, room, value).await;
}

fn position(people: &People) -> Position {
    people.world.store.snapshot().unwrap().position()
}

/// All that Bob is told of the room by syncs from any position on, in every form.
async fn told(people: &People, room: &RoomId) -> Vec<Value> {
    let mut told = Vec::new();
    let now = position(people);
    let tokens = (1..now.0).map(|position| {
        let position = Position(position);
        Some(SyncToken { position, to_device: now, typing: 0, presence: 0, started: 0 })
    });
    for since in tokens.chain([None]) {
        for state_form in [StateForm::Before, StateForm::After] {
            for (full_state, limit) in [(false, 10), (true, 10), (false, 0)] {
                let asked = json!({ "room": { "include_leave": true, "timeline": { "limit": limit } } });
                let answer = people.sync_with(&people.bob, None, |request| {
                    request.since = since;
                    request.full_state = full_state;
                    request.state_form = state_form;
                    request.filter = filter(asked);
                });
                let answer = answer.await;
                let left = answer["rooms"]["leave"].get(room.as_str()).cloned();
                assert!(left.is_some() || since.is_some_and(|since| since.position.0 > 1), "{answer}");
                told.extend(left);
            }
        }
    }
    told
}

/// The values of the hidden state that are told.
fn hidden(left: &Value) -> Vec<String> {
    let state = state(left);
    let hidden = state.iter().filter(|event| event["type"] == HIDDEN);
    hidden.map(|event| event["content"]["value"].as_str().unwrap().to_owned()).collect()
}

fn state(left: &Value) -> Vec<Value> {
    [events(&left["state"]), events(&left["state_after"])].concat()
}

async fn let_in(people: &People, room: &RoomId) {
    people.world.rooms.invite(&people.alice, room, about(&people.bob)).await.unwrap();
    people.world.rooms.join(&people.bob, entry(room, &[])).await.unwrap();
}

#[tokio::test]
async fn who_was_never_joined_is_told_the_own_membership_and_no_state() {
    for kind in ["declined", "withdrawn", "knock taken back", "knock refused", "banned", "unbanned"] {
        let people = People::new().await;
        let (rooms, alice, bob) = (&people.world.rooms, &people.alice, &people.bob);
        let room = room(&people).await;
        match kind {
            "declined" | "withdrawn" => rooms.invite(alice, &room, about(bob)).await.unwrap(),
            "banned" | "unbanned" => rooms.ban(alice, &room, about(bob)).await.unwrap(),
            _ => drop(rooms.knock(bob, entry(&room, &["one.example"])).await.unwrap()),
        }
        hide(&people, &room, "meanwhile").await;
        match kind {
            "declined" | "knock taken back" => rooms.leave(bob, &room, None).await.unwrap(),
            "withdrawn" | "knock refused" => rooms.kick(alice, &room, about(bob)).await.unwrap(),
            "unbanned" => rooms.unban(alice, &room, about(bob)).await.unwrap(),
            _ => {}
        }
        hide(&people, &room, "after").await;
        let told = told(&people, &room).await;
        assert!(told.len() > 3, "{kind}");
        for left in told {
            let all = [events(&left["timeline"]).to_vec(), state(&left)].concat();
            assert!(!all.is_empty(), "{kind}: how it ended is told: {left}");
            for event in all {
                let is_own = event["type"] == "m.room.member" && event["state_key"] == BOB;
                assert!(is_own, "{kind}: {event}");
            }
        }
    }
}

#[tokio::test]
async fn who_left_is_told_the_state_up_to_then_whatever_came_of_the_membership() {
    for then in ["nothing", "banned", "invited and declined", "kicked"] {
        let people = People::new().await;
        let (rooms, alice, bob) = (&people.world.rooms, &people.alice, &people.bob);
        let room = room(&people).await;
        let_in(&people, &room).await;
        hide(&people, &room, "while joined").await;
        match then {
            "kicked" => rooms.kick(alice, &room, about(bob)).await.unwrap(),
            _ => rooms.leave(bob, &room, None).await.unwrap(),
        }
        hide(&people, &room, "after").await;
        match then {
            "banned" => rooms.ban(alice, &room, about(bob)).await.unwrap(),
            "invited and declined" => {
                rooms.invite(alice, &room, about(bob)).await.unwrap();
                hide(&people, &room, "later").await;
                rooms.leave(bob, &room, None).await.unwrap();
            }
            _ => {}
        }
        hide(&people, &room, "at last").await;
        let told = told(&people, &room).await;
        let all: Vec<String> = told.iter().flat_map(hidden).collect();
        assert!(all.iter().any(|value| value == "while joined"), "{then}");
        assert!(all.iter().all(|value| ["before", "while joined"].contains(&&**value)), "{then}: {all:?}");
        for left in &told {
            let timeline = events(&left["timeline"]);
            let bodies: Vec<_> =
                timeline.iter().filter_map(|event| event["content"]["body"].as_str()).collect();
            assert!(
                bodies.iter().all(|body| ["before", "while joined"].contains(body)),
                "{then}: {bodies:?}"
            );
            let state = state(left);
            let own = state.iter().filter(|event| event["state_key"] == BOB).count();
            assert!(own <= 1, "{then}: one membership at a time: {state:?}");
            let shown = [timeline, &state].concat();
            let last = if then == "banned" { "ban" } else { "leave" };
            let membership = |event: &Value| event["content"]["membership"] == last;
            assert!(
                shown.iter().any(|event| event["state_key"] == BOB && membership(event)),
                "{then}: {left}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_shown_of_the_time_of_an_invite_does_not_bring_the_state_of_then() {
    let people = People::new().await;
    let (rooms, alice, bob) = (&people.world.rooms, &people.alice, &people.bob);
    let room = room(&people).await;
    let visibility = json!({ "history_visibility": "invited" });
    people.world.put(alice, &room, ("m.room.history_visibility", ""), visibility).await.unwrap();
    let_in(&people, &room).await;
    rooms.leave(bob, &room, None).await.unwrap();
    hide(&people, &room, "after").await;
    rooms.invite(alice, &room, about(bob)).await.unwrap();
    people.world.say(alice, &room, "to the invited").await;
    rooms.leave(bob, &room, None).await.unwrap();
    let told = told(&people, &room).await;
    let of_invited = |left: &&Value| left["timeline"].to_string().contains("to the invited");
    assert!(told.iter().any(|left| of_invited(&left)), "the visibility allows it");
    let all: Vec<String> = told.iter().flat_map(hidden).collect();
    assert!(all.iter().all(|value| *value == "before"), "{all:?}");
}
