//! Prints one table: ours against the peers, measured in turn in one run, medians and ratios, with the target of each row.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use freehold_benches::{Bench, Effort, PROTOCOL, Table};

#[derive(Parser)]
struct Arguments {
    /// A few iterations of each row, to see that they run; the verdicts are not meant then
    #[arg(long)]
    smoke: bool,
    /// Only rows whose name, or the name of whose group, contains this text
    #[arg(long, default_value = "")]
    only: String,
    /// What the program `memory` printed
    #[arg(long)]
    memory: Option<PathBuf>,
    /// Where the figures go as JSON
    #[arg(long)]
    json: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let effort = if arguments.smoke { Effort::SMOKE } else { Effort::FULL };
    let mut table = Table::new(Bench { effort, only: arguments.only });
    for (name, rows) in PROTOCOL {
        table.begin_group(name);
        rows(&mut table);
    }
    if let Some(file) = arguments.memory {
        table.begin_group("memory");
        table.add_printed(&std::fs::read_to_string(file).unwrap_or_default());
    }
    println!("\n{}", table.summary());
    match std::fs::write(&arguments.json, table.to_json()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cannot write {}: {error}", arguments.json.display());
            ExitCode::FAILURE
        }
    }
}
