//! Runs the binary, on rooms made by the test kit.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use freehold_signing::SigningKey;
use freehold_testkit::{GenerateConfig, Room, Sealing, generate};
use serde_json::{Value, json};

/// What a run of the binary came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs the binary with something on standard input.
pub(crate) fn roomlab_with_input(args: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_roomlab"))
        .args(args)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the binary.
pub(crate) fn roomlab(args: &[&str]) -> Ran {
    roomlab_with_input(args, "")
}

/// A room with hashes and signatures, from a seed.
pub(crate) fn signed_room(seed: u64, config: GenerateConfig) -> Room {
    generate(seed, &GenerateConfig { sealing: Sealing::Signed, ..config })
}

/// The lines of a room's file.
pub(crate) fn lines(room: &Room) -> Vec<String> {
    room.events_in_order().map(|event| event.pdu.clone().unwrap()).collect()
}

/// Writes a file of its own for a test and gives its path.
pub(crate) fn file(name: &str, lines: &[String]) -> String {
    let path: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    path.to_str().unwrap().to_owned()
}

/// The file of a room.
pub(crate) fn room_file(name: &str, room: &Room) -> String {
    file(name, &lines(room))
}

/// The file of the public keys of a room's servers.
pub(crate) fn keys_file(name: &str, room: &Room) -> String {
    let keys = room.keys.iter().map(|(server, seed)| {
        (server.clone(), json!({ "ed25519:1": SigningKey::from_seed(seed).verifying_key().to_base64() }))
    });
    file(name, &[Value::Object(keys.collect()).to_string()])
}

/// One of the rooms that are kept beside the tests.
pub(crate) fn data(name: &str) -> String {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}
