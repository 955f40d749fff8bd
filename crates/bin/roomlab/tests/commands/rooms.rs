//! The commands on rooms that are in order, against what the test kit knows of them.

use std::collections::BTreeMap;

use crate::lab::{data, file, keys_file, lines, room_file, roomlab, roomlab_with_input, signed_room};
use freehold_event::RoomVersion;
use freehold_testkit::twin::{self, Differences};
use freehold_testkit::{GenerateConfig, Room};
use serde_json::Value;

fn room_of(version: &'static RoomVersion, seed: u64) -> Room {
    signed_room(seed, GenerateConfig { version: Some(version), events: 30, ..GenerateConfig::default() })
}

/// The resolved state that a command printed.
fn state(printed: &Value) -> BTreeMap<(String, String), String> {
    let rows = printed["state"].as_array().unwrap().iter().filter(|row| !row["event_id"].is_null());
    let text = |row: &Value, member: &str| row[member].as_str().unwrap().to_owned();
    rows.map(|row| ((text(row, "type"), text(row, "state_key")), text(row, "event_id"))).collect()
}

#[test]
fn every_version_verifies_with_exactly_the_rejections_of_the_test_kit() {
    for version in RoomVersion::ALL {
        let room = room_of(version, 11);
        let name = format!("verify-{version}");
        let ran = roomlab(&[
            "verify",
            "--json",
            &room_file(&format!("{name}.jsonl"), &room),
            "--keys",
            &keys_file(&format!("{name}.keys"), &room),
        ]);
        let rejected: Vec<&str> = room
            .events_in_order()
            .filter(|event| event.rejected)
            .map(|event| event.event_id.as_str())
            .collect();
        let found = ran.json();
        let mut denied: Vec<&str> = found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["severity"] == "error")
            .map(|finding| finding["event_id"].as_str().unwrap())
            .collect();
        denied.sort_by_key(|id| room.order.iter().position(|event| event == id));
        assert_eq!(denied, rejected, "{version}: {}", ran.out);
        assert_eq!(ran.code, i32::from(!rejected.is_empty()), "{version}");
        let signatures =
            found["checks"].as_array().unwrap().iter().find(|check| check["check"] == "signatures").unwrap();
        assert_eq!(signatures["passed"], room.events.len(), "{version}");
    }
}

#[test]
fn the_state_is_the_one_the_naive_twin_resolves() {
    for version in RoomVersion::ALL {
        let room = room_of(version, 12);
        let path = room_file(&format!("resolve-{version}.jsonl"), &room);
        let at = room.fork_heads.join(",");
        let ran = roomlab(&["resolve", "--json", &path, "--at", &at]);
        let differences = Differences::of(version.id()).unwrap();
        let expected = twin::resolve(&differences, &room.forks, &room.events).state;
        assert_eq!(state(&ran.json()), expected, "{version}: {}", ran.err);
        assert_eq!(ran.code, 0);
    }
}

#[test]
fn another_algorithm_can_be_asked_for() {
    let room = room_of(RoomVersion::V11, 13);
    let path = room_file("algorithm.jsonl", &room);
    for algorithm in ["v1", "v2", "v2.1"] {
        let ran = roomlab(&["resolve", "--json", &path, "--algorithm", algorithm]);
        assert_eq!(ran.json()["algorithm"], algorithm);
    }
    assert_eq!(roomlab(&["resolve", &path]).out.lines().next().unwrap().matches("algorithm v2,").count(), 1);
}

#[test]
fn a_diff_shows_the_keys_in_conflict_only() {
    let room = room_of(RoomVersion::V12, 14);
    let path = room_file("diff.jsonl", &room);
    let at = room.fork_heads.join(",");
    let ran = roomlab(&["resolve", "--json", "--diff", &path, "--at", &at]).json();
    let rows = ran["state"].as_array().unwrap();
    assert_eq!(ran["conflicted"], rows.len());
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row["forks"].as_array().unwrap().len() == room.fork_heads.len()));
}

#[test]
fn explain_agrees_with_resolve_and_names_rules() {
    let room = room_of(RoomVersion::V11, 15);
    let path = room_file("explain.jsonl", &room);
    let resolved = state(&roomlab(&["resolve", "--json", &path]).json());
    for event in room.events_in_order() {
        let ran = roomlab(&["explain", "--json", &event.event_id, &path]);
        let story = ran.json();
        let is_in_state =
            event.state_map_key().is_some_and(|key| resolved.get(&key) == Some(&event.event_id));
        assert_eq!(story["in_final_state"], is_in_state, "{}", ran.out);
        let receipt = story["story"][0]["headline"].as_str().unwrap();
        assert_eq!(receipt.contains("rejected"), event.rejected, "{receipt}");
        if event.rejected {
            assert!(story["story"][0]["details"][0].as_str().unwrap().contains("rule "), "{}", ran.out);
        }
    }
}

#[test]
fn an_event_can_be_named_by_the_beginning_of_its_id() {
    let room = room_of(RoomVersion::V10, 16);
    let path = room_file("prefix.jsonl", &room);
    let prefix = &room.create_event_id[..12];
    let ran = roomlab(&["explain", "--json", prefix, &path]);
    assert_eq!(ran.json()["event_id"], room.create_event_id);
    assert_eq!(roomlab(&["explain", "$", &path]).code, 3);
}

#[test]
fn implementations_agree_on_generated_rooms() {
    let paths: Vec<String> = [RoomVersion::V1, RoomVersion::V6, RoomVersion::V12]
        .into_iter()
        .map(|version| room_file(&format!("compare-{version}.jsonl"), &room_of(version, 17)))
        .collect();
    let mut args = vec!["compare", "--json"];
    args.extend(paths.iter().map(String::as_str));
    let ran = roomlab(&args);
    assert_eq!(ran.code, 0, "{}", ran.out);
    let rooms = ran.json();
    assert_eq!(rooms.as_array().unwrap().len(), 3);
    assert!(rooms[2]["resolutions"].as_u64().unwrap() > 0);
    assert!(rooms[0]["without_ruma"].is_string());
    assert!(rooms[2]["without_ruma"].is_null());
}

/// ruma takes a room without join rules to be closed in another way than the specification's default says.
#[test]
fn a_disagreement_fails_and_is_saved_as_a_room() {
    let path = data("room_without_join_rules.jsonl");
    let ran = roomlab(&["compare", "--json", &path, "--save", "saved"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let found = ran.json();
    assert_eq!(found[0]["disagreements"].as_array().unwrap().len(), 1);
    assert_eq!(found[0]["known_differences_of_ruma"].as_array().unwrap().len(), 1);
    let saved = found[0]["saved"].as_str().unwrap();
    let again = roomlab(&["compare", "--json", saved, "--save", "saved-again"]).json();
    assert_eq!(again[0]["disagreements"], found[0]["disagreements"]);
    assert_eq!(again[0]["events"], 5);
}

#[test]
fn a_disagreement_is_minimised_as_far_as_it_goes() {
    let path = data("room_without_join_rules.jsonl");
    let ran = roomlab(&["minimise", &path, "--still", "disagreement"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    // One line is the header.
    assert_eq!(ran.out.lines().count(), 6);
}

#[test]
fn what_minimise_leaves_is_a_room_that_still_shows_it() {
    let room = room_of(RoomVersion::V11, 18);
    let (path, keys) = (room_file("minimise.jsonl", &room), keys_file("minimise.keys", &room));
    let denied: Vec<_> = room.events_in_order().filter(|event| event.rejected).collect();
    assert!(!denied.is_empty());
    let story = roomlab(&["verify", "--json", &path]).json();
    let message = story["findings"][0]["message"].as_str().unwrap();
    let rule = message.split_whitespace().nth(1).unwrap();
    let small = file("minimised.jsonl", &[]);
    let ran = roomlab(&["minimise", &path, "--still", &format!("denied={rule}"), "-o", &small]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let verified = roomlab(&["verify", "--json", &small, "--keys", &keys]).json();
    assert!(verified["events"].as_u64().unwrap() < room.events.len() as u64);
    let checks = verified["checks"].as_array().unwrap();
    let failed = |name: &str| {
        let check = checks.iter().find(|check| check["check"] == name).unwrap();
        check["failed"].as_u64().unwrap() + check["unknown"].as_u64().unwrap()
    };
    // Signatures hold, and nothing that is referred to is missing.
    assert_eq!((failed("signatures"), failed("references"), failed("content hash")), (0, 0, 0));
    assert!(verified["findings"].to_string().contains(&format!("rule {rule} ")));

    let relinked = file("relinked.jsonl", &[]);
    let args = ["minimise", &path, "--still", &format!("denied={rule}"), "--relink", "-o", &relinked];
    assert_eq!(roomlab(&args).code, 0);
    let after = roomlab(&["verify", "--json", &relinked]).json();
    assert!(after["events"].as_u64() <= verified["events"].as_u64());
    assert!(after["findings"].to_string().contains(&format!("rule {rule} ")));
}

#[test]
fn minimise_keeps_the_event_that_wins() {
    for version in [RoomVersion::V2, RoomVersion::V12] {
        let room = room_of(version, 19);
        let path = room_file(&format!("wins-{version}.jsonl"), &room);
        let resolved = state(&roomlab(&["resolve", "--json", &path]).json());
        let winner = resolved.values().find(|id| **id != room.create_event_id).unwrap();
        let still = format!("wins={winner}");
        let small = file(&format!("wins-{version}-small.jsonl"), &[]);
        let ran = roomlab(&["minimise", "--json", &path, "--still", &still, "-o", &small]);
        assert!(ran.json()["after"].as_u64() < ran.json()["before"].as_u64(), "{}", ran.err);
        assert_eq!(roomlab(&["explain", "--json", winner, &small]).json()["in_final_state"], true);
        let relinked = roomlab(&["minimise", &path, "--still", &still, "--relink"]);
        assert_eq!(relinked.code, 0, "{version}: {}", relinked.err);
        assert!(relinked.out.lines().count() <= ran.json()["after"].as_u64().unwrap() as usize + 1);
    }
}

#[test]
fn minimise_refuses_what_the_room_does_not_show() {
    let room = room_of(RoomVersion::V11, 20);
    let path = room_file("shows-not.jsonl", &room);
    let ran = roomlab(&["minimise", &path, "--still", "denied=1.1"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert!(ran.err.contains("does not show it"), "{}", ran.err);
}

#[test]
fn generate_is_repeatable_and_its_rooms_verify() {
    let keys = file("generated.keys", &[]);
    let args = ["generate", "--seed", "5", "--room-version", "12", "--events", "30", "--keys-out", &keys];
    let made = roomlab(&args);
    assert_eq!(made.code, 0);
    assert_eq!(made.out, roomlab(&args).out);
    assert!(made.err.contains("seed 5"), "{}", made.err);
    let verified = roomlab_with_input(&["verify", "--json", "--keys", &keys], &made.out).json();
    assert!(verified["events"].as_u64().unwrap() >= 30);
    let signatures = &verified["checks"].as_array().unwrap()[1];
    assert_eq!((signatures["check"].as_str(), signatures["failed"].as_u64()), (Some("signatures"), Some(0)));
}

#[test]
fn generate_knows_its_recipes() {
    let made = roomlab(&["generate", "--attack", "ban-race,power-struggle", "--json", "-o", "attack.jsonl"]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.json()["events"].as_u64().unwrap() >= 60);
    let refused = roomlab(&["generate", "--attack", "tea"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("power-struggle"), "{}", refused.err);
}

#[test]
fn the_order_of_lines_and_repeated_lines_make_no_difference() {
    let room = room_of(RoomVersion::V11, 21);
    let path = room_file("ordered.jsonl", &room);
    let mut shuffled: Vec<String> = lines(&room).into_iter().rev().collect();
    shuffled.push(shuffled[3].clone());
    let shuffled = file("shuffled.jsonl", &shuffled);
    let resolved = |path: &str| state(&roomlab(&["resolve", "--json", path]).json());
    assert_eq!(resolved(&path), resolved(&shuffled));
}

#[test]
fn a_part_of_a_room_is_checked_as_far_as_that_goes() {
    let room = room_of(RoomVersion::V11, 22);
    // Without the fourth event, and without the create event but with a header.
    for (name, left_out, header) in [("middle", 3, None), ("create", 0, Some(r#"{"room_version":"11"}"#))] {
        let mut some = lines(&room);
        some.remove(left_out);
        some.splice(0..0, header.map(str::to_owned));
        let path = file(&format!("part-{name}.jsonl"), &some);
        let found = roomlab(&["verify", "--json", &path]).json();
        let missing = &room.order[left_out];
        let warned = found["findings"].as_array().unwrap().iter().any(|finding| {
            finding["check"] == "references" && finding["message"].as_str().unwrap().contains(missing)
        });
        assert!(warned, "{found}");
        let ran = roomlab(&["resolve", &path]);
        assert_eq!(ran.code, 3, "{}", ran.out);
        assert!(ran.err.contains(missing), "{}", ran.err);
        assert_eq!(roomlab(&["draw", &path, "-o", "part.svg"]).code, 0);
    }
}
