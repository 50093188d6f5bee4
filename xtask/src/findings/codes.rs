//! Every finding code, with its meaning and what to do: the source of `explain`, of the list in
//! docs/troubleshooting.md, and of tests.
//!
//! Pure: no I/O, no clock.

use std::sync::LazyLock;

use serde::Serialize;

use crate::findings::finding::Severity;

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Code {
    pub code: &'static str,
    /// The usual severity; a finding may have another.
    pub severity: Severity,
    pub meaning: &'static str,
    pub help: &'static str,
    pub topic: &'static str,
}

/// The codes in the order of codes.txt, grouped by topic.
static CODES: LazyLock<Vec<Code>> = LazyLock::new(|| parse(include_str!("codes.txt")));

pub fn all() -> &'static [Code] {
    &CODES
}

pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|known| known.code == code)
}

/// Returns a code's help in the form of a finding's: without a capital letter and full stop.
pub fn advice(code: &str) -> String {
    let help = find(code).map_or("", |code| code.help).trim_end_matches('.');
    let mut help = help.to_owned();
    if let Some(first) = help.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    help
}

/// Parses `# TOPIC` lines, each followed by `CODE|SEVERITY|MEANING` lines with an indented line
/// of help below.
fn parse(table: &'static str) -> Vec<Code> {
    let mut codes: Vec<Code> = vec![];
    let mut topic = "";
    for line in table.lines() {
        if let Some(title) = line.strip_prefix("# ") {
            topic = title;
        } else if let (Some(help), Some(last)) = (line.strip_prefix("  "), codes.last_mut()) {
            last.help = help;
        } else if let Some((code, rest)) = line.split_once('|') {
            let (severity, meaning) = rest.split_once('|').unwrap_or(("error", rest));
            let severity = match severity {
                "note" => Severity::Note,
                "warning" => Severity::Warning,
                _ => Severity::Error,
            };
            codes.push(Code { code, severity, meaning, help: "", topic });
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::{Path, PathBuf};

    use super::*;

    fn rust_files(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] })
            .filter(|path| path.extension().is_some_and(|ext| ext == "rs"))
            .collect()
    }

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    /// Returns the list for docs/troubleshooting.md.
    fn markdown() -> String {
        let mut page = String::new();
        let mut topic = "";
        for code in all() {
            if code.topic != topic {
                topic = code.topic;
                let _ = write!(
                    page,
                    "\n### {topic}\n\n| code | meaning | what to do |\n|---|---|---|\n"
                );
            }
            let _ = writeln!(page, "| `{}` | {} | {} |", code.code, code.meaning, code.help);
        }
        page
    }

    #[test]
    fn every_code_has_a_topic_a_meaning_and_help() {
        let codes: BTreeSet<_> = all().iter().map(|code| code.code).collect();
        assert_eq!(codes.len(), all().len(), "a code is listed twice");
        for Code { code, meaning, help, topic, .. } in all() {
            assert!(![meaning, help, topic].iter().any(|text| text.is_empty()), "{code}");
            assert!(!meaning.ends_with('.') && help.ends_with('.'), "{code}");
            assert!(!format!("{meaning}{help}").contains('|'), "{code}");
        }
        let lines = include_str!("codes.txt").lines();
        let (mut heads, mut rest) = (0, 0);
        lines.for_each(|line| if line.contains('|') { heads += 1 } else { rest += 1 });
        assert_eq!(heads, all().len());
        assert!(rest > heads);
    }

    /// `Finding::error` and its siblings check their code in debug builds; this also checks
    /// calls that no test reaches.
    #[test]
    fn each_code_in_the_source_is_registered_and_each_registered_code_is_used() {
        let sources: Vec<String> = rust_files(&root().join("src"))
            .iter()
            .map(|p| std::fs::read_to_string(p).unwrap())
            .collect();
        let calls = ["error", "warning", "note"].map(|name| format!("Finding::{name}("));
        for source in &sources {
            let given = calls.iter().flat_map(|call| source.split(call).skip(1));
            let literals =
                given.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
            for code in literals {
                assert!(find(code).is_some(), "add `{code}` to findings/codes.txt");
            }
        }
        for Code { code, .. } in all() {
            let literal = format!("\"{code}\"");
            assert!(sources.iter().any(|source| source.contains(&literal)), "{code} is not used");
        }
    }

    /// To write the list: `UPDATE_EXPECT=1 cargo test -p xtask --bins troubleshooting`
    #[test]
    fn troubleshooting_lists_every_code() {
        let file = root().join("../docs/troubleshooting.md");
        let page = std::fs::read_to_string(&file).unwrap();
        let heading = "## All codes\n";
        let (before, _) = page.split_once(heading).expect("a heading `## All codes`");
        for named in before.split("`[").skip(1).filter_map(|rest| rest.split("]`").next()) {
            assert!(find(named).is_some(), "no finding has the code {named}");
        }
        let intro = "`cargo xtask explain CODE` prints the same.\n";
        let wanted = format!("{before}{heading}\n{intro}{}", markdown());
        expect_test::expect_file![file].assert_eq(&wanted);
    }
}
