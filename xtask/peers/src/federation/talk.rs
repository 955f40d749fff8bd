//! Real clients talk, encrypted, across servers: matrix-js-sdk on the one, matrix-nio and another matrix-js-sdk on the other.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use super::steps::Steps;
use crate::{
    failure::{Context, Failure, Result},
    home::Home,
};

/// Runs the suite of clients in both directions.
pub(super) fn run(clients: &Path, (ours, theirs): (&dyn Home, &dyn Home), steps: &mut Steps) {
    steps.run("clients: matrix-js-sdk on ours and matrix-nio on theirs talk encrypted", || {
        talk(clients, (ours, theirs), "o")
    });
    steps.run("clients: matrix-js-sdk on theirs and matrix-nio on ours talk encrypted", || {
        talk(clients, (theirs, ours), "t")
    });
}

fn talk(clients: &Path, (first, second): (&dyn Home, &dyn Home), suffix: &str) -> Result<()> {
    let mut suite = Command::new("node")
        .args(["talk.mjs", "--across"])
        .args(["--first", first.client_url(), "--second", second.client_url(), "--suffix", suffix])
        .arg("--python")
        .arg(clients.join("python/bin/python"))
        .current_dir(clients)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("start node")?;
    let output = suite.stdout.take().context("the output of node")?;
    for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
        println!("        {line}");
    }
    let status = suite.wait().context("the end of node")?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("the suite of clients ended with {status}")))
    }
}
