//! A pseudo-terminal for a child, so that it draws its progress.

use std::fs::File;
use std::io::PipeWriter;
use std::os::fd::{FromRawFd, OwnedFd};

use anyhow::{Result, bail};

/// Opens one. Returns the end to read from, and the child's end.
pub fn open() -> Result<(File, PipeWriter)> {
    let size = libc::winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut ours, mut theirs) = (-1, -1);
    let (name, modes) = (std::ptr::null_mut(), std::ptr::null());
    #[expect(unsafe_code, reason = "std has no terminals")]
    // SAFETY: openpty(3) sets the two numbers, and reads `size`. When it returns 0, both
    // descriptors are open and have no other owner.
    let (ours, theirs) = unsafe {
        if libc::openpty(&raw mut ours, &raw mut theirs, name, modes, &raw const size) != 0 {
            bail!("cannot open a terminal: {}", std::io::Error::last_os_error());
        }
        (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
    };
    Ok((ours.into(), theirs.into()))
}
