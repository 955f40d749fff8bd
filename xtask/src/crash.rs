//! Crashes of the embedded engine and of the whole server, many times over.

use std::process::Command;

use clap::Args;

use crate::process::{Outcome, call, cargo, output};

/// How often what is done.
#[derive(Args)]
pub(crate) struct Options {
    /// How often a writing process is killed
    #[arg(long, default_value_t = 200)]
    kills: u64,
    /// How often the power is cut
    #[arg(long, default_value_t = 20)]
    power_cuts: u64,
    /// Kill the whole server instead, while people use it
    #[arg(long)]
    server: bool,
    /// How often the server is killed
    #[arg(long, default_value_t = 200, requires = "server")]
    times: u64,
}

/// The task `crash`.
pub(crate) fn run(options: &Options) -> Outcome {
    if options.server {
        let times = options.times.to_string();
        return crash("freehold-server", &["--times", &times]);
    }
    let (kills, cuts) = (options.kills.to_string(), options.power_cuts.to_string());
    crash(ENGINE, &["--kills", &kills])?;
    if !may_mount() {
        println!("skipped: power cuts and a full disk need root on Linux, for file systems of their own");
        return Ok(());
    }
    crash(ENGINE, &["--full-disk"])?;
    crash(ENGINE, &["--power-cuts", &cuts])
}

const ENGINE: &str = "freehold-store-fjall";

fn crash(package: &str, arguments: &[&str]) -> Outcome {
    let test = ["test", "--quiet", "--locked", "--package", package, "--test", "crash", "--"];
    call(cargo(&test).args(arguments))
}

fn may_mount() -> bool {
    cfg!(target_os = "linux") && output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}
