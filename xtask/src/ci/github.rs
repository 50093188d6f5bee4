//! GitHub Actions: annotations and Markdown for the step summary, with all text escaped.
//!
//! The runner reads commands from both stdout and stderr: `::name …::` at the start of a
//! line, after any spaces, and `##[name …]` anywhere in a line.

use std::fmt::Write as _;

use crate::findings::finding::{Finding, Severity};
use crate::ui::github::{MOST_LETTERS, data, property};
use crate::ui::sanitize::hide_passwords;

/// Maximum number of findings per run: GitHub shows only a few annotations, and limits a
/// summary to 1 MiB.
pub(crate) const MOST_FINDINGS: usize = 200;

/// Formats a finding about `place` as an annotation. `folder` is the flake's folder in the
/// checkout, such as `fleet/`, or empty.
pub(crate) fn annotation(place: &str, finding: &Finding, folder: &str) -> String {
    let mut properties = String::new();
    if let Some(file) = &finding.file {
        let _ = write!(properties, "file={},", property(&format!("{folder}{file}")));
    }
    if let Some(line) = finding.line {
        let _ = write!(properties, "line={line},");
    }
    let command = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let title = property(&format!("{place}: {}", finding.code));
    let message = data(&format!("{}\nhelp: {}", finding.message, finding.help));
    format!("::{command} {properties}title={title}::{message}")
}

/// Formats a finding about `place` as an item of a list in a summary.
pub(crate) fn item(place: &str, finding: &Finding) -> String {
    let sign = match finding.severity {
        Severity::Error => "🔴",
        Severity::Warning => "🟡",
        Severity::Note => "🔵",
    };
    let at = finding.place().map(|at| format!(" ({})", markdown(&at))).unwrap_or_default();
    format!(
        "- {sign} **{}** {}{at}: {}  \n  {}\n",
        markdown(place),
        markdown(finding.code),
        markdown(&finding.message),
        markdown(&finding.help),
    )
}

/// Returns the step summary of a run that ended without a report.
pub fn broken_summary(command: &str, message: &str) -> String {
    format!("### ❌ {command} ended without a report\n\n{}\n\n", fenced(message.lines()))
}

/// Escapes text so that Markdown shows it unchanged, on one line.
pub fn markdown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    // Before escaping, which would hide URLs from it.
    for c in hide_passwords(text.into()).chars().take(MOST_LETTERS) {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '@' => shown.push_str("&#64;"),
            '|' => shown.push_str("&#124;"),
            c if c.is_control() => shown.push(' '),
            c if c.is_ascii_punctuation() && !".,;:/ -'".contains(c) => {
                shown.push('\\');
                shown.push(c);
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Formats lines as a code block. Its fence is longer than any run of backticks in the text, so
/// that no text can close the block.
pub(crate) fn fenced<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let printable = |c: char| if c.is_control() && c != '\t' { ' ' } else { c };
    let text: Vec<String> =
        lines.map(|line| line.chars().take(MOST_LETTERS).map(printable).collect()).collect();
    let text = text.join("\n");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(message: &str, file: &str) -> Finding {
        let finding = Finding::error("unfree", message, "help");
        Finding { file: Some(file.to_owned()), line: Some(3), ..finding }
    }

    #[test]
    fn an_annotation_is_one_line_for_any_text() {
        let printed =
            annotation("a,b: c", &finding("100%\r\n::set-env name=X::y", "a:b,c.nix"), "d/");
        assert_eq!(
            printed,
            "::error file=d/a%3Ab%2Cc.nix,line=3,title=a%2Cb%3A c%3A unfree::100%25%0D%0A::set-env \
             name=X::y%0Ahelp: help"
        );
        assert_eq!(printed.lines().count(), 1);
    }

    #[test]
    fn no_text_closes_its_code_block() {
        let hostile = ["```", "````\n~~~", "</details>\u{1b}[2J\r`````", "@you"];
        let block = fenced(hostile.into_iter());
        let lines: Vec<&str> = block.lines().collect();
        assert_eq!(lines[0], "``````text");
        assert_eq!(lines.last(), Some(&"``````"));
        assert_eq!(block.matches("``````").count(), 2, "{block}");
        assert!(!block.contains(['\u{1b}', '\r']), "{block}");
        assert_eq!(fenced(["a"].into_iter()), "```text\na\n```");
    }

    #[test]
    fn escaped_text_stays_inside_a_table_cell() {
        let shown = markdown("a|b`<img src=x>`\n# @you [x](y)");
        assert!(!shown.contains(['|', '<', '\n']) && !shown.contains("@you"), "{shown}");
        assert!(shown.contains("\\[x\\]\\(y\\)"), "{shown}");
        assert_eq!(markdown("hosts/a/default.nix:5"), "hosts/a/default.nix:5");
    }
}
