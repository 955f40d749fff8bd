//! Where results go: as text for people or as JSON for programs.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use crate::failure::{FINDINGS, Failure, SUCCESS};

/// What a command found.
pub(crate) trait Report {
    /// The result for people.
    fn text(&self, out: &mut dyn Write) -> io::Result<()>;

    /// The same for programs: one JSON value.
    fn json(&self) -> Value;

    /// Whether the command found what it looks for (an invalid event, a disagreement).
    fn has_findings(&self) -> bool {
        false
    }
}

/// Prints a report to standard output.
pub(crate) fn print(report: &dyn Report, json: bool) -> Result<ExitCode, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    write_report(report, json, &mut out).map_err(Failure::stdout)?;
    Ok(exit_code(report))
}

/// Prints a report about what was written to `output`: to standard error when that is standard output.
pub(crate) fn print_beside(report: &dyn Report, json: bool, output: &Path) -> Result<ExitCode, Failure> {
    if output.as_os_str() != "-" {
        return print(report, json);
    }
    let written = write_report(report, json, &mut io::stderr().lock());
    written.map_err(|source| Failure::Write { path: "standard error".to_owned(), source })?;
    Ok(exit_code(report))
}

fn write_report(report: &dyn Report, json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, &report.json())?;
        writeln!(out)?;
    } else {
        report.text(out)?;
    }
    out.flush()
}

fn exit_code(report: &dyn Report) -> ExitCode {
    ExitCode::from(if report.has_findings() { FINDINGS } else { SUCCESS })
}

/// Writes a whole file, or standard output for `-`.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
    if path.as_os_str() == "-" {
        let mut out = io::stdout().lock();
        return out.write_all(content).and_then(|()| out.flush()).map_err(Failure::stdout);
    }
    let failure = |source| Failure::Write { path: path.display().to_string(), source };
    let mut file = File::create(path).map_err(failure)?;
    file.write_all(content).and_then(|()| file.flush()).map_err(failure)
}

/// Rows of text in columns.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.iter().map(|cell| one_line(cell)).collect());
    }

    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Text from a room can hold anything: nothing of it may move the cursor or begin a new line.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
