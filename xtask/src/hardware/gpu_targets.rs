//! The GPU targets that exist: CUDA compute capabilities and AMD's gfx names. One that
//! is not here may be newer than this list, so it is a warning.
//!
//! Pure: no I/O, no clock.

use crate::findings::finding::Finding;
use crate::fleet::manifest::Manifest;
use crate::ui::nearest::nearest;

/// NVIDIA, "CUDA GPU compute capability"; 5.0 to 12.1, as of CUDA 13.
const CUDA: &[&str] = &[
    "5.0", "5.2", "5.3", "6.0", "6.1", "6.2", "7.0", "7.2", "7.5", "8.0", "8.6", "8.7", "8.8",
    "8.9", "9.0", "10.0", "10.1", "10.3", "11.0", "12.0", "12.1",
];

/// LLVM, "User Guide for AMDGPU Backend": GFX8 and later, and the generic targets.
const GFX: &[&str] = &[
    "gfx801",
    "gfx802",
    "gfx803",
    "gfx805",
    "gfx810",
    "gfx900",
    "gfx902",
    "gfx904",
    "gfx906",
    "gfx908",
    "gfx909",
    "gfx90a",
    "gfx90c",
    "gfx940",
    "gfx941",
    "gfx942",
    "gfx950",
    "gfx1010",
    "gfx1011",
    "gfx1012",
    "gfx1013",
    "gfx1030",
    "gfx1031",
    "gfx1032",
    "gfx1033",
    "gfx1034",
    "gfx1035",
    "gfx1036",
    "gfx1100",
    "gfx1101",
    "gfx1102",
    "gfx1103",
    "gfx1150",
    "gfx1151",
    "gfx1152",
    "gfx1153",
    "gfx1200",
    "gfx1201",
    "gfx1250",
    "gfx1251",
    "gfx9-generic",
    "gfx9-4-generic",
    "gfx10-1-generic",
    "gfx10-3-generic",
    "gfx11-generic",
    "gfx12-generic",
];

pub fn judge(manifest: &Manifest) -> Vec<Finding> {
    let has = |backend: &str| manifest.backends.iter().any(|name| name == backend);
    let mut findings = vec![];
    if has("cuda") {
        findings.extend(manifest.cuda_capabilities.iter().filter_map(|name| cuda(name)));
    }
    if has("rocm") {
        findings.extend(manifest.rocm_targets.iter().filter_map(|name| rocm(name)));
    }
    findings
}

fn cuda(name: &str) -> Option<Finding> {
    let well_formed = |text: &str| {
        text.split_once('.').is_some_and(|(major, minor)| {
            let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
            !major.is_empty() && digits(major) && minor.len() == 1 && digits(minor)
        })
    };
    // `a`: with what only this architecture has; `f`: its family.
    let plain = name.strip_suffix(['a', 'f']).unwrap_or(name);
    if CUDA.contains(&plain) {
        return None;
    }
    let near = near(plain, CUDA);
    Some(if well_formed(plain) {
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
    if GFX.contains(&plain) {
        return None;
    }
    let hex = |rest: &str| {
        (3..=4).contains(&rest.len())
            && rest.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    };
    let well_formed =
        plain.strip_prefix("gfx").is_some_and(|rest| hex(rest) || rest.ends_with("-generic"));
    let near = near(plain, GFX);
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

fn near(name: &str, known: &[&'static str]) -> String {
    nearest(name, known.iter().copied())
        .map(|near| format!("; the nearest is {near:?}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::finding::{Severity, Severity::Error, Severity::Warning};

    fn severity(finding: Option<Finding>) -> Option<Severity> {
        finding.map(|finding| finding.severity)
    }

    #[test]
    fn what_is_sold_is_known() {
        for name in ["7.5", "8.6", "9.0a", "10.0f", "12.0"] {
            assert_eq!(cuda(name), None, "{name}");
        }
        for name in ["gfx906", "gfx90a:xnack+", "gfx1151", "gfx11-generic"] {
            assert_eq!(rocm(name), None, "{name}");
        }
    }

    #[test]
    fn what_may_be_newer_is_a_warning_and_what_cannot_be_an_error() {
        assert_eq!(severity(cuda("8.4")), Some(Warning));
        assert_eq!(severity(cuda("86")), Some(Error));
        assert_eq!(severity(cuda("")), Some(Error));
        assert_eq!(severity(cuda("8.66")), Some(Error));
        assert_eq!(severity(rocm("gfx907")), Some(Warning));
        assert_eq!(severity(rocm("gfx13-generic")), Some(Warning));
        assert_eq!(severity(rocm("906")), Some(Error));
        assert_eq!(severity(rocm("gfx90A")), Some(Error));
    }

    #[test]
    fn the_nearest_is_offered() {
        let said = rocm("gfx1104").unwrap().message;
        assert!(said.contains("the nearest is \"gfx110"), "{said}");
    }
}
