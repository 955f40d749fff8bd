//! Joins a large room of other servers: ours, then Synapse, each over TLS and a long wire, with the same server of the
//! room helping. What counts is when the user is in, when everything is there and verified, and what memory that took.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

#[path = "../server-load/conditions.rs"]
#[expect(dead_code, reason = "of what the load on servers uses, this uses a part")]
mod conditions;
#[path = "../server-load/http.rs"]
mod http;
mod joined;
#[path = "../server-load/metrics.rs"]
#[expect(dead_code, reason = "of what the load on servers uses, this uses a part")]
mod metrics;
mod parts;
#[path = "../server-load/person.rs"]
#[expect(dead_code, reason = "of what the load on servers uses, this uses a part")]
mod person;
#[path = "../server-load/process.rs"]
#[expect(dead_code, reason = "of what the load on servers uses, this uses a part")]
mod process;
mod report;
mod resident;
mod servers;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use freehold_event::RoomVersion;
use freehold_testkit::LargeRoom;
use ruma_common::OwnedServerName;

use crate::conditions::Conditions;
use crate::http::Outcome;
use crate::joined::Joined;
use crate::parts::Telling;
use crate::process::new_folder;
use crate::report::{Limit, Report};
use crate::resident::{Place, Resident};
use crate::servers::Setting;

/// What the server allocates with: its parts run in this program, too.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    arguments: Arguments,
    #[command(subcommand)]
    inside: Option<Inside>,
}

#[derive(clap::Subcommand)]
enum Inside {
    /// Joins, as this program has itself do in a process of its own
    Parts(Telling),
}

#[derive(clap::Args)]
struct Arguments {
    /// Our server, if it is to join as a whole; otherwise its parts join, in a process of their own
    #[arg(long)]
    freehold: Option<PathBuf>,
    /// A Python in whose environment Synapse is installed; without one, ours is measured alone
    #[arg(long)]
    python: Option<PathBuf>,
    /// Where the servers keep things; emptied before and after
    #[arg(long, default_value = "federation-join")]
    folder: PathBuf,
    /// Where the figures go as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// How many members the room has
    #[arg(long, default_value_t = 20_000)]
    members: usize,
    /// Of how many servers they are
    #[arg(long, default_value_t = 2_000)]
    servers: usize,
    /// How far the server of the room is away, there and back
    #[arg(long, default_value_t = 50)]
    round_trip_ms: u64,
    /// The version of the room
    #[arg(long, default_value = "11")]
    room_version: String,
    /// How often ours joins, each time with an empty store; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A small room once, to see that it runs; the verdicts are not meant then
    #[arg(long)]
    smoke: bool,
}

fn main() -> ExitCode {
    let Program { mut arguments, inside } = Program::parse();
    if arguments.smoke {
        (arguments.members, arguments.servers, arguments.rounds) = (200, 20, 1);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(async {
            match inside {
                Some(Inside::Parts(telling)) => telling.join().await.map(|figures| println!("{figures}")),
                None => arguments.run().await,
            }
        }),
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    async fn run(&self) -> Outcome<()> {
        new_folder(&self.folder)?;
        let conditions = Conditions::now()?;
        let resident = self.resident().await?;
        let limit = Limit::measure(resident.room.events.len());
        let setting = Setting { folder: &self.folder, resident: &resident };
        let mut ours: Vec<Joined> = Vec::new();
        for round in 0..self.rounds.max(1) {
            let joined = match &self.freehold {
                Some(program) => Joined::measure(&setting.ours(program, round).await?, &resident).await?,
                None => self.parts(&resident, round).await?,
            };
            eprintln!("ours, round {round}: {}", joined.words());
            ours.push(joined);
        }
        let mut report = Report { limit, conditions, ours, synapse: None, is_smoke: self.smoke };
        if let Some(python) = &self.python {
            let server = setting.synapse(python).await?;
            let joined = Joined::measure(&server, &resident).await?;
            eprintln!("Synapse: {}", joined.words());
            report.synapse = Some(joined);
        }
        println!("{}", report.text());
        if let Some(file) = &self.json {
            let json = format!("{:#}\n", report.to_json());
            std::fs::write(file, json).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        std::fs::remove_dir_all(&self.folder).map_err(|error| error.to_string())
    }

    async fn parts(&self, resident: &Arc<Resident>, round: usize) -> Outcome<Joined> {
        let (store, resident) = (self.folder.join(format!("parts-{round}")), resident.clone());
        // This process serves meanwhile.
        let joining = tokio::task::spawn_blocking(move || parts::joined(store, &resident));
        joining.await.map_err(|error| error.to_string())?
    }

    async fn resident(&self) -> Outcome<Arc<Resident>> {
        let version = RoomVersion::find(&self.room_version).ok_or("no room version that is known here")?;
        let round_trip = Duration::from_millis(self.round_trip_ms);
        let (place, address, authority) = Place::open(&self.folder, round_trip).await?;
        let name = OwnedServerName::try_from(address.to_string()).map_err(|error| error.to_string())?;
        // Loopback addresses: nobody looks into a DNS for them.
        let server =
            |number: usize| format!("127.1.{}.{}:{}", number / 250, number % 250 + 1, address.port());
        let others = (1..self.servers.max(1)).map(server);
        let servers: Vec<String> = std::iter::once(name.to_string()).chain(others).collect();
        eprintln!("making a room of {} members from {} servers", self.members, servers.len());
        let room = LargeRoom::make(version, &servers, (self.members / servers.len()).max(1));
        let resident = Arc::new(Resident::new(name, room, authority)?);
        place.serve(resident.clone());
        Ok(resident)
    }
}
