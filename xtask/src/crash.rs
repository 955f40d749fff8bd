//! Crashes of the embedded engine, many times over.

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
}

/// The task `crash`.
pub(crate) fn run(options: &Options) -> Outcome {
    let (kills, cuts) = (options.kills.to_string(), options.power_cuts.to_string());
    crash(&["--kills", &kills])?;
    if !may_mount() {
        println!("skipped: power cuts and a full disk need root on Linux, for file systems of their own");
        return Ok(());
    }
    crash(&["--full-disk"])?;
    crash(&["--power-cuts", &cuts])
}

fn crash(arguments: &[&str]) -> Outcome {
    let test = ["test", "--quiet", "--locked", "--package", "freehold-store-fjall", "--test", "crash", "--"];
    call(cargo(&test).args(arguments))
}

fn may_mount() -> bool {
    cfg!(target_os = "linux") && output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}
