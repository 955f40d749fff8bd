//! What is said about input that is not in order: file, line, reason, exit code.

use crate::lab::{file, keys_file, lines, room_file, roomlab, roomlab_with_input, signed_room};
use freehold_event::RoomVersion;
use freehold_testkit::{Draft, GenerateConfig, Room, RoomBuilder};
use serde_json::{Value, json};

fn small_room() -> Room {
    let config = GenerateConfig { version: Some(RoomVersion::V11), events: 10, ..GenerateConfig::default() };
    signed_room(1, config)
}

/// A room of three people in which nothing is wrong.
fn quiet_room() -> Room {
    let mut builder = RoomBuilder::signed(RoomVersion::V11, 3);
    builder.create("@alice:a.example", json!({}));
    builder.send(Draft::member("@alice:a.example", "@alice:a.example", "join"));
    builder.send(Draft::state("@alice:a.example", "m.room.topic", "", json!({ "topic": "gardening" })));
    let (last, _) =
        builder.send(Draft::message("@alice:a.example", "m.room.message", json!({ "body": "hi" })));
    builder.into_room(vec![last])
}

#[test]
fn a_file_that_is_no_room_is_refused_with_line_and_reason() {
    let create = lines(&small_room()).remove(0);
    let of_version = |version: &str| {
        json!({ "type": "m.room.create", "content": { "room_version": version } }).to_string()
    };
    let table: [(&str, Vec<String>, i32, &str); 8] = [
        ("empty", vec![], 3, "holds no events"),
        ("no-version", vec!["{\"type\":\"m.room.message\"}".to_owned()], 3, "room version"),
        ("unknown-version", vec![of_version("99")], 3, ":1: room version \"99\" is unknown"),
        (
            "unknown-header",
            vec!["{\"room_version\":\"x\"}".to_owned()],
            3,
            ":1: room version \"x\" is unknown",
        ),
        ("no-json", vec![create.clone(), "{".to_owned()], 3, ":2: not a PDU of room version 11"),
        ("no-object", vec![create.clone(), String::new(), "[]".to_owned()], 3, ":3: not a PDU"),
        ("no-pdu", vec![create.clone(), "{}".to_owned()], 3, "is missing"),
        ("text", vec![create, "hello".to_owned()], 3, "at byte 0"),
    ];
    for (name, lines, code, said) in table {
        let path = file(&format!("bad-{name}.jsonl"), &lines);
        for command in [vec!["resolve", &path], vec!["draw", &path], vec!["compare", &path]] {
            let ran = roomlab(&command);
            assert_eq!(ran.code, code, "{name}: {ran:?}");
            assert!(ran.err.contains(said), "{name}: {}", ran.err);
            assert!(ran.err.contains(&path), "{name}: {}", ran.err);
            assert_eq!(ran.out, "");
        }
    }
}

/// What Synapse keeps as rejected in room versions up to 10 (`_check_size_limits`).
#[test]
fn an_event_over_the_limit_in_bytes_changes_no_state() {
    let config = GenerateConfig { version: Some(RoomVersion::V10), events: 10, ..GenerateConfig::default() };
    let mut some = lines(&signed_room(1, config));
    let is_power_levels = |line: &&String| line.contains("\"type\":\"m.room.power_levels\"");
    let mut event: Value = serde_json::from_str(some.iter().find(is_power_levels).unwrap()).unwrap();
    event["type"] = json!("org.example");
    for (state_key, is_kept) in [("é".repeat(127), true), ("é".repeat(128), false)] {
        event["state_key"] = json!(state_key);
        some.push(event.to_string());
        let ran = roomlab(&["resolve", "--json", &file("over-byte-limit.jsonl", &some)]);
        assert_eq!((ran.out.contains(&state_key), ran.code), (is_kept, 0), "{ran:?}");
        some.pop();
    }
}

#[test]
fn every_bad_line_is_named() {
    let mut some = lines(&small_room());
    some.insert(2, "{}".to_owned());
    some.push("[1]".to_owned());
    let path = file("two-bad-lines.jsonl", &some);
    let ran = roomlab(&["resolve", &path]);
    assert_eq!(ran.err.lines().count(), 2, "{}", ran.err);
    assert!(
        ran.err.contains(&format!("{path}:3: ")) && ran.err.contains(&format!("{path}:{}: ", some.len()))
    );
    // `verify` goes on and lists them.
    let found = roomlab(&["verify", "--json", &path]);
    let bad: Vec<u64> = found.json()["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["check"] == "format and id")
        .map(|finding| finding["line"].as_u64().unwrap())
        .collect();
    assert_eq!((bad, found.code), (vec![3, some.len() as u64], 1));
}

#[test]
fn events_of_another_room_do_not_belong() {
    let mut some = lines(&small_room());
    let other =
        signed_room(2, GenerateConfig { version: Some(RoomVersion::V11), ..GenerateConfig::default() });
    some.push(lines(&other).remove(0));
    let ran = roomlab(&["resolve", &file("two-rooms.jsonl", &some)]);
    assert!(ran.err.contains("belongs to room") && ran.err.contains(&other.room_id), "{}", ran.err);
    assert_eq!(ran.code, 3);
}

#[test]
fn files_that_are_not_there_are_another_matter() {
    assert_eq!(roomlab(&["verify", "/nowhere/room.jsonl"]).code, 4);
    let path = room_file("keys-nowhere.jsonl", &quiet_room());
    assert_eq!(roomlab(&["verify", &path, "--keys", "/nowhere/keys"]).code, 4);
    assert_eq!(roomlab(&["draw", &path, "-o", "/nowhere/room.svg"]).code, 4);
    assert_eq!(roomlab(&["verify", "--no-such-option"]).code, 2);
    assert_eq!(roomlab(&["explain", "$nobody", &path]).code, 3);
    assert_eq!(roomlab(&["resolve", &path, "--at", "$nobody"]).code, 3);
}

#[test]
fn errors_are_json_when_results_are() {
    let ran = roomlab(&["--json", "verify", "/nowhere/room.jsonl"]);
    let error: Value = serde_json::from_str(&ran.err).unwrap();
    assert!(error["error"].as_str().unwrap().contains("/nowhere/room.jsonl"));
}

#[test]
fn a_changed_event_does_not_pass() {
    let room = quiet_room();
    let keys = keys_file("changed.keys", &room);
    let original = lines(&room);
    let intact = roomlab(&["verify", &file("intact.jsonl", &original), "--keys", &keys]);
    assert_eq!(intact.code, 0, "{}", intact.out);
    let table = [
        ("content", "\"body\":\"hi\"", "\"body\":\"ho\"", "content hash"),
        ("signature", "\"depth\":4", "\"depth\":5", "signatures"),
    ];
    for (name, from, to, check) in table {
        let changed: Vec<String> = original.iter().map(|line| line.replace(from, to)).collect();
        assert_ne!(changed, original, "{name}");
        let path = file(&format!("changed-{name}.jsonl"), &changed);
        let found = roomlab(&["verify", "--json", &path, "--keys", &keys]);
        assert_eq!(found.code, 1, "{name}");
        let checks: Vec<&str> = found.json()["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["check"].as_str().unwrap())
            .map(|c| {
                ["content hash", "signatures"].into_iter().find(|known| *known == c).unwrap_or("another")
            })
            .collect();
        assert!(checks.contains(&check), "{name}: {}", found.out);
    }
}

#[test]
fn a_key_that_is_not_known_is_a_warning_and_a_wrong_one_an_error() {
    let room = quiet_room();
    let path = room_file("keys.jsonl", &room);
    let other = quiet_key(9);
    let table = [
        (json!({ "elsewhere.example": { "ed25519:1": other } }), 0, "unknown"),
        (json!({ "a.example": { "ed25519:1": other } }), 1, "failed"),
    ];
    for (keys, code, count) in table {
        let keys = file("other.keys", &[keys.to_string()]);
        let found = roomlab(&["verify", "--json", &path, "--keys", &keys]);
        assert_eq!(found.code, code, "{}", found.out);
        assert_eq!(found.json()["checks"][1][count], room.events.len());
    }
}

fn quiet_key(seed: u8) -> String {
    freehold_signing::SigningKey::from_seed(&[seed; 32]).verifying_key().to_base64()
}

#[test]
fn keys_that_are_none_are_refused_with_line_and_reason() {
    let path = room_file("bad-keys.jsonl", &quiet_room());
    let document = json!({
        "server_name": "a.example", "valid_until_ts": 1, "verify_keys": { "ed25519:1": { "key": quiet_key(1) } },
        "old_verify_keys": {}, "signatures": {},
    });
    let table = [
        ("{\"a.example\": 1}".to_owned(), "neither a key document nor"),
        ("{\"a.example\": {\"ed25519:1\": \"short\"}}".to_owned(), "the key ed25519:1 of a.example"),
        ("{\"a b\": {}}".to_owned(), "is no server name"),
        ("{\"a.example\": {\"ed25519\": \"x\"}}".to_owned(), "is no key id"),
        ("nonsense".to_owned(), "not JSON"),
        (document.to_string(), "is not signed by itself"),
    ];
    for (line, said) in table {
        let keys = file("bad.keys", &["{}".to_owned(), line.clone()]);
        let ran = roomlab(&["verify", &path, "--keys", &keys]);
        assert_eq!(ran.code, 3, "{line}: {ran:?}");
        assert!(ran.err.contains(&format!("{keys}:2: ")) && ran.err.contains(said), "{line}: {}", ran.err);
    }
}

#[test]
fn standard_input_is_a_file_like_any_other() {
    let room = quiet_room();
    let text = lines(&room).join("\n");
    assert_eq!(roomlab_with_input(&["verify"], &text).code, 0);
    assert_eq!(roomlab_with_input(&["verify", "-"], &text).code, 0);
    assert!(roomlab_with_input(&["resolve", "-"], "").err.contains("standard input"));
}

/// An event of room version 1, where ids are whatever the sender says.
fn of_version_1(id: &str, prev_events: &[&str], body: &str) -> String {
    let references: Vec<Value> = prev_events.iter().map(|id| json!([id, { "sha256": "" }])).collect();
    json!({
        "event_id": id, "room_id": "!room:a.example", "sender": "@alice:a.example", "type": "m.room.message",
        "content": { "body": body }, "depth": 1, "origin_server_ts": 1, "prev_events": references,
        "auth_events": [], "hashes": { "sha256": "" }, "signatures": {},
    })
    .to_string()
}

#[test]
fn ids_that_are_made_up_can_repeat_and_run_in_circles() {
    let header = r#"{"room_version":"1"}"#.to_owned();
    let table = [
        ("repeated", of_version_1("$1:a.example", &[], "b"), ":3: $1:a.example is on line 2 already"),
        ("self", of_version_1("$2:a.example", &["$2:a.example"], "b"), ":3: $2:a.example is among its own"),
    ];
    for (name, line, said) in table {
        let first = of_version_1("$1:a.example", &[], "a");
        let path = file(&format!("v1-{name}.jsonl"), &[header.clone(), first, line]);
        let ran = roomlab(&["resolve", &path]);
        assert_eq!(ran.code, 3, "{name}");
        assert!(ran.err.contains(said), "{name}: {}", ran.err);
    }
    let circle = [
        header,
        of_version_1("$1:a.example", &["$3:a.example"], "a"),
        of_version_1("$2:a.example", &["$1:a.example"], "b"),
        of_version_1("$3:a.example", &["$2:a.example"], "c"),
    ];
    let ran = roomlab(&["verify", "--json", &file("v1-circle.jsonl", &circle)]);
    assert_eq!((ran.code, ran.json()["findings"].as_array().unwrap().len()), (1, 3));
}
