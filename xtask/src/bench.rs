//! Benchmarks: one table of ours against the peers, measured in one run.

use crate::process::{Outcome, call, cargo, target_folder};

/// Which table, and how much time it may take.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The table to print
    #[arg(value_enum)]
    table: Table,
    /// A few iterations of each row, to see that they run
    #[arg(long)]
    smoke: bool,
    /// Only rows whose name contains this text
    #[arg(long)]
    only: Option<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Table {
    /// The protocol libraries against ruma and raw ed25519-dalek
    Protocol,
}

/// The task `bench`.
pub(crate) fn run(options: &Options) -> Outcome {
    let Table::Protocol = options.table;
    let mut arguments =
        vec!["run", "--release", "--quiet", "--locked", "--package", "freehold-benches", "--"];
    let json = target_folder().join("bench-protocol.json").display().to_string();
    arguments.extend(["--json", &json]);
    if options.smoke {
        arguments.push("--smoke");
    }
    if let Some(only) = &options.only {
        arguments.extend(["--only", only]);
    }
    call(&mut cargo(&arguments))
}

/// What continuous integration runs: every row once.
pub(crate) fn smoke() -> Outcome {
    run(&Options { table: Table::Protocol, smoke: true, only: None })
}
