//! One table: ours against the peers, measured in turn in one run, medians and ratios, with the target of each row.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark whose input is wrong must stop"
)]

mod auth;
mod canonical;
mod inbound;
mod measure;
mod pdus;
mod resolve;
mod ruma_event;
mod state_map;
mod table;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use measure::Effort;
use table::{Bench, Table};

#[derive(Parser)]
struct Arguments {
    /// A few iterations of each row, to see that they run; the verdicts are not meant then
    #[arg(long)]
    smoke: bool,
    /// Only rows whose name contains this text
    #[arg(long, default_value = "")]
    only: String,
    /// Where the figures go as JSON
    #[arg(long)]
    json: PathBuf,
}

const GROUPS: &[(&str, fn(&mut Table))] = &[
    ("canonical JSON", canonical::rows),
    ("inbound check", inbound::rows),
    ("authorisation", auth::rows),
    ("state resolution", resolve::rows),
    ("state map", state_map::rows),
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let effort = if arguments.smoke { Effort::SMOKE } else { Effort::FULL };
    let mut table = Table::new(Bench { effort, only: arguments.only });
    for (name, rows) in GROUPS {
        table.begin_group(name);
        rows(&mut table);
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
