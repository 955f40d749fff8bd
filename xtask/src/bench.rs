//! Benchmarks: one table of ours against the peers, measured in one run.

use crate::process::{Outcome, call, output, program, target_folder};

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

/// The package of what is run here.
const PROGRAMS: &str = "freehold-benches";

/// The task `bench`.
pub(crate) fn run(options: &Options) -> Outcome {
    let Table::Protocol = options.table;
    let smoke: &[&str] = if options.smoke { &["--smoke"] } else { &[] };
    let memory = target_folder().join("bench-memory.txt");
    let printed = output(program(PROGRAMS, "memory").args(smoke))?;
    std::fs::write(&memory, printed)
        .map_err(|error| format!("cannot write `{}`: {error}", memory.display()))?;
    let mut protocol = program(PROGRAMS, "protocol");
    protocol.args(smoke).arg("--memory").arg(memory);
    protocol.arg("--json").arg(target_folder().join("bench-protocol.json"));
    if let Some(only) = &options.only {
        protocol.args(["--only", only]);
    }
    call(&mut protocol)
}

/// What continuous integration runs: every row once.
pub(crate) fn smoke() -> Outcome {
    run(&Options { table: Table::Protocol, smoke: true, only: None })
}
