//! A server that runs.

use serde_json::json;

use crate::server::{Server, printed};

#[test]
fn a_server_needs_no_configuration_and_shows_its_token_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let token = |server: &Server| {
        let lines = server.greeting.iter();
        lines.filter_map(|line| line.strip_prefix("operator token, shown only now: ")).count()
    };
    assert_eq!(token(&server), 1, "{:?}", server.greeting);
    assert_eq!(server.get("alice.localhost", "/_matrix/client/versions").status, 200);
    let keys = server.get("alice.localhost", "/_matrix/key/v2/server").json();
    assert!(server.stop(), "it stops in order when it is asked to");

    let server = Server::start(folder.path(), &[]);
    assert_eq!(token(&server), 0);
    let after = server.get("alice.localhost", "/_matrix/key/v2/server").json();
    assert_eq!(keys["verify_keys"], after["verify_keys"], "a tenant keeps its keys");
    assert!(server.stop());
}

#[test]
fn every_tenant_publishes_what_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    for name in ["alice", "bob"] {
        let host = format!("{name}.localhost:{}", server.port);
        let client = server.get(&host, "/.well-known/matrix/client").json();
        assert_eq!(client, json!({ "m.homeserver": { "base_url": format!("http://{host}") } }));
        let document = server.get(&host, "/.well-known/matrix/server").json();
        assert_eq!(document, json!({ "m.server": host }));
        let keys = server.get(&host, "/_matrix/key/v2/server").json();
        assert_eq!(keys["server_name"], format!("{name}.localhost"));
        assert!(keys["signatures"][format!("{name}.localhost")].is_object());
        assert_eq!(server.get(&host, "/.well-known/matrix/support").status, 404);
    }
}

#[test]
fn hosts_that_nobody_has_are_misdirected_and_say_nothing_about_others() {
    let folder = tempfile::tempdir().unwrap();
    printed(folder.path(), &["tenant", "add", "waiting.example", "--hostname", "waiting.example.net"]);
    let server = Server::start(folder.path(), &[]);
    for host in ["nobody.example", "example.net", "localhost.example", "127.0.0.1", ""] {
        for path in ["/_matrix/client/versions", "/.well-known/matrix/client", "/_matrix/key/v2/server", "/x"]
        {
            let answer = server.get(host, path);
            assert_eq!(answer.status, 421, "{host} {path}");
            assert_eq!(answer.json()["errcode"], "M_UNRECOGNIZED");
        }
    }
    // A tenant that waits for its proof publishes its delegation, and nothing else happens.
    let delegation = server.get("waiting.example", "/.well-known/matrix/server");
    assert_eq!(delegation.json(), json!({ "m.server": "waiting.example.net:443" }));
    assert_eq!(server.get("waiting.example", "/_matrix/client/versions").status, 403);
}

#[test]
fn a_suspended_tenant_is_out_of_service_at_once_and_back_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let versions = |host: &str| server.get(host, "/_matrix/client/versions").status;
    assert_eq!([versions("alice.localhost"), versions("bob.localhost")], [200, 200]);
    printed(folder.path(), &["tenant", "suspend", "alice.localhost"]);
    assert_eq!([versions("alice.localhost"), versions("bob.localhost")], [403, 200]);
    printed(folder.path(), &["tenant", "resume", "alice.localhost"]);
    assert_eq!(versions("alice.localhost"), 200);
}

#[test]
fn metrics_and_commands_ask_for_an_operator_token() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    server.get("alice.localhost", "/_matrix/client/versions");
    let path = "/_freehold/admin/v1/tenant/list";
    assert_eq!(server.get("localhost", "/metrics").status, 401);
    assert_eq!(server.post("localhost", path, (None, "{}")).status, 401);
    assert_eq!(server.post("localhost", path, (Some("fho_wrong"), "{}")).status, 401);
    let token = printed(folder.path(), &["token", "add", "tests"]);
    let token = token.lines().next().unwrap();
    let tenants = server.post("localhost", path, (Some(token), "{}"));
    assert_eq!(tenants.json()["tenants"][0]["server_name"], "alice.localhost");
    let wrong = server.post("localhost", path, (Some(token), "{\"limit\": \"many\"}"));
    assert_eq!((wrong.status, wrong.json()["errcode"].as_str()), (400, Some("M_BAD_JSON")));
}
