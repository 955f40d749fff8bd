//! A client that waits in a sync hears at once whose keys changed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::policies::who_share_a_room;
use crate::server::Server;

const ALICE: &str = "@alice:alice.localhost";
/// A public key: the base point.
const KEY: &str = "WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY";
/// Longer than a test takes: what is told only when the wait is over is not told here.
const WAIT_MS: u32 = 60_000;

#[test]
fn new_keys_are_told_to_who_waits_in_a_sync_and_shares_a_room() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (alice, bob, _) = who_share_a_room(&server);
    let since = bob.get(&server, "v3/sync?timeout=0").json()["next_batch"].as_str().unwrap().to_owned();
    let path = format!("v3/sync?timeout={WAIT_MS}&since={since}");
    let told: Value = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| bob.get(&server, &path).json());
        std::thread::sleep(Duration::from_millis(300));
        assert!(!waiting.is_finished(), "there is nothing to tell yet");
        let keys = json!({ format!("ed25519:{KEY}"): KEY });
        let master = json!({ "user_id": ALICE, "usage": ["master"], "keys": keys });
        let uploaded = alice.post(&server, "keys/device_signing/upload", &json!({ "master_key": master }));
        assert_eq!(uploaded.status, 200, "{uploaded:?}");
        waiting.join().unwrap()
    });
    assert_eq!(told["device_lists"], json!({ "changed": [ALICE] }), "{told}");
    assert!(server.stop());
}
