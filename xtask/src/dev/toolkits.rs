//! The links by which the testbed's packages find the GPU toolkits of `setup`, and the modification
//! time of their programs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::system::disk;
use crate::testbed::toolkits::{LINKS, link};

/// Points the link to `folder`.
pub fn publish(name: &str, folder: &Path) -> Result<()> {
    let hint = format!("make it writable: sudo install -d -m 1777 {LINKS}");
    disk::create(Path::new(LINKS)).with_context(|| hint.clone())?;
    let new = link(&format!(".{name}.{}", std::process::id()));
    symlink(folder, &new).with_context(|| format!("cannot write to {LINKS}; {hint}"))?;
    let place = link(name);
    fs::rename(&new, &place).with_context(|| format!("cannot create {}", place.display()))
}

/// Sets a fixed modification time: ccache identifies a compiler by size and time, so a compiler
/// that is unpacked again keeps its cache.
pub fn set_time(program: &Path) -> Result<()> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(315_532_800);
    let set = || fs::File::options().append(true).open(program)?.set_modified(time);
    set().with_context(|| format!("cannot set the time of {}", program.display()))
}
