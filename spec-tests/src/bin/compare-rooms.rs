//! Compares generated rooms: our libraries, the naive twin, `ruma-state-res`.
//!
//! `compare-rooms [--rooms N] [--seed S] [--version V] [--save FILE]`: makes the rooms of the seeds
//! `S … S+N-1`, prints a summary, and saves each room with a disagreement as JSON Lines (the
//! disagreement, then the events). Exits with 1 when there is one.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::{fmt::Write, process::ExitCode};

use freehold_event::RoomVersion;
use freehold_spec_tests::{Tally, compare};
use freehold_testkit::{GenerateConfig, Room, RoomEvent, generate};

struct Options {
    rooms: u64,
    seed: u64,
    version: Option<&'static RoomVersion>,
    save: String,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\nusage: compare-rooms [--rooms N] [--seed S] [--version V] [--save FILE]");
            return ExitCode::from(2);
        }
    };
    let (tally, saved) = run(&options);
    println!("rooms compared      {}", tally.rooms);
    println!("events judged       {}", tally.events);
    println!(
        "resolutions         {} ({} with a conflict, {} by ruma too)",
        tally.resolutions, tally.conflicted, tally.with_ruma
    );
    for (reason, rooms) in &tally.without_ruma {
        println!("ruma not asked      {rooms} rooms: {reason}");
    }
    println!("disagreements       {}", tally.disagreements.len());
    for disagreement in tally.disagreements.iter().take(20) {
        let [(one, first), (other, second)] = &disagreement.answers;
        println!("\n{}\n  {one}: {first}\n  {other}: {second}", disagreement.question);
    }
    if saved.is_empty() {
        return ExitCode::SUCCESS;
    }
    match std::fs::write(&options.save, saved) {
        Ok(()) => println!("\nsaved to {}", options.save),
        Err(error) => eprintln!("cannot write {}: {error}", options.save),
    }
    ExitCode::FAILURE
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let save = "target/disagreements.jsonl".to_owned();
    let mut options = Options { rooms: 300, seed: 1, version: None, save };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("`{name}` needs a value"))?;
        let number = || value.parse().map_err(|_| format!("`{value}` is not a number"));
        match name.as_str() {
            "--rooms" => options.rooms = number()?,
            "--seed" => options.seed = number()?,
            "--save" => options.save = value,
            "--version" => {
                let version = RoomVersion::find(&value);
                options.version = Some(version.ok_or_else(|| format!("`{value}` is no room version"))?);
            }
            _ => return Err(format!("unknown option `{name}`")),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> (Tally, String) {
    let mut total = Tally::default();
    let mut saved = String::new();
    for seed in options.seed..options.seed.saturating_add(options.rooms) {
        let room = generate(
            seed,
            &GenerateConfig { version: options.version, ..GenerateConfig::with_trouble_of(seed) },
        );
        let tally = compare(&room);
        if let Some(disagreement) = tally.disagreements.first() {
            let _ = writeln!(saved, "{}", disagreement.to_report());
            saved.push_str(&lines(&room));
        }
        total.add(tally);
    }
    (total, saved)
}

fn lines(room: &Room) -> String {
    room.events_in_order().map(RoomEvent::to_report).map(|event| format!("{event}\n")).collect()
}
