//! What holds for every endpoint.

use freehold_client_api::{LimitsSettings, Rate};
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

#[tokio::test]
async fn locked_users_are_refused_and_suspended_users_may_read() {
    let server = Server::start();
    let ask = || Ask::new("GET", "/_matrix/client/v3/capabilities");
    let locked = server.send(ask().by("@locked:alice.example")).await;
    assert_eq!(locked.error(), (401, "M_USER_LOCKED"));
    assert_eq!(locked.json["soft_logout"], json!(true));
    server.send(ask().by("@suspended:alice.example")).await.ok();
}
