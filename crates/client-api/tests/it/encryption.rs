//! Keys, to-device messages and key backup, over HTTP.

use freehold_signing::SigningKey;
use serde_json::{Value, json};

use crate::accounts::{open, register, token};
use crate::server::{ALICES, Answer, Ask, BOBS, Server};

const KEYS: &str = "/_matrix/client/v3/keys";
const BACKUP: &str = "/_matrix/client/v3/room_keys";

/// Somebody who is logged in.
pub(crate) struct Person {
    host: &'static str,
    pub(crate) session: Value,
    key: SigningKey,
}

impl Person {
    pub(crate) async fn new(server: &Server, host: &'static str, name: &str) -> Self {
        let session = register(server, host, name).await;
        Person { host, session, key: SigningKey::from_seed(&[name.as_bytes()[0]; 32]) }
    }

    fn id(&self) -> &str {
        self.session["user_id"].as_str().unwrap()
    }

    fn device(&self) -> &str {
        self.session["device_id"].as_str().unwrap()
    }

    async fn ask(&self, server: &Server, method: &str, path: &str, body: &Value) -> Answer {
        let ask = Ask::new(method, path).to(self.host).with_token(token(&self.session));
        server.send(if body.is_null() { ask } else { ask.json(body) }).await
    }

    fn signed(&self, mut document: Value, key_id: &str, key: &SigningKey) -> Value {
        let bytes = freehold_canonical_json::to_canonical_vec_from(
            &document,
            &freehold_canonical_json::Limits::STRICT,
        );
        let signature = key.sign(&bytes.unwrap()).to_base64();
        document["signatures"] = json!({ self.id(): { format!("ed25519:{key_id}"): signature } });
        document
    }

    pub(crate) fn device_keys(&self) -> Value {
        let device = self.device();
        let keys = json!({
            "user_id": self.id(),
            "device_id": device,
            "algorithms": ["m.megolm.v1.aes-sha2"],
            "keys": { format!("ed25519:{device}"): self.key.verifying_key().to_base64() },
        });
        self.signed(keys, device, &self.key)
    }

    pub(crate) fn one_time_key(&self) -> Value {
        self.signed(json!({ "key": "public" }), self.device(), &self.key)
    }

    /// A cross-signing key made from a seed, signed by the one made from another.
    fn cross_signing_key(&self, usage: &str, seed: u8, by: Option<u8>) -> Value {
        let public = |seed: u8| SigningKey::from_seed(&[seed; 32]).verifying_key().to_base64();
        let document = json!({
            "user_id": self.id(),
            "usage": [usage],
            "keys": { format!("ed25519:{}", public(seed)): public(seed) },
        });
        match by {
            Some(by) => self.signed(document, &public(by), &SigningKey::from_seed(&[by; 32])),
            None => document,
        }
    }
}

async fn two() -> (Server, Person, Person) {
    let server = open();
    let alice = Person::new(&server, ALICES, "alice").await;
    let bob = Person::new(&server, BOBS, "bob").await;
    (server, alice, bob)
}

#[tokio::test]
async fn keys_are_uploaded_queried_and_claimed_across_tenants() {
    let (server, alice, bob) = two().await;
    let upload = json!({
        "device_keys": alice.device_keys(),
        "one_time_keys": { "signed_curve25519:A": alice.one_time_key() },
        "fallback_keys": { "signed_curve25519:F": alice.one_time_key() },
    });
    let counts = alice.ask(&server, "POST", &format!("{KEYS}/upload"), &upload).await.ok();
    assert_eq!(counts, json!({ "one_time_key_counts": { "signed_curve25519": 1 } }));

    let wanted = json!({ "device_keys": { alice.id(): [], "@x:elsewhere.example": [] } });
    let found = bob.ask(&server, "POST", &format!("{KEYS}/query"), &wanted).await.ok();
    assert_eq!(found["device_keys"][alice.id()][alice.device()], alice.device_keys());
    assert!(found["failures"]["elsewhere.example"].is_object());

    let wanted = json!({ "one_time_keys": { alice.id(): { alice.device(): "signed_curve25519" } } });
    for key_id in ["A", "F", "F"] {
        let claimed = bob.ask(&server, "POST", &format!("{KEYS}/claim"), &wanted).await.ok();
        let expected = json!({ format!("signed_curve25519:{key_id}"): alice.one_time_key() });
        assert_eq!(claimed["one_time_keys"][alice.id()][alice.device()], expected);
    }
}

#[tokio::test]
async fn wrong_keys_are_named() {
    let (server, alice, _) = two().await;
    let mut unsigned = alice.device_keys();
    unsigned["signatures"] = json!({});
    let mut other = alice.device_keys();
    other["user_id"] = json!("@bob:bob.example");
    let mut malformed = alice.device_keys();
    malformed["keys"] = json!([]);
    let cases = [
        (unsigned, "M_INVALID_SIGNATURE", "no valid signature"),
        (other, "M_INVALID_PARAM", "`user_id`"),
        (malformed, "M_BAD_JSON", "`keys`"),
    ];
    for (device_keys, errcode, named) in cases {
        let body = json!({ "device_keys": device_keys });
        let answer = alice.ask(&server, "POST", &format!("{KEYS}/upload"), &body).await;
        assert_eq!(answer.error(), (400, errcode));
        assert!(answer.json["error"].as_str().unwrap().contains(named), "{}", answer.json);
    }
    let first = json!({ "one_time_keys": { "signed_curve25519:A": alice.one_time_key() } });
    alice.ask(&server, "POST", &format!("{KEYS}/upload"), &first).await.ok();
    let second = json!({ "one_time_keys": { "signed_curve25519:A": { "key": "other", "signatures": {} } } });
    let answer = alice.ask(&server, "POST", &format!("{KEYS}/upload"), &second).await;
    assert_eq!(answer.error(), (400, "M_UNKNOWN"));
    let error = answer.json["error"].as_str().unwrap();
    assert!(error.starts_with("One time key signed_curve25519:A already exists. Old key: {"), "{error}");
}

#[tokio::test]
async fn new_cross_signing_keys_need_the_password_once_there_are_some() {
    let (server, alice, bob) = two().await;
    let upload = |seed: u8| {
        json!({
            "master_key": alice.cross_signing_key("master", seed, None),
            "self_signing_key": alice.cross_signing_key("self_signing", seed + 1, Some(seed)),
            "user_signing_key": alice.cross_signing_key("user_signing", seed + 2, Some(seed)),
        })
    };
    let path = format!("{KEYS}/device_signing/upload");
    for _ in 0..2 {
        alice.ask(&server, "POST", &path, &upload(10)).await.ok();
    }
    let mut others = upload(20);
    let challenge = alice.ask(&server, "POST", &path, &others).await;
    assert_eq!(challenge.status, 401);
    assert_eq!(challenge.json["flows"], json!([{ "stages": ["m.login.password"] }]));
    others["auth"] = json!({
        "type": "m.login.password",
        "session": challenge.json["session"],
        "identifier": { "type": "m.id.user", "user": "alice" },
        "password": "correct horse",
    });
    alice.ask(&server, "POST", &path, &others).await.ok();
    let wanted = json!({ "device_keys": { alice.id(): [] } });
    for (viewer, own) in [(&alice, true), (&bob, false)] {
        let found = viewer.ask(&server, "POST", &format!("{KEYS}/query"), &wanted).await.ok();
        assert_eq!(found["master_keys"][alice.id()], upload(20)["master_key"]);
        assert_eq!(found["self_signing_keys"][alice.id()], upload(20)["self_signing_key"]);
        assert_eq!(found["user_signing_keys"].get(alice.id()).is_some(), own);
    }
    let unsigned = json!({ "self_signing_key": alice.cross_signing_key("self_signing", 31, Some(32)) });
    let answer = bob.ask(&server, "POST", &path, &unsigned).await;
    assert_eq!(answer.error(), (400, "M_BAD_JSON"), "it is not bob's key");
    let alone = json!({ "self_signing_key": bob.cross_signing_key("self_signing", 31, Some(32)) });
    let answer = bob.ask(&server, "POST", &path, &alone).await;
    assert_eq!(answer.error(), (400, "M_MISSING_PARAM"));
}

#[tokio::test]
async fn signatures_that_are_not_taken_are_in_the_answer() {
    let (server, alice, _) = two().await;
    let keys = json!({ "device_keys": alice.device_keys() });
    alice.ask(&server, "POST", &format!("{KEYS}/upload"), &keys).await.ok();
    let body = json!({ alice.id(): { alice.device(): alice.device_keys(), "NONE": {} } });
    let answer = alice.ask(&server, "POST", &format!("{KEYS}/signatures/upload"), &body).await.ok();
    assert_eq!(answer["failures"][alice.id()][alice.device()]["errcode"], "M_INVALID_SIGNATURE");
    assert_eq!(answer["failures"][alice.id()]["NONE"]["errcode"], "M_NOT_FOUND");
}

#[tokio::test]
async fn a_message_to_a_device_is_taken_once() {
    let (server, alice, bob) = two().await;
    let path = "/_matrix/client/v3/sendToDevice/m.room_key_request/txn1";
    let body = json!({ "messages": { bob.id(): { "*": { "n": 1 } }, "@nobody:bob.example": { "X": {} } } });
    for _ in 0..2 {
        assert_eq!(alice.ask(&server, "PUT", path, &body).await.ok(), json!({}));
    }
    let long = json!({ "messages": { bob.id(): { "*": { "long": "x".repeat(70_000) } } } });
    let answer = alice.ask(&server, "PUT", &path.replace("txn1", "txn2"), &long).await;
    assert_eq!(answer.error(), (413, "M_TOO_LARGE"));
    let answer = alice.ask(&server, "PUT", path, &json!({})).await;
    assert_eq!(answer.error(), (400, "M_BAD_JSON"));
}

#[tokio::test]
async fn a_backup_is_made_filled_read_and_deleted() {
    let (server, alice, _) = two().await;
    let description = json!({
        "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": { "public_key": "abc", "signatures": {}, "more": "kept" },
    });
    let none = alice.ask(&server, "GET", &format!("{BACKUP}/version"), &Value::Null).await;
    assert_eq!(none.error(), (404, "M_NOT_FOUND"));
    let made = alice.ask(&server, "POST", &format!("{BACKUP}/version"), &description).await.ok();
    let version = made["version"].as_str().unwrap().to_owned();
    let entry = json!({ "first_message_index": 1, "forwarded_count": 0, "is_verified": true,
        "session_data": { "ephemeral": "a", "ciphertext": "b", "mac": "c" } });
    let keys = |more: &str| format!("{BACKUP}/keys{more}?version={version}");
    let room = "/!room:alice.example";
    let put = alice.ask(&server, "PUT", &keys(&format!("{room}/first")), &entry).await.ok();
    assert_eq!(put["count"], 1);
    let second = json!({ "sessions": { "second": entry } });
    alice.ask(&server, "PUT", &keys(room), &second).await.ok();
    let all = json!({ "rooms": { "!other:alice.example": { "sessions": { "third": entry } } } });
    let put = alice.ask(&server, "PUT", &keys(""), &all).await.ok();
    assert_eq!(put["count"], 3);

    let found = alice.ask(&server, "GET", &keys(""), &Value::Null).await.ok();
    assert_eq!(found["rooms"]["!room:alice.example"]["sessions"]["second"], entry);
    let found = alice.ask(&server, "GET", &keys(room), &Value::Null).await.ok();
    assert_eq!(found["sessions"].as_object().unwrap().len(), 2);
    let found = alice.ask(&server, "GET", &keys(&format!("{room}/first")), &Value::Null).await.ok();
    assert_eq!(found, entry);
    let missing = alice.ask(&server, "GET", &keys(&format!("{room}/none")), &Value::Null).await;
    assert_eq!(missing.error(), (404, "M_NOT_FOUND"));
    let none = alice.ask(&server, "GET", &keys("/!none:alice.example"), &Value::Null).await.ok();
    assert_eq!(none, json!({ "sessions": {} }));

    let newest = alice.ask(&server, "GET", &format!("{BACKUP}/version"), &Value::Null).await.ok();
    assert_eq!((&newest["count"], &newest["auth_data"]), (&json!(3), &description["auth_data"]));
    assert_eq!(newest["etag"], put["etag"]);

    for (method, more, count) in [("DELETE", format!("{room}/first"), 2), ("DELETE", String::new(), 0)] {
        assert_eq!(alice.ask(&server, method, &keys(&more), &Value::Null).await.ok()["count"], count);
    }
    let path = format!("{BACKUP}/version/{version}");
    let mut changed = description.clone();
    changed["version"] = json!("77");
    let answer = alice.ask(&server, "PUT", &path, &changed).await;
    assert_eq!(answer.error(), (400, "M_INVALID_PARAM"));
    for _ in 0..2 {
        alice.ask(&server, "DELETE", &path, &Value::Null).await.ok();
    }
    assert_eq!(alice.ask(&server, "GET", &path, &Value::Null).await.error(), (404, "M_NOT_FOUND"));
}

#[tokio::test]
async fn keys_for_an_old_version_are_told_the_new_one() {
    let (server, alice, _) = two().await;
    let description = json!({ "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {} });
    for _ in 0..2 {
        alice.ask(&server, "POST", &format!("{BACKUP}/version"), &description).await.ok();
    }
    let body = json!({ "rooms": {} });
    let answer = alice.ask(&server, "PUT", &format!("{BACKUP}/keys?version=1"), &body).await;
    assert_eq!(answer.error(), (403, "M_WRONG_ROOM_KEYS_VERSION"));
    assert_eq!(answer.json["current_version"], "2");
}

#[tokio::test]
async fn changes_of_keys_are_told_since_a_sync() {
    let (server, alice, _) = two().await;
    let keys = json!({ "device_keys": alice.device_keys() });
    alice.ask(&server, "POST", &format!("{KEYS}/upload"), &keys).await.ok();
    let changes = |from: &str| format!("{KEYS}/changes?from={from}&to=s9_9_0_0_0");
    let since_ever = alice.ask(&server, "GET", &changes("s0_0_0_0_0"), &Value::Null).await.ok();
    assert_eq!(since_ever, json!({ "changed": [alice.id()], "left": [] }));
    let since_then = alice.ask(&server, "GET", &changes("s999_0_0_0_0"), &Value::Null).await.ok();
    assert_eq!(since_then, json!({ "changed": [], "left": [] }));
    let answer = alice.ask(&server, "GET", &changes("nonsense"), &Value::Null).await;
    assert_eq!(answer.error(), (400, "M_INVALID_PARAM"));
}

#[tokio::test]
async fn keys_of_a_device_go_when_it_logs_out() {
    let (server, alice, bob) = two().await;
    let keys = json!({ "device_keys": alice.device_keys() });
    alice.ask(&server, "POST", &format!("{KEYS}/upload"), &keys).await.ok();
    alice.ask(&server, "POST", "/_matrix/client/v3/logout", &json!({})).await.ok();
    let wanted = json!({ "device_keys": { alice.id(): [] } });
    let found = bob.ask(&server, "POST", &format!("{KEYS}/query"), &wanted).await.ok();
    assert_eq!(found["device_keys"][alice.id()], json!({}));
}
