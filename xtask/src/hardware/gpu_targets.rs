//! The known GPU targets, which GPUs they run on, and which toolkits compile them. An unknown
//! target may be newer than these lists, so it is only a warning.
//!
//! Pure: no I/O, no clock.

use crate::findings::finding::Finding;
use crate::fleet::manifest::Manifest;
use crate::hardware::facts::Vendor;
use crate::ui::nearest::nearest;

struct Capability {
    name: &'static str,
    /// The first CUDA version that compiles it, and the first that no longer does.
    toolkits: (Version, Option<Version>),
    /// Whether it is a Jetson's, whose machine code runs on no other GPU.
    is_tegra: bool,
}

impl Capability {
    fn is_compiled_by(&self, version: Version) -> bool {
        let (since, until) = self.toolkits;
        since <= version && until.is_none_or(|until| version < until)
    }
}

type Version = (u32, u32);

/// From `ptxas --help` of CUDA 11.8 to 13.5.
const CUDA: &[Capability] = &[
    capability("5.0", (6, 5), Some((13, 0)), false),
    capability("5.2", (7, 0), Some((13, 0)), false),
    capability("5.3", (7, 0), Some((13, 0)), true),
    capability("6.0", (8, 0), Some((13, 0)), false),
    capability("6.1", (8, 0), Some((13, 0)), false),
    capability("6.2", (8, 0), Some((13, 0)), true),
    capability("7.0", (9, 0), Some((13, 0)), false),
    capability("7.2", (9, 2), Some((13, 0)), true),
    capability("7.5", (10, 0), None, false),
    capability("8.0", (11, 0), None, false),
    capability("8.6", (11, 1), None, false),
    capability("8.7", (11, 4), None, true),
    capability("8.8", (13, 0), None, true),
    capability("8.9", (11, 8), None, false),
    capability("9.0", (11, 8), None, false),
    capability("10.0", (12, 8), None, false),
    // Renamed to 11.0.
    capability("10.1", (12, 8), Some((13, 0)), true),
    capability("10.3", (12, 9), None, false),
    capability("10.7", (13, 4), None, false),
    capability("11.0", (13, 0), None, true),
    capability("12.0", (12, 8), None, false),
    capability("12.1", (12, 9), None, false),
];

/// The first CUDA version with family-specific targets such as "12.0f".
const FAMILIES_SINCE: Version = (12, 9);

const fn capability(
    name: &'static str,
    since: Version,
    until: Option<Version>,
    is_tegra: bool,
) -> Capability {
    Capability { name, toolkits: (since, until), is_tegra }
}

/// GFX8 and later by generic target, from LLVM's "User Guide for AMDGPU Backend".
const GFX: &[(Option<&str>, &[&str])] = &[
    (None, &["gfx801", "gfx802", "gfx803", "gfx805", "gfx810", "gfx908", "gfx90a"]),
    (Some("gfx9-generic"), &["gfx900", "gfx902", "gfx904", "gfx906", "gfx909", "gfx90c"]),
    (Some("gfx9-4-generic"), &["gfx940", "gfx941", "gfx942", "gfx950"]),
    (Some("gfx10-1-generic"), &["gfx1010", "gfx1011", "gfx1012", "gfx1013"]),
    (
        Some("gfx10-3-generic"),
        &["gfx1030", "gfx1031", "gfx1032", "gfx1033", "gfx1034", "gfx1035", "gfx1036"],
    ),
    (
        Some("gfx11-generic"),
        &["gfx1100", "gfx1101", "gfx1102", "gfx1103", "gfx1150", "gfx1151", "gfx1152", "gfx1153"],
    ),
    (Some("gfx12-generic"), &["gfx1200", "gfx1201"]),
    (Some("gfx12-5-generic"), &["gfx1250", "gfx1251"]),
];

fn all_gfx() -> impl Iterator<Item = &'static str> {
    GFX.iter().flat_map(|(generic, members)| members.iter().copied().chain(*generic))
}

/// Returns the targets that a build of this variant has code for. If an older overlay's manifest
/// does not list them, derives them from the capabilities as ggml of 2026 does.
pub fn compiled(manifest: &Manifest, vendor: Vendor) -> Vec<String> {
    if vendor != Vendor::Nvidia {
        return manifest.rocm_targets.clone();
    }
    if !manifest.cuda_targets.is_empty() {
        return manifest.cuda_targets.clone();
    }
    let target = |name: &String| match number(name) {
        Some((12, _)) => format!("{name}a"),
        _ => name.clone(),
    };
    manifest.cuda_capabilities.iter().map(target).collect()
}

/// How code for a target runs on a GPU, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// The driver compiles the PTX on first use.
    Recompiled,
    /// The GPU runs the machine code.
    Native,
}

/// Returns which of a build's targets this GPU would use.
pub fn best<'a>(vendor: Vendor, targets: &'a [String], gpu: &str) -> Option<(Fit, &'a String)> {
    let fits = targets.iter().filter_map(|target| {
        let fit = match vendor {
            Vendor::Nvidia => cuda_fit(target, gpu)?,
            _ => rocm_fit(target, gpu)?,
        };
        Some(((fit, number(target.trim_end_matches(['a', 'f']))), target))
    });
    fits.max_by_key(|(rank, _)| *rank).map(|((fit, _), target)| (fit, target))
}

/// Returns how code for a CUDA target runs on a GPU. According to the CUDA C++ Programming Guide,
/// "Compute Capabilities", machine code runs on GPUs with the same major and an equal or greater
/// minor number, except between Jetsons and other GPUs; PTX runs on all later GPUs. `a` targets
/// run only on this capability, `f` targets also on later ones with the same major number.
fn cuda_fit(target: &str, gpu: &str) -> Option<Fit> {
    let plain = target.trim_end_matches(['a', 'f']);
    let (code, gpu) = (number(plain)?, number(gpu.trim_end_matches(['a', 'f']))?);
    let is_tegra = |version: Version| {
        CUDA.iter().any(|known| known.is_tegra && number(known.name) == Some(version))
    };
    let same_major = code.0 == gpu.0 && code.1 <= gpu.1;
    match target.strip_prefix(plain) {
        _ if code == gpu => Some(Fit::Native),
        Some("a") => None,
        Some("f") => same_major.then_some(Fit::Native),
        _ if same_major && !is_tegra(code) && !is_tegra(gpu) => Some(Fit::Native),
        _ => (code < gpu).then_some(Fit::Recompiled),
    }
}

fn rocm_fit(target: &str, gpu: &str) -> Option<Fit> {
    // `gfx90a:xnack+`
    let target = target.split(':').next();
    let generic = GFX.iter().find(|(_, members)| members.contains(&gpu));
    let is_generic = generic.is_some_and(|(name, _)| name.is_some() && *name == target);
    (target == Some(gpu) || is_generic).then_some(Fit::Native)
}

/// Whether a capability is too old for every CUDA version that builds llama.cpp.
pub fn is_too_old(capability: &str) -> bool {
    let oldest = CUDA.iter().filter_map(|known| number(known.name)).min();
    number(capability).is_some_and(|capability| Some(capability) < oldest)
}

/// Whether the GPU is older than Turing: CUDA 13, the open kernel module and NVIDIA's drivers from
/// 590 on do not support it.
pub fn is_before_turing(capability: &str) -> bool {
    number(capability).is_some_and(|capability| capability < (7, 5))
}

/// Whether this is a CUDA capability such as `8.6`. Strict, because it is pasted into Nix code.
pub fn is_capability(text: &str) -> bool {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(major, minor)| {
        matches!(major.len(), 1 | 2) && minor.len() == 1 && is_number(major) && is_number(minor)
    })
}

fn number(capability: &str) -> Option<Version> {
    let (major, minor) = capability.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Checks the variant's CUDA capabilities and ROCm targets.
pub fn findings(manifest: &Manifest) -> Vec<Finding> {
    let mut findings = vec![];
    if manifest.has_backend("cuda") {
        findings.extend(manifest.cuda_capabilities.iter().filter_map(|name| cuda(name)));
        findings.extend(outside_toolkit(manifest));
    }
    if manifest.has_backend("rocm") {
        findings.extend(manifest.rocm_targets.iter().filter_map(|name| rocm(name)));
        findings.extend(outside_libraries(manifest));
    }
    findings
}

/// Reports capabilities that the variant's CUDA does not compile: the build would fail.
fn outside_toolkit(manifest: &Manifest) -> Option<Finding> {
    let version = manifest.cuda_version.as_deref()?;
    let refused = refused(manifest, manifest.cuda_capabilities.iter().map(String::as_str));
    let oldest = CUDA
        .iter()
        .find(|known| number(version).is_some_and(|version| known.is_compiled_by(version)))?;
    (!refused.is_empty()).then(|| {
        Finding::error(
            "cuda-version",
            format!(
                "programs.llama-cpp.cudaCapabilities: CUDA {version} does not compile {} (its \
                 oldest is {})",
                refused.join(", "),
                oldest.name
            ),
            format!("remove them, or use another CUDA: {}", other_cuda(manifest)),
        )
    })
}

/// Returns the overlay that selects the other major version of CUDA: 12.9 compiles older
/// capabilities, 13 newer ones.
pub fn other_cuda(manifest: &Manifest) -> String {
    let version = manifest.cuda_version.as_deref().and_then(number);
    format!("`{}`", cuda_overlay(if version < Some((13, 0)) { 13 } else { 12 }))
}

/// Formats the overlay that selects a major version of CUDA.
pub fn cuda_overlay(major: u32) -> String {
    format!("nixpkgs.overlays = [ (_: prev: {{ cudaPackages = prev.cudaPackages_{major}; }}) ];")
}

/// Returns the capabilities that the variant's CUDA does not compile.
pub fn refused<'a>(
    manifest: &Manifest,
    capabilities: impl Iterator<Item = &'a str>,
) -> Vec<&'a str> {
    let Some(version) = manifest.cuda_version.as_deref().and_then(number) else { return vec![] };
    let is_refused = |name: &&str| {
        let plain = name.trim_end_matches(['a', 'f']);
        let known = CUDA.iter().find(|known| known.name == plain);
        known.is_some_and(|known| !known.is_compiled_by(version))
            || name.ends_with('f') && version < FAMILIES_SINCE
    };
    capabilities.filter(is_refused).collect()
}

/// Reports targets without kernels in the ROCm libraries of the host's nixpkgs.
fn outside_libraries(manifest: &Manifest) -> Option<Finding> {
    let libraries = manifest.rocm_library_targets.as_ref()?;
    let plain = |target: &String| target.split(':').next().unwrap_or(target).to_owned();
    let libraries: Vec<String> = libraries.iter().map(plain).collect();
    let missing = manifest.rocm_targets.iter().map(plain).filter(|target| {
        // The libraries have kernels for the single GPUs of a generic target.
        !target.ends_with("-generic") && !libraries.contains(target)
    });
    let missing: Vec<String> = missing.collect();
    (!missing.is_empty()).then(|| {
        Finding::warning(
            "rocm-libraries",
            format!(
                "programs.llama-cpp.rocmTargets: rocBLAS of this nixpkgs has no kernels for {}, so \
                 matrix products fail there",
                missing.join(", ")
            ),
            "use the backend \"vulkan\", or override `rocmPackages.clr` with these targets",
        )
    })
}

fn cuda(name: &str) -> Option<Finding> {
    // `a`: architecture-specific features; `f`: family-specific features.
    let plain = name.strip_suffix(['a', 'f']).unwrap_or(name);
    let first_with_suffix = match name.strip_prefix(plain) {
        Some("a") => (9, 0),
        Some("f") => (10, 0),
        _ => (0, 0),
    };
    if CUDA.iter().any(|known| known.name == plain) {
        return (number(plain) < Some(first_with_suffix)).then(|| {
            Finding::error(
                "gpu-target",
                format!("programs.llama-cpp.cudaCapabilities: CUDA has no {name:?}"),
                format!("write {plain:?}"),
            )
        });
    }
    let near = near(plain, CUDA.iter().map(|known| known.name));
    Some(if is_capability(plain) {
        Finding::warning(
            "unknown-gpu-target",
            format!(
                "programs.llama-cpp.cudaCapabilities: no known GPU has capability \
                     {name:?}{near}"
            ),
            "look it up with `nvidia-smi --query-gpu=compute_cap --format=csv`",
        )
    } else {
        Finding::error(
            "gpu-target",
            format!("programs.llama-cpp.cudaCapabilities: invalid CUDA capability {name:?}{near}"),
            "write it with a dot, as in \"8.6\"",
        )
    })
}

fn rocm(name: &str) -> Option<Finding> {
    // `gfx90a:xnack+:sramecc-`
    let plain = name.split(':').next().unwrap_or(name);
    if all_gfx().any(|known| known == plain) {
        return None;
    }
    let hex = |rest: &str| {
        (3..=4).contains(&rest.len())
            && rest.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    };
    let well_formed =
        plain.strip_prefix("gfx").is_some_and(|rest| hex(rest) || rest.ends_with("-generic"));
    let near = near(plain, all_gfx());
    Some(if well_formed {
        Finding::warning(
            "unknown-gpu-target",
            format!("programs.llama-cpp.rocmTargets: no known GPU is {name:?}{near}"),
            "look it up with `rocminfo`",
        )
    } else {
        Finding::error(
            "gpu-target",
            format!("programs.llama-cpp.rocmTargets: invalid ROCm target {name:?}{near}"),
            "write it as `rocminfo` prints it, for example \"gfx906\"",
        )
    })
}

fn near(name: &str, known: impl Iterator<Item = &'static str>) -> String {
    nearest(name, known).map(|near| format!("; the nearest is {near:?}")).unwrap_or_default()
}

#[cfg(test)]
#[path = "gpu_targets_tests.rs"]
mod tests;
