//! The laws of the libraries, on more inputs than continuous integration has time for.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::process::{Outcome, call, cargo};

/// On which inputs the laws are tried.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many inputs each law is tried on
    #[arg(long, default_value_t = 2_000)]
    cases: u32,
    /// The seed of the inputs; another one each time if none is given
    #[arg(long)]
    seed: Option<u64>,
    /// Only the laws of these packages
    #[arg(long)]
    package: Vec<String>,
}

/// What proptest takes the seed of its inputs from.
pub(crate) const SEED_VARIABLE: &str = "PROPTEST_RNG_SEED";

/// The seed in continuous integration: what passes there once passes again, and what a change breaks is the change's.
pub(crate) const SEED_OF_CI: &str = "1";

/// The task `laws`.
pub(crate) fn run(options: &Options) -> Outcome {
    let seed = options.seed.unwrap_or_else(seed_of_now);
    let mut command = cargo(&["test", "--locked", "--no-fail-fast"]);
    match options.package.as_slice() {
        [] => command.arg("--workspace"),
        packages => command.args(packages.iter().flat_map(|package| ["--package", package])),
    };
    command.args(["--lib", "--tests"]);
    command.env("PROPTEST_CASES", options.cases.to_string()).env(SEED_VARIABLE, seed.to_string());
    call(&mut command)
        .map_err(|failure| format!("{failure}; again with `--cases {} --seed {seed}`", options.cases))
}

fn seed_of_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
