//! The GPU modules that were really built: which GPUs they have code for, that they find their
//! libraries, and what llama.cpp does without a driver. Building CUDA's takes an hour, so these
//! tests look at what is in the store already; docs/testing.md says how to build it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{code, json, nix, repository, run, skip, stderr, stdout};

const CUDA: &str = "/nix/var/llamafleet/cuda-13.4";
const ROCM: &str = "/nix/var/llamafleet/rocm/usr/lib/x86_64-linux-gnu";

/// The derivation of a host's package, or of one of its parts.
fn derivation(host: &str, part: Option<&str>) -> String {
    let output = run(repository(), &["check", host, "--testbed=new", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let found = &json(&output)["hosts"][0];
    let Some(part) = part else { return found["drvPath"].as_str().unwrap().to_owned() };
    let parts = found["parts"].as_array().unwrap();
    let part = parts.iter().find(|found| found["name"] == part).unwrap();
    part["drvPath"].as_str().unwrap().to_owned()
}

/// What the derivation was built to; otherwise the test is skipped.
fn built(derivation: &str) -> Option<PathBuf> {
    let installable = format!("{derivation}^out");
    let output = nix(["path-info", &installable]).output().unwrap();
    if !output.status.success() {
        skip(&format!("{installable} is not built, which takes long: see docs/testing.md"));
        return None;
    }
    Some(PathBuf::from(stdout(&output).trim()))
}

fn module(host: &str, part: &str, file: &str) -> Option<PathBuf> {
    let file = built(&derivation(host, Some(part)))?.join("lib/ggml").join(file);
    assert!(file.is_file(), "{}", file.display());
    Some(file)
}

/// Runs the program well.
fn text(program: impl AsRef<Path>, args: &[&str]) -> String {
    let output = Command::new(program.as_ref()).args(args).output().unwrap();
    assert!(output.status.success(), "{}: {}", program.as_ref().display(), stderr(&output));
    stdout(&output)
}

/// The GPUs that cuobjdump lists, as in `ELF file 1: libggml-cuda.1.sm_75.cubin`.
fn cuda_targets(module: &Path, kind: &str) -> BTreeSet<String> {
    let listed = text(Path::new(CUDA).join("bin/cuobjdump"), &[kind, module.to_str().unwrap()]);
    let names = listed.lines().filter_map(|line| line.rsplit('.').nth(1));
    names.filter(|name| name.starts_with("sm_")).map(str::to_owned).collect()
}

#[test]
fn cudas_module_has_code_for_exactly_its_gpu() {
    for (host, part, target) in
        [("boron", "ggml-cuda-sm75", "sm_75"), ("nitrogen", "ggml-cuda-sm86", "sm_86")]
    {
        let Some(module) = module(host, part, "libggml-cuda.so") else { continue };
        // And as PTX, which the drivers of later GPUs compile.
        for kind in ["--list-elf", "--list-ptx"] {
            assert_eq!(cuda_targets(&module, kind), BTreeSet::from([target.to_owned()]), "{kind}");
        }
    }
}

/// The targets in the headers of clang's offload bundles: a magic, the number of entries, and
/// for each its offset, size, and the length of its name before the name.
fn bundle_targets(file: &[u8]) -> BTreeSet<String> {
    const MAGIC: &[u8] = b"__CLANG_OFFLOAD_BUNDLE__";
    let number = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
    let mut targets = BTreeSet::new();
    for start in memchr::memmem::find_iter(file, MAGIC) {
        let mut at = start + MAGIC.len();
        let entries = number(at);
        at += 8;
        for _ in 0..entries {
            let length = number(at + 16);
            at += 24;
            targets.insert(String::from_utf8_lossy(&file[at..at + length]).into_owned());
            at += length;
        }
    }
    targets
}

#[test]
fn rocms_module_has_code_for_exactly_its_gpu() {
    let Some(module) = module("nitrogen", "ggml-rocm-gfx906", "libggml-hip.so") else { return };
    let targets = bundle_targets(&fs::read(module).unwrap());
    let gpus: BTreeSet<&str> = targets
        .iter()
        .filter(|target| !target.starts_with("host-"))
        .map(|target| target.rsplit('-').next().unwrap())
        .collect();
    assert_eq!(gpus, BTreeSet::from(["gfx906"]), "{targets:?}");
}

/// The libraries that the listing of a loader does not find.
fn not_found(listing: &str) -> Vec<&str> {
    let missing = listing.lines().filter(|line| line.contains("not found"));
    missing.filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn gpu_modules_find_their_libraries_by_their_run_path() {
    if let Some(module) = module("boron", "ggml-cuda-sm75", "libggml-cuda.so") {
        let listing = text("ldd", &[module.to_str().unwrap()]);
        // The driver is the system's.
        assert_eq!(not_found(&listing), ["libcuda.so.1"], "{listing}");
        assert!(listing.contains("libcublas.so.13 => /nix/store/"), "{listing}");
        let dynamic = text("readelf", &["--dynamic", module.to_str().unwrap()]);
        let run_path = dynamic.lines().find(|line| line.contains("PATH")).unwrap();
        assert!(run_path.contains("/run/opengl-driver/lib"), "{run_path}");
    }
    if let Some(module) = module("carbon", "ggml-vulkan", "libggml-vulkan.so") {
        let listing = text("ldd", &[module.to_str().unwrap()]);
        assert!(not_found(&listing).is_empty(), "{listing}");
        assert!(listing.contains("libvulkan.so.1 => /nix/store/"), "{listing}");
    }
    if let Some(module) = module("nitrogen", "ggml-rocm-gfx906", "libggml-hip.so") {
        // Debian testing's libraries need its C library, and so its loader.
        let loader = Path::new(ROCM).join("ld-linux-x86-64.so.2");
        let listing = text(loader, &["--library-path", ROCM, "--list", module.to_str().unwrap()]);
        assert!(not_found(&listing).is_empty(), "{listing}");
        for library in ["libamdhip64.so.6", "libhipblas.so.2", "librocblas.so.4"] {
            assert!(listing.contains(&format!("{library} => /nix/store/")), "{listing}");
        }
    }
}
