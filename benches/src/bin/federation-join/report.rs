//! What was measured, beside what must be reached.

use std::hint::black_box;

use cpu_time::ThreadTime;
use ed25519_dalek::{Signer as _, SigningKey, Verifier as _};
use serde_json::{Value, json};

use crate::conditions::Conditions;
use crate::joined::Joined;

/// What must be reached.
const USABLE_SECONDS_MAX: f64 = 2.0;
const LIMITS_MAX: f64 = 5.0;
const EXTRA_BYTES_MAX: f64 = 150e6;
const SYNAPSE_TIMES_MIN: f64 = 10.0;

/// How long signatures alone take, with all processors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) signatures: usize,
    /// Seconds of one processor for one.
    pub(crate) one: f64,
    pub(crate) processors: usize,
}

impl Limit {
    /// Measures one signature of many keys.
    pub(crate) fn measure(signatures: usize) -> Self {
        const KEYS: u8 = 64;
        const ROUNDS: usize = 20;
        let message = [b'x'; 700];
        let keys: Vec<SigningKey> = (0..KEYS).map(|key| SigningKey::from_bytes(&[key; 32])).collect();
        let signed: Vec<_> = keys.iter().map(|key| (key.verifying_key(), key.sign(&message))).collect();
        let started = ThreadTime::now();
        for _ in 0..ROUNDS {
            for (key, signature) in &signed {
                black_box(key.verify(black_box(&message), signature).is_ok());
            }
        }
        let one = started.elapsed().as_secs_f64() / (ROUNDS * signed.len()) as f64;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Limit { signatures, one, processors }
    }

    fn seconds(self) -> f64 {
        self.signatures as f64 * self.one / self.processors as f64
    }
}

/// Everything that was measured.
pub(crate) struct Report {
    pub(crate) limit: Limit,
    pub(crate) conditions: Conditions,
    pub(crate) ours: Vec<Joined>,
    pub(crate) synapse: Option<Joined>,
    pub(crate) is_smoke: bool,
}

impl Report {
    /// The lines of a table.
    pub(crate) fn text(&self) -> String {
        let limit = self.limit.seconds();
        let (usable, complete) = (self.median(|joined| joined.usable), self.median(|joined| joined.complete));
        let extra = self.median(|joined| joined.extra_bytes);
        let mut lines = vec![
            format!(
                "signature limit: {} × {:.1} µs ÷ {} = {limit:.3} s",
                self.limit.signatures,
                self.limit.one * 1e6,
                self.limit.processors
            ),
            self.row(
                "usable",
                usable <= USABLE_SECONDS_MAX,
                format!("{usable:.2} s, at most {USABLE_SECONDS_MAX} s"),
            ),
            self.row(
                "complete, durable, verified",
                complete <= LIMITS_MAX * limit,
                format!("{complete:.2} s = {:.1} × the limit, at most {LIMITS_MAX} ×", complete / limit),
            ),
            self.row(
                "peak extra memory",
                extra <= EXTRA_BYTES_MAX,
                format!("{:.0} MB, at most {:.0} MB", extra / 1e6, EXTRA_BYTES_MAX / 1e6),
            ),
        ];
        match self.synapse {
            Some(synapse) => {
                let times = synapse.complete / complete;
                let words = format!(
                    "complete after {:.1} s = {times:.1} × ours, at least {SYNAPSE_TIMES_MIN} ×; usable after {:.2} s \
                     = {:.1} × ours",
                    synapse.complete,
                    synapse.usable,
                    synapse.usable / usable
                );
                lines.push(self.row("Synapse, the same room", times >= SYNAPSE_TIMES_MIN, words));
            }
            None => lines.push("Synapse: not measured".to_owned()),
        }
        lines.push(format!("measured with {}", self.conditions.words()));
        lines.join("\n")
    }

    fn row(&self, name: &str, is_reached: bool, words: String) -> String {
        let verdict = match (self.is_smoke, is_reached) {
            (true, _) => "RAN",
            (false, true) => "PASS",
            (false, false) => "MISSED",
        };
        format!("{verdict:6} {name}: {words}")
    }

    fn median(&self, of: impl Fn(&Joined) -> f64) -> f64 {
        let mut values: Vec<f64> = self.ours.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// All figures.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "signatures": self.limit.signatures, "verify_seconds": self.limit.one,
            "processors": self.limit.processors, "limit_seconds": self.limit.seconds(),
            "load_before": self.conditions.load,
            "ours": self.ours.iter().map(|joined| joined.to_json()).collect::<Vec<_>>(),
            "synapse": self.synapse.map(Joined::to_json),
        })
    }
}
