//! What `check` shows a person.

use crate::domain::check::{CheckReport, HostReport, HostState};
use crate::domain::finding::{Finding, Severity};
use crate::ui::table::{Align, Cell, Table};
use crate::ui::{Ui, units};

pub fn print(ui: &Ui, report: &CheckReport) {
    let rows = report.hosts.iter().map(row).collect();
    let columns = [
        ("HOST", Align::Left),
        ("STATE", Align::Left),
        ("VARIANT", Align::Left),
        ("IN STORE", Align::Left),
        ("TIME", Align::Right),
    ];
    ui.result(Table { columns: &columns, rows }.render(ui));
    for host in &report.hosts {
        for finding in &host.findings {
            ui.complain(describe(ui, host.host.as_str(), finding));
        }
    }
    let well = report.hosts.iter().filter(|host| host.state == HostState::Ok).count();
    ui.say(format!(
        "\n{well} of {} hosts ok, {} distinct {}",
        report.hosts.len(),
        report.builds,
        if report.builds == 1 { "build" } else { "builds" }
    ));
}

fn row(host: &HostReport) -> Vec<Cell> {
    let (state, paint): (_, fn(&Ui, &str) -> String) = match host.state {
        HostState::Ok => ("ok", Ui::green),
        HostState::Finding => ("finding", Ui::red),
        HostState::EvalError => ("eval-error", Ui::red),
        HostState::Timeout => ("timeout", Ui::red),
        HostState::OutOfMemory => ("out-of-memory", Ui::red),
        HostState::Unsupported => ("unsupported", Ui::yellow),
    };
    vec![
        host.host.as_str().into(),
        Cell::painted(state, paint),
        host.variant.as_ref().map_or("-", |variant| variant.as_str()).into(),
        (if host.drv_path.is_none() {
            "-"
        } else if host.cached {
            "yes"
        } else {
            "no"
        })
        .into(),
        units::seconds(host.seconds).into(),
    ]
}

/// Like a compiler's message: severity, host, place, sentence, help.
pub fn describe(ui: &Ui, host: &str, finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Error => ui.red("error"),
        Severity::Warning => ui.yellow("warning"),
    };
    let place = finding.place().map(|place| format!("\n  --> {place}")).unwrap_or_default();
    let message = finding.message.replace('\n', "\n    ");
    format!(
        "\n{severity}[{}] {}: {message}{place}\n  {} {}",
        finding.code,
        ui.bold(host),
        ui.dim("help:"),
        finding.help
    )
}
