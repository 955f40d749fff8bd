//! Running other programs of the tool chain.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What a task fails with: a sentence for the person at the terminal.
pub(crate) type Outcome = Result<(), String>;

/// The top folder of the workspace.
pub(crate) fn workspace_root() -> PathBuf {
    // That of the run, not that of the build: one folder of builds may serve several copies of the workspace.
    let manifest_folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    let manifest_folder = Path::new(&manifest_folder);
    manifest_folder.parent().unwrap_or(manifest_folder).to_path_buf()
}

/// The folder for what builds and runs leave behind.
pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace_root().join("target"), PathBuf::from)
}

/// A cargo command in the workspace's top folder.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(workspace_root()).stdin(Stdio::null());
    command
}

/// A program of the workshop, built optimised; its own arguments are to be added.
pub(crate) fn program(package: &str, name: &str) -> Command {
    cargo(&["run", "--release", "--quiet", "--locked", "--package", package, "--bin", name, "--"])
}

/// Runs a command to its end, showing what it prints.
pub(crate) fn call(command: &mut Command) -> Outcome {
    let shown = shown(command);
    eprintln!("$ {shown}");
    let status = command.status().map_err(|error| format!("cannot start `{shown}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` ended with {status}")) }
}

/// Runs a command to its end and returns what it printed on standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let shown = shown(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start `{shown}`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{shown}` ended with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{shown}` printed text that is not UTF-8"))
}

/// Whether a program answers to `--version`.
pub(crate) fn is_present(program: &str) -> bool {
    let answered =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    answered.is_ok_and(|status| status.success())
}

/// The command as somebody would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
