//! Rooms by way of the API.

use serde_json::{Value, json};

use crate::server::{Ask, Server};

const ALICE: &str = "@alice:alice.example";
const BOB: &str = "@bob:bob.example";
const EVE: &str = "@eve:bob.example";

const V3: &str = "/_matrix/client/v3";

/// Creates a room with this request.
async fn room(server: &Server, body: Value) -> String {
    let created = server.send(Ask::new("POST", &format!("{V3}/createRoom")).by(ALICE).json(&body)).await.ok();
    created["room_id"].as_str().unwrap().to_owned()
}

async fn post(server: &Server, user: &str, path: &str, body: Value) -> crate::server::Answer {
    server.send(Ask::new("POST", &format!("{V3}/{path}")).by(user).json(&body)).await
}

async fn put(server: &Server, user: &str, path: &str, body: Value) -> crate::server::Answer {
    server.send(Ask::new("PUT", &format!("{V3}/{path}")).by(user).json(&body)).await
}

async fn get(server: &Server, user: &str, path: &str) -> crate::server::Answer {
    server.send(Ask::new("GET", &format!("{V3}/{path}")).by(user)).await
}

async fn say(server: &Server, user: &str, room: &str, body: &str) -> String {
    let path = format!("rooms/{room}/send/m.room.message/{body}");
    let sent = put(server, user, &path, json!({"msgtype": "m.text", "body": body})).await.ok();
    sent["event_id"].as_str().unwrap().to_owned()
}

fn bodies(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().filter_map(|event| event["content"]["body"].as_str()).collect()
}

#[tokio::test]
async fn people_of_two_tenants_talk() {
    let server = Server::start();
    let room = room(&server, json!({"preset": "private_chat", "invite": [BOB], "name": "a room"})).await;
    post(&server, BOB, &format!("rooms/{room}/join"), json!({})).await.ok();
    say(&server, ALICE, &room, "one").await;
    say(&server, BOB, &room, "two").await;
    for user in [ALICE, BOB] {
        let read = get(&server, user, &format!("rooms/{room}/messages?dir=b")).await.ok();
        assert_eq!(bodies(&read["chunk"]), ["two", "one"]);
        let name = get(&server, user, &format!("rooms/{room}/state/m.room.name")).await.ok();
        assert_eq!(name, json!({"name": "a room"}));
        let joined = get(&server, user, "joined_rooms").await.ok();
        assert_eq!(joined, json!({"joined_rooms": [room]}));
        let members = get(&server, user, &format!("rooms/{room}/joined_members")).await.ok();
        assert_eq!(members["joined"], json!({ALICE: {}, BOB: {}}));
    }
}

#[tokio::test]
async fn the_whole_timeline_is_read_page_by_page_in_both_directions() {
    let server = Server::start();
    let room = room(&server, json!({})).await;
    let said: Vec<String> = (0..25).map(|number| format!("said{number:02}")).collect();
    for body in &said {
        say(&server, ALICE, &room, body).await;
    }
    for (dir, expected) in [("f", said.clone()), ("b", said.iter().rev().cloned().collect())] {
        let mut read = Vec::new();
        let mut from = String::new();
        for _ in 0..20 {
            let path = format!("rooms/{room}/messages?dir={dir}&limit=7{from}");
            let page = get(&server, ALICE, &path).await.ok();
            read.extend(bodies(&page["chunk"]).into_iter().map(str::to_owned));
            assert!(page["chunk"].as_array().unwrap().len() <= 7);
            match page["end"].as_str() {
                Some(end) => from = format!("&from={end}"),
                None => break,
            }
        }
        assert_eq!(read, expected, "{dir}");
    }
}

#[tokio::test]
async fn a_filter_chooses_types_and_senders_and_members_come_lazily() {
    let server = Server::start();
    let room = room(&server, json!({"preset": "public_chat"})).await;
    post(&server, BOB, &format!("join/{room}?via=alice.example"), json!({})).await.ok();
    say(&server, ALICE, &room, "mine").await;
    say(&server, BOB, &room, "yours").await;
    let filter = r#"{"types":["m.room.message"],"senders":["@bob:bob.example"],"lazy_load_members":true}"#;
    let encoded: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let read = get(&server, ALICE, &format!("rooms/{room}/messages?dir=b&filter={encoded}")).await.ok();
    assert_eq!(bodies(&read["chunk"]), ["yours"]);
    let members: Vec<&Value> =
        read["state"].as_array().unwrap().iter().map(|event| &event["state_key"]).collect();
    assert_eq!(members, [&json!(BOB)]);
    let bad = get(&server, ALICE, &format!("rooms/{room}/messages?dir=b&limit=many")).await;
    assert_eq!(bad.error(), (400, "M_INVALID_PARAM"));
    assert!(bad.json["error"].as_str().unwrap().contains("`limit`"), "{}", bad.json);
    let missing = get(&server, ALICE, &format!("rooms/{room}/messages")).await;
    assert_eq!(missing.error(), (400, "M_MISSING_PARAM"));
    assert!(missing.json["error"].as_str().unwrap().contains("`dir`"), "{}", missing.json);
}

#[tokio::test]
async fn around_an_event_there_is_its_context() {
    let server = Server::start();
    let room = room(&server, json!({})).await;
    say(&server, ALICE, &room, "before").await;
    let event = say(&server, ALICE, &room, "event").await;
    say(&server, ALICE, &room, "after").await;
    let context = get(&server, ALICE, &format!("rooms/{room}/context/{event}?limit=2")).await.ok();
    assert_eq!(context["event"]["event_id"], json!(event));
    assert_eq!(bodies(&context["events_before"]), ["before"]);
    assert_eq!(bodies(&context["events_after"]), ["after"]);
    let create = |event: &Value| event["type"] == "m.room.create";
    assert!(context["state"].as_array().unwrap().iter().any(create));
    let (start, end) = (context["start"].as_str().unwrap(), context["end"].as_str().unwrap());
    let before = get(&server, ALICE, &format!("rooms/{room}/messages?dir=b&from={start}&limit=1")).await.ok();
    assert!(bodies(&before["chunk"]).is_empty(), "what comes before `before` is no message");
    let after = get(&server, ALICE, &format!("rooms/{room}/messages?dir=f&from={end}")).await.ok();
    assert_eq!(after["chunk"], json!([]));
    let one = get(&server, ALICE, &format!("rooms/{room}/event/{event}")).await.ok();
    assert_eq!(one["content"]["body"], "event");
}

#[tokio::test]
async fn a_repeated_request_sends_once() {
    let server = Server::start();
    let room = room(&server, json!({})).await;
    let first = say(&server, ALICE, &room, "same").await;
    assert_eq!(say(&server, ALICE, &room, "same").await, first);
    let read = get(&server, ALICE, &format!("rooms/{room}/messages?dir=b")).await.ok();
    assert_eq!(bodies(&read["chunk"]), ["same"]);
    assert_eq!(read["chunk"][0]["unsigned"]["transaction_id"], "same");
}

#[tokio::test]
async fn who_left_reads_what_was_until_then_and_nothing_after_forgetting() {
    let server = Server::start();
    let room = room(&server, json!({"preset": "public_chat"})).await;
    post(&server, BOB, &format!("join/{room}?via=alice.example"), json!({})).await.ok();
    say(&server, ALICE, &room, "with").await;
    post(&server, BOB, &format!("rooms/{room}/leave"), json!({})).await.ok();
    say(&server, ALICE, &room, "without").await;
    put(&server, ALICE, &format!("rooms/{room}/state/m.room.name"), json!({"name": "later"})).await.ok();
    let read = get(&server, BOB, &format!("rooms/{room}/messages?dir=b")).await.ok();
    assert_eq!(bodies(&read["chunk"]), ["with"]);
    let name = get(&server, BOB, &format!("rooms/{room}/state/m.room.name")).await;
    assert_eq!(name.error(), (404, "M_NOT_FOUND"));
    assert_eq!(
        get(&server, BOB, &format!("rooms/{room}/joined_members")).await.error(),
        (403, "M_FORBIDDEN")
    );
    post(&server, BOB, &format!("rooms/{room}/forget"), json!({})).await.ok();
    let forgotten = get(&server, BOB, &format!("rooms/{room}/messages?dir=b")).await;
    assert_eq!(forgotten.error(), (403, "M_FORBIDDEN"));
}

#[tokio::test]
async fn members_are_banned_unbanned_kicked_and_let_in() {
    let server = Server::start();
    let room = room(&server, json!({"preset": "public_chat"})).await;
    post(&server, BOB, &format!("join/{room}?via=alice.example"), json!({})).await.ok();
    let about = |user: &str| json!({"user_id": user, "reason": "a reason"});
    let refused = post(&server, BOB, &format!("rooms/{room}/kick"), about(ALICE)).await;
    assert_eq!(refused.error(), (403, "M_FORBIDDEN"));
    post(&server, ALICE, &format!("rooms/{room}/ban"), about(BOB)).await.ok();
    assert_eq!(
        post(&server, BOB, &format!("join/{room}?via=alice.example"), json!({})).await.error(),
        (403, "M_FORBIDDEN")
    );
    post(&server, ALICE, &format!("rooms/{room}/unban"), about(BOB)).await.ok();
    post(&server, BOB, &format!("join/{room}?via=alice.example"), json!({})).await.ok();
    post(&server, ALICE, &format!("rooms/{room}/kick"), about(BOB)).await.ok();
    let members = get(&server, ALICE, &format!("rooms/{room}/members?membership=leave")).await.ok();
    assert_eq!(members["chunk"][0]["state_key"], BOB);
    assert_eq!(members["chunk"][0]["content"]["reason"], "a reason");
    let others = get(&server, ALICE, &format!("rooms/{room}/members?not_membership=leave")).await.ok();
    assert_eq!(others["chunk"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn who_knocks_is_invited_and_joins() {
    let server = Server::start();
    let rules = json!([{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]);
    let room = room(&server, json!({"initial_state": rules})).await;
    post(&server, BOB, &format!("knock/{room}?via=alice.example"), json!({"reason": "please"})).await.ok();
    assert_eq!(
        post(&server, BOB, &format!("join/{room}?via=alice.example"), json!({})).await.error(),
        (403, "M_FORBIDDEN")
    );
    post(&server, ALICE, &format!("rooms/{room}/invite"), json!({"user_id": BOB})).await.ok();
    post(&server, BOB, &format!("join/{room}?via=alice.example"), json!({})).await.ok();
}

#[tokio::test]
async fn a_redacted_event_keeps_no_content() {
    let server = Server::start();
    let room = room(&server, json!({"preset": "public_chat"})).await;
    post(&server, BOB, &format!("join/{room}?via=alice.example"), json!({})).await.ok();
    let event = say(&server, ALICE, &room, "secret").await;
    let refused = put(&server, BOB, &format!("rooms/{room}/redact/{event}/1"), json!({})).await;
    assert_eq!(refused.error(), (403, "M_FORBIDDEN"));
    let done =
        put(&server, ALICE, &format!("rooms/{room}/redact/{event}/1"), json!({"reason": "oops"})).await.ok();
    let redacted = get(&server, BOB, &format!("rooms/{room}/event/{event}")).await.ok();
    assert_eq!(redacted["content"], json!({}));
    assert_eq!(redacted["unsigned"]["redacted_because"]["event_id"], done["event_id"]);
    assert_eq!(redacted["unsigned"]["redacted_because"]["content"]["reason"], "oops");
}

#[tokio::test]
async fn related_events_are_found_by_their_relation() {
    let server = Server::start();
    let room = room(&server, json!({})).await;
    let root = say(&server, ALICE, &room, "root").await;
    let mut related = Vec::new();
    for (number, rel_type) in ["m.thread", "m.annotation", "m.thread"].into_iter().enumerate() {
        let path = format!("rooms/{room}/send/m.room.message/related{number}");
        let relation = json!({"rel_type": rel_type, "event_id": root});
        let content = json!({"body": format!("related{number}"), "m.relates_to": relation});
        let sent = put(&server, ALICE, &path, content).await.ok();
        related.push(sent["event_id"].as_str().unwrap().to_owned());
    }
    let v1 = |path: String| Ask::new("GET", &format!("/_matrix/client/v1/{path}")).by(ALICE);
    let all = server.send(v1(format!("rooms/{room}/relations/{root}"))).await.ok();
    assert_eq!(bodies(&all["chunk"]), ["related2", "related1", "related0"]);
    let threads = server.send(v1(format!("rooms/{room}/relations/{root}/m.thread?dir=f&limit=1"))).await.ok();
    assert_eq!(bodies(&threads["chunk"]), ["related0"]);
    let from = threads["next_batch"].as_str().unwrap();
    let more =
        server.send(v1(format!("rooms/{room}/relations/{root}/m.thread?dir=f&from={from}"))).await.ok();
    assert_eq!(bodies(&more["chunk"]), ["related2"]);
    assert!(more.get("next_batch").is_none());
    let threads = server.send(v1(format!("rooms/{room}/threads?include=participated&limit=1"))).await.ok();
    assert_eq!(bodies(&threads["chunk"]), ["root"]);
    let from = threads["next_batch"].as_str().unwrap();
    let older = server.send(v1(format!("rooms/{room}/threads?from={from}"))).await.ok();
    assert_eq!(older, json!({"chunk": []}), "a thread stands where its latest event does, and nowhere else");
    let none = server.send(v1(format!("rooms/{room}/relations/{root}/m.thread/m.sticker"))).await.ok();
    assert_eq!(none["chunk"], json!([]));
    // A thread goes on being listed when its newest event goes.
    put(&server, ALICE, &format!("rooms/{room}/redact/{}/gone", related[2]), json!({})).await.ok();
    let threads = server.send(v1(format!("rooms/{room}/threads"))).await.ok();
    assert_eq!(bodies(&threads["chunk"]), ["root"]);
    let left = server.send(v1(format!("rooms/{room}/relations/{root}/m.thread"))).await.ok();
    assert_eq!(bodies(&left["chunk"]), ["related0"]);
    let recursive = server.send(v1(format!("rooms/{room}/relations/{root}?recurse=true&limit=1"))).await.ok();
    assert_eq!((bodies(&recursive["chunk"]), &recursive["recursion_depth"]), (vec!["related1"], &json!(2)));
    let from = recursive["next_batch"].as_str().unwrap();
    let rest = server.send(v1(format!("rooms/{room}/relations/{root}?recurse=true&from={from}"))).await.ok();
    assert_eq!(bodies(&rest["chunk"]), ["related0"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let server = Server::start();
    let room = room(&server, json!({})).await;
    let create = format!("{V3}/createRoom");
    let send = format!("{V3}/rooms/{room}/send/m.room.message/1");
    let kick = format!("{V3}/rooms/{room}/kick");
    let cases = [
        ("POST", &create, "{", 400, "M_NOT_JSON", "JSON"),
        ("POST", &create, "\u{0}", 400, "M_NOT_JSON", "JSON"),
        ("POST", &create, r#"{"name": 5}"#, 400, "M_BAD_JSON", "`name`"),
        ("POST", &create, r#"{"invite": ["@a:b.example", "nobody"]}"#, 400, "M_BAD_JSON", "`invite`"),
        ("POST", &create, r#"{"initial_state": [{"type": "t"}]}"#, 400, "M_BAD_JSON", "`initial_state[0]`"),
        ("POST", &create, r#"{"room_version": "none"}"#, 400, "M_UNSUPPORTED_ROOM_VERSION", "none"),
        ("POST", &create, r#"{"preset": "none"}"#, 400, "M_INVALID_PARAM", "`preset`"),
        ("POST", &kick, "{}", 400, "M_BAD_JSON", "`user_id`"),
        ("POST", &kick, r#"{"user_id": 7}"#, 400, "M_BAD_JSON", "`user_id`"),
        ("PUT", &send, "[]", 400, "M_BAD_JSON", ""),
        ("PUT", &send, r#"{"body": 1.5}"#, 400, "M_BAD_JSON", ""),
    ];
    for (method, path, body, status, errcode, named) in cases {
        let answer = server.send(Ask::new(method, path).by(ALICE).body(body)).await;
        assert_eq!(answer.error(), (status, errcode), "{path} {body}: {}", answer.json);
        assert!(answer.json["error"].as_str().unwrap().contains(named), "{body}: {}", answer.json);
    }
    let large = format!(r#"{{"body": "{}"}}"#, "x".repeat(70_000));
    let answer = server.send(Ask::new("PUT", &send).by(ALICE).body(large)).await;
    assert_eq!(answer.error(), (413, "M_TOO_LARGE"), "{}", answer.json);
    let huge = "x".repeat(20 * 1024 * 1024);
    assert_eq!(server.send(Ask::new("PUT", &send).by(ALICE).body(huge)).await.error(), (413, "M_TOO_LARGE"));
    let path = format!("{V3}/rooms/nowhere/kick");
    let answer = server.send(Ask::new("POST", &path).by(ALICE).body("{}")).await;
    assert_eq!(answer.error(), (400, "M_INVALID_PARAM"));
    assert!(answer.json["error"].as_str().unwrap().contains("`room_id`"), "{}", answer.json);
}

#[tokio::test]
async fn suspended_users_leave_and_send_nothing() {
    let server = Server::start();
    let suspended = "@suspended:bob.example";
    let room = room(&server, json!({"invite": [suspended, EVE]})).await;
    let join = post(&server, suspended, &format!("rooms/{room}/join"), json!({})).await;
    assert_eq!(join.error(), (403, "M_USER_SUSPENDED"));
    post(&server, suspended, &format!("rooms/{room}/leave"), json!({})).await.ok();
}

#[tokio::test]
async fn an_alias_leads_to_its_room_until_it_is_taken_away() {
    let server = Server::start();
    let room = room(&server, json!({"room_alias_name": "first", "preset": "public_chat"})).await;
    let found = get(&server, BOB, "directory/room/%23first%3Aalice.example").await.ok();
    assert_eq!(found, json!({"room_id": room, "servers": ["alice.example"]}));
    post(&server, BOB, "join/%23first%3Aalice.example", json!({})).await.ok();
    put(&server, BOB, "directory/room/%23second%3Abob.example", json!({"room_id": room})).await.ok();
    let taken =
        put(&server, ALICE, "directory/room/%23first%3Aalice.example", json!({"room_id": room})).await;
    assert_eq!(taken.error(), (409, "M_UNKNOWN"));
    let foreign =
        put(&server, ALICE, "directory/room/%23third%3Abob.example", json!({"room_id": room})).await;
    assert_eq!(foreign.error(), (400, "M_INVALID_PARAM"));
    let aliases = get(&server, BOB, &format!("rooms/{room}/aliases")).await.ok();
    assert_eq!(aliases, json!({"aliases": ["#second:bob.example"]}));
    let delete =
        |user: &str, alias: &str| Ask::new("DELETE", &format!("{V3}/directory/room/{alias}")).by(user);
    assert_eq!(server.send(delete(BOB, "%23first%3Aalice.example")).await.error(), (404, "M_NOT_FOUND"));
    server.send(delete(ALICE, "%23first%3Aalice.example")).await.ok();
    let gone = get(&server, BOB, "directory/room/%23first%3Aalice.example").await;
    assert_eq!(gone.error(), (404, "M_NOT_FOUND"));
}

#[tokio::test]
async fn each_tenant_has_a_directory_of_its_own() {
    let server = Server::start();
    let listed = room(&server, json!({"visibility": "public", "name": "the listed room"})).await;
    let private = room(&server, json!({"name": "the private room"})).await;
    let public = |host: &str, query: &str| Ask::new("GET", &format!("{V3}/publicRooms{query}")).to(host);
    let rooms = server.send(public("alice.example", "")).await.ok();
    assert_eq!(rooms["chunk"][0]["room_id"], json!(listed));
    assert_eq!(rooms["chunk"][0]["name"], "the listed room");
    assert_eq!(rooms["total_room_count_estimate"], 1);
    let neighbour = server.send(public("bob.example", "")).await.ok();
    assert_eq!(neighbour["chunk"], json!([]));
    let hosted = server.send(public("bob.example", "?server=alice.example")).await;
    let elsewhere = server.send(public("bob.example", "?server=other.example")).await;
    assert_eq!(hosted.error(), elsewhere.error());
    put(&server, ALICE, &format!("directory/list/room/{private}"), json!({"visibility": "public"}))
        .await
        .ok();
    let first = server.send(public("alice.example", "?limit=1")).await.ok();
    let next = first["next_batch"].as_str().unwrap();
    let second = server.send(public("alice.example", &format!("?limit=1&since={next}"))).await.ok();
    assert_ne!(first["chunk"][0]["room_id"], second["chunk"][0]["room_id"]);
    assert!(second.get("next_batch").is_none());
    let body = json!({"filter": {"generic_search_term": "PRIVATE"}});
    let found = post(&server, ALICE, "publicRooms", body).await.ok();
    assert_eq!(found["chunk"].as_array().unwrap().len(), 1);
    put(&server, ALICE, &format!("directory/list/room/{private}"), json!({"visibility": "private"}))
        .await
        .ok();
    let visibility = get(&server, ALICE, &format!("directory/list/room/{private}")).await.ok();
    assert_eq!(visibility, json!({"visibility": "private"}));
}

#[tokio::test]
async fn an_upgraded_room_ends_with_where_it_goes_on() {
    let server = Server::start();
    let room = room(&server, json!({"room_version": "11", "name": "a room"})).await;
    let upgraded =
        post(&server, ALICE, &format!("rooms/{room}/upgrade"), json!({"new_version": "12"})).await.ok();
    let replacement = upgraded["replacement_room"].as_str().unwrap();
    let tombstone = get(&server, ALICE, &format!("rooms/{room}/state/m.room.tombstone")).await.ok();
    assert_eq!(tombstone["replacement_room"], replacement);
    let create =
        get(&server, ALICE, &format!("rooms/{replacement}/state/m.room.create/?format=event")).await.ok();
    assert_eq!(create["content"]["predecessor"]["room_id"], json!(room));
    let name = get(&server, ALICE, &format!("rooms/{replacement}/state/m.room.name")).await.ok();
    assert_eq!(name["name"], "a room");
    let unknown =
        post(&server, ALICE, &format!("rooms/{room}/upgrade"), json!({"new_version": "none"})).await;
    assert_eq!(unknown.error(), (400, "M_UNSUPPORTED_ROOM_VERSION"));
}

#[tokio::test]
async fn the_event_of_a_time_is_found_in_both_directions() {
    let server = Server::start();
    let room = room(&server, json!({})).await;
    say(&server, ALICE, &room, "said").await;
    let at = |ts: i64, dir: &str| {
        let path = format!("/_matrix/client/v1/rooms/{room}/timestamp_to_event?ts={ts}&dir={dir}");
        server.send(Ask::new("GET", &path).by(ALICE))
    };
    let first = at(0, "f").await.ok();
    let create = get(&server, ALICE, &format!("rooms/{room}/state/m.room.create/?format=event")).await.ok();
    assert_eq!(first["event_id"], create["event_id"]);
    assert_eq!(first["origin_server_ts"], create["origin_server_ts"]);
    let latest = at(i64::MAX >> 11, "b").await.ok();
    let event =
        get(&server, ALICE, &format!("rooms/{room}/event/{}", latest["event_id"].as_str().unwrap())).await;
    assert_eq!(event.ok()["content"]["body"], "said");
    assert_eq!(at(0, "b").await.error(), (404, "M_NOT_FOUND"));
    assert_eq!(at(i64::MAX >> 11, "f").await.error(), (404, "M_NOT_FOUND"));
}

#[tokio::test]
async fn of_ignored_users_only_state_is_shown_and_the_roots_of_their_threads_redacted() {
    let server = Server::start();
    let room = room(&server, json!({"preset": "public_chat"})).await;
    post(&server, BOB, &format!("join/{room}?via=alice.example"), json!({})).await.ok();
    put(&server, ALICE, &format!("rooms/{room}/state/m.room.topic"), json!({"topic": "t"})).await.ok();
    let hers = say(&server, ALICE, &room, "hers").await;
    let his = say(&server, BOB, &room, "his").await;
    for (user, root, body) in [(BOB, &hers, "answer"), (ALICE, &his, "unwanted"), (ALICE, &hers, "more")] {
        let relation = json!({"rel_type": "m.thread", "event_id": root});
        let content = json!({"msgtype": "m.text", "body": body, "m.relates_to": relation});
        put(&server, user, &format!("rooms/{room}/send/m.room.message/t{body}"), content).await.ok();
    }
    let list = json!({"ignored_users": {ALICE: {}}});
    put(&server, BOB, &format!("user/{BOB}/account_data/m.ignored_user_list"), list).await.ok();
    let read = get(&server, BOB, &format!("rooms/{room}/messages?dir=f")).await.ok();
    assert_eq!(bodies(&read["chunk"]), ["his", "answer"]);
    let is_topic = |event: &Value| event["type"] == "m.room.topic";
    assert!(read["chunk"].as_array().unwrap().iter().any(is_topic), "state is shown");
    let context = get(&server, BOB, &format!("rooms/{room}/context/{his}")).await.ok();
    assert!(bodies(&context["events_before"]).is_empty());
    assert_eq!(bodies(&context["events_after"]), ["answer"]);
    assert_eq!(get(&server, BOB, &format!("rooms/{room}/event/{hers}")).await.error(), (404, "M_NOT_FOUND"));
    let v1 = "/_matrix/client/v1";
    let related =
        server.send(Ask::new("GET", &format!("{v1}/rooms/{room}/relations/{his}")).by(BOB)).await.ok();
    assert_eq!(related["chunk"], json!([]));
    let threads = server.send(Ask::new("GET", &format!("{v1}/rooms/{room}/threads")).by(BOB)).await.ok();
    assert_eq!(threads["chunk"].as_array().unwrap().len(), 1, "{threads}");
    let root = &threads["chunk"][0];
    assert_eq!((&root["event_id"], &root["content"]), (&json!(hers), &json!({})));
    let thread = &root["unsigned"]["m.relations"]["m.thread"];
    assert_eq!((&thread["count"], &thread["latest_event"]["content"]["body"]), (&json!(1), &json!("answer")));
}

#[tokio::test]
async fn who_blocks_invites_gets_none_in_any_way_and_is_shown_none() {
    let server = Server::start();
    let room = room(&server, json!({})).await;
    let earlier = self::room(&server, json!({"invite": [BOB]})).await;
    let invited = async || get(&server, BOB, "sync").await.ok()["rooms"]["invite"].clone();
    assert!(invited().await.get(&earlier).is_some());
    let setting = format!("user/{BOB}/account_data/m.invite_permission_config");
    put(&server, BOB, &setting, json!({"default_action": "block"})).await.ok();
    let (body, member) = (json!({"user_id": BOB}), json!({"membership": "invite"}));
    for refused in [
        post(&server, ALICE, &format!("rooms/{room}/invite"), body.clone()).await,
        put(&server, ALICE, &format!("rooms/{room}/state/m.room.member/{BOB}"), member).await,
        post(&server, ALICE, "createRoom", json!({"invite": [BOB]})).await,
    ] {
        assert_eq!(refused.error(), (403, "M_INVITE_BLOCKED"), "{}", refused.json);
    }
    let stranger = post(&server, EVE, &format!("rooms/{room}/invite"), body.clone()).await;
    assert_eq!(stranger.error(), (403, "M_FORBIDDEN"), "who may not invite learns nothing");
    assert_eq!(invited().await, Value::Null, "what came before is not shown");
    put(&server, BOB, &setting, json!({})).await.ok();
    post(&server, ALICE, &format!("rooms/{room}/invite"), body).await.ok();
    let invited = invited().await;
    assert!(invited.get(&room).is_some() && invited.get(&earlier).is_some());
}
