//! The output of `bench --sweep`.

use crate::bench::comparison::distinct;
use crate::bench::sweep::report::{Configuration, State, SweepReport};
use crate::bench::view::or_dash;
use crate::ui::table::{Cell, Table};
use crate::ui::{Ui, units};

/// Prints the configurations, the fastest first, then those that were dropped or failed, with the
/// reasons.
pub fn print(ui: &Ui, report: &SweepReport) {
    let results = report.configurations.iter().flat_map(|one| &one.results);
    let tests = distinct(results.map(|result| result.test.as_str()));
    let heads: Vec<String> = tests.iter().map(|test| format!(">{test} TOKENS/S")).collect();
    let mut columns = vec!["CONFIGURATION"];
    columns.extend(heads.iter().map(String::as_str));
    columns.extend([">OF BEST", ">WITHIN", ">ROUNDS", ""]);
    let mut all: Vec<&Configuration> = report.configurations.iter().collect();
    all.sort_by(|a, b| {
        let rank = |one: &Configuration| one.of_best.unwrap_or_default();
        a.state.cmp(&b.state).then(rank(b).total_cmp(&rank(a)))
    });
    let rows = all.into_iter().map(|one| row(report, &tests, one)).collect();
    ui.result(Table { columns: &columns, rows }.render(ui));
    if let Some(best) = &report.best {
        let others = report.within_noise.len().saturating_sub(1);
        let noise = match others {
            0 => "no other is as fast".to_owned(),
            1 => "tied with one other".to_owned(),
            n => format!("tied with {n} others"),
        };
        ui.result(format!("\nbest: {best}; {noise}"));
    }
    if let Some(nix) = &report.nix {
        ui.verbatim(&format!("\n{}", nix.bench));
        if let Some(service) = &nix.service {
            ui.verbatim(service);
        }
        if !nix.without_flag.is_empty() {
            ui.result(format!("# llama-server has no flag for {}", nix.without_flag.join(", ")));
        }
    }
}

fn row(report: &SweepReport, tests: &[&str], one: &Configuration) -> Vec<Cell> {
    let mut row: Vec<Cell> = vec![one.name.as_str().into()];
    for test in tests {
        let found = one.results.iter().find(|result| result.test == *test);
        row.push(or_dash(found, |result| units::speed(result.tokens_per_second)));
    }
    row.push(or_dash(one.of_best, |ratio| format!("{ratio:.3}")));
    row.push(or_dash(one.interval, |[low, high]| format!("{low:.2} to {high:.2}")));
    row.push(one.rounds.to_string().into());
    row.push(remark(report, one));
    row
}

fn remark(report: &SweepReport, one: &Configuration) -> Cell {
    let has = |names: &[String]| names.contains(&one.name);
    match one.state {
        State::Failed => {
            let reason = one.reason.as_deref().unwrap_or_default();
            Cell::painted(format!("failed: {reason}"), |ui, text| ui.red(text))
        }
        State::Dropped => "dropped".into(),
        State::NotMeasured => "not measured".into(),
        State::Measured if report.best.as_ref() == Some(&one.name) => {
            Cell::painted("best", |ui, text| ui.green(text))
        }
        State::Measured => {
            let noise = has(&report.within_noise).then_some("tied with the best");
            let frontier = has(&report.frontier).then_some("on the frontier");
            let words: Vec<&str> = noise.into_iter().chain(frontier).collect();
            words.join(", ").into()
        }
    }
}
