//! Formats the report's numbers and names, and escapes text for HTML and Markdown.

use crate::bench::baseline::{self, Verdict};
use crate::bench::report::history::{Change, Key, Point, Series};
use crate::nix::flake_input::short;
use crate::ui::units::{self, speed};

/// Escapes text and attribute values for HTML.
pub fn html(text: &str) -> String {
    let marks = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#39;")];
    marks.into_iter().fold(text.to_owned(), |text, (mark, safe)| text.replace(mark, safe))
}

/// Escapes a table cell for Markdown. A word joiner also breaks what GitHub turns into links after
/// it has parsed the markup.
pub fn markdown(text: &str) -> String {
    let links = [
        ("&#64;", "&#64;\u{2060}"),
        ("\\#", "\\#\u{2060}"),
        ("://", ":\u{2060}//"),
        ("www.", "www\u{2060}."),
    ];
    let safe = crate::ci::github::markdown(text);
    links.into_iter().fold(safe, |text, (link, apart)| text.replace(link, apart))
}

/// Formats `−8.2 %`, with a minus sign instead of a hyphen.
pub fn percent(percent: f64) -> String {
    let sign = if percent < 0.0 { "−" } else { "+" };
    match percent.abs() {
        much if much >= 1000.0 => format!("{sign}{much:.0} %"),
        some => format!("{sign}{some:.1} %"),
    }
}

/// Formats a change: `▼ −8.2 %`, without a mark if nothing changed, or `inconclusive`. It is
/// readable without colour.
pub fn change(change: &Change) -> String {
    let mark = match change.verdict {
        Verdict::Slower => "▼ ",
        Verdict::Faster => "▲ ",
        Verdict::Same if !change.clear => {
            return baseline::in_words(change.verdict, change.clear).to_owned();
        }
        Verdict::Same => "",
    };
    format!("{mark}{}", percent(change.percent))
}

/// `smoke-29m q4_0 · default flags · AMD EPYC · 2 threads`
pub fn setting(key: &Key) -> String {
    let model = if key.model.is_empty() { "unnamed model" } else { &key.model };
    let flags = if key.flags.is_empty() { "default flags" } else { &key.flags.join(" ") };
    let mut parts = vec![model.to_owned(), flags.to_owned()];
    parts.extend(Some(key.device().to_owned()).filter(|device| !device.is_empty()));
    parts.extend(key.threads.map(|threads| units::count(threads as usize, "thread")));
    parts.join(" · ")
}

/// `b10453 (e5bdc4a41)`
pub fn llama_cpp(point: &Point) -> String {
    match (&point.rev, point.build) {
        (Some(rev), Some(_)) => format!("{} ({})", point.llama_cpp(), short(rev)),
        _ => point.llama_cpp(),
    }
}

/// Formats the middle half of the samples: `508.1–515.2`, or one number if they are equal.
pub fn middle(point: &Point) -> String {
    between(point.lower_quartile, point.upper_quartile)
}

fn between(low: f64, high: f64) -> String {
    let (low, high) = (speed(low), speed(high));
    if low == high { low } else { format!("{low}–{high}") }
}

/// Describes one run in a sentence.
pub fn sentence(series: &Series, point: &Point) -> String {
    let mut text = format!("{}, {}", point.day(), llama_cpp(point));
    if !point.variant.is_empty() {
        text += &format!(", {}", point.variant);
    }
    text += &format!(
        ": {} tokens/s; of {}, half are {}, all {}",
        speed(point.tokens_per_second),
        units::count(point.samples.len(), "sample"),
        middle(point),
        between(point.min, point.max)
    );
    if let Some(change) = &point.change {
        let before = &series.points[change.against];
        text += &format!(
            "; {} ({} to {}) against {}, {}: {}",
            percent(change.percent),
            percent(change.interval_percent[0]),
            percent(change.interval_percent[1]),
            before.day(),
            before.llama_cpp(),
            baseline::in_words(change.verdict, change.clear)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_escaped() {
        let hostile = "<img src=x onerror='a()'>&\"|`@me http://x [l](u)";
        assert_eq!(
            html(hostile),
            "&lt;img src=x onerror=&#39;a()&#39;&gt;&amp;&quot;|`@me http://x [l](u)"
        );
        let cell = markdown(hostile);
        assert!(!cell.contains(['|', '<']) && !cell.contains("&#64;me"), "{cell}");
        assert!(cell.contains(r"\[l\]\(u\)") && !cell.contains("http://"), "{cell}");
    }

    #[test]
    fn percentages_have_a_sign_and_few_digits() {
        assert_eq!([-8.24, 0.0, 2900.0].map(percent), ["−8.2 %", "+0.0 %", "+2900 %"]);
    }
}
