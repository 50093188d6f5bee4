//! Vulkan for the testbed: Debian's packages, and newer headers, because Debian 12's are too old
//! for llama.cpp of 2026.

use std::path::Path;

use anyhow::Result;

use crate::dev::debian::{self, PrivateApt};
use crate::dev::pieces::{Item, Piece, Tool, Wanted};
use crate::dev::toolkits;
use crate::system::disk;
use crate::testbed::toolkits::link;

const LINK: &str = "vulkan";
/// Debian 13's package lists and the headers' package.
const DOWNLOAD_MEGABYTES: u64 = 17;
const DISK_MEGABYTES: u64 = 65;
const RELEASE: &str = "trixie";
const HEADERS: &str = "libvulkan-dev";

const TOOLS: &[Tool] = &[
    Tool { wanted: Wanted::Program("glslc"), package: "glslc" },
    Tool { wanted: Wanted::Program("vulkaninfo"), package: "vulkan-tools" },
    Tool { wanted: Wanted::File("/usr/include/vulkan/vulkan.h"), package: HEADERS },
    Tool { wanted: Wanted::File("/usr/include/spirv/unified1/spirv.h"), package: "spirv-headers" },
    Tool { wanted: Wanted::Package, package: "mesa-vulkan-drivers" },
];

pub fn item(home: &Path, on_debian: bool) -> Item {
    let missing = debian::missing(TOOLS);
    if missing.is_empty() && link(LINK).join("include/vulkan/vulkan.h").is_file() {
        return Piece::Vulkan.present("headers, loader, glslc and a software driver");
    }
    if !on_debian {
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
    let (headers, disk) = match home.join(LINK).is_dir() {
        true => (0, 0),
        false => (DOWNLOAD_MEGABYTES, DISK_MEGABYTES),
    };
    let download = debian::download_megabytes(&missing).map(|megabytes| megabytes + headers);
    Piece::Vulkan.to_do(what, command, (download, disk))
}

pub fn provide(home: &Path, step: &mut dyn FnMut(&str)) -> Result<()> {
    let missing = debian::missing(TOOLS);
    if !missing.is_empty() {
        step("installing with apt");
        debian::install(&missing)?;
    }
    let folder = home.join(LINK);
    if !folder.is_dir() {
        step("fetching Debian 13's Vulkan headers");
        let apt = home.join("vulkan-apt");
        let deb = PrivateApt::new(&apt, RELEASE)?.download_one(HEADERS)?;
        disk::make_folder(&folder, |partial| debian::unpack(&[deb], partial))?;
        disk::remove(&apt)?;
    }
    toolkits::publish(LINK, &folder.join("usr"))
}
