//! The table: a line per row as soon as it is measured, and all of it as JSON at the end.

use serde_json::{Value, json};

use crate::measure::{self, Effort, Pair};

/// What the command line asked for.
pub struct Bench {
    /// How long rows are measured.
    pub effort: Effort,
    /// Only rows whose name, or the name of whose group, contains this text.
    pub only: String,
}

/// What a row must reach.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// The peer takes at least this many times as long.
    TimesFaster(f64),
    /// We take at most this many times as long as the peer.
    TimesSlowerAtMost(f64),
    /// One call takes at most this many seconds.
    Seconds(f64),
    /// At most this many bytes.
    Bytes(f64),
    /// At least this many bytes in a second.
    BytesPerSecond(f64),
    /// At most this value.
    AtMost(f64),
    /// Shown for comparison.
    None,
}

/// The rows measured so far.
pub struct Table {
    bench: Bench,
    rows: Vec<Value>,
    group: String,
}

/// A measured row before its verdict.
struct Row<'a> {
    name: &'a str,
    ours: String,
    peer: String,
    reached: f64,
    target: Target,
    /// Why the target cannot be reached, and how that was found; empty where it can.
    limit: &'a str,
}

impl Table {
    /// A table without rows.
    pub fn new(bench: Bench) -> Self {
        Self { bench, rows: Vec::new(), group: String::new() }
    }

    /// Starts a group of rows.
    pub fn begin_group(&mut self, name: &str) {
        self.group = name.to_owned();
        println!(
            "\n## {name}\n\n| what | ours | peer | reached | target | verdict |\n|---|---|---|---|---|---|"
        );
    }

    /// How long rows are measured.
    pub(crate) fn effort(&self) -> Effort {
        self.bench.effort
    }

    /// Whether a row with this name is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        name.contains(&self.bench.only) || self.group.contains(&self.bench.only)
    }

    /// Measures ours and a peer in turn.
    pub(crate) fn against<A, B>(
        &mut self,
        name: &str,
        target: Target,
        ours: impl FnMut() -> A,
        peer: impl FnMut() -> B,
    ) {
        if self.wants(name) {
            let pair = measure::pair(self.bench.effort, ours, peer);
            self.add_pair(name, target, pair);
        }
    }

    /// Adds a pair that was measured elsewhere.
    pub(crate) fn add_pair(&mut self, name: &str, target: Target, pair: Pair) {
        self.add_pair_with_limit(name, (target, ""), pair);
    }

    /// [`Table::add_pair`], and what the limit is when the target is not reached.
    pub(crate) fn add_pair_with_limit(&mut self, name: &str, (target, limit): (Target, &str), pair: Pair) {
        let reached = if let Target::TimesSlowerAtMost(_) = target { 1.0 / pair.ratio } else { pair.ratio };
        let (ours, peer) = (seconds(pair.ours), seconds(pair.peer));
        self.add(&Row { name, ours, peer, reached, target, limit });
    }

    /// Measures ours alone; `bytes` is what one call goes through, for throughput.
    pub(crate) fn alone<A>(&mut self, name: &str, target: Target, bytes: usize, ours: impl FnMut() -> A) {
        if self.wants(name) {
            let time = measure::single(self.bench.effort, ours);
            let reached = if let Target::BytesPerSecond(_) = target { bytes as f64 / time } else { time };
            let ours = seconds(time);
            self.add(&Row { name, ours, peer: NO_PEER.into(), reached, target, limit: "" });
        }
    }

    /// Adds a time that was measured elsewhere.
    pub(crate) fn add_single(&mut self, name: &str, target: Target, time: f64) {
        let ours = seconds(time);
        self.add(&Row { name, ours, peer: NO_PEER.into(), reached: time, target, limit: "" });
    }

    /// Adds a figure that is no time.
    pub(crate) fn figure(&mut self, name: &str, target: Target, reached: f64) {
        if self.wants(name) {
            let ours = shown(target, reached);
            self.add(&Row { name, ours, peer: NO_PEER.into(), reached, target, limit: "" });
        }
    }

    /// Adds rows that the program `memory` printed: name, bytes, and the most they may be, if there is a limit.
    pub fn add_printed(&mut self, lines: &str) {
        for line in lines.lines() {
            let mut fields = line.split('\t');
            let (name, bytes, limit) = (fields.next().unwrap_or_default(), fields.next(), fields.next());
            let bytes = bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or(f64::NAN);
            let target = limit.and_then(|limit| limit.parse().ok()).map_or(Target::None, Target::Bytes);
            let ours = format!("{bytes:.0} bytes");
            if self.wants(name) {
                self.add(&Row { name, ours, peer: NO_PEER.into(), reached: bytes, target, limit: "" });
            }
        }
    }

    fn add(&mut self, row: &Row<'_>) {
        let verdict = if self.bench.effort.is_smoke() { "ran".to_owned() } else { verdict(row) };
        let (reached, wanted) = (reached(row), wanted(row.target));
        println!("| {} | {} | {} | {reached} | {wanted} | {verdict} |", row.name, row.ours, row.peer);
        self.rows.push(json!({
            "group": self.group, "row": row.name, "ours": row.ours, "peer": row.peer, "reached": row.reached,
            "target": wanted, "verdict": verdict,
        }));
    }

    /// A line that counts the verdicts.
    pub fn summary(&self) -> String {
        let count = |wanted: &str| {
            let verdicts = self.rows.iter().filter_map(|row| row["verdict"].as_str());
            verdicts.filter(|verdict| verdict.starts_with(wanted)).count()
        };
        format!("{} rows: {} PASS, {} short of the target", self.rows.len(), count("PASS"), count("short"))
    }

    /// All rows.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", Value::Array(self.rows.clone()))
    }
}

/// What stands in the place of a peer when there is none.
const NO_PEER: &str = "–";

/// Without a target only a ratio says more than the columns before it.
fn reached(row: &Row<'_>) -> String {
    match row.target {
        Target::None if row.peer == NO_PEER => "–".into(),
        Target::None => shown(Target::TimesFaster(1.0), row.reached),
        target => shown(target, row.reached),
    }
}

fn verdict(row: &Row<'_>) -> String {
    let (enough, wanted) = match row.target {
        Target::TimesFaster(wanted) | Target::BytesPerSecond(wanted) => (row.reached >= wanted, wanted),
        Target::TimesSlowerAtMost(wanted)
        | Target::Seconds(wanted)
        | Target::Bytes(wanted)
        | Target::AtMost(wanted) => (row.reached <= wanted, wanted),
        Target::None => return "–".into(),
    };
    if enough {
        return "PASS".into();
    }
    let share = 100.0 * row.reached / wanted;
    let before_limit = if row.limit.is_empty() { "" } else { "; " };
    format!("short: {share:.0} % of the target{before_limit}{}", row.limit)
}

fn shown(target: Target, reached: f64) -> String {
    match target {
        Target::TimesFaster(_) => format!("{reached:.2} × faster"),
        Target::TimesSlowerAtMost(_) => format!("{reached:.3} × the time"),
        Target::Seconds(_) => seconds(reached),
        Target::Bytes(_) => format!("{reached:.0} bytes"),
        Target::BytesPerSecond(_) => format!("{:.2} GB/s", reached / 1e9),
        Target::AtMost(_) | Target::None => format!("{reached:.2}"),
    }
}

fn wanted(target: Target) -> String {
    match target {
        Target::TimesFaster(wanted) => format!("≥ {wanted} ×"),
        Target::TimesSlowerAtMost(wanted) => format!("≤ {wanted} ×"),
        Target::Seconds(wanted) => format!("≤ {}", seconds(wanted)),
        Target::Bytes(wanted) => format!("≤ {wanted:.0} bytes"),
        Target::BytesPerSecond(wanted) => format!("≥ {:.0} GB/s", wanted / 1e9),
        Target::AtMost(wanted) => format!("≤ {wanted}"),
        Target::None => "–".into(),
    }
}

fn seconds(time: f64) -> String {
    match time {
        time if time < 1e-6 => format!("{:.0} ns", time * 1e9),
        time if time < 1e-3 => format!("{:.2} µs", time * 1e6),
        time => format!("{:.2} ms", time * 1e3),
    }
}
