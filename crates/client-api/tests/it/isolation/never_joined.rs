//! Users who were invited, knocked or were banned, and were never joined, are told of a room what their membership shows.

use freehold_testkit::{EndpointState, Ledger};
use serde_json::{Value, json};

use super::{BODIES, QUERIES, World, filled, looked_up, percent_encoded};
use crate::accounts::{register, token};
use crate::server::{ALICES, Answer, Ask, BOBS};

/// How users of the other tenant stand to the room, none of whom ever joined it.
const NEVER_JOINED: [&str; 6] = ["invited", "declined", "withdrawn", "knocking", "retracted", "banned"];

/// What nobody is told who was never joined.
const HIDDEN: &str = "hidden";

/// Requests by which one comes in, gets out or asks to come in: who may, may.
const COMES_AND_GOES: [&str; 5] = [
    "POST /_matrix/client/v3/join/{roomIdOrAlias}",
    "POST /_matrix/client/v3/rooms/{roomId}/join",
    "POST /_matrix/client/v3/knock/{roomIdOrAlias}",
    "POST /_matrix/client/v3/rooms/{roomId}/leave",
    "POST /_matrix/client/v3/rooms/{roomId}/forget",
];

impl World {
    async fn by(&self, name: &str, method: &str, path: &str, body: Value) -> Answer {
        let path = format!("/_matrix/client/v3/{path}");
        let host = if name == "owner" { ALICES } else { BOBS };
        let ask = Ask::new(method, &path).to(host).with_token(&self.tokens[name]);
        self.server.send(if method == "GET" { ask } else { ask.json(&body) }).await
    }

    /// The room of the owner, with something in it that is hidden, and users who stand to it in every way; and one who joined.
    async fn make_memberships(&mut self) {
        let names = NEVER_JOINED.iter().chain(&["joined"]);
        for name in names {
            let session = register(&self.server, BOBS, name).await;
            self.tokens.insert(name, token(&session).to_owned());
        }
        let room = format!("rooms/{}", self.existing["roomId"]);
        let id = |name: &str| json!({ "user_id": format!("@{name}:{BOBS}") });
        self.owner("PUT", &format!("{room}/state/m.room.join_rules"), json!({ "join_rule": "knock" })).await;
        self.owner("PUT", &format!("{room}/state/example.{HIDDEN}"), json!({})).await;
        let message = json!({ "msgtype": "m.text", "body": HIDDEN });
        let sent = self.owner("PUT", &format!("{room}/send/m.room.message/2"), message).await;
        self.existing.insert("eventId", sent["event_id"].as_str().unwrap().to_owned());
        for name in ["invited", "declined", "withdrawn", "joined"] {
            self.owner("POST", &format!("{room}/invite"), id(name)).await;
        }
        for name in ["knocking", "retracted"] {
            let path = format!("knock/{}?via={ALICES}", self.existing["roomId"]);
            self.by(name, "POST", &path, json!({})).await.ok();
        }
        self.owner("POST", &format!("{room}/ban"), id("banned")).await;
        self.by("joined", "POST", &format!("{room}/join"), json!({})).await.ok();
        self.owner("PUT", &format!("{room}/state/example.{HIDDEN}"), json!({ "again": true })).await;
        for name in ["declined", "retracted"] {
            self.by(name, "POST", &format!("{room}/leave"), json!({})).await.ok();
        }
        self.owner("POST", &format!("{room}/kick"), id("withdrawn")).await;
    }

    /// Syncs that tell as much of rooms that one is not in as any does.
    async fn syncs(&self, name: &str) -> Vec<Answer> {
        let filter = percent_encoded(r#"{"room":{"include_leave":true,"timeline":{"limit":100}}}"#);
        let all = format!("sync?filter={filter}");
        let mut answers = Vec::new();
        for more in ["", "&since=s1_0_0_0_0", "&since=s1_0_0_0_0&full_state=true", "&use_state_after=true"] {
            answers.push(self.by(name, "GET", &format!("{all}{more}"), json!({})).await);
        }
        answers.push(self.by(name, "GET", "keys/changes?from=s1_0_0_0_0&to=s9_0_0_0_0", json!({})).await);
        answers
    }
}

#[tokio::test]
async fn who_was_never_joined_is_told_nothing_that_only_members_know() {
    let ledger = Ledger::of_clients();
    let mut world = World::new().await;
    world.make_memberships().await;
    let tells = |answer: &Answer| String::from_utf8_lossy(&answer.bytes).contains(HIDDEN);
    let mut told = Vec::new();
    for name in NEVER_JOINED {
        for answer in world.syncs(name).await {
            assert_eq!(answer.status, 200, "{}", answer.json);
            let text = String::from_utf8_lossy(&answer.bytes).into_owned();
            if tells(&answer) || text.contains("m.room.power_levels") || text.contains("joined:bob") {
                told.push(format!("sync as {name}: {text}"));
            }
        }
        for (method, path, state) in ledger.entries() {
            let endpoint = format!("{method} {path}");
            let of_room = path.contains("{roomId}") || path.contains("{roomIdOrAlias}");
            if state != EndpointState::Done || !of_room || COMES_AND_GOES.contains(&&*endpoint) {
                continue;
            }
            let mut target = filled(path, &world.existing, percent_encoded);
            if let Some(query) = looked_up(QUERIES, &endpoint) {
                target = format!("{target}?{}", filled(query, &world.existing, percent_encoded));
            }
            let ask = Ask::new(method, &target).to(BOBS).with_token(&world.tokens[name]);
            let body = filled(looked_up(BODIES, &endpoint).unwrap_or("{}"), &world.existing, str::to_owned);
            let answer = world.server.send(if method == "GET" { ask } else { ask.body(body) }).await;
            if tells(&answer) {
                told.push(format!("{endpoint} as {name}: {}", answer.json));
            }
        }
    }
    assert!(told.is_empty(), "they are told:\n{}", told.join("\n"));
    let synced = world.syncs("joined").await;
    assert!(synced.iter().take(4).all(tells), "the control: members are told");
}
