//! How long a message takes from where it is sent to where it is seen, beside Synapse: measured by the program that drives real
//! servers.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Beside, Run};
use crate::rows::{Outcome, Row, Target, Unit};

/// The rows about messages between ours and Synapse.
pub(crate) fn rows(run: &Run) -> Vec<Row<'static>> {
    let delays = match &run.beside {
        Some(beside) => measure(run, beside),
        // Ours alone has nobody to talk to.
        None if run.smoke => return Vec::new(),
        None => Err("without Synapse".to_owned()),
    };
    let p50 = |name: &str| {
        let delays = delays.as_ref().map_err(Clone::clone)?;
        delays.get(name).and_then(Value::as_f64).ok_or_else(|| format!("no delays `{name}`"))
    };
    let row = |what, name| Row {
        what,
        unit: Unit::Seconds,
        ours: p50(name),
        peers: vec![p50("theirs → theirs")],
        target: Target::TimesAtMost(1.0 / 3.0),
        reason: "half of the way is Synapse's; what it takes without is in the row from ours to ours".into(),
    };
    vec![
        row("sent on ours, seen on another process of ours, p50; peer: Synapse to Synapse", "ours → ours"),
        row("sent on ours, seen on Synapse, p50; peer: Synapse to Synapse", "ours → theirs"),
        row("sent on Synapse, seen on ours, p50; peer: Synapse to Synapse", "theirs → ours"),
    ]
}

/// The median delays in seconds, by who sends and who sees.
fn measure(run: &Run, beside: &Beside) -> Outcome<Value> {
    let mut command = Command::new(&beside.peers);
    command.arg("--python").arg(&beside.python).arg("--folder").arg(run.folder("delays")?);
    command.arg("delays").arg("--freehold").arg(&beside.freehold);
    command.arg("--messages").arg(run.amount(60, 2).to_string());
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{}: {error}", beside.peers.display()))?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", beside.peers.display(), output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("delays that are no JSON: {error}"))
}
