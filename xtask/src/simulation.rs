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
    /// After how many seconds a seed that is not through has failed
    #[arg(long, default_value_t = LIMIT_S)]
    limit_s: u64,
}

/// After how many seconds a seed is given up: most take less than one, also on a busy machine.
const LIMIT_S: u64 = 120;

/// The package of what is run here.
const PROGRAMS: &str = "freehold-simulation";

/// The task `sim`.
pub(crate) fn run(options: &Options) -> Outcome {
    let mut simulate = program(PROGRAMS, "simulate");
    match options.seed {
        Some(seed) => simulate.args(["--seed", &seed.to_string()]),
        None => simulate.args([
            format!("--seeds={}", options.seeds),
            format!("--first={}", options.first),
            format!("--limit-s={}", options.limit_s),
        ]),
    };
    call(&mut simulate)
}

/// How many seeds continuous integration runs.
const SEEDS_OF_CI: u64 = 200;

/// What continuous integration runs.
pub(crate) fn smoke() -> Outcome {
    run(&Options { seeds: SEEDS_OF_CI, first: 1, seed: None, limit_s: LIMIT_S })
}
