//! Prints the plan and the report in the terminal: a table of the variants, then the failures.

use std::path::Path;

use crate::build::plan::{Plan, Row, Todo, is_setup};
use crate::build::report::{BuildReport, VariantReport};
use crate::build::variants::{Build, BuildState};
use crate::build::view::end_of;
use crate::findings;
use crate::fleet::names::HostName;
use crate::ui::table::{Cell, Table};
use crate::ui::{Ui, units};

const NOTHING: &str = "no host selects a variant to build";

/// Prints the whole plan, for `--dry-run`.
pub fn plan(ui: &Ui, plan: &Plan) {
    if plan.variants.is_empty() {
        return ui.status(NOTHING);
    }
    let columns = ["VARIANT", "PLAN", "HOSTS", ">TIME", ">CLOSURE"];
    let rows = plan.variants.iter().map(plan_row).collect();
    ui.result(Table { columns: &columns, rows }.render(ui));
    ui.status(format!("\n{}", sentence(plan)));
}

/// Prints a summary of the plan at the start of a run. `resumed` has the numbers of completed and
/// all builds of an interrupted run.
pub fn announce(ui: &Ui, plan: &Plan, resumed: Option<(usize, usize)>) {
    if let Some((done, all)) = resumed {
        ui.status(format!("resuming: {done} of {all} builds are already done"));
    }
    ui.status(sentence(plan));
}

fn plan_row(row: &Row) -> Vec<Cell> {
    let (word, paint): (_, fn(&Ui, &str) -> String) = match row.plan {
        Todo::Present => ("present", Ui::green),
        Todo::Fetch => ("fetch", Ui::bold),
        Todo::Build => ("build", Ui::bold),
        Todo::Unsupported => ("unsupported", Ui::yellow),
        Todo::NeedsSetup => ("needs set-up", Ui::yellow),
    };
    let about = if row.plan == Todo::Present { "" } else { "about " };
    let time = row.expected_seconds.map(|time| format!("{about}{}", units::seconds(time)));
    let closure = row.closure_bytes.map(|bytes| format!("{about}{}", units::bytes(bytes)));
    cells(&row.build, Cell::painted(word, paint), time, closure)
}

/// Returns a row of the plan or of the report.
fn cells(build: &Build, state: Cell, time: Option<String>, closure: Option<String>) -> Vec<Cell> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned()).into();
    let name = build.variant.as_str().into();
    vec![name, state, build.wanted_by().into(), or_dash(time), or_dash(closure)]
}

/// Summarizes the plan, such as `4 variants: 1 present, 2 to build and 3 dependencies, 1 to fetch;
/// 12 paths from a cache, …`.
fn sentence(plan: &Plan) -> String {
    let dependencies = match plan.dependencies {
        0 => String::new(),
        1 => " and 1 dependency".to_owned(),
        count => format!(" and {count} dependencies"),
    };
    let counts = [
        (Todo::Present, "present", ""),
        (Todo::Build, "to build", dependencies.as_str()),
        (Todo::Fetch, "to fetch", ""),
        (Todo::Unsupported, "that no machine can build", ""),
        (Todo::NeedsSetup, "that need a set-up", ""),
    ];
    let parts: Vec<String> = counts
        .map(|(todo, what, more)| (plan.count(todo), what, more))
        .into_iter()
        .filter(|(count, _, more)| *count > 0 || !more.is_empty())
        .map(|(count, what, more)| format!("{count} {what}{more}"))
        .collect();
    let mut text = units::count(plan.variants.len(), "variant");
    if !parts.is_empty() {
        text.push_str(&format!(": {}", parts.join(", ")));
    }
    if plan.fetch.paths > 0 {
        text.push_str(&format!(
            "; {} from a cache, {} to download, {} unpacked",
            units::count(plan.fetch.paths, "path"),
            units::bytes(plan.fetch.download_bytes),
            units::bytes(plan.fetch.unpacked_bytes)
        ));
    }
    text
}

pub fn report(ui: &Ui, report: &BuildReport) {
    let mut columns = vec!["VARIANT", "STATE", "HOSTS", ">TIME", ">CLOSURE"];
    let mut rows: Vec<Vec<Cell>> = report.variants.iter().map(row).collect();
    if report.variants.iter().any(|variant| variant.machine.is_some()) {
        columns.push("BUILDER");
        for (row, variant) in rows.iter_mut().zip(&report.variants) {
            row.push(variant.machine.as_deref().unwrap_or("-").into());
        }
    }
    if !rows.is_empty() {
        ui.result(Table { columns: &columns, rows }.render(ui));
    }
    // The user interrupted the others, and findings report those that need a set-up.
    let stopped = |variant: &&VariantReport| variant.state == BuildState::Interrupted;
    let failed = |variant: &&VariantReport| {
        !variant.state.ok() && !stopped(variant) && variant.state != BuildState::NeedsSetup
    };
    for variant in report.variants.iter().filter(failed) {
        print_failure(ui, variant);
    }
    findings::view::print_all(ui, report.host_findings());
    // The necessary set-up was printed before the build.
    for finding in report.findings.iter().filter(|finding| !is_setup(finding)) {
        findings::view::print(ui, "build-all", finding);
    }
    let ok = report.variants.iter().filter(|variant| variant.state.ok()).count();
    ui.status(match report.variants.len() {
        0 => format!("\n{NOTHING}"),
        all => format!("\n{ok} of {all} variants in the store"),
    });
    let logged = report.variants.iter().filter(failed).find(|variant| variant.log.is_some());
    if let Some(host) = logged.and_then(|variant| variant.build.hosts.first()) {
        ui.status(format!("the whole log: `cargo xtask log {host}`"));
    }
    if report.variants.iter().any(|variant| stopped(&variant)) {
        ui.status("to resume, run the same command again");
    } else if let Some(next) = next(&report.variants) {
        ui.status(next);
    }
}

/// Returns what to do next with the linked builds.
fn next(variants: &[VariantReport]) -> Option<String> {
    let linked = variants.iter().filter(|variant| variant.link.is_some());
    let hosts: Vec<&HostName> = linked.clone().flat_map(|variant| &variant.build.hosts).collect();
    let link = Path::new(linked.clone().find_map(|variant| variant.link.as_deref())?);
    let here = std::env::current_dir().unwrap_or_default();
    let link = link.strip_prefix(here).unwrap_or(link);
    let (folder, host) = (
        link.parent()?.display(),
        match hosts[..] {
            [] => return None,
            [host] => host.as_str(),
            _ => "HOST",
        },
    );
    Some(format!(
        "linked in {folder}/; to switch {host} to it: `nixos-rebuild switch --flake .#{host}` or `nh os \
         switch . -H {host}`"
    ))
}

fn row(variant: &VariantReport) -> Vec<Cell> {
    let paint = match variant.state {
        state if state.ok() => Ui::green,
        BuildState::Unsupported | BuildState::NeedsSetup | BuildState::Interrupted => Ui::yellow,
        _ => Ui::red,
    };
    let state = Cell::painted(variant.state.to_string(), paint);
    cells(&variant.build, state, Some(units::seconds(variant.seconds)), closure(variant))
}

/// Formats the closure size and its change, such as `1.2 GiB (+30.0 MiB)`.
fn closure(variant: &VariantReport) -> Option<String> {
    let bytes = units::bytes(variant.closure_bytes?);
    Some(match variant.closure_change_bytes {
        None | Some(0) => bytes,
        Some(change) => {
            let sign = if change > 0 { '+' } else { '-' };
            format!("{bytes} ({sign}{})", units::bytes(change.unsigned_abs()))
        }
    })
}

/// Explains a failure, such as `dependency rocblas-7.0.2 failed with exit code 3 (2 attempts)`.
fn why(variant: &VariantReport) -> String {
    let sentence = variant.sentence();
    let mut text = match &variant.reason {
        None => sentence,
        Some(reason) => match (sentence.strip_suffix(" failed"), reason.starts_with("failed")) {
            (Some(what), true) => format!("{what} {reason}"),
            _ => format!("{sentence}: {reason}"),
        },
    };
    if let Some(attempts) = variant.attempts {
        text.push_str(&format!(" ({attempts} attempts)"));
    }
    text
}

/// Prints why a build failed.
pub fn print_failure(ui: &Ui, variant: &VariantReport) {
    ui.warn(format!(
        "\n{} {} for {}: {}",
        ui.red("error:"),
        ui.bold(variant.build.variant.as_str()),
        variant.build.wanted_by(),
        why(variant)
    ));
    if let Some(line) = &variant.first_error {
        ui.warn(format!("  {} {line}", ui.dim("first error:")));
    }
    if !variant.log_tail.is_empty() && (ui.quiet || !variant.tail_shown) {
        let tail = end_of(&variant.log_tail, variant.first_error.is_some() && !ui.github);
        let tail = tail.iter().map(|line| format!("  {} {line}", ui.dim("│")));
        ui.warn_group(&format!("end of the log of {}", variant.build.variant), tail);
    }
    if let Some(log) = &variant.log {
        ui.warn(format!("  {} {log}", ui.dim("full log:")));
    }
}
