//! What overlays/llama-cpp/variant.nix says of a variant (`passthru.llamaCpp`), and
//! what modules/nixos/llama-cpp.nix adds for a host. The Nix files name these fields.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fleet::names::VariantName;
use crate::nix::names::{DrvPath, StorePath};

/// The manifest of one variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub variant: VariantName,
    pub backends: Vec<String>,
    /// A name of microarch.json, several with `+` between, or `dispatch`.
    pub microarch: String,
    /// The same as a list. Empty: of an older overlay.
    #[serde(default)]
    pub microarchs: Vec<String>,
    pub system: String,
    #[serde(default)]
    pub cuda_capabilities: Vec<String>,
    /// What llama.cpp compiles for these: `12.0a` for `12.0`.
    #[serde(default)]
    pub cuda_targets: Vec<String>,
    /// `12.9`. None: no CUDA, or an older overlay.
    pub cuda_version: Option<String>,
    #[serde(default)]
    pub rocm_targets: Vec<String>,
    /// What the ROCm libraries of the host's nixpkgs have kernels for.
    pub rocm_library_targets: Option<Vec<String>>,
    /// The `GGML_*` CPU options that are on.
    #[serde(default)]
    pub cpu_options: Vec<String>,
    pub cmake_flags: Vec<String>,
    /// `programs.llama-cpp.extraCmakeFlags`: these are in `cmake_flags` too.
    #[serde(default)]
    pub extra_cmake_flags: Vec<String>,
    /// `programs.llama-cpp.kvCacheTypes`: pairs "K-V" to build kernels for.
    #[serde(default)]
    pub kv_cache_types: Vec<String>,
    /// The pairs that the build has CUDA and ROCm kernels for. None: it has neither backend.
    pub kv_kernels: Option<Vec<String>>,
    /// The llama.cpp commit, if the flake input has it.
    pub rev: Option<String>,
    /// llama.cpp's build number, the `N` of a tag `bN`.
    pub build: Option<u64>,
    /// Whether the host has a llama.cpp of its own, `programs.llama-cpp.source`.
    #[serde(default)]
    pub own_source: bool,
    /// The derivations that the package is put together from. Empty: it is built as a whole.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// Why it is built as a whole although `modular` is on.
    pub not_split: Option<String>,
    /// Whether the build lists the instructions of its CPU modules.
    #[serde(default)]
    pub lists_instructions: bool,
    /// Arguments that this revision's package.nix no longer takes.
    #[serde(default)]
    pub dropped_arguments: Vec<String>,
    #[serde(default)]
    pub bench: BenchChoices,
    /// `programs.llama-cpp.threads`.
    pub threads: Option<u32>,
    /// None: the host runs no llama-server as a service.
    pub service: Option<Service>,
    /// `services.llama-cpp` of the host's nixpkgs takes `extraFlags`, not `settings`.
    #[serde(default)]
    pub service_has_extra_flags: bool,
}

/// One part of a package, which other hosts and revisions may share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// For example `ggml-cuda-sm75`.
    pub name: String,
    pub drv_path: DrvPath,
    pub output: StorePath,
}

impl Part {
    /// The GPU backend or `cpu` that a module is of; none of ggml itself and of the tools.
    pub fn backend(&self) -> Option<&str> {
        let rest = self.name.strip_prefix("ggml-")?;
        Some(rest.split_once('-').map_or(rest, |(backend, _)| backend))
    }
}

impl Manifest {
    pub fn has_backend(&self, backend: &str) -> bool {
        self.backends.iter().any(|name| name == backend)
    }

    /// The CPUs that the package is for; ggml selects one at start-up.
    pub fn cpus(&self) -> impl Iterator<Item = &str> {
        let one = self.microarchs.is_empty().then_some(self.microarch.as_str());
        self.microarchs.iter().map(String::as_str).chain(one)
    }

    /// llama-bench's arguments: the host's own, and then the user's.
    pub fn bench_args(&self, user: &[String]) -> Vec<String> {
        let own = [&self.bench.args[..], user].concat();
        // Given twice, llama-bench measures with either.
        let is_threads = |arg: &String| arg == "-t" || arg == "--threads";
        let threads = self.threads.filter(|_| !own.iter().any(is_threads));
        let flags = threads.iter().flat_map(|threads| ["-t".to_owned(), threads.to_string()]);
        flags.chain(own.iter().cloned()).collect()
    }
}

/// What the flags and variables of `services.llama-cpp` ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Service {
    /// Pairs "K-V".
    pub kv_cache_types: Vec<String>,
    pub threads: Option<u32>,
}

/// `programs.llama-cpp.bench`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BenchChoices {
    pub model: Option<String>,
    pub args: Vec<String>,
    /// A file of the flake's folder.
    pub baseline: Option<String>,
}

/// What evaluating one host gives, field by field as select.nix names them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    pub manifest: Manifest,
    pub drv_path: DrvPath,
    #[serde(rename = "output")]
    pub out_path: StorePath,
    #[serde(default)]
    pub context: HostContext,
}

/// What else of the host decides which llama.cpp is built and run there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HostContext {
    /// Each package that should be the variant: `pkgs.llama-cpp`, the service's.
    pub packages: BTreeMap<String, SeenPackage>,
    /// Whether the module's overlay has reached the host's `pkgs`.
    pub overlaid: bool,
    pub drivers: Option<Drivers>,
    /// The settings of nixpkgs that JSON can represent.
    pub nixpkgs: Option<serde_json::Value>,
}

/// What the host installs for its GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Drivers {
    /// `hardware.graphics.enable`: /run/opengl-driver, with the drivers of Vulkan and CUDA.
    pub graphics: bool,
    /// NVIDIA's kernel module.
    pub nvidia: bool,
}

impl Default for HostContext {
    fn default() -> Self {
        Self { packages: BTreeMap::new(), overlaid: true, drivers: None, nixpkgs: None }
    }
}

/// A package that should be the variant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SeenPackage {
    /// Null: a package without a manifest, so not one of the flake's.
    pub variant: Option<VariantName>,
    /// Null: it has none, or nixpkgs refuses it.
    pub drv_path: Option<String>,
    /// Of a package that is another derivation than the variant.
    pub cmake_flags: Vec<String>,
    /// The places that define the package, `FILE` or `FILE:LINE`.
    pub files: Vec<String>,
}

/// A host that uses the module: what it selects, or why its options make no package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Selection(Box<Selection>),
    Problems(Problems),
}

/// The module's failed assertions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problems {
    /// Each a sentence, `programs.llama-cpp.OPTION …; what to do`.
    #[serde(rename = "problems")]
    pub sentences: Vec<String>,
    /// Which files define each option of `programs.llama-cpp`.
    pub files: BTreeMap<String, Vec<String>>,
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let value = serde_json::Value::deserialize(deserializer)?;
        match value.get("problems") {
            Some(_) => serde_json::from_value(value).map(Self::Problems),
            None => serde_json::from_value(value).map(|one| Self::Selection(Box::new(one))),
        }
        .map_err(D::Error::custom)
    }
}

/// A row of hosts/default.nix, the flake's `fleet` output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetEntry {
    pub system: Option<String>,
    /// Where the host is reached by SSH.
    pub target: Option<String>,
}
