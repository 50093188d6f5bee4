//! Man pages, made from the types that parse the command line. The Nix package has them: its
//! feature `man` is off in every other build.

use std::path::Path;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::system::{disk, files};

/// Under cargo it is `cargo xtask`; a page is a program's.
const PROGRAM: &str = "xtask";

/// NAME.1 and NAME-COMMAND.1 for each command that is shown.
pub fn write(folder: &Path) -> Result<()> {
    disk::create(folder)?;
    let mut command = Cli::command().name(PROGRAM).bin_name(PROGRAM);
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
