//! A configuration file with every setting, what it means and its default, made from the settings themselves.

use std::fmt::Write as _;

use super::settings::{Bounds, Config, Listener, Log, RateLimits, Row};

/// The text of the reference. Every setting is commented out: with `#=` if what follows is the default, else with `#`.
pub(crate) fn reference() -> String {
    let mut text = String::from(HEAD);
    doc(&mut text, Config::ABOUT);
    text.push('\n');
    let simple = |row: &&Row| !matches!(row.key, "log" | "listener" | "limits" | "rate_limits");
    table(&mut text, Config::ROWS.iter().filter(simple));
    let tables = [
        ("[[listener]]", Listener::ABOUT, Listener::ROWS),
        ("[limits]", Bounds::ABOUT, Bounds::ROWS),
        ("[rate_limits]", RateLimits::ABOUT, RateLimits::ROWS),
        ("[log]", Log::ABOUT, Log::ROWS),
    ];
    for (head, about, rows) in tables {
        doc(&mut text, about);
        let _ = writeln!(text, "#= {head}");
        table(&mut text, rows.iter());
    }
    text
}

const HEAD: &str = "\
# Every setting of Freehold. Without a file, and for everything that a file leaves out, the defaults hold: they are
# the lines that begin with `#=`. Lines that begin with `#` and a setting are examples of what has no default.
#
# What belongs to a tenant is not here: see `freehold tenant policy --help`.

";

fn table<'a>(text: &mut String, rows: impl Iterator<Item = &'a Row>) {
    for row in rows {
        doc(text, row.doc);
        let mark = if row.is_default { "#=" } else { "#" };
        let _ = writeln!(text, "{mark} {} = {}\n", row.key, row.shown);
    }
}

fn doc(text: &mut String, lines: &[&str]) {
    for line in lines {
        let _ = writeln!(text, "#{line}");
    }
}
