//! The parts that variants share: which parts an upstream change rebuilds, and whether a package
//! made of them works.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Scratch, json, nix, repository, smoke_model, stderr, stdout, tree};

/// Returns the Nix expression of a package that is built from this tree.
fn package(tree: &Path, arguments: &str) -> String {
    package_at(tree, "0123456789abcdef0123456789abcdef01234567", 4321, arguments)
}

/// Returns the same for a commit and a build number.
fn package_at(tree: &Path, commit: &str, build: u32, arguments: &str) -> String {
    let testbed = repository().join("testbed/nixpkgs");
    let overlay = repository().join("overlays/llama-cpp");
    let short = &commit[..7];
    format!(
        "(import {testbed:?} {{ system = \"x86_64-linux\"; config.allowUnfree = true; overlays = [ \
         (import {overlay:?} {{ llama-cpp = {{ outPath = {tree:?}; rev = {commit:?}; \
         shortRev = {short:?}; revCount = {build}; }}; }}) ]; }}).mkLlamaCpp {{ {arguments} }}"
    )
}

/// `mkLlamaCpp` arguments with every backend.
const ALL_BACKENDS: &str = "backends = [ \"cuda\" \"rocm\" \"vulkan\" ]; microarch = \"znver4\"; \
                            cudaCapabilities = [ \"7.5\" ]; rocmTargets = [ \"gfx906\" ];";

/// Evaluates the derivation of each part of a package.
fn parts(package: &str) -> BTreeMap<String, String> {
    let expression = format!(
        "map ({{ name, drvPath, ... }}: {{ inherit name; value = drvPath; }}) \
         ({package}).llamaCpp.parts",
    );
    let output = nix(["eval", "--impure", "--json", "--expr", &expression]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let found = json(&output);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let parts = found.as_array().unwrap().iter();
    parts.map(|part| (text(&part["name"]), text(&part["value"]))).collect()
}

fn append(file: &PathBuf, text: &str) {
    let before = fs::read_to_string(file).unwrap();
    fs::write(file, before + text).unwrap();
}

#[test]
fn an_upstream_change_rebuilds_only_the_affected_parts() {
    const ALL: [&str; 6] = [
        "ggml",
        "ggml-cpu-znver4",
        "ggml-cuda-sm75",
        "ggml-rocm-gfx906",
        "ggml-vulkan",
        "llama-cpp-tools",
    ];
    for revision in ["old", "new"] {
        let tree = tree(revision);
        let mut before = parts(&package(tree.path(), ALL_BACKENDS));
        assert_eq!(before.keys().map(String::as_str).collect::<Vec<_>>(), ALL);
        for (file, expected) in [
            ("src/llama-context.cpp", &["llama-cpp-tools"][..]),
            ("README.md", &[]),
            ("docs/build.md", &[]),
            ("ci/run.sh", &[]),
            ("scripts/sync-ggml.sh", &[]),
            ("gguf-py/pyproject.toml", &[]),
            ("examples/simple/simple.cpp", &[]),
            ("tests/test-backend-ops.cpp", &[]),
            ("tools/server/tests/requirements.txt", &[]),
            ("common/arg.cpp", &["llama-cpp-tools"]),
            ("tools/server/CMakeLists.txt", &["llama-cpp-tools"]),
            ("ggml/src/ggml-vulkan/ggml-vulkan.cpp", &["ggml-vulkan"]),
            ("ggml/src/ggml-cuda/common.cuh", &["ggml-cuda-sm75", "ggml-rocm-gfx906"]),
            ("ggml/src/ggml-hip/CMakeLists.txt", &["ggml-rocm-gfx906"]),
            ("ggml/src/ggml-cpu/ops.cpp", &["ggml-cpu-znver4"]),
            ("ggml/src/ggml-metal/CMakeLists.txt", &[]),
            ("ggml/src/ggml-sycl/CMakeLists.txt", &[]),
            ("ggml/include/ggml.h", &ALL),
            ("ggml/src/ggml.c", &ALL),
        ] {
            let is_code = file.ends_with(".c") || file.contains(".cpp") || file.contains(".h");
            let comment = if is_code || file.ends_with(".cuh") { "//" } else { "#" };
            append(&tree.path().join(file), &format!("{comment} changed\n"));
            let after = parts(&package(tree.path(), ALL_BACKENDS));
            let moved: Vec<&str> =
                ALL.into_iter().filter(|part| before[*part] != after[*part]).collect();
            assert_eq!(moved, expected, "{revision}: {file}");
            before = after;
        }
    }
}

#[test]
fn a_revision_without_source_changes_compiles_nothing() {
    for revision in ["old", "new"] {
        let tree = tree(revision);
        let at = |commit: char, build| {
            let commit = commit.to_string().repeat(40);
            parts(&package_at(tree.path(), &commit, build, ALL_BACKENDS))
        };
        assert_eq!(at('a', 6999), at('b', 10_453), "{revision}");
    }
}

/// Builds the package and starts it from another folder, through a link and without environment
/// variables. The tools are compiled without a revision and must print this one.
#[test]
fn a_package_for_several_cpus_loads_the_best_module() {
    for (revision, commit, build) in [("old", "fedcba9", 6123), ("new", "0123456", 10_453)] {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap();
        let best = if cpuinfo.contains(" avx2 ") { "-x86-64-v3" } else { "-sandybridge" };
        loads(revision, commit, build, "[ \"sandybridge\" \"x86-64-v3\" ]", best);
        // A single module has the name that ggml loads without comparing scores.
        loads(revision, commit, build, "\"sandybridge\"", "");
    }
}

/// Builds a package for these CPUs and returns its store path.
fn built(tree: &Path, commit: &str, build: u32, microarch: &str) -> String {
    let rest = "89abcdef0123456789abcdef012345678";
    let arguments = format!("microarch = {microarch};");
    let expression = package_at(tree, &format!("{commit}{rest}"), build, &arguments);
    let built = nix(["build", "--impure", "--no-link", "--print-out-paths"])
        .args(["--option", "sandbox", "false", "--option", "substituters", ""])
        .args(["--expr", &expression])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", stderr(&built));
    stdout(&built).trim().to_owned()
}

/// A copy in another store has no build tools, and shared parts stay while one package needs them.
#[test]
fn packages_can_be_copied_and_garbage_collected() {
    let tree = tree("new");
    let [several, one] = ["[ \"sandybridge\" \"x86-64-v3\" ]", "\"sandybridge\""]
        .map(|microarch| built(tree.path(), "0123456", 10_453, microarch));
    let elsewhere = Scratch::new();
    let store = elsewhere.path().to_str().unwrap();
    let ask = |arguments: &[&str]| {
        let output = nix(arguments.iter().copied()).args(["--store", store]).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    };
    let copied = nix(["copy", "--no-check-sigs", "--to", store, &several, &one]).output().unwrap();
    assert!(copied.status.success(), "{}", stderr(&copied));
    // The testbed's compiler is in the closure because ggml's CMake files name ccache.
    let of_testbed = ["gcc-wrapper-0-host", "with-ccache.sh"];
    let names = |closure: &str| -> BTreeSet<String> {
        let names = closure.lines().map(|path| path.rsplit('/').next().unwrap()[33..].to_owned());
        names.filter(|name| !of_testbed.contains(&name.as_str())).collect()
    };
    let needs = ask(&["path-info", "--recursive", &one]);
    let parts = ["ggml-", "ggml-cpu-sandybridge-", "llama-cpp-", "llama-cpp-cpu-", "memory-bandw"];
    let unexpected: Vec<String> = names(&needs)
        .into_iter()
        .filter(|name| !parts.iter().any(|part| name.starts_with(part)))
        .collect();
    assert_eq!(unexpected, [""; 0], "{needs}");

    let root = elsewhere.path().join("nix/var/nix/gcroots/one");
    fs::create_dir_all(root.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&one, root).unwrap();
    ask(&["store", "gc"]);
    let left = ask(&["path-info", "--all"]);
    assert!(left.contains(&one) && !left.contains(&several), "{left}");
    assert_eq!(names(&left), names(&needs));
    ask(&["store", "verify", "--no-trust", "--all"]);
}

fn loads(revision: &str, commit: &str, build: u32, microarch: &str, module: &str) {
    let tree = tree(revision);
    let package = built(tree.path(), commit, build, microarch);
    let here = Scratch::new();
    let link = here.path().join("llama-bench");
    std::os::unix::fs::symlink(format!("{package}/bin/llama-bench"), &link).unwrap();
    let model = smoke_model();
    let short = ["-p", "1", "-n", "0", "-r", "1", "-t", "1", "-o", "json"];
    let run = Command::new(link)
        .args(short)
        .arg("-m")
        .arg(model)
        .env_clear()
        .current_dir(here.path())
        .output()
        .unwrap();
    let text = stderr(&run);
    let result = &json(&run)[0];
    assert_eq!((&result["build_commit"], &result["build_number"]), (&commit.into(), &build.into()));
    let module =
        format!("loaded CPU backend from {package}/libexec/llama-cpp/libggml-cpu{module}.so");
    assert!(text.contains(&module), "{text}");
}

/// Options that turn backends into modules, and the revision, which only the tools print.
const OF_PARTS: [&str; 5] = [
    "-DGGML_BACKEND_DL",
    "-DGGML_BACKEND_SHARED",
    "-DGGML_COMMIT",
    "-DGGML_USE_CPU",
    "-DGGML_VERSION",
];

/// Runs CMake with these flags and returns the compiler's options for each source file of ggml.
fn commands(source: &Path, flags: &[String]) -> BTreeMap<String, BTreeSet<String>> {
    let build = Scratch::new();
    let configured = Command::new("cmake")
        .args(["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"])
        .args(flags)
        .args(["-DGGML_CCACHE=OFF", "-DLLAMA_CURL=OFF", "-S"])
        .arg(source)
        .arg("-B")
        .arg(build.path())
        .env("SOURCE_DATE_EPOCH", "1")
        .output()
        .unwrap();
    assert!(configured.status.success(), "{}", stderr(&configured));
    let text = fs::read_to_string(build.path().join("compile_commands.json")).unwrap();
    let list: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut commands = BTreeMap::<String, BTreeSet<String>>::new();
    for entry in &list {
        let Some((_, file)) = entry["file"].as_str().unwrap().split_once("/ggml/src/") else {
            continue;
        };
        let words = entry["command"].as_str().unwrap().split_whitespace();
        let is_option = |word: &&str| {
            ["-D", "-m", "-f", "-O", "-std"].iter().any(|begin| word.starts_with(begin))
                && !word.ends_with("_EXPORTS")
                && !OF_PARTS.iter().any(|name| word.starts_with(name))
        };
        let options = words.filter(is_option).map(str::to_owned);
        commands.entry(file.to_owned()).or_default().extend(options);
    }
    commands
}

/// Built alone, ggml has other defaults than within llama.cpp: without LLAMAFILE, q8_0 prompts are
/// a third slower.
#[test]
fn parts_are_compiled_with_the_options_of_the_whole_package() {
    for revision in ["old", "new"] {
        let tree = tree(revision);
        let expression = format!(
            "let flags = package: map builtins.unsafeDiscardStringContext package.cmakeFlags; \
             parts = ({}).parts; in {{ whole = flags ({}); base = flags parts.ggml; \
             module = flags parts.ggml-cpu-haswell; }}",
            package(tree.path(), "microarch = \"haswell\";"),
            package(tree.path(), "microarch = \"haswell\"; modular = false;"),
        );
        let output = nix(["eval", "--impure", "--json", "--expr", &expression]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let flags: BTreeMap<String, Vec<String>> = serde_json::from_slice(&output.stdout).unwrap();
        let whole = commands(tree.path(), &flags["whole"]);
        // parts.nix does the same.
        tree.write("ggml/ggml.pc.in", "");
        let ggml = tree.path().join("ggml");
        let (base, module) = (commands(&ggml, &flags["base"]), commands(&ggml, &flags["module"]));
        assert!(whole.len() > 15, "{whole:?}");
        for (file, options) in &whole {
            let part = if file.starts_with("ggml-cpu/") { &module } else { &base };
            assert_eq!(part.get(file), Some(options), "{revision}: {file}");
        }
    }
}
