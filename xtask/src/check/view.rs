//! Prints the report of `check` in the terminal.

use crate::check::outcomes::HostState;
use crate::check::report::{CheckReport, HostReport, PackageReport};
use crate::findings;
use crate::ui::table::{Cell, Table};
use crate::ui::{Ui, units};

pub fn print(ui: &Ui, report: &CheckReport) {
    let rows = report.hosts.iter().map(row).chain(report.packages.iter().map(package)).collect();
    let columns = ["HOST", "STATE", "VARIANT", "IN STORE", ">TIME"];
    ui.result(Table { columns: &columns, rows }.render(ui));
    print_findings(ui, report);
    ui.status(format!("\n{}", report.summary()));
}

pub fn print_findings(ui: &Ui, report: &CheckReport) {
    findings::view::print_all(ui, report.all_findings());
}

fn package(package: &PackageReport) -> Vec<Cell> {
    vec![package.to_string().into(), state(package.state), "-".into(), "-".into(), "-".into()]
}

fn row(host: &HostReport) -> Vec<Cell> {
    vec![
        host.host.as_str().into(),
        state(host.state),
        host.variant.as_ref().map_or("-", |variant| variant.as_str()).into(),
        host.in_store().into(),
        units::seconds(host.seconds).into(),
    ]
}

fn state(state: HostState) -> Cell {
    let paint: fn(&Ui, &str) -> String = match state {
        HostState::Ok => Ui::green,
        HostState::Unsupported => Ui::yellow,
        _ => Ui::red,
    };
    Cell::painted(state.to_string(), paint)
}
