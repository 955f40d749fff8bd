//! Real servers and clients from the package registries, run on loopback.

pub(crate) mod clients;
mod registry;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::{Outcome, call, cargo, is_present, program, target_folder};
pub(crate) use registry::Unavailable;

/// A peer to run against.
#[derive(clap::Subcommand)]
pub(crate) enum Peer {
    /// Two Synapse servers make rooms with real forks; every event is checked and every state compared
    Synapse(SynapseOptions),
    /// matrix-js-sdk and matrix-nio use our server, as people of two tenants, also over a crash
    Clients,
    /// Our server and a Synapse share rooms, lose each other, and agree again
    Federation(FederationOptions),
}

/// What the rooms are and where they go.
#[derive(clap::Args, Default)]
pub(crate) struct SynapseOptions {
    /// Room versions, comma separated (default: 1 to 12)
    #[arg(long, value_delimiter = ',')]
    versions: Vec<String>,
}

/// What our server and a Synapse do together.
#[derive(clap::Args)]
pub(crate) struct FederationOptions {
    /// Room versions, comma separated (default: 6 to 12)
    #[arg(long, value_delimiter = ',')]
    versions: Vec<String>,
    /// How many events a server that comes late pages through
    #[arg(long, default_value_t = 1000)]
    history: usize,
    /// After how many seconds no further step begins
    #[arg(long, default_value_t = 1800)]
    seconds: u64,
    /// Make rooms of each version in one direction only, in turn
    #[arg(long)]
    in_turn: bool,
}

impl FederationOptions {
    /// What is looked at with every change, in a few minutes: everything, but forks of each version in one direction only.
    pub(crate) fn smoke() -> Self {
        FederationOptions { versions: Vec::new(), history: 1000, seconds: 900, in_turn: true }
    }
}

const SYNAPSE: &str = "matrix-synapse==1.163.2";

/// Runs a peer, or says what is missing.
pub(crate) fn run(peer: &Peer) -> Outcome {
    match peer {
        Peer::Synapse(options) => {
            availability()?;
            synapse(options)
        }
        Peer::Federation(options) => {
            availability()?;
            federation(options).and_then(|left_out| left_out.map_or(Ok(()), Err))
        }
        Peer::Clients => {
            clients::availability()?;
            clients::run()
        }
    }
}

/// Whether a virtual environment can be made and filled; otherwise the reason.
pub(crate) fn availability() -> Result<(), Unavailable> {
    if !is_present("python3") {
        return Err(Unavailable::Here("python3 is not installed".into()));
    }
    install_python_packages(&target_folder().join("peers/synapse"), &[SYNAPSE])
}

/// Makes a virtual environment, if there is none, and installs packages into it.
pub(crate) fn install_python_packages(environment: &Path, packages: &[&str]) -> Result<(), Unavailable> {
    let done = environment.join("installed");
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let made = Command::new("python3").args(["-m", "venv"]).arg(environment).stdin(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        let reason = "python3 cannot make a virtual environment (Debian: package python3-venv)";
        return Err(Unavailable::Here(reason.into()));
    }
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages);
    registry::install(&mut pip, &format!("Python packages {}", packages.join(", ")))?;
    let written = std::fs::write(&done, wanted);
    written.map_err(|error| Unavailable::Here(format!("cannot write `{}`: {error}", done.display())))
}

fn synapse(options: &SynapseOptions) -> Outcome {
    call(&mut cargo(&["build", "--release", "--locked", "--package", "freehold-roomlab"]))?;
    let mut command = peers("peers/rooms", &options.versions);
    command.arg("rooms").arg("--roomlab").arg(target_folder().join("release/roomlab"));
    call(&mut command)
}

/// Gives why steps were left out, if some were: only because a package registry is not reached.
pub(crate) fn federation(options: &FederationOptions) -> Result<Option<String>, String> {
    call(&mut cargo(&["build", "--release", "--locked", "--package", "freehold-server"]))?;
    let named = ["6", "7", "8", "9", "10", "11", "12"].map(str::to_owned);
    let versions = if options.versions.is_empty() { &named } else { options.versions.as_slice() };
    let mut command = peers("peers/federation", versions);
    command.arg("federation").arg("--freehold").arg(target_folder().join("release/freehold"));
    command.arg("--history").arg(options.history.to_string());
    command.arg("--seconds").arg(options.seconds.to_string());
    if options.in_turn {
        command.arg("--in-turn");
    }
    let left_out = match clients::availability() {
        Ok(()) => {
            command.arg("--clients").arg(clients::folder());
            None
        }
        Err(Unavailable::Registry(reason)) => Some(format!("nobody talked encrypted: {reason}")),
        Err(Unavailable::Here(reason)) => return Err(format!("nobody can talk encrypted: {reason}")),
    };
    call(&mut command)?;
    Ok(left_out)
}

/// The program that drives real servers.
pub(crate) fn peers(folder: &str, versions: &[String]) -> Command {
    let mut command = program("freehold-peers", "freehold-peers");
    command.arg("--python").arg(target_folder().join("peers/synapse/bin/python"));
    command.arg("--folder").arg(target_folder().join(folder));
    if !versions.is_empty() {
        command.arg("--versions").arg(versions.join(","));
    }
    command
}
