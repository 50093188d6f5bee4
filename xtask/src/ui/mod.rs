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

/// The first error in writing the result.
static WRITE_ERROR: Mutex<Option<io::Error>> = Mutex::new(None);

/// How to talk on this run.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    /// Whether either stream shows colours; they are removed for the other one.
    pub color: bool,
    /// Bars may be drawn: stderr is a terminal and nothing asked for plain lines.
    pub bars: bool,
    pub quiet: bool,
    pub verbose: u8,
    pub json: bool,
    /// GitHub's runner reads along: no text of the user's may be a command to it.
    pub github: bool,
    /// Of the terminal that stderr is; prose is broken between words there.
    pub columns: Option<usize>,
    /// Of the terminal that stdout is: a wider table has another form there.
    pub table_columns: Option<usize>,
    /// The folder in which to find the files that messages name.
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

    /// Without colour, bars and a terminal.
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

    /// A line about how the work goes; silent with `--quiet`.
    pub fn status(&self, line: impl AsRef<str>) {
        if !self.quiet {
            self.warn(line);
        }
    }

    /// The start of a line, for an answer to follow.
    fn prompt(&self, text: &str) {
        eprint!("{text}");
    }

    /// A line that matters even with `--quiet`.
    pub fn warn(&self, line: impl AsRef<str>) {
        print_to(anstream::stderr(), &Links::Stderr.add(self.shown(line.as_ref(), self.columns)));
    }

    /// What broke, so that there is no report.
    pub fn error(&self, error: &anyhow::Error) {
        self.warn(format!("{} {error:#}", self.red("error:")));
        if self.github {
            self.command_to_runner(&github::broken(&format!("{error:#}")));
        }
    }

    /// The exit status: 2 if the result did not reach standard output, which is said here.
    pub fn status_after_writing(&self, status: u8) -> u8 {
        let Some(error) = WRITE_ERROR.lock().ok().and_then(|mut first| first.take()) else {
            return status;
        };
        self.error(
            &anyhow::Error::new(error).context("cannot write the result to standard output"),
        );
        2
    }

    /// A command to GitHub's runner.
    pub fn command_to_runner(&self, command: &str) {
        print_to(io::stderr(), &outgoing(command.into()));
    }

    /// Lines that matter and are many: folded away where GitHub's runner shows them.
    pub fn warn_group(&self, title: &str, lines: impl Iterator<Item = String>) {
        if self.github {
            self.command_to_runner(&github::group(title));
        }
        lines.for_each(|line| self.warn(line));
        if self.github {
            self.command_to_runner(github::END_GROUP);
        }
    }

    /// The one place that every text for a person passes through.
    fn shown<'a>(&self, text: &'a str, columns: Option<usize>) -> Cow<'a, str> {
        let text = fitted(outgoing(sanitize_painted(text)), columns);
        if self.github { github::defuse(&text).into() } else { text }
    }

    /// A line for `--verbose`.
    pub fn debug(&self, line: impl AsRef<str>) {
        if self.verbose > 0 {
            print_to(anstream::stderr(), &self.shown(&self.dim(line.as_ref()), None));
        }
    }

    /// The command's result for a person; with `--json` there is only the document.
    pub fn result(&self, text: impl AsRef<str>) {
        if !self.json {
            print_result(
                anstream::stdout(),
                &Links::Stdout.add(self.shown(text.as_ref(), self.table_columns)),
            );
        }
    }

    /// A result whose lines are not prose, such as a file's or a log's: none of them is broken.
    pub fn verbatim(&self, text: &str) {
        if !self.json {
            print_result(anstream::stdout(), &self.shown(text, None));
        }
    }

    /// A result that is a program of its own, to be taken as it is.
    pub fn script(&self, text: &str) {
        HAS_DOCUMENT.store(true, Ordering::Relaxed);
        print_result(io::stdout(), text.trim_end());
    }

    /// The command's result for a program.
    pub fn document(&self, document: &impl serde::Serialize) -> anyhow::Result<()> {
        if self.json {
            HAS_DOCUMENT.store(true, Ordering::Relaxed);
            print_result(io::stdout(), &self.json_text(serde_json::to_string_pretty(document)?));
        }
        Ok(())
    }

    /// A result that is JSON for people too, on one line.
    pub fn line(&self, document: &impl serde::Serialize) -> anyhow::Result<()> {
        HAS_DOCUMENT.store(true, Ordering::Relaxed);
        print_result(io::stdout(), &self.json_text(serde_json::to_string(document)?));
        Ok(())
    }

    /// Whether the command has printed its result for a program.
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

/// What every text passes through on its way out, to a terminal or to a file: the program has the
/// name that was typed, and passwords in URLs are hidden.
pub fn outgoing(text: Cow<'_, str>) -> Cow<'_, str> {
    hide_passwords(program::renamed(text))
}

/// The text, in which prose that is wider than the terminal is broken between words. What another
/// program printed stays whole.
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

/// `text` broken between words: its first line begins after `taken` columns, the others
/// after `indent` of them. A word that is longer than a line stays whole, to be copied.
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

/// The result. A reader that has gone (`| head`) is no error of ours, a full disk is.
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
    fn prose_is_broken_between_words_and_only_on_a_terminal() {
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
