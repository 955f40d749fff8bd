//! Names that say nothing, and words that have no place in the product.

use super::{Finding, sources::Source};

const BANNED_NAMES: &[&str] = &["util", "utils", "common", "manager", "helper", "helpers", "misc", "core"];

/// Finds files, folders and types with banned names, and paths of somebody's machine.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().flat_map(|source| path_findings(source).chain(text_findings(source))).collect()
}

fn path_findings(source: &Source) -> impl Iterator<Item = Finding> + '_ {
    source.path.split(['/', '.']).filter(|part| is_banned(part)).map(|part| {
        format!("{}: `{part}` names nothing; put the code with the type that it serves", source.path)
    })
}

fn is_banned(name: &str) -> bool {
    name.split(['-', '_']).any(|word| BANNED_NAMES.contains(&word.to_ascii_lowercase().as_str()))
}

fn text_findings(source: &Source) -> impl Iterator<Item = Finding> + '_ {
    let lines = source.text.lines().enumerate().filter(|_| source.is_rust());
    lines.flat_map(move |(index, line)| {
        let place = format!("{}:{}", source.path, index + 1);
        let type_name = declared_type(line).filter(|name| has_banned_ending(name));
        let named = type_name.map(|name| format!("{place}: type `{name}` is named after no concept"));
        let home = ["/home", "/root", "/work"].map(|folder| format!("\"{folder}/"));
        let machine = home.iter().any(|folder| line.contains(folder.as_str()));
        named.into_iter().chain(machine.then(|| format!("{place}: a path of one machine")))
    })
}

fn declared_type(line: &str) -> Option<&str> {
    let words = line.split_whitespace().collect::<Vec<_>>();
    let keyword = words.iter().position(|word| ["struct", "enum", "trait"].contains(word))?;
    let name = words.get(keyword + 1)?;
    name.split(|c: char| !c.is_alphanumeric()).next()
}

fn has_banned_ending(name: &str) -> bool {
    ["Manager", "Helper", "Util", "Utils"].iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        check(&[Source { path: path.into(), text: text.into() }]).len()
    }

    #[test]
    fn names_without_meaning_are_found_in_paths_and_types() {
        assert_eq!(findings("crates/event/src/pdu.rs", "pub struct Pdu {"), 0);
        assert_eq!(findings("crates/event/src/utils.rs", ""), 1);
        assert_eq!(findings("crates/room-helper/src/lib.rs", ""), 1);
        let declaration = ["pub(crate) struct Room", "Manager<T> {"].concat();
        assert_eq!(findings("a.rs", &declaration), 1);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let folder = ["\"/ho", "me/me/x\""].concat();
        assert_eq!(findings("a.rs", &format!("let x = {folder};")), 1);
    }
}
