//! A server that runs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

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

/// Whoever opens connections and says nothing takes no place from the store or from other listeners.
#[test]
fn when_as_many_connections_are_open_as_may_be_the_next_one_waits() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "[limits]\nconnections = 2\n[[listener]]\naddress = \"127.0.0.1:0\"\n";
    std::fs::write(folder.path().join("few.toml"), settings).unwrap();
    let server = Server::start_configured(folder.path(), &["--config", "few.toml"]);
    let open = || TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let (idle, held) = (open(), open());
    let mut waiting = open();
    waiting.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut answer = String::new();
    assert!(waiting.read_to_string(&mut answer).is_err(), "{answer}");
    drop(idle);
    waiting.set_read_timeout(None).unwrap();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(held);
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
        for (method, status) in [("OPTIONS", 204), ("POST", 405)] {
            let answer = server.send((method, &host, "/.well-known/matrix/client"), ("", ""));
            assert_eq!(answer.status, status);
        }
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
    // A browser asks first whether it may ask, and shows the refusal only if it may.
    let preflight = |path: &str| server.send(("OPTIONS", "alice.localhost", path), ("", "")).status;
    assert_eq!(preflight("/_matrix/client/v3/sync"), 204);
    printed(folder.path(), &["tenant", "resume", "alice.localhost"]);
    assert_eq!(versions("alice.localhost"), 200);
}

#[test]
fn metrics_name_the_busy_tenants_and_neither_idle_ones_nor_hosts_of_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let versions = |host: &str| server.get(host, "/_matrix/client/versions").status;
    assert!((0..1_010).all(|_| versions("alice.localhost") == 200));
    assert!((0..10).all(|_| versions("bob.localhost") == 200));
    assert!((0..10).all(|_| versions("nobody.example") == 421));
    let token = printed(folder.path(), &["token", "add", "tests"]);
    let metrics = server.get_as("localhost", "/metrics", token.lines().next().unwrap()).body;
    let of_tenants: Vec<&str> = metrics.lines().filter(|line| line.contains("tenant=\"")).collect();
    let names = [r#"freehold_tenant_requests_total{tenant="alice.localhost"} 10"#];
    let (named, rest) = of_tenants.split_at(1);
    assert_eq!(named, names);
    // Those before it was busy are among those of the rest.
    assert_eq!(rest, [r#"freehold_tenant_requests_total{tenant=""} 1010"#]);
    assert!(!metrics.contains("bob.") && !metrics.contains("nobody."));
    // Who administers a tenant is nobody to the process.
    let body = r#"{"username":"admin","password":"wonderland-1865","auth":{"type":"m.login.dummy"}}"#;
    let admin = server.post("alice.localhost", "/_matrix/client/v3/register", (None, body)).json();
    let policy = r#"{"admins":["@admin:alice.localhost"]}"#;
    printed(folder.path(), &["tenant", "policy", "alice.localhost", "--set", policy]);
    let token = admin["access_token"].as_str().unwrap();
    for host in ["localhost", "alice.localhost", "bob.localhost"] {
        assert_eq!(server.get_as(host, "/metrics", token).status, 401);
    }
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
