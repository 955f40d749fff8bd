//! Fuzzing: bounded on stable for continuous integration, unbounded with cargo-fuzz.

use crate::process::{Outcome, call, program, workspace_root};

/// What to fuzz, and for how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Compare this many generated rooms: ours, the naive twin, ruma-state-res
    #[arg(long)]
    rooms: Option<u64>,
    /// The seed of the first room
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run this cargo-fuzz target (needs a nightly tool chain and cargo-fuzz)
    #[arg(long, conflicts_with = "rooms")]
    target: Option<String>,
    /// Seconds for each cargo-fuzz target
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// The package of what is run here.
const PROGRAMS: &str = "freehold-spec-tests";

const TARGETS: &[&str] = &[
    "canonical_json",
    "pdu",
    "x_matrix",
    "key_document",
    "key_file",
    "state_map_operations",
    "resolve_versus_twin",
];

/// The task `fuzz`: rooms, one target, or every target in turn.
pub(crate) fn run(options: &Options) -> Outcome {
    if let Some(rooms) = options.rooms {
        return compare_rooms(rooms, options.seed);
    }
    let chosen: Vec<&str> = options.target.as_deref().map_or_else(|| TARGETS.to_vec(), |one| vec![one]);
    chosen.into_iter().try_for_each(|target| cargo_fuzz(target, options.seconds))
}

/// What continuous integration runs: every harness on its seeds and on bounded mutations of them.
pub(crate) fn smoke() -> Outcome {
    call(&mut program(PROGRAMS, "fuzz-smoke"))
}

fn compare_rooms(rooms: u64, seed: u64) -> Outcome {
    let (rooms, seed) = (rooms.to_string(), seed.to_string());
    call(program(PROGRAMS, "compare-rooms").args(["--rooms", &rooms, "--seed", &seed]))
}

fn cargo_fuzz(target: &str, seconds: u64) -> Outcome {
    let time = format!("-max_total_time={seconds}");
    let seeds = workspace_root().join("fuzz/seeds").join(target);
    let corpus = workspace_root().join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&corpus)
        .map_err(|error| format!("cannot create `{}`: {error}", corpus.display()))?;
    let (corpus, seeds) = (corpus.display().to_string(), seeds.display().to_string());
    // The cargo of the environment may be a fixed one; `+nightly` is for rustup's proxy.
    let mut command = std::process::Command::new("cargo");
    command.args(["+nightly", "fuzz", "run", target, &corpus, &seeds, "--", &time, "-timeout=20"]);
    call(command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").current_dir(workspace_root()))
}
