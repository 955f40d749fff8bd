//! Runs seeds of the simulation, and says which of them break a law and how to see why.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use clap::Parser;
use freehold_simulation::{Outcome, run};

/// Which seeds are run.
#[derive(Parser)]
#[command(about = "Runs seeds of the simulation of a federation")]
struct Arguments {
    /// How many seeds are run
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Run this one seed, and print all that happens
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// How many seeds run at the same time
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let failed = match arguments.seed {
        Some(seed) => replay(seed),
        None => many(&arguments),
    };
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one seed and prints all that happens.
fn replay(seed: u64) -> usize {
    let outcome = run(seed, Some(|line| println!("{line}")));
    tell(&outcome);
    usize::from(!outcome.violations.is_empty())
}

/// Runs many seeds; gives how many break a law.
#[expect(clippy::disallowed_methods, reason = "how long it took is for the terminal")]
fn many(arguments: &Arguments) -> usize {
    let started = Instant::now();
    let next = AtomicU64::new(arguments.first);
    let end = arguments.first.saturating_add(arguments.seeds);
    let (failed, totals) = (Mutex::new(Vec::new()), Mutex::new((0_u64, 0_usize, 0_u64)));
    let threads = arguments.threads.or_else(|| thread::available_parallelism().ok().map(Into::into));
    thread::scope(|scope| {
        for _ in 0..threads.unwrap_or(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let outcome = run(seed, None);
                    if let Ok(mut totals) = totals.lock() {
                        totals.0 += outcome.happened;
                        totals.1 += outcome.acknowledged;
                        totals.2 = totals.2.max(outcome.rounds);
                    }
                    if !outcome.violations.is_empty() {
                        tell(&outcome);
                        if let Ok(mut failed) = failed.lock() {
                            failed.push(seed);
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    let (happened, acknowledged, rounds) = totals.into_inner().unwrap_or_default();
    println!(
        "{} seeds from {}: {} broke a law; {happened} things happened, {acknowledged} events were acknowledged, \
         at most {rounds} rounds to settle; {:.1} s",
        arguments.seeds,
        arguments.first,
        failed.len(),
        started.elapsed().as_secs_f64()
    );
    failed.len()
}

/// Says what does not hold, and how to see why.
fn tell(outcome: &Outcome) {
    let Outcome { seed, hash, happened, rounds, .. } = outcome;
    println!("seed {seed}: {happened} things happened, {rounds} rounds to settle, hash {hash}");
    for violation in &outcome.violations {
        println!("seed {seed}: {}: {}", violation.law, violation.found);
    }
    if !outcome.violations.is_empty() {
        println!("seed {seed}: replay with `cargo xtask sim --seed {seed}`");
    }
}
