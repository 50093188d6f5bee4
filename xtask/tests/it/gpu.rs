//! The GPU modules that were really built: which GPUs they have code for, that they find their
//! libraries, and what llama.cpp does without a driver. Building CUDA's takes an hour, so these
//! tests look at what is in the store already; docs/testing.md says how to build it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{
    Scratch, XTASK, code, contained, copy_of_repository, json, nix, repository, run, skip, stderr,
    stdout,
};

pub const CUDA: &str = "/nix/var/llamafleet/cuda-13.4";
/// Where NixOS has the driver's libraries.
const DRIVER: &str = "/run/opengl-driver/lib";
const ROCM: &str = "/nix/var/llamafleet/rocm/usr/lib/x86_64-linux-gnu";

/// What `check` reports of a host.
fn checked(host: &str) -> serde_json::Value {
    let output = run(repository(), &["check", host, "--testbed=new", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    json(&output)["hosts"][0].clone()
}

/// The derivation of a part of a host's package.
fn derivation(host: &str, part: &str) -> String {
    let report = checked(host);
    let parts = report["parts"].as_array().unwrap();
    let part = parts.iter().find(|found| found["name"] == part).unwrap();
    part["drvPath"].as_str().unwrap().to_owned()
}

/// What the derivation was built to; otherwise the test is skipped.
fn built(derivation: &str, output: &str) -> Option<PathBuf> {
    let installable = format!("{derivation}^{output}");
    let found = nix(["path-info", &installable]).output().unwrap();
    if !found.status.success() {
        skip(&format!("{installable} is not built, which takes long: see docs/testing.md"));
        return None;
    }
    Some(PathBuf::from(stdout(&found).trim()))
}

fn module(host: &str, part: &str, file: &str) -> Option<PathBuf> {
    let file = built(&derivation(host, part), "out")?.join("lib/ggml").join(file);
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

/// Libraries that the compiler brings, wherever it runs.
const RUNTIME: [&str; 10] = [
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libgomp.so.1",
    "libm.so.6",
    "libmvec.so.1",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
];

/// The libraries that the module needs and no folder of its run path has.
fn not_in_run_path(module: &Path) -> Vec<String> {
    let dynamic = text("readelf", &["--wide", "--dynamic", module.to_str().unwrap()]);
    let values = |kind: &str| {
        let lines = dynamic.lines().filter(|line| line.contains(kind));
        lines.map(|line| line.split(['[', ']']).nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let run_path = values("(RUNPATH)");
    let folders: Vec<&str> = run_path[0].split(':').collect();
    assert!(folders.iter().all(|folder| folder.starts_with("/nix/store/") || *folder == DRIVER));
    let mut needed = values("(NEEDED)");
    needed.retain(|library| {
        !RUNTIME.contains(&library.as_str())
            && !folders.iter().any(|folder| Path::new(folder).join(library).exists())
    });
    needed
}

#[test]
fn gpu_modules_find_their_libraries_by_their_run_path() {
    let modules = [
        // The driver is the system's: its folder is in the run path, and not on this machine.
        ("boron", "ggml-cuda-sm75", "libggml-cuda.so", &["libcuda.so.1"][..]),
        ("nitrogen", "ggml-cuda-sm86", "libggml-cuda.so", &["libcuda.so.1"]),
        ("nitrogen", "ggml-rocm-gfx906", "libggml-hip.so", &[]),
        ("carbon", "ggml-vulkan", "libggml-vulkan.so", &[]),
    ];
    for (host, part, file, missing) in modules {
        let Some(module) = module(host, part, file) else { continue };
        assert_eq!(not_in_run_path(&module), missing, "{part}");
    }
}

/// llama-bench of the tools alone, with this module.
fn bench_with(module: &Path, starter: &[&str], tools: &Path) -> (String, String) {
    let bench = tools.join("bin/llama-bench");
    let words: Vec<&str> = starter.iter().copied().chain([bench.to_str().unwrap()]).collect();
    let output = Command::new(words[0])
        .args(&words[1..])
        .arg("--list-devices")
        .env("GGML_BACKEND_PATH", module)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    (stdout(&output), stderr(&output))
}

#[test]
fn a_gpu_module_that_finds_no_driver_or_no_gpu_leaves_the_cpu() {
    if ["/dev/nvidiactl", "/dev/kfd"].iter().any(|device| Path::new(device).exists()) {
        return skip("this machine has a GPU");
    }
    // Without a module beside them.
    let tools = derivation("boron", "llama-cpp-tools");
    let Some(tools) = built(&tools, "tools") else { return };
    if let Some(module) = module("boron", "ggml-cuda-sm75", "libggml-cuda.so") {
        // No library of the driver.
        let (devices, said) = bench_with(&module, &["env"], &tools);
        assert!(said.contains("failed to load") && !devices.contains("CUDA0"), "{said}{devices}");
        // A driver that says at once that it is none.
        let stubs = Scratch::new();
        let driver = built_stub(&stubs);
        let (devices, said) = bench_with(&module, &["env", &driver], &tools);
        assert!(said.contains("ggml_cuda_init: failed to initialize CUDA"), "{said}");
        assert!(!devices.contains("CUDA0"), "{devices}");
    }
    if let Some(module) = module("nitrogen", "ggml-rocm-gfx906", "libggml-hip.so") {
        // Its libraries need a newer C library than this machine's may be.
        let loader = format!("{ROCM}/ld-linux-x86-64.so.2");
        let (devices, said) = bench_with(&module, &[&loader, "--library-path", ROCM], &tools);
        assert!(said.contains("ggml_cuda_init: failed to initialize ROCm"), "{said}");
        assert!(!devices.contains("ROCm0"), "{devices}");
    }
}

/// A host's package, if all modules of it are built: joining them takes a second.
fn package(host: &str) -> Option<PathBuf> {
    let report = checked(host);
    for part in report["parts"].as_array().unwrap() {
        let derivation = part["drvPath"].as_str().unwrap();
        let output = if part["name"] == "llama-cpp-tools" { "tools" } else { "out" };
        built(derivation, output)?;
    }
    let output = run(repository(), &["build-all", host, "--testbed=new", "--no-link", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    Some(json(&output)["variants"][0]["outPath"].as_str().unwrap().into())
}

#[test]
fn nitrogens_package_has_modules_of_three_kinds_and_falls_back_to_its_cpus() {
    let Some(package) = package("nitrogen") else { return };
    let folder = package.join("libexec/llama-cpp");
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let modules: BTreeSet<String> = names
        .filter_map(|name| {
            let module = name.to_str()?.strip_prefix("libggml-")?.strip_suffix(".so")?;
            Some(module.to_owned())
        })
        .collect();
    let (cpus, gpus): (Vec<_>, Vec<_>) =
        modules.iter().map(String::as_str).partition(|module| module.starts_with("cpu-"));
    assert_eq!(gpus, ["cuda", "hip"]);
    assert!(cpus.len() > 10 && cpus.contains(&"cpu-haswell"), "{cpus:?}");
    for module in &modules {
        let file = folder.join(format!("libggml-{module}.so"));
        let expected = if *module == "cuda" { &["libcuda.so.1"][..] } else { &[] };
        assert_eq!(not_in_run_path(&file), expected, "{module}");
    }
    // Without a driver one of the CPU's modules is left; CUDA's is loaded beside it with one that
    // has no GPU.
    let stubs = Scratch::new();
    let driver = built_stub(&stubs);
    for (setting, loads_cuda) in [("NO=DRIVER", false), (&driver, true)] {
        let bench = folder.join("llama-bench");
        let output = Command::new("env").arg(setting).arg(bench).arg("--list-devices").output();
        let output = output.unwrap();
        let (devices, said) = (stdout(&output), stderr(&output));
        assert!(output.status.success() && devices.contains("(none)"), "{devices}{said}");
        let loaded =
            |module: &str| said.contains(&format!("{}/libggml-{module}", folder.display()));
        assert!(loaded("cpu-") && loaded("cuda.so") == loads_cuda, "{said}");
    }
}

#[test]
fn bench_reports_each_host_whose_gpu_is_not_there() {
    if ["/dev/nvidiactl", "/dev/kfd", "/dev/dri"].iter().any(|device| Path::new(device).exists()) {
        return skip("this machine has a GPU");
    }
    for host in ["carbon", "nitrogen"] {
        if package(host).is_none() {
            continue;
        }
        let records = Scratch::new();
        let records = records.path().to_str().unwrap();
        let bench =
            ["bench", host, "--local", "--testbed=new", "--wait", "--json", "--record", records];
        let codes = |more: &[&str]| {
            let report = json(&run(repository(), &[&bench[..], more].concat()));
            assert_eq!(report["ok"], false, "{report}");
            report["findings"].to_string()
        };
        assert!(codes(&[]).contains("no-such-gpu"));
        let short = ["--rounds=1", "--repetitions=1", "--prompt=16", "--generate=1"];
        let forced = [&["--force"], &short[..], &["--", "-t", "1"]].concat();
        assert!(codes(&forced).contains("device-fallback"));
    }
}

/// The driver's stub under the name that programs load, as a setting of the environment.
fn built_stub(scratch: &Scratch) -> String {
    let testbed = repository().join("testbed/nixpkgs");
    let expression = format!(
        "(import {testbed:?} {{ system = \"x86_64-linux\"; config.allowUnfree = true; }})\
         .cudaPackages.cuda_cudart"
    );
    let build = ["build", "--impure", "--no-link", "--print-out-paths", "--expr", &expression];
    let output = nix(build).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let stub = Path::new(stdout(&output).trim()).join("lib/stubs/libcuda.so");
    symlink(stub, scratch.path().join("libcuda.so.1")).unwrap();
    format!("LD_LIBRARY_PATH={}", scratch.path().display())
}

/// As on a machine without the toolkit: its place is another one.
#[test]
fn without_its_toolkit_a_build_names_the_setup_command() {
    let testbed = repository().join("testbed/nixpkgs");
    for (package, place, command) in [
        ("cudaPackages.libcublas", CUDA, "cargo xtask setup --cuda"),
        ("rocmPackages.rocblas", "/nix/var/llamafleet/rocm", "cargo xtask setup --rocm"),
    ] {
        let expression = format!(
            "let pkgs = import {testbed:?} {{ system = \"x86_64-linux\"; config.allowUnfree = true; }}; \
             in pkgs.{package}.overrideAttrs (prev: {{ installPhase = \
             builtins.replaceStrings [ \"{place}\" ] [ \"/nonexistent\" ] prev.installPhase; }})"
        );
        let build = ["build", "--impure", "--no-link", "-L", "--expr", &expression];
        let output = nix(build).output().unwrap();
        let said = stderr(&output);
        assert!(!output.status.success() && said.contains(command), "{package}: {said}");
    }
}

/// Runs xtask where the toolkits' place is an empty folder, in a mount namespace.
fn run_without_toolkits(fleet: &Scratch, args: &[&str]) -> Output {
    let script = "mount --bind \"$0\" /nix/var/llamafleet && exec \"$@\"";
    let empty = Scratch::new();
    let mut command = contained(Command::new("unshare"), fleet.path());
    command.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(empty.path()).arg(XTASK);
    command.args(args).output().unwrap()
}

#[test]
fn build_all_names_the_setup_commands_that_its_variants_need_and_builds_the_others() {
    let host = |options: &str| {
        format!(
            "{{ nixpkgs.config.allowUnfree = true; system.stateVersion = \"25.05\"; \
             programs.llama-cpp = {{ enable = true; microarch = \"haswell\"; {options} }}; }}"
        )
    };
    // For GPUs that no other test builds for.
    let ada = host("backend = \"cuda\"; cudaCapabilities = [ \"8.9\" ];");
    let both = host(
        "backend = [ \"cuda\" \"rocm\" ]; cudaCapabilities = [ \"8.9\" ]; rocmTargets = [ \"gfx1151\" ];",
    );
    let fleet = copy_of_repository(&[
        ("ada", &ada),
        ("both", &both),
        ("plain", &host("backend = \"cpu\";")),
    ]);
    let plan = run_without_toolkits(&fleet, &["build-all", "--testbed", "--dry-run", "--json"]);
    if stderr(&plan).contains("unshare: ") {
        return skip("no mount namespaces here");
    }
    assert_eq!(code(&plan), 1, "{}", stderr(&plan));
    let plan = json(&plan);
    let plans: Vec<_> =
        plan["variants"].as_array().unwrap().iter().map(|row| row["plan"].clone()).collect();
    assert_eq!(plans[..2], ["needs-setup", "needs-setup"], "{plan}");
    assert!(["build", "present"].contains(&plans[2].as_str().unwrap()), "{plan}");

    let words = ["build-all", "ada", "both", "--testbed", "--json"];
    let output = run_without_toolkits(&fleet, &words);
    let (report, shown) = (json(&output), stderr(&output));
    assert_eq!(code(&output), 1, "{shown}");
    for variant in report["variants"].as_array().unwrap() {
        assert_eq!(variant["state"], "needs-setup", "{report}");
    }
    for (command, hosts) in [("--cuda", "(ada), cuda"), ("--rocm", "(both) needs ROCm")] {
        let command = format!("cargo xtask setup {command}");
        let findings = report["findings"].as_array().unwrap();
        let found: Vec<_> = findings
            .iter()
            .filter(|finding| finding["help"].as_str().unwrap().contains(&command))
            .collect();
        assert_eq!(found.len(), 1, "{report}");
        assert_eq!(found[0]["code"], "needs-setup");
        assert!(found[0]["message"].as_str().unwrap().contains(hosts), "{report}");
        assert_eq!(shown.matches(&command).count(), 1, "{shown}");
    }
    // Nothing was begun that would fail.
    assert!(!shown.contains("building"), "{shown}");
}
