//! What is damaged in the data directory is named, and the exit code says so.

use std::path::Path;
use std::sync::Arc;

use freehold_store::tables::rooms::{EVENT_JSON, EVENTS, ROOMS};
use freehold_store::{Batch, Engine as _, EventNumber, Order, Store};
use freehold_store_fjall::{FjallEngine, Settings};
use serde_json::Value;

use crate::server::{Server, printed, run};

/// A server with a user, a room with a message, and a file.
fn lived_in(folder: &Path) -> String {
    let server = Server::start(folder, &[]);
    let host = "alice.localhost";
    server.get(host, "/_matrix/client/versions");
    printed(folder, &["tenant", "policy", host, "--set", r#"{"registration": {"mode": "open"}}"#]);
    let register = r#"{"username": "a", "password": "long enough", "auth": {"type": "m.login.dummy"}}"#;
    let registered = server.post(host, "/_matrix/client/v3/register", (None, register)).json();
    let token = registered["access_token"].as_str().unwrap();
    let room =
        server.post(host, "/_matrix/client/v3/createRoom", (Some(token), r#"{"name": "a room"}"#)).json();
    assert_eq!(server.post(host, "/_matrix/media/v3/upload", (Some(token), "bytes")).status, 200);
    assert!(server.stop());
    room["room_id"].as_str().unwrap().to_owned()
}

fn fsck(folder: &Path) -> (Option<i32>, Value) {
    let output = run(folder, &["fsck", "--media", "--deep", "--json"]);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn damage_is_named_with_room_event_and_table() {
    let folder = tempfile::tempdir().unwrap();
    let room = lived_in(folder.path());
    let (code, report) = fsck(folder.path());
    assert_eq!((code, report["damaged"].as_u64()), (Some(0), Some(0)), "{report}");
    assert_eq!((report["rooms"].as_u64(), report["media"].as_u64()), (Some(1), Some(1)), "{report}");
    assert!(report["events"].as_u64().unwrap() > 5, "{report}");
    assert_eq!((&report["rejudged"], &report["unverified"]), (&report["events"], &0.into()), "{report}");

    let event_id = damage_last_event(&folder.path().join("freehold-data/store"));
    let blobs = walk(&folder.path().join("freehold-data/media/blobs"));
    std::fs::write(&blobs[0], "bytez").unwrap();
    let (code, report) = fsck(folder.path());
    assert_eq!(code, Some(3), "{report}");
    let findings = report["findings"].as_array().unwrap();
    let of = |table: &str| findings.iter().find(|finding| finding["table"] == table).unwrap();
    assert_eq!(of("event_json")["room"], room);
    assert_eq!(of("event_json")["event"], event_id);
    assert!(of("event_json")["what"].as_str().unwrap().contains("content hash"), "{report}");
    assert!(of("blobs")["what"].as_str().unwrap().contains("are others"), "{report}");
    let text = String::from_utf8(run(folder.path(), &["fsck"]).stdout).unwrap();
    assert!(text.contains(&format!("table event_json, room {room}, event {event_id}, ")), "{text}");
}

/// Changes a name in the text of the newest event that has it; gives the event's id.
fn damage_last_event(folder: &Path) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let engine = FjallEngine::open(folder, Settings::default()).unwrap();
        assert!(engine.snapshot().unwrap().position().0 > 5);
        let store = Store::open(Arc::new(engine)).await.unwrap();
        let snapshot = store.snapshot().unwrap();
        let texts = snapshot.scan_prefix(&EVENT_JSON, &(), Order::Descending, 99).await.unwrap();
        let (number, text): (EventNumber, String) =
            texts.into_iter().find(|(_, text)| text.contains("a room")).unwrap();
        assert!(snapshot.get(&EVENTS, &number).await.unwrap().is_some());
        assert_eq!(snapshot.scan_prefix(&ROOMS, &(), Order::Ascending, 9).await.unwrap().len(), 1);
        let mut batch = Batch::new();
        batch.put(&EVENT_JSON, &number, &text.replace("a room", "A room"));
        store.commit(batch).await.unwrap();
        snapshot.id_of(number).await.unwrap().to_string()
    })
}

/// All files below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
