//! Strangers learn nothing about a tenant: whatever is done is asked about things that exist and about things that do not,
//! and the answers must be the same.
//!
//! The list of endpoints is the ledger; what is done there and missing here fails a test.

mod never_joined;

use std::collections::BTreeMap;

use freehold_accounts::{AccountPolicy, Registration};
use freehold_testkit::{EndpointState, Ledger};
use ruma_common::owned_user_id;
use serde_json::{Value, json};

use crate::accounts::{register, token};
use crate::encryption::Person;
use crate::server::{ALICES, Answer, Ask, BOBS, Server};

/// The names of things in paths, queries and bodies: `{roomId}` is replaced by the id of a room.
type Ids = BTreeMap<&'static str, String>;

/// Who asks.
#[derive(Clone, Copy, Debug)]
enum Asker {
    /// A user of another tenant.
    Stranger,
    /// An administrator of another tenant.
    Admin,
    /// Somebody without an access token, at the other tenant's host.
    Nobody,
    /// A user of the tenant, with the token, at the other tenant's host.
    WrongHost,
    /// The owner of everything that exists: the control, for whom answers must differ.
    Owner,
}

const STRANGERS: [Asker; 4] = [Asker::Stranger, Asker::Admin, Asker::Nobody, Asker::WrongHost];

const OWNER: &str = "@owner:alice.example";
const STRANGER: &str = "@stranger:bob.example";

/// Two tenants, one of them with things that exist.
struct World {
    server: Server,
    tokens: BTreeMap<&'static str, String>,
    /// The keys of the owner's device.
    keys: Value,
    existing: Ids,
    missing: Ids,
}

impl World {
    async fn new() -> Self {
        let server = Server::with_accounts(AccountPolicy {
            registration: Registration::Open,
            admins: [owned_user_id!("@admin:bob.example"), owned_user_id!("@owner:alice.example")].into(),
            ..AccountPolicy::default()
        });
        let owner = Person::new(&server, ALICES, "owner").await;
        let keys = json!({
            "device_keys": owner.device_keys(),
            "one_time_keys": { "signed_curve25519:A": owner.one_time_key() },
        });
        let device = owner.session["device_id"].as_str().unwrap();
        let mut tokens =
            BTreeMap::from([("owner", token(&owner.session).to_owned()), ("device", device.to_owned())]);
        for name in ["stranger", "admin"] {
            let session = register(&server, BOBS, name).await;
            tokens.insert(name, token(&session).to_owned());
        }
        let mut world = World { server, tokens, keys, existing: Ids::new(), missing: Ids::new() };
        world.make_things().await;
        world
    }

    fn ask(&self, asker: Asker, method: &str, path: &str) -> Ask {
        let ask = Ask::new(method, path);
        match asker {
            Asker::Stranger => ask.to(BOBS).with_token(&self.tokens["stranger"]),
            Asker::Admin => ask.to(BOBS).with_token(&self.tokens["admin"]),
            Asker::Nobody => ask.to(BOBS),
            Asker::WrongHost => ask.to(BOBS).with_token(&self.tokens["owner"]),
            Asker::Owner => ask.with_token(&self.tokens["owner"]),
        }
    }

    async fn owner(&self, method: &str, path: &str, body: Value) -> Value {
        let path = format!("/_matrix/client/v3/{path}");
        self.server.send(self.ask(Asker::Owner, method, &path).json(&body)).await.ok()
    }

    /// What exists, made by [`OWNER`], and what does not.
    async fn make_things(&mut self) {
        let body = json!({"preset": "private_chat", "room_alias_name": "existing", "name": "secret"});
        let room_id = self.owner("POST", "createRoom", body).await["room_id"].as_str().unwrap().to_owned();
        let message = json!({"msgtype": "m.text", "body": "secret"});
        let sent = self.owner("PUT", &format!("rooms/{room_id}/send/m.room.message/1"), message).await;
        let event_id = sent["event_id"].as_str().unwrap().to_owned();
        let filter = self.owner("POST", &format!("user/{OWNER}/filter"), json!({})).await;
        let rule = json!({"actions": [], "conditions": []});
        self.owner("PUT", "pushrules/global/override/existing", rule).await;
        self.owner("PUT", &format!("user/{OWNER}/account_data/existing"), json!({})).await;
        self.owner("PUT", &format!("user/{OWNER}/rooms/{room_id}/account_data/existing"), json!({})).await;
        self.owner("PUT", &format!("user/{OWNER}/rooms/{room_id}/tags/existing"), json!({})).await;
        self.owner("PUT", &format!("profile/{OWNER}/displayname"), json!({"displayname": "secret"})).await;
        let algorithm = "m.megolm_backup.v1.curve25519-aes-sha2";
        let backup = json!({"algorithm": algorithm, "auth_data": {"public_key": "secret", "signatures": {}}});
        let backup =
            self.owner("POST", "room_keys/version", backup).await["version"].as_str().unwrap().to_owned();
        let key =
            json!({"first_message_index": 0, "forwarded_count": 0, "is_verified": false, "session_data": {}});
        self.owner("PUT", &format!("room_keys/keys/{room_id}/existing?version={backup}"), key).await;
        self.owner("POST", "keys/upload", self.keys.clone()).await;
        let upload =
            self.ask(Asker::Owner, "POST", "/_matrix/media/v3/upload").body(crate::media::picture(2, 1));
        let uploaded = self.server.send(upload).await.ok();
        let (_, media_id) = uploaded["content_uri"].as_str().unwrap().rsplit_once('/').unwrap();
        let existing = [
            ("mediaId", media_id.to_owned()),
            ("version", backup),
            ("sessionId", "existing".to_owned()),
            ("roomId", room_id.clone()),
            ("roomIdOrAlias", room_id),
            ("eventId", event_id),
            ("roomAlias", format!("#existing:{ALICES}")),
            ("userId", OWNER.to_owned()),
            ("deviceId", self.tokens["device"].clone()),
            ("filterId", filter["filter_id"].as_str().unwrap().to_owned()),
            ("ruleId", "existing".to_owned()),
            ("type", "existing".to_owned()),
            ("tag", "existing".to_owned()),
        ];
        let missing = existing.clone().map(|(name, id)| (name, missing(name, &id)));
        let both = [
            ("eventType", "m.room.name"),
            ("receiptType", "m.read"),
            ("stateKey", ""),
            ("txnId", "1"),
            ("relType", "m.thread"),
            ("kind", "override"),
            ("keyName", "displayname"),
            ("serverName", ALICES),
            ("fileName", "name"),
        ];
        let both = both.map(|(name, value)| (name, value.to_owned()));
        self.existing = existing.into_iter().chain(both.clone()).collect();
        self.missing = missing.into_iter().chain(both).collect();
    }

    async fn answer(&self, asker: Asker, endpoint: (&str, &str), ids: &Ids) -> Answer {
        let (method, path) = endpoint;
        let name = format!("{method} {path}");
        let own_host = if matches!(asker, Asker::Owner) { ALICES } else { BOBS };
        let path = looked_up(PATHS, &name).unwrap_or(path).replace("{ownHost}", own_host);
        let mut target = filled(&path, ids, percent_encoded);
        if let Some(query) = looked_up(QUERIES, &name) {
            target = format!("{target}?{}", filled(query, ids, percent_encoded));
        }
        let ask = self.ask(asker, method, &target);
        let body = looked_up(BODIES, &name).unwrap_or("{}");
        let ask = if method == "GET" { ask } else { ask.body(filled(body, ids, str::to_owned)) };
        self.server.send(ask).await
    }
}

/// An id like the existing one of something that does not exist.
fn missing(name: &str, existing: &str) -> String {
    match name {
        "roomAlias" => format!("#vanished:{ALICES}"),
        "userId" => format!("@nobody:{ALICES}"),
        "ruleId" | "type" | "tag" | "sessionId" => "vanished".to_owned(),
        // Another letter, so that an id is another one of the same length.
        _ => existing.chars().map(rotated).collect(),
    }
}

fn rotated(letter: char) -> char {
    match letter {
        'a'..='y' | 'A'..='Y' | '0'..='8' => char::from_u32(u32::from(letter) + 1).unwrap(),
        other => other,
    }
}

/// Paths with something of the asker's own in them, where a request about what is others' would be refused too early.
const PATHS: &[(&str, &str)] = &[(
    "PUT /_matrix/client/v3/directory/room/{roomAlias}",
    "/_matrix/client/v3/directory/room/%23own%3A{ownHost}",
)];

/// Query strings without which an endpoint does not look further.
const QUERIES: &[(&str, &str)] = &[
    ("GET /_matrix/client/v3/rooms/{roomId}/messages", "dir=b"),
    ("GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event", "dir=f&ts=0"),
    ("POST /_matrix/client/v3/join/{roomIdOrAlias}", "via=alice.example"),
    ("POST /_matrix/client/v3/knock/{roomIdOrAlias}", "via=alice.example"),
    ("GET /_matrix/client/v3/room_keys/keys/{roomId}", "version={version}"),
    ("PUT /_matrix/client/v3/room_keys/keys/{roomId}", "version={version}"),
    ("DELETE /_matrix/client/v3/room_keys/keys/{roomId}", "version={version}"),
    ("GET /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}", "version={version}"),
    ("PUT /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}", "version={version}"),
    ("DELETE /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}", "version={version}"),
    ("GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}", "width=1&height=1"),
    ("GET /_matrix/media/v3/thumbnail/{serverName}/{mediaId}", "width=1&height=1"),
];

/// Bodies with which an endpoint goes about its work.
const BODIES: &[(&str, &str)] = &[
    ("POST /_matrix/client/v3/rooms/{roomId}/ban", r#"{"user_id":"{userId}"}"#),
    ("POST /_matrix/client/v3/rooms/{roomId}/unban", r#"{"user_id":"{userId}"}"#),
    ("POST /_matrix/client/v3/rooms/{roomId}/kick", r#"{"user_id":"{userId}"}"#),
    ("POST /_matrix/client/v3/rooms/{roomId}/invite", r#"{"user_id":"{userId}"}"#),
    ("POST /_matrix/client/v3/rooms/{roomId}/upgrade", r#"{"new_version":"11"}"#),
    ("PUT /_matrix/client/v3/directory/list/room/{roomId}", r#"{"visibility":"public"}"#),
    ("PUT /_matrix/client/v3/directory/room/{roomAlias}", r#"{"room_id":"{roomId}"}"#),
    (
        "PUT /_matrix/client/v3/room_keys/version/{version}",
        r#"{"algorithm":"m.megolm_backup.v1.curve25519-aes-sha2",
            "auth_data":{"public_key":"new","signatures":{}}}"#,
    ),
    (
        "PUT /_matrix/client/v3/room_keys/keys/{roomId}",
        r#"{"sessions":{"new":{
            "first_message_index":0,"forwarded_count":0,"is_verified":false,"session_data":{}}}}"#,
    ),
    (
        "PUT /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}",
        r#"{"first_message_index":0,"forwarded_count":0,"is_verified":false,"session_data":{}}"#,
    ),
    (
        "PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId}",
        r#"{"messages":{"{userId}":{"{deviceId}":{}}}}"#,
    ),
    ("POST /_matrix/client/v3/keys/query", r#"{"device_keys":{"{userId}":[]}}"#),
    (
        "POST /_matrix/client/v3/keys/claim",
        r#"{"one_time_keys":{"{userId}":{"{deviceId}":"signed_curve25519"}}}"#,
    ),
    ("PUT /_matrix/client/v1/admin/suspend/{userId}", r#"{"suspended":true}"#),
    ("PUT /_matrix/client/v1/admin/lock/{userId}", r#"{"locked":true}"#),
    ("PUT /_matrix/client/v3/profile/{userId}/{keyName}", r#"{"displayname":"new"}"#),
    ("PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}", r#"{"typing":true,"timeout":1000}"#),
    ("PUT /_matrix/client/v3/presence/{userId}/status", r#"{"presence":"online"}"#),
    ("POST /_matrix/client/v3/rooms/{roomId}/read_markers", r#"{"m.read":"{eventId}"}"#),
    ("PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}", r#"{"actions":[],"conditions":[]}"#),
    ("PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled", r#"{"enabled":true}"#),
    ("PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions", r#"{"actions":[]}"#),
];

/// What strangers may know all the same, because every server of the federation may ask for it.
const PUBLIC: &[(&str, &str)] = &[
    (
        "GET /_matrix/client/v3/directory/room/{roomAlias}",
        "any server resolves an alias: https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1querydirectory",
    ),
    ("GET /_matrix/client/v1/media/download/{serverName}/{mediaId}", MEDIA),
    ("GET /_matrix/client/v1/media/download/{serverName}/{mediaId}/{fileName}", MEDIA),
    ("GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}", MEDIA),
    ("GET /_matrix/media/v3/download/{serverName}/{mediaId}", MEDIA),
    ("GET /_matrix/media/v3/download/{serverName}/{mediaId}/{fileName}", MEDIA),
    ("GET /_matrix/media/v3/thumbnail/{serverName}/{mediaId}", MEDIA),
    (
        "GET /_matrix/client/v3/profile/{userId}",
        "any server asks for profiles: \
         https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryprofile",
    ),
    (
        "GET /_matrix/client/v3/profile/{userId}/{keyName}",
        "any server asks for profiles: \
         https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryprofile",
    ),
    (
        "POST /_matrix/client/v3/keys/query",
        "any server asks for keys of devices: \
         https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysquery",
    ),
    (
        "POST /_matrix/client/v3/keys/claim",
        "any server claims one-time keys: \
         https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysclaim",
    ),
];

/// Files of a tenant, which every server may ask for.
const MEDIA: &str = "any server asks for media: \
    https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1mediadownloadmediaid";

/// Endpoints that answer their owner the same, too, and why.
const SAME_FOR_ALL: &[(&str, &str)] = &[
    ("DELETE /_matrix/client/v3/devices/{deviceId}", "asks for the password first"),
    ("PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId}", "says nothing about who gets it"),
    ("PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}", "makes what does not exist"),
    ("GET /_matrix/media/v3/download/{serverName}/{mediaId}", FROZEN),
    ("GET /_matrix/media/v3/download/{serverName}/{mediaId}/{fileName}", FROZEN),
    ("GET /_matrix/media/v3/thumbnail/{serverName}/{mediaId}", FROZEN),
];

const FROZEN: &str = "the owner's tenant gives nothing without an access token";

/// Endpoints with nothing in their paths and bodies that could exist or not.
fn names_nothing(path: &str, body: &str) -> bool {
    !path.contains('{') && !body.contains("{roomId}") && !body.contains("{userId}")
}

fn looked_up(table: &[(&'static str, &'static str)], endpoint: &str) -> Option<&'static str> {
    table.iter().find(|(name, _)| *name == endpoint).map(|(_, value)| *value)
}

fn filled(template: &str, ids: &Ids, encode: impl Fn(&str) -> String) -> String {
    ids.iter().fold(template.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), &encode(id)))
}

fn percent_encoded(id: &str) -> String {
    id.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// An answer without what must differ: the ids that were asked for, and all values but the code and message of an error.
fn seen(answer: &Answer, ids: &Ids) -> Value {
    let mut text = String::from_utf8_lossy(&answer.bytes).into_owned();
    for (name, id) in ids.iter().filter(|(_, id)| !id.is_empty()) {
        text = text.replace(id, name);
    }
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    let told = [&body["errcode"], &body["error"]].map(Value::clone);
    json!({ "status": answer.status.as_u16(), "told": told, "shape": shape(&body) })
}

/// Names and types.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), shape(member)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(shape).collect::<Vec<_>>().into(),
        Value::String(_) => "string".into(),
        Value::Number(_) => "number".into(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn strangers_get_the_same_answer_about_what_exists_and_what_does_not() {
    let ledger = Ledger::of_clients();
    let mut told = Vec::new();
    for (method, path, state) in ledger.entries() {
        let name = format!("{method} {path}");
        let body = looked_up(BODIES, &name).unwrap_or_default();
        if state != EndpointState::Done || names_nothing(path, body) || looked_up(PUBLIC, &name).is_some() {
            continue;
        }
        let world = World::new().await;
        for asker in STRANGERS {
            for (whose, user_id) in [("owner's", None), ("own", Some(STRANGER))] {
                let existing = of_user(&world.existing, user_id);
                let missing = of_user(&world.missing, user_id);
                let about_existing = world.answer(asker, (method, path), &existing).await;
                let about_missing = world.answer(asker, (method, path), &missing).await;
                // "400: The user ID is not local to the server", which is said of all users of others alike.
                if !path.contains("/admin/") {
                    told.extend(too_early(asker, &about_existing).map(|early| format!("{name}: {early}")));
                }
                let (one, other) = (seen(&about_existing, &existing), seen(&about_missing, &missing));
                if one != other {
                    told.push(format!("{name} as {asker:?}, {whose}: {one} if it exists, {other} if not"));
                }
            }
        }
    }
    assert!(told.is_empty(), "strangers can tell:\n{}", told.join("\n"));
}

/// The same ids, with those of users replaced by one.
fn of_user(ids: &Ids, user_id: Option<&str>) -> Ids {
    let mut ids = ids.clone();
    if let Some(user_id) = user_id {
        ids.insert("userId", user_id.to_owned());
    }
    ids
}

/// A request that fails before it is looked at proves nothing.
fn too_early(asker: Asker, answer: &Answer) -> Option<String> {
    let (status, errcode) = answer.error();
    let early = [
        "M_BAD_JSON",
        "M_NOT_JSON",
        "M_MISSING_PARAM",
        "M_INVALID_PARAM",
        "M_UNRECOGNIZED",
        "M_MISSING_TOKEN",
        "M_UNKNOWN_TOKEN",
        "M_LIMIT_EXCEEDED",
    ];
    let known = !matches!(asker, Asker::Nobody | Asker::WrongHost);
    let refused = status >= 500 || known && early.contains(&errcode);
    refused.then(|| format!("{status} {errcode} before it is looked at: {}", answer.json))
}

#[tokio::test]
async fn the_owner_is_told_what_exists() {
    let ledger = Ledger::of_clients();
    let mut same = Vec::new();
    for (method, path, state) in ledger.entries() {
        let name = format!("{method} {path}");
        let body = looked_up(BODIES, &name).unwrap_or_default();
        if state != EndpointState::Done
            || names_nothing(path, body)
            || looked_up(SAME_FOR_ALL, &name).is_some()
        {
            continue;
        }
        let world = World::new().await;
        let (existing, missing) = (&world.existing, &world.missing);
        let about_existing = world.answer(Asker::Owner, (method, path), existing).await;
        let about_missing = world.answer(Asker::Owner, (method, path), missing).await;
        same.extend(too_early(Asker::Owner, &about_existing).map(|early| format!("{name}: {early}")));
        if seen(&about_existing, existing) == seen(&about_missing, missing) {
            same.push(name);
        }
    }
    assert!(
        same.is_empty(),
        "the owner cannot tell either, so the other test proves nothing about:\n{}",
        same.join("\n")
    );
}
