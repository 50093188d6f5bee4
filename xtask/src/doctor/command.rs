//! `doctor`: checks Nix, this machine and the repository, and suggests fixes.

use anyhow::Result;
use serde::Serialize;

use crate::doctor::diagnostics;
use crate::doctor::rules::{Check, Health};
use crate::findings::outcome::Outcome;
use crate::fleet::args::Global;
use crate::fleet::context;
use crate::nix::program::Nix;
use crate::system::{interrupt, paths};
use crate::ui::{Ui, units, wrap};

pub fn run(global: &Global, ui: &Ui) -> Result<Outcome> {
    let home = paths::home()?;
    let nix = Nix::find(&home);
    let root = match &global.flake {
        Some(reference) => context::local_root(reference),
        None => paths::repository_root().ok(),
    };
    let mut checks = diagnostics::nix(&nix, &home);
    checks.extend(diagnostics::machine(&home));
    match &root {
        Some(root) => checks.extend(diagnostics::repository(&nix, root)),
        None => checks.push(match &global.flake {
            Some(reference) => Check::error(
                "flake",
                format!("{reference} is not a folder with a flake.nix on this machine"),
                "pass your fleet's folder with --flake",
            ),
            None => Check::error(
                "flake",
                "no flake.nix in this folder or above it",
                "go to your fleet's repository, or pass --flake",
            ),
        }),
    }
    checks.extend(evaluation_cache(global, ui));
    checks.extend(diagnostics::inputs(&home));
    // Queries after Ctrl-C fail, so their results are wrong.
    interrupt::check()?;
    report(ui, nix.ok().as_ref(), &checks)
}

/// Reports how many hosts are cached by `check`, or why none is.
fn evaluation_cache(global: &Global, ui: &Ui) -> Option<Check> {
    let context = context::Context::open(global, ui).ok()?;
    let message = match context.cache()?.state() {
        Ok((cached, hosts)) => format!("{cached} of {hosts} hosts are cached"),
        Err(why) => format!("no host is cached: {why}"),
    };
    Some(Check::ok("evaluation", message))
}

#[derive(Debug, Serialize)]
struct DoctorReport<'a> {
    schema: u32,
    command: &'static str,
    nix: FoundNix,
    checks: &'a [Check],
    ok: bool,
}

/// The fields are null without Nix.
#[derive(Debug, Serialize)]
struct FoundNix {
    path: Option<String>,
    version: Option<String>,
}

fn report(ui: &Ui, nix: Option<&Nix>, checks: &[Check]) -> Result<Outcome> {
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let ok = count(Health::Error) == 0;
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for Check { name, state, message, help } in checks {
        let state = match state {
            Health::Ok => ui.green("ok     "),
            Health::Warning => ui.yellow("warning"),
            Health::Error => ui.red("error  "),
        };
        let indent = "warning    ".len() + width;
        let fit = |text: &str, taken| wrap(text, ui.table_columns, taken, indent);
        ui.result(format!("{state}  {name:<width$}  {}", fit(message, indent)));
        if let Some(help) = help {
            let help = fit(help, indent + "help: ".len());
            ui.result(format!("{:indent$}{} {help}", "", ui.dim("help:")));
        }
    }
    let nix = FoundNix {
        path: nix.map(|nix| nix.program.display().to_string()),
        version: nix.map(|nix| nix.version.clone()),
    };
    ui.document(&DoctorReport { schema: 1, command: "doctor", nix, checks, ok })?;
    ui.status(format!(
        "{}: {}, {}",
        units::count(checks.len(), "check"),
        units::count(count(Health::Warning), "warning"),
        units::count(count(Health::Error), "error")
    ));
    Ok(Outcome::from_ok(ok))
}
