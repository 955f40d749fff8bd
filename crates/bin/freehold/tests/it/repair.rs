//! A room that is damaged on one server is repaired with what another one has of it.

use std::path::Path;
use std::sync::Arc;

use freehold_store::tables::rooms::{CURRENT_STATE, EVENT_JSON, EVENTS, EventRow, ROOM_SERVERS, Standing};
use freehold_store::{Batch, EventNumber, Order, RoomNumber, Store};
use freehold_store_fjall::{FjallEngine, Settings};
use ruma_common::OwnedRoomId;
use serde_json::{Value, json};

use crate::federation::{Home, encoded};
use crate::server::{Server, run};
use crate::tls::certificate;

const CONFIG: [&str; 2] = ["--config", "freehold.toml"];

/// Loses what was said, rejects what was allowed, and confuses what follows from the events.
fn damage(folder: &Path, room_id: &OwnedRoomId) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let engine = FjallEngine::open(folder.join("freehold-data/store"), Settings::default()).unwrap();
        let store = Store::open(Arc::new(engine)).await.unwrap();
        let snapshot = store.snapshot().unwrap();
        let room: RoomNumber = snapshot.number_of(room_id).await.unwrap().unwrap();
        let rows = snapshot.scan_prefix(&EVENTS, &(), Order::Ascending, usize::MAX).await.unwrap();
        let rows: Vec<(EventNumber, EventRow)> =
            rows.into_iter().filter(|(_, row)| row.room == room).collect();
        let mut batch = Batch::new();
        // The last event, and one of those that made the room.
        for (number, _) in [&rows[rows.len() - 1], &rows[2]] {
            batch.delete(&EVENTS, number);
            batch.delete(&EVENT_JSON, number);
        }
        let (number, row) = &rows[rows.len() - 2];
        batch.put(&EVENTS, number, &EventRow { standing: Standing::Rejected, ..row.clone() });
        let mut current = snapshot.get(&CURRENT_STATE, &room).await.unwrap().unwrap();
        (current.state, current.joined) = (rows[4].1.state_before.unwrap(), 7);
        current.forward_extremities = vec![rows[3].0];
        batch.put(&CURRENT_STATE, &room, &current);
        let servers = snapshot.scan_prefix(&ROOM_SERVERS, &(room,), Order::Ascending, 9).await.unwrap();
        assert_eq!(servers.len(), 2);
        servers.iter().for_each(|(key, _)| batch.delete(&ROOM_SERVERS, key));
        store.commit(batch).await.unwrap();
    });
}

fn command(folder: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = run(folder, &[&CONFIG[..], &["--json"], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let answer = serde_json::from_str(&text);
    (output.status.code(), answer.unwrap_or_else(|_| panic!("{text} {:?}", String::from_utf8(output.stderr))))
}

fn count(report: &Value, list: &str) -> usize {
    report[list].as_array().unwrap().len()
}

/// The audit log says it of the whole process and to the tenant that is in the room, and to no other.
fn assert_told_of_repair(folder: &Path, in_room: &str) {
    command(folder, &["tenant", "add", "elsewhere.example", "--hostname", "m.elsewhere.example"]);
    for (of, is_told) in [(None, true), (Some(in_room), true), (Some("elsewhere.example"), false)] {
        let (_, audit) = command(folder, &["audit"].into_iter().chain(of).collect::<Vec<_>>());
        let acts = audit["acts"].as_array().unwrap();
        assert_eq!(acts.iter().any(|act| act["act"] == "room/repair"), is_told, "{of:?}: {audit:#}");
    }
}

#[test]
fn a_damaged_room_is_repaired_with_what_another_server_has() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one", "other"] {
        certificate(folder.path(), (name, &["127.0.0.1"]));
    }
    let mut alice = Home::start(folder.path(), "one", "alice");
    let bob = Home::start(folder.path(), "other", "bob");
    let create = json!({ "preset": "private_chat", "name": "Across servers", "invite": [bob.user_id] });
    let room_id = alice.call("POST", "createRoom", &create)["room_id"].as_str().unwrap().to_owned();
    bob.sees("sync", |sync| sync["rooms"]["invite"].get(&room_id).is_some());
    bob.call("POST", &format!("rooms/{}/join", encoded(&room_id)), &json!({}));
    for said in ["one", "two", "three"] {
        bob.say(&room_id, said);
        alice.hears(&room_id, said);
    }
    let home = folder.path().join("one");
    let (code, shown) = command(&home, &["room", "show", &room_id]);
    assert_eq!(
        (code, shown["joined"].as_u64(), count(&shown, "servers")),
        (Some(0), Some(2), 2),
        "{shown:#}"
    );
    let (code, report) = command(&home, &["room", "repair", &room_id]);
    assert_eq!((code, count(&report, "steps")), (Some(0), 0), "{report:#}");

    assert!(alice.server.stop());
    damage(&home, &OwnedRoomId::try_from(room_id.as_str()).unwrap());
    // Where no server runs, the other one is asked all the same.
    let (code, looked) = command(&home, &["room", "repair", &room_id]);
    assert_eq!(
        (code, looked["fetched"].as_u64(), count(&looked, "wanted")),
        (Some(3), Some(2), 0),
        "{looked:#}"
    );
    assert!(looked["applied"] == false && count(&looked, "steps") > 5, "{looked:#}");
    alice.server = Server::start_configured(&home, &CONFIG);
    let (code, done) = command(&home, &["room", "repair", &room_id, "--apply"]);
    assert_eq!((code, &done["steps"]), (Some(0), &looked["steps"]), "{done:#}");
    let text =
        String::from_utf8(run(&home, &[&CONFIG[..], &["room", "repair", &room_id]].concat()).stdout).unwrap();
    assert!(text.contains("the room is in order"), "{text}");
    let (code, checked) = command(&home, &["fsck"]);
    assert_eq!((code, checked["damaged"].as_u64()), (Some(0), Some(0)), "{checked:#}");
    assert_told_of_repair(&home, &alice.name);

    for said in ["one", "two", "three"] {
        alice.hears(&room_id, said);
    }
    alice.say(&room_id, "all-is-well");
    bob.hears(&room_id, "all-is-well");
    let unknown = run(&home, &[&CONFIG[..], &["room", "show", "!nothing:a.example"]].concat());
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("no such room is known here"));
}
