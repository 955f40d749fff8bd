//! The researcher's bench for Matrix rooms.
//!
//! One file for each command; what they share is in `room` (files and the event graph), `replay`
//! (the verdict on each event and the states) and `output`.

mod cli;
mod compare;
mod draw;
mod explain;
mod failure;
mod generate;
mod graph;
mod keys;
mod manual;
mod minimise;
mod output;
mod progress;
mod replay;
mod resolve;
mod resolver;
mod room;
mod standing;
mod states;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::failure::{Failure, chain};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure, cli.json);
            failure.code()
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode, Failure> {
    match &cli.command {
        Command::Generate(args) => output::print_beside(&generate::run(args)?, cli.json, &args.output),
        Command::Verify(args) => output::print(&verify::verify(args)?, cli.json),
        Command::Resolve(args) => output::print(&resolve::resolve(args)?, cli.json),
        Command::Explain(args) => output::print(&explain::explain(args)?, cli.json),
        Command::Compare(args) => output::print(&compare::compare(args)?, cli.json),
        Command::Minimise(args) => output::print_beside(&minimise::run(args)?, cli.json, &args.output),
        Command::Draw(args) => output::print_beside(&draw::draw(args)?, cli.json, &args.output),
        Command::Completions { shell } => manual::completions(*shell),
        Command::Man { dir } => manual::man(dir.as_deref()),
    }
}

/// Says on standard error why it did not work.
fn complain(failure: &Failure, json: bool) {
    let said = chain(failure);
    let mut stderr = std::io::stderr().lock();
    // When standard error is gone there is nobody to tell.
    let _ = if json {
        writeln!(stderr, "{}", serde_json::json!({ "error": said }))
    } else {
        writeln!(stderr, "roomlab: {said}")
    };
}
