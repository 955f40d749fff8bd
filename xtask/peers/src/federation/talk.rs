//! Real clients talk, encrypted, across servers: matrix-js-sdk on the one, matrix-nio and another matrix-js-sdk on the other.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use super::steps::Steps;
use crate::{
    failure::{Context, Failure, Result},
    home::Home,
};

/// Runs the suite of clients in both directions.
pub(super) fn run(clients: &Path, (ours, theirs): (&dyn Home, &dyn Home), steps: &mut Steps) {
    for (name, servers, suffix) in [
        ("matrix-js-sdk on ours and matrix-nio on theirs", (ours, theirs), "o"),
        ("matrix-js-sdk on theirs and matrix-nio on ours", (theirs, ours), "t"),
    ] {
        let time = steps.left().max(TIME_MIN);
        steps.run(&format!("clients: {name} talk encrypted"), || talk(clients, servers, (suffix, time)));
    }
}

/// How long a talk may take, however little time is left.
const TIME_MIN: Duration = Duration::from_secs(60);

fn talk(
    clients: &Path,
    (first, second): (&dyn Home, &dyn Home),
    (suffix, time): (&str, Duration),
) -> Result<()> {
    let mut suite = Command::new("node")
        .args(["--expose-gc", "talk.mjs", "--seconds", &time.as_secs().to_string()])
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
