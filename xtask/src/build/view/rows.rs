//! Formats the rows that are drawn while builds run, so that they fit a terminal of any size. The
//! total is first, so that it is never cut off.
//!
//! Pure: no I/O, no clock.

use crate::build::derivations::{Derivation, Derivations, Overall, Stage};
use crate::ui::progress::{Row, Size, fit, width};
use crate::ui::{Ui, units};

/// The prefix of a dependency, which is drawn below a variant.
const INDENT: &str = "  └ ";

pub fn rows(progress: &mut Derivations, now: f64, size: Size, ui: &Ui) -> Vec<Row> {
    // One line remains for the text above.
    let lines = size.lines.saturating_sub(1).max(1);
    let total = progress.overall(now);
    let blocks = blocks(progress);
    let mut below = unattributed(progress, now);
    below.truncate(lines.saturating_sub(2));
    let names = blocks.iter().flat_map(|block| {
        let dependencies = block.dependencies.iter().map(|row| width(&row.name) + width(INDENT));
        std::iter::once(width(&block.row.name)).chain(dependencies)
    });
    let name = names.max().unwrap_or(0).min(widest_name(size.columns));
    let (shown, hidden) = choose(blocks, lines - 1 - below.len());
    let machines = shown.iter().flat_map(|block| block.rows().map(|row| width(&row.on()) + 1));
    let machine = machines.filter(|columns| *columns > 1).max().unwrap_or(0);
    let layout = Layout { columns: size.columns, name, machine, now, ui };
    let mut rows = vec![layout.total(&total)];
    for block in &shown {
        rows.push(layout.build(block.row, "", block.waits_for));
        rows.extend(block.dependencies.iter().map(|row| layout.build(row, INDENT, None)));
    }
    let below = others(&hidden).map(|text| ui.dim(&text)).into_iter().chain(below);
    rows.extend(below.map(|text| row(String::new(), String::new(), text, None)));
    rows.truncate(lines);
    rows
}

/// Returns the maximum columns of names. On a narrow terminal, a number and a clock get the rest.
fn widest_name(columns: usize) -> usize {
    match columns {
        0..28 => columns.saturating_sub(7),
        28..40 => columns - 14,
        _ => columns * 2 / 5,
    }
}

/// A variant with its dependencies that are being built.
struct Block<'a> {
    row: &'a Derivation,
    dependencies: Vec<&'a Derivation>,
    waits_for: Option<Need<'a>>,
}

/// A dependency that a variant waits for.
#[derive(Clone, Copy)]
enum Need<'a> {
    /// It is shown below another variant.
    Running(&'a str),
    Failed(&'a str),
}

impl Block<'_> {
    fn rank(&self) -> u8 {
        match self.row.stage {
            Stage::Running => 0,
            _ if !self.dependencies.is_empty() => 0,
            Stage::Failed => 1,
            _ if matches!(self.waits_for, Some(Need::Failed(_))) => 1,
            Stage::Known | Stage::Waiting => 2,
            Stage::Ended => 3,
        }
    }

    fn rows(&self) -> impl Iterator<Item = &Derivation> {
        std::iter::once(self.row).chain(self.dependencies.iter().copied())
    }

    fn lines(&self) -> usize {
        1 + self.dependencies.len()
    }
}

fn blocks(progress: &Derivations) -> Vec<Block<'_>> {
    let new = |row| Block { row, dependencies: vec![], waits_for: None };
    let mut blocks: Vec<Block> = progress.variants().map(new).collect();
    for row in progress.running_dependencies() {
        // It is shown below the first variant that still waits for it.
        let waits = |index: &&usize| {
            blocks.get(**index).is_some_and(|block| block.row.stage == Stage::Waiting)
        };
        let first = row.needed_by().iter().find(waits).or(row.needed_by().first()).copied();
        for index in row.needed_by() {
            let Some(block) = blocks.get_mut(*index) else { continue };
            if Some(*index) == first {
                block.dependencies.push(row);
            } else {
                block.waits_for.get_or_insert(Need::Running(&row.name));
            }
        }
    }
    let failed = progress.iter().map(|(_, row)| row);
    for row in failed.filter(|row| row.stage == Stage::Failed && !row.is_variant()) {
        for index in row.needed_by() {
            if let Some(block) = blocks.get_mut(*index) {
                block.waits_for = Some(Need::Failed(&row.name));
            }
        }
    }
    blocks
}

/// Splits the blocks into those that fit, in their order, and the others.
fn choose(blocks: Vec<Block<'_>>, lines: usize) -> (Vec<Block<'_>>, Vec<Block<'_>>) {
    if blocks.iter().map(Block::lines).sum::<usize>() <= lines {
        return (blocks, vec![]);
    }
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|index| blocks[*index].rank());
    let mut left = lines.saturating_sub(1);
    let mut chosen = vec![false; blocks.len()];
    for index in order {
        if blocks[index].lines() > left {
            break;
        }
        left -= blocks[index].lines();
        chosen[index] = true;
    }
    let mut chosen = chosen.into_iter();
    blocks.into_iter().partition(|_| chosen.next().unwrap_or(false))
}

/// Summarizes the hidden blocks, such as `and 31 more: 3 running, 20 waiting, 8 done`.
fn others(hidden: &[Block]) -> Option<String> {
    let words = [
        (Stage::Running, "running"),
        (Stage::Waiting, "waiting"),
        (Stage::Failed, "failed"),
        (Stage::Ended, "done"),
    ];
    let count = |stage| hidden.iter().filter(|block| block.row.stage == stage).count();
    let counts = words.map(|(stage, word)| (count(stage), word)).into_iter();
    let parts: Vec<String> = counts
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    (!hidden.is_empty()).then(|| format!("and {} more: {}", hidden.len(), parts.join(", ")))
}

/// Formats builds that no known variant needs, and the path that is being fetched.
fn unattributed(progress: &Derivations, now: f64) -> Vec<String> {
    let builds = progress.running_dependencies().filter(|row| row.needed_by().is_empty());
    let builds = builds
        .map(|row| format!("building {}  {} {}", row.name, clock(row.elapsed(now)), row.on()));
    builds.chain(progress.fetching().map(|name| format!("fetching {name}"))).collect()
}

/// The layout of all rows.
struct Layout<'a> {
    columns: usize,
    /// Columns of the names.
    name: usize,
    /// Columns of the machines' names.
    machine: usize,
    now: f64,
    ui: &'a Ui,
}

impl Layout<'_> {
    fn total(&self, at: &Overall) -> Row {
        let ui = self.ui;
        let mut parts = vec![format!("{} of {}", at.ended, at.all), clock(at.elapsed)];
        if at.failed > 0 {
            parts.push(ui.red(&format!("{} failed", at.failed)));
        }
        if let Some(left) = at.remaining.filter(|left| *left >= 1.0) {
            parts.push(format!("~{} left", clock(left)));
        }
        if at.running > 0 {
            parts.push(format!("{} running", at.running));
        }
        if let Some((bytes, of)) = at.fetched.filter(|(_, of)| *of > 0) {
            parts.push(fetched(bytes, of));
        }
        let percent = format!("{:.0}%", (at.fraction * 100.0).floor());
        let steps = Some(((at.fraction * 1000.0) as u32, 1000));
        let wide = if self.columns < 60 { 0 } else { (self.columns - 58).clamp(8, 24) };
        let bar = if wide > 0 { self.bar(wide, "bold") + "  " } else { String::new() };
        let room =
            self.columns.saturating_sub(width(&percent) + if wide > 0 { wide + 2 } else { 0 });
        row(bar + "{prefix}", ui.bold(&percent), fitting(room, &parts), steps)
    }

    fn build(&self, build: &Derivation, indent: &str, waits_for: Option<Need>) -> Row {
        let ui = self.ui;
        let name = format!("{indent}{}", build.name);
        let name = fit(&name, self.name);
        let elapsed = clock(build.elapsed(self.now));
        let (name, parts) = match build.stage {
            Stage::Running => return self.running(build, name.into_owned()),
            Stage::Known | Stage::Waiting => {
                let what = match waits_for {
                    Some(Need::Failed(need)) => {
                        (ui.red(&name), ui.red(&format!("dependency {need} failed")))
                    }
                    Some(Need::Running(need)) => {
                        (ui.dim(&name), ui.dim(&format!("waiting for {need}")))
                    }
                    None => (ui.dim(&name), ui.dim("waiting")),
                };
                (what.0, vec![what.1])
            }
            Stage::Ended => (ui.green(&name), vec![ui.green("done"), elapsed]),
            Stage::Failed => (ui.red(&name), vec![ui.red("failed"), elapsed]),
        };
        row(self.named(), name, fitting(self.columns - self.name, &parts), None)
    }

    fn running(&self, build: &Derivation, name: String) -> Row {
        let room = self.columns.saturating_sub(self.name);
        let wide = room.saturating_sub(32 + self.machine).min(30);
        // A bar is more important than the machine's name.
        let wide = if wide < 8 { room.saturating_sub(32).min(30) } else { wide };
        let left = build.remaining(self.now).filter(|left| *left >= 1.0);
        let mut left = left.map_or_else(String::new, |left| format!("~{}", clock(left)));
        let phase = if build.phase == "build" { "" } else { build.phase.as_str() };
        // Keeps the following columns aligned.
        if !build.on().is_empty() || build.steps.is_some() && !phase.is_empty() {
            left = format!("{left:<6}");
        }
        let mut template = self.named();
        let (first, phase, room) = match build.steps {
            Some((done, total)) if room >= 44 => {
                template = format!("{template}  {}", self.bar(wide, "green"));
                (format!("{:>9}", format!("{done}/{total}")), phase, room - wide - 2)
            }
            Some((done, total)) => (format!("{:>3}%", done * 100 / total), phase, room),
            None if room >= 44 => {
                // As wide as a bar with its steps.
                let columns = wide + 11;
                (format!("{:<columns$}", fit(&build.phase, columns)), "", room)
            }
            None => ("   …".to_owned(), "", room),
        };
        let elapsed = format!("{:>5}", clock(build.elapsed(self.now)));
        let parts =
            [first, elapsed, self.ui.dim(&left), build.on().trim_start().into(), phase.to_owned()];
        row(template, name, fitting(room, &parts), build.steps)
    }

    fn named(&self) -> String {
        match self.name {
            0 => String::new(),
            columns => format!("{{prefix:{columns}!}}"),
        }
    }

    fn bar(&self, columns: usize, style: &str) -> String {
        match self.ui.color {
            true => format!("{{bar:{columns}.{style}/dim}}"),
            false => format!("{{bar:{columns}}}"),
        }
    }
}

fn row(template: String, prefix: String, message: String, steps: Option<(u32, u32)>) -> Row {
    let (position, length) = steps.map_or((0, 0), |(done, all)| (done.into(), all.into()));
    Row { template: template + "{wide_msg}", prefix, message, position, length }
}

/// Joins the parts that fit into the columns, each after two spaces.
fn fitting(mut room: usize, parts: &[String]) -> String {
    let mut text = String::new();
    for part in parts.iter().filter(|part| width(part) > 0) {
        if let Some(left) = room.checked_sub(width(part) + 2) {
            room = left;
            text.push_str("  ");
            text.push_str(part);
        }
    }
    text
}

/// Formats a duration as `0:07`, `12:34` or `1:02:03`. `seconds` is not negative.
pub fn clock(seconds: f64) -> String {
    let all = seconds as u64;
    match all / 3600 {
        0 => format!("{}:{:02}", all / 60, all % 60),
        hours => format!("{hours}:{:02}:{:02}", all / 60 % 60, all % 60),
    }
}

/// Formats fetched and expected bytes, such as `12.3 of 80.1 MiB`.
pub fn fetched(bytes: u64, of: u64) -> String {
    let (bytes, of) = (units::bytes(bytes), units::bytes(of));
    match (bytes.split_once(' '), of.split_once(' ')) {
        (Some((number, unit)), Some((_, other))) if unit == other => format!("{number} of {of}"),
        _ => format!("{bytes} of {of}"),
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
