//! Runs seeds of the simulation, and says which of them break a law and how to see why.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

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
    /// After how many seconds a seed that is not through has failed
    #[arg(long, default_value_t = 120)]
    limit_s: u64,
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

/// What those who run seeds say.
enum News {
    Begun(u64),
    Done(Outcome),
    /// The simulation itself could not go on.
    Stopped(u64),
}

/// Seeds that are run at the same time.
struct Runners {
    next: Arc<AtomicU64>,
    end: u64,
    news: Sender<News>,
}

impl Runners {
    #[expect(clippy::disallowed_methods, reason = "a program may start threads")]
    fn start(&self) {
        let (next, end, news) = (self.next.clone(), self.end, self.news.clone());
        thread::spawn(move || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end || news.send(News::Begun(seed)).is_err() {
                    return;
                }
                let outcome = panic::catch_unwind(AssertUnwindSafe(|| run(seed, None)));
                if news.send(outcome.map_or(News::Stopped(seed), News::Done)).is_err() {
                    return;
                }
            }
        });
    }
}

/// What came of all seeds.
#[derive(Default)]
struct Totals {
    failed: usize,
    happened: u64,
    acknowledged: usize,
    rounds: u64,
}

impl Totals {
    fn add(&mut self, outcome: &Outcome) {
        self.happened += outcome.happened;
        self.acknowledged += outcome.acknowledged;
        self.rounds = self.rounds.max(outcome.rounds);
        if !outcome.violations.is_empty() {
            self.failed += 1;
            tell(outcome);
        }
    }

    fn fail(&mut self, seed: u64, why: &str) {
        self.failed += 1;
        println!("seed {seed}: {why}");
        println!("seed {seed}: replay with `cargo xtask sim --seed {seed}`");
    }
}

/// Runs many seeds; gives how many failed.
fn many(arguments: &Arguments) -> usize {
    let started = now();
    let (news, heard) = channel();
    let next = Arc::new(AtomicU64::new(arguments.first));
    let end = arguments.first.saturating_add(arguments.seeds);
    let runners = Runners { next, end, news };
    let threads = arguments.threads.or_else(|| thread::available_parallelism().ok().map(Into::into));
    (0..threads.unwrap_or(1)).for_each(|_| runners.start());
    let totals = listen(&runners, &heard, (end - arguments.first, Duration::from_secs(arguments.limit_s)));
    println!(
        "{} seeds from {}: {} broke a law; {} things happened, {} events were acknowledged, \
         at most {} rounds to settle; {:.1} s",
        arguments.seeds,
        arguments.first,
        totals.failed,
        totals.happened,
        totals.acknowledged,
        totals.rounds,
        started.elapsed().as_secs_f64()
    );
    totals.failed
}

/// Listens until all seeds are through, or have taken too long. Time stands still for a run that never waits, so it would never
/// end by itself: its thread is left to it, until this program ends.
fn listen(runners: &Runners, heard: &Receiver<News>, (seeds, limit): (u64, Duration)) -> Totals {
    let (mut totals, mut running, mut told) = (Totals::default(), BTreeMap::new(), 0);
    while told < seeds {
        match heard.recv_timeout(Duration::from_secs(1)) {
            Ok(News::Begun(seed)) => drop(running.insert(seed, now())),
            Ok(News::Done(outcome)) if running.remove(&outcome.seed).is_some() => {
                told += 1;
                totals.add(&outcome);
            }
            Ok(News::Stopped(seed)) if running.remove(&seed).is_some() => {
                told += 1;
                totals.fail(seed, "the simulation panicked");
            }
            // Of a seed that was too late nothing more is wanted.
            Ok(News::Done(_) | News::Stopped(_)) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let is_late = |(seed, begun): (&u64, &Instant)| (begun.elapsed() > limit).then_some(*seed);
        if let Some(seed) = running.iter().find_map(is_late) {
            running.remove(&seed);
            told += 1;
            totals.fail(seed, &format!("not through after {} s: something goes in circles", limit.as_secs()));
            runners.start();
        }
    }
    totals
}

#[expect(clippy::disallowed_methods, reason = "how long it takes is for the terminal")]
fn now() -> Instant {
    Instant::now()
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
