//! The report as Markdown tables, for a README, an issue or a workflow's step summary.

use std::fmt::Write;

use crate::bench::baseline::Verdict;
use crate::bench::report::history::{Change, METHOD, Point, Report, Setting};
use crate::bench::report::html::{HOW_TO_BEGIN, MAX_SETTINGS, damaged, extent, notes};
use crate::bench::report::wording::markdown;
use crate::bench::report::{rows, wording};
use crate::ui::units;

pub fn text(report: &Report) -> String {
    let mut text = format!("# llama.cpp speed, by host\n\n{}\n", extent(report));
    for note in notes(report) {
        let _ = write!(text, "\n**{}**\n", markdown(&note));
    }
    if report.hosts.is_empty() {
        let _ = write!(text, "\n{HOW_TO_BEGIN}\n");
        return text;
    }
    now(&mut text, report);
    for host in &report.hosts {
        let _ = write!(text, "\n## {}\n", markdown(&host.host));
        for setting in host.settings.iter().take(MAX_SETTINGS) {
            history(&mut text, setting);
        }
        if let more @ 1.. = host.settings.len().saturating_sub(MAX_SETTINGS) {
            let what = "combinations of model and flags, measured longer ago";
            let _ = write!(text, "\nNot shown: {more} more {what}.\n");
        }
    }
    let _ = write!(
        text,
        "\nTokens/s (middle half of the samples); ▼ slower, ▲ faster than the run before, beyond noise. \
         {}\n",
        METHOD
    );
    if !report.damaged.is_empty() {
        text += "\nLines that could not be read:\n\n";
        damaged(report).iter().for_each(|line| text += &format!("- {}\n", markdown(line)));
    }
    text
}

fn now(text: &mut String, report: &Report) {
    *text += "\n## Current speed\n\n| host | llama.cpp | test | tokens/s | middle half | change | against |\n\
              |---|---|---|--:|--:|--:|---|\n";
    for host in &report.hosts {
        let Some(setting) = host.settings.first() else { continue };
        for series in setting.series.iter().take(rows::MAX_TESTS) {
            let Some(last) = series.points.last() else { continue };
            let (change, against) = match &series.now {
                Some(change) => (changed(change), on(&series.points[change.against])),
                None => ("first run".to_owned(), String::new()),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {change} | {against} |",
                markdown(&host.host),
                on(last),
                markdown(&series.test),
                units::speed(last.tokens_per_second),
                wording::middle(last)
            );
        }
    }
}

fn history(text: &mut String, setting: &Setting) {
    let (rows, all) = rows::rows(setting);
    let _ = write!(text, "\n### {}\n\n", markdown(&wording::setting(&setting.key)));
    if rows.len() < all {
        let _ = write!(text, "The newest {} of {all} runs.\n\n", rows.len());
    }
    let tests = setting.series.iter().take(rows::MAX_TESTS);
    let heads: String = tests.map(|series| format!(" {} |", markdown(&series.test))).collect();
    let lines = "--:|".repeat(setting.series.len().min(rows::MAX_TESTS));
    let _ = writeln!(text, "| date | llama.cpp | variant |{heads}\n|---|---|---|{lines}");
    for row in rows {
        let about = row.about;
        let (day, variant) = (markdown(about.day()), markdown(&about.variant));
        let _ = write!(text, "| {day} | {} | {variant} |", markdown(&wording::llama_cpp(about)));
        for cell in row.cells {
            let _ = write!(text, " {} |", cell.map(measured).unwrap_or_default());
        }
        text.push('\n');
    }
}

fn on(point: &Point) -> String {
    markdown(&format!("{}, {}", wording::llama_cpp(point), point.day()))
}

fn measured(point: &Point) -> String {
    let figures = format!("{} ({})", units::speed(point.tokens_per_second), wording::middle(point));
    match &point.change {
        Some(change) => format!("{figures} {}", changed(change)),
        None => figures,
    }
}

fn changed(change: &Change) -> String {
    let text = wording::change(change);
    if change.verdict == Verdict::Slower { format!("**{text}**") } else { text }
}
