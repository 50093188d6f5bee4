//! Parses the command line, runs the command, turns its outcome into an exit status.

mod bench;
mod build;
mod check;
mod ci;
mod cli;
mod dev;
mod doctor;
mod findings;
mod fleet;
mod hardware;
mod list;
mod new_host;
mod nix;
mod pin;
mod statistics;
mod system;
mod target;
mod testbed;
mod ui;
mod upstream;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::findings::outcome::{Ended, Outcome};
use crate::system::interrupt::{self, Interrupted};

fn main() -> ExitCode {
    ui::args::set_color(ui::args::color_in(std::env::args()));
    let parsed = cli::Cli::command().try_get_matches();
    let parsed = parsed.and_then(|matches| Ok((cli::Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error),
    };
    let ui = ui::Ui::new(&cli.global.output);
    ui::waiting::watch(&ui, system::running::running);
    let outcome = interrupt::install().and_then(|()| cli::dispatch::run(&cli, &ui));
    ui::waiting::end();
    let status = exit_status(&outcome, interrupt::requested());
    // What broke beside an interrupt must not be lost.
    let error = outcome.err().filter(|error| !error.is::<Interrupted>());
    if let Some(error) = &error {
        ui.error(error);
    }
    if status == INTERRUPTED {
        ui.warn(Interrupted.to_string());
    }
    if !ui.has_document() {
        let interrupted = (status == INTERRUPTED).then(|| Interrupted.to_string());
        let error = error.map(|error| format!("{error:#}")).or(interrupted);
        let _ = ui.document(&Ended::new(matches.subcommand_name(), error));
    }
    ExitCode::from(status)
}

/// Shows the help that was asked for, or what is wrong with the command line.
fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    let status = u8::try_from(error.exit_code()).unwrap_or(2);
    let words: Vec<String> = std::env::args().skip(1).take_while(|word| word != "--").collect();
    if status != 0 && words.iter().any(|word| word == "--json") {
        let command = cli::Cli::command();
        let command = words.iter().find(|word| command.find_subcommand(word.as_str()).is_some());
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned();
        let ended = Ended::new(command.map(String::as_str), Some(text));
        let _ = ui::Ui { json: true, ..ui::Ui::PLAIN }.document(&ended);
    }
    ExitCode::from(status)
}

/// As a shell reports a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// `interrupted`: the user asked to stop. That changes nothing for a run that had finished.
fn exit_status(outcome: &anyhow::Result<Outcome>, interrupted: bool) -> u8 {
    match outcome {
        Ok(Outcome::Ok) => 0,
        Ok(Outcome::Findings) if !interrupted => 1,
        Ok(Outcome::Unavailable) if !interrupted => 2,
        Err(error) if !interrupted && !error.is::<Interrupted>() => 2,
        _ => INTERRUPTED,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn an_interrupt_changes_the_status_of_unfinished_runs_only() {
        for (interrupted, expected) in [(false, [0, 1, 2]), (true, [0, 130, 130])] {
            let outcomes = [Ok(Outcome::Ok), Ok(Outcome::Findings), Err(anyhow!("broken"))];
            assert_eq!(outcomes.map(|outcome| exit_status(&outcome, interrupted)), expected);
        }
        let cut: anyhow::Result<Outcome> = Err(Interrupted).context("building boron");
        assert_eq!(exit_status(&cut, false), 130);
    }
}
