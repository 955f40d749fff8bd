//! Real servers as peers. `rooms`: two Synapse servers on loopback make rooms with real forks; a server of our own joins
//! each room, exports its event graph over the federation interface, and our libraries' results are held against
//! what Synapse reports. `federation`: our whole server and a Synapse share rooms, lose each other, and agree again.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod certificates;
mod check;
mod delays;
mod export;
mod failure;
mod federation;
mod freehold;
mod home;
mod http;
mod link;
mod resident;
mod scenario;
mod server;
mod synapse;
mod user;
mod walk;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use certificates::Authority;
use clap::{Parser, Subcommand};
use export::Export;
use failure::{Context, Failure, Result};
use home::Home as _;
use http::Client;
use resident::{Resident, key_document};
use scenario::World;
use server::Reserved;
use synapse::{Setting, Synapse};

#[derive(Parser)]
struct Arguments {
    /// The Python interpreter of an environment with matrix-synapse
    #[arg(long, global = true, default_value = "python3")]
    python: PathBuf,
    /// Where the exported rooms and the servers' files go
    #[arg(long, global = true, default_value = "peers")]
    folder: PathBuf,
    /// Room versions, comma separated
    #[arg(long, global = true, value_delimiter = ',', default_values_t = scenario::VERSIONS.iter().map(|v| (*v).to_owned()))]
    versions: Vec<String>,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Rooms that two Synapse servers make, checked by our libraries
    Rooms {
        /// The roomlab program to run over the exported rooms
        #[arg(long)]
        roomlab: PathBuf,
    },
    /// Our server and a Synapse in the same rooms
    Federation {
        /// Our server's program
        #[arg(long)]
        freehold: PathBuf,
        /// How many events a server that comes late pages through
        #[arg(long, default_value_t = 1000)]
        history: usize,
        /// Where the suite of real clients is installed: then people talk encrypted, too
        #[arg(long)]
        clients: Option<PathBuf>,
        /// After how many seconds no further step begins
        #[arg(long, default_value_t = 1800)]
        seconds: u64,
        /// Make rooms of each version in one direction only, in turn
        #[arg(long)]
        in_turn: bool,
    },
    /// A first walk: a domain of ours and a Synapse, and two people who talk
    Walk {
        /// Our server's program
        #[arg(long)]
        freehold: PathBuf,
        /// Let both servers run until Enter is pressed
        #[arg(long)]
        stay: bool,
    },
    /// How long messages take between our server and Synapse, and between two Synapse servers
    Delays {
        /// Our server's program
        #[arg(long)]
        freehold: PathBuf,
        /// How many messages are timed in each direction
        #[arg(long, default_value_t = 60)]
        messages: usize,
    },
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
    match &arguments.task {
        Task::Rooms { roomlab } => rooms(arguments, roomlab),
        Task::Federation { freehold, history, clients, seconds, in_turn } => {
            federation::run(&federation::Run {
                python: &arguments.python,
                freehold,
                folder,
                versions: &arguments.versions,
                history: *history,
                in_turn: *in_turn,
                clients: clients.as_deref(),
                time: Duration::from_secs(*seconds),
            })
        }
        Task::Walk { freehold, stay } => {
            walk::run(&walk::Walk { python: &arguments.python, freehold, folder, stays: *stay })
        }
        Task::Delays { freehold, messages } => {
            let python = &arguments.python;
            delays::run(&delays::Run { python, freehold, folder, messages: *messages })
        }
    }
}

fn rooms(arguments: &Arguments, roomlab: &Path) -> Result<()> {
    let folder = &arguments.folder;
    let authority = Authority::create(folder)?;
    let client = Client::trusting(&authority.pem())?;
    let python = &arguments.python;
    let setting = Setting { python, folder, authority: &authority, client: &client, presence: false };
    let first = Synapse::start(&setting, "first")?;
    let second = Synapse::start(&setting, "second")?;
    println!("servers {} and {}", first.server_name(), second.server_name());
    let resident = start_resident(&authority, &client, &first)?;
    let keys = write_keys(folder, &client, &resident, [&first, &second])?;
    let mut findings = 0;
    for version in &arguments.versions {
        let world = World::populate(&client, &first, &second, version)?;
        let room = world.make_room(version)?;
        let graph = resident.export(&room.room_id, room.version)?;
        let export = Export::write(folder, &graph, &room, &world, &resident)?;
        findings += check::room(roomlab, &keys, &export)?;
    }
    if findings > 0 {
        return Err(Failure::new(format!("{findings} differences from Synapse")));
    }
    Ok(())
}

/// A server of our own with a new key, whose key document the others can fetch.
fn start_resident<'a>(authority: &Authority, client: &'a Client, peer: &Synapse) -> Result<Resident<'a>> {
    let reserved = Reserved::take()?;
    let resident = Resident::create(client, reserved.server_name(), peer.server_name())?;
    reserved.serve(authority, resident.key_document()?)?;
    Ok(resident)
}

/// The key documents of all servers, one in a line.
fn write_keys(
    folder: &Path,
    client: &Client,
    resident: &Resident<'_>,
    servers: [&Synapse; 2],
) -> Result<PathBuf> {
    let mut lines = resident.key_document()? + "\n";
    for server in servers {
        lines += &(key_document(client, server.server_name())? + "\n");
    }
    let file = folder.join("keys.jsonl");
    std::fs::write(&file, lines).context("write the key documents")?;
    Ok(file)
}
