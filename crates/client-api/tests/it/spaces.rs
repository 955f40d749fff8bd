//! Spaces: rooms that lead to others.

use serde_json::{Value, json};

use crate::server::{Ask, Server};

const ALICE: &str = "@alice:alice.example";
const BOB: &str = "@bob:bob.example";
const V3: &str = "/_matrix/client/v3";

async fn room(server: &Server, (name, join_rule): (&str, Value), room_type: Option<&str>) -> String {
    let body = json!({
        "preset": "public_chat",
        "name": name,
        "creation_content": { "type": room_type },
        "initial_state": [{ "type": "m.room.join_rules", "state_key": "", "content": join_rule }],
    });
    let created = server.send(Ask::new("POST", &format!("{V3}/createRoom")).by(ALICE).json(&body)).await.ok();
    created["room_id"].as_str().unwrap().to_owned()
}

async fn lead(server: &Server, space: &str, child: &str, content: Value) {
    let path = format!("{V3}/rooms/{space}/state/m.space.child/{child}");
    server.send(Ask::new("PUT", &path).by(ALICE).json(&content)).await.ok();
}

async fn hierarchy(server: &Server, user: &str, space: &str, query: &str) -> crate::server::Answer {
    let path = format!("/_matrix/client/v1/rooms/{space}/hierarchy{query}");
    server.send(Ask::new("GET", &path).by(user)).await
}

fn names(answer: &Value) -> Vec<&str> {
    answer["rooms"].as_array().unwrap().iter().map(|room| room["name"].as_str().unwrap()).collect()
}

/// A space with a space in it that leads back, and rooms in both.
async fn spaces(server: &Server) -> String {
    let public = || json!({ "join_rule": "public" });
    let top = room(server, ("top", public()), Some("m.space")).await;
    let inner = room(server, ("inner", public()), Some("m.space")).await;
    let via = json!({ "via": ["alice.example"] });
    for (space, name, rule) in [
        (&inner, "deep", public()),
        (&top, "closed", json!({ "join_rule": "invite" })),
        (
            &top,
            "members",
            json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": top }] }),
        ),
    ] {
        let child = room(server, (name, rule), None).await;
        lead(server, space, &child, via.clone()).await;
    }
    lead(server, &top, &inner, json!({ "via": ["alice.example"], "order": "first", "suggested": true }))
        .await;
    lead(server, &inner, &top, via).await;
    top
}

#[tokio::test]
async fn a_space_is_walked_through_depth_first_and_each_room_is_shown_once() {
    let server = Server::start();
    let top = spaces(&server).await;
    let all = hierarchy(&server, ALICE, &top, "").await.ok();
    assert_eq!(names(&all), ["top", "inner", "deep", "closed", "members"], "{all:#}");
    assert_eq!(all.get("next_batch"), None);
    let child = &all["rooms"][0]["children_state"][0];
    assert_eq!((&child["type"], &child["sender"]), (&json!("m.space.child"), &json!(ALICE)), "{child}");
    let flat = hierarchy(&server, ALICE, &top, "?max_depth=1").await.ok();
    assert_eq!(names(&flat), ["top", "inner", "closed", "members"]);
    let suggested = hierarchy(&server, ALICE, &top, "?suggested_only=true").await.ok();
    assert_eq!(names(&suggested), ["top", "inner"]);
    // Page by page it is the same.
    let (mut query, mut seen) = ("?limit=2".to_owned(), Vec::new());
    for _ in 0..5 {
        let page = hierarchy(&server, ALICE, &top, &query).await.ok();
        assert!(names(&page).len() <= 2);
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next_batch"].as_str() else { break };
        query = format!("?limit=2&from={next}");
    }
    assert_eq!(seen, names(&all));
    for query in ["?from=nonsense", "?limit=0", "?from=2_3_true"] {
        let refused = hierarchy(&server, ALICE, &top, query).await;
        assert_eq!(refused.error(), (400, "M_INVALID_PARAM"), "{query}");
    }
}

#[tokio::test]
async fn rooms_are_shown_to_those_who_could_come_in() {
    let server = Server::start();
    let top = spaces(&server).await;
    // To a tenant that is in none of them they are as unknown as rooms that are not there.
    let unknown = hierarchy(&server, BOB, "!nothing:alice.example", "").await;
    assert_eq!(unknown.error(), (403, "M_FORBIDDEN"));
    assert_eq!(hierarchy(&server, BOB, &top, "").await.json, unknown.json);
    let join =
        Ask::new("POST", &format!("{V3}/join/{top}?server_name=alice.example")).by(BOB).json(&json!({}));
    server.send(join).await.ok();
    // The tenant knows the space now, and of the others nothing but what it leads to.
    let seen = hierarchy(&server, BOB, &top, "").await.ok();
    assert_eq!(names(&seen), ["top"], "{seen:#}");
    assert_eq!(seen["rooms"][0]["children_state"].as_array().unwrap().len(), 3);
}
