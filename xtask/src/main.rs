//! Tasks of the workspace. `cargo xtask --help` lists them; `cargo xtask ci` is what continuous integration runs.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod api;
mod bench;
mod ci;
mod crash;
mod demo;
mod examples;
mod fuzz;
mod laws;
mod peers;
mod process;
mod simulation;
mod spec_tests;
mod tidy;
mod wasm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of the Freehold workspace")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that must pass: format, lints, tests, docs, tidy, vectors, fuzz smoke, bench smoke, real peers
    Ci(ci::Options),
    /// Make a room at random, verify, resolve, compare and draw it; or have our server talk with a Synapse
    Demo(demo::Options),
    /// Check layers, dependency caps, sizes, names, specification links and the version of the schema
    Tidy {
        /// Lower the recorded sizes to what the tree has now, and record the tables of a new version of the schema
        #[arg(long)]
        ratchet: bool,
    },
    /// Run the specification's vectors and the comparisons with other implementations
    SpecTests,
    /// Run every example
    Examples,
    /// Build the libraries for a browser, if the target is installed
    Wasm,
    /// Print the public items of each library, one a line
    Api(api::Options),
    /// Fuzz: compare generated rooms, or run the cargo-fuzz targets
    Fuzz(fuzz::Options),
    /// Try the laws of the libraries on many inputs
    Laws(laws::Options),
    /// Run a whole federation in one thread, from many seeds or from one
    Sim(simulation::Options),
    /// Kill a writing store or the whole server, cut the power, fill the disk, and look at what is left
    Crash(crash::Options),
    /// Print the table of ours against the peers
    Bench(bench::Options),
    /// Run against real servers from the package registries
    Peers {
        #[command(subcommand)]
        peer: peers::Peer,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Ci(options) => ci::run(&options),
        Task::Demo(options) => demo::run(&options),
        Task::Tidy { ratchet: false } => tidy::run(),
        Task::Tidy { ratchet: true } => tidy::record(),
        Task::SpecTests => spec_tests::run(),
        Task::Examples => examples::run(),
        Task::Wasm => wasm::run(),
        Task::Api(options) => api::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Laws(options) => laws::run(&options),
        Task::Sim(options) => simulation::run(&options),
        Task::Crash(options) => crash::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Peers { peer } => peers::run(&peer),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
