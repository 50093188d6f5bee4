//! `completions`: a script for a shell, which asks the hidden command `complete`.

use anyhow::Result;

use crate::cli::{CompletionsArgs, Shell};
use crate::findings::outcome::Outcome;
use crate::ui::Ui;

pub fn run(args: &CompletionsArgs, ui: &Ui) -> Result<Outcome> {
    ui.script(match args.shell {
        Shell::Bash => include_str!("completions/xtask.bash"),
        Shell::Fish => include_str!("completions/xtask.fish"),
        Shell::Zsh => include_str!("completions/xtask.zsh"),
    });
    Ok(Outcome::Ok)
}
