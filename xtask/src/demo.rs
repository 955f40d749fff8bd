//! A tour of roomlab on a room made at random: what a new user runs first.

use std::process::Command;

use crate::process::{Outcome, call, cargo, shown, target_folder};

/// How roomlab ends when it did its work and found what it looks for.
const FINDINGS: i32 = 1;

/// The task `demo`.
pub(crate) fn run() -> Outcome {
    call(&mut cargo(&["build", "--release", "--quiet", "--locked", "--package", "freehold-roomlab"]))?;
    let folder = target_folder().join("demo");
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot create `{}`: {error}", folder.display()))?;
    let roomlab = |arguments: &[&str]| {
        call(Command::new(target_folder().join("release/roomlab")).args(arguments).current_dir(&folder))
    };
    roomlab(&[
        "generate",
        "--seed",
        "1",
        "--room-version",
        "12",
        "--keys-out",
        "keys.jsonl",
        "-o",
        "room.jsonl",
    ])?;
    verify(Command::new(target_folder().join("release/roomlab")).current_dir(&folder))?;
    roomlab(&["resolve", "room.jsonl", "--diff"])?;
    roomlab(&["compare", "room.jsonl"])?;
    roomlab(&["draw", "room.jsonl", "-o", "room.html"])?;
    eprintln!("\nThe event graph is drawn in {}: open it in a browser.", folder.join("room.html").display());
    Ok(())
}

/// Verifies the room, in which some events break the rules on purpose: finding them is no failure.
fn verify(roomlab: &mut Command) -> Outcome {
    let command = roomlab.args(["verify", "room.jsonl", "--keys", "keys.jsonl"]);
    let shown = shown(command);
    eprintln!("$ {shown}");
    let status = command.status().map_err(|error| format!("cannot start `{shown}`: {error}"))?;
    if status.success() || status.code() == Some(FINDINGS) {
        eprintln!(
            "What it found is what the users of this room did against the rules; such events are rejected."
        );
        Ok(())
    } else {
        Err(format!("`{shown}` ended with {status}"))
    }
}
