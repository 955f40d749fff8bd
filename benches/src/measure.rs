//! Timing two things in turn, so that a machine whose speed drifts slows both. What counts is the time the thread had
//! the processor, so that other work on the machine counts for neither.

use std::{hint::black_box, time::Duration};

use cpu_time::ThreadTime;

/// How long a row is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    rounds: usize,
    round: Duration,
}

impl Effort {
    /// Enough for medians that repeat.
    pub const FULL: Self = Self { rounds: 25, round: Duration::from_millis(8) };
    /// Enough to see that a row runs.
    pub const SMOKE: Self = Self { rounds: 1, round: Duration::from_micros(10) };

    /// Whether only running matters.
    pub(crate) fn is_smoke(self) -> bool {
        self.rounds == 1
    }
}

/// Medians in seconds for one call each.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) ours: f64,
    pub(crate) peer: f64,
    /// Median over the rounds of peer ÷ ours.
    pub(crate) ratio: f64,
}

/// Measures two functions in turn.
pub(crate) fn pair<A, B>(effort: Effort, mut ours: impl FnMut() -> A, mut peer: impl FnMut() -> B) -> Pair {
    let (our_calls, peer_calls) = (calls_per_round(effort, &mut ours), calls_per_round(effort, &mut peer));
    let mut times = Vec::new();
    for _ in 0..effort.rounds {
        times.push((time(our_calls, &mut ours), time(peer_calls, &mut peer)));
    }
    Pair {
        ours: median(times.iter().map(|(ours, _)| *ours)),
        peer: median(times.iter().map(|(_, peer)| *peer)),
        ratio: median(times.iter().map(|(ours, peer)| peer / ours)),
    }
}

/// Measures two functions in turn, of which the peer's needs an input that is made anew for each call and not timed.
pub(crate) fn prepared_pair<A, B, I>(
    effort: Effort,
    mut ours: impl FnMut() -> A,
    mut prepare: impl FnMut() -> I,
    mut peer: impl FnMut(I) -> B,
) -> Pair {
    let our_calls = calls_per_round(effort, &mut ours);
    let mut time_peer = || {
        let input = prepare();
        let started = ThreadTime::now();
        let output = black_box(peer(input));
        let elapsed = started.elapsed().as_secs_f64();
        drop(output);
        elapsed
    };
    // Slow calls need fewer rounds for the same time in all.
    let rounds = (effort.rounds as f64).min(3.0 + 4.0 / time_peer()) as usize;
    let times: Vec<(f64, f64)> =
        (0..rounds.max(1)).map(|_| (time(our_calls, &mut ours), time_peer())).collect();
    Pair {
        ours: median(times.iter().map(|(ours, _)| *ours)),
        peer: median(times.iter().map(|(_, peer)| *peer)),
        ratio: median(times.iter().map(|(ours, peer)| peer / ours)),
    }
}

/// Measures one function: the median in seconds for one call.
pub(crate) fn single<A>(effort: Effort, mut ours: impl FnMut() -> A) -> f64 {
    let calls = calls_per_round(effort, &mut ours);
    median((0..effort.rounds).map(|_| time(calls, &mut ours)))
}

fn calls_per_round<A>(effort: Effort, function: &mut impl FnMut() -> A) -> u32 {
    let once = time(1, function).max(1e-9);
    let calls = effort.round.as_secs_f64() / once;
    calls.clamp(1.0, 1e6) as u32
}

fn time<A>(calls: u32, function: &mut impl FnMut() -> A) -> f64 {
    let started = ThreadTime::now();
    for _ in 0..calls {
        black_box(function());
    }
    started.elapsed().as_secs_f64() / f64::from(calls)
}

/// The middle value.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
