//! The simulation: a whole federation in one thread from one seed.

use crate::process::{Outcome, call, program};

/// Which seeds are run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many seeds are run
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Run this one seed, and print all that happens
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
}

/// The package of what is run here.
const PROGRAMS: &str = "freehold-simulation";

/// The task `sim`.
pub(crate) fn run(options: &Options) -> Outcome {
    let mut simulate = program(PROGRAMS, "simulate");
    match options.seed {
        Some(seed) => simulate.args(["--seed", &seed.to_string()]),
        None => simulate.args(["--seeds", &options.seeds.to_string(), "--first", &options.first.to_string()]),
    };
    call(&mut simulate)
}

/// What continuous integration runs.
pub(crate) fn smoke() -> Outcome {
    run(&Options { seeds: 200, first: 1, seed: None })
}
