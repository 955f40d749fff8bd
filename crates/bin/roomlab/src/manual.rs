//! `roomlab completions` and `roomlab man`, both made from the definition of the command line.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::output::write_file;

/// Prints a completion script.
pub(crate) fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "roomlab", &mut script);
    io::stdout().lock().write_all(&script).map_err(Failure::stdout)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the manual page, or writes all of them into a directory.
pub(crate) fn man(dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(dir) = dir else {
        write_file(Path::new("-"), &page(&command)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    write_file(&dir.join("roomlab.1"), &page(&command)?)?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let name = format!("roomlab-{}", subcommand.get_name());
        write_file(&dir.join(format!("{name}.1")), &page(subcommand)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn page(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page).map_err(Failure::stdout)?;
    Ok(page)
}
