//! The lines that are drawn while builds run, for a terminal of any size.

use crate::build::progress::{BuildProgress, Overall, Row, Stage};
use crate::ui::{Ui, units};

/// What fits: columns and lines of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub lines: usize,
}

/// One line in the making: what is seen is counted, what colours it is not.
struct Line<'a> {
    ui: &'a Ui,
    room: usize,
    text: String,
}

type Paint = fn(&Ui, &str) -> String;

impl<'a> Line<'a> {
    fn new(ui: &'a Ui, size: Size) -> Self {
        // The last column makes some terminals wrap.
        Self { ui, room: size.columns.saturating_sub(1), text: String::new() }
    }

    /// Adds as much as there is room for.
    fn add(&mut self, text: &str, paint: Option<Paint>) {
        let text = fit(text, self.room);
        self.room -= width(&text);
        match paint {
            Some(paint) if !text.trim().is_empty() => self.text.push_str(&paint(self.ui, &text)),
            _ => self.text.push_str(&text),
        }
    }

    /// Adds a word whole or not at all, after two blanks.
    fn word(&mut self, text: &str, paint: Option<Paint>) {
        if !text.is_empty() && width(text) + 2 <= self.room {
            self.add("  ", None);
            self.add(text, paint);
        }
    }
}

/// Columns that text takes; what is not ASCII may take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() || "━─·…└~".contains(c) { 1 } else { 2 }).sum()
}

fn fit(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut fitted = String::new();
    for c in text.chars() {
        if width(&fitted) + width(c.encode_utf8(&mut [0; 4])) + 1 > room {
            break;
        }
        fitted.push(c);
    }
    if room > 0 {
        fitted.push('…');
    }
    fitted
}

/// `0:07`, `12:34`, `1:02:03`. `seconds` is not negative.
pub fn clock(seconds: f64) -> String {
    let all = seconds as u64;
    match all / 3600 {
        0 => format!("{}:{:02}", all / 60, all % 60),
        hours => format!("{hours}:{:02}:{:02}", all / 60 % 60, all % 60),
    }
}

fn estimate(seconds: Option<f64>) -> String {
    let seconds = seconds.filter(|seconds| *seconds >= 1.0);
    seconds.map_or_else(String::new, |seconds| format!("~{}", clock(seconds)))
}

fn bar(fraction: f64, columns: usize) -> (String, String) {
    let full = ((fraction * columns as f64) as usize).min(columns);
    ("━".repeat(full), "─".repeat(columns - full))
}

pub fn frame(progress: &mut BuildProgress, now: f64, size: Size, ui: &Ui) -> Vec<String> {
    // One line stays free for the cursor.
    let lines = size.lines.saturating_sub(1);
    let overall = progress.overall(now);
    let blocks = blocks(progress);
    let mut below = strays(progress, size, ui, now);
    below.truncate(lines.saturating_sub(2));
    let room = lines.saturating_sub(below.len() + 1);
    let names = blocks.iter().flat_map(|block| {
        std::iter::once(width(&block.row.name))
            .chain(block.dependencies.iter().map(|row| width(&row.name) + 4))
    });
    let name_columns = names.max().unwrap_or(0).min(most_of_name(size.columns));
    let (shown, hidden) = choose(blocks, room);
    let rows = shown
        .iter()
        .flat_map(|block| std::iter::once(block.row).chain(block.dependencies.iter().copied()));
    let after = rows.map(|row| width(&on(row)) + 2).filter(|columns| *columns > 2).max();
    let columns = Columns { name: name_columns, after: after.unwrap_or(0) };
    let mut drawn = vec![];
    for block in &shown {
        drawn.push(row(block.row, "", block.waits_for, columns, now, size, ui));
        for dependency in &block.dependencies {
            drawn.push(row(dependency, "  └ ", None, columns, now, size, ui));
        }
    }
    if let Some(text) = others(&hidden) {
        let mut line = Line::new(ui, size);
        line.add(&text, Some(Ui::dim));
        drawn.push(line.text);
    }
    drawn.extend(below);
    drawn.push(whole(&overall, size, ui));
    let surplus = drawn.len().saturating_sub(lines.max(1));
    drawn.split_off(surplus)
}

/// What all lines agree on, so that they read as a table.
#[derive(Debug, Clone, Copy)]
struct Columns {
    name: usize,
    /// For the machine, where one is to be named.
    after: usize,
}

/// Columns for names: where there is little room, what remains is a number, then a clock.
fn most_of_name(columns: usize) -> usize {
    match columns {
        0..28 => columns.saturating_sub(7),
        28..40 => columns - 14,
        _ => columns * 2 / 5,
    }
}

/// A variant with the builds that it needs and that run now.
struct Block<'a> {
    row: &'a Row,
    dependencies: Vec<&'a Row>,
    /// Why a variant waits: what it needs is drawn under another.
    waits_for: Option<&'a str>,
}

impl Block<'_> {
    /// What is most worth seeing comes first.
    fn rank(&self) -> u8 {
        match self.row.stage {
            Stage::Running => 0,
            _ if !self.dependencies.is_empty() => 0,
            Stage::Failed => 1,
            Stage::Waiting => 2,
            Stage::Ended => 3,
        }
    }

    fn lines(&self) -> usize {
        1 + self.dependencies.len()
    }
}

fn blocks(progress: &BuildProgress) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block> = progress
        .variants()
        .iter()
        .map(|row| Block { row, dependencies: vec![], waits_for: None })
        .collect();
    for (drv, row) in progress.dependencies() {
        // Under the first that still waits for it.
        let needed_by = progress.needed_by(drv);
        let waits = |place: &&usize| {
            blocks.get(**place).is_some_and(|block| block.row.stage == Stage::Waiting)
        };
        let first = needed_by.iter().find(waits).or(needed_by.first()).copied();
        for place in needed_by {
            let Some(block) = blocks.get_mut(*place) else { continue };
            if Some(*place) == first {
                block.dependencies.push(row);
            } else {
                block.waits_for.get_or_insert(&row.name);
            }
        }
    }
    blocks
}

/// Those that fit, in their order, and the others.
fn choose(blocks: Vec<Block<'_>>, room: usize) -> (Vec<Block<'_>>, Vec<Block<'_>>) {
    if blocks.iter().map(Block::lines).sum::<usize>() <= room {
        return (blocks, vec![]);
    }
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|place| blocks[*place].rank());
    let mut left = room.saturating_sub(1);
    let mut chosen = vec![false; blocks.len()];
    for place in order {
        if blocks[place].lines() > left {
            break;
        }
        left -= blocks[place].lines();
        chosen[place] = true;
    }
    let mut chosen = chosen.into_iter();
    blocks.into_iter().partition(|_| chosen.next().unwrap_or(false))
}

/// `and 31 more: 3 running, 20 waiting, 8 done`.
fn others(hidden: &[Block]) -> Option<String> {
    let parts: Vec<String> = [
        (Stage::Running, "running"),
        (Stage::Waiting, "waiting"),
        (Stage::Failed, "failed"),
        (Stage::Ended, "done"),
    ]
    .into_iter()
    .filter_map(|(stage, word)| {
        let count = hidden.iter().filter(|block| block.row.stage == stage).count();
        (count > 0).then(|| format!("{count} {word}"))
    })
    .collect();
    (!hidden.is_empty()).then(|| format!("and {} more: {}", hidden.len(), parts.join(", ")))
}

/// What is built for nobody knows whom, and what is fetched.
fn strays(progress: &BuildProgress, size: Size, ui: &Ui, now: f64) -> Vec<String> {
    let mut lines = vec![];
    for (_, row) in progress.dependencies().filter(|(drv, _)| progress.needed_by(drv).is_empty()) {
        let mut line = Line::new(ui, size);
        line.add(&format!("building {}", row.name), None);
        line.word(&clock(row.elapsed(now)), None);
        line.word(&on(row), None);
        lines.push(line.text);
    }
    if let Some(name) = progress.fetching() {
        let mut line = Line::new(ui, size);
        line.add(&format!("fetching {name}"), None);
        lines.push(line.text);
    }
    lines
}

fn on(row: &Row) -> String {
    if row.machine.is_empty() { String::new() } else { format!("on {}", row.machine) }
}

fn row(
    row: &Row,
    indent: &str,
    waits_for: Option<&str>,
    columns: Columns,
    now: f64,
    size: Size,
    ui: &Ui,
) -> String {
    let mut line = Line::new(ui, size);
    let name = fit(&row.name, columns.name.saturating_sub(width(indent)));
    let paint: Option<Paint> = match row.stage {
        Stage::Waiting => Some(Ui::dim),
        Stage::Running => None,
        Stage::Ended => Some(Ui::green),
        Stage::Failed => Some(Ui::red),
    };
    line.add(indent, Some(Ui::dim));
    line.add(&name, paint);
    line.add(&" ".repeat(columns.name.saturating_sub(width(indent) + width(&name))), None);
    let elapsed = clock(row.elapsed(now));
    match row.stage {
        Stage::Waiting => match waits_for {
            Some(needed) => line.word(&format!("waiting for {needed}"), Some(Ui::dim)),
            None => line.word("waiting", Some(Ui::dim)),
        },
        Stage::Ended => {
            line.word("done", Some(Ui::green));
            line.word(&elapsed, None);
        }
        Stage::Failed => {
            line.word("failed", Some(Ui::red));
            line.word(&elapsed, None);
        }
        Stage::Running => running(&mut line, row, columns, now, &elapsed),
    }
    line.text.trim_end().to_owned()
}

fn running(line: &mut Line, row: &Row, columns: Columns, now: f64, elapsed: &str) {
    let wide = line.room.saturating_sub(32 + columns.after).min(30);
    // Without room for both, a bar says more than a machine.
    let wide = if wide < 8 { line.room.saturating_sub(32).min(30) } else { wide };
    let left = estimate(row.remaining(now));
    // What comes after it stays in its column.
    let more = !row.machine.is_empty() || row.fraction().is_some() && row.phase != "build";
    let left = if more { format!("{left:<6}") } else { left };
    match row.fraction() {
        Some(fraction) if line.room >= 44 => {
            let (full, rest) = bar(fraction, wide);
            line.add("  ", None);
            line.add(&full, Some(Ui::green));
            line.add(&rest, Some(Ui::dim));
            let (done, total) = row.steps.unwrap_or_default();
            line.word(&format!("{:>9}", format!("{done}/{total}")), None);
        }
        Some(fraction) => line.word(&format!("{:>3.0}%", (fraction * 100.0).floor()), None),
        None if line.room >= 44 => {
            // As wide as a bar with its steps.
            let columns = wide + 11;
            line.word(&format!("{:<columns$}", fit(&row.phase, columns)), None);
        }
        None => line.word("   …", None),
    }
    line.word(&format!("{elapsed:>5}"), None);
    line.word(&left, Some(Ui::dim));
    line.word(&on(row), None);
    if row.fraction().is_some() && row.phase != "build" {
        line.word(&row.phase, None);
    }
}

fn whole(at: &Overall, size: Size, ui: &Ui) -> String {
    let mut line = Line::new(ui, size);
    if line.room >= 60 {
        let (full, rest) = bar(at.fraction, (line.room - 58).clamp(8, 24));
        line.add(&full, Some(Ui::bold));
        line.add(&rest, Some(Ui::dim));
        line.add("  ", None);
    }
    line.add(&format!("{:.0}%", (at.fraction * 100.0).floor()), Some(Ui::bold));
    line.word(&format!("{} of {}", at.ended, at.all), None);
    line.word(&clock(at.elapsed), None);
    if at.failed > 0 {
        line.word(&format!("{} failed", at.failed), Some(Ui::red));
    }
    if let Some(left) = at.remaining.filter(|left| *left >= 1.0) {
        line.word(&format!("~{} left", clock(left)), None);
    }
    if at.running > 0 {
        line.word(&format!("{} running", at.running), None);
    }
    if let Some((bytes, of)) = at.fetched.filter(|(_, of)| *of > 0) {
        line.word(&fetched(bytes, of), None);
    }
    line.text
}

/// `12.3 of 80.1 MiB`.
pub fn fetched(bytes: u64, of: u64) -> String {
    let (bytes, of) = (units::bytes(bytes), units::bytes(of));
    match (bytes.split_once(' '), of.split_once(' ')) {
        (Some((number, unit)), Some((_, other))) if unit == other => format!("{number} of {of}"),
        _ => format!("{bytes} of {of}"),
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
