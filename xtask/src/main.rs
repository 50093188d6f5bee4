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

use clap::Parser;

use crate::findings::outcome::Outcome;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let ui = ui::Ui::new(&cli.global.output);
    let outcome = system::interrupt::install().and_then(|()| cli::dispatch::run(&cli, &ui));
    if system::interrupt::requested() {
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
