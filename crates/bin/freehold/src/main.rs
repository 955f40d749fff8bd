//! `freehold`: the homeserver for many domains in one process, and its operator's commands.
//!
//! `main.rs` picks the command; `serve.rs` runs the server, with the parts that `parts.rs` puts together; everything else is
//! one file per concern.

mod ask;
mod between;
mod bootstrap;
mod cli;
mod clock;
mod config;
mod data;
mod descriptors;
mod files;
mod gate;
mod listen;
mod log;
mod memory;
mod metrics;
mod neighbours;
mod objects;
mod parts;
mod people;
mod proofs;
mod published;
mod reach;
mod restore;
mod routes;
mod serve;
mod stop;
mod sweeps;
mod tenants;
mod upkeep;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Failure, Topic};
use crate::config::Config;
use crate::people::UserTopic;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            cli::print_failure(&failure, json);
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { config, data, json, url, token, topic } = cli;
    if let Topic::Config(topic) = topic {
        return cli::config(topic, config.as_deref(), json);
    }
    let mut settings = Config::load(config.as_deref())?;
    if let Some(data) = data {
        settings.data = data;
    }
    match topic {
        Topic::Serve(arguments) => serve::run(settings, arguments),
        Topic::Restore { directory } => restore::run(&settings, &directory, json),
        Topic::User(UserTopic::Import(import)) => {
            cli::print_answer(&people::import(&settings, &import, ask::Remote { url, token })?, json);
            Ok(())
        }
        other => {
            if matches!(other, Topic::Fsck { deep: true, .. }) {
                // It takes long on a large store: here it is said how far it is, unless a server does it, which has a log of its own.
                log::start(&settings.log);
            }
            let command = other.command()?;
            let answer = ask::ask(&settings, command, ask::Remote { url, token })?;
            cli::print_answer(&answer, json);
            cli::damage(&answer)
        }
    }
}
