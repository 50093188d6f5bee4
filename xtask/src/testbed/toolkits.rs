//! The GPU toolkits that `setup` provides on request, and the links by which the testbed's packages
//! find them. The links are the same on every machine, so derivations are, too.

use std::path::{Path, PathBuf};

/// The folder of the links, beside the compiler cache.
pub const LINKS: &str = "/nix/var/llamafleet";

/// Returns a link in that folder.
pub fn link(name: &str) -> PathBuf {
    Path::new(LINKS).join(name)
}

#[derive(Debug, PartialEq, Eq)]
pub struct Toolkit {
    pub name: &'static str,
    pub backend: &'static str,
    /// The files that the testbed's packages need: one of each list.
    files: &'static [&'static [&'static str]],
}

pub const CUDA: Toolkit = Toolkit {
    name: "CUDA",
    backend: "cuda",
    files: &[&["/nix/var/llamafleet/cuda-13.4/bin/nvcc"]],
};

pub const ROCM: Toolkit = Toolkit {
    name: "ROCm",
    backend: "rocm",
    files: &[&["/nix/var/llamafleet/rocm/usr/lib/llvm-21/bin/clang++"]],
};

const VULKAN: Toolkit = Toolkit {
    name: "Vulkan's headers and glslc",
    backend: "vulkan",
    files: &[
        &["/nix/var/llamafleet/vulkan/include/vulkan", "/usr/include/vulkan"],
        &["/usr/bin/glslc"],
        &["/usr/include/spirv"],
    ],
};

pub const ALL: [&Toolkit; 3] = [&CUDA, &ROCM, &VULKAN];

/// Returns the first missing toolkit that a variant with these backends needs.
pub fn missing_for(backends: &[String]) -> Option<&'static Toolkit> {
    let needed = |toolkit: &&Toolkit| backends.iter().any(|backend| backend == toolkit.backend);
    ALL.into_iter().filter(needed).find(|toolkit| !toolkit.is_present())
}

impl Toolkit {
    pub fn is_present(&self) -> bool {
        self.files.iter().all(|places| places.iter().any(|place| Path::new(place).exists()))
    }

    /// Returns the command that provides the toolkit.
    pub fn setup_command(&self) -> String {
        format!("cargo xtask setup --{}", self.backend)
    }
}
