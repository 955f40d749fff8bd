//! Whether the files that a configuration names hold what they should.

use std::path::Path;
use std::slice::from_ref;

use freehold_federation::client_tls;

use super::{Config, ConfigError};
use crate::bootstrap;
use crate::listen::Certificates;

/// Looks into the files that a configuration names: what a server would refuse to start with.
///
/// # Errors
/// [`ConfigError`], which names file, line, key and what is wrong.
pub(crate) fn check_files(config: &Config, file: &Path, text: &str) -> Result<(), ConfigError> {
    let wrong = |key: String, named: &Path, error: &dyn std::error::Error| ConfigError::Wrong {
        file: file.to_owned(),
        line: line_of(text, named),
        key,
        expected: with_causes(error),
    };
    if let Some(tenants) = &config.bootstrap {
        bootstrap::check(tenants)?;
    }
    for (number, authority) in config.extra_ca.iter().enumerate() {
        let read = client_tls(from_ref(authority));
        read.map_err(|error| wrong(format!("extra_ca[{number}]"), authority, &error))?;
    }
    for (number, listener) in config.listener.iter().enumerate() {
        for (pair, files) in listener.tls.iter().enumerate() {
            let read = Certificates::read(from_ref(files));
            let key = format!("listener[{number}].tls[{pair}]");
            read.map_err(|error| wrong(key, &files.certificate, &error))?;
        }
    }
    Ok(())
}

/// The line, from 1, on which a file is named.
fn line_of(text: &str, named: &Path) -> usize {
    let quoted = format!("\"{}\"", named.display());
    text.lines().position(|line| line.contains(&quoted)).map_or(1, |before| before + 1)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let reasons: Vec<String> = chain.map(ToString::to_string).collect();
    reasons.join(": ")
}
