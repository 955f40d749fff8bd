//! What a new user runs first: a tour of roomlab on a room made at random, and a domain of ours that talks with a Synapse.

use std::process::{Command, Stdio};

use crate::peers;
use crate::process::{Outcome, call, cargo, shown, target_folder};

/// What is shown.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Start our server and a Synapse, and have somebody on each talk with the other
    #[arg(long)]
    synapse: bool,
    /// With --synapse: let both run until Enter is pressed
    #[arg(long, requires = "synapse")]
    stay: bool,
}

/// How roomlab ends when it did its work and found what it looks for.
const FINDINGS: i32 = 1;

/// The task `demo`.
pub(crate) fn run(options: &Options) -> Outcome {
    match options {
        Options { synapse: true, stay: true } => walk(&["--stay"]),
        Options { synapse: true, stay: false } => walk(&[]),
        Options { synapse: false, .. } => bench(),
    }
}

/// Our server and a Synapse, as the README shows.
pub(crate) fn walk(more: &[&str]) -> Outcome {
    peers::availability()?;
    call(&mut cargo(&["build", "--release", "--locked", "--package", "freehold-server"]))?;
    let mut command = peers::peers("demo/synapse", &[]);
    command.arg("walk").arg("--freehold").arg(target_folder().join("release/freehold")).args(more);
    call(command.stdin(Stdio::inherit()))
}

fn bench() -> Outcome {
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
