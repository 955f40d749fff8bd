//! Who may depend on whom: layers, caps on foreign crates, licences and sources.

use serde_json::Value;

use super::Finding;
use crate::process::{cargo, output};

/// Our crates by layer: a crate uses crates of lower layers only.
const LAYERS: &[(&str, u8)] = &[
    ("freehold-canonical-json", 0),
    ("freehold-state-map", 0),
    ("freehold-event", 1),
    ("freehold-signing", 2),
    ("freehold-event-auth", 3),
    ("freehold-keyring", 3),
    ("freehold-state-res", 4),
    ("freehold-store", 5),
    ("freehold-room", 5),
    // The room machines over the store, beneath all services.
    ("freehold-rooms", 6),
    ("freehold-store-fjall", 7),
    ("freehold-tenancy", 7),
    ("freehold-accounts", 7),
    ("freehold-encryption", 7),
    ("freehold-sync", 7),
    ("freehold-federation", 7),
    ("freehold-media", 7),
    ("freehold-client-api", 8),
    ("freehold-federation-api", 8),
    ("freehold-admin-api", 8),
    ("freehold-server", 9),
    ("freehold-roomlab", 9),
];

/// Crates of the workshop: no product crate may use them outside its tests.
const WORKSHOP: &[&str] = &[
    "freehold-testkit",
    "freehold-simulation",
    "freehold-browser-example",
    "freehold-spec-tests",
    "freehold-benches",
    "freehold-peers",
    "xtask",
];

/// The highest layer of the reusable libraries, to which the cap on foreign crates applies.
pub(super) const LIBRARIES: u8 = 4;
/// The highest layer without runtime, HTTP, database, clock and randomness of its own.
const PURE: u8 = 5;
const FOREIGN_CRATES: usize = 5;

/// Foreign crates named by the design, which do not count.
const NAMED: &[&str] = &["ruma-common", "serde_json", "ed25519-dalek", "sha2", "base64", "thiserror"];

const IMPURE: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "hyper",
    "axum",
    "reqwest",
    "ureq",
    "rusqlite",
    "sqlx",
    "rocksdb",
    "redb",
    "fjall",
    "getrandom",
    "chrono",
    "time",
    "ruma-client-api",
    "ruma-federation-api",
    "ruma-events",
    "ruma-signatures",
    "ruma-state-res",
];

/// Licences that ask no more of a user than notices; MPL-2.0 binds changes to its own files only.
const LICENCES: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "Unlicense",
    "0BSD",
    "CDLA-Permissive-2.0",
    "BSL-1.0",
    "MPL-2.0",
];

/// The names of the reusable libraries, in the order of layers.
pub(crate) fn library_names() -> impl Iterator<Item = &'static str> {
    LAYERS.iter().filter(|(_, layer)| *layer <= LIBRARIES).map(|(name, _)| *name)
}

/// Finds dependencies against the rules.
pub(crate) fn check() -> Result<Vec<Finding>, String> {
    let text = output(&mut cargo(&["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages =
        metadata.get("packages").and_then(Value::as_array).ok_or("cargo metadata lists no packages")?;
    Ok(packages.iter().flat_map(check_package).collect())
}

fn check_package(package: &Value) -> Vec<Finding> {
    let name = text(package, "name");
    if package.get("source").is_some_and(|source| !source.is_null()) {
        return foreign_findings(name, package);
    }
    if WORKSHOP.contains(&name) {
        return Vec::new();
    }
    let Some(layer) = layer_of(name) else {
        return vec![format!("`{name}` has no layer: add it to the table")];
    };
    let dependencies =
        package.get("dependencies").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let normal: Vec<&str> =
        dependencies.iter().filter(|one| is_normal(one)).map(|one| text(one, "name")).collect();
    let mut findings: Vec<Finding> =
        normal.iter().filter_map(|used| dependency_finding((name, layer), used)).collect();
    findings.extend(cap_finding((name, layer), &normal));
    findings
}

fn dependency_finding((name, layer): (&str, u8), used: &str) -> Option<Finding> {
    if WORKSHOP.contains(&used) && layer <= PURE {
        return Some(format!("`{name}` uses `{used}`, which is for development only"));
    }
    if layer <= PURE && IMPURE.contains(&used) {
        return Some(format!("`{name}` of layer {layer} uses `{used}`: no runtime, I/O or oracle there"));
    }
    let used_layer = layer_of(used)?;
    (used_layer >= layer).then(|| format!("`{name}` of layer {layer} uses `{used}` of layer {used_layer}"))
}

fn cap_finding((name, layer): (&str, u8), used: &[&str]) -> Option<Finding> {
    let foreign = |one: &&&str| layer_of(one).is_none() && !NAMED.contains(*one) && !WORKSHOP.contains(*one);
    let count = used.iter().filter(foreign).count();
    let over = layer <= LIBRARIES && count > FOREIGN_CRATES;
    over.then(|| {
        format!("`{name}` uses {count} foreign crates beside the named ones; at most {FOREIGN_CRATES}")
    })
}

fn foreign_findings(name: &str, package: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text(package, "source").starts_with("registry+") {
        findings.push(format!("`{name}` does not come from the package registry"));
    }
    if !licence_is_accepted(text(package, "license")) {
        findings.push(format!("`{name}` has the licence `{}`", text(package, "license")));
    }
    findings
}

/// Whether one alternative of an SPDX expression consists of accepted licences only.
fn licence_is_accepted(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], " ").replace('/', " OR ");
    let accepted = |one: &str| LICENCES.contains(&one.split(" WITH ").next().unwrap_or(one).trim());
    plain.split(" OR ").any(|alternative| alternative.split(" AND ").all(accepted))
}

/// The layer of one of our crates, by its package name.
pub(super) fn layer_of(name: &str) -> Option<u8> {
    LAYERS.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer)
}

fn is_normal(dependency: &Value) -> bool {
    dependency.get("kind").is_none_or(Value::is_null)
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_may_use_lower_layers_only() {
        assert_eq!(dependency_finding(("freehold-signing", 2), "freehold-event"), None);
        assert!(dependency_finding(("freehold-event", 1), "freehold-signing").is_some());
        assert!(dependency_finding(("freehold-event-auth", 3), "freehold-keyring").is_some());
    }

    #[test]
    fn libraries_use_no_runtime_and_no_workshop() {
        assert!(dependency_finding(("freehold-event", 1), "tokio").is_some());
        assert!(dependency_finding(("freehold-event", 1), "freehold-testkit").is_some());
        assert_eq!(dependency_finding(("freehold-roomlab", 8), "freehold-testkit"), None);
    }

    #[test]
    fn only_unnamed_foreign_crates_count_towards_the_cap() {
        let named = ["sha2", "base64", "thiserror", "ruma-common", "freehold-canonical-json", "serde_json"];
        assert_eq!(cap_finding(("freehold-event", 1), &named), None);
        assert!(cap_finding(("freehold-event", 1), &["a", "b", "c", "d", "e", "f"]).is_some());
    }

    #[test]
    fn a_licence_expression_needs_one_accepted_alternative() {
        assert!(licence_is_accepted("MIT OR GPL-3.0"));
        assert!(licence_is_accepted("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(licence_is_accepted("Apache-2.0 WITH LLVM-exception"));
        assert!(!licence_is_accepted("GPL-3.0-only"));
        assert!(!licence_is_accepted("MIT AND AGPL-3.0"));
    }
}
