//! A terminal for the binary under test, and what a person sees on it.

use std::fs::File;
use std::io::Read as _;
use std::num::NonZero;
use std::process::{Command, ExitStatus, Stdio};

use rustix::io::Errno;
use rustix::pty::{self, OpenptFlags};
use rustix::termios::{self, Winsize};

/// What a program wrote to a terminal, and how it ended.
pub struct Session {
    columns: NonZero<u16>,
    lines: NonZero<u16>,
    written: Vec<u8>,
    pub status: ExitStatus,
}

/// Runs it on a terminal of this size.
pub fn run(command: &mut Command, columns: u16, lines: u16) -> Session {
    let control =
        pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    pty::grantpt(&control).unwrap();
    pty::unlockpt(&control).unwrap();
    let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    termios::tcsetwinsize(&control, size).unwrap();
    let name = pty::ptsname(&control, Vec::new()).unwrap();
    let terminal = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let side = || Stdio::from(terminal.try_clone().unwrap());
    command.stdin(side()).stdout(side()).stderr(side()).env("TERM", "xterm");
    let mut child = command.spawn().unwrap();
    // The program's ends are closed when it has ended: then reading says EIO.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(terminal);
    let mut written = vec![];
    if let Err(error) = File::from(control).read_to_end(&mut written) {
        assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()), "{error}");
    }
    let [columns, lines] = [columns, lines].map(|size| NonZero::new(size).unwrap());
    Session { columns, lines, written, status: child.wait().unwrap() }
}

impl Session {
    /// All that was written, escapes included.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.written).into_owned()
    }

    /// The screen after each line that was drawn, and at the end.
    pub fn screens(&self) -> Vec<vt100::Screen> {
        let mut terminal = vt100::Parser::new(self.lines, self.columns, 0);
        let mut screens = vec![];
        for drawn in self.written.split_inclusive(|byte| *byte == b'\r') {
            terminal.process(drawn);
            screens.push(terminal.screen().clone());
        }
        screens
    }
}

pub fn is_coloured(screen: &vt100::Screen) -> bool {
    let (rows, columns) = screen.size();
    let coloured = |row, column| {
        let cell = screen.cell(row, column).unwrap();
        cell.fgcolor() != vt100::Color::Default || cell.bold() || cell.inverse()
    };
    (0..rows.get()).any(|row| (0..columns.get()).any(|column| coloured(row, column)))
}
