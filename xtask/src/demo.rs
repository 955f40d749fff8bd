//! A tour of roomlab on a room made at random: what a new user runs first.

use std::process::Command;

use crate::process::{Outcome, call, cargo, target_folder};

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
        "13",
        "--room-version",
        "12",
        "--keys-out",
        "keys.jsonl",
        "-o",
        "room.jsonl",
    ])?;
    roomlab(&["verify", "room.jsonl", "--keys", "keys.jsonl"])?;
    roomlab(&["resolve", "room.jsonl", "--diff"])?;
    roomlab(&["compare", "room.jsonl"])?;
    roomlab(&["draw", "room.jsonl", "-o", "room.html"])?;
    eprintln!("\nThe event graph is drawn in {}: open it in a browser.", folder.join("room.html").display());
    Ok(())
}
