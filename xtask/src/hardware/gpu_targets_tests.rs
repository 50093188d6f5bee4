//! Tests of which code runs on which GPU, and of what a toolkit compiles.

use super::*;
use crate::findings::finding::{Severity, Severity::Error, Severity::Warning};

fn severity(finding: Option<Finding>) -> Option<Severity> {
    finding.map(|finding| finding.severity)
}

#[test]
fn current_gpus_are_known() {
    for name in ["7.5", "8.6", "9.0a", "10.0f", "12.0"] {
        assert_eq!(cuda(name), None, "{name}");
    }
    for name in ["gfx906", "gfx90a:xnack+", "gfx1153", "gfx950", "gfx1201", "gfx11-generic"] {
        assert_eq!(rocm(name), None, "{name}");
    }
}

#[test]
fn a_possibly_newer_target_is_a_warning_and_an_invalid_one_an_error() {
    assert_eq!(severity(cuda("8.4")), Some(Warning));
    assert_eq!(severity(cuda("86")), Some(Error));
    assert_eq!(severity(cuda("8.6a")), Some(Error));
    assert_eq!(severity(cuda("9.0f")), Some(Error));
    assert_eq!(severity(cuda("")), Some(Error));
    assert_eq!(severity(cuda("8.66")), Some(Error));
    assert_eq!(severity(rocm("gfx907")), Some(Warning));
    assert_eq!(severity(rocm("gfx13-generic")), Some(Warning));
    assert_eq!(severity(rocm("906")), Some(Error));
    assert_eq!(severity(rocm("gfx90A")), Some(Error));
}

fn fit(vendor: Vendor, target: &str, gpu: &str) -> Option<Fit> {
    best(vendor, &[target.to_owned()], gpu).map(|(fit, _)| fit)
}

#[test]
fn cuda_code_runs_where_nvidias_guide_says() {
    use Fit::{Native, Recompiled};
    for (target, gpu, wanted) in [
        ("8.6", "8.6", Some(Native)),
        ("8.6", "8.9", Some(Native)),
        ("8.9", "8.6", None),
        ("8.0", "8.6", Some(Native)),
        ("7.5", "8.6", Some(Recompiled)),
        ("6.1", "12.0", Some(Recompiled)),
        // No machine code runs on both Jetson Orin and desktop cards.
        ("8.7", "8.7", Some(Native)),
        ("8.6", "8.7", Some(Recompiled)),
        ("8.7", "8.9", Some(Recompiled)),
        ("8.7", "8.6", None),
        ("9.0a", "9.0", Some(Native)),
        ("9.0a", "10.0", None),
        ("9.0", "10.0", Some(Recompiled)),
        ("10.0f", "10.0", Some(Native)),
        ("10.0f", "10.3", Some(Native)),
        ("10.3f", "10.0", None),
        ("10.0a", "10.3", None),
        ("10.0", "10.3", Some(Native)),
        ("10.0f", "11.0", None),
        ("10.0f", "12.0", None),
        ("11.0", "11.0", Some(Native)),
        ("10.0", "11.0", Some(Recompiled)),
        ("12.0a", "12.0", Some(Native)),
        ("12.0a", "12.1", None),
        ("12.0f", "12.1", Some(Native)),
        ("12.1f", "12.0", None),
        ("12.0", "12.1", Some(Native)),
        ("86", "8.6", None),
    ] {
        assert_eq!(fit(Vendor::Nvidia, target, gpu), wanted, "{target} on {gpu}");
    }
    let many = ["7.5", "8.0", "8.6", "9.0"].map(str::to_owned);
    assert_eq!(best(Vendor::Nvidia, &many, "8.9"), Some((Native, &many[2])));
    assert_eq!(best(Vendor::Nvidia, &many, "12.0"), Some((Recompiled, &many[3])));
}

#[test]
fn generic_rocm_targets_are_those_of_llvm() {
    for (target, gpu, runs) in [
        ("gfx9-generic", "gfx906", true),
        ("gfx9-generic", "gfx90c", true),
        ("gfx9-generic", "gfx90a", false),
        ("gfx9-generic", "gfx908", false),
        ("gfx9-generic", "gfx942", false),
        ("gfx9-4-generic", "gfx942", true),
        ("gfx9-4-generic", "gfx950", true),
        ("gfx10-1-generic", "gfx1030", false),
        ("gfx10-3-generic", "gfx1036", true),
        ("gfx11-generic", "gfx1151", true),
        ("gfx12-generic", "gfx1201", true),
        ("gfx12-generic", "gfx1250", false),
        ("gfx90a:xnack+", "gfx90a", true),
        ("gfx1030", "gfx1031", false),
    ] {
        assert_eq!(fit(Vendor::Amd, target, gpu).is_some(), runs, "{target} on {gpu}");
    }
}

/// The lists of `ptxas --help`, from 5.0 on.
#[test]
fn each_cuda_compiles_what_its_assembler_lists() {
    let old = "5.0 5.2 5.3 6.0 6.1 6.2 7.0 7.2";
    let all = "7.5 8.0 8.6 8.7 8.9 9.0";
    for (version, wanted) in [
        ((11, 8), format!("{old} {all}")),
        ((12, 4), format!("{old} {all}")),
        ((12, 8), format!("{old} {all} 10.0 10.1 12.0")),
        ((12, 9), format!("{old} {all} 10.0 10.1 10.3 12.0 12.1")),
        ((13, 0), "7.5 8.0 8.6 8.7 8.8 8.9 9.0 10.0 10.3 11.0 12.0 12.1".to_owned()),
        ((13, 5), "7.5 8.0 8.6 8.7 8.8 8.9 9.0 10.0 10.3 10.7 11.0 12.0 12.1".to_owned()),
    ] {
        let compiled = CUDA.iter().filter(|known| known.is_compiled_by(version));
        let compiled: Vec<&str> = compiled.map(|known| known.name).collect();
        assert_eq!(compiled.join(" "), wanted, "{version:?}");
    }
}

#[test]
fn a_capability_that_this_cuda_does_not_compile_is_an_error() {
    let with = |version: &str, capabilities: &[&str]| {
        let found = findings(&Manifest::with(&serde_json::json!({
            "backends": ["cuda"], "cudaVersion": version, "cudaCapabilities": capabilities,
        })));
        found.into_iter().map(|finding| (finding.code, finding.message)).next()
    };
    for (version, capability) in [
        ("13.0", "7.0"),
        ("13.4", "6.1"),
        ("12.8", "12.1"),
        ("12.8", "12.0f"),
        ("11.8", "10.0"),
        ("13.0", "10.1"),
        ("12.9", "11.0"),
    ] {
        let (code, message) = with(version, &["8.6", capability]).unwrap();
        assert_eq!(code, "cuda-version");
        assert!(message.contains(&format!("does not compile {capability} (")), "{message}");
    }
    let (_, message) = with("13.0", &["7.0"]).unwrap();
    assert!(message.ends_with("(its oldest is 7.5)"), "{message}");
    for (version, capability) in
        [("13.0", "7.5"), ("12.9", "5.0"), ("12.9", "12.0f"), ("13.0", "11.0"), ("12.8", "12.0a")]
    {
        assert_eq!(with(version, &[capability]), None, "{capability} with {version}");
    }
}

#[test]
fn a_target_without_rocm_libraries_is_a_warning() {
    let with = |target: &str| {
        findings(&Manifest::with(&serde_json::json!({
            "backends": ["rocm"], "rocmTargets": [target],
            "rocmLibraryTargets": ["gfx906", "gfx90a:xnack-", "gfx1151"],
        })))
    };
    for target in ["gfx906:sramecc+", "gfx90a", "gfx1151", "gfx11-generic"] {
        assert_eq!(with(target), [], "{target}");
    }
    let [finding] = &with("gfx1152")[..] else { panic!() };
    assert_eq!((finding.code, finding.severity), ("rocm-libraries", Warning));
}

#[test]
fn the_nearest_name_is_suggested() {
    let message = rocm("gfx1104").unwrap().message;
    assert!(message.contains("the nearest is \"gfx110"), "{message}");
}
