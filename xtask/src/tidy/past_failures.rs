//! The list of past failures names tests; a test that is renamed must be renamed there too.

use super::{Finding, sources::Source};

const LIST: &str = "docs/past-failures.md";

/// Finds names of tests that no source has.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(list) = sources.iter().find(|source| source.path == LIST) else {
        return vec![format!("{LIST} is missing")];
    };
    let has_test = |name: &str| {
        let declaration = format!("fn {name}(");
        sources.iter().any(|source| source.is_rust() && source.text.contains(&declaration))
    };
    let missing = named_tests(&list.text).filter(|name| !has_test(name));
    missing.map(|name| format!("{LIST}: there is no test `{name}`")).collect()
}

/// What stands between backticks in the last column of the tables.
fn named_tests(list: &str) -> impl Iterator<Item = &str> {
    let rows = list.lines().filter(|line| line.starts_with('|'));
    rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next())
        .flat_map(|column| column.split('`').skip(1).step_by(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_do_not_exist_are_found() {
        let list = "| what | design | tests |\n|---|---|---|\n| `x` | `y` | `exists`, `gone` |\n";
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let sources = [source(LIST, list), source("a.rs", "fn exists() {}")];
        assert_eq!(check(&sources), [format!("{LIST}: there is no test `gone`")]);
    }
}
