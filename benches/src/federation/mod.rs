//! The table of what happens between servers: an area is a group of rows that are measured together.

#![expect(clippy::print_stderr, reason = "progress is for the terminal")]

mod api;
mod catch_up;
mod dead;
mod delays;
mod foreign;
mod ground;
mod inbound;
mod limit;

use std::path::{Path, PathBuf};

use crate::rows::{Outcome, Row, Table};

/// What the command line asked for, and what there is to measure with.
pub struct Run {
    /// A little of everything, to see that it runs; the verdicts are not meant then.
    pub smoke: bool,
    /// Only areas whose name contains this text.
    pub only: String,
    /// Where stores and servers keep things; a new folder.
    pub folder: PathBuf,
    /// What is needed to measure beside Synapse.
    pub beside: Option<Beside>,
}

/// What is needed to measure beside Synapse.
pub struct Beside {
    /// Our server's program.
    pub freehold: PathBuf,
    /// The program that drives real servers.
    pub peers: PathBuf,
    /// A Python in whose environment Synapse is installed.
    pub python: PathBuf,
}

impl Run {
    /// One amount for a real run, another one to see that it runs.
    pub fn amount<T>(&self, full: T, smoke: T) -> T {
        if self.smoke { smoke } else { full }
    }

    /// A new folder for an area.
    ///
    /// # Errors
    /// The file system says no.
    pub fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.folder.join(name);
        new_folder(&folder)?;
        Ok(folder)
    }
}

/// A group of rows: its name, and what measures it.
pub type Area = (&'static str, fn(&Run) -> Vec<Row<'static>>);

/// Every area of the table.
pub const AREAS: &[Area] = &[
    ("signatures", limit::rows),
    ("inbound", inbound::rows),
    ("catch-up", catch_up::rows),
    ("dead servers", dead::rows),
    ("delays", delays::rows),
];

/// Measures what is wanted; each row is printed as soon as it is known.
pub fn measure(run: &Run, table: &mut Table) {
    for (name, rows) in AREAS.iter().filter(|(name, _)| name.contains(&run.only)) {
        eprintln!("measuring: {name}");
        for row in rows(run) {
            table.add(&row);
            eprintln!("{}", table.last_line().unwrap_or_default());
        }
    }
}

/// A new empty folder.
///
/// # Errors
/// The file system says no.
pub fn new_folder(folder: &Path) -> Outcome<()> {
    let said = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(said)?;
    }
    std::fs::create_dir_all(folder).map_err(said)
}
