//! Prints findings in the terminal.

use std::fs;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::findings::finding::{Finding, Severity, grouped};
use crate::ui::{Ui, wrap};

/// Formats a finding like a compiler's message: severity, host, message, source line, help.
fn describe(ui: &Ui, host: &str, finding: &Finding) -> String {
    if finding.code == "interrupted" {
        // The user pressed Ctrl-C, so it is not shown as an error.
        let message = wrap(&finding.message, ui.columns, host.len() + ": ".len(), 4);
        return format!("\n{}: {}", ui.bold(host), ui.yellow(&message));
    }
    let word = finding.severity.as_str();
    let paint: fn(&Ui, &str) -> String = match finding.severity {
        Severity::Error => Ui::red,
        Severity::Warning => Ui::yellow,
        Severity::Note => Ui::bold,
    };
    let taken = word.len() + finding.code.len() + host.len() + "[] : ".len();
    let place = source_line(ui, finding)
        .or_else(|| Some(format!("  --> {}", finding.place()?)))
        .map(|place| format!("\n{place}"))
        .unwrap_or_default();
    format!(
        "\n{}[{}] {}: {}{place}\n  {} {}",
        paint(ui, word),
        finding.code,
        ui.bold(host),
        wrap(&finding.message, ui.columns, taken, 4),
        ui.dim("help:"),
        wrap(&finding.help, ui.columns, "  help: ".len(), "  help: ".len()),
    )
}

/// Prints a finding of a host, or of another `place`.
pub fn print(ui: &Ui, place: &str, finding: &Finding) {
    ui.warn(describe(ui, place, finding));
}

/// Prints findings, each with its host or other place. One that several hosts have is printed
/// once.
pub fn print_all<'a>(ui: &Ui, findings: impl IntoIterator<Item = (String, &'a Finding)>) {
    grouped(findings).into_iter().for_each(|(places, finding)| print(ui, &places, finding));
}

/// Formats the source line of a finding, if its file can be read.
fn source_line(ui: &Ui, finding: &Finding) -> Option<String> {
    let (file, number) = (finding.file.as_ref()?, finding.line? as usize);
    let text = fs::read_to_string(ui.sources?.join(file)).ok()?;
    let line = text.lines().nth(number.checked_sub(1)?)?;
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let span = marked(line, finding.column);
    let snippet = Snippet::source(line)
        .path(file)
        .line_start(number)
        .annotation(AnnotationKind::Primary.span(span));
    let renderer = if ui.color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(ui.columns.unwrap_or(100));
    Some(renderer.render(&[Group::with_level(level).element(snippet)]))
}

/// Returns the range of the word at `column`; without a column, of the whole line.
fn marked(line: &str, column: Option<u32>) -> std::ops::Range<usize> {
    let start = column
        .and_then(|column| (column as usize).checked_sub(1))
        .filter(|start| line.get(*start..).is_some_and(|rest| !rest.is_empty()));
    let Some(start) = start else {
        return line.len() - line.trim_start().len()..line.trim_end().len();
    };
    let is_end = |c: char| !(c.is_alphanumeric() || "_-'.".contains(c));
    let length = line[start..].find(is_end).unwrap_or(line.len() - start);
    start..start + length.max(line[start..].chars().next().map_or(1, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn shown(column: Option<u32>, columns: usize, line: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.nix"), format!("{{\n{line}\n}}\n")).unwrap();
        let sources = Some(&*Box::leak(folder.path().to_owned().into_boxed_path()));
        let ui = Ui { columns: Some(columns), sources, ..Ui::PLAIN };
        let finding = Finding::error("wrong-type", "not of type string", "use a string");
        let finding = Finding { file: Some("a.nix".into()), line: Some(2), column, ..finding };
        describe(&ui, "boron", &finding)
    }

    #[test]
    fn the_source_line_is_shown_with_the_word_underlined() {
        expect![[r#"

            error[wrong-type] boron: not of type string
             --> a.nix:2:3
              |
            2 |   microarch = 7;
              |   ^^^^^^^^^
              help: use a string"#]]
        .assert_eq(&shown(Some(3), 80, "  microarch = 7;"));
        let whole = shown(None, 80, "  é.microarch = 7;");
        assert!(whole.contains("|   ^^^^^^^^^^^^^^^^\n"), "{whole}");
        let long = shown(Some(3), 40, &format!("  x = \"{}\";", "y".repeat(200)));
        assert!(long.lines().all(|line| line.chars().count() <= 44), "{long}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let finding = Finding::error("syntax", "unexpected ';'", "fix it");
        let finding = Finding { file: Some("b.nix".into()), line: Some(9), ..finding };
        assert!(describe(&Ui::PLAIN, "boron", &finding).contains("\n  --> b.nix:9\n"));
    }
}
