//! The terminal output of `update`.

use crate::findings::view::describe;
use crate::nix::flake_input::short;
use crate::pin::update::message::{name, step};
use crate::pin::update::report::{HostState, HostUpdate, LockState, Point, Stage, UpdateReport};
use crate::ui::table::{Cell, Table};
use crate::ui::{Ui, units};

/// Commits shown of each area.
const SHOWN: usize = 4;

/// Prints the step, before the evaluation.
pub fn announce(ui: &Ui, report: &UpdateReport) {
    let Some(to) = &report.to else { return };
    let commits = report.commits.map_or_else(String::new, |commits| {
        let direction = if report.backwards { " back" } else { "" };
        format!(", {commits} {}{direction}", if commits == 1 { "commit" } else { "commits" })
    });
    ui.status(format!("{} {}{commits}", ui.bold(&report.input), step(&report.from, to)));
    ui.status(format!("  from {}", point(&report.from)));
    ui.status(format!("  to   {}", point(to)));
    for area in &report.changes {
        ui.status(format!("  {} ({}):", area.area, area.commits.len()));
        for change in area.commits.iter().take(SHOWN) {
            ui.status(format!("    {} {}", ui.dim(short(&change.rev)), change.subject));
        }
        if area.commits.len() > SHOWN {
            ui.status(ui.dim(&format!("    and {} more", area.commits.len() - SHOWN)));
        }
    }
    if let Some(comparison) = &report.comparison {
        ui.status(format!("  {}", ui.dim(comparison)));
    }
}

fn point(point: &Point) -> String {
    let build = point.build.map(|build| format!("  b{build}")).unwrap_or_default();
    format!("{}  {}{build}", point.rev, point.date.as_deref().unwrap_or("unknown date"))
}

pub fn print(ui: &Ui, report: &UpdateReport) {
    if !report.hosts.is_empty() {
        let columns = ["HOST", "STATE", "VARIANT", ">CLOSURE", "TOKENS/S"];
        ui.result(
            Table { columns: &columns, rows: report.hosts.iter().map(row).collect() }.render(ui),
        );
    }
    for finding in &report.findings {
        ui.warn(describe(ui, &report.input, finding));
    }
    for host in &report.hosts {
        for finding in &host.findings {
            ui.warn(describe(ui, host.host.as_str(), finding));
        }
    }
    ui.warn(format!("\n{}", verdict(ui, report)));
    print_pinned(ui, report);
}

/// Prints the pinned hosts, which do not have what flake.lock has.
fn print_pinned(ui: &Ui, report: &UpdateReport) {
    if !report.ok {
        return;
    }
    let dry = report.dry_run;
    for host in &report.released {
        let unpinned = if dry { "would be unpinned" } else { "is unpinned" };
        ui.warn(format!("{}: {host} {unpinned}: it works", ui.green("no longer pinned")));
    }
    for host in report.pinned() {
        let at = host.pinned_at.as_ref().map(|at| format!("at {}", name(at))).unwrap_or_default();
        let stays = if dry { "would stay" } else { "stays" };
        let failed = host.failed_at.map_or("", Stage::name);
        ui.warn(format!(
            "{}: {} {stays} {at}, because {failed} fails; `check` warns about it, and each \
             `update` retries it",
            ui.red("PINNED"),
            host.host,
        ));
    }
}

/// What is compiled again and what is not, before anything is built.
pub fn announce_parts(ui: &Ui, report: &UpdateReport) {
    for (what, parts) in
        [("to build again", &report.rebuilt_parts), ("unchanged", &report.unchanged_parts)]
    {
        if !parts.is_empty() {
            let names = parts.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            ui.status(format!("parts {what}: {names}"));
        }
    }
}

fn verdict(ui: &Ui, report: &UpdateReport) -> String {
    let Some(to) = &report.to else { return String::new() };
    let input = &report.input;
    if to.rev == report.from.rev && !report.released.is_empty() {
        return format!("{input} is already at {}; flake.lock is unchanged", name(to));
    }
    if to.rev == report.from.rev {
        return format!("{input} is already at {}: nothing to do", name(to));
    }
    let updated = if report.pinned().next().is_some() {
        ui.yellow("partially updated")
    } else {
        ui.green("updated")
    };
    if let (LockState::Updated, Some(commit)) = (report.lock, &report.commit) {
        return format!(
            "{updated}: {input} is at {}, commit {}; to undo: cargo xtask rollback",
            name(to),
            short(commit)
        );
    }
    if report.lock == LockState::Updated {
        return format!("{updated}: {input} is at {}; to undo: cargo xtask rollback", name(to));
    }
    match report.failed_at {
        Some(stage) => {
            let saved = report.refused.as_ref().map_or_else(String::new, |folder| {
                format!("\nrejected lock file and logs: {folder}")
            });
            format!(
                "{} at {}: {input} stays at {}; flake.lock is unchanged{saved}",
                ui.red("refused"),
                stage.name(),
                name(&report.from)
            )
        }
        None if report.dry_run => {
            format!("{input} {} evaluates; flake.lock is unchanged", step(&report.from, to))
        }
        None => format!("{input} {} would work; flake.lock is unchanged", step(&report.from, to)),
    }
}

fn row(host: &HostUpdate) -> Vec<Cell> {
    let paint: fn(&Ui, &str) -> String = match host.state {
        HostState::Changed | HostState::Unchanged => Ui::green,
        HostState::NotBuilt | HostState::FailedBefore => Ui::yellow,
        HostState::Fails | HostState::Pinned => Ui::red,
    };
    let closure = match (host.closure_bytes_before, host.closure_bytes_after) {
        (Some(before), Some(after)) if before != after => {
            format!("{} -> {}", units::bytes(before), units::bytes(after))
        }
        (_, Some(one)) | (Some(one), None) => units::bytes(one),
        (None, None) => "-".to_owned(),
    };
    let speeds: Vec<String> = host
        .speeds
        .iter()
        .map(|speed| {
            let change = speed.change_percent;
            format!("{} {:.1} -> {:.1} ({change:+.1} %)", speed.test, speed.before, speed.after)
        })
        .collect();
    let speeds = if speeds.is_empty() { "-".to_owned() } else { speeds.join(", ") };
    vec![
        host.host.as_str().into(),
        Cell::painted(host.state.name(), paint),
        host.variant.as_ref().map_or("-", |variant| variant.as_str()).into(),
        closure.into(),
        speeds.into(),
    ]
}
