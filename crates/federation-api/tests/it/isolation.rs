//! What servers can find out by asking: nothing about rooms that they or the tenant are not in.

use std::collections::BTreeMap;

use freehold_testkit::{EndpointState, Ledger};
use serde_json::{Value, json};

use crate::foreign::{joined, room};
use crate::server::{ALICES, Answer, Ask, BOBS, DENIED, KEYLESS, REMOTE, Server};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    /// A server in the room, and at its tenant: the control.
    Member,
    /// Nobody.
    Unsigned,
    /// A server whose signature cannot be checked.
    Unknown,
    /// A server in the room, with a request for a neighbour of the tenant.
    ForNeighbour,
    /// A server in the room, that asks a neighbour who is not in it.
    AtNeighbour,
    /// A server that is not in the room.
    Stranger,
    /// A server in the room that the tenant denies.
    Denied,
}

const STRANGERS: [Asker; 6] = [
    Asker::Unsigned,
    Asker::Unknown,
    Asker::ForNeighbour,
    Asker::AtNeighbour,
    Asker::Stranger,
    Asker::Denied,
];

impl Asker {
    fn sends(self, ask: Ask) -> Ask {
        match self {
            Asker::Member => ask.by(REMOTE),
            Asker::Unsigned => ask,
            Asker::Unknown => ask.by(KEYLESS),
            Asker::ForNeighbour => ask.by(REMOTE).signed_for(BOBS),
            Asker::AtNeighbour => ask.by(REMOTE).to(BOBS),
            Asker::Stranger => ask.by("stranger.example"),
            Asker::Denied => ask.by(DENIED),
        }
    }
}

/// Values of variables.
type Ids = BTreeMap<&'static str, String>;

/// Queries with which an endpoint goes about its work.
const QUERIES: &[(&str, &str)] = &[
    ("GET /_matrix/federation/v1/backfill/{roomId}", "v={eventId}&limit=5"),
    ("GET /_matrix/federation/v1/state/{roomId}", "event_id={eventId}"),
    ("GET /_matrix/federation/v1/state_ids/{roomId}", "event_id={eventId}"),
    ("GET /_matrix/federation/v1/timestamp_to_event/{roomId}", "ts=0&dir=f"),
    ("GET /_matrix/federation/v1/media/thumbnail/{mediaId}", "width=1&height=1"),
    ("GET /_matrix/federation/v1/query/profile", "user_id={userId}"),
    ("GET /_matrix/federation/v1/make_join/{roomId}/{userId}", "ver=11"),
    ("GET /_matrix/federation/v1/make_knock/{roomId}/{userId}", "ver=11"),
];

/// Bodies with which an endpoint goes about its work.
const BODIES: &[(&str, &str)] = &[
    (
        "POST /_matrix/federation/v1/get_missing_events/{roomId}",
        r#"{"earliest_events":[],"latest_events":["{eventId}"]}"#,
    ),
    ("POST /_matrix/federation/v1/user/keys/query", r#"{"device_keys":{"{userId}":[]}}"#),
    (
        "POST /_matrix/federation/v1/user/keys/claim",
        r#"{"one_time_keys":{"{userId}":{"DEVICE":"signed_curve25519"}}}"#,
    ),
    ("PUT /_matrix/federation/v1/invite/{roomId}/{eventId}", r#"{"room_id":"{roomId}"}"#),
    (
        "PUT /_matrix/federation/v2/invite/{roomId}/{eventId}",
        r#"{"room_version":"11","event":{"room_id":"{roomId}"}}"#,
    ),
    ("PUT /_matrix/federation/v1/exchange_third_party_invite/{roomId}", r#"{"room_id":"{roomId}"}"#),
    (
        "PUT /_matrix/federation/v1/send/{txnId}",
        r#"{"pdus":[{"room_id":"{roomId}"}],"edus":[{"edu_type":"m.typing","content":{
            "room_id":"{roomId}","user_id":"@robin:remote.example","typing":true}}]}"#,
    ),
];

/// Endpoints that answer every server the same, and why.
const SAME_FOR_ALL: &[(&str, &str)] = &[
    ("GET /_matrix/federation/v1/query/{queryType}", "there are no such queries"),
    ("GET /_matrix/federation/v1/media/download/{mediaId}", "there are no media; files are the tenant's"),
    ("GET /_matrix/federation/v1/media/thumbnail/{mediaId}", "there are no media; files are the tenant's"),
    ("GET /_matrix/federation/v1/make_join/{roomId}/{userId}", "the user is none of the server's"),
    ("PUT /_matrix/federation/v1/invite/{roomId}/{eventId}", "there is no event"),
    ("PUT /_matrix/federation/v2/invite/{roomId}/{eventId}", "there is no event"),
    ("PUT /_matrix/federation/v1/send_knock/{roomId}/{eventId}", "there is no event"),
    ("PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}", "there is no event"),
    ("PUT /_matrix/federation/v2/send_leave/{roomId}/{eventId}", "there is no event"),
    ("PUT /_matrix/federation/v1/exchange_third_party_invite/{roomId}", "there is no invite"),
    ("GET /_matrix/federation/v1/make_leave/{roomId}/{userId}", "the user is none of the server's"),
    ("GET /_matrix/federation/v1/make_knock/{roomId}/{userId}", "the user is none of the server's"),
    ("PUT /_matrix/federation/v1/send/{txnId}", "says nothing about what is wrong"),
    ("GET /_matrix/federation/v1/user/devices/{userId}", "who does not exist has no devices, either"),
    ("POST /_matrix/federation/v1/user/keys/query", "who does not exist has no keys, either"),
    ("POST /_matrix/federation/v1/user/keys/claim", "who does not exist has no keys, either"),
    ("GET /_matrix/federation/v1/query/profile", "there is no account"),
];

fn looked_up(table: &[(&'static str, &'static str)], endpoint: &str) -> Option<&'static str> {
    table.iter().find(|(name, _)| *name == endpoint).map(|(_, value)| *value)
}

fn filled(template: &str, ids: &Ids, encode: impl Fn(&str) -> String) -> String {
    ids.iter().fold(template.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), &encode(id)))
}

fn percent_encoded(id: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    id.bytes().map(encode).collect()
}

/// A room with a remote server in it, and ids of what exists and of what does not.
struct World {
    server: Server,
    existing: Ids,
    missing: Ids,
}

impl World {
    async fn new() -> Self {
        let server = Server::start();
        let alice = server.ground.actor("@alice:alice.example").await;
        let room_id = room(&server, &alice, None).await;
        let event_id = joined(&server, &room_id, "@robin:remote.example").await;
        // From now on strangers have no business there.
        let rules = freehold_rooms::NewEvent {
            event_type: "m.room.join_rules".to_owned(),
            state_key: Some(String::new()),
            content: serde_json::value::to_raw_value(&json!({ "join_rule": "invite" })).unwrap(),
            transaction_id: None,
        };
        server.services().rooms.send(&alice, &room_id, rules).await.unwrap();
        let ids = |room: &str, event: &str, user: &str| {
            let other = [("txnId", "1"), ("mediaId", "media"), ("queryType", "weather")];
            let other = other.map(|(name, value)| (name, value.to_owned()));
            let own = [("roomId", room), ("eventId", event), ("userId", user)];
            own.map(|(name, value)| (name, value.to_owned())).into_iter().chain(other).collect()
        };
        let existing = ids(room_id.as_str(), event_id.as_str(), "@alice:alice.example");
        let missing = ids("!nothing:alice.example", "$nothing", "@nobody:alice.example");
        World { server, existing, missing }
    }

    async fn answer(&self, asker: Asker, (method, path): (&str, &str), ids: &Ids) -> Answer {
        let name = format!("{method} {path}");
        let mut target = filled(path, ids, percent_encoded);
        if let Some(query) = looked_up(QUERIES, &name) {
            target = format!("{target}?{}", filled(query, ids, percent_encoded));
        }
        let body = filled(looked_up(BODIES, &name).unwrap_or_default(), ids, str::to_owned);
        self.server.send(asker.sends(Ask::new(method, &target).body(&body))).await
    }
}

/// An answer without what must differ: the ids that were asked for, and all values but the code and message of an error.
fn seen(answer: &Answer, ids: &Ids) -> Value {
    let mut text = String::from_utf8_lossy(&answer.bytes).into_owned();
    for (name, id) in ids {
        text = text.replace(id, name);
    }
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    let told = [&body["errcode"], &body["error"]].map(Value::clone);
    json!({ "status": answer.status.as_u16(), "told": told, "shape": shape(&body) })
}

/// Names and types.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| (name.clone(), shape(member)));
            members.collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(shape).collect::<Vec<_>>().into(),
        Value::String(_) => "string".into(),
        Value::Number(_) => "number".into(),
        other => other.clone(),
    }
}

/// Endpoints that name something that could exist or not.
fn naming(ledger: &Ledger) -> impl Iterator<Item = (&str, &str)> {
    let done = ledger.entries().filter(|(.., state)| *state == EndpointState::Done);
    done.map(|(method, path, _)| (method, path)).filter(|(method, path)| {
        let body = looked_up(BODIES, &format!("{method} {path}")).unwrap_or_default();
        path.contains("/federation/") && (path.contains('{') || body.contains("{userId}"))
    })
}

/// A request that fails before it is looked at proves nothing.
fn too_early(answer: &Answer) -> Option<String> {
    let (status, errcode) = answer.error();
    let early = ["M_BAD_JSON", "M_NOT_JSON", "M_MISSING_PARAM", "M_UNRECOGNIZED", "M_LIMIT_EXCEEDED"];
    (status >= 500 || early.contains(&errcode)).then(|| format!("{status} {errcode}: {}", answer.json))
}

#[tokio::test]
async fn strangers_get_the_same_answer_about_what_exists_and_what_does_not() {
    let ledger = Ledger::of_servers();
    let mut told = Vec::new();
    for (method, path) in naming(&ledger) {
        let world = World::new().await;
        for asker in STRANGERS {
            let about_existing = world.answer(asker, (method, path), &world.existing).await;
            let about_missing = world.answer(asker, (method, path), &world.missing).await;
            let (one, other) = (seen(&about_existing, &world.existing), seen(&about_missing, &world.missing));
            if one != other {
                told.push(format!("{method} {path} as {asker:?}: {one} if it exists, {other} if not"));
            }
            if !path.contains("queryType") {
                told.extend(too_early(&about_existing).map(|early| format!("{method} {path}: {early}")));
            }
            let expected = match asker {
                Asker::Unsigned | Asker::Unknown | Asker::ForNeighbour => Some((401, "M_UNAUTHORIZED")),
                Asker::Denied => Some((403, "M_FORBIDDEN")),
                _ => None,
            };
            if expected.is_some_and(|expected| about_existing.error() != expected) {
                told.push(format!("{method} {path} as {asker:?}: {:?}", about_existing.error()));
            }
        }
    }
    assert!(told.is_empty(), "strangers can tell:\n{}", told.join("\n"));
}

#[tokio::test]
async fn a_server_in_the_room_is_told_what_exists() {
    let ledger = Ledger::of_servers();
    let mut same = Vec::new();
    for (method, path) in naming(&ledger) {
        let name = format!("{method} {path}");
        if looked_up(SAME_FOR_ALL, &name).is_some() {
            continue;
        }
        let world = World::new().await;
        let about_existing = world.answer(Asker::Member, (method, path), &world.existing).await;
        let about_missing = world.answer(Asker::Member, (method, path), &world.missing).await;
        if seen(&about_existing, &world.existing) == seen(&about_missing, &world.missing) {
            same.push(format!("{name}: {}", about_existing.json));
        }
    }
    assert!(same.is_empty(), "nobody can tell, so the other test proves nothing about:\n{}", same.join("\n"));
}

/// Continuwuity SEC26: the state and auth chain of one room were had with the event of another.
#[tokio::test]
async fn an_event_of_another_room_is_as_unknown_as_none() {
    let server = Server::start();
    let alice = server.ground.actor("@alice:alice.example").await;
    let (shared, private) = (room(&server, &alice, None).await, room(&server, &alice, None).await);
    joined(&server, &shared, "@robin:remote.example").await;
    let hidden = joined(&server, &private, "@other:other.example").await;
    let (room_id, hidden) = (percent_encoded(shared.as_str()), percent_encoded(hidden.as_str()));
    for path in [
        format!("state/{room_id}?event_id={{}}"),
        format!("state_ids/{room_id}?event_id={{}}"),
        format!("event_auth/{room_id}/{{}}"),
        "event/{}".to_owned(),
    ] {
        let ask = |event_id: &str| {
            let path = format!("/_matrix/federation/v1/{}", path.replace("{}", event_id));
            server.send(Ask::new("GET", &path).by(REMOTE))
        };
        let (of_another_room, of_none) = (ask(&hidden).await, ask("$nothing").await);
        assert_eq!(of_none.error(), (404, "M_NOT_FOUND"), "{path}");
        assert_eq!(of_another_room.json, of_none.json, "{path}");
    }
}

/// CVE-2022-39335: the auth chain of an event was given to servers that are not in its room.
#[tokio::test]
async fn cve_2022_39335_the_auth_chain_of_an_event_is_for_servers_in_its_room() {
    let world = World::new().await;
    let path = "/_matrix/federation/v1/event_auth/{roomId}/{eventId}";
    let member = world.answer(Asker::Member, ("GET", path), &world.existing).await.ok();
    assert!(!member["auth_chain"].as_array().unwrap().is_empty());
    let stranger = world.answer(Asker::Stranger, ("GET", path), &world.existing).await;
    assert_eq!(stranger.error(), (403, "M_FORBIDDEN"));
}

#[tokio::test]
async fn states_and_histories_are_those_of_the_room() {
    let world = World::new().await;
    let (room_id, event_id) = (&world.existing["roomId"], &world.existing["eventId"]);
    let get = async |path: String| {
        world.server.send(Ask::new("GET", &format!("/_matrix/federation/v1/{path}")).by(REMOTE)).await.ok()
    };
    let (room_id, event) = (percent_encoded(room_id), percent_encoded(event_id));
    let state = get(format!("state/{room_id}?event_id={event}")).await;
    let ids = get(format!("state_ids/{room_id}?event_id={event}")).await;
    for (whole, by_id) in [("pdus", "pdu_ids"), ("auth_chain", "auth_chain_ids")] {
        let count = state[whole].as_array().unwrap().len();
        assert!(count > 0 && count == ids[by_id].as_array().unwrap().len(), "{state} {ids}");
    }
    let found = get(format!("event/{event}")).await;
    assert_eq!(found["origin"], ALICES);
    assert_eq!(found["pdus"][0]["sender"], "@robin:remote.example");
    let before = get(format!("backfill/{room_id}?v={event}&limit=3")).await;
    assert_eq!(before["pdus"].as_array().unwrap().len(), 3);
    let nearest = get(format!("timestamp_to_event/{room_id}?ts=9999999999999&dir=b")).await;
    assert!(nearest["event_id"].is_string(), "{nearest}");
}

#[tokio::test]
async fn a_template_is_for_users_of_the_server_that_asks_and_a_private_room_is_as_unknown_as_none() {
    let server = Server::start();
    let alice = server.ground.actor("@alice:alice.example").await;
    let public = room(&server, &alice, None).await;
    let private = freehold_rooms::CreateRoom {
        preset: Some(freehold_rooms::Preset::PrivateChat),
        room_version: Some("11".to_owned()),
        ..freehold_rooms::CreateRoom::default()
    };
    let private = server.services().rooms.create_room(&alice, private).await.unwrap();
    let make = async |room_id: &str, host: &str| {
        let room_id = percent_encoded(room_id);
        let path =
            format!("/_matrix/federation/v1/make_join/{room_id}/%40robin%3Aremote.example?ver=10&ver=11");
        server.send(Ask::new("GET", &path).by(REMOTE).to(host)).await
    };
    let made = make(public.as_str(), ALICES).await.ok();
    assert_eq!(made["room_version"], "11");
    assert_eq!(made["event"]["state_key"], "@robin:remote.example");
    let none = make("!nothing:alice.example", ALICES).await;
    assert_eq!(none.error(), (404, "M_NOT_FOUND"));
    assert_eq!(make(private.as_str(), ALICES).await.json, none.json);
    assert_eq!(make(public.as_str(), BOBS).await.json, none.json);
    let room_id = percent_encoded(public.as_str());
    // Somebody else's join is not taken from this server.
    let other = crate::foreign::made(&server, &public, crate::foreign::join("@x:other.example")).await;
    let event_id = percent_encoded(other.event_id.as_str());
    let path = format!("/_matrix/federation/v2/send_join/{room_id}/{event_id}");
    let refused = server.send(Ask::new("PUT", &path).by(REMOTE).json(&other.json)).await;
    assert!(refused.status.as_u16() >= 400, "{}", refused.json);
}
