//! Real builds of the GPU modules: the GPUs that they have code for, their libraries, and
//! llama.cpp's behaviour without a driver. The CUDA module takes an hour to build, so these tests
//! only use what is already in the store; docs/testing.md explains how to build it.

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
/// The folder of the driver's libraries on NixOS.
const DRIVER: &str = "/run/opengl-driver/lib";
const ROCM: &str = "/nix/var/llamafleet/rocm/usr/lib/x86_64-linux-gnu";

/// Returns a host's part of the report of `check`.
fn checked(host: &str) -> serde_json::Value {
    let output = run(repository(), &["check", host, "--testbed=new", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    json(&output)["hosts"][0].clone()
}

/// Returns the derivation of a part of a host's package.
fn derivation(host: &str, part: &str) -> String {
    let report = checked(host);
    let parts = report["parts"].as_array().unwrap();
    let part = parts.iter().find(|found| found["name"] == part).unwrap();
    part["drvPath"].as_str().unwrap().to_owned()
}

/// Returns an output of a derivation, or skips the test if it is not built.
fn built(derivation: &str, output: &str) -> Option<PathBuf> {
    let installable = format!("{derivation}^{output}");
    let found = nix(["path-info", &installable]).output().unwrap();
    if !found.status.success() {
        skip(&format!("{installable} is not built, which takes long: see docs/testing.md"));
        return None;
    }
    Some(PathBuf::from(stdout(&found).trim()))
}

/// Returns a file of a host's module, or skips the test if the module is not built.
fn module(host: &str, part: &str, file: &str) -> Option<PathBuf> {
    let file = built(&derivation(host, part), "out")?.join("lib/ggml").join(file);
    assert!(file.is_file(), "{}", file.display());
    Some(file)
}

/// Runs a program that must succeed, and returns its standard output.
fn stdout_of(program: impl AsRef<Path>, args: &[&str]) -> String {
    let output = Command::new(program.as_ref()).args(args).output().unwrap();
    assert!(output.status.success(), "{}: {}", program.as_ref().display(), stderr(&output));
    stdout(&output)
}

/// Returns the GPUs that cuobjdump lists, as in `ELF file 1: libggml-cuda.1.sm_75.cubin`.
fn cuda_targets(module: &Path, kind: &str) -> BTreeSet<String> {
    let listed =
        stdout_of(Path::new(CUDA).join("bin/cuobjdump"), &[kind, module.to_str().unwrap()]);
    let names = listed.lines().filter_map(|line| line.rsplit('.').nth(1));
    names.filter(|name| name.starts_with("sm_")).map(str::to_owned).collect()
}

#[test]
fn the_cuda_module_has_code_for_exactly_its_gpu() {
    for (host, part, target) in
        [("boron", "ggml-cuda-sm75", "sm_75"), ("nitrogen", "ggml-cuda-sm86", "sm_86")]
    {
        let Some(module) = module(host, part, "libggml-cuda.so") else { continue };
        // PTX too, which the drivers of later GPUs compile.
        for kind in ["--list-elf", "--list-ptx"] {
            assert_eq!(cuda_targets(&module, kind), BTreeSet::from([target.to_owned()]), "{kind}");
        }
    }
}

/// Returns the targets in the headers of clang's offload bundles. A header is a magic string and
/// the number of entries; an entry is its offset, its size, the length of its name, and the name.
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
fn the_rocm_module_has_code_for_exactly_its_gpu() {
    let Some(module) = module("nitrogen", "ggml-rocm-gfx906", "libggml-hip.so") else { return };
    let targets = bundle_targets(&fs::read(module).unwrap());
    let gpus: BTreeSet<&str> = targets
        .iter()
        .filter(|target| !target.starts_with("host-"))
        .map(|target| target.rsplit('-').next().unwrap())
        .collect();
    assert_eq!(gpus, BTreeSet::from(["gfx906"]), "{targets:?}");
}

/// Libraries of the C compiler and the C library, which need no run path.
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

/// Returns the libraries that a module needs and that are in no folder of its run path.
fn not_in_run_path(module: &Path) -> Vec<String> {
    let dynamic = stdout_of("readelf", &["--wide", "--dynamic", module.to_str().unwrap()]);
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
        // The system provides the driver: its folder is in the run path, but not on this machine.
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

/// Runs `llama-bench --list-devices` of the tools with this module only, and returns its standard
/// output and error. `launcher` is a command that runs it.
fn bench_with(module: &Path, launcher: &[&str], tools: &Path) -> (String, String) {
    let bench = tools.join("bin/llama-bench");
    let output = Command::new(launcher[0])
        .args(&launcher[1..])
        .arg(bench)
        .arg("--list-devices")
        .env("GGML_BACKEND_PATH", module)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    (stdout(&output), stderr(&output))
}

#[test]
fn without_a_driver_or_gpu_llama_cpp_uses_the_cpu() {
    if ["/dev/nvidiactl", "/dev/kfd"].iter().any(|device| Path::new(device).exists()) {
        return skip("this machine has a GPU");
    }
    // The tools alone have no module beside them.
    let tools = derivation("boron", "llama-cpp-tools");
    let Some(tools) = built(&tools, "tools") else { return };
    if let Some(module) = module("boron", "ggml-cuda-sm75", "libggml-cuda.so") {
        // Without the driver's library.
        let (devices, text) = bench_with(&module, &["env"], &tools);
        assert!(text.contains("failed to load") && !devices.contains("CUDA0"), "{text}{devices}");
        // With the driver's stub, whose functions fail.
        let stubs = Scratch::new();
        let driver = stub_driver(&stubs);
        let (devices, text) = bench_with(&module, &["env", &driver], &tools);
        assert!(text.contains("ggml_cuda_init: failed to initialize CUDA"), "{text}");
        assert!(!devices.contains("CUDA0"), "{devices}");
    }
    if let Some(module) = module("nitrogen", "ggml-rocm-gfx906", "libggml-hip.so") {
        // Its libraries may need a newer C library than this machine has.
        let loader = format!("{ROCM}/ld-linux-x86-64.so.2");
        let (devices, text) = bench_with(&module, &[&loader, "--library-path", ROCM], &tools);
        assert!(text.contains("ggml_cuda_init: failed to initialize ROCm"), "{text}");
        assert!(!devices.contains("ROCm0"), "{devices}");
    }
}

/// Returns a host's package if all its modules are built; joining them takes a second.
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
fn nitrogens_package_falls_back_from_its_gpu_modules_to_the_cpu() {
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
    // Without a driver only a CPU module is loaded; with a driver but no GPU the CUDA module is
    // loaded too.
    let stubs = Scratch::new();
    let driver = stub_driver(&stubs);
    for (setting, loads_cuda) in [("NO=DRIVER", false), (&driver, true)] {
        let bench = folder.join("llama-bench");
        let output = Command::new("env").arg(setting).arg(bench).arg("--list-devices").output();
        let output = output.unwrap();
        let (devices, text) = (stdout(&output), stderr(&output));
        assert!(output.status.success() && devices.contains("(none)"), "{devices}{text}");
        let loaded =
            |module: &str| text.contains(&format!("{}/libggml-{module}", folder.display()));
        assert!(loaded("cpu-") && loaded("cuda.so") == loads_cuda, "{text}");
    }
}

#[test]
fn bench_reports_a_missing_gpu() {
    if ["/dev/nvidiactl", "/dev/kfd", "/dev/dri"].iter().any(|device| Path::new(device).exists()) {
        return skip("this machine has a GPU");
    }
    for host in ["carbon", "nitrogen"] {
        if package(host).is_none() {
            continue;
        }
        let folder = Scratch::new();
        let folder = folder.path().to_str().unwrap();
        let bench =
            ["bench", host, "--local", "--testbed=new", "--wait", "--json", "--record", folder];
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

/// Links the driver's stub under the name that programs load, and returns the environment
/// variable, `LD_LIBRARY_PATH=…`, that makes them load it.
fn stub_driver(scratch: &Scratch) -> String {
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

/// A path that does not exist replaces that of the toolkit.
#[test]
fn a_build_without_its_toolkit_names_the_setup_command() {
    let testbed = repository().join("testbed/nixpkgs");
    for (package, toolkit, command) in [
        ("cudaPackages.libcublas", CUDA, "cargo xtask setup --cuda"),
        ("rocmPackages.rocblas", "/nix/var/llamafleet/rocm", "cargo xtask setup --rocm"),
    ] {
        let expression = format!(
            "let pkgs = import {testbed:?} {{ system = \"x86_64-linux\"; config.allowUnfree = true; }}; \
             in pkgs.{package}.overrideAttrs (prev: {{ installPhase = \
             builtins.replaceStrings [ \"{toolkit}\" ] [ \"/nonexistent\" ] prev.installPhase; }})"
        );
        let build = ["build", "--impure", "--no-link", "-L", "--expr", &expression];
        let output = nix(build).output().unwrap();
        let text = stderr(&output);
        assert!(!output.status.success() && text.contains(command), "{package}: {text}");
    }
}

/// Runs xtask in a mount namespace where the toolkits' folder is empty.
fn run_without_toolkits(fleet: &Scratch, args: &[&str]) -> Output {
    let script = "mount --bind \"$0\" /nix/var/llamafleet && exec \"$@\"";
    let empty = Scratch::new();
    let mut command = contained(Command::new("unshare"), fleet.path());
    command.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(empty.path()).arg(XTASK);
    command.args(args).output().unwrap()
}

#[test]
fn build_all_names_the_setup_command_of_each_missing_toolkit() {
    let host = |options: &str| {
        format!(
            "{{ nixpkgs.config.allowUnfree = true; system.stateVersion = \"25.05\"; \
             programs.llama-cpp = {{ enable = true; microarch = \"haswell\"; {options} }}; }}"
        )
    };
    // GPUs that no other test builds for.
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

    let args = ["build-all", "ada", "both", "--testbed", "--json"];
    let output = run_without_toolkits(&fleet, &args);
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
    // No build that would fail was started.
    assert!(!shown.contains("building"), "{shown}");
}
