//! Installing from package registries, and whether it is they or this machine that something fails for.

use std::process::{Command, Stdio};

use crate::process::shown;

/// Why something cannot be run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// A package registry is not reached, which nobody here can do anything about.
    Registry(String),
    /// Something is missing on this machine, or wrong.
    Here(String),
}

impl From<Unavailable> for String {
    fn from(unavailable: Unavailable) -> Self {
        match unavailable {
            Unavailable::Registry(reason) | Unavailable::Here(reason) => reason,
        }
    }
}

/// What pip and npm say when nobody answers them.
const UNREACHED: &[&str] = &[
    // pip, before each attempt but the first
    "after connection broken by",
    // npm
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENOTFOUND",
    "ERR_SOCKET_TIMEOUT",
    "ETIMEDOUT",
];

/// Runs a command that installs something from a registry.
pub(super) fn install(command: &mut Command, what: &str) -> Result<(), Unavailable> {
    let shown = shown(command);
    eprintln!("$ {shown}");
    let output = command.stdin(Stdio::null()).stdout(Stdio::inherit()).output();
    let output =
        output.map_err(|error| Unavailable::Here(format!("cannot start `{shown}` for {what}: {error}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    eprint!("{said}");
    if output.status.success() { Ok(()) } else { Err(why(what, &said)) }
}

/// Why something was not installed, by what the installer said.
fn why(what: &str, said: &str) -> Unavailable {
    let line = said.lines().find(|line| UNREACHED.iter().any(|phrase| line.contains(phrase)));
    match line {
        Some(line) => Unavailable::Registry(format!(
            "there are no {what}: the package registry is not reached ({line})"
        )),
        None => {
            let line = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
            Unavailable::Here(format!("{what} could not be installed: {line}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise a step that never runs would pass for ever.
    #[test]
    fn only_a_registry_that_is_not_reached_excuses() {
        let silent = [
            "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError()': /simple/x/\n\
             ERROR: No matching distribution found for x==1",
            "npm error code ENOTFOUND\nnpm error network request to https://registry.example/x failed",
            "npm error code ECONNREFUSED",
        ];
        for said in silent {
            assert!(matches!(why("x", said), Unavailable::Registry(_)), "{said}");
        }
        let wrong = [
            "ERROR: Could not find a version that satisfies the requirement x==99 (from versions: 1, 2)\n\
             ERROR: No matching distribution found for x==99",
            "npm error code EUSAGE\nnpm error `npm ci` can only install packages with a package-lock.json",
            "error: [Errno 28] No space left on device",
            "",
        ];
        for said in wrong {
            assert!(matches!(why("x", said), Unavailable::Here(_)), "{said}");
        }
    }
}
