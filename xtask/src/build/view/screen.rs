//! The lower end of a terminal: lines that are drawn over, and text that stays above.

use std::io::Write;

use crate::build::view::frame::Size;

/// What was drawn last; it is drawn over by the next.
#[derive(Debug, Default)]
pub struct Screen {
    lines: Vec<String>,
    size: Option<Size>,
}

impl Screen {
    /// Draws `lines` in place of the last ones, `above` over them. One write, so that
    /// nothing of another's comes between. Nothing is written when nothing changed.
    pub fn draw(&mut self, out: &mut impl Write, above: &str, lines: Vec<String>, size: Size) {
        if above.is_empty() && lines == self.lines {
            return;
        }
        let mut text = String::new();
        // A narrower terminal has wrapped what was drawn.
        let columns = size.columns.max(1);
        let wrapped = |line: &String| shown_width(line).div_ceil(columns).max(1);
        let up: usize = self.lines.iter().map(wrapped).sum();
        let up = up.min(size.lines.saturating_sub(1));
        if up > 0 {
            text.push_str(&format!("\x1b[{up}A"));
        }
        text.push('\r');
        // What was wrapped would be joined again to what is drawn over it.
        if self.size.replace(size) != Some(size) {
            text.push_str("\x1b[J");
        }
        for line in above.lines() {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        for line in &lines {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        // A terminal that has gone is no error of ours.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        self.lines = lines;
    }
}

/// Columns of a line of ours, without its colours.
fn shown_width(line: &str) -> usize {
    let mut columns = 0;
    let mut escape = false;
    for c in line.chars() {
        match c {
            '\x1b' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            _ => columns += 1,
        }
    }
    columns
}

/// The size of the terminal that stderr is.
pub fn size() -> Size {
    let (lines, columns) = console::Term::stderr().size();
    Size { columns: columns.into(), lines: lines.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As much of a terminal as the drawing uses.
    struct Terminal {
        rows: Vec<Vec<char>>,
        at: (usize, usize),
        columns: usize,
    }

    impl Terminal {
        fn feed(&mut self, bytes: &[u8]) {
            let mut chars = std::str::from_utf8(bytes).unwrap().chars();
            while let Some(c) = chars.next() {
                while self.rows.len() <= self.at.0 {
                    self.rows.push(vec![]);
                }
                match c {
                    '\n' => self.at = (self.at.0 + 1, 0),
                    '\r' => self.at.1 = 0,
                    '\x1b' => {
                        assert_eq!(chars.next(), Some('['));
                        let digits: String =
                            chars.clone().take_while(char::is_ascii_digit).collect();
                        let kind = chars.nth(digits.len()).unwrap();
                        match kind {
                            'A' => self.at.0 -= digits.parse::<usize>().unwrap(),
                            'K' => self.rows[self.at.0].truncate(self.at.1),
                            'J' => {
                                self.rows[self.at.0].truncate(self.at.1);
                                self.rows.truncate(self.at.0 + 1);
                            }
                            other => panic!("unknown escape {other}"),
                        }
                    }
                    c => {
                        if self.at.1 == self.columns {
                            self.at = (self.at.0 + 1, 0);
                            self.rows.resize(self.rows.len().max(self.at.0 + 1), vec![]);
                        }
                        let row = &mut self.rows[self.at.0];
                        row.truncate(self.at.1.max(row.len().min(self.at.1)));
                        row.resize(self.at.1, ' ');
                        row.push(c);
                        self.at.1 += 1;
                    }
                }
            }
        }

        /// As terminals do that wrap again what they show.
        fn resize(&mut self, columns: usize) {
            let old = std::mem::take(&mut self.rows);
            for row in old {
                let pieces: Vec<Vec<char>> = row.chunks(columns).map(<[char]>::to_vec).collect();
                self.rows.extend(if pieces.is_empty() { vec![vec![]] } else { pieces });
            }
            self.at = (self.rows.len() - 1, 0);
            self.columns = columns;
        }

        fn text(&self) -> String {
            let rows = self.rows.iter().map(|row| row.iter().collect::<String>());
            rows.collect::<Vec<_>>().join("\n")
        }
    }

    fn lines(all: &[&str]) -> Vec<String> {
        all.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn what_is_drawn_over_leaves_nothing_and_what_is_above_stays() {
        let mut terminal = Terminal { rows: vec![], at: (0, 0), columns: 40 };
        let size = |columns| Size { columns, lines: 24 };
        let mut screen = Screen::default();
        let mut draw = |terminal: &mut Terminal, above: &str, new: &[&str]| {
            let mut bytes = vec![];
            screen.draw(&mut bytes, above, lines(new), size(terminal.columns));
            terminal.feed(&bytes);
        };
        draw(&mut terminal, "", &["alpha ----------------------", "beta", "all"]);
        draw(&mut terminal, "stays\nin full", &["alpha --", "all 1"]);
        assert_eq!(terminal.text(), "stays\nin full\nalpha --\nall 1\n");
        draw(&mut terminal, "", &["alpha ------------------------------", "beta", "all 2"]);
        terminal.resize(20);
        draw(&mut terminal, "more", &["alpha -", "beta", "all 3"]);
        assert_eq!(terminal.text(), "stays\nin full\nmore\nalpha -\nbeta\nall 3\n");
        terminal.resize(60);
        draw(&mut terminal, "", &[]);
        assert_eq!(terminal.text(), "stays\nin full\nmore\n");
    }

    #[test]
    fn nothing_is_written_when_nothing_changed() {
        let mut screen = Screen::default();
        let size = Size { columns: 80, lines: 24 };
        let mut first = vec![];
        screen.draw(&mut first, "", lines(&["a"]), size);
        let mut second = vec![];
        screen.draw(&mut second, "", lines(&["a"]), size);
        assert!(!first.is_empty() && second.is_empty());
    }

    #[test]
    fn colours_take_no_columns() {
        assert_eq!(shown_width("\x1b[32mab\x1b[0m─"), 3);
    }
}
