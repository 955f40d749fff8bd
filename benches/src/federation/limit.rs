//! The limit: how fast ed25519-dalek alone verifies on this machine.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

use super::Run;
use crate::rows::{Row, Target, Unit};

/// How many processors the limits are about.
pub(crate) const CORES: usize = 2;

/// About as many bytes of an event are signed.
pub(crate) const SIGNED_BYTES: usize = 600;

/// The limit itself, for comparison.
pub(crate) fn rows(run: &Run) -> Vec<Row<'static>> {
    let signatures = Signatures::of_length(SIGNED_BYTES);
    let time = run.amount(Duration::from_millis(500), Duration::from_millis(1));
    let row = |what, unit, ours| Row {
        what,
        unit,
        ours: Ok(ours),
        peers: Vec::new(),
        target: Target::None,
        reason: String::new(),
    };
    vec![
        row(
            "ed25519-dalek alone: signatures on two cores",
            Unit::PerSecond,
            signatures.per_second(CORES, time),
        ),
        row(
            "ed25519-dalek alone: one signature on one core",
            Unit::Seconds,
            signatures.core_seconds(run.amount(100, 1)),
        ),
    ]
}

/// Texts with signatures, as long as those of events.
pub(crate) struct Signatures {
    key: VerifyingKey,
    signed: Vec<(Vec<u8>, ed25519_dalek::Signature)>,
}

impl Signatures {
    /// Signatures of texts of this length.
    pub(crate) fn of_length(bytes: usize) -> Self {
        let key = SigningKey::from_bytes(&[42; 32]);
        let text = |number: u8| -> Vec<u8> { (0..bytes).map(|at| number.wrapping_add(at as u8)).collect() };
        let signed = (0..64).map(|number| {
            let text = text(number);
            let signature = key.sign(&text);
            (text, signature)
        });
        Signatures { key: key.verifying_key(), signed: signed.collect() }
    }

    /// How many signatures are verified in a second on this many cores at once.
    pub(crate) fn per_second(&self, cores: usize, time: Duration) -> f64 {
        let started = Instant::now();
        let count = || {
            let mut count = 0_u64;
            while started.elapsed() < time {
                count += self.verify_all();
            }
            count
        };
        let total: u64 = thread::scope(|scope| {
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(count)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap_or_default()).sum()
        });
        total as f64 / started.elapsed().as_secs_f64()
    }

    /// How many seconds of a core one verification takes.
    pub(crate) fn core_seconds(&self, rounds: usize) -> f64 {
        let started = ThreadTime::now();
        let verified: u64 = (0..rounds).map(|_| self.verify_all()).sum();
        started.elapsed().as_secs_f64() / verified as f64
    }

    fn verify_all(&self) -> u64 {
        for (text, signature) in &self.signed {
            let verdict = self.key.verify_strict(black_box(text), signature);
            assert!(verdict.is_ok(), "a signature that was just made does not match");
        }
        self.signed.len() as u64
    }
}
