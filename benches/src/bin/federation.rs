//! Prints one table of what happens between servers: ours against Synapse and against what the machine can do at all,
//! measured in one run.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use freehold_benches::federation::{Beside, Run, measure, new_folder};
use freehold_benches::rows::{Outcome, Table};

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
struct Arguments {
    /// A little of everything, to see that it runs; the verdicts are not meant then
    #[arg(long)]
    smoke: bool,
    /// Only areas whose name contains this text
    #[arg(long, default_value = "")]
    only: String,
    /// Where stores and servers keep things; emptied before and after
    #[arg(long)]
    folder: PathBuf,
    /// Where the figures go as JSON
    #[arg(long)]
    json: PathBuf,
    /// Our server's program
    #[arg(long, requires_all = ["peers", "python"])]
    freehold: Option<PathBuf>,
    /// The program that drives real servers
    #[arg(long)]
    peers: Option<PathBuf>,
    /// A Python in whose environment Synapse is installed
    #[arg(long)]
    python: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Outcome<()> {
    let Arguments { smoke, only, folder, json, freehold, peers, python } = arguments;
    new_folder(&folder)?;
    let beside = freehold.zip(peers).zip(python);
    let beside = beside.map(|((freehold, peers), python)| Beside { freehold, peers, python });
    let run = Run { smoke, only, folder, beside };
    let mut table = Table::new(vec!["peer or limit"], smoke);
    measure(&run, &mut table);
    println!("{}\n{}", table.text(), table.summary());
    let figures = format!("{:#}\n", serde_json::Value::Array(table.rows().to_vec()));
    std::fs::write(&json, figures).map_err(|error| format!("{}: {error}", json.display()))?;
    match table.count("FAILED") {
        0 => {
            // A store that is being closed may still write; the next run begins with an empty folder.
            let _ = std::fs::remove_dir_all(&run.folder);
            Ok(())
        }
        failed => Err(format!("{failed} rows failed; see {}", run.folder.display())),
    }
}
