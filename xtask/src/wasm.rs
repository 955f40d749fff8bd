//! The reusable libraries in a browser: they build for a target without files, clock and threads.

use std::{path::Path, process::Command};

use crate::{
    process::{Outcome, call, cargo, output},
    tidy::library_names,
};

const TARGET: &str = "wasm32-unknown-unknown";
/// The example that a page would use.
const EXAMPLE: &str = "freehold-browser-example";

/// The task `wasm`: says why when it has to be skipped.
pub(crate) fn run() -> Outcome {
    match availability() {
        Ok(()) => build(),
        Err(reason) => {
            println!("skipped: {reason}");
            Ok(())
        }
    }
}

/// Whether the compiler has the target's standard library.
pub(crate) fn availability() -> Outcome {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(compiler);
    let folder = output(command.args(["--print", "target-libdir", "--target", TARGET]))?;
    let present = Path::new(folder.trim()).read_dir().is_ok_and(|mut files| files.next().is_some());
    let reason = || {
        format!(
            "the target {TARGET} is not installed (`rustup target add {TARGET}`); tidy checked that no library names files, clocks, threads or the environment"
        )
    };
    if present { Ok(()) } else { Err(reason()) }
}

/// Builds every reusable library and the example for the target.
pub(crate) fn build() -> Outcome {
    let mut arguments = vec!["build", "--locked", "--target", TARGET, "--package", EXAMPLE];
    arguments.extend(library_names().flat_map(|name| ["--package", name]));
    call(&mut cargo(&arguments))
}
