//! Runs every fuzz harness on its seeds (`fuzz/seeds/<target>/`) and on a fixed number of mutations
//! of them: what continuous integration does on stable Rust. Always the same inputs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::{fs, path::Path, process::ExitCode};

use freehold_spec_tests::fuzz::HARNESSES;
use freehold_testkit::Rng;

fn main() -> ExitCode {
    for (name, harness) in HARNESSES {
        let seeds = match seeds(name) {
            Ok(seeds) if !seeds.is_empty() => seeds,
            Ok(_) => {
                eprintln!("fuzz/seeds/{name} is empty");
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("fuzz/seeds/{name}: {error}");
                return ExitCode::FAILURE;
            }
        };
        let mutations = match *name {
            "resolve_versus_twin" => 60,
            "state_map_operations" => 500,
            _ => 20_000,
        };
        let mut rng = Rng::new(1).fork(name);
        let mutated = std::iter::repeat_with(|| mutated(&seeds, &mut rng)).take(mutations);
        let mut inputs = seeds.iter().cloned().chain(mutated);
        if let Some(input) = inputs.find(|input| std::panic::catch_unwind(|| harness(input)).is_err()) {
            eprintln!("{name} fails on: {}", input.escape_ascii());
            return ExitCode::FAILURE;
        }
        println!("{name}: {} seeds, {mutations} mutations", seeds.len());
    }
    ExitCode::SUCCESS
}

/// The seeds of a target in the order of their names.
fn seeds(target: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut paths =
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().map(fs::read).collect()
}

/// A seed with a few bytes changed, taken out, put in, or replaced by a piece of another seed.
fn mutated(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = rng.pick(seeds).cloned().unwrap_or_default();
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(bytes.len() + 1).min(bytes.len());
        let until = (at + rng.below(8)).min(bytes.len());
        match rng.below(4) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.below(8);
                }
            }
            1 => drop(bytes.drain(at..until)),
            2 => {
                let tokens: [&[u8]; 10] =
                    [b"\"", b"\\u0000", b"-0", b"1e9", b"{", b"}", b"[]", b",", b"null", b"\xff"];
                bytes.splice(at..at, rng.pick(&tokens).copied().unwrap_or_default().iter().copied());
            }
            _ => {
                let other = rng.pick(seeds).cloned().unwrap_or_default();
                let from = rng.below(other.len() + 1).min(other.len());
                let piece: Vec<u8> = other.into_iter().skip(from).take(rng.below(40)).collect();
                bytes.splice(at..until, piece);
            }
        }
    }
    bytes
}
