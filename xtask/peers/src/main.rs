//! Rooms made by real servers. Two Synapse servers on loopback make rooms with real forks; a server of our own joins
//! each room, exports its event graph over the federation interface, and our libraries' results are held against
//! what Synapse reports.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod certificates;
mod failure;
mod http;
mod link;
mod scenario;
mod synapse;
mod user;

use std::{path::PathBuf, process::ExitCode};

use certificates::Authority;
use clap::Parser;
use failure::{Context, Result};
use http::Client;
use scenario::World;
use synapse::{Setting, Synapse};

#[derive(Parser)]
struct Arguments {
    /// The Python interpreter of an environment with matrix-synapse
    #[arg(long)]
    python: PathBuf,
    /// The roomlab program to run over the exported rooms
    #[arg(long)]
    roomlab: PathBuf,
    /// Where the exported rooms and the servers' files go
    #[arg(long)]
    folder: PathBuf,
    /// Room versions, comma separated
    #[arg(long, value_delimiter = ',', default_values_t = scenario::VERSIONS.iter().map(|v| (*v).to_owned()))]
    versions: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let folder = &arguments.folder;
    if folder.exists() {
        std::fs::remove_dir_all(folder).context("remove the files of an earlier run")?;
    }
    std::fs::create_dir_all(folder).context("folder of the run")?;
    let authority = Authority::create(folder)?;
    let client = Client::trusting(&authority.pem())?;
    let setting = Setting { python: &arguments.python, folder, authority: &authority, client: &client };
    let first = Synapse::start(&setting, "first")?;
    let second = Synapse::start(&setting, "second")?;
    println!("servers {} and {}", first.server_name(), second.server_name());
    for version in &arguments.versions {
        let world = World::populate(&client, &first, &second, version)?;
        let room = world.make_room(version)?;
        println!("room {} version {} {}", room.room_id, room.version, world.state(&room)?.len());
    }
    Ok(())
}
