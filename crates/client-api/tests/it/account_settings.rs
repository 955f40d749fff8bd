//! What people change about their accounts, over HTTP.

use freehold_accounts::{AccountPolicy, Registration, TermsDocument, Translation};
use serde_json::{Value, json};

use crate::accounts::{log_in, open, register, token};
use crate::server::{Answer, Ask, BOBS, Server};

const V3: &str = "/_matrix/client/v3";
const PASSWORD: &str = "correct horse";

async fn send(server: &Server, session: &Value, method: &str, path: &str, body: Value) -> Answer {
    let host = session["user_id"].as_str().unwrap().split_once(':').unwrap().1;
    let ask = Ask::new(method, &format!("{V3}{path}")).to(host).with_token(token(session));
    server.send(if method == "GET" { ask } else { ask.json(&body) }).await
}

/// The same, and again with the password.
async fn with_password(
    server: &Server,
    session: &Value,
    (method, path): (&str, &str),
    body: Value,
) -> Answer {
    let challenge = send(server, session, method, path, body.clone()).await;
    assert_eq!(challenge.json["flows"], json!([{ "stages": ["m.login.password"] }]), "{}", challenge.json);
    let mut body = body;
    body["auth"] = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": session["user_id"] },
        "password": PASSWORD,
        "session": challenge.json["session"],
    });
    send(server, session, method, path, body).await
}

#[tokio::test]
async fn a_device_is_named_and_ended_with_the_password() {
    let server = open();
    let alice = register(&server, "alice.example", "alice").await;
    let phone = json!({ "user": "alice", "device_id": "PHONE", "initial_device_display_name": "phone" });
    let phone = log_in(&server, "alice.example", phone).await.ok();
    send(&server, &alice, "PUT", "/devices/PHONE", json!({ "display_name": "old phone" })).await.ok();
    let device = send(&server, &alice, "GET", "/devices/PHONE", json!({})).await.ok();
    assert_eq!((&device["device_id"], &device["display_name"]), (&json!("PHONE"), &json!("old phone")));
    let devices = send(&server, &alice, "GET", "/devices", json!({})).await.ok();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 2);
    let nothing = send(&server, &alice, "GET", "/devices/NOTHING", json!({})).await;
    assert_eq!(nothing.error(), (404, "M_NOT_FOUND"));
    with_password(&server, &alice, ("DELETE", "/devices/PHONE"), json!({})).await.ok();
    let gone = send(&server, &phone, "GET", "/account/whoami", json!({})).await;
    assert_eq!(gone.error(), (401, "M_UNKNOWN_TOKEN"));
    let many = json!({ "devices": ["PHONE", alice["device_id"]] });
    with_password(&server, &alice, ("POST", "/delete_devices"), many).await.ok();
    let gone = send(&server, &alice, "GET", "/account/whoami", json!({})).await;
    assert_eq!(gone.error(), (401, "M_UNKNOWN_TOKEN"));
}

#[tokio::test]
async fn a_wrong_password_is_challenged_again_with_the_reason() {
    let server = open();
    let alice = register(&server, "alice.example", "alice").await;
    let auth = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "alice" },
        "password": "wrong",
    });
    let answer = send(&server, &alice, "DELETE", "/devices/X", json!({ "auth": auth })).await;
    assert_eq!(answer.error(), (401, "M_FORBIDDEN"));
    assert!(answer.json["session"].is_string() && answer.json["flows"].is_array());
}

#[tokio::test]
async fn a_session_is_carried_to_another_device_by_a_login_token() {
    let server = open();
    let alice = register(&server, "alice.example", "alice").await;
    let path = ("POST", "/login/get_token");
    let challenge = Ask::new("POST", "/_matrix/client/v1/login/get_token").with_token(token(&alice));
    let challenge = server.send(challenge.json(&json!({}))).await;
    assert_eq!(challenge.status, 401, "{path:?}");
    let auth = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "alice" },
        "password": PASSWORD,
        "session": challenge.json["session"],
    });
    let ask = Ask::new("POST", "/_matrix/client/v1/login/get_token").with_token(token(&alice));
    let answer = server.send(ask.json(&json!({ "auth": auth }))).await.ok();
    let body = json!({ "type": "m.login.token", "token": answer["login_token"] });
    let login = async || server.send(Ask::new("POST", &format!("{V3}/login")).json(&body)).await;
    assert_eq!(login().await.ok()["user_id"], "@alice:alice.example");
    assert_eq!(login().await.error(), (403, "M_FORBIDDEN"));
}

#[tokio::test]
async fn tokens_are_refreshed() {
    let server = open();
    register(&server, "alice.example", "alice").await;
    let session =
        log_in(&server, "alice.example", json!({ "user": "alice", "refresh_token": true })).await.ok();
    assert!(session["expires_in_ms"].is_u64());
    let refresh = async |host: &str, token: &Value| {
        let body = json!({ "refresh_token": token });
        server.send(Ask::new("POST", &format!("{V3}/refresh")).to(host).json(&body)).await
    };
    assert_eq!(refresh(BOBS, &session["refresh_token"]).await.error(), (401, "M_UNKNOWN_TOKEN"));
    let mut fresh = refresh("alice.example", &session["refresh_token"]).await.ok();
    fresh["user_id"] = session["user_id"].clone();
    send(&server, &fresh, "GET", "/account/whoami", json!({})).await.ok();
    let old = send(&server, &session, "GET", "/account/whoami", json!({})).await;
    assert_eq!(old.error(), (401, "M_UNKNOWN_TOKEN"));
}

#[tokio::test]
async fn the_password_is_changed_with_the_old_one() {
    let server = open();
    let alice = register(&server, "alice.example", "alice").await;
    let weak = send(&server, &alice, "POST", "/account/password", json!({ "new_password": "x" })).await;
    assert_eq!(weak.error(), (400, "M_WEAK_PASSWORD"));
    let new = json!({ "new_password": "another password" });
    with_password(&server, &alice, ("POST", "/account/password"), new).await.ok();
    assert_eq!(log_in(&server, "alice.example", json!({ "user": "alice" })).await.status, 403);
    let right = json!({ "user": "alice", "password": "another password" });
    log_in(&server, "alice.example", right).await.ok();
}

#[tokio::test]
async fn an_account_is_given_up() {
    let server = open();
    let alice = register(&server, "alice.example", "alice").await;
    let answer =
        with_password(&server, &alice, ("POST", "/account/deactivate"), json!({ "erase": true })).await;
    assert_eq!(answer.ok(), json!({ "id_server_unbind_result": "success" }));
    let gone = send(&server, &alice, "GET", "/account/whoami", json!({})).await;
    assert_eq!(gone.error(), (401, "M_UNKNOWN_TOKEN"));
    let profile = server.send(Ask::new("GET", &format!("{V3}/profile/@alice:alice.example"))).await;
    assert_eq!(profile.error(), (404, "M_NOT_FOUND"));
}

#[tokio::test]
async fn profiles_are_read_by_everybody_and_written_by_their_user() {
    let server = open();
    let alice = register(&server, "alice.example", "alice").await;
    let bob = register(&server, BOBS, "bob").await;
    let path = "/profile/@alice:alice.example";
    let set = async |who: &Value, field: &str, body: Value| {
        send(&server, who, "PUT", &format!("{path}/{field}"), body).await
    };
    set(&alice, "displayname", json!({ "displayname": "Alice" })).await.ok();
    set(&alice, "org.example.x", json!({ "org.example.x": { "any": [1] } })).await.ok();
    for host in ["alice.example", BOBS] {
        let profile = server.send(Ask::new("GET", &format!("{V3}{path}")).to(host)).await.ok();
        assert_eq!(profile, json!({ "displayname": "Alice", "org.example.x": { "any": [1] } }));
    }
    let field = server.send(Ask::new("GET", &format!("{V3}{path}/displayname"))).await.ok();
    assert_eq!(field, json!({ "displayname": "Alice" }));
    assert_eq!(
        set(&bob, "displayname", json!({ "displayname": "Mallory" })).await.error(),
        (403, "M_FORBIDDEN")
    );
    let cases = [
        ("displayname", json!({}), (400, "M_MISSING_PARAM")),
        ("displayname", json!([]), (400, "M_BAD_JSON")),
        ("nickname", json!({ "nickname": "x" }), (400, "M_INVALID_PARAM")),
        ("org.example.x", json!({ "org.example.x": "x".repeat(70_000) }), (400, "M_PROFILE_TOO_LARGE")),
    ];
    for (field, body, expected) in cases {
        assert_eq!(set(&alice, field, body).await.error(), expected, "{field}");
    }
    let long = format!("m.{}", "x".repeat(300));
    assert_eq!(set(&alice, &long, json!({ &long: 1 })).await.error(), (400, "M_KEY_TOO_LARGE"));
    send(&server, &alice, "DELETE", &format!("{path}/org.example.x"), json!({})).await.ok();
    let gone = server.send(Ask::new("GET", &format!("{V3}{path}/org.example.x"))).await;
    assert_eq!(gone.error(), (404, "M_NOT_FOUND"));
}

#[tokio::test]
async fn account_data_tags_and_filters_are_for_their_user_only() {
    let server = open();
    let alice = register(&server, "alice.example", "alice").await;
    let mallory = register(&server, "alice.example", "mallory").await;
    let user = "/user/@alice:alice.example";
    let room = format!("{user}/rooms/!room:alice.example");
    let writes = [
        ("PUT", format!("{user}/account_data/m.direct"), json!({ "a": 1 })),
        ("PUT", format!("{room}/account_data/org.example.x"), json!({ "b": 2 })),
        ("PUT", format!("{room}/tags/u.work"), json!({ "order": 0.5 })),
        ("POST", format!("{user}/filter"), json!({ "room": { "timeline": { "limit": 5 } } })),
        ("POST", format!("{user}/openid/request_token"), json!({})),
    ];
    for (method, path, body) in &writes {
        let refused = send(&server, &mallory, method, path, body.clone()).await;
        assert_eq!(refused.error(), (403, "M_FORBIDDEN"), "{path}");
        send(&server, &alice, method, path, body.clone()).await.ok();
    }
    let filter = send(&server, &alice, writes[3].0, &writes[3].1, writes[3].2.clone()).await.ok();
    let filter = format!("{user}/filter/{}", filter["filter_id"].as_str().unwrap());
    let reads = [
        (writes[0].1.clone(), json!({ "a": 1 })),
        (writes[1].1.clone(), json!({ "b": 2 })),
        (format!("{room}/tags"), json!({ "tags": { "u.work": { "order": 0.5 } } })),
        (filter, json!({ "room": { "timeline": { "limit": 5 } } })),
    ];
    for (path, expected) in reads {
        assert_eq!(send(&server, &alice, "GET", &path, json!({})).await.ok(), expected, "{path}");
        let refused = send(&server, &mallory, "GET", &path, json!({})).await;
        assert_eq!(refused.error(), (403, "M_FORBIDDEN"), "{path}");
    }
    for event_type in ["m.push_rules", "m.fully_read"] {
        for place in [user, room.as_str()] {
            let path = format!("{place}/account_data/{event_type}");
            assert_eq!(send(&server, &alice, "PUT", &path, json!({})).await.error(), (405, "M_BAD_JSON"));
        }
    }
    let unset = send(&server, &alice, "GET", &format!("{user}/account_data/unset"), json!({})).await;
    assert_eq!(unset.error(), (404, "M_NOT_FOUND"));
    let bad = send(&server, &alice, "PUT", &format!("{user}/account_data/m.direct"), json!([1])).await;
    assert_eq!(bad.error(), (400, "M_BAD_JSON"));
}

#[tokio::test]
async fn push_rules_are_read_and_written() {
    let server = open();
    let alice = register(&server, "alice.example", "alice").await;
    let rule = "/pushrules/global/content/cake";
    let ask = async |method: &str, path: &str, body: Value| send(&server, &alice, method, path, body).await;
    ask("PUT", rule, json!({ "pattern": "cake", "actions": ["notify"] })).await.ok();
    let found = ask("GET", rule, json!({})).await.ok();
    assert_eq!(
        (&found["pattern"], &found["enabled"], &found["default"]),
        (&json!("cake"), &json!(true), &json!(false))
    );
    ask("PUT", &format!("{rule}/enabled"), json!({ "enabled": false })).await.ok();
    assert_eq!(ask("GET", &format!("{rule}/enabled"), json!({})).await.ok(), json!({ "enabled": false }));
    ask("PUT", &format!("{rule}/actions"), json!({ "actions": [] })).await.ok();
    assert_eq!(ask("GET", &format!("{rule}/actions"), json!({})).await.ok(), json!({ "actions": [] }));
    for path in ["/pushrules/", "/pushrules"] {
        let all = ask("GET", path, json!({})).await.ok();
        assert_eq!(all["global"]["content"][0]["rule_id"], "cake");
    }
    let cases = [
        ("PUT", "/pushrules/global/content/.dot", (400, "M_INVALID_PARAM")),
        ("PUT", "/pushrules/global/content/x?after=x", (400, "M_INVALID_PARAM")),
        ("PUT", "/pushrules/global/content/x?before=nothing", (400, "M_INVALID_PARAM")),
        ("DELETE", "/pushrules/global/override/.m.rule.master", (400, "M_INVALID_PARAM")),
        ("DELETE", "/pushrules/global/content/nothing", (404, "M_NOT_FOUND")),
        ("GET", "/pushrules/global/nokind/cake", (404, "M_NOT_FOUND")),
    ];
    for (method, path, expected) in cases {
        let body = json!({ "pattern": "x", "actions": [] });
        assert_eq!(ask(method, path, body).await.error(), expected, "{method} {path}");
    }
    ask("DELETE", rule, json!({})).await.ok();
    assert_eq!(ask("GET", rule, json!({})).await.error(), (404, "M_NOT_FOUND"));
}

#[tokio::test]
async fn somebody_without_rights_learns_nothing_from_moderation() {
    let server = open();
    let alice = register(&server, "alice.example", "alice").await;
    register(&server, BOBS, "bob").await;
    for user in ["@alice:alice.example", "@nobody:alice.example", "@bob:bob.example", "@nobody:bob.example"] {
        for act in ["lock", "suspend"] {
            let path = format!("/_matrix/client/v1/admin/{act}/{user}");
            for (method, name) in
                [("GET", "locked"), ("PUT", if act == "lock" { "locked" } else { "suspended" })]
            {
                let ask = Ask::new(method, &path).with_token(token(&alice));
                let ask = if method == "PUT" { ask.json(&json!({ name: true })) } else { ask };
                assert_eq!(server.send(ask).await.error(), (403, "M_FORBIDDEN"), "{method} {path}");
            }
        }
    }
    let own = send(&server, &alice, "GET", "/admin/whois/@alice:alice.example", json!({})).await.ok();
    assert_eq!(own["devices"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn it_is_written_down_when_and_with_what_a_device_was_used() {
    let server = open();
    let alice = register(&server, "alice.example", "alice").await;
    let whoami = Ask::new("GET", &format!("{V3}/account/whoami")).with_token(token(&alice));
    server.send(whoami.header("user-agent", "a client")).await.ok();
    // It is written in the background.
    tokio::task::yield_now().await;
    let info = send(&server, &alice, "GET", "/admin/whois/@alice:alice.example", json!({})).await.ok();
    let device = alice["device_id"].as_str().unwrap();
    let connection = &info["devices"][device]["sessions"][0]["connections"][0];
    assert_eq!(connection["user_agent"], "a client");
    assert_eq!(connection["last_seen"], crate::server::NOW_TS);
}

#[tokio::test]
async fn a_tool_registers_an_administrator_who_locks_somebody() {
    let policy = AccountPolicy {
        registration: Registration::Open,
        shared_secret: Some("a shared secret".to_owned()),
        ..AccountPolicy::default()
    };
    let server = Server::with_accounts(policy);
    let path = "/_synapse/admin/v1/register";
    let nonce = server.send(Ask::new("GET", path)).await.ok()["nonce"].as_str().unwrap().to_owned();
    let mac = mac("a shared secret", &[&nonce, "root", PASSWORD, "admin"]);
    let body = json!({ "nonce": nonce, "username": "root", "password": PASSWORD, "admin": true, "mac": mac });
    let wrong = server.send(Ask::new("POST", path).to(BOBS).json(&body)).await;
    assert_eq!(wrong.error(), (400, "M_UNKNOWN"), "the nonce is another tenant's");
    let again = server.send(Ask::new("POST", path).json(&body)).await;
    assert_eq!(again.error(), (400, "M_UNKNOWN"), "a nonce is good once");
    let nonce = server.send(Ask::new("GET", path)).await.ok()["nonce"].as_str().unwrap().to_owned();
    let mut body = json!({ "nonce": nonce, "username": "root", "password": PASSWORD, "admin": true });
    body["mac"] = json!(self::mac("a shared secret", &[&nonce, "root", PASSWORD, "admin"]));
    let root = server.send(Ask::new("POST", path).json(&body)).await.ok();
    assert_eq!(
        (&root["user_id"], &root["home_server"]),
        (&json!("@root:alice.example"), &json!("alice.example"))
    );
    let alice = register(&server, "alice.example", "alice").await;
    let lock = Ask::new("PUT", "/_matrix/client/v1/admin/lock/@alice:alice.example").with_token(token(&root));
    assert_eq!(server.send(lock.json(&json!({ "locked": true }))).await.ok(), json!({ "locked": true }));
    let locked = send(&server, &alice, "GET", "/account/whoami", json!({})).await;
    assert_eq!(locked.error(), (401, "M_USER_LOCKED"));
    assert_eq!(locked.json["soft_logout"], true);
    send(&server, &alice, "POST", "/logout", json!({})).await.ok();
}

/// HMAC-SHA1 of parts with zero bytes between them, as hexadecimal digits.
fn mac(secret: &str, parts: &[&str]) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(parts.join("\0").as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_client_that_knows_no_terms_sends_people_to_a_page() {
    let translation =
        Translation { name: "Terms <b>".to_owned(), url: "https://alice.example/terms?a&b".to_owned() };
    let document = TermsDocument {
        name: "terms".to_owned(),
        version: "1".to_owned(),
        required: false,
        translations: [("en".to_owned(), translation)].into(),
    };
    let policy =
        AccountPolicy { registration: Registration::Open, terms: vec![document], ..AccountPolicy::default() };
    let server = Server::with_accounts(policy);
    let body = json!({ "username": "alice", "password": PASSWORD });
    let challenge = server.send(Ask::new("POST", &format!("{V3}/register")).json(&body)).await.json;
    assert_eq!(challenge["flows"], json!([{ "stages": ["m.login.terms"] }]));
    assert_eq!(
        challenge["params"]["m.login.terms"]["policies"]["terms"],
        json!({ "version": "1", "en": { "name": "Terms <b>", "url": "https://alice.example/terms?a&b" } })
    );
    let session = challenge["session"].as_str().unwrap();
    let page = format!("{V3}/auth/m.login.terms/fallback/web");
    let shown = server.send(Ask::new("GET", &format!("{page}?session={session}"))).await;
    let text = String::from_utf8(shown.bytes).unwrap();
    assert!(text.contains("Terms &lt;b&gt;") && text.contains("terms?a&amp;b"), "{text}");
    assert!(!text.contains("onAuthDone"));
    let form = Ask::new("POST", &page).body(format!("session={session}"));
    let done = server.send(form.header("content-type", "application/x-www-form-urlencoded")).await;
    assert!(String::from_utf8(done.bytes).unwrap().contains("window.onAuthDone()"));
    let elsewhere = server.send(Ask::new("GET", &format!("{page}?session={session}")).to(BOBS)).await;
    assert_eq!(elsewhere.error(), (400, "M_UNKNOWN"));
    let mut body = body;
    body["auth"] = json!({ "session": session });
    server.send(Ask::new("POST", &format!("{V3}/register")).json(&body)).await.ok();
}
