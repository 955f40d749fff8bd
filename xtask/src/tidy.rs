//! The workspace's own rules, checked by a machine: layers, dependency caps, purity, sizes, names,
//! specification links, the version of the schema.

mod dependencies;
mod named_files;
mod names;
mod past_failures;
mod purity;
mod schema;
mod sizes;
mod sources;
mod spec_links;

pub(crate) use dependencies::library_names;

use crate::process::Outcome;

/// One broken rule, with the place where it is broken.
pub(crate) type Finding = String;

/// The task `tidy`.
pub(crate) fn run() -> Outcome {
    let sources = sources::read()?;
    let mut findings = dependencies::check()?;
    findings.extend(named_files::check(&sources));
    findings.extend(names::check(&sources));
    findings.extend(past_failures::check(&sources));
    findings.extend(purity::check(&sources)?);
    findings.extend(schema::check(&sources)?);
    findings.extend(spec_links::check(&sources));
    findings.extend(sizes::check(&sources)?);
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    if findings.is_empty() {
        Ok(())
    } else {
        Err(format!("{} rules of the workspace are broken", findings.len()))
    }
}

/// Lowers the recorded sizes to what the tree has now, a recorded size never rises; and records the tables of a new version of the
/// schema.
pub(crate) fn record() -> Outcome {
    let sources = sources::read()?;
    sizes::record(&sources)?;
    schema::record(&sources)
}
