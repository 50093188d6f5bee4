//! The start and end of every command: parsing, with the name by which the program was called, and
//! the last error.

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::cli::Cli;
use crate::findings::outcome::Ended;
use crate::system::interrupt::Interrupted;
use crate::ui::{Ui, program};

/// Parses the command line. Returns it and the name of the command.
///
/// # Errors
/// The exit status, after help or an error was printed.
pub fn parse() -> Result<(Cli, Option<String>), ExitCode> {
    let matches = command().try_get_matches();
    let parsed = matches.and_then(|matches| {
        let name = matches.subcommand_name().map(str::to_owned);
        Ok((Cli::from_arg_matches(&matches)?, name))
    });
    parsed.map_err(|error| report(&error))
}

/// Returns the command line's definition with the name by which the program was called.
fn command() -> clap::Command {
    let renamed = |command: clap::Command| match command.get_after_help().map(ToString::to_string) {
        Some(help) => command.after_help(program::renamed(help.into()).into_owned()),
        None => command,
    };
    let name = program::name();
    renamed(Cli::command()).name(name).bin_name(name).mut_subcommands(renamed)
}

/// Prints the error of a command that ended before its report, and its document if it has none.
pub fn end(ui: &Ui, command: Option<String>, error: Option<anyhow::Error>, interrupted: bool) {
    // An error beside an interrupt must not be lost.
    let error = error.filter(|error| !error.is::<Interrupted>());
    if let Some(error) = &error {
        ui.error(error);
    }
    if interrupted {
        ui.warn(Interrupted.to_string());
    }
    if !ui.has_document() {
        let interrupted = interrupted.then(|| Interrupted.to_string());
        let error = error.map(|error| format!("{error:#}")).or(interrupted);
        let _ = ui.document(&Ended::new(command, error));
    }
}

/// Prints the requested help, or the error in the command line.
fn report(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    let status = u8::try_from(error.exit_code()).unwrap_or(2);
    let words: Vec<String> = program::arguments().take_while(|word| word != "--").collect();
    if status != 0 && words.iter().any(|word| word == "--json") {
        let root = command();
        let command = words.iter().find(|word| root.find_subcommand(word.as_str()).is_some());
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned();
        let ended = Ended::new(command.cloned(), Some(text));
        let _ = Ui { json: true, ..Ui::PLAIN }.document(&ended);
    }
    ExitCode::from(status)
}
