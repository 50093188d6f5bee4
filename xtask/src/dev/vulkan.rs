//! Vulkan for the testbed: Debian's packages, and newer headers, since llama.cpp of 2026 uses
//! more than Debian 12's have.

use std::path::Path;

use anyhow::Result;

use crate::dev::debian::{self, PrivateApt};
use crate::dev::pieces::{Tool, Wanted};
use crate::dev::toolkits;
use crate::system::disk;
use crate::testbed::toolkits::link;

pub const LINK: &str = "vulkan";
pub const DISK_MEGABYTES: u64 = 20;
const RELEASE: &str = "trixie";
const HEADERS: &str = "libvulkan-dev";

pub const TOOLS: &[Tool] = &[
    Tool { wanted: Wanted::Program("glslc"), package: "glslc" },
    Tool { wanted: Wanted::Program("vulkaninfo"), package: "vulkan-tools" },
    Tool { wanted: Wanted::File("/usr/include/vulkan/vulkan.h"), package: HEADERS },
    Tool { wanted: Wanted::File("/usr/include/spirv/unified1/spirv.h"), package: "spirv-headers" },
    Tool { wanted: Wanted::Package, package: "mesa-vulkan-drivers" },
];

pub fn has_headers() -> bool {
    link(LINK).join("include/vulkan/vulkan.h").is_file()
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
        disk::make_folder(&folder, |partial| debian::unpack(&deb, partial))?;
        disk::remove(&apt)?;
    }
    toolkits::publish(LINK, &folder.join("usr"))
}
