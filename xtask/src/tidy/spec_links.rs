//! Links to the specification all name one version, so that a step up is one change.

use super::{Finding, sources::Source};

const SITE: &str = "spec.matrix.org/";
const VERSION: &str = "v1.19/";

/// Finds links to another version of the specification.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let checked = |source: &&Source| source.is_rust() || source.path.ends_with(".md");
    sources.iter().filter(checked).flat_map(check_one).collect()
}

fn check_one(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        for (at, _) in line.match_indices(SITE) {
            let target = line.get(at + SITE.len()..).unwrap_or_default();
            let is_link = target.starts_with(['v', 'u', 'l']);
            if is_link && !target.starts_with(VERSION) {
                findings.push(format!(
                    "{}:{}: link to a specification that is not {VERSION}",
                    source.path,
                    index + 1
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> usize {
        check(&[Source { path: "a.rs".into(), text: text.into() }]).len()
    }

    #[test]
    fn only_the_one_version_may_be_linked() {
        let site = SITE;
        assert_eq!(findings(&format!("https://{site}v1.19/rooms/v2/")), 0);
        assert_eq!(findings(&format!("https://{site}v1.11/rooms/v2/")), 1);
        assert_eq!(findings(&format!("https://{site}unstable/x https://{site}latest/y")), 2);
    }
}
