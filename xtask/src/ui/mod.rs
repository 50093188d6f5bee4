//! Terminal primitives: colour, tables, units, progress. Nothing here knows a subject.
//!
//! Entry points: `Ui` prints; `table`, `units` and `progress` format.
//!
//! Imports: nothing.

#![expect(clippy::print_stderr, reason = "a prompt is a line that has not ended")]

pub mod args;
pub mod ask;
pub mod bar_target;
pub mod github;
pub mod links;
pub mod nearest;
pub mod program;
pub mod progress;
pub mod sanitize;
pub mod table;
pub mod units;
pub mod waiting;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::AutoStream;

use crate::ui::args::OutputArgs;
use crate::ui::links::Links;
use crate::ui::sanitize::{hide_passwords, sanitize_painted};

static HAS_DOCUMENT: AtomicBool = AtomicBool::new(false);

/// The first error while writing the result.
static WRITE_ERROR: Mutex<Option<io::Error>> = Mutex::new(None);

/// How and where this run prints.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    /// Whether either stream shows colours; they are removed for the other one.
    pub color: bool,
    /// Bars may be drawn: stderr is a terminal and nothing asked for plain lines.
    pub bars: bool,
    pub quiet: bool,
    pub verbose: u8,
    pub json: bool,
    /// GitHub's runner reads the output: no text of the user's may be a command to it.
    pub github: bool,
    /// Columns of the terminal on stderr, where prose is wrapped.
    pub columns: Option<usize>,
    /// Columns of the terminal on stdout, where wider tables become lists.
    pub table_columns: Option<usize>,
    /// The folder of relative file names in messages.
    pub sources: Option<&'static Path>,
}

impl Ui {
    pub fn new(output: &OutputArgs) -> Self {
        let terminal = io::stderr().is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        args::set_color(output.color);
        let colored = |choice| choice != anstream::ColorChoice::Never;
        let color = colored(AutoStream::choice(&io::stderr()))
            || colored(AutoStream::choice(&io::stdout()));
        Self {
            color,
            bars: terminal && !output.no_progress && !set("CI") && !is_dumb() && !output.quiet,
            quiet: output.quiet,
            verbose: output.verbose,
            json: output.json,
            github: std::env::var_os(github::IS_ACTIONS).is_some_and(|value| value == "true"),
            columns: terminal.then(|| console::Term::stderr().size().1.into()),
            table_columns: console::Term::stdout()
                .size_checked()
                .map(|(_, columns)| columns.into()),
            sources: None,
        }
    }

    /// No colour, no bars, no terminal.
    pub const PLAIN: Self = Self {
        color: false,
        bars: false,
        quiet: false,
        verbose: 0,
        json: false,
        github: false,
        columns: None,
        table_columns: None,
        sources: None,
    };

    /// Prints a line about progress; silent with `--quiet`.
    pub fn status(&self, line: impl AsRef<str>) {
        if !self.quiet {
            self.warn(line);
        }
    }

    /// Prints the start of a line that an answer follows.
    fn prompt(&self, text: &str) {
        eprint!("{text}");
    }

    /// Prints a warning, also with `--quiet`.
    pub fn warn(&self, line: impl AsRef<str>) {
        print_to(anstream::stderr(), &Links::Stderr.add(self.shown(line.as_ref(), self.columns)));
    }

    /// Prints an error that prevents a report.
    pub fn error(&self, error: &anyhow::Error) {
        self.warn(format!("{} {error:#}", self.red("error:")));
        if self.github {
            self.command_to_runner(&github::broken(&format!("{error:#}")));
        }
    }

    /// Returns the exit status: 2, with a message, if the result did not reach standard output.
    pub fn status_after_writing(&self, status: u8) -> u8 {
        let Some(error) = WRITE_ERROR.lock().ok().and_then(|mut first| first.take()) else {
            return status;
        };
        self.error(
            &anyhow::Error::new(error).context("cannot write the result to standard output"),
        );
        2
    }

    /// Prints a command to GitHub's runner.
    pub fn command_to_runner(&self, command: &str) {
        print_to(io::stderr(), &outgoing(command.into()));
    }

    /// Prints many important lines, folded in GitHub's log.
    pub fn warn_group(&self, title: &str, lines: impl Iterator<Item = String>) {
        if self.github {
            self.command_to_runner(&github::group(title));
        }
        lines.for_each(|line| self.warn(line));
        if self.github {
            self.command_to_runner(github::END_GROUP);
        }
    }

    /// Prints all text for people.
    fn shown<'a>(&self, text: &'a str, columns: Option<usize>) -> Cow<'a, str> {
        let text = fitted(outgoing(sanitize_painted(text)), columns);
        if self.github { github::defuse(&text).into() } else { text }
    }

    /// Prints a line with `--verbose`.
    pub fn debug(&self, line: impl AsRef<str>) {
        if self.verbose > 0 {
            print_to(anstream::stderr(), &self.shown(&self.dim(line.as_ref()), None));
        }
    }

    /// Prints the command's result for people; with `--json` there is only the document.
    pub fn result(&self, text: impl AsRef<str>) {
        if !self.json {
            print_result(
                anstream::stdout(),
                &Links::Stdout.add(self.shown(text.as_ref(), self.table_columns)),
            );
        }
    }

    /// Prints a result that is not prose, such as a file or a log, without wrapping lines.
    pub fn verbatim(&self, text: &str) {
        if !self.json {
            print_result(anstream::stdout(), &self.shown(text, None));
        }
    }

    /// Prints a result that is a program, unchanged.
    pub fn script(&self, text: &str) {
        HAS_DOCUMENT.store(true, Ordering::Relaxed);
        print_result(io::stdout(), text.trim_end());
    }

    /// Prints the command's result for programs.
    pub fn document(&self, document: &impl serde::Serialize) -> anyhow::Result<()> {
        if self.json {
            HAS_DOCUMENT.store(true, Ordering::Relaxed);
            print_result(io::stdout(), &self.json_text(serde_json::to_string_pretty(document)?));
        }
        Ok(())
    }

    /// Prints a result that is one line of JSON for people too.
    pub fn line(&self, document: &impl serde::Serialize) -> anyhow::Result<()> {
        HAS_DOCUMENT.store(true, Ordering::Relaxed);
        print_result(io::stdout(), &self.json_text(serde_json::to_string(document)?));
        Ok(())
    }

    /// Returns whether the command has printed its document.
    pub fn has_document(&self) -> bool {
        HAS_DOCUMENT.load(Ordering::Relaxed)
    }

    fn json_text(&self, json: String) -> String {
        let json = sanitize::escape_json(&outgoing(json.into()));
        if self.github { github::defuse_json(&json) } else { json }
    }

    pub fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    pub fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    pub fn red(&self, text: &str) -> String {
        self.paint("31", text)
    }

    pub fn green(&self, text: &str) -> String {
        self.paint("32", text)
    }

    pub fn yellow(&self, text: &str) -> String {
        self.paint("33", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Returns a text as it is printed, on a terminal or to a file: with the program's name as typed,
/// and without passwords in URLs.
pub fn outgoing(text: Cow<'_, str>) -> Cow<'_, str> {
    hide_passwords(program::renamed(text))
}

/// Wraps prose that is wider than the terminal between words. Another program's output stays as it
/// is.
fn fitted(text: Cow<'_, str>, columns: Option<usize>) -> Cow<'_, str> {
    let Some(columns) = columns else { return text };
    let is_long = |line: &str| console::measure_text_width(line) > columns && !line.contains('│');
    if !text.lines().any(is_long) {
        return text;
    }
    let fit = |line: &str| {
        let words = line.trim_start();
        let indent = line.len() - words.len();
        let fitted = || wrap(words, Some(columns), indent, indent);
        if is_long(line) { format!("{:indent$}{}", "", fitted()) } else { line.to_owned() }
    };
    text.split('\n').map(fit).collect::<Vec<_>>().join("\n").into()
}

/// Wraps `text` between words: its first line begins after `taken` columns, the others after
/// `indent`. A word longer than a line stays whole, so that it can be copied.
pub fn wrap(text: &str, columns: Option<usize>, taken: usize, indent: usize) -> String {
    let Some(columns) = columns.filter(|columns| *columns > indent + 20) else {
        return text.replace('\n', &format!("\n{:indent$}", ""));
    };
    let mut wrapped = String::new();
    let mut used = taken;
    for (number, line) in text.lines().enumerate() {
        if number > 0 {
            wrapped.push_str(&format!("\n{:indent$}", ""));
            used = indent;
        }
        for (nth, word) in line.split(' ').enumerate() {
            let width = console::measure_text_width(word);
            let is_beside_label = nth == 0 && used > indent;
            if (nth > 0 && used + 1 + width >= columns)
                || (is_beside_label && used + width > columns)
            {
                wrapped.push_str(&format!("\n{:indent$}", ""));
                used = indent;
            } else if nth > 0 {
                wrapped.push(' ');
                used += 1;
            }
            wrapped.push_str(word);
            used += width;
        }
    }
    wrapped
}

fn print_to(mut out: impl Write, line: &str) {
    progress::suspend(|| {
        let _ = writeln!(out, "{line}");
    });
}

/// Writes to standard output. A closed reader (`| head`) is not an error, a full disk is.
fn print_result(mut out: impl Write, line: &str) {
    let written = progress::suspend(|| writeln!(out, "{line}").and_then(|()| out.flush()));
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
        && let Ok(mut first) = WRITE_ERROR.lock()
    {
        first.get_or_insert(error);
    }
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_between_words_and_only_on_a_terminal() {
        let text = "one two three four five";
        assert_eq!(wrap(text, None, 30, 4), text);
        assert_eq!(wrap(text, Some(28), 18, 4), "one two\n    three four five");
        assert_eq!(wrap("a\nb", Some(80), 0, 2), "a\n  b");
        assert_eq!(wrap("a-long-word b", Some(30), 25, 4), "\n    a-long-word b");
        assert_eq!(fitted(text.into(), Some(22)), "one two three four\nfive");
        let indented = format!("a\n  {text}\n  │ {text}\n");
        let broken = format!("a\n  one two three four\n  five\n  │ {text}\n");
        assert_eq!(fitted(indented.into(), Some(23)), broken);
        let long = format!("  {}", "x".repeat(90));
        assert_eq!(fitted(long.as_str().into(), Some(40)), long);
        let long = "x".repeat(90);
        assert!(wrap(&format!("see {long} there"), Some(40), 0, 2).contains(&long));
    }
}
