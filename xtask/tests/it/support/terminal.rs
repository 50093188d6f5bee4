//! Runs the binary under test on a pseudo-terminal and renders its screens.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::process::{Command, ExitStatus, Stdio};

use rustix::io::Errno;
use rustix::pty::{self, OpenptFlags};
use rustix::termios::{self, Winsize};

/// A program's terminal output and exit status.
pub struct Session {
    columns: NonZero<u16>,
    lines: NonZero<u16>,
    written: Vec<u8>,
    pub status: ExitStatus,
}

/// Runs a command on a terminal of this size.
pub fn run(command: &mut Command, columns: u16, lines: u16) -> Session {
    run_until(command, columns, lines, None)
}

/// Runs a command on a terminal that echoes `^C` as soon as the output contains `what`, and then calls
/// `signal` with the process id, because the terminal has no foreground process group.
pub fn interrupt(
    command: &mut Command,
    (columns, lines): (u16, u16),
    what: &str,
    signal: impl Fn(u32),
) -> Session {
    run_until(command, columns, lines, Some((what, &signal)))
}

fn run_until(
    command: &mut Command,
    columns: u16,
    lines: u16,
    mut until: Option<(&str, &dyn Fn(u32))>,
) -> Session {
    let control =
        pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    pty::grantpt(&control).unwrap();
    pty::unlockpt(&control).unwrap();
    let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    termios::tcsetwinsize(&control, size).unwrap();
    let name = pty::ptsname(&control, Vec::new()).unwrap();
    let terminal = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let stdio = || Stdio::from(terminal.try_clone().unwrap());
    command.stdin(stdio()).stdout(stdio()).stderr(stdio()).env("TERM", "xterm");
    let mut child = command.spawn().unwrap();
    // Drop our copies of the terminal, so that reading fails with EIO once the program has ended.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(terminal);
    let (mut written, mut control) = (vec![], File::from(control));
    let mut buffer = [0; 4096];
    loop {
        match control.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => written.extend_from_slice(&buffer[..count]),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()), "{error}");
                break;
            }
        }
        let is_written =
            |(what, _): &mut (&str, _)| String::from_utf8_lossy(&written).contains(*what);
        if let Some((_, signal)) = until.take_if(is_written) {
            control.write_all(&[3]).unwrap();
            signal(child.id());
        }
    }
    assert!(until.is_none(), "{}", String::from_utf8_lossy(&written));
    let [columns, lines] = [columns, lines].map(|size| NonZero::new(size).unwrap());
    Session { columns, lines, written, status: child.wait().unwrap() }
}

impl Session {
    /// Returns all output including escape sequences.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.written).into_owned()
    }

    /// Returns the screen after each carriage return and at the end.
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
