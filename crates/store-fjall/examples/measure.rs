//! Measures the engine: `cargo run --release -p freehold-store-fjall --example measure -- FOLDER [EVENTS]`; without a
//! folder, a small sample in a temporary one.
//!
//! One event is what a message costs the server: eight small rows, of which only the event id's has a random key, and
//! one of 1 KB. Every commit is durable.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a program for the terminal"
)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use freehold_store::conformance::wait;
use freehold_store::{Batch, Engine, Order, Store, Table, TableId};
use freehold_store_fjall::{FjallEngine, Settings};

const NUMBERS: Table<String, u64> = Table::new(TableId(5), "event_numbers");
const IDS: Table<u64, String> = Table::new(TableId(6), "event_ids");
const ROWS: Table<u64, Vec<u8>> = Table::new(TableId(11), "events");
const JSON: Table<u64, String> = Table::new(TableId(12), "event_json");
const TIMELINE: Table<(u64, u64), u64> = Table::new(TableId(13), "timeline");
const STATE: Table<u64, Vec<u8>> = Table::new(TableId(14), "current_state");
const SENT: Table<(u64, u64, String), u64> = Table::new(TableId(22), "sent");
const COUNTS: Table<(u64, u64), u64> = Table::new(TableId(120), "counts");

/// How many rooms take turns.
const ROOMS: u64 = 500;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = arguments.first().map(Path::new) else {
        return measure(tempfile::tempdir().unwrap().path(), 2000);
    };
    match arguments.get(1).map(String::as_str) {
        Some("open") => report_opening(folder),
        Some("load") => load(folder, arguments[2].parse().unwrap()),
        events => measure(folder, events.map_or(100_000, |events| events.parse().unwrap())),
    }
}

fn engine(folder: &Path) -> Arc<dyn Engine> {
    Arc::new(FjallEngine::open(folder, Settings::default()).unwrap())
}

fn measure(folder: &Path, events: u64) {
    again(folder, &["load", &events.to_string()]);
    again(folder, &["open"]);
    let store = wait(Store::open(engine(folder))).unwrap();
    let small = events < 10_000;
    one_at_a_time(&store, events + 1_000_000, if small { 50 } else { 2000 });
    reading(&store, events);
    for clients in [50, 200] {
        concurrent(
            &store,
            clients,
            events + clients * 10_000_000,
            Duration::from_secs(if small { 1 } else { 4 }),
        );
    }
    println!("resident after the load: {} MB", resident());
    // Not closed: what follows opens what a killed process leaves.
    let mut left = Command::new(std::env::current_exe().unwrap());
    drop(store);
    let mut loading = left.arg(folder).args(["load", "1000000"]).spawn().unwrap();
    thread::sleep(Duration::from_secs(4));
    loading.kill().unwrap();
    loading.wait().unwrap();
    println!("after a kill:");
    again(folder, &["open"]);
}

/// Runs this program again, so that memory and files are those of a new process.
fn again(folder: &Path, arguments: &[&str]) {
    Command::new(std::env::current_exe().unwrap()).arg(folder).args(arguments).status().unwrap();
}

fn report_opening(folder: &Path) {
    let begin = Instant::now();
    let engine = engine(folder);
    let opened = begin.elapsed();
    let store = wait(Store::open(engine)).unwrap();
    thread::sleep(Duration::from_secs(2));
    println!(
        "opened in {opened:?}, resident then {} MB, at {:?}",
        resident(),
        store.snapshot().unwrap().position()
    );
}

fn load(folder: &Path, events: u64) {
    let store = wait(Store::open(engine(folder))).unwrap();
    let begin = Instant::now();
    let base = store.snapshot().unwrap().position().0.saturating_sub(1) * 1_000_000;
    for first in (0..events).step_by(100) {
        let mut batch = Batch::new();
        (first..first + 100).for_each(|event| batch.append(event_batch(base + event)));
        wait(store.commit(batch)).unwrap();
    }
    let rate = events as f64 / begin.elapsed().as_secs_f64();
    println!(
        "load: {rate:.0} events/s in batches of 100, written {} MB, resident {} MB",
        written(),
        resident()
    );
    let begin = Instant::now();
    drop(store);
    println!("closed in {:?}", begin.elapsed());
}

fn event_batch(event: u64) -> Batch {
    let room = event % ROOMS;
    let id = format!("${:016x}{:016x}{:011}", mixed(event), mixed(!event), event);
    let mut batch = Batch::new();
    batch.expect_absent(&NUMBERS, &id);
    batch.put(&NUMBERS, &id, &event);
    batch.put(&IDS, &event, &id);
    batch.put(&ROWS, &event, &vec![7; 90]);
    batch.put(&JSON, &event, &text(event));
    batch.at_position(move |position, writes| {
        writes.put(&TIMELINE, &(room, position.0 << 8 | event & 0xff), &event)
    });
    batch.put(&STATE, &room, &vec![3; 60]);
    batch.put(&SENT, &(room, event, format!("m{event}.1")), &event);
    batch.put(&COUNTS, &(room, event % 7), &event);
    batch
}

/// A kilobyte that looks like an event: half of it the same everywhere, half of it random.
fn text(event: u64) -> String {
    let random = (0..32).map(|part| format!("{:016x}", mixed(event << 6 | part)));
    format!("{}{}", r#"{"type":"m.room.message","content":{"#.repeat(14), random.collect::<String>())
}

fn mixed(number: u64) -> u64 {
    let mixed = (number ^ number >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn one_at_a_time(store: &Store, base: u64, events: u64) {
    let (before, begin) = (written(), Instant::now());
    let mut times: Vec<Duration> = (0..events).map(|event| timed(store, base + event)).collect();
    let rate = events as f64 / begin.elapsed().as_secs_f64();
    println!("one at a time: {rate:.0}/s, {}, written {} MB", percentiles(&mut times), written() - before);
}

fn timed(store: &Store, event: u64) -> Duration {
    let begin = Instant::now();
    wait(store.commit(event_batch(event))).unwrap();
    begin.elapsed()
}

fn concurrent(store: &Store, clients: u64, base: u64, time: Duration) {
    let (next, before, begin) = (AtomicU64::new(base), written(), Instant::now());
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let client = || {
            let mut times = Vec::new();
            while begin.elapsed() < time {
                times.push(timed(store, next.fetch_add(1, Ordering::Relaxed)));
            }
            times
        };
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let rate = times.len() as f64 / begin.elapsed().as_secs_f64();
    println!(
        "{clients} at a time: {rate:.0}/s, {}, written {} MB",
        percentiles(&mut times),
        written() - before
    );
}

fn reading(store: &Store, events: u64) {
    let snapshot = store.snapshot().unwrap();
    let base = 0;
    let mut found = 0;
    let mut gets: Vec<Duration> = (0..20_000)
        .map(|number| {
            let event = base + mixed(number) % events;
            let begin = Instant::now();
            found += usize::from(wait(snapshot.get(&JSON, &event)).unwrap().is_some());
            begin.elapsed()
        })
        .collect();
    println!("get of an event: {} ({found} found)", percentiles(&mut gets));
    let mut scans: Vec<Duration> = (0..2000)
        .map(|number| {
            let begin = Instant::now();
            wait(snapshot.scan_prefix(&TIMELINE, &(mixed(number) % ROOMS), Order::Descending, 20)).unwrap();
            begin.elapsed()
        })
        .collect();
    println!("scan of the last 20 of a room: {}", percentiles(&mut scans));
    let mut snapshots: Vec<Duration> = (0..2000)
        .map(|_| {
            let begin = Instant::now();
            store.snapshot().unwrap();
            begin.elapsed()
        })
        .collect();
    println!("snapshot: {}", percentiles(&mut snapshots));
}

fn percentiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 1000];
    format!("p50 {:?} p99 {:?} max {:?}", at(500), at(990), at(1000))
}

/// Resident memory of this process, in MB.
fn resident() -> u64 {
    number_in("/proc/self/status", "VmRSS:") / 1024
}

/// What this process has had written to the device, in MB.
fn written() -> u64 {
    number_in("/proc/self/io", "write_bytes:") >> 20
}

fn number_in(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
