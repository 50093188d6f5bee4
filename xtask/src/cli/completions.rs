//! `completions`: shell completions and man pages, made from the types that parse the command
//! line.

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::{Cli, CompletionForm, CompletionsArgs};
use crate::findings::outcome::Outcome;
use crate::system::{disk, files};
use crate::ui::Ui;

/// Under cargo it is `cargo xtask`; what a shell completes is a program.
const PROGRAM: &str = "xtask";

pub fn run(args: &CompletionsArgs, ui: &Ui) -> Result<Outcome> {
    let mut command = Cli::command().name(PROGRAM).bin_name(PROGRAM);
    let shell = match args.form {
        CompletionForm::Bash => Shell::Bash,
        CompletionForm::Fish => Shell::Fish,
        CompletionForm::Zsh => Shell::Zsh,
        CompletionForm::Man => return man(args, command),
    };
    let mut script = vec![];
    clap_complete::generate(shell, &mut command, PROGRAM, &mut script);
    ui.script(&String::from_utf8_lossy(&script));
    Ok(Outcome::Ok)
}

/// NAME.1 and NAME-COMMAND.1 for each command that is shown.
fn man(args: &CompletionsArgs, mut command: clap::Command) -> Result<Outcome> {
    disk::create(&args.out_dir)?;
    command.build();
    let pages = command.get_subcommands().filter(|command| !command.is_hide_set()).map(|sub| {
        // clap wants names that live as long as the program does.
        let page: &'static str = format!("{PROGRAM}-{}", sub.get_name()).leak();
        sub.clone().name(page).version(env!("CARGO_PKG_VERSION"))
    });
    for command in [command.clone()].into_iter().chain(pages) {
        let page = command.get_name().to_owned();
        let mut text = vec![];
        clap_mangen::Man::new(command).render(&mut text).context("cannot make a man page")?;
        files::write_atomically(&args.out_dir.join(format!("{page}.1")), &text)?;
    }
    Ok(Outcome::Ok)
}
