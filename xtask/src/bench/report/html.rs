//! The report as one HTML file: no script, no font, no picture from elsewhere, so that it
//! can be mailed, archived and printed. Well-formed as XML too, which a test holds.

use std::fmt::Write;

use crate::bench::baseline::Verdict;
use crate::bench::report::history::{Host, Point, Report, Series, Setting, test_in_words};
use crate::bench::report::wording::html;

/// As many models and flags of one host as are shown; the last measured ones.
pub const MOST_SETTINGS: usize = 8;
/// As many damaged lines as are told one by one.
pub const MOST_DAMAGED: usize = 10;

pub fn page(report: &Report) -> String {
    let mut page = String::from(concat!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n",
        // Whatever a host's or a model's name tries, nothing is run or loaded.
        "<meta http-equiv=\"Content-Security-Policy\" ",
        "content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n",
        "<meta name=\"color-scheme\" content=\"light dark\"/>\n",
        "<title>llama.cpp speed, by host</title>\n<style>\n",
        include_str!("style.css"),
        "</style>\n</head>\n<body>\n<header>\n<h1>llama.cpp speed, by host</h1>\n"
    ));
    let _ = writeln!(page, "<p class=\"quiet\">{}</p>", html(&extent(report)));
    for note in notes(report) {
        let _ = writeln!(page, "<p class=\"note\">{}</p>", with_code(&note));
    }
    page += "</header>\n<main>\n";
    if report.hosts.is_empty() {
        let _ = writeln!(page, "<p>{}</p>", with_code(HOW_TO_BEGIN));
    } else {
        now(&mut page, report);
    }
    let mut figures = 0;
    for host in &report.hosts {
        section(&mut page, host, &mut figures);
    }
    page += "</main>\n";
    footer(&mut page, report);
    page += "</body>\n</html>\n";
    page
}

pub const HOW_TO_BEGIN: &str = "No results yet. `cargo xtask bench HOST` measures a host on its \
    target, `cargo xtask bench local` this machine; each run adds to bench/HOST.jsonl.";

/// What stands between backticks as code; an odd one is a backtick.
fn with_code(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return html(text);
    }
    let code = |(index, part): (usize, &&str)| {
        if index % 2 == 1 { format!("<code>{}</code>", html(part)) } else { html(part) }
    };
    parts.iter().enumerate().map(code).collect()
}

/// `3 hosts, 42 runs,  2026-08-01 to 2026-11-22`
pub fn extent(report: &Report) -> String {
    let mut runs: Vec<(&str, &str)> = vec![];
    let mut days: Vec<&str> = vec![];
    for host in &report.hosts {
        for series in host.settings.iter().flat_map(|setting| &setting.series) {
            for point in &series.points {
                runs.push((&host.host, &point.run));
                days.push(point.day());
            }
        }
    }
    runs.sort_unstable();
    runs.dedup();
    let counted = format!(
        "{}, {}",
        crate::bench::report::wording::count(report.hosts.len(), "host"),
        crate::bench::report::wording::count(runs.len(), "run")
    );
    match (days.iter().min(), days.iter().max()) {
        (Some(first), Some(last)) => format!("{counted}, {first} to {last}"),
        _ => counted,
    }
}

/// What is not as a reader would expect.
pub fn notes(report: &Report) -> Vec<String> {
    let mut notes: Vec<String> = report
        .missing
        .iter()
        .map(|host| format!("{host} has no results: run `cargo xtask bench {host}`."))
        .collect();
    if !report.damaged.is_empty() {
        let number = crate::bench::report::wording::count(report.damaged.len(), "line");
        notes.push(format!(
            "{number} of bench/*.jsonl could not be read; they are listed at the end."
        ));
    }
    notes
}

fn now(page: &mut String, report: &Report) {
    // Bars are worth a column where two hosts ran the same model.
    let models = || report.hosts.iter().filter_map(|host| Some(&host.settings.first()?.key.model));
    let several = models().any(|one| models().filter(|other| *other == one).count() > 1);
    let _ = write!(
        page,
        "<section>\n<h2>Current speed</h2>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" \
              aria-label=\"Current speed\"><table class=\"now\">\n<thead><tr><th scope=\"col\">Test</th>\
              <th scope=\"col\" class=\"number\">Tokens/s</th><th scope=\"col\" class=\"number wide\">Middle half</th>\
              <th scope=\"col\" class=\"number\">Change</th><th scope=\"col\" class=\"wide\">Against</th>\
              {}</tr></thead>\n",
        if several { "<th scope=\"col\" class=\"wide\">Of the fastest</th>" } else { "" }
    );
    for host in &report.hosts {
        let Some(setting) = host.settings.first() else { continue };
        let Some(newest) = newest(setting) else { continue };
        let mut about =
            vec![crate::bench::report::wording::llama_cpp(newest), newest.day().to_owned()];
        about
            .extend([newest.variant.clone(), crate::bench::report::wording::setting(&setting.key)]);
        about.retain(|part| !part.is_empty());
        let _ = writeln!(
            page,
            "<tbody><tr><th scope=\"rowgroup\" colspan=\"6\">{}<small>{}</small></th></tr>",
            html(&host.host),
            html(&about.join(" · "))
        );
        for series in setting.series.iter().take(crate::bench::report::rows::MOST_TESTS) {
            standing(page, report, setting, series, several);
        }
        *page += "</tbody>\n";
    }
    *page += "</table></div>\n";
    *page += "<p class=\"quiet\">Each host's last measured model and flags. Change: from the last run with another \
              llama.cpp, or else from the run before; see the end of this page for how runs are \
              compared.</p>\n</section>\n";
}

fn standing(page: &mut String, report: &Report, setting: &Setting, series: &Series, several: bool) {
    let Some(last) = series.points.last() else { return };
    let (change, against) = match &series.now {
        Some(change) => {
            let before = &series.points[change.against];
            (changed(change), format!("{}, {}", before.llama_cpp(), before.day()))
        }
        None => ("<span class=\"quiet\">first run</span>".to_owned(), String::new()),
    };
    let since = series.slower_since.map(|index| {
        let point = &series.points[index];
        format!("<br/><span class=\"mark-slower\">slower since {}</span>", html(&point.llama_cpp()))
    });
    let _ = writeln!(
        page,
        "<tr><td>{}</td><td class=\"number\"><b>{}</b></td><td class=\"number wide\">{}</td>\
         <td class=\"number\">{change}{}</td><td class=\"whole wide\">{}</td>{}</tr>",
        html(&series.test),
        crate::bench::report::wording::speed(last.median),
        crate::bench::report::wording::middle(last),
        since.unwrap_or_default(),
        html(&against),
        if several { bar(report, setting, series, last.median) } else { String::new() }
    );
}

/// Only where another host ran the same: a bar from zero, the fastest one's is full.
fn bar(report: &Report, setting: &Setting, series: &Series, speed: f64) -> String {
    let others: Vec<f64> = report
        .hosts
        .iter()
        .filter_map(|host| host.settings.first())
        .filter(|other| other.key.model == setting.key.model)
        .filter_map(|other| other.series.iter().find(|s| s.test == series.test)?.points.last())
        .map(|point| point.median)
        .collect();
    let fastest = others.iter().copied().fold(0.0, f64::max);
    if others.len() < 2 || fastest <= 0.0 {
        return "<td class=\"wide\"></td>".to_owned();
    }
    let share = speed / fastest * 100.0;
    format!(
        "<td class=\"wide share\"><svg class=\"bar\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{share:.0} % of the fastest host\"><rect width=\"100\" height=\"10\" class=\"bed\"/>\
         <rect width=\"{share:.1}\" height=\"10\"/></svg> {share:.0} %</td>"
    )
}

fn changed(change: &crate::bench::report::history::Change) -> String {
    let text = html(&crate::bench::report::wording::change(change));
    match change.verdict {
        Verdict::Slower => format!("<span class=\"mark-slower\">{text}</span>"),
        Verdict::Faster => format!("<span class=\"mark-faster\">{text}</span>"),
        Verdict::Same => text,
    }
}

pub fn newest(setting: &Setting) -> Option<&Point> {
    setting
        .series
        .iter()
        .filter_map(|series| series.points.last())
        .max_by(|a, b| a.date.cmp(&b.date))
}

fn section(page: &mut String, host: &Host, figures: &mut usize) {
    let _ = writeln!(page, "<section>\n<h2>{}</h2>", html(&host.host));
    let shown = &host.settings[..host.settings.len().min(MOST_SETTINGS)];
    for setting in shown {
        let named = crate::bench::report::wording::setting(&setting.key);
        let _ = writeln!(page, "<h3>{}</h3>\n<div class=\"plots\">", html(&named));
        for series in setting.series.iter().take(crate::bench::report::rows::MOST_TESTS) {
            *figures += 1;
            let name = format!("{}, {named}: {}", host.host, series.test);
            let drawing = crate::bench::report::figure::svg(
                series,
                *figures,
                &name,
                scale_top(shown, series),
            );
            let mut caption = format!("<b>{}</b>", html(&series.test));
            if let Some(words) = test_in_words(&series.test) {
                let _ = write!(caption, " {}", html(&words));
            }
            let _ = writeln!(page, "<figure><figcaption>{caption}</figcaption>{drawing}</figure>");
        }
        *page += "</div>\n";
        table(page, setting);
    }
    if host.settings.len() > shown.len() {
        let more = host.settings.len() - shown.len();
        let _ = writeln!(
            page,
            "<p class=\"quiet\">And {more} more combinations of model and flags, measured longer ago: \
             <code>cargo xtask report --json</code> has them.</p>"
        );
    }
    *page += "</section>\n";
}

/// Plots of one test share their scale, so that heights can be compared; one that would
/// leave much of its own empty has its own, and says so.
fn scale_top(shown: &[Setting], series: &Series) -> (f64, bool) {
    let own = crate::bench::report::figure::top(series);
    let same = shown.iter().flat_map(|setting| &setting.series).filter(|s| s.test == series.test);
    let all = same.map(crate::bench::report::figure::top).fold(own, f64::max);
    if own * 1.6 < all { (own, false) } else { (all, true) }
}

fn table(page: &mut String, setting: &Setting) {
    let (rows, all) = crate::bench::report::rows::rows(setting);
    let shown = if rows.len() < all {
        format!("The newest {} of {}", rows.len(), crate::bench::report::wording::count(all, "run"))
    } else {
        crate::bench::report::wording::count(all, "run")
    };
    let _ = write!(
        page,
        "<p class=\"quiet\">{shown}: median tokens/s (middle half of the samples), change against the run \
         before</p>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{shown}\"><table>\n\
         <thead><tr><th scope=\"col\">Date</th><th scope=\"col\">llama.cpp</th>\
         <th scope=\"col\">Variant</th>"
    );
    for series in setting.series.iter().take(crate::bench::report::rows::MOST_TESTS) {
        let _ = write!(
            page,
            "<th scope=\"col\" class=\"number\">{}</th><th scope=\"col\" class=\"number\">Change</th>",
            html(&series.test)
        );
    }
    *page += "</tr></thead>\n<tbody>\n";
    for row in rows {
        let about = row.about;
        let _ = write!(
            page,
            "<tr><td class=\"whole\">{}</td><td class=\"whole\">{}</td><td class=\"whole\">{}</td>",
            html(about.day()),
            html(&crate::bench::report::wording::llama_cpp(about)),
            html(&about.variant)
        );
        for cell in row.cells {
            let Some(point) = cell else {
                *page += "<td></td><td></td>";
                continue;
            };
            let _ = write!(
                page,
                "<td class=\"number\"><b>{}</b> <span class=\"quiet\">({})</span></td><td class=\"number\">{}</td>",
                crate::bench::report::wording::speed(point.median),
                crate::bench::report::wording::middle(point),
                point.change.as_ref().map(changed).unwrap_or_default()
            );
        }
        *page += "</tr>\n";
    }
    *page += "</tbody></table></div>\n";
    if setting.series.len() > crate::bench::report::rows::MOST_TESTS {
        let more = crate::bench::report::wording::count(
            setting.series.len() - crate::bench::report::rows::MOST_TESTS,
            "further test",
        );
        let _ = writeln!(
            page,
            "<p class=\"quiet\">Not shown: {more}; <code>cargo xtask report --json</code> has all.</p>"
        );
    }
}

fn footer(page: &mut String, report: &Report) {
    *page += "<footer>\n<p>How to read the plots: each column is a run, and the line connects the medians. The \
              upper panel starts at zero. The lower panel zooms in on the runs of the last variant: a \
              dot is a sample, in the order they were taken, a tick at the edge is one out of range, \
              and the ring is their median. ▼ is slower and ▲ faster than the run before, beyond \
              noise; a dashed line separates variants. A bar below groups the runs of one llama.cpp, \
              with its build number and latest day. Hover over a run for its figures.</p>\n";
    let _ = writeln!(page, "<p>{}</p>", html(crate::bench::report::history::METHOD));
    let _ = writeln!(
        page,
        "<p>Limits: a plot draws the newest {} runs, a table lists the newest {}; of more than {} \
         samples, a dot is the median of one llama-bench process; of more than {} processes, the \
         bar is their middle half. <code>cargo xtask report --json</code> has everything.</p>",
        crate::bench::report::figure::MOST_RUNS,
        crate::bench::report::rows::MOST_ROWS,
        crate::bench::report::figure::MOST_DOTS,
        crate::bench::report::figure::MOST_DOTS
    );
    if !report.damaged.is_empty() {
        *page += "<p>Lines that could not be read:</p>\n<ul>\n";
        for damaged in report.damaged.iter().take(MOST_DAMAGED) {
            let at = format!("{}:{}: {}", damaged.file, damaged.line, damaged.why);
            let _ = writeln!(page, "<li>{}</li>", html(&at));
        }
        if let more @ 1.. = report.damaged.len().saturating_sub(MOST_DAMAGED) {
            let _ = writeln!(page, "<li>and {more} more</li>");
        }
        *page += "</ul>\n";
    }
    *page += "</footer>\n";
}
