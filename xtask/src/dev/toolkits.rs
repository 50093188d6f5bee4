//! The GPU toolkits that `setup` provides on request, and the links by which the testbed's
//! packages find them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::dev::pieces::{Item, Piece};
use crate::dev::{cuda, debian, rocm, vulkan};
use crate::system::disk;
use crate::testbed::toolkits::{CUDA, LINKS, ROCM, link};

/// Points the link at `folder`.
pub fn publish(name: &str, folder: &Path) -> Result<()> {
    let hint = format!("make it writable: sudo install -d -m 1777 {LINKS}");
    disk::create(Path::new(LINKS)).with_context(|| hint.clone())?;
    let new = link(&format!(".{name}.{}", std::process::id()));
    symlink(folder, &new).with_context(|| format!("cannot write to {LINKS}; {hint}"))?;
    let place = link(name);
    fs::rename(&new, &place).with_context(|| format!("cannot create {}", place.display()))
}

/// ccache recognizes a compiler by its size and time: unpacked again, it is the same one.
pub fn set_time(program: &Path) -> Result<()> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(315_532_800);
    let set = || fs::File::options().append(true).open(program)?.set_modified(time);
    set().with_context(|| format!("cannot set the time of {}", program.display()))
}

pub fn cuda_item(home: &Path) -> Item {
    if CUDA.is_present() {
        return Piece::Cuda.present(link(cuda::LINK).display().to_string());
    }
    if std::env::consts::ARCH != "x86_64" {
        return Piece::Cuda.unneeded("the testbed has it for x86-64 only");
    }
    Piece::Cuda.to_do(
        format!("CUDA {}: NVIDIA's compiler and libraries from PyPI", cuda::VERSION),
        "python3 -m pip download, for each of NVIDIA's wheels",
        (Some(cuda::missing_megabytes(home)), cuda::DISK_MEGABYTES),
    )
}

pub fn rocm_item() -> Item {
    if ROCM.is_present() {
        return Piece::Rocm.present(link(rocm::LINK).display().to_string());
    }
    if std::env::consts::ARCH != "x86_64" || !debian::is_here() {
        return Piece::Rocm.unneeded("the testbed has it for x86-64 with Debian's apt only");
    }
    Piece::Rocm.to_do(
        "ROCm from Debian testing, unpacked for this project alone",
        format!(
            "apt-get install --download-only {} (in a separate package database), then dpkg -x",
            rocm::PACKAGES.join(" ")
        ),
        (Some(rocm::DOWNLOAD_MEGABYTES), rocm::DISK_MEGABYTES),
    )
}

pub fn vulkan_item() -> Item {
    let missing = debian::missing(vulkan::TOOLS);
    if missing.is_empty() && vulkan::has_headers() {
        return Piece::Vulkan.present("headers, loader, glslc and a software driver");
    }
    if !debian::is_here() {
        return Piece::Vulkan.unneeded("the testbed has it with Debian's apt only");
    }
    let command = debian::install_command(&missing).to_string();
    if !missing.is_empty() && !debian::is_root() {
        let why = format!("Debian's {} must be installed as root", missing.join(" "));
        return Piece::Vulkan.blocked(why, format!("sudo {command}"));
    }
    let what = "Vulkan's headers of Debian 13, for this project alone";
    let (what, command) = match missing[..] {
        [] => (what.to_owned(), "apt-get download libvulkan-dev, then dpkg -x".to_owned()),
        _ => (format!("Debian's {}; {what}", missing.join(" ")), command),
    };
    let download = debian::download_megabytes(&missing);
    Piece::Vulkan.to_do(what, command, (download, vulkan::DISK_MEGABYTES))
}
