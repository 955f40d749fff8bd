//! The table of programs that measure whole servers: what was measured, what must be reached, and whether it is.

use serde_json::{Value, json};

/// What goes wrong, as a sentence.
pub type Outcome<T> = Result<T, String>;

/// What must be reached.
#[derive(Clone, Copy)]
pub enum Target {
    /// The figure is at most this much.
    AtMost(f64),
    /// The figure is at least this much.
    AtLeast(f64),
    /// The figure is at least this many times as large as the peer's.
    TimesAtLeast(f64),
    /// The figure is at most this many times as large as the peer's.
    TimesAtMost(f64),
    /// Shown for comparison.
    None,
}

/// What a figure is.
#[derive(Clone, Copy)]
pub enum Unit {
    /// Bytes, shown in megabytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// So many in a second.
    PerSecond,
    /// A ratio.
    Times,
    /// A part of a whole, from 0 to 1.
    Share,
    /// A number of things.
    Count,
}

/// A row before its verdict.
pub struct Row<'a> {
    /// What is measured.
    pub what: &'a str,
    /// In what it is measured.
    pub unit: Unit,
    /// What we reached, or why it could not be measured.
    pub ours: Outcome<f64>,
    /// Each peer's figure; what counts is the last that there is.
    pub peers: Vec<Outcome<f64>>,
    /// What must be reached.
    pub target: Target,
    /// What is known of why the target is not reached, if it is not.
    pub reason: String,
}

/// The rows so far.
pub struct Table {
    rows: Vec<Value>,
    lines: Vec<String>,
    peers: Vec<&'static str>,
    is_smoke: bool,
}

impl Table {
    /// A table without rows, with a column for each of some peers. With `is_smoke` no verdict is given.
    pub fn new(peers: Vec<&'static str>, is_smoke: bool) -> Self {
        Table { rows: Vec::new(), lines: Vec::new(), peers, is_smoke }
    }

    /// Adds a row with its verdict.
    pub fn add(&mut self, row: &Row<'_>) {
        let peer = row.peers.iter().rev().find_map(|peer| peer.as_ref().ok().copied());
        let ours = row.ours.as_ref().ok().copied();
        let ratio = ours.zip(peer).map(|(ours, peer)| ours / peer);
        let verdict = match &row.ours {
            Err(reason) => format!("FAILED: {reason}"),
            Ok(_) if self.is_smoke => "ran".into(),
            Ok(ours) => verdict(row, *ours, ratio),
        };
        let cell =
            |figure: &Outcome<f64>| figure.as_ref().map_or("–".into(), |figure| shown(row.unit, *figure));
        let peers: Vec<String> = row.peers.iter().map(&cell).collect();
        let mut cells = vec![row.what.to_owned(), cell(&row.ours)];
        cells.extend((0..self.peers.len()).map(|place| peers.get(place).cloned().unwrap_or("–".into())));
        cells.extend([ratio.map_or("–".into(), times), wanted(row), verdict.clone()]);
        self.lines.push(format!("| {} |", cells.join(" | ")));
        let figure = |figure: &Outcome<f64>| match figure {
            Ok(figure) => json!(figure),
            Err(reason) => json!({"failed": reason}),
        };
        let of_peers: Vec<Value> = row.peers.iter().map(figure).collect();
        self.rows.push(json!({
            "row": row.what, "ours": figure(&row.ours), "peers": of_peers, "ratio": ratio, "target": wanted(row),
            "verdict": verdict,
        }));
    }

    /// The row that was added last, as it is printed.
    pub fn last_line(&self) -> Option<&str> {
        self.lines.last().map(String::as_str)
    }

    /// The table as it is printed.
    pub fn text(&self) -> String {
        let mut head = vec!["what", "ours"];
        head.extend(&self.peers);
        head.extend(["ours ÷ peer", "target", "verdict"]);
        let rule = "---|".repeat(head.len());
        format!("| {} |\n|{rule}\n{}\n", head.join(" | "), self.lines.join("\n"))
    }

    /// How many rows there are of each verdict.
    pub fn summary(&self) -> String {
        let count = |word| self.count(word);
        format!(
            "{} rows: {} PASS, {} short of the target, {} failed",
            self.rows.len(),
            count("PASS"),
            count("short"),
            count("FAILED")
        )
    }

    /// How many verdicts begin with a word.
    pub fn count(&self, word: &str) -> usize {
        let verdicts = self.rows.iter().filter_map(|row| row.get("verdict").and_then(Value::as_str));
        verdicts.filter(|verdict| verdict.starts_with(word)).count()
    }

    /// The rows as JSON.
    pub fn rows(&self) -> &[Value] {
        &self.rows
    }
}

fn verdict(row: &Row<'_>, ours: f64, ratio: Option<f64>) -> String {
    let (reached, wanted, is_enough) = match (row.target, ratio) {
        (Target::AtMost(most), _) => (ours, most, ours <= most),
        (Target::AtLeast(least), _) => (ours, least, ours >= least),
        (Target::TimesAtLeast(least), Some(ratio)) => (ratio, least, ratio >= least),
        (Target::TimesAtMost(most), Some(ratio)) => (ratio, most, ratio <= most),
        (Target::None, _) => return "–".into(),
        (_, None) => return "no peer".into(),
    };
    if is_enough {
        return "PASS".into();
    }
    let reason = if row.reason.is_empty() { "the reason is not known" } else { &row.reason };
    format!("short: {:.0} % of the target; {reason}", 100.0 * reached / wanted)
}

fn wanted(row: &Row<'_>) -> String {
    match row.target {
        Target::AtMost(most) => format!("≤ {}", shown(row.unit, most)),
        Target::AtLeast(least) => format!("≥ {}", shown(row.unit, least)),
        Target::TimesAtLeast(least) => format!("≥ {least} ×"),
        Target::TimesAtMost(most) if most < 1.0 => format!("≤ 1/{:.0}", 1.0 / most),
        Target::TimesAtMost(most) => format!("≤ {most} ×"),
        Target::None => "–".into(),
    }
}

fn times(ratio: f64) -> String {
    if ratio >= 0.5 { format!("{ratio:.2} ×") } else { format!("1/{:.1}", 1.0 / ratio) }
}

/// A figure for people.
pub fn shown(unit: Unit, figure: f64) -> String {
    match unit {
        Unit::Bytes => format!("{:.2} MB", figure / 1e6),
        Unit::Seconds if figure < 1e-3 => format!("{:.0} µs", figure * 1e6),
        Unit::Seconds => format!("{:.2} ms", figure * 1e3),
        Unit::PerSecond => format!("{figure:.1}/s"),
        Unit::Times => format!("{figure:.3} ×"),
        Unit::Share => format!("{:.2} %", figure * 100.0),
        Unit::Count => format!("{figure:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_held_against_the_last_peer_that_there_is() {
        let mut table = Table::new(vec!["one", "other"], false);
        let reason = || "it rained".to_owned();
        let row = |target, peers| Row {
            what: "x",
            unit: Unit::PerSecond,
            ours: Ok(100.0),
            peers,
            target,
            reason: reason(),
        };
        table.add(&row(Target::TimesAtLeast(50.0), vec![Ok(1.0), Ok(2.0)]));
        table.add(&row(Target::TimesAtLeast(50.0), vec![Ok(1.0), Ok(4.0)]));
        table.add(&row(Target::TimesAtLeast(50.0), vec![Ok(1.0), Err("it is not installed".into())]));
        table.add(&row(Target::TimesAtLeast(50.0), vec![]));
        table.add(&row(Target::AtMost(99.0), vec![]));
        let verdicts: Vec<&str> = table.rows().iter().filter_map(|row| row["verdict"].as_str()).collect();
        assert_eq!(
            verdicts,
            [
                "PASS",
                "short: 50 % of the target; it rained",
                "PASS",
                "no peer",
                "short: 101 % of the target; it rained"
            ]
        );
    }
}
