//! Parses the command line, runs the command, turns its outcome into an exit status.

mod cli;
mod cmd;
mod domain;
mod sys;
mod ui;

use std::process::ExitCode;

use clap::Parser;

use crate::cmd::Outcome;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let ui = ui::Ui::new(&cli.global);
    let outcome = sys::interrupt::install().and_then(|()| cmd::run(&cli, &ui));
    if sys::interrupt::requested() {
        ui.complain("interrupted");
        return ExitCode::from(130);
    }
    match outcome {
        Ok(Outcome::Well) => ExitCode::SUCCESS,
        Ok(Outcome::Findings) => ExitCode::from(1),
        Err(error) => {
            ui.fail(&error);
            ExitCode::from(2)
        }
    }
}
