//! Spaces: what a tenant tells other servers of the rooms that they lead to.

use freehold_rooms::{CreateRoom, InitialState, MemberAction, NewEvent, Preset};
use freehold_store::Actor;
use ruma_common::{OwnedRoomId, UserId};
use serde_json::{Value, json, value::to_raw_value};

use crate::server::{Ask, BOBS, REMOTE, Server};

const ALICE: &str = "@alice:alice.example";
const BOB: &str = "@bob:bob.example";

/// A room with a join rule; a space, if it is of that type.
async fn room(
    server: &Server,
    actor: &Actor,
    (name, join_rule, room_type): (&str, Value, Option<&str>),
) -> OwnedRoomId {
    let create = CreateRoom {
        preset: Some(Preset::PublicChat),
        name: Some(name.to_owned()),
        creation_content: room_type.map(|room_type| to_raw_value(&json!({ "type": room_type })).unwrap()),
        initial_state: vec![InitialState {
            event_type: "m.room.join_rules".to_owned(),
            state_key: String::new(),
            content: to_raw_value(&join_rule).unwrap(),
        }],
        ..CreateRoom::default()
    };
    server.services().rooms.create_room(actor, create).await.unwrap()
}

async fn lead(server: &Server, actor: &Actor, (space, child): (&OwnedRoomId, &OwnedRoomId), content: Value) {
    let event = NewEvent {
        event_type: "m.space.child".to_owned(),
        state_key: Some(child.to_string()),
        content: to_raw_value(&content).unwrap(),
        transaction_id: None,
    };
    server.services().rooms.send(actor, space, event).await.unwrap();
}

fn ask(room_id: &OwnedRoomId, query: &str) -> Ask {
    let room_id = room_id.as_str().replace('!', "%21").replace(':', "%3A");
    Ask::new("GET", &format!("/_matrix/federation/v1/hierarchy/{room_id}{query}")).by(REMOTE)
}

fn ids(rooms: &Value) -> Vec<&str> {
    rooms.as_array().unwrap().iter().map(|room| room["room_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_space_is_told_with_the_rooms_into_which_the_server_could_come() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let space = room(&server, &alice, ("A space", json!({ "join_rule": "public" }), Some("m.space"))).await;
    let open = room(&server, &alice, ("Open", json!({ "join_rule": "public" }), None)).await;
    let closed = room(&server, &alice, ("Closed", json!({ "join_rule": "invite" }), None)).await;
    let allow = json!([{ "type": "m.room_membership", "room_id": space }]);
    let members = json!({ "join_rule": "restricted", "allow": allow });
    let restricted = room(&server, &alice, ("For members", members, None)).await;
    let elsewhere = OwnedRoomId::try_from("!elsewhere:remote.example").unwrap();
    let via = json!(["alice.example"]);
    lead(&server, &alice, (&space, &restricted), json!({ "via": via })).await;
    lead(&server, &alice, (&space, &closed), json!({ "via": via, "order": "b" })).await;
    lead(&server, &alice, (&space, &open), json!({ "via": via, "order": "a", "suggested": true })).await;
    lead(&server, &alice, (&space, &elsewhere), json!({ "via": ["remote.example"] })).await;
    // What was taken out of the space.
    lead(&server, &alice, (&space, &OwnedRoomId::try_from("!gone:alice.example").unwrap()), json!({})).await;

    let told = server.send(ask(&space, "")).await.ok();
    assert_eq!(told["room"]["room_type"], "m.space", "{told:#}");
    let children = told["room"]["children_state"].as_array().unwrap();
    let keys: Vec<&str> = children.iter().map(|child| child["state_key"].as_str().unwrap()).collect();
    assert_eq!(keys, [open.as_str(), closed.as_str(), restricted.as_str(), elsewhere.as_str()]);
    assert!(
        children.iter().all(|child| child["origin_server_ts"].is_i64() && child.get("event_id").is_none())
    );
    assert_eq!(ids(&told["children"]), [open.as_str()], "the server is in none of them: {told:#}");
    assert_eq!(told["inaccessible_children"], json!([closed, restricted]));
    let suggested = server.send(ask(&space, "?suggested_only=true")).await.ok();
    assert_eq!(ids(&suggested["children"]), [open.as_str()]);
    assert_eq!(suggested["inaccessible_children"], json!([]));

    // A closed room, one that the tenant is not in, and none at all are the same; so is what a neighbour has.
    let unknown = server.send(ask(&elsewhere, "")).await;
    assert_eq!(unknown.error(), (404, "M_NOT_FOUND"));
    assert_eq!(server.send(ask(&closed, "")).await.json, unknown.json);
    assert_eq!(server.send(ask(&space, "").to(BOBS)).await.json, unknown.json);
    // An invite opens a room.
    let invited = MemberAction { user_id: UserId::parse("@carol:remote.example").unwrap(), reason: None };
    let asked = server.services().rooms.invite(&alice, &closed, invited).await;
    assert!(asked.is_err(), "nobody is there who could be told");
}

/// continuwuity 918070c51 and others: spaces that lead to each other, or to rooms of which somebody should not know.
#[tokio::test]
async fn spaces_that_lead_to_each_other_are_told_one_step_at_a_time() {
    let server = Server::start();
    let (alice, bob) = (server.ground.actor(ALICE).await, server.ground.actor(BOB).await);
    let make = |actor| room(&server, actor, ("A space", json!({ "join_rule": "public" }), Some("m.space")));
    let (one, other, neighbours) = (make(&alice).await, make(&alice).await, make(&bob).await);
    let via = json!({ "via": ["alice.example"] });
    for (space, child) in [(&one, &other), (&other, &one), (&one, &one), (&one, &neighbours)] {
        lead(&server, &alice, (space, child), via.clone()).await;
    }
    let told = server.send(ask(&one, "")).await.ok();
    let mut children = ids(&told["children"]);
    children.sort_unstable();
    let mut expected = [one.as_str(), other.as_str()];
    expected.sort_unstable();
    assert_eq!(children, expected, "what only a neighbour knows is not told");
    assert_eq!(told["inaccessible_children"], json!([]));
}
