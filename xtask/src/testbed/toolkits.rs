//! The GPU toolkits that `setup` provides on request, and where the testbed's packages find
//! them: a build may name no path of one machine.

use std::path::{Path, PathBuf};

/// Where the testbed's packages look, beside the compiler cache.
pub const LINKS: &str = "/nix/var/llamafleet";

/// A link of that folder.
pub fn link(name: &str) -> PathBuf {
    Path::new(LINKS).join(name)
}

#[derive(Debug, PartialEq, Eq)]
pub struct Toolkit {
    pub name: &'static str,
    pub backend: &'static str,
    /// What the packages of the testbed are made from: of each list the first that exists.
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

/// The first that a variant with these backends is built with and this machine lacks.
pub fn missing_for(backends: &[String]) -> Option<&'static Toolkit> {
    let needed = |toolkit: &&Toolkit| backends.iter().any(|backend| backend == toolkit.backend);
    ALL.into_iter().filter(needed).find(|toolkit| !toolkit.is_present())
}

impl Toolkit {
    pub fn is_present(&self) -> bool {
        self.files.iter().all(|places| places.iter().any(|place| Path::new(place).exists()))
    }

    /// What provides it.
    pub fn setup_command(&self) -> String {
        format!("cargo xtask setup --{}", self.backend)
    }
}
