//! Everything that must pass before a change lands, in the order in which a failure is cheapest.

use crate::{
    bench, demo, examples, fuzz, laws, peers,
    process::{Outcome, call, cargo, is_present, output, target_folder, workspace_root},
    simulation, spec_tests, tidy, wasm,
};
use std::{path::PathBuf, process::Command, time::Instant};

/// Which steps are run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these steps, such as `"doc tests"`; all if none is named
    steps: Vec<String>,
}

type Step = (&'static str, fn() -> Result<Verdict, String>);

enum Verdict {
    Passed,
    Skipped(String),
}

const STEPS: &[Step] = &[
    ("format", format),
    ("tidy", || tidy::run().map(passed)),
    ("spelling", spelling),
    ("dependencies", dependencies),
    ("clippy", clippy),
    ("tests", tests),
    ("doc tests", doc_tests),
    ("docs", docs),
    ("examples", || examples::run().map(passed)),
    ("browser", browser),
    ("spec-tests", || spec_tests::run().map(passed)),
    ("fuzz smoke", || fuzz::smoke().map(passed)),
    ("bench smoke", || bench::smoke().map(passed)),
    ("simulation", || simulation::smoke().map(passed)),
    ("real servers", real_servers),
    ("walk with a Synapse", walk),
    ("real neighbours", real_neighbours),
    ("real clients", real_clients),
];

/// Runs the steps, also after one has failed.
fn run_steps(wanted: &[&Step]) -> Vec<(&'static str, Result<Verdict, String>, u64)> {
    wanted
        .iter()
        .map(|(name, step)| {
            eprintln!("\n=== {name}");
            let started = Instant::now();
            (*name, step(), started.elapsed().as_secs())
        })
        .collect()
}

/// The steps with these names.
fn steps(names: &[String]) -> Result<Vec<&'static Step>, String> {
    if names.is_empty() {
        return Ok(STEPS.iter().collect());
    }
    let step = |name: &String| {
        let found = STEPS.iter().find(|(step, _)| step == name);
        found.ok_or_else(|| format!("there is no step `{name}`"))
    };
    names.iter().map(step).collect()
}

/// The task `ci`. It closes with the number of steps that passed.
pub(crate) fn run(options: &Options) -> Outcome {
    let results = run_steps(&steps(&options.steps)?);
    println!();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, result, seconds) in &results {
        match result {
            Ok(Verdict::Passed) => {
                passed += 1;
                println!("{name}: passed ({seconds} s)");
            }
            Ok(Verdict::Skipped(reason)) => {
                skipped += 1;
                println!("{name}: skipped: {reason}");
            }
            Err(failure) => {
                failed += 1;
                println!("{name}: FAILED ({seconds} s): {failure}");
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} steps failed", results.len())) }
}

fn passed(_: ()) -> Verdict {
    Verdict::Passed
}

fn format() -> Result<Verdict, String> {
    call(&mut cargo(&["fmt", "--all", "--check"])).map(passed)
}

fn clippy() -> Result<Verdict, String> {
    call(&mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
        .map(passed)
}

fn tests() -> Result<Verdict, String> {
    let nextest = output(&mut cargo(&["nextest", "--version"])).is_ok();
    let workspace = ["--workspace", "--exclude", "freehold-spec-tests", "--all-targets", "--locked"];
    let mut arguments = if nextest { vec!["nextest", "run"] } else { vec!["test"] };
    arguments.extend(workspace);
    // Benchmarks have a step of their own.
    if nextest {
        arguments.extend(["-E", "not kind(bench)"]);
    }
    call(cargo(&arguments).env(laws::SEED_VARIABLE, laws::SEED_OF_CI)).map(passed)
}

fn doc_tests() -> Result<Verdict, String> {
    call(&mut cargo(&["test", "--doc", "--workspace", "--locked"])).map(passed)
}

fn docs() -> Result<Verdict, String> {
    let mut command = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    call(command.env("RUSTDOCFLAGS", "-D warnings -D missing_docs")).map(passed)
}

fn dependencies() -> Result<Verdict, String> {
    if output(&mut cargo(&["deny", "--version"])).is_err() {
        return Ok(Verdict::Skipped(
            "cargo-deny is not installed (`cargo install --locked cargo-deny`); licences and sources were checked by tidy".into(),
        ));
    }
    call(&mut cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"])).map(passed)
}

fn spelling() -> Result<Verdict, String> {
    let typos = match typos_program() {
        Ok(typos) => typos,
        Err(reason) => return Ok(Verdict::Skipped(reason)),
    };
    call(Command::new(typos).current_dir(workspace_root())).map(passed)
}

/// The spelling checker: the one on the path, or one from the Python package of the same name.
fn typos_program() -> Result<PathBuf, String> {
    if is_present("typos") {
        return Ok("typos".into());
    }
    let environment = target_folder().join("tools");
    let typos = environment.join("bin/typos");
    if !typos.exists() {
        peers::install_python_packages(&environment, &["typos==1.52.0"])
            .map_err(|reason| format!("typos is not on the path: {}", String::from(reason)))?;
    }
    Ok(typos)
}

fn browser() -> Result<Verdict, String> {
    match wasm::availability() {
        Ok(()) => wasm::build().map(passed),
        Err(reason) => Ok(Verdict::Skipped(reason)),
    }
}

fn real_servers() -> Result<Verdict, String> {
    unless_unreached(peers::availability(), || {
        peers::run(&peers::Peer::Synapse(peers::SynapseOptions::default())).map(passed)
    })
}

/// What the README shows of our server and a Synapse.
fn walk() -> Result<Verdict, String> {
    unless_unreached(peers::availability(), || demo::walk(&[]).map(passed))
}

fn real_neighbours() -> Result<Verdict, String> {
    unless_unreached(peers::availability(), || {
        let left_out = peers::federation(&peers::FederationOptions::smoke())?;
        Ok(left_out.map_or(Verdict::Passed, |reason| Verdict::Skipped(format!("in part: {reason}"))))
    })
}

fn real_clients() -> Result<Verdict, String> {
    unless_unreached(peers::clients::availability(), || peers::clients::run().map(passed))
}

/// Runs a step that needs packages. Only a registry that is not reached excuses it.
fn unless_unreached(
    available: Result<(), peers::Unavailable>,
    step: impl FnOnce() -> Result<Verdict, String>,
) -> Result<Verdict, String> {
    match available {
        Ok(()) => step(),
        Err(peers::Unavailable::Registry(reason)) => Ok(Verdict::Skipped(reason)),
        Err(peers::Unavailable::Here(reason)) => Err(reason),
    }
}
