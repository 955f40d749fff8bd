//! Benchmarks: one table of ours against the peers, measured in one run.

use std::path::{Path, PathBuf};

use crate::{
    peers,
    process::{Outcome, call, cargo, output, program, target_folder},
};

/// Which table, and how much time it may take.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The table to print
    #[arg(value_enum)]
    table: Table,
    /// A few iterations of each row, to see that they run
    #[arg(long)]
    smoke: bool,
    /// Only rows whose name contains this text
    #[arg(long)]
    only: Option<String>,
    /// For `server` and `federation`: a Python in whose environment Synapse is already installed
    #[arg(long)]
    python: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Table {
    /// The protocol libraries against ruma and raw ed25519-dalek
    Protocol,
    /// The server against Synapse, on the same load over HTTP
    Server,
    /// Between servers: events that come in and go out, against raw signatures and Synapse
    Federation,
}

/// The package of what is run here.
const PROGRAMS: &str = "freehold-benches";

/// Synapse, with what it needs to speak to PostgreSQL.
const SYNAPSE: &[&str] = &["matrix-synapse==1.163.2", "psycopg2-binary==2.9.11"];
/// Where Debian has the programs of PostgreSQL servers, by version.
const POSTGRES: &str = "/usr/lib/postgresql";

/// The task `bench`.
pub(crate) fn run(options: &Options) -> Outcome {
    match options.table {
        Table::Protocol => protocol(options),
        Table::Server => server(options),
        Table::Federation => federation(options).and_then(|()| join(options)),
    }
}

/// What continuous integration runs: every row once, ours alone where a peer is a server.
pub(crate) fn smoke() -> Outcome {
    for table in [Table::Protocol, Table::Server, Table::Federation] {
        run(&Options { table, smoke: true, only: None, python: None })?;
    }
    Ok(())
}

fn protocol(options: &Options) -> Outcome {
    let smoke: &[&str] = if options.smoke { &["--smoke"] } else { &[] };
    let memory = target_folder().join("bench-memory.txt");
    let printed = output(program(PROGRAMS, "memory").args(smoke))?;
    std::fs::write(&memory, printed)
        .map_err(|error| format!("cannot write `{}`: {error}", memory.display()))?;
    let mut protocol = program(PROGRAMS, "protocol");
    protocol.args(smoke).arg("--memory").arg(memory);
    protocol.arg("--json").arg(target_folder().join("bench-protocol.json"));
    if let Some(only) = &options.only {
        protocol.args(["--only", only]);
    }
    call(&mut protocol)
}

fn server(options: &Options) -> Outcome {
    call(&mut cargo(&["build", "--release", "--locked", "--package", "freehold-server"]))?;
    let mut load = program(PROGRAMS, "server-load");
    load.arg("--freehold").arg(target_folder().join("release/freehold"));
    load.arg("--folder").arg(target_folder().join("bench/servers"));
    load.arg("--json").arg(target_folder().join("bench-server.json"));
    if let Some(only) = &options.only {
        load.args(["--only", only]);
    }
    if options.smoke {
        load.arg("--smoke");
        return call(&mut load);
    }
    match synapse_python(options) {
        Ok(python) => drop(load.arg("--python").arg(python)),
        Err(reason) => eprintln!("without Synapse: {reason}"),
    }
    match postgres_programs() {
        Some(programs) => drop(load.arg("--postgres").arg(programs)),
        None => eprintln!("without PostgreSQL: {POSTGRES} has no server (Debian: package postgresql)"),
    }
    call(&mut load)
}

fn federation(options: &Options) -> Outcome {
    let folder = target_folder().join("bench/federation");
    let mut federation = program(PROGRAMS, "federation");
    federation.arg("--folder").arg(&folder);
    federation.arg("--json").arg(target_folder().join("bench-federation.json"));
    if let Some(only) = &options.only {
        federation.args(["--only", only]);
    }
    if options.smoke {
        federation.arg("--smoke");
        return call(&mut federation);
    }
    match beside_synapse(options) {
        Ok((freehold, peers, python)) => {
            federation.arg("--freehold").arg(freehold).arg("--peers").arg(peers);
            federation.arg("--python").arg(python);
        }
        Err(reason) => eprintln!("without Synapse: {reason}"),
    }
    call(&mut federation)
}

/// A large room of others that ours joins, and Synapse; what `--only` names must be in `join`.
fn join(options: &Options) -> Outcome {
    if options.only.as_ref().is_some_and(|only| !"join".contains(only.as_str())) {
        return Ok(());
    }
    let mut join = program(PROGRAMS, "federation-join");
    join.arg("--folder").arg(target_folder().join("bench/join"));
    join.arg("--json").arg(target_folder().join("bench-federation-join.json"));
    if options.smoke {
        return call(join.arg("--smoke"));
    }
    match synapse_python(options) {
        Ok(python) => drop(join.arg("--python").arg(python)),
        Err(reason) => eprintln!("without Synapse: {reason}"),
    }
    call(&mut join)
}

/// Our server, the program that drives real servers, and a Python with Synapse.
fn beside_synapse(options: &Options) -> Result<(PathBuf, PathBuf, PathBuf), String> {
    let python = synapse_python(options)?;
    let packages = ["--package", "freehold-server", "--package", "freehold-peers"];
    call(cargo(&["build", "--release", "--locked"]).args(packages))?;
    let programs = target_folder().join("release");
    Ok((programs.join("freehold"), programs.join("freehold-peers"), python))
}

fn synapse_python(options: &Options) -> Result<PathBuf, String> {
    if let Some(python) = &options.python {
        return Ok(python.clone());
    }
    let environment = target_folder().join("bench/synapse");
    peers::install_python_packages(&environment, SYNAPSE)?;
    Ok(environment.join("bin/python"))
}

/// The folder with the programs of the newest PostgreSQL server.
fn postgres_programs() -> Option<PathBuf> {
    let versions = Path::new(POSTGRES).read_dir().ok()?.flatten();
    let servers =
        versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists());
    servers.max()
}
