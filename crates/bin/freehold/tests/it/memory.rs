//! The memory of all caches together.

use serde_json::{Value, json};

use crate::server::{Server, printed};

const BUDGET: u64 = 16 << 20;

/// Everything that can be cached is used much more than the budget has room for.
#[test]
fn all_caches_together_stay_within_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let configuration =
        "memory = \"16 MiB\"\n[rate_limits]\nenabled = false\n[[listener]]\naddress = \"127.0.0.1:0\"\n";
    std::fs::write(folder.path().join("freehold.toml"), configuration).unwrap();
    let server = Server::start_configured(folder.path(), &["--config", "freehold.toml"]);
    let host = "alice.localhost";
    server.get(host, "/_matrix/client/versions");
    printed(folder.path(), &["tenant", "policy", host, "--set", r#"{"registration": {"mode": "open"}}"#]);
    let register = r#"{"username": "a", "password": "long enough", "auth": {"type": "m.login.dummy"}}"#;
    let registered = server.post(host, "/_matrix/client/v3/register", (None, register)).json();
    let token = registered["access_token"].as_str().unwrap().to_owned();
    let status =
        || -> Value { serde_json::from_str(&printed(folder.path(), &["status", "--json"])).unwrap() };
    assert_within(&status());

    let large = "x".repeat(30_000);
    for number in 0..60 {
        let create = json!({
            "name": format!("room {number}"),
            "initial_state": [{ "type": "org.example.large", "state_key": "", "content": { "text": large } }],
        });
        let created = server.post(host, "/_matrix/client/v3/createRoom", (Some(&token), &create.to_string()));
        let room = created.json()["room_id"].as_str().unwrap().to_owned();
        let path = format!("/_matrix/client/v3/rooms/{room}/state");
        assert_eq!(server.get_as(host, &path, &token).status, 200);
    }
    let synced = server.get_as(host, "/_matrix/client/v3/sync?timeout=0", &token).json();
    assert_eq!(synced["rooms"]["join"].as_object().unwrap().len(), 60);
    // Larger than what all bodies together may take.
    let body = json!({ "text": "x".repeat(3 << 20) }).to_string();
    let user = registered["user_id"].as_str().unwrap();
    let path = format!("/_matrix/client/v3/user/{user}/filter");
    assert_eq!(server.post(host, &path, (Some(&token), &body)).status, 429);

    let status = status();
    assert_within(&status);
    let held = |subsystem: &str| {
        let uses = status["memory"].as_array().unwrap();
        uses.iter().find(|one| one["subsystem"] == subsystem).unwrap()["held"].as_u64().unwrap()
    };
    for subsystem in ["changes", "rooms_read", "open_rooms", "sessions"] {
        assert!(held(subsystem) > 0, "{status}");
    }
    assert!(held("rooms_read") > 256 * 1024, "the cache is filled: {status}");
    let metrics = server.get_as("localhost", "/metrics", &operator(&server)).body;
    assert!(metrics.contains("freehold_memory_bytes{subsystem=\"blocks\"}"), "{metrics}");
    assert!(metrics.contains(&format!("freehold_memory_budget_bytes {BUDGET}")), "{metrics}");
}

fn operator(server: &Server) -> String {
    let line = server.greeting.iter().find_map(|line| line.strip_prefix("operator token, shown only now: "));
    line.unwrap().trim().to_owned()
}

#[track_caller]
fn assert_within(status: &Value) {
    assert_eq!(status["memory_budget"], BUDGET);
    let mut together = 0;
    for one in status["memory"].as_array().unwrap() {
        let held = one["held"].as_u64().unwrap();
        assert!(one["most"].as_u64().is_none_or(|most| held <= most), "{status}");
        together += held;
    }
    assert!(together <= BUDGET, "{status}");
}
