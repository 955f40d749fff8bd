//! Whether the files that a configuration names hold what they should.

use std::path::Path;
use std::slice::from_ref;

use freehold_federation::client_tls;

use super::{Address, Config, ConfigError, Listener};
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
    check_addresses(config, file, text)?;
    if let Some(tenants) = &config.bootstrap {
        bootstrap::check(tenants).map_err(|error| match error {
            unreadable @ ConfigError::Unreadable { .. } => ConfigError::Wrong {
                file: file.to_owned(),
                line: line_of(text, tenants),
                key: "bootstrap".to_owned(),
                expected: unreadable.to_string(),
            },
            wrong => wrong,
        })?;
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

/// Only one listener can have an address, if the system does not pick its port.
fn check_addresses(config: &Config, file: &Path, text: &str) -> Result<(), ConfigError> {
    let is_picked = |address: &Address| matches!(address, Address::Tcp(address) if address.port() == 0);
    for (number, Listener { address, .. }) in config.listener.iter().enumerate() {
        let twin = config.listener.iter().take(number).position(|before| before.address == *address);
        let Some(twin) = twin.filter(|_| !is_picked(address)) else { continue };
        let quoted = format!("\"{address}\"");
        let lines = (1..).zip(text.lines()).filter(|(_, line)| line.contains(&quoted));
        return Err(ConfigError::Wrong {
            file: file.to_owned(),
            line: lines.map(|(line, _)| line).nth(1).unwrap_or(1),
            key: format!("listener[{number}].address"),
            expected: format!("`{address}` is that of listener[{twin}]: expected another"),
        });
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
