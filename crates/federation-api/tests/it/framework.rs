//! What holds for every endpoint.

use freehold_federation_api::{LimitsSettings, Rate};
use serde_json::json;

use crate::server::{ALICES, Ask, BOBS, REMOTE, Server, WAITED_FOR};

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_unrecognized() {
    let server = Server::start();
    let cases = [
        ("GET", "/_matrix/federation/v1/nothing", 404),
        ("GET", "/_matrix/federation/v9/version", 404),
        ("DELETE", "/_matrix/federation/v1/version", 405),
        ("POST", "/_matrix/federation/v1/query/profile", 405),
    ];
    for (method, path, status) in cases {
        let answer = server.send(Ask::new(method, path)).await;
        assert_eq!(answer.error(), (status, "M_UNRECOGNIZED"), "{method} {path}");
    }
}

#[tokio::test]
async fn a_request_that_reached_no_tenant_is_misdirected() {
    let server = Server::start();
    for path in ["/_matrix/federation/v1/version", "/_matrix/federation/v1/publicRooms"] {
        let answer = server.send(Ask::new("GET", path).to("stranger.example")).await;
        assert_eq!(answer.status.as_u16(), 421, "{path}");
    }
}

#[tokio::test]
async fn every_tenant_runs_the_same_software_and_has_keys_of_its_own() {
    let server = Server::start();
    let ask = |host: &'static str, path| server.send(Ask::new("GET", path).to(host));
    let version = ask(ALICES, "/_matrix/federation/v1/version").await.ok();
    assert_eq!(version["server"]["name"], "Freehold");
    assert_eq!(version, ask(BOBS, "/_matrix/federation/v1/version").await.ok());
    for host in [ALICES, BOBS] {
        for path in ["/_matrix/key/v2/server", "/_matrix/key/v2/server/ed25519:1"] {
            assert_eq!(ask(host, path).await.ok(), json!({ "server_name": host }));
        }
    }
}

#[tokio::test]
async fn a_notary_answers_for_the_servers_that_are_asked_about() {
    let server = Server::start();
    let one = Ask::new("GET", "/_matrix/key/v2/query/remote.example?minimum_valid_until_ts=5");
    assert_eq!(server.send(one).await.ok(), json!({ "notary": ALICES, "servers": ["remote.example"] }));
    let several = json!({ "server_keys": { "a.example": {}, "b.example": {} } });
    let several = Ask::new("POST", "/_matrix/key/v2/query").to(BOBS).json(&several);
    assert_eq!(
        server.send(several).await.ok(),
        json!({ "notary": BOBS, "servers": ["a.example", "b.example"] })
    );
    for (body, error) in [("nonsense", "M_NOT_JSON"), ("{}", "M_BAD_JSON")] {
        let answer = server.send(Ask::new("POST", "/_matrix/key/v2/query").body(body)).await;
        assert_eq!(answer.error(), (400, error), "{body}");
    }
    let busy = format!("/_matrix/key/v2/query/{WAITED_FOR}");
    let busy = server.send(Ask::new("GET", &busy)).await;
    assert_eq!(busy.error(), (429, "M_LIMIT_EXCEEDED"));
    assert_eq!(busy.json["retry_after_ms"], 1000);
    let bad = server.send(Ask::new("GET", "/_matrix/key/v2/query/no%20name")).await;
    assert_eq!(bad.error(), (400, "M_INVALID_PARAM"));
}

#[tokio::test]
async fn a_server_that_asks_one_tenant_too_much_is_told_how_long_to_wait_there() {
    let origin = Some(Rate { per_second: 1, burst: 2 });
    let server = Server::with_limits(LimitsSettings { origin, ..LimitsSettings::OFF });
    let ask =
        |origin: &str, to: &str| Ask::new("GET", "/_matrix/federation/v1/publicRooms").by(origin).to(to);
    for _ in 0..2 {
        server.send(ask(REMOTE, ALICES)).await.ok();
    }
    let refused = server.send(ask(REMOTE, ALICES)).await;
    assert_eq!(refused.error(), (429, "M_LIMIT_EXCEEDED"));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.json["retry_after_ms"], 1000);
    server.send(ask(REMOTE, BOBS)).await.ok();
    server.send(ask("other.example", ALICES)).await.ok();
}
