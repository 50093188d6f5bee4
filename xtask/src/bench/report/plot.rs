//! The report in a terminal: a table of current speeds, and bars of the newest runs of the setting
//! that was measured last.

use crate::bench::baseline::Verdict;
use crate::bench::report::history::{Change, Point, Report, Series, Setting};
use crate::bench::report::{html as report, wording};
use crate::bench::view::paint;
use crate::ui::table::{Cell, Table};
use crate::ui::{Ui, units};

/// Maximum number of runs in the bars, and in a sparkline.
const MAX_BARS: usize = 6;
const MAX_SPARKS: usize = 20;

/// Capabilities of the terminal.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Columns.
    pub width: usize,
    /// Whether the locale's encoding is UTF-8.
    pub unicode: bool,
}

impl Screen {
    /// Detects the capabilities from the environment. `width` is the terminal's, if there is one.
    pub fn new(width: Option<usize>) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
        let columns = set("COLUMNS").and_then(|columns| columns.parse().ok());
        Self {
            width: width.or(columns).unwrap_or(80).clamp(40, 160),
            unicode: matches!(
                locale.rsplit_once('.').map(|(_, charset)| charset.to_ascii_lowercase()),
                Some(charset) if charset.starts_with("utf-8") || charset.starts_with("utf8")
            ),
        }
    }

    /// Replaces the report's symbols if the terminal cannot show Unicode; names stay unchanged.
    fn signs(self, text: &str) -> String {
        if self.unicode {
            return text.to_owned();
        }
        let pairs = [("▼", "v"), ("▲", "^"), ("−", "-"), ("–", "-")];
        pairs.into_iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// Returns a bar of `share` times `width` columns, with a precision of an eighth column.
    fn bar(self, share: f64, width: usize) -> String {
        let share = share.clamp(0.0, 1.0);
        if !self.unicode {
            return "#".repeat((share * width as f64).round() as usize);
        }
        let eighths = (share * width as f64 * 8.0).round() as usize;
        let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
        format!("{}{part}", "█".repeat(eighths / 8))
    }

    /// Returns a sparkline with one column per value, scaled from zero to the largest.
    fn sparkline(self, values: &[f64]) -> String {
        let levels: &[char] = if self.unicode {
            &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
        } else {
            &['_', '.', ':', '-', '=', '+', '*', '#']
        };
        let top = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let level = |value: &f64| ((value / top * levels.len() as f64).ceil() as usize).max(1) - 1;
        values.iter().map(|value| levels[level(value).min(levels.len() - 1)]).collect()
    }
}

pub fn print(ui: &Ui, report: &Report, screen: Screen) {
    for note in report::notes(report) {
        ui.warn(note);
    }
    if report.hosts.is_empty() {
        if report.missing.is_empty() {
            ui.status(report::HOW_TO_BEGIN);
        }
        return;
    }
    ui.result(now(ui, report, screen));
    for line in losses(report) {
        ui.result(ui.red(&screen.signs(&line)));
    }
    if let Some((host, setting)) = last_measured(report) {
        ui.result(format!("\n{}", bars(ui, host, setting, screen)));
    }
    report::damaged(report).iter().for_each(|line| ui.status(ui.dim(line)));
}

fn now(ui: &Ui, report: &Report, screen: Screen) -> String {
    let columns = ["HOST", "TEST", ">TOKENS/S", ">CHANGE", "LLAMA.CPP", "DATE", "HISTORY"];
    let mut rows = vec![];
    for host in &report.hosts {
        let Some(setting) = host.settings.first() else { continue };
        for (index, series) in setting.series.iter().enumerate() {
            let Some(last) = series.points.last() else { continue };
            let from = series.points.len().saturating_sub(MAX_SPARKS);
            let speeds: Vec<f64> =
                series.points[from..].iter().map(|p| p.tokens_per_second).collect();
            rows.push(vec![
                (if index == 0 { host.host.as_str() } else { "" }).into(),
                series.test.as_str().into(),
                units::speed(last.tokens_per_second).into(),
                change(series.now.as_ref(), screen),
                last.llama_cpp().into(),
                last.day().into(),
                screen.sparkline(&speeds).into(),
            ]);
        }
    }
    Table { columns: &columns, rows }.render(ui)
}

/// Returns a line for each test that is slower than before, with the run since which it is.
fn losses(report: &Report) -> Vec<String> {
    let newest = report.hosts.iter().filter_map(|host| Some((host, host.settings.first()?)));
    let series = newest.flat_map(|(host, setting)| setting.series.iter().map(move |s| (host, s)));
    series
        .filter_map(|(host, series)| {
            let point = &series.points[series.slower_since?];
            let (build, day) = (wording::llama_cpp(point), point.day());
            let lost = wording::change(point.change.as_ref()?);
            Some(format!("{} {}: slower since {build}, {day}: {lost}", host.host, series.test))
        })
        .collect()
}

fn change(change: Option<&Change>, screen: Screen) -> Cell {
    let Some(change) = change else { return "-".into() };
    Cell::painted(screen.signs(&wording::change(change)), paint(change.verdict))
}

fn last_measured(report: &Report) -> Option<(&str, &Setting)> {
    let settings = report.hosts.iter().filter_map(|host| Some((host, host.settings.first()?)));
    let (host, setting) =
        settings.max_by_key(|(_, setting)| setting.newest().map(|point| &point.date))?;
    Some((&host.host, setting))
}

fn bars(ui: &Ui, host: &str, setting: &Setting, screen: Screen) -> String {
    let named = wording::setting(&setting.key).replace(" · ", ", ");
    let named: String = named.chars().take(screen.width).collect();
    let mut lines = vec![
        format!("{}: tokens/s from zero (middle half), newest last", ui.bold(host)),
        ui.dim(&named),
    ];
    for series in &setting.series {
        lines.push(ui.bold(&series.test));
        lines.extend(runs(ui, series, screen));
    }
    lines.join("\n")
}

fn runs(ui: &Ui, series: &Series, screen: Screen) -> Vec<String> {
    let points = &series.points[series.points.len().saturating_sub(MAX_BARS)..];
    let top = points.iter().map(|point| point.tokens_per_second).fold(f64::MIN_POSITIVE, f64::max);
    let builds = points.iter().map(|point| point.llama_cpp().chars().count()).max().unwrap_or(0);
    let label = |point: &Point| format!("  {} {:<builds$} ", point.day(), point.llama_cpp());
    let figures = |point: &Point| {
        let change = point.change.as_ref().filter(|change| change.verdict != Verdict::Same);
        let change = change.map(|change| format!("  {}", wording::change(change)));
        let (speed, middle) = (units::speed(point.tokens_per_second), wording::middle(point));
        screen.signs(&format!("{speed} ({middle}){}", change.unwrap_or_default()))
    };
    let widest = |text: &dyn Fn(&Point) -> String| {
        points.iter().map(|point| text(point).chars().count()).max().unwrap_or(0)
    };
    let room = screen.width.saturating_sub(widest(&figures) + widest(&label) + 1).max(4);
    let line = |(index, point): (usize, &Point)| {
        let bar = screen.bar(point.tokens_per_second / top, room);
        let is_last = index + 1 == points.len();
        let label = if is_last { label(point) } else { ui.dim(&label(point)) };
        format!("{label}{bar} {}", paint(point.verdict())(ui, &figures(point)))
    };
    points.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNICODE: Screen = Screen { width: 80, unicode: true };
    const ASCII: Screen = Screen { width: 80, unicode: false };

    #[test]
    fn bars_and_sparklines_are_in_proportion() {
        assert_eq!(UNICODE.bar(1.0, 4), "████");
        assert_eq!(UNICODE.bar(0.53125, 4), "██▏");
        assert_eq!(UNICODE.bar(f64::INFINITY, 4), "████");
        assert_eq!(ASCII.bar(0.5, 4), "##");
        assert_eq!(UNICODE.sparkline(&[0.0, 50.0, 100.0]), "▁▄█");
        assert_eq!(ASCII.sparkline(&[0.0, 50.0, 100.0]), "_-#");
        assert!(ASCII.signs("▼ −8.2 %, 1–2").is_ascii());
    }
}
