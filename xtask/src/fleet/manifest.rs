//! A variant's manifest: `passthru.llamaCpp` from overlays/llama-cpp/variant.nix, and what
//! modules/nixos/llama-cpp.nix adds for a host. The Nix files use the same field names.
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
    /// Names from microarch.json joined with `+`, or `dispatch`.
    pub microarch: String,
    /// The same as a list. Empty with an older overlay.
    #[serde(default)]
    pub microarchs: Vec<String>,
    pub system: String,
    #[serde(default)]
    pub cuda_capabilities: Vec<String>,
    /// The targets that llama.cpp compiles for these, such as `12.0a` for `12.0`.
    #[serde(default)]
    pub cuda_targets: Vec<String>,
    /// Such as `12.9`. None without CUDA, or with an older overlay.
    pub cuda_version: Option<String>,
    #[serde(default)]
    pub rocm_targets: Vec<String>,
    /// The targets for which the ROCm libraries of the host's nixpkgs have kernels.
    pub rocm_library_targets: Option<Vec<String>>,
    /// The enabled `GGML_*` CPU options.
    #[serde(default)]
    pub cpu_options: Vec<String>,
    pub cmake_flags: Vec<String>,
    /// `programs.llama-cpp.extraCmakeFlags`, which are part of `cmake_flags` too.
    #[serde(default)]
    pub extra_cmake_flags: Vec<String>,
    /// `programs.llama-cpp.kvCacheTypes`: pairs "K-V" for which to build kernels.
    #[serde(default)]
    pub kv_cache_types: Vec<String>,
    /// The pairs for which the build has CUDA or ROCm kernels. None without these backends.
    pub kv_kernels: Option<Vec<String>>,
    /// The llama.cpp commit, if the flake input has it.
    pub rev: Option<String>,
    /// llama.cpp's build number, the `N` of a tag `bN`.
    pub build: Option<u64>,
    /// Whether the host sets `programs.llama-cpp.source`.
    #[serde(default)]
    pub own_source: bool,
    /// The derivations of which the package consists. Empty if it is one derivation.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// Why the package is one derivation although `modular` is on.
    pub not_split: Option<String>,
    /// Whether the build lists the instructions of its CPU modules.
    #[serde(default)]
    pub lists_instructions: bool,
    /// Arguments that this revision's package.nix no longer accepts.
    #[serde(default)]
    pub dropped_arguments: Vec<String>,
    #[serde(default)]
    pub bench: BenchChoices,
    /// `programs.llama-cpp.threads`.
    pub threads: Option<u32>,
    /// None if the host does not run llama-server as a service.
    pub service: Option<Service>,
    /// Whether `services.llama-cpp` of the host's nixpkgs has `extraFlags` instead of `settings`.
    #[serde(default)]
    pub service_has_extra_flags: bool,
}

/// A part of a package, which other hosts and revisions may share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// For example `ggml-cuda-sm75`.
    pub name: String,
    pub drv_path: DrvPath,
    pub output: StorePath,
}

impl Part {
    /// Returns a module's GPU backend or `cpu`; none for ggml itself and the tools.
    pub fn backend(&self) -> Option<&str> {
        let rest = self.name.strip_prefix("ggml-")?;
        Some(rest.split_once('-').map_or(rest, |(backend, _)| backend))
    }
}

impl Manifest {
    pub fn has_backend(&self, backend: &str) -> bool {
        self.backends.iter().any(|name| name == backend)
    }

    /// Returns the CPUs that the package supports; ggml selects one at start-up.
    pub fn cpus(&self) -> impl Iterator<Item = &str> {
        let one = self.microarchs.is_empty().then_some(self.microarch.as_str());
        self.microarchs.iter().map(String::as_str).chain(one)
    }

    /// Returns llama-bench's arguments: the host's threads and `bench.args`, then the user's.
    pub fn bench_args(&self, user: &[String]) -> Vec<String> {
        let mut args = [&self.bench.args[..], user].concat();
        // llama-bench would measure with both if the option was given twice.
        let is_threads = |arg: &String| arg == "-t" || arg == "--threads";
        if let Some(threads) = self.threads.filter(|_| !args.iter().any(is_threads)) {
            args.splice(..0, ["-t".to_owned(), threads.to_string()]);
        }
        args
    }
}

#[cfg(test)]
impl Manifest {
    /// Returns the manifest of a CPU build with other values for these JSON fields.
    pub fn with(fields: &serde_json::Value) -> Self {
        let mut manifest = serde_json::json!({
            "variant": "v", "backends": ["cpu"], "microarch": "dispatch",
            "system": "x86_64-linux", "cmakeFlags": [], "rev": null, "build": null,
        });
        manifest.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(manifest).unwrap()
    }
}

/// The settings of `services.llama-cpp`, from its flags and environment variables.
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
    /// A file in the flake's folder.
    pub baseline: Option<String>,
}

/// The result of evaluating a host, with the field names of select.nix.
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

/// Other settings of a host that determine which llama.cpp it builds and runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HostContext {
    /// The packages that should be the variant: `pkgs.llama-cpp`, the service's package.
    pub packages: BTreeMap<String, SeenPackage>,
    /// Whether the host's `pkgs` has the module's overlay.
    pub overlaid: bool,
    pub drivers: Option<Drivers>,
    /// The settings of nixpkgs that JSON can represent.
    pub nixpkgs: Option<serde_json::Value>,
}

/// The GPU drivers that a host installs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drivers {
    /// `hardware.graphics.enable`: /run/opengl-driver with Vulkan's and CUDA's drivers.
    pub graphics: bool,
    /// Whether the host has NVIDIA's kernel module.
    pub nvidia: bool,
    /// Its version, if the variant is for a GPU from before Turing.
    pub nvidia_version: Option<String>,
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
    /// Null if the package has no manifest, so that it is not the flake's.
    pub variant: Option<VariantName>,
    /// Null if the package has none, or nixpkgs refuses to evaluate it.
    pub drv_path: Option<String>,
    /// Only if the package is another derivation than the variant.
    pub cmake_flags: Vec<String>,
    /// The locations that define the package, `FILE` or `FILE:LINE`.
    pub files: Vec<String>,
}

/// The evaluation of a host that uses the module: its variant, or the errors in its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostResult {
    Selection(Box<Selection>),
    Problems(Problems),
}

/// The module's failed assertions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problems {
    /// Messages of the form `programs.llama-cpp.OPTION …; what to do`.
    #[serde(rename = "problems")]
    pub sentences: Vec<String>,
    /// The files that define each option of `programs.llama-cpp`.
    pub files: BTreeMap<String, Vec<String>>,
}

impl<'de> Deserialize<'de> for HostResult {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let value = serde_json::Value::deserialize(deserializer)?;
        // Printed and read again: a second way to read these types would be compiled for each.
        let text = value.to_string();
        match value.get("problems") {
            Some(_) => serde_json::from_str(&text).map(Self::Problems),
            None => serde_json::from_str(&text).map(Self::Selection),
        }
        .map_err(D::Error::custom)
    }
}

/// A row of hosts/default.nix, the flake's `fleet` output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetEntry {
    pub system: Option<String>,
    /// The SSH destination of the host.
    pub target: Option<String>,
}
