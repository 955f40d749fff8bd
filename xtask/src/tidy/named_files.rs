//! `ARCHITECTURE.md` names files; one that is moved must be moved there too.

use super::{Finding, sources::Source};

const MAP: &str = "ARCHITECTURE.md";

/// Finds names of files and folders that are not where the map has them.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(map) = sources.iter().find(|source| source.path == MAP) else {
        return vec![format!("{MAP} is missing")];
    };
    let is_there = |(below, name): &(&str, &str)| {
        let place = format!("/{name}");
        let is_named =
            |path: &str| if name.ends_with('/') { path.contains(&place) } else { path.ends_with(&place) };
        sources.iter().any(|source| source.path.starts_with(below) && is_named(&source.path))
    };
    let missing = named_files(&map.text).into_iter().filter(|named| !is_there(named));
    missing.map(|(below, name)| format!("{MAP}: there is no `{name}` below `{below}`")).collect()
}

/// The names of files and folders between backticks, each with the folder that its item of the list is about.
fn named_files(map: &str) -> Vec<(&str, &str)> {
    let (mut named, mut below) = (Vec::new(), "");
    for line in map.lines() {
        let mut names = line.split('`').skip(1).step_by(2);
        if line.starts_with("- `") {
            below = names.next().unwrap_or_default();
        } else if !line.starts_with(' ') {
            below = "";
        }
        let is_file = |name: &&str| name.ends_with(".rs") || name.ends_with('/');
        named.extend(names.filter(is_file).map(|name| (below, name)));
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_elsewhere_are_found() {
        let map = "- `crates/a`: `one.rs` and `gone.rs`,\n  `folder/` and `two.rs`\n\n1. `a/src/one.rs`, `other.rs`\n";
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let sources = [
            source(MAP, map),
            source("crates/a/src/one.rs", ""),
            source("crates/a/src/folder/three.rs", ""),
            source("crates/b/src/two.rs", ""),
            source("crates/b/src/other.rs", ""),
        ];
        let missing = ["`gone.rs` below `crates/a`", "`two.rs` below `crates/a`"];
        assert_eq!(check(&sources), missing.map(|what| format!("{MAP}: there is no {what}")));
    }
}
