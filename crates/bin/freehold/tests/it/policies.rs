//! What tenants settle for themselves, as their people and neighbours meet it over HTTP.

use std::path::Path;

use serde_json::{Value, json};

use crate::server::{Answer, Server, printed};

const ALICES: &str = "alice.localhost";
const BOBS: &str = "bob.localhost";

/// A user of a tenant, logged in.
pub(crate) struct User {
    host: &'static str,
    pub(crate) token: String,
}

impl User {
    pub(crate) fn register(server: &Server, host: &'static str, name: &str) -> User {
        let body =
            json!({ "username": name, "password": "wonderland-1865", "auth": { "type": "m.login.dummy" } });
        let answer = server.post(host, "/_matrix/client/v3/register", (None, &body.to_string()));
        let token = answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned();
        User { host, token }
    }

    pub(crate) fn post(&self, server: &Server, path: &str, body: &Value) -> Answer {
        let path = format!("/_matrix/client/v3/{path}");
        server.post(self.host, &path, (Some(&self.token), &body.to_string()))
    }

    pub(crate) fn say(&self, server: &Server, room: &str, body: &str) {
        let content = json!({ "msgtype": "m.text", "body": body }).to_string();
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{body}");
        assert_eq!(server.put(self.host, &path, (&self.token, &content)).status, 200);
    }

    pub(crate) fn get(&self, server: &Server, path: &str) -> Answer {
        let separator = if path.contains('?') { '&' } else { '?' };
        server.get(self.host, &format!("/_matrix/client/{path}{separator}access_token={}", self.token))
    }

    /// The bodies of the messages that sync and history show.
    pub(crate) fn heard(&self, server: &Server, room: &str) -> Vec<String> {
        let history = self.get(server, &format!("v3/rooms/{room}/messages?dir=f&limit=100")).json();
        let synced = self.get(server, "v3/sync?timeout=0").json();
        let synced = &synced["rooms"]["join"][room]["timeline"]["events"];
        let bodies = |events: &Value| -> Vec<String> {
            let events = events.as_array().cloned().unwrap_or_default();
            events.iter().filter_map(|event| Some(event["content"]["body"].as_str()?.to_owned())).collect()
        };
        let (history, synced) = (bodies(&history["chunk"]), bodies(synced));
        assert_eq!(history, synced);
        history
    }

    pub(crate) fn create(&self, server: &Server, body: &Value) -> String {
        let answer = self.post(server, "createRoom", body);
        answer.json()["room_id"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    }
}

/// Alice and Bob, of two tenants, who share a room.
pub(crate) fn who_share_a_room(server: &Server) -> (User, User, String) {
    let (alice, bob) = (User::register(server, ALICES, "alice"), User::register(server, BOBS, "bob"));
    let room = alice.create(server, &json!({ "preset": "public_chat" }));
    let join = format!("join/{room}?server_name={ALICES}");
    assert_eq!(bob.post(server, &join, &json!({})).status, 200);
    (alice, bob, room)
}

fn settle(folder: &Path, tenant: &str, policy: &Value) {
    printed(folder, &["tenant", "policy", tenant, "--set", &policy.to_string()]);
}

fn error(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["errcode"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn policies_about_rooms_hold_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let alice = User::register(&server, ALICES, "alice");
    let room = alice.create(&server, &json!({}));
    let off = ["media", "encryption", "directory"];
    let policy = json!({ "features_off": off, "quotas": { "rooms": 2 }, "default_room_version": "11" });
    settle(folder.path(), ALICES, &policy);
    let capabilities = alice.get(&server, "v3/capabilities").json();
    assert_eq!(capabilities["capabilities"]["m.room_versions"]["default"], "11");
    let forbidden = (403, "M_FORBIDDEN".to_owned());
    let encryption = json!({ "algorithm": "m.megolm.v1.aes-sha2" }).to_string();
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.encryption");
    assert_eq!(error(&server.put(ALICES, &path, (&alice.token, &encryption))), forbidden);
    assert_eq!(error(&alice.post(&server, "createRoom", &json!({ "visibility": "public" }))), forbidden);
    let upload = server.post(ALICES, "/_matrix/media/v3/upload", (Some(&alice.token), "bytes"));
    assert_eq!(error(&upload), forbidden);
    let second = alice.create(&server, &json!({}));
    let state = alice.get(&server, &format!("v3/rooms/{second}/state/m.room.create")).json();
    assert_eq!(state["room_version"], "11");
    let third = alice.post(&server, "createRoom", &json!({}));
    assert_eq!(error(&third), (403, "M_RESOURCE_LIMIT_EXCEEDED".to_owned()));
    settle(folder.path(), ALICES, &json!({ "features_off": ["room_creation"], "quotas": null }));
    assert_eq!(error(&alice.post(&server, "createRoom", &json!({}))), forbidden);
    assert!(server.stop());
}

#[test]
fn tenants_that_do_not_speak_are_not_heard() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (alice, bob, room) = who_share_a_room(&server);
    alice.say(&server, &room, "before");
    assert_eq!(bob.heard(&server, &room), ["before"]);
    settle(folder.path(), ALICES, &json!({ "federation": { "deny": ["bob.*"] } }));
    bob.say(&server, &room, "after");
    assert_eq!(alice.heard(&server, &room), ["before"]);
    assert_eq!(bob.heard(&server, &room), ["after"]);
    let private = alice.create(&server, &json!({}));
    let invite = json!({ "user_id": "@bob:bob.localhost" });
    assert_ne!(alice.post(&server, &format!("rooms/{private}/invite"), &invite).status, 200);
    // The other one's list counts as much.
    settle(folder.path(), ALICES, &json!({ "federation": null }));
    settle(folder.path(), BOBS, &json!({ "federation": { "allow": ["*.example.org"] } }));
    assert_eq!(alice.heard(&server, &room), ["before"]);
    settle(folder.path(), BOBS, &json!({ "federation": null }));
    assert_eq!(alice.heard(&server, &room), ["before", "after"]);
    settle(folder.path(), ALICES, &json!({ "features_off": ["federation"] }));
    assert_eq!(alice.heard(&server, &room), ["before"]);
    assert!(server.stop());
}

#[test]
fn a_tenant_shows_messages_for_as_long_as_it_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (alice, bob, room) = who_share_a_room(&server);
    alice.say(&server, &room, "hello");
    settle(folder.path(), BOBS, &json!({ "retention": { "messages_ms": 1 } }));
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(alice.heard(&server, &room), ["hello"]);
    assert!(bob.heard(&server, &room).is_empty());
    assert!(server.stop());
}

/// Whether any file below a folder holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => holds(&path, bytes),
        false => std::fs::read(&path).is_ok_and(|text| text.windows(bytes.len()).any(|part| part == bytes)),
    })
}

#[test]
fn what_nobody_keeps_any_longer_is_on_the_disk_no_more() {
    const SECRET: &str = "kq3vzx81mwp7tyd0hb";
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (alice, bob, room) = who_share_a_room(&server);
    let content = json!({ "msgtype": "m.text", "body": SECRET }).to_string();
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    assert_eq!(server.put(ALICES, &path, (&alice.token, &content)).status, 200);
    let forget =
        || -> Value { serde_json::from_str(&printed(folder.path(), &["--json", "forget"])).unwrap() };
    let short = json!({ "retention": { "messages_ms": 1 } });
    settle(folder.path(), ALICES, &short);
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(forget(), json!({ "messages_forgotten": 0, "files_erased": true }), "Bob's tenant keeps it");
    assert!(holds(folder.path(), SECRET.as_bytes()));
    assert_eq!(bob.heard(&server, &room), [SECRET]);
    settle(folder.path(), BOBS, &short);
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(forget(), json!({ "messages_forgotten": 1, "files_erased": true }));
    assert!(!holds(folder.path(), SECRET.as_bytes()));
    // On a server that does not run, too; and everything is in order afterwards.
    alice.say(&server, &room, "later");
    assert!(server.stop());
    assert_eq!(forget(), json!({ "messages_forgotten": 1, "files_erased": true }));
    printed(folder.path(), &["fsck"]);
    let server = Server::start(folder.path(), &[]);
    for tenant in [ALICES, BOBS] {
        settle(folder.path(), tenant, &json!({ "retention": null }));
    }
    assert!(bob.heard(&server, &room).is_empty(), "what is gone does not come back");
    bob.say(&server, &room, "anew");
    assert_eq!(alice.heard(&server, &room), ["anew"]);
    assert!(server.stop());
}

#[test]
fn a_tenant_sends_as_many_requests_as_it_may_and_its_neighbour_as_many() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let alice = User::register(&server, ALICES, "alice");
    let bob = User::register(&server, BOBS, "bob");
    for tenant in [ALICES, BOBS] {
        settle(folder.path(), tenant, &json!({ "quotas": { "requests_per_second": 1 } }));
    }
    let asked: Vec<u16> = (0..15).map(|_| alice.post(&server, "createRoom", &json!({})).status).collect();
    assert!(asked.contains(&200) && asked.contains(&429), "{asked:?}");
    assert_eq!(bob.post(&server, "createRoom", &json!({})).status, 200);
    assert!(server.stop());
}

#[test]
fn people_come_by_invitation_of_a_user() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let alice = User::register(&server, ALICES, "alice");
    settle(folder.path(), ALICES, &json!({ "registration": { "mode": "invitation" } }));
    let url = format!("http://{ALICES}:{}", server.port);
    let invite = ["--json", "--url", &url, "--token", &alice.token, "invitation", "add", ALICES];
    let invited: Value = serde_json::from_str(&printed(folder.path(), &invite)).unwrap();
    assert_eq!(invited["invitation"]["invited_by"], "@alice:alice.localhost");
    let code = invited["invitation"]["code"].as_str().unwrap();
    let register = |name: &str| {
        let auth = |session: &str| json!({ "type": "m.login.registration_token", "token": code, "session": session });
        let begun = server.post(ALICES, "/_matrix/client/v3/register", (None, "{}")).json();
        let session = begun["session"].as_str().unwrap_or_else(|| panic!("{begun}"));
        let body = json!({ "username": name, "password": "wonderland-1865", "auth": auth(session) });
        server.post(ALICES, "/_matrix/client/v3/register", (None, &body.to_string())).status
    };
    assert_eq!(register("bob"), 200);
    assert_eq!(register("carol"), 401);
    let audit = printed(folder.path(), &["audit", ALICES]);
    let came = audit.lines().find(|line| line.contains("account invited")).unwrap();
    assert!(came.contains("@alice:alice.localhost") && came.contains("@bob:alice.localhost"), "{came}");
    // Whoever invites does nothing else.
    let refused = server.post(
        ALICES,
        "/_freehold/admin/v1/tenant/policy",
        (Some(&alice.token), &json!({ "server_name": ALICES }).to_string()),
    );
    assert_eq!(error(&refused), (403, "M_FORBIDDEN".to_owned()));
    assert!(server.stop());
}

#[test]
fn newcomers_tools_and_administrators_are_who_the_tenant_says() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let alice = User::register(&server, ALICES, "alice");
    let register = |name: &str| {
        let auth = json!({ "type": "m.login.dummy" });
        let body = json!({ "username": name, "password": "wonderland-1865", "auth": auth }).to_string();
        error(&server.post(ALICES, "/_matrix/client/v3/register", (None, &body)))
    };
    settle(folder.path(), ALICES, &json!({ "quotas": { "users": 1 } }));
    assert_eq!(register("bob"), (403, "M_RESOURCE_LIMIT_EXCEEDED".to_owned()));
    settle(folder.path(), ALICES, &json!({ "quotas": null, "registration": { "mode": "closed" } }));
    assert_eq!(register("bob"), (403, "M_FORBIDDEN".to_owned()));

    let nonce = || server.get(ALICES, "/_synapse/admin/v1/register");
    assert_ne!(nonce().status, 200);
    settle(folder.path(), ALICES, &json!({ "registration": { "shared_secret": "0123456789abcdef" } }));
    assert!(nonce().json()["nonce"].is_string());

    let show = || {
        let body = json!({ "server_name": ALICES }).to_string();
        server.post(ALICES, "/_freehold/admin/v1/tenant/policy", (Some(&alice.token), &body))
    };
    assert_eq!(error(&show()), (403, "M_FORBIDDEN".to_owned()));
    settle(folder.path(), ALICES, &json!({ "admins": ["@alice:alice.localhost"] }));
    assert_eq!(show().json()["policy"]["registration"]["shared_secret"], "(set)");
    assert!(server.stop());
}

#[test]
fn support_and_terms_are_told_to_whoever_asks() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let document =
        json!({ "version": "2", "languages": { "en": { "name": "Rules", "url": "https://a.example" } } });
    let policy = json!({
        "support": { "contacts": [{ "role": "m.role.admin", "email_address": "admin@example.org" }] },
        "terms": { "rules": document },
    });
    assert_eq!(server.get(ALICES, "/_matrix/client/versions").status, 200);
    settle(folder.path(), ALICES, &policy);
    let support = server.get(ALICES, "/.well-known/matrix/support").json();
    assert_eq!(support["contacts"][0]["email_address"], "admin@example.org");
    let flows = server.post(ALICES, "/_matrix/client/v3/register", (None, "{}"));
    assert_eq!(flows.status, 401);
    assert_eq!(flows.json()["flows"][0]["stages"], json!(["m.login.terms"]));
    assert_eq!(flows.json()["params"]["m.login.terms"]["policies"]["rules"]["version"], "2");
    assert!(server.stop());
}

#[test]
fn who_did_not_accept_the_terms_of_today_says_nothing_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let alice = User::register(&server, ALICES, "alice");
    let room = alice.create(&server, &json!({}));
    let publish = |version: &str, required: bool| {
        let languages = json!({ "en": { "name": "Rules", "url": "https://a.example/rules" } });
        let rules = json!({ "version": version, "required": required, "languages": languages });
        settle(folder.path(), ALICES, &json!({ "terms": { "rules": rules } }));
    };
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let send = || server.put(ALICES, &path, (&alice.token, "{\"body\": \"hello\"}"));
    publish("1", false);
    assert_eq!(send().status, 200);
    for version in ["1", "2"] {
        publish(version, true);
        let refused = send();
        assert_eq!(error(&refused), (403, "M_CONSENT_NOT_GIVEN".to_owned()), "{refused:?}");
        for (path, body) in [
            ("createRoom", json!({})),
            (&*format!("rooms/{room}/invite"), json!({ "user_id": "@bob:bob.localhost" })),
            (&*format!("join/{room}"), json!({})),
            (&*format!("knock/{room}"), json!({})),
        ] {
            assert_eq!(error(&alice.post(&server, path, &body)).1, "M_CONSENT_NOT_GIVEN", "{path}");
        }
        // Who only reads, or goes, is not asked.
        assert_eq!(alice.get(&server, "v3/sync?timeout=0").status, 200);
        assert_eq!(alice.get(&server, &format!("v3/rooms/{room}/messages?dir=b")).status, 200);
        let uri = refused.json()["consent_uri"].as_str().unwrap().to_owned();
        let page = uri.strip_prefix("http://alice.localhost").unwrap_or_else(|| panic!("{uri}"));
        let shown = server.get(ALICES, page);
        assert!(shown.body.contains("https://a.example/rules"), "{shown:?}");
        let session = page.split_once("session=").unwrap().1;
        let accepted = server.post(ALICES, page, (None, &format!("session={session}")));
        assert_eq!(accepted.status, 200, "{accepted:?}");
        assert_eq!(send().status, 200);
    }
    publish("3", true);
    assert_eq!(alice.post(&server, &format!("rooms/{room}/leave"), &json!({})).status, 200);
    assert_eq!(alice.post(&server, "logout", &json!({})).status, 200);
    assert!(server.stop());
}
