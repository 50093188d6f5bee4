//! `completions`: prints a shell script that calls the hidden command `complete`.

use anyhow::Result;
use serde::Serialize;

use crate::cli::{CompletionsArgs, Shell};
use crate::findings::outcome::Outcome;
use crate::ui::Ui;

#[derive(Debug, Serialize)]
struct Completions {
    schema: u32,
    command: &'static str,
    script: &'static str,
    ok: bool,
}

pub fn run(args: &CompletionsArgs, ui: &Ui) -> Result<Outcome> {
    let script = match args.shell {
        Shell::Bash => include_str!("completions/xtask.bash"),
        Shell::Fish => include_str!("completions/xtask.fish"),
        Shell::Zsh => include_str!("completions/xtask.zsh"),
    };
    match ui.json {
        true => {
            ui.document(&Completions { schema: 1, command: "completions", script, ok: true })?;
        }
        false => ui.script(script),
    }
    Ok(Outcome::Ok)
}
