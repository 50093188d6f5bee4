//! A question to the person at the terminal.

use std::io::IsTerminal;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::ui::Ui;
use crate::ui::waiting::Occupied;

impl Ui {
    /// Returns whether a person can answer.
    pub fn can_ask(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks a question; Enter alone means yes. Returns `None` if `stop` returns true before the
    /// answer.
    pub fn ask(&self, question: &str, stop: &dyn Fn() -> bool) -> Option<bool> {
        let _occupied = Occupied::begin();
        self.prompt(&format!("{question} [Y/n] "));
        let (sender, answer) = mpsc::channel();
        // Reading cannot be interrupted, so the thread is abandoned on `stop`.
        thread::spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line);
            let _ = sender.send((read.unwrap_or(0) > 0).then_some(line));
        });
        while !stop() {
            match answer.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => return Some(line.is_some_and(|line| is_yes(&line))),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Some(false),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
        // The question stays on the screen.
        self.prompt("\n");
        None
    }
}

fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_answer_and_yes_confirm() {
        assert!(["\n", "y\n", " YES \n"].iter().all(|line| is_yes(line)));
        assert!(["n\n", "no\n", "what?\n"].iter().all(|line| !is_yes(line)));
    }
}
