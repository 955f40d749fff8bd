//! Puts the same load on our server and on Synapse, one after the other, and prints a table with what must be reached.
//! Everything is on 127.0.0.1, every answer is checked, and every row is bounded in time.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod conditions;
mod disk;
mod http;
mod latency;
mod load;
mod metrics;
mod ours;
mod pace;
mod person;
mod postgres;
mod process;
mod report;
mod state;
mod synapse;
mod tenants;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use freehold_benches::rows as table;

use crate::conditions::Conditions;
use crate::http::Outcome;
use crate::ours::Ours;
use crate::postgres::Postgres;
use crate::process::new_folder;
use crate::report::Measured;
use crate::synapse::{Database, Synapse};

#[derive(Parser)]
struct Arguments {
    /// Our server
    #[arg(long)]
    freehold: PathBuf,
    /// A Python in whose environment Synapse is installed; without one, ours is measured alone
    #[arg(long)]
    python: Option<PathBuf>,
    /// The folder with PostgreSQL's programs; without one, Synapse runs on SQLite only
    #[arg(long)]
    postgres: Option<PathBuf>,
    /// Where the servers keep things; emptied before and after
    #[arg(long)]
    folder: PathBuf,
    /// Where the figures go as JSON
    #[arg(long)]
    json: PathBuf,
    /// A little of everything, to see that it runs; the verdicts are not meant then
    #[arg(long)]
    smoke: bool,
    /// Only `load`, `tenants` or `state`
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(arguments.run()),
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
        let measured = self.measure().await;
        let table = measured.table();
        println!("{}\n{}", table.text(), table.summary());
        if let Some(conditions) = measured.conditions {
            println!("measured with {}", conditions.words());
        }
        let json = format!("{:#}\n", measured.to_json(&table));
        std::fs::write(&self.json, json).map_err(|error| format!("{}: {error}", self.json.display()))?;
        match table.count("FAILED") {
            0 => std::fs::remove_dir_all(&self.folder).map_err(|error| error.to_string()),
            failed => Err(format!("{failed} rows failed; see {}", self.folder.display())),
        }
    }

    fn wants(&self, what: &str) -> bool {
        what.contains(&self.only)
    }

    async fn measure(&self) -> Measured {
        let (is_smoke, wants_state) = (self.smoke, self.wants("state"));
        let conditions = Conditions::now().ok();
        let mut measured = Measured { is_smoke, wants_state, conditions, ..Measured::default() };
        if self.wants("load") {
            match self.load_of_ours().await {
                Ok(load) => measured.ours = Some(load),
                Err(reason) => measured.failures.push(reason),
            }
        }
        if self.wants("tenants") {
            let amounts = if self.smoke { tenants::Amounts::SMOKE } else { tenants::Amounts::FULL };
            measured.tenants = Some(match self.ours("tenants") {
                Ok(folder) => tenants::run(Ours { program: &self.freehold, folder: &folder }, amounts).await,
                Err(reason) => Err(reason),
            });
        }
        if let Some(python) = self.python.as_deref().filter(|_| self.wants("load") || self.wants("state")) {
            self.peers(python, &mut measured).await;
        }
        measured
    }

    fn ours(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.folder.join(name);
        new_folder(&folder)?;
        Ok(folder)
    }

    async fn load_of_ours(&self) -> Outcome<load::Load> {
        let folder = self.ours("ours")?;
        let server = Ours { program: &self.freehold, folder: &folder }.start().await?;
        Ok(load::run(&server, &folder, self.amounts()).await)
    }

    fn amounts(&self) -> load::Amounts {
        if self.smoke { load::Amounts::SMOKE } else { load::Amounts::FULL }
    }

    /// Synapse on SQLite, then on PostgreSQL; the last of them also shows what states take.
    async fn peers(&self, python: &Path, measured: &mut Measured) {
        let sqlite = self.folder.join("synapse-sqlite");
        let database = Database::Sqlite(sqlite.join("homeserver.db"));
        let is_last = self.postgres.is_none();
        if is_last || self.wants("load") {
            let done = self.peer((python, &sqlite), Ok(database), is_last, measured).await;
            measured.failures.extend(done.err());
        }
        if let Some(programs) = &self.postgres {
            let folder = self.folder.join("synapse-postgresql");
            let database = Postgres::start(programs, &self.folder.join("postgresql")).map(Database::Postgres);
            let done = self.peer((python, &folder), database, true, measured).await;
            measured.failures.extend(done.err());
        }
    }

    /// Starts a Synapse in an empty folder, and measures it.
    async fn peer(
        &self,
        (python, folder): (&Path, &Path),
        database: Outcome<Database>,
        is_last: bool,
        measured: &mut Measured,
    ) -> Outcome<()> {
        new_folder(folder)?;
        let synapse = Synapse::start(python, folder, database?).await?;
        if self.wants("load") {
            measured.peers.push(load::run(&synapse.server, folder, self.amounts()).await);
        }
        if is_last && self.wants("state") {
            measured.state = Some(state::synapse(&synapse).await);
        }
        Ok(())
    }
}
