//! Rooms that two Synapse 1.163.2 servers made together, parted from each other twice, and exported with
//! `cargo xtask peers synapse`: the events, the servers' keys, and the current state as Synapse told it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must stop")]

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/synapse").join(name)
}

fn roomlab(arguments: &[&str], version: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomlab"));
    command.args(arguments).arg(data(&format!("version-{version}.jsonl")));
    let output = command.output().unwrap();
    assert!(output.status.success(), "version {version}: {}", String::from_utf8_lossy(&output.stdout));
    output
}

fn check(version: &str) {
    roomlab(&["verify", "--keys", data("keys.jsonl").to_str().unwrap()], version);
    roomlab(&["compare"], version);
    let resolved: Value = serde_json::from_slice(&roomlab(&["resolve", "--json"], version).stdout).unwrap();
    let mut ours: Vec<[&str; 3]> = resolved["state"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| ["type", "state_key", "event_id"].map(|field| entry[field].as_str().unwrap()))
        .collect();
    ours.sort_unstable();
    let text = std::fs::read_to_string(data(&format!("version-{version}.state.json"))).unwrap();
    let theirs: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(ours).unwrap(), theirs, "version {version}");
}

#[test]
fn room_of_version_1_is_in_order_and_resolves_as_on_synapse() {
    check("1");
}

#[test]
fn room_of_version_3_is_in_order_and_resolves_as_on_synapse() {
    check("3");
}

#[test]
fn room_of_version_6_is_in_order_and_resolves_as_on_synapse() {
    check("6");
}

#[test]
fn room_of_version_10_is_in_order_and_resolves_as_on_synapse() {
    check("10");
}

#[test]
fn room_of_version_11_is_in_order_and_resolves_as_on_synapse() {
    check("11");
}

#[test]
fn room_of_version_12_is_in_order_and_resolves_as_on_synapse() {
    check("12");
}
