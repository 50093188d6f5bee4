//! `setup`: installs what the testbed needs and this machine lacks, including Nix.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::dev::args::SetupArgs;
use crate::dev::pieces::{Item, Piece, State};
use crate::dev::provision;
use crate::findings::outcome::Outcome;
use crate::system::{interrupt, paths};
use crate::ui::Ui;

pub fn run(args: &SetupArgs, ui: &Ui) -> Result<Outcome> {
    let home = paths::home()?;
    let started = Instant::now();
    let requested = args.requested();
    let items = provision::discover(&home, &requested);
    show_plan(ui, &home, &items);
    let to_do = items.iter().any(|item| item.state == State::ToDo);
    if args.dry_run {
        report(ui, &items, true)?;
        return Ok(Outcome::Ok);
    }
    stop_if_blocked(&items)?;
    if to_do {
        if !confirmed(ui, args.yes) {
            report(ui, &items, false)?;
            ui.warn("nothing was changed");
            return Ok(Outcome::Findings);
        }
        provide(ui, &home, &requested, &items)?;
    }
    report(ui, &provision::discover(&home, &requested), false)?;
    let seconds = started.elapsed().as_secs_f64();
    ui.status(if to_do {
        format!("{} in {seconds:.0} s", ui.green("ready"))
    } else {
        format!("{}: nothing to do", ui.green("ready"))
    });
    Ok(Outcome::Ok)
}

/// Runs the set-up as the first step of another command; prints nothing if it is complete.
pub fn ensure(ui: &Ui, requested: &[Piece], yes: bool) -> Result<()> {
    let home = paths::home()?;
    let items = provision::discover(&home, requested);
    if items.iter().all(Item::is_ready) {
        return Ok(());
    }
    show_plan(ui, &home, &items);
    stop_if_blocked(&items)?;
    if !confirmed(ui, yes) {
        bail!("setup required: run `cargo xtask setup`");
    }
    provide(ui, &home, requested, &items)
}

fn show_plan(ui: &Ui, home: &Path, items: &[Item]) {
    ui.status(format!("testbed setup in {}", home.display()));
    for Item { piece, state, message, command, size } in items {
        let name = format!("{:<12}", piece.name());
        let below = format!("  {:<12}", "");
        let command = command.as_deref().unwrap_or_default();
        match state {
            State::Present => ui.status(format!("  {name} {}  {message}", ui.green("present"))),
            State::Unneeded => ui.status(format!("  {name} skipped: {message}")),
            State::ToDo => {
                let download = match size.download {
                    Some(0) => "nothing to download".to_owned(),
                    Some(megabytes) => format!("{megabytes} MB to download"),
                    None => "size unknown".to_owned(),
                };
                let disk = match size.disk {
                    0 => String::new(),
                    megabytes => format!(", {megabytes} MB of disk"),
                };
                ui.status(format!("  {name} {}  {message}", ui.yellow("to do")));
                ui.status(format!("{below} {download}{disk}; {}", ui.dim(command)));
            }
            State::Blocked => {
                ui.status(format!("  {name} {}  {message}", ui.red("yours to do")));
                ui.status(format!("{below} {command}"));
            }
        }
    }
}

fn stop_if_blocked(items: &[Item]) -> Result<()> {
    let blocked = items.iter().filter(|item| item.state == State::Blocked);
    let commands: Vec<&str> = blocked.filter_map(|item| item.command.as_deref()).collect();
    if commands.is_empty() {
        return Ok(());
    }
    bail!("nothing was changed; run this first, then `setup` again:\n  {}", commands.join("\n  "))
}

/// Asks for confirmation. Without a terminal the answer is yes.
fn confirmed(ui: &Ui, yes: bool) -> bool {
    yes || !ui.can_ask() || ui.ask("Go ahead?", &interrupt::requested) == Some(true)
}

fn provide(ui: &Ui, home: &Path, requested: &[Piece], items: &[Item]) -> Result<()> {
    let _lock = provision::lock_home(home, items, ui)?;
    // Another run may have provided the pieces while this one waited for the lock.
    for Item { piece, state, .. } in provision::discover(home, requested) {
        if state != State::ToDo {
            continue;
        }
        let began = Instant::now();
        ui.status(format!("{}:", ui.bold(piece.name())));
        let mut step = |text: &str| {
            ui.status(format!("  {:>4.0} s  {text}", began.elapsed().as_secs_f64()));
        };
        provision::provide(home, requested, piece, &mut step)
            .with_context(|| format!("cannot provide {}", piece.name()))?;
        step("done");
    }
    Ok(())
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SetupReport<'a> {
    schema: u32,
    command: &'static str,
    dry_run: bool,
    items: &'a [Item],
    ok: bool,
}

fn report(ui: &Ui, items: &[Item], dry_run: bool) -> Result<()> {
    let ok = items.iter().all(Item::is_ready);
    ui.document(&SetupReport { schema: 1, command: "setup", dry_run, items, ok })
}
