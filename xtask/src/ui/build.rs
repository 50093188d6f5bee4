//! Builds as they go: a bar a variant on a terminal; elsewhere a line at each start,
//! phase, tenth and end, and a heartbeat, so that a CI log neither floods nor falls silent.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use crate::domain::build::{Build, BuildState, Update, short_name};
use crate::domain::build_report::{BuildReport, VariantReport};
use crate::domain::names::DrvPath;
use crate::ui::progress::style;
use crate::ui::table::{Align, Cell, Table};
use crate::ui::{Ui, units};

const HEARTBEAT: Duration = Duration::from_secs(30);

pub struct Progress {
    ui: Ui,
    started: Instant,
    bars: Option<MultiProgress>,
    rows: BTreeMap<DrvPath, Row>,
    dependency: Option<ProgressBar>,
    last_line: Instant,
}

struct Row {
    name: String,
    bar: Option<ProgressBar>,
    phase: String,
    tenth: u32,
    fraction: Option<(u32, u32)>,
    running: bool,
}

impl Progress {
    pub fn start(ui: &Ui, builds: &[&Build]) -> Self {
        let bars = ui.bars.then(MultiProgress::new);
        if let Some(bars) = &bars {
            bars.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        }
        let width = builds.iter().map(|build| build.variant.as_str().len()).max().unwrap_or(0);
        let rows = builds
            .iter()
            .map(|build| {
                let bar = bars.as_ref().map(|bars| {
                    let bar = bars.add(ProgressBar::new(0));
                    bar.set_style(style("{prefix} {wide_msg}"));
                    bar.set_prefix(format!("{:<width$}", build.variant.as_str()));
                    bar.set_message("waiting");
                    bar.enable_steady_tick(Duration::from_millis(250));
                    bar
                });
                let row = Row {
                    name: build.variant.as_str().to_owned(),
                    bar,
                    phase: String::new(),
                    tenth: 0,
                    fraction: None,
                    running: false,
                };
                (build.drv.clone(), row)
            })
            .collect();
        let dependency = bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(0));
            bar.set_style(style("{wide_msg}"));
            bar
        });
        let now = Instant::now();
        Self { ui: *ui, started: now, bars, rows, dependency, last_line: now }
    }

    pub fn apply(&mut self, update: &Update) {
        match update {
            Update::Started { drv, machine } => self.start_row(drv, machine),
            Update::Phase { drv, phase } => self.phase(drv, phase),
            Update::Fraction { drv, done, total } => self.fraction(drv, *done, *total),
            Update::Stopped { drv } => self.stop_row(drv),
            Update::OneEnded => {}
            Update::Substituting { path } => {
                self.dependency(&format!("fetching {}", short_name(path.as_str())))
            }
            // Level 0 is an error. Nix repeats failures at its end, with the log's tail;
            // the report says them once, by variant.
            Update::Message { level: 1, text } => self.line(&format!("nix: {text}")),
            Update::Message { text, .. } => self.ui.detail_above(self.bars.as_ref(), text),
            Update::Line { line, .. } => {
                if self.ui.verbose > 1 {
                    self.ui.detail_above(self.bars.as_ref(), line);
                }
            }
        }
    }

    fn start_row(&mut self, drv: &DrvPath, machine: &str) {
        let on = if machine.is_empty() { String::new() } else { format!(" on {machine}") };
        let Some(row) = self.rows.get_mut(drv) else {
            return self.dependency(&format!("building {}{on}", short_name(drv.as_str())));
        };
        row.running = true;
        if let Some(bar) = &row.bar {
            bar.reset_elapsed();
            bar.set_style(style("{prefix} {spinner} {elapsed:>4}  {wide_msg}"));
            bar.set_message(format!("starting{on}"));
        } else {
            let line = format!("{}: building{on}", row.name);
            self.line(&line);
        }
    }

    fn phase(&mut self, drv: &DrvPath, phase: &str) {
        let Some(row) = self.rows.get_mut(drv) else { return };
        row.phase = phase.trim_end_matches("Phase").to_owned();
        if let Some(bar) = &row.bar {
            bar.set_message(row.phase.clone());
        } else {
            let line = format!("{}: {}", row.name, row.phase);
            self.line(&line);
        }
    }

    fn fraction(&mut self, drv: &DrvPath, done: u32, total: u32) {
        let Some(row) = self.rows.get_mut(drv) else { return };
        row.fraction = Some((done, total));
        if let Some(bar) = &row.bar {
            if bar.length() != Some(u64::from(total)) {
                bar.set_length(u64::from(total));
                bar.set_style(
                    style("{prefix} {bar:24.green/dim} {pos:>4}/{len:<4} {elapsed:>4}  {wide_msg}")
                        .progress_chars("━━─"),
                );
            }
            bar.set_position(u64::from(done));
            return;
        }
        let tenth = done * 10 / total;
        if tenth > row.tenth {
            row.tenth = tenth;
            let line = format!("{}: {done}/{total} steps", row.name);
            self.line(&line);
        }
    }

    fn stop_row(&mut self, drv: &DrvPath) {
        let Some(row) = self.rows.get_mut(drv) else {
            if let Some(bar) = &self.dependency {
                bar.set_message("");
            }
            return;
        };
        row.running = false;
        if let Some(bar) = &row.bar {
            let elapsed = units::seconds(bar.elapsed().as_secs_f64());
            bar.set_style(style("{prefix} {wide_msg}"));
            bar.finish_with_message(format!("ended after {elapsed}"));
        } else {
            let line = format!("{}: ended", row.name);
            self.line(&line);
        }
    }

    fn dependency(&mut self, text: &str) {
        match &self.dependency {
            Some(bar) => bar.set_message(text.to_owned()),
            None => self.line(text),
        }
    }

    fn line(&mut self, text: &str) {
        self.last_line = Instant::now();
        match &self.bars {
            Some(bars) => drop(bars.println(text)),
            None => {
                let elapsed = units::seconds(self.started.elapsed().as_secs_f64());
                self.ui.say(format!("[{elapsed}] {text}"));
            }
        }
    }

    /// To be called now and then, for the heartbeat.
    pub fn tick(&mut self) {
        if self.bars.is_some() || self.last_line.elapsed() < HEARTBEAT {
            return;
        }
        let running: Vec<String> = self
            .rows
            .values()
            .filter(|row| row.running)
            .map(|row| match row.fraction {
                Some((done, total)) => format!("{} {done}/{total}", row.name),
                None => format!("{} {}", row.name, row.phase),
            })
            .collect();
        self.line(&format!("still building: {}", running.join(", ")));
    }

    pub fn finish(self) {
        // Each by itself: what has finished is no longer among those that `clear` removes.
        for bar in self.rows.values().filter_map(|row| row.bar.as_ref()).chain(&self.dependency) {
            bar.finish_and_clear();
        }
        if let Some(bars) = &self.bars {
            drop(bars.clear());
        }
    }
}

pub fn print(ui: &Ui, report: &BuildReport) {
    let columns = [
        ("VARIANT", Align::Left),
        ("STATE", Align::Left),
        ("HOSTS", Align::Left),
        ("TIME", Align::Right),
        ("CLOSURE", Align::Right),
    ];
    let rows = report.variants.iter().map(row).collect();
    ui.result(Table { columns: &columns, rows }.render(ui));
    for variant in report.variants.iter().filter(|variant| !variant.state.well()) {
        complain(ui, variant);
    }
    for host in &report.hosts {
        for finding in &host.findings {
            ui.complain(crate::ui::check::describe(ui, host.host.as_str(), finding));
        }
    }
    for finding in &report.findings {
        crate::ui::check::tell(ui, "build-all", finding);
    }
    let well = report.variants.iter().filter(|variant| variant.state.well()).count();
    ui.say(format!("\n{well} of {} variants in the store", report.variants.len()));
}

fn row(variant: &VariantReport) -> Vec<Cell> {
    let paint = match variant.state {
        state if state.well() => Ui::green,
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

fn complain(ui: &Ui, variant: &VariantReport) {
    ui.complain(format!(
        "\n{} {} for {}: {}",
        ui.red("error:"),
        ui.bold(variant.variant.as_str()),
        variant.wanted_by(),
        variant.state.sentence()
    ));
    if let Some(line) = &variant.first_error {
        ui.complain(format!("  {} {line}", ui.dim("first error:")));
    }
    if !variant.log_tail.is_empty() {
        let tail = variant.log_tail.iter().map(|line| format!("  {} {line}", ui.dim("│")));
        ui.complain_at_length(&format!("the log of {} ends", variant.variant), tail);
    }
    if let Some(log) = &variant.log {
        ui.complain(format!("  {} {log}", ui.dim("whole log:")));
    }
}
