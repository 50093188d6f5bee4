//! The terminal output of `update`.

use crate::findings;
use crate::nix::flake_input::short;
use crate::pin::update::report::{HostState, HostUpdate, LockState, Point, Stage, UpdateReport};
use crate::ui::table::{Cell, Table};
use crate::ui::{Ui, units, wrap};

/// Maximum number of commits shown per area.
const SHOWN: usize = 4;

/// Prints the revisions and upstream's changes, before the evaluation.
pub fn announce(ui: &Ui, report: &UpdateReport) {
    let Some(to) = &report.to else { return };
    let commits = report.describe_commits();
    ui.status(format!("{} {}{commits}", ui.bold(&report.input), report.step()));
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
    let release = point.release.as_ref().map(|release| format!("  v{release}"));
    let build = point.build.map(|build| format!("  b{build}"));
    let (release, build) = (release.unwrap_or_default(), build.unwrap_or_default());
    format!("{}  {}{release}{build}", point.rev, point.date.as_deref().unwrap_or("unknown date"))
}

pub fn print(ui: &Ui, report: &UpdateReport) {
    if !report.hosts.is_empty() {
        let columns = ["HOST", "STATE", "VARIANT", ">CLOSURE", "TOKENS/S"];
        ui.result(
            Table { columns: &columns, rows: report.hosts.iter().map(row).collect() }.render(ui),
        );
    }
    for finding in &report.findings {
        findings::view::print(ui, &report.input, finding);
    }
    let of_hosts = report
        .hosts
        .iter()
        .flat_map(|host| host.findings.iter().map(|finding| (host.host.to_string(), finding)));
    findings::view::print_all(ui, of_hosts);
    ui.warn(format!("\n{}", verdict(ui, report)));
    print_pinned(ui, report);
}

/// Prints the hosts that are pinned to another revision than flake.lock's.
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
        let at = host.pinned_at.as_ref().map(|at| format!("at {}", at.name())).unwrap_or_default();
        let stays = if dry { "would stay" } else { "stays" };
        let failed = host.failed_at.map_or("", Stage::name);
        ui.warn(format!(
            "{}: {} {stays} {at}, because the {failed} fails; `check` warns about it, and each \
             `update` retries it",
            ui.red("PINNED"),
            host.host,
        ));
    }
}

/// Prints which parts are rebuilt and which are unchanged, before anything is built.
pub fn announce_parts(ui: &Ui, report: &UpdateReport) {
    let (rebuilt, unchanged) = (&report.rebuilt_parts, &report.unchanged_parts);
    if rebuilt.is_empty() && unchanged.is_empty() {
        return;
    }
    for (label, parts) in [("parts to build again: ", rebuilt), ("parts unchanged: ", unchanged)] {
        let names = parts.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let names = if names.is_empty() { "none" } else { &names };
        ui.status(format!("{label}{}", wrap(names, ui.columns, label.len(), 4)));
    }
}

fn verdict(ui: &Ui, report: &UpdateReport) -> String {
    let Some(to) = report.to.as_ref().map(Point::name) else { return String::new() };
    let (input, from) = (&report.input, report.from.name());
    if report.stays() && report.ok {
        let end = match report.released.is_empty() {
            true => ": nothing to do",
            false => "; flake.lock is unchanged",
        };
        return format!("{input} is already at {to}{end}");
    }
    if report.lock == LockState::Updated {
        let updated = match report.pinned().next() {
            Some(_) => ui.yellow("partially updated"),
            None => ui.green("updated"),
        };
        let commit = report.commit.as_ref().map(|it| format!(", commit {}", short(it)));
        let commit = commit.unwrap_or_default();
        return format!("{updated}: {input} is at {to}{commit}; to undo: cargo xtask rollback");
    }
    let Some(stage) = report.failed_at else {
        let verdict = if report.dry_run { "evaluates" } else { "would work" };
        return format!("{input} {} {verdict}; flake.lock is unchanged", report.step());
    };
    let saved = report
        .refused
        .as_ref()
        .map_or_else(String::new, |folder| format!("\nrejected lock file and logs: {folder}"));
    format!(
        "{}: {} failed; {input} stays at {from}; flake.lock is unchanged{saved}",
        ui.red("update rejected"),
        stage.name(),
    )
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
    let speeds: Vec<String> = host.speeds.iter().map(|speed| speed.describe("")).collect();
    let speeds = if speeds.is_empty() { "-".to_owned() } else { speeds.join(", ") };
    vec![
        host.host.as_str().into(),
        Cell::painted(host.state.name(), paint),
        host.variant.as_ref().map_or("-", |variant| variant.as_str()).into(),
        closure.into(),
        speeds.into(),
    ]
}
