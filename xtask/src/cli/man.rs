//! Man pages, generated from the command-line types. Only the Nix package turns on the feature
//! `man`.

use std::path::Path;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::system::{disk, files};

/// Pages are named after the program, not after `cargo xtask`.
const PROGRAM: &str = "xtask";

/// Writes NAME.1, and NAME-COMMAND.1 for each visible command.
pub fn write(folder: &Path) -> Result<()> {
    disk::create(folder)?;
    let mut command = Cli::command().name(PROGRAM).bin_name(PROGRAM);
    command.build();
    let pages = command.get_subcommands().filter(|command| !command.is_hide_set()).map(|sub| {
        // clap takes only `&'static str`.
        let page: &'static str = format!("{PROGRAM}-{}", sub.get_name()).leak();
        sub.clone().name(page).version(env!("CARGO_PKG_VERSION"))
    });
    for command in [command.clone()].into_iter().chain(pages) {
        let page = command.get_name().to_owned();
        let mut text = vec![];
        clap_mangen::Man::new(command).render(&mut text).context("cannot make a man page")?;
        files::write_atomically(&folder.join(format!("{page}.1")), &text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let page =
            |name: &str| std::fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
        let command = Cli::command();
        let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
        let names: Vec<String> = shown.map(|sub| format!("xtask-{}", sub.get_name())).collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            assert!(page(&name).contains(&format!(".TH {name} 1")), "{name}");
        }
        assert!(page("xtask").contains(r"build\-all"));
    }
}
