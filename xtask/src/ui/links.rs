//! Turns the files that a message names into links (OSC 8) if the terminal supports them.

use std::borrow::Cow;
use std::fs;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::OnceLock;

use console::AnsiCodeIterator;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use supports_hyperlinks::Stream;

/// Characters that are not escaped in a file URL.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_');

/// An output for text with links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    Stdout,
    Stderr,
}

impl Links {
    fn are_shown(self) -> bool {
        match self {
            Self::Stdout => {
                std::io::stdout().is_terminal() && supports_hyperlinks::on(Stream::Stdout)
            }
            Self::Stderr => {
                std::io::stderr().is_terminal() && supports_hyperlinks::on(Stream::Stderr)
            }
        }
    }

    /// Returns the text with absolute paths of existing files as links.
    pub fn add(self, text: Cow<'_, str>) -> Cow<'_, str> {
        static SHOWN: [OnceLock<bool>; 2] = [OnceLock::new(), OnceLock::new()];
        let shown = SHOWN[self as usize].get_or_init(|| self.are_shown());
        if *shown && text.contains('/') { linked(&text).into() } else { text }
    }
}

fn linked(text: &str) -> String {
    let separates = |c: char| c.is_whitespace() || "()[]'\"`,;".contains(c);
    let mut shown = String::with_capacity(text.len());
    for (part, is_escape) in AnsiCodeIterator::new(text) {
        if is_escape {
            shown += part;
            continue;
        }
        for piece in part.split_inclusive(separates) {
            let path = piece.trim_end_matches(|c| separates(c) || c == '.' || c == ':');
            if path.starts_with('/') && Path::new(path).is_file() {
                let (host, url) = (host(), utf8_percent_encode(path, ENCODED));
                shown += &format!("\x1b]8;;file://{host}{url}\x1b\\{path}\x1b]8;;\x1b\\");
                shown += &piece[path.len()..];
            } else {
                shown += piece;
            }
        }
    }
    shown
}

/// The host name lets a terminal on another machine refuse the link.
fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        utf8_percent_encode(name.trim(), ENCODED).to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_files_become_links() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a+b.log");
        fs::write(&file, "").unwrap();
        let file = file.to_str().unwrap();
        let folder = folder.path().to_str().unwrap();
        let url = format!("file://{}{folder}/a%2Bb.log", host());
        let link = format!("\x1b]8;;{url}\x1b\\{file}\x1b]8;;\x1b\\");
        for (before, after) in
            [("", ""), ("(trace: ", ")"), ("see `", "`."), ("\x1b[1m", "\x1b[0m")]
        {
            let text = format!("{before}{file}{after}");
            assert_eq!(linked(&text), format!("{before}{link}{after}"));
        }
        for text in [format!("{folder} {folder}/c {file}x"), "a/b // / 3/4".to_owned()] {
            assert_eq!(linked(&text), text);
        }
    }
}
