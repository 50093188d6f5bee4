//! The report as one HTML file without scripts or external fonts and images, so that it can be
//! mailed, archived and printed. It is also well-formed XML, which a test checks.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::bench::baseline::Verdict;
use crate::bench::report::history::{Change, Host, METHOD, Report, Series, Setting, test_in_words};
use crate::bench::report::rows::{MAX_ROWS, MAX_TESTS, rows};
use crate::bench::report::wording::html;
use crate::bench::report::{figure, wording};
use crate::ui::units;

/// Maximum number of settings (model and flags) per host; the last measured ones are shown.
pub const MAX_SETTINGS: usize = 8;
/// Maximum number of damaged lines that are listed.
const MAX_DAMAGED: usize = 10;

/// Its content security policy forbids scripts and external resources, in case a name contains some.
const PAGE: &str = include_str!("page.html");

pub fn page(report: &Report) -> String {
    let mut main = String::new();
    if report.hosts.is_empty() {
        let _ = writeln!(main, "<p>{}</p>", with_code(HOW_TO_BEGIN));
    } else {
        now(&mut main, report);
    }
    let mut figures = 0;
    for host in &report.hosts {
        section(&mut main, host, &mut figures);
    }
    let parts = [
        ("@STYLE@", include_str!("style.css")),
        ("@HEADER@", &header(report)),
        ("@MAIN@", &main),
        ("@FOOTER@", &footer(report)),
    ];
    let (mut page, mut rest) = (String::new(), PAGE);
    for (mark, part) in parts {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        page.extend([before, part]);
        rest = after;
    }
    page + rest
}

fn header(report: &Report) -> String {
    let mut header = format!("<p class=\"quiet\">{}</p>\n", html(&extent(report)));
    for note in notes(report) {
        let _ = writeln!(header, "<p class=\"note\">{}</p>", with_code(&note));
    }
    header
}

pub const HOW_TO_BEGIN: &str = "No results yet. `cargo xtask bench HOST` measures a host on its \
    target, `cargo xtask bench local` this machine; each run adds to bench/HOST.jsonl.";

/// Formats text between backticks as code; with an odd number of backticks none is code.
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

/// `3 hosts, 42 runs, 2026-08-01 to 2026-11-22`
pub fn extent(report: &Report) -> String {
    let points = || {
        report.hosts.iter().flat_map(|host| {
            let series = host.settings.iter().flat_map(|setting| &setting.series);
            series.flat_map(|series| &series.points).map(move |point| (host, point))
        })
    };
    let runs: BTreeSet<_> = points().map(|(host, point)| (&host.host, &point.run)).collect();
    let days = || points().map(|(_, point)| point.day());
    let counted = format!(
        "{}, {}",
        units::count(report.hosts.len(), "host"),
        units::count(runs.len(), "run")
    );
    match (days().min(), days().max()) {
        (Some(first), Some(last)) => format!("{counted}, {first} to {last}"),
        _ => counted,
    }
}

/// Returns notes on missing hosts and damaged lines.
pub fn notes(report: &Report) -> Vec<String> {
    let mut notes: Vec<String> = report
        .missing
        .iter()
        .map(|host| format!("{host} has no results: run `cargo xtask bench {host}`."))
        .collect();
    if !report.damaged.is_empty() {
        let number = units::count(report.damaged.len(), "line");
        notes.push(format!(
            "{number} of bench/*.jsonl could not be read; they are listed at the end."
        ));
    }
    notes
}

/// Opens a table that scrolls if it is too wide. `heads` are the class and title of each column.
fn open_table(page: &mut String, label: &str, class: &str, heads: &[(&str, &str)]) {
    let _ = write!(
        page,
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{label}\">\
         <table class=\"{class}\">\n<thead><tr>"
    );
    for (class, head) in heads {
        let _ = write!(page, "<th scope=\"col\" class=\"{class}\">{}</th>", html(head));
    }
    *page += "</tr></thead>\n";
}

fn now(page: &mut String, report: &Report) {
    // A column of bars is useful only if two hosts ran the same model.
    let models = || report.hosts.iter().filter_map(|host| Some(&host.settings.first()?.key.model));
    let several = models().any(|one| models().filter(|other| *other == one).count() > 1);
    let heads = [
        ("", "Test"),
        ("number", "Tokens/s"),
        ("number wide", "Middle half"),
        ("number", "Change"),
        ("wide", "Against"),
        ("wide", "Of the fastest"),
    ];
    *page += "<section>\n<h2>Current speed</h2>\n";
    open_table(page, "Current speed", "now", &heads[..if several { 6 } else { 5 }]);
    for host in &report.hosts {
        let Some(setting) = host.settings.first() else { continue };
        let Some(newest) = setting.newest() else { continue };
        let (build, key) = (wording::llama_cpp(newest), wording::setting(&setting.key));
        let mut about = vec![build, newest.day().to_owned(), newest.variant.clone(), key];
        about.retain(|part| !part.is_empty());
        let _ = writeln!(
            page,
            "<tbody><tr><th scope=\"rowgroup\" colspan=\"6\">{}<small>{}</small></th></tr>",
            html(&host.host),
            html(&about.join(" · "))
        );
        for series in setting.series.iter().take(MAX_TESTS) {
            standing(page, report, setting, series, several);
        }
        *page += "</tbody>\n";
    }
    *page += "</table></div>\n\
              <p class=\"quiet\">Each host's last measured model and flags. Change: from the last run with another \
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
        units::speed(last.tokens_per_second),
        wording::middle(last),
        since.unwrap_or_default(),
        html(&against),
        if several { bar(report, setting, series, last.tokens_per_second) } else { String::new() }
    );
}

/// Returns a cell with a bar from zero to the fastest host's speed; empty if no other host ran the
/// same test.
fn bar(report: &Report, setting: &Setting, series: &Series, speed: f64) -> String {
    let others: Vec<f64> = report
        .hosts
        .iter()
        .filter_map(|host| host.settings.first())
        .filter(|other| other.key.model == setting.key.model)
        .filter_map(|other| other.series.iter().find(|s| s.test == series.test)?.points.last())
        .map(|point| point.tokens_per_second)
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

fn changed(change: &Change) -> String {
    let text = html(&wording::change(change));
    match change.verdict {
        Verdict::Slower => format!("<span class=\"mark-slower\">{text}</span>"),
        Verdict::Faster => format!("<span class=\"mark-faster\">{text}</span>"),
        Verdict::Same => text,
    }
}

fn section(page: &mut String, host: &Host, figures: &mut usize) {
    let _ = writeln!(page, "<section>\n<h2>{}</h2>", html(&host.host));
    let shown = &host.settings[..host.settings.len().min(MAX_SETTINGS)];
    for setting in shown {
        let named = wording::setting(&setting.key);
        let _ = writeln!(page, "<h3>{}</h3>\n<div class=\"plots\">", html(&named));
        for series in setting.series.iter().take(MAX_TESTS) {
            *figures += 1;
            let name = format!("{}, {named}: {}", host.host, series.test);
            let drawing = figure::svg(series, *figures, &name, scale_top(shown, series));
            let mut caption = format!("<b>{}</b>", html(&series.test));
            if let Some(words) = test_in_words(&series.test) {
                let _ = write!(caption, " {}", html(&words));
            }
            let _ = writeln!(page, "<figure><figcaption>{caption}</figcaption>{drawing}</figure>");
        }
        *page += "</div>\n";
        table(page, setting);
    }
    if let more @ 1.. = host.settings.len() - shown.len() {
        let _ = writeln!(
            page,
            "<p class=\"quiet\">And {more} more combinations of model and flags, measured longer ago: \
             <code>cargo xtask report --json</code> has them.</p>"
        );
    }
    *page += "</section>\n";
}

/// Returns the top of a plot's scale, and whether it is shared. Plots of one test share a scale so
/// that heights can be compared, unless much of the plot would be empty.
fn scale_top(shown: &[Setting], series: &Series) -> (f64, bool) {
    let own = figure::top(series);
    let same = shown.iter().flat_map(|setting| &setting.series).filter(|s| s.test == series.test);
    let all = same.map(figure::top).fold(own, f64::max);
    if own * 1.6 < all { (own, false) } else { (all, true) }
}

fn table(page: &mut String, setting: &Setting) {
    let (rows, all) = rows(setting);
    let shown = match rows.len() {
        some if some < all => format!("The newest {some} of {}", units::count(all, "run")),
        _ => units::count(all, "run"),
    };
    let _ = writeln!(
        page,
        "<p class=\"quiet\">{shown}: tokens/s (middle half of the samples), change against the run \
         before</p>"
    );
    let mut heads = vec![("", "Date"), ("", "llama.cpp"), ("", "Variant")];
    for series in setting.series.iter().take(MAX_TESTS) {
        heads.extend([("number", series.test.as_str()), ("number", "Change")]);
    }
    open_table(page, &shown, "", &heads);
    *page += "<tbody>\n";
    for row in rows {
        let about = row.about;
        *page += "<tr>";
        for text in [about.day(), &wording::llama_cpp(about), &about.variant] {
            let _ = write!(page, "<td class=\"whole\">{}</td>", html(text));
        }
        for cell in row.cells {
            let Some(point) = cell else {
                *page += "<td></td><td></td>";
                continue;
            };
            let _ = write!(
                page,
                "<td class=\"number\"><b>{}</b> <span class=\"quiet\">({})</span></td><td class=\"number\">{}</td>",
                units::speed(point.tokens_per_second),
                wording::middle(point),
                point.change.as_ref().map(changed).unwrap_or_default()
            );
        }
        *page += "</tr>\n";
    }
    *page += "</tbody></table></div>\n";
    if let more @ 1.. = setting.series.len().saturating_sub(MAX_TESTS) {
        let more = units::count(more, "further test");
        let _ = writeln!(
            page,
            "<p class=\"quiet\">Not shown: {more}; <code>cargo xtask report --json</code> has all.</p>"
        );
    }
}

/// Lists the first damaged lines, and how many more there are.
pub fn damaged(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = report.damaged.iter().map(ToString::to_string).collect();
    let more = lines.len().saturating_sub(MAX_DAMAGED);
    lines.truncate(MAX_DAMAGED);
    lines.extend((more > 0).then(|| format!("and {more} more")));
    lines
}

fn footer(report: &Report) -> String {
    let mut footer = format!(
        "<p>{}</p>\n<p>Limits: a plot draws the newest {} runs, a table lists the newest {}; of more than {} \
         samples, a dot is the median of one llama-bench process; of more than {} processes, the \
         bar is their middle half. <code>cargo xtask report --json</code> has everything.</p>\n",
        html(METHOD),
        figure::MAX_RUNS,
        MAX_ROWS,
        figure::MAX_DOTS,
        figure::MAX_DOTS
    );
    if !report.damaged.is_empty() {
        footer += "<p>Lines that could not be read:</p>\n<ul>\n";
        for line in damaged(report) {
            let _ = writeln!(footer, "<li>{}</li>", html(&line));
        }
        footer += "</ul>\n";
    }
    footer
}
