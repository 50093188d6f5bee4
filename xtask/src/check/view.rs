//! The terminal output of `check`.

use crate::check::outcomes::HostState;
use crate::check::report::{CheckReport, HostReport, PackageReport, PartReport};
use crate::findings::finding::Finding;
use crate::findings::view::describe;
use crate::ui::table::{Cell, Table};
use crate::ui::{Ui, units};

pub fn print(ui: &Ui, report: &CheckReport) {
    let rows = report.hosts.iter().map(row).chain(report.packages.iter().map(package)).collect();
    let columns = ["HOST", "STATE", "VARIANT", "IN STORE", ">TIME"];
    ui.result(Table { columns: &columns, rows }.render(ui));
    complain(ui, report);
    let ok = report.hosts.iter().filter(|host| host.state == HostState::Ok).count();
    let lacking = report.hosts.iter().filter(|host| host.lacks_module()).count();
    let without = match lacking {
        0 => String::new(),
        count => format!(", {count} without the module"),
    };
    ui.status(format!(
        "\n{ok} of {} hosts ok{without}, {} distinct {}",
        report.hosts.len() - lacking,
        report.builds,
        if report.builds == 1 { "build" } else { "builds" }
    ));
}

/// Every finding: the fleet's, the hosts', the packages'.
pub fn complain(ui: &Ui, report: &CheckReport) {
    for finding in &report.findings {
        ui.warn(describe(ui, "fleet", finding));
    }
    // What several hosts have in common is shown once. Each has its own log.
    let what = |finding: &Finding| Finding { help: String::new(), ..finding.clone() };
    let mut shown: Vec<(&Finding, Vec<&str>)> = vec![];
    for host in &report.hosts {
        for finding in &host.findings {
            match shown.iter_mut().find(|(known, _)| what(known) == what(finding)) {
                Some((_, hosts)) => hosts.push(host.host.as_str()),
                None => shown.push((finding, vec![host.host.as_str()])),
            }
        }
    }
    for (finding, hosts) in shown {
        ui.warn(describe(ui, &abridged(&hosts), finding));
    }
    for package in &report.packages {
        for finding in &package.findings {
            ui.warn(describe(ui, &package.to_string(), finding));
        }
    }
}

/// `h1, h2, h3 and 26 more`.
fn abridged(hosts: &[&str]) -> String {
    const SHOWN: usize = 4;
    match hosts.len().saturating_sub(SHOWN) {
        0 | 1 => hosts.join(", "),
        more => format!("{} and {more} more", hosts[..SHOWN].join(", ")),
    }
}

fn package(package: &PackageReport) -> Vec<Cell> {
    vec![package.to_string().into(), state(package.state), "-".into(), "-".into(), "-".into()]
}

fn row(host: &HostReport) -> Vec<Cell> {
    vec![
        host.host.as_str().into(),
        state(host.state),
        host.variant.as_ref().map_or("-", |variant| variant.as_str()).into(),
        (if host.drv_path.is_none() {
            "-".to_owned()
        } else {
            PartReport::in_store(host.cached, &host.parts)
        })
        .into(),
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
