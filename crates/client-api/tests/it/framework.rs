//! What holds for every endpoint.

use std::collections::BTreeSet;

use freehold_client_api::{Access, LimitsSettings, Rate, endpoints};
use serde_json::json;

use crate::server::{Ask, Server};

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_unrecognized() {
    let server = Server::start();
    let cases = [
        ("GET", "/_matrix/client/v3/nothing", 404),
        ("GET", "/", 404),
        ("DELETE", "/_matrix/client/versions", 405),
    ];
    for (method, path, status) in cases {
        let answer = server.send(Ask::new(method, path)).await;
        assert_eq!(answer.error(), (status, "M_UNRECOGNIZED"), "{method} {path}");
    }
}

#[tokio::test]
async fn a_host_of_nobody_is_misdirected() {
    let server = Server::start();
    let answer = server.send(Ask::new("GET", "/_matrix/client/versions").to("stranger.example")).await;
    assert_eq!(answer.status.as_u16(), 421);
}

#[tokio::test]
async fn every_answer_has_the_cors_headers_and_options_asks_nobody() {
    let server = Server::start();
    for (method, path, status) in [
        ("OPTIONS", "/_matrix/client/versions", 204),
        ("OPTIONS", "/_matrix/client/v3/createRoom", 204),
        ("GET", "/_matrix/client/versions", 200),
        ("GET", "/nothing", 404),
        ("DELETE", "/_matrix/client/versions", 405),
    ] {
        let answer = server.send(Ask::new(method, path)).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        assert_eq!(answer.headers["access-control-allow-methods"], "GET, POST, PUT, DELETE, OPTIONS");
        assert_eq!(
            answer.headers["access-control-allow-headers"],
            "X-Requested-With, Content-Type, Authorization"
        );
    }
}

#[tokio::test]
async fn versions_name_old_ones_for_clients_that_ask_for_them() {
    let answer = Server::start().send(Ask::new("GET", "/_matrix/client/versions")).await.ok();
    let versions = answer["versions"].as_array().unwrap();
    assert!(versions.contains(&json!("v1.1")) && versions.contains(&json!("v1.19")));
    assert_eq!(answer["unstable_features"]["org.matrix.e2e_cross_signing"], json!(true));
}

#[tokio::test]
async fn who_asks_too_much_is_told_how_long_to_wait() {
    let user = Some(Rate { per_second: 1, burst: 2 });
    let server = Server::with_limits(LimitsSettings { user, ..LimitsSettings::OFF });
    let ask = || Ask::new("GET", "/_matrix/client/v3/capabilities").by("@user:alice.example");
    server.send(ask()).await.ok();
    server.send(ask()).await.ok();
    let refused = server.send(ask()).await;
    assert_eq!(refused.error(), (429, "M_LIMIT_EXCEEDED"));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.json["retry_after_ms"], json!(1000));
    // The neighbour has a bucket of its own.
    server.send(Ask::new("GET", "/_matrix/client/v3/capabilities").by("@user:bob.example")).await.ok();
}

#[tokio::test]
async fn a_token_is_wanted_known_and_of_the_tenant_of_the_host() {
    let server = Server::start();
    let ask = || Ask::new("GET", "/_matrix/client/v3/capabilities");
    assert_eq!(server.send(ask()).await.error(), (401, "M_MISSING_TOKEN"));
    let unknown = server.send(ask().header("authorization", "Bearer nonsense")).await;
    assert_eq!(unknown.error(), (401, "M_UNKNOWN_TOKEN"));
    let neighbour = server.send(ask().header("authorization", "Bearer @user:bob.example")).await;
    assert_eq!(neighbour.error(), (401, "M_UNKNOWN_TOKEN"));
    assert_eq!(neighbour.json, unknown.json);
    let in_query = Ask::new("GET", "/_matrix/client/v3/capabilities?access_token=%40user%3Aalice.example");
    server.send(in_query).await.ok();
}

/// What suspended users are refused (<https://spec.matrix.org/v1.19/client-server-api/#account-suspension>): what others
/// would hear of.
const REFUSED_TO_SUSPENDED: &[&str] = &[
    "/_matrix/client/v1/admin/lock/{user_id}",
    "/_matrix/client/v1/admin/suspend/{user_id}",
    "/_matrix/client/v3/createRoom",
    "/_matrix/client/v3/directory/list/room/{room_id}",
    "/_matrix/client/v3/directory/room/{room_alias}",
    "/_matrix/client/v3/join/{room_id_or_alias}",
    "/_matrix/client/v3/knock/{room_id_or_alias}",
    "/_matrix/client/v3/profile/{user_id}/{field}",
    "/_matrix/client/v3/presence/{user_id}/status",
    "/_matrix/client/v3/publicRooms",
    "/_matrix/client/v3/rooms/{room_id}/ban",
    "/_matrix/client/v3/rooms/{room_id}/invite",
    "/_matrix/client/v3/rooms/{room_id}/join",
    "/_matrix/client/v3/rooms/{room_id}/kick",
    "/_matrix/client/v3/rooms/{room_id}/read_markers",
    "/_matrix/client/v3/rooms/{room_id}/receipt/{receipt_type}/{event_id}",
    "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/{state_key}",
    "/_matrix/client/v3/rooms/{room_id}/typing/{user_id}",
    "/_matrix/client/v3/rooms/{room_id}/unban",
    "/_matrix/client/v3/rooms/{room_id}/upgrade",
    "/_matrix/client/v3/user/{user_id}/openid/request_token",
    "/_matrix/media/v1/create",
    "/_matrix/media/v3/upload",
    "/_matrix/media/v3/upload/{server_name}/{media_id}",
];

#[tokio::test]
async fn suspended_users_are_refused_what_others_would_hear_of_and_nothing_else() {
    let server = Server::start();
    let mut refused = BTreeSet::new();
    let endpoints = endpoints();
    let writing = endpoints.list().iter().filter(|one| one.access == Access::Users && one.method != "GET");
    for endpoint in writing.filter(|one| !one.path.contains("/r0/") && !one.path.contains("/unstable/")) {
        let ask = || {
            let path = crate::ledger::example(endpoint.path);
            Ask::new(endpoint.method.as_str(), &path).by("@suspended:alice.example").body("{}")
        };
        if server.send(ask()).await.error() == (403, "M_USER_SUSPENDED") {
            refused.insert(endpoint.path);
        }
        let locked = server.send(ask().by("@locked:alice.example")).await;
        let logs_out = endpoint.path.contains("/logout");
        assert_eq!(locked.error().1 == "M_USER_LOCKED", !logs_out, "{}: {locked:?}", endpoint.path);
    }
    assert_eq!(refused, REFUSED_TO_SUSPENDED.iter().copied().collect());
}

#[tokio::test]
async fn guests_are_refused() {
    let server = Server::start();
    let guest = Ask::new("POST", "/_matrix/client/v3/register?kind=guest").body("{}");
    assert_eq!(server.send(guest).await.error(), (403, "M_GUEST_ACCESS_FORBIDDEN"));
}

#[tokio::test]
async fn the_page_to_log_in_does_so_by_itself() {
    let server = Server::start();
    let page = server.send(Ask::new("GET", "/_matrix/static/client/login/?device_id=GHTYAJCE")).await;
    assert_eq!(page.status, 200);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    let text = String::from_utf8(page.bytes).unwrap();
    for part in ["/_matrix/client/v3/login", "window.matrixLogin.onLogin(response)", "\"device_id\""] {
        assert!(text.contains(part), "{part}");
    }
    let elsewhere = Ask::new("GET", "/_matrix/static/client/login/").to("no.such");
    assert_eq!(server.send(elsewhere).await.status, 421);
}

#[tokio::test]
async fn locked_users_are_refused_and_suspended_users_may_read() {
    let server = Server::start();
    let ask = || Ask::new("GET", "/_matrix/client/v3/capabilities");
    let locked = server.send(ask().by("@locked:alice.example")).await;
    assert_eq!(locked.error(), (401, "M_USER_LOCKED"));
    assert_eq!(locked.json["soft_logout"], json!(true));
    server.send(ask().by("@suspended:alice.example")).await.ok();
}
