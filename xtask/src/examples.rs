//! Runs every example of the workspace: an example that only builds may be wrong.

use serde_json::Value;

use crate::process::{Outcome, call, cargo, output};

/// The task `examples`.
pub(crate) fn run() -> Outcome {
    let text = output(&mut cargo(&["metadata", "--format-version", "1", "--locked", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let examples = list(&metadata);
    for (package, target) in &examples {
        let mut arguments = vec!["run", "--quiet", "--locked", "--package", package];
        if target != package {
            arguments.extend(["--example", target]);
        }
        call(&mut cargo(&arguments))?;
    }
    println!("{} examples ran to their end", examples.len());
    Ok(())
}

/// Package and target of each example; one that is a package of its own has its own name as target.
fn list(metadata: &Value) -> Vec<(String, String)> {
    let of = |value: &Value, field: &str| value.get(field).and_then(Value::as_array).cloned();
    let mut found = Vec::new();
    for package in of(metadata, "packages").unwrap_or_default() {
        let name = text(&package, "name");
        if text(&package, "manifest_path").contains("/examples/") {
            found.push((name.to_owned(), name.to_owned()));
        }
        for target in of(&package, "targets").unwrap_or_default() {
            if of(&target, "kind").is_some_and(|kinds| kinds.contains(&"example".into())) {
                found.push((name.to_owned(), text(&target, "name").to_owned()));
            }
        }
    }
    found
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_targets_and_packages_below_examples() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "a", "manifest_path": "/x/a/Cargo.toml", "targets": [
                { "name": "a", "kind": ["lib"] },
                { "name": "own_events", "kind": ["example"] },
            ] },
            { "name": "page", "manifest_path": "/x/a/examples/page/Cargo.toml", "targets": [] },
        ] });
        let pair = |package: &str, target: &str| (package.to_owned(), target.to_owned());
        assert_eq!(list(&metadata), [pair("a", "own_events"), pair("page", "page")]);
    }
}
