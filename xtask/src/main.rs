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
#[cfg(test)]
mod reader_tests;
mod statistics;
mod system;
mod target;
mod testbed;
mod ui;
mod upstream;

use std::process::ExitCode;

use crate::findings::outcome::Outcome;
use crate::system::interrupt::{self, Interrupted};

fn main() -> ExitCode {
    ui::args::set_color(ui::args::color_in(ui::program::arguments()));
    let (cli, command) = match cli::usage::parse() {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let ui = ui::Ui::new(&cli.global.output);
    if ui.verbose > 0 {
        system::running::show_commands(move |line| ui.debug(line));
    }
    ui::waiting::watch(&ui, system::running::running);
    ui::bar_target::remove_echo_of(interrupt::count);
    let outcome = interrupt::install().and_then(|()| cli::dispatch::run(&cli, &ui));
    ui::waiting::end();
    let status = exit_status(&outcome, interrupt::requested());
    cli::usage::end(&ui, command, outcome.err(), status == interrupt::STATUS);
    ExitCode::from(ui.status_after_writing(status))
}

/// `interrupted`: the user asked to stop. That changes nothing for a run that had finished.
fn exit_status(outcome: &anyhow::Result<Outcome>, interrupted: bool) -> u8 {
    match outcome {
        Ok(Outcome::Ok) => 0,
        Ok(Outcome::Findings) if !interrupted => 1,
        Ok(Outcome::Unavailable) if !interrupted => 2,
        Err(error) if !interrupted && !error.is::<Interrupted>() => 2,
        _ => interrupt::STATUS,
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
