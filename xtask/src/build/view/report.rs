//! The report for a person: a table of the variants, then what failed.

use crate::build::report::{BuildReport, VariantReport};
use crate::build::variants::BuildState;
use crate::ui::table::{Cell, Table};
use crate::ui::{Ui, units};

pub fn print(ui: &Ui, report: &BuildReport) {
    let mut columns = vec!["VARIANT", "STATE", "HOSTS", ">TIME", ">CLOSURE"];
    let mut rows: Vec<Vec<Cell>> = report.variants.iter().map(row).collect();
    if report.variants.iter().any(|variant| variant.machine.is_some()) {
        columns.push("BUILDER");
        for (row, variant) in rows.iter_mut().zip(&report.variants) {
            row.push(variant.machine.as_deref().unwrap_or("-").into());
        }
    }
    ui.result(Table { columns: &columns, rows }.render(ui));
    for variant in report.variants.iter().filter(|variant| !variant.state.ok()) {
        complain(ui, variant);
    }
    for host in &report.hosts {
        for finding in &host.findings {
            ui.warn(crate::findings::view::describe(ui, host.host.as_str(), finding));
        }
    }
    for finding in &report.findings {
        crate::findings::view::print(ui, "build-all", finding);
    }
    let ok = report.variants.iter().filter(|variant| variant.state.ok()).count();
    ui.status(format!("\n{ok} of {} variants in the store", report.variants.len()));
}

fn row(variant: &VariantReport) -> Vec<Cell> {
    let paint = match variant.state {
        state if state.ok() => Ui::green,
        BuildState::Unsupported | BuildState::Interrupted => Ui::yellow,
        _ => Ui::red,
    };
    vec![
        variant.variant.as_str().into(),
        Cell::painted(variant.state.as_str(), paint),
        variant.wanted_by().into(),
        units::seconds(variant.seconds).into(),
        closure(variant).into(),
    ]
}

/// `1.2 GiB (+30.0 MiB)`.
fn closure(variant: &VariantReport) -> String {
    let Some(bytes) = variant.closure_bytes else { return "-".to_owned() };
    match variant.closure_change_bytes {
        None | Some(0) => units::bytes(bytes),
        Some(change) => {
            let sign = if change > 0 { '+' } else { '-' };
            format!("{} ({sign}{})", units::bytes(bytes), units::bytes(change.unsigned_abs()))
        }
    }
}

/// `the build failed: the connection to builder-one was lost (2 attempts)`.
fn why(variant: &VariantReport) -> String {
    let mut text = variant.state.sentence().to_owned();
    if let Some(reason) = &variant.reason {
        text.push_str(&format!(": {reason}"));
    }
    if let Some(attempts) = variant.attempts {
        text.push_str(&format!(" ({attempts} attempts)"));
    }
    text
}

fn complain(ui: &Ui, variant: &VariantReport) {
    ui.warn(format!(
        "\n{} {} for {}: {}",
        ui.red("error:"),
        ui.bold(variant.variant.as_str()),
        variant.wanted_by(),
        why(variant)
    ));
    if let Some(line) = &variant.first_error {
        ui.warn(format!("  {} {line}", ui.dim("first error:")));
    }
    if !variant.log_tail.is_empty() && (ui.quiet || !variant.tail_shown) {
        let tail = variant.log_tail.iter().map(|line| format!("  {} {line}", ui.dim("│")));
        ui.warn_group(&format!("end of the log of {}", variant.variant), tail);
    }
    if let Some(log) = &variant.log {
        ui.warn(format!("  {} {log}", ui.dim("full log:")));
    }
}
