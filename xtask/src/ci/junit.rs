//! JUnit XML, which every CI system reads: one suite, with a case for each variant of
//! `build-all` or host of `check`. The format has no standard; the output is valid for the
//! schemas of Ant (windyroad/JUnit-Schema) and of Jenkins' xUnit plugin (junit-10.xsd).
//!
//! Pure: no I/O, no clock.

use std::fmt::Write as _;

use crate::findings::finding::Finding;
use crate::ui::units;

/// The run that a report is about.
#[derive(Debug, Clone)]
pub struct Run {
    pub command: &'static str,
    pub machine: String,
    /// Seconds since 1970, UTC.
    pub began: u64,
    pub seconds: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// CI systems group cases by this.
    pub class: &'static str,
    pub name: String,
    pub seconds: f64,
    pub verdict: Verdict,
    /// The result in one line, for the suite's output.
    pub note: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Passed,
    /// A finding.
    Failure(Details),
    /// No result, because the tool failed.
    Error(Details),
    Skipped(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Details {
    pub kind: String,
    pub message: String,
    pub text: String,
}

/// Maximum characters per line; a build can print lines of megabytes.
const LONGEST_LINE: usize = 2000;

/// Formats a finding as one line.
pub fn describe(finding: &Finding) -> String {
    let severity = finding.severity.as_str();
    let place = finding.place().map(|place| format!(" {place}:")).unwrap_or_default();
    format!("{severity}[{}]:{place} {} help: {}", finding.code, cut(&finding.message), finding.help)
}

/// Returns the only case of a run that ended without a report. It makes the CI job fail, and
/// replaces the report of an earlier run.
pub fn broken_run(command: &'static str, message: &str) -> Case {
    let details =
        Details { kind: "broken".into(), message: cut(message), text: message.to_owned() };
    let verdict = Verdict::Error(details);
    let note = "ended without a report".to_owned();
    Case { class: command, name: command.to_owned(), seconds: 0.0, verdict, note }
}

/// Cuts a line to the maximum length.
pub fn cut(line: &str) -> String {
    match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{} […]", &line[..end]),
        None => line.to_owned(),
    }
}

/// Returns the XML document.
pub fn render(run: &Run, cases: &[Case]) -> String {
    let count = |which: fn(&Verdict) -> bool| cases.iter().filter(|c| which(&c.verdict)).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{command}\" package=\"xtask\" id=\"0\" timestamp=\"{}\" \
         hostname={} tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
        timestamp(run.began),
        quote(&run.machine),
        cases.len(),
        count(|verdict| matches!(verdict, Verdict::Failure(_))),
        count(|verdict| matches!(verdict, Verdict::Error(_))),
        count(|verdict| matches!(verdict, Verdict::Skipped(_))),
        run.seconds,
        command = run.command,
    );
    xml.push_str("    <properties></properties>\n");
    for case in cases {
        let _ = write!(
            xml,
            "    <testcase name={} classname=\"{}\" time=\"{:.3}\">",
            quote(&case.name),
            case.class,
            case.seconds
        );
        match &case.verdict {
            Verdict::Passed => {}
            Verdict::Failure(details) => element(&mut xml, "failure", details),
            Verdict::Error(details) => element(&mut xml, "error", details),
            Verdict::Skipped(message) => {
                let _ = write!(xml, "<skipped message={}></skipped>", quote(message));
            }
        }
        xml.push_str("</testcase>\n");
    }
    let notes: Vec<&str> = cases.iter().map(|case| case.note.as_str()).collect();
    let _ = writeln!(xml, "    <system-out>{}</system-out>", escape(&notes.join("\n")));
    xml.push_str("    <system-err></system-err>\n  </testsuite>\n</testsuites>\n");
    xml
}

fn element(xml: &mut String, name: &str, details: &Details) {
    let (kind, message) = (quote(&details.kind), quote(&details.message));
    let _ = write!(xml, "<{name} type={kind} message={message}>{}</{name}>", escape(&details.text));
}

/// Escapes text between tags. Replaces characters that XML 1.0 cannot represent.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            // A parser would turn a literal carriage return into a line break.
            '\r' => escaped.push_str("&#13;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Escapes and quotes an attribute's value, in which a parser turns line breaks and tabs into
/// spaces.
fn quote(text: &str) -> String {
    format!("\"{}\"", escape(text).replace('\n', "&#10;").replace('\t', "&#9;"))
}

/// Formats seconds since 1970 without a time zone, which JUnit does not allow.
fn timestamp(seconds: u64) -> String {
    units::utc(seconds).trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_xml_forbids_are_replaced() {
        assert_eq!(
            escape("a\u{0}\u{8}\u{1b}[1m\u{ffff}]]><b a='1'>&\"\r\n\té😀\u{85}"),
            "a\u{fffd}\u{fffd}\u{fffd}[1m\u{fffd}]]&gt;&lt;b a='1'&gt;&amp;&quot;&#13;\n\té😀\u{85}"
        );
        assert_eq!(quote("a\r\n\tb"), "\"a&#13;&#10;&#9;b\"");
    }

    // The expected values are from `date -u -d @N +%FT%T`, GNU coreutils 9.1.
    #[test]
    fn timestamps_follow_the_calendar() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00");
        assert_eq!(timestamp(951_782_399), "2000-02-28T23:59:59");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00");
        assert_eq!(timestamp(1_795_375_805), "2026-11-22T19:30:05");
        assert_eq!(timestamp(4_107_542_400), "2100-03-01T00:00:00");
    }
}
