//! Registering, logging in and out, over HTTP.

use freehold_accounts::{AccountPolicy, Registration};
use serde_json::{Value, json};

use crate::server::{Answer, Ask, BOBS, Server};

const REGISTER: &str = "/_matrix/client/v3/register";
const LOGIN: &str = "/_matrix/client/v3/login";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const PASSWORD: &str = "correct horse";

pub(crate) fn open() -> Server {
    Server::with_accounts(AccountPolicy { registration: Registration::Open, ..AccountPolicy::default() })
}

/// Registers a user at the tenant of `ask`, through the stage that asks nothing.
pub(crate) async fn register(server: &Server, host: &str, name: &str) -> Value {
    let body = json!({ "username": name, "password": PASSWORD, "auth": { "type": "m.login.dummy" } });
    server.send(Ask::new("POST", REGISTER).to(host).json(&body)).await.ok()
}

pub(crate) async fn log_in(server: &Server, host: &str, more: Value) -> Answer {
    let mut body = json!({ "type": "m.login.password", "password": PASSWORD });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.send(Ask::new("POST", LOGIN).to(host).json(&body)).await
}

fn named(user: &str) -> Value {
    json!({ "identifier": { "type": "m.id.user", "user": user } })
}

pub(crate) fn token(session: &Value) -> &str {
    session["access_token"].as_str().unwrap()
}

#[tokio::test]
async fn a_new_user_goes_through_the_stages_and_is_known_by_the_token() {
    let server = open();
    let mut body = json!({ "username": "alice", "password": PASSWORD, "device_id": "PHONE" });
    let challenge = server.send(Ask::new("POST", REGISTER).json(&body)).await;
    assert_eq!(challenge.status, 401);
    assert_eq!(challenge.json["flows"], json!([{ "stages": ["m.login.dummy"] }]));
    assert_eq!(challenge.json.get("errcode"), None);
    body["auth"] = json!({ "type": "m.login.dummy", "session": challenge.json["session"] });
    let session = server.send(Ask::new("POST", REGISTER).json(&body)).await.ok();
    assert_eq!(session["user_id"], "@alice:alice.example");
    assert_eq!(session["device_id"], "PHONE");
    assert_eq!(session.get("refresh_token"), None, "nobody asked for one");
    let who = server.send(Ask::new("GET", WHOAMI).with_token(token(&session))).await.ok();
    assert_eq!(who, json!({ "user_id": "@alice:alice.example", "device_id": "PHONE" }));
}

/// PYSEC-2021-27: what confirms somebody's address was kept, however long it was, until memory and disk were full. Nobody has an
/// address here, so nothing takes such a thing.
#[tokio::test]
async fn pysec_2021_27_nothing_that_confirms_an_address_is_taken_however_long_it_is() {
    let server = open();
    let long = "x".repeat(100_000);
    let secrets = json!({ "client_secret": long, "sid": long, "id_server": long, "id_access_token": long });
    let auth = json!({ "type": "m.login.email.identity", "threepid_creds": secrets });
    let body = json!({ "username": "alice", "password": PASSWORD, "auth": auth });
    let refused = server.send(Ask::new("POST", REGISTER).json(&body)).await;
    assert!(refused.status.is_client_error(), "{}", refused.status);
    let address = json!({ "type": "m.id.thirdparty", "medium": "email", "address": long });
    let refused = log_in(&server, "alice.example", json!({ "identifier": address })).await;
    assert!(refused.status.is_client_error(), "{}", refused.status);
    for path in ["register", "account/password", "account/3pid"] {
        for medium in ["email", "msisdn"] {
            let path = format!("/_matrix/client/v3/{path}/{medium}/requestToken");
            let refused = server.send(Ask::new("POST", &path).json(&secrets)).await;
            assert_eq!(refused.error(), (404, "M_UNRECOGNIZED"), "{path}");
        }
    }
    // Nobody came to be by that.
    register(&server, "alice.example", "alice").await;
}

#[tokio::test]
async fn a_token_is_unknown_to_every_other_tenant() {
    let server = open();
    let session = register(&server, "alice.example", "alice").await;
    let elsewhere = server.send(Ask::new("GET", WHOAMI).to(BOBS).with_token(token(&session))).await;
    let never = server.send(Ask::new("GET", WHOAMI).to(BOBS).with_token("never")).await;
    assert_eq!(elsewhere.error(), (401, "M_UNKNOWN_TOKEN"));
    assert_eq!(elsewhere.json, never.json);
}

#[tokio::test]
async fn a_name_that_is_taken_at_one_tenant_is_free_at_another() {
    let server = open();
    register(&server, "alice.example", "same").await;
    let body = json!({ "username": "same", "password": PASSWORD, "auth": { "type": "m.login.dummy" } });
    let again = server.send(Ask::new("POST", REGISTER).json(&body)).await;
    assert_eq!(again.error(), (400, "M_USER_IN_USE"));
    let there = register(&server, BOBS, "same").await;
    assert_eq!(there["user_id"], "@same:bob.example");
}

#[tokio::test]
async fn what_cannot_be_registered_is_said_with_its_code() {
    let server = open();
    let cases = [
        (json!({ "username": "Capital", "password": PASSWORD }), (400, "M_INVALID_USERNAME")),
        (json!({ "username": "a b", "password": PASSWORD }), (400, "M_INVALID_USERNAME")),
        (json!({ "username": "", "password": PASSWORD }), (400, "M_INVALID_USERNAME")),
        (json!({ "username": "short", "password": "short" }), (400, "M_WEAK_PASSWORD")),
        (json!({ "username": "long", "password": "x".repeat(513) }), (400, "M_INVALID_PARAM")),
        (json!({ "username": 7 }), (400, "M_BAD_JSON")),
        (json!({ "username": "none", "auth": { "type": "m.login.dummy" } }), (400, "M_MISSING_PARAM")),
    ];
    for (body, expected) in cases {
        let answer = server.send(Ask::new("POST", REGISTER).json(&body)).await;
        assert_eq!(answer.error(), expected, "{body}");
    }
    let guest = server.send(Ask::new("POST", &format!("{REGISTER}?kind=guest")).json(&json!({}))).await;
    assert_eq!(guest.error(), (403, "M_GUEST_ACCESS_FORBIDDEN"));
}

#[tokio::test]
async fn a_closed_tenant_takes_nobody_and_says_nothing_about_names() {
    let server = Server::with_accounts(AccountPolicy::default());
    for ask in [
        Ask::new("POST", REGISTER).json(&json!({ "username": "a", "password": PASSWORD })),
        Ask::new("GET", "/_matrix/client/v3/register/available?username=a"),
        Ask::new("GET", "/_matrix/client/v1/register/m.login.registration_token/validity?token=a"),
    ] {
        assert_eq!(server.send(ask).await.error(), (403, "M_FORBIDDEN"));
    }
}

#[tokio::test]
async fn a_password_opens_a_session_at_its_own_tenant_only() {
    let server = open();
    register(&server, "alice.example", "alice").await;
    for user in ["alice", "@alice:alice.example", "Alice"] {
        let session = log_in(&server, "alice.example", named(user)).await.ok();
        assert_eq!(session["user_id"], "@alice:alice.example", "{user}");
    }
    assert_eq!(log_in(&server, "alice.example", json!({ "user": "alice" })).await.status, 200);
    let wrong = log_in(&server, "alice.example", json!({ "user": "alice", "password": "wrong" })).await;
    let nobody = log_in(&server, "alice.example", named("nobody")).await;
    let elsewhere = log_in(&server, BOBS, named("@alice:alice.example")).await;
    assert_eq!(wrong.error(), (403, "M_FORBIDDEN"));
    assert_eq!(wrong.json, nobody.json);
    assert_eq!(wrong.json, elsewhere.json);
}

#[tokio::test]
async fn a_login_that_lacks_something_names_it() {
    let server = open();
    let cases = [
        (json!({}), "M_BAD_JSON", "type"),
        (json!({ "type": "m.login.password" }), "M_MISSING_PARAM", "password"),
        (json!({ "type": "m.login.password", "password": "x" }), "M_MISSING_PARAM", "identifier"),
        (json!({ "type": "m.login.token" }), "M_MISSING_PARAM", "token"),
        (json!({ "type": "m.login.magic" }), "M_UNKNOWN", "type"),
    ];
    for (body, errcode, named) in cases {
        let answer = server.send(Ask::new("POST", LOGIN).json(&body)).await;
        assert_eq!(answer.error(), (400, errcode), "{body}");
        assert!(answer.json["error"].as_str().unwrap().contains(named), "{body}: {}", answer.json);
    }
}

#[tokio::test]
async fn who_logs_out_is_unknown_and_others_are_not() {
    let server = open();
    let first = register(&server, "alice.example", "alice").await;
    let second = log_in(&server, "alice.example", named("alice")).await.ok();
    let who = async |session: &Value| server.send(Ask::new("GET", WHOAMI).with_token(token(session))).await;
    assert_eq!(who(&first).await.status, 200);
    let logout = Ask::new("POST", "/_matrix/client/v3/logout").with_token(token(&first));
    server.send(logout.json(&json!({}))).await.ok();
    assert_eq!(who(&first).await.error(), (401, "M_UNKNOWN_TOKEN"));
    assert_eq!(who(&first).await.json["soft_logout"], false);
    assert_eq!(who(&second).await.status, 200);
    let everywhere = Ask::new("POST", "/_matrix/client/v3/logout/all").with_token(token(&second));
    server.send(everywhere).await.ok();
    assert_eq!(who(&second).await.error(), (401, "M_UNKNOWN_TOKEN"));
}

#[tokio::test]
async fn a_login_with_a_known_device_ends_its_other_tokens() {
    let server = open();
    let first = register(&server, "alice.example", "alice").await;
    let again = json!({ "user": "alice", "device_id": first["device_id"] });
    let second = log_in(&server, "alice.example", again).await.ok();
    assert_eq!(first["device_id"], second["device_id"]);
    let old = server.send(Ask::new("GET", WHOAMI).with_token(token(&first))).await;
    assert_eq!(old.error(), (401, "M_UNKNOWN_TOKEN"));
    server.send(Ask::new("GET", WHOAMI).with_token(token(&second))).await.ok();
}
