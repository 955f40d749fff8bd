//! How fast requests are sent, and what came of it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::http::Outcome;

/// When to end.
#[derive(Clone, Copy)]
pub(crate) struct Bound {
    /// After so many requests.
    pub(crate) count: usize,
    /// After so many seconds.
    pub(crate) seconds: u64,
}

/// Requests that were answered.
#[derive(Clone, Debug)]
pub(crate) struct Paced {
    /// Seconds that each took, ascending.
    times: Vec<f64>,
    /// Seconds that all took.
    seconds: f64,
}

impl Paced {
    /// From what each took, and what all took.
    pub(crate) fn new(mut times: Vec<f64>, seconds: f64) -> Self {
        times.sort_by(f64::total_cmp);
        Paced { times, seconds }
    }

    /// Several as one.
    pub(crate) fn all(parts: Vec<Self>) -> Self {
        let seconds = parts.iter().map(|part| part.seconds).sum();
        Paced::new(parts.into_iter().flat_map(|part| part.times).collect(), seconds)
    }

    pub(crate) fn count(&self) -> usize {
        self.times.len()
    }

    /// Requests in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.seconds
    }

    /// Seconds that this share of the requests did not exceed.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let rank = (self.times.len() as f64 * share).ceil() as usize;
        self.times.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "count": self.count(), "seconds": self.seconds, "per_second": self.rate(),
            "p50_ms": self.percentile(0.5) * 1e3, "p99_ms": self.percentile(0.99) * 1e3,
        })
    }
}

/// Sends requests one after the other from each of `workers`, until the bound is reached. `act` is given the number of
/// the worker and of the request. What it returns is returned with the times.
pub(crate) async fn closed<T, F>(
    workers: usize,
    bound: Bound,
    act: impl Fn(usize, usize) -> F + Send + Sync + 'static,
) -> Outcome<(Paced, Vec<T>)>
where
    T: Send + 'static,
    F: Future<Output = Outcome<T>> + Send,
{
    let (act, next) = (Arc::new(act), Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    let deadline = started + Duration::from_secs(bound.seconds);
    let mut tasks = JoinSet::new();
    for worker in 0..workers {
        let (act, next) = (Arc::clone(&act), Arc::clone(&next));
        tasks.spawn(async move {
            let mut done = Vec::new();
            while Instant::now() < deadline {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= bound.count {
                    break;
                }
                let begun = Instant::now();
                let result = act(worker, number).await?;
                done.push((begun.elapsed().as_secs_f64(), result));
            }
            Outcome::Ok(done)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done.map_err(|error| error.to_string())??);
    }
    let seconds = started.elapsed().as_secs_f64();
    let (times, results) = all.into_iter().unzip();
    Ok((Paced::new(times, seconds), results))
}
