//! Flakes of other layouts that use the module, fixtures/foreign/, on the testbed's inputs. Each
//! command runs in another folder.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::world::git;
use crate::support::{Scratch, code, json, nix_in_testbed, run, stderr, stdout};
use serde_json::Value;

/// A copy of a fixture: without a lock file, and outside this repository.
fn foreign(name: &str) -> Scratch {
    foreign_at(name, "")
}

fn foreign_at(name: &str, folder: &str) -> Scratch {
    let scratch = Scratch::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/foreign").join(name);
    let to = scratch.path().join(folder);
    fs::create_dir_all(&to).unwrap();
    let copied = Command::new("cp").arg("-r").arg(from.join(".")).arg(&to).status();
    assert!(copied.unwrap().success());
    scratch
}

/// Runs xtask in a folder without a flake.
fn from_elsewhere(flake: &Scratch, args: &[&str]) -> Output {
    from_elsewhere_as(flake, path(flake), args)
}

fn from_elsewhere_as(flake: &Scratch, reference: &str, args: &[&str]) -> Output {
    let outside = flake.path().parent().unwrap();
    run(outside, &[args, &["--testbed", "--flake", reference]].concat())
}

fn checked(flake: &Scratch) -> (i32, Value) {
    let output = from_elsewhere(flake, &["check", "--json"]);
    assert!(!stdout(&output).is_empty(), "{}", stderr(&output));
    (code(&output), json(&output))
}

/// A host's state, and code and message of each of its findings.
fn result<'a>(report: &'a Value, host: &str) -> (&'a str, Vec<(&'a str, &'a str)>) {
    let hosts = report["hosts"].as_array().unwrap();
    let found = hosts.iter().find(|one| one["host"] == host);
    let found = found.unwrap_or_else(|| panic!("no {host} in {report:#}"));
    let text = |value: &'a Value| value.as_str().unwrap();
    let findings = found["findings"].as_array().unwrap().iter();
    (text(&found["state"]), findings.map(|f| (text(&f["code"]), text(&f["message"]))).collect())
}

/// The names of the parts of a host's package.
pub fn parts<'a>(report: &'a Value, host: &str) -> Vec<&'a str> {
    let hosts = report["hosts"].as_array().unwrap();
    let host = hosts.iter().find(|one| one["host"] == host).unwrap();
    host["parts"].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap()).collect()
}

fn path(scratch: &Scratch) -> &str {
    scratch.path().to_str().unwrap()
}

#[test]
fn every_command_reads_a_flake_with_another_layout() {
    let flake = foreign("plain");
    let (code_of_check, report) = checked(&flake);
    assert_eq!(code_of_check, 0, "{report:#}");
    assert_eq!(result(&report, "box"), ("ok", vec![]));
    assert_eq!(result(&report, "server"), ("ok", vec![]));
    assert_eq!(result(&report, "router").0, "unsupported");
    assert_eq!(report["builds"], 2);
    let module = ["ggml-cpu-znver4", "ggml-vulkan"];
    assert_eq!(parts(&report, "box"), [&["ggml", "llama-cpp-tools"], &module[..]].concat());
    assert_eq!(parts(&report, "server"), ["ggml", "llama-cpp-tools", "ggml-cpu-dispatch"]);

    let listed = from_elsewhere(&flake, &["list", "--json"]);
    assert_eq!(code(&listed), 0, "{}", stderr(&listed));
    let listed = json(&listed);
    let variants: Vec<&Value> =
        listed["hosts"].as_array().unwrap().iter().map(|host| &host["variant"]).collect();
    assert_eq!(variants, ["vulkan-znver4".into(), Value::Null, "cpu-dispatch".into()].each_ref());
    let shown = stdout(&from_elsewhere(&flake, &["list"]));
    assert!(shown.contains("does not use the module"), "{shown}");

    let matrix = from_elsewhere(&flake, &["matrix"]);
    assert_eq!(code(&matrix), 0, "{}", stderr(&matrix));
    assert_eq!(json(&matrix)["include"].as_array().unwrap().len(), 2);

    // `box` needs Vulkan's headers, which only `setup` provides.
    let plan = from_elsewhere(&flake, &["build-all", "server", "--dry-run", "--json"]);
    assert_eq!(code(&plan), 0, "{}", stderr(&plan));
    // One CPU module instead of fourteen, which take minutes to compile.
    let server = fs::read_to_string(flake.path().join("machines/server.nix")).unwrap();
    let haswell = "programs.llama-cpp = { enable = true; microarch = \"haswell\"; };";
    let haswell = server.replace("programs.llama-cpp.enable = true;", haswell);
    assert_ne!(haswell, server);
    flake.write("machines/server.nix", &haswell);
    let built = from_elsewhere(&flake, &["build-all", "server", "--no-link", "--json"]);
    assert_eq!(code(&built), 0, "{}", stderr(&built));
    let package = json(&built)["variants"][0]["outPath"].as_str().unwrap().to_owned();
    assert!(Path::new(&package).join("libexec/llama-cpp/libggml-cpu.so").is_file(), "{package}");
    assert!(!flake.path().join("flake.lock").exists(), "a lock file was written");
}

#[test]
fn a_host_made_of_flake_parts_modules_is_read() {
    let (code, report) = checked(&foreign("modules"));
    assert_eq!((code, result(&report, "box")), (0, ("ok", vec![])), "{report:#}");
    assert_eq!(report["hosts"][0]["variant"], "cpu-haswell");
}

#[test]
fn flake_parts_and_home_manager_use_the_hosts_variant() {
    let flake = foreign("parts");
    let (code, report) = checked(&flake);
    assert_eq!(code, 0, "{report:#}");
    // `board` uses flake-parts' packages of another system.
    assert_eq!(result(&report, "board"), ("ok", vec![]));
    assert_eq!(result(&report, "laptop"), ("ok", vec![]));
    for host in ["board", "laptop"] {
        assert!(parts(&report, host).len() >= 3, "{report:#}");
    }

    // As a NixOS module, home-manager installs the host's package; standalone, the user's variant.
    let eval = |attribute: &str, apply: &str| {
        let output = nix_in_testbed(&flake, ["eval", "--json"])
            .arg(format!("{}#{attribute}", path(&flake)))
            .args(["--apply", apply])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        json(&output)
    };
    let users = eval(
        "nixosConfigurations.laptop.config",
        "c: builtins.elem c.programs.llama-cpp.package.drvPath \
           (map (p: p.drvPath or null) c.home-manager.users.ada.home.packages)",
    );
    assert_eq!(users, true);
    let variant = eval(
        "homeConfigurations.ada.config",
        "c: map (p: p.llamaCpp.variant) (builtins.filter (p: p ? llamaCpp) c.home.packages)",
    );
    assert_eq!(variant, serde_json::json!(["cpu-haswell"]));
}

#[test]
fn package_overrides_are_reported_with_their_difference() {
    let flake = foreign("overlays");
    let (code, report) = checked(&flake);
    assert_eq!(code, 1, "{report:#}");
    for host in ["before", "package-only"] {
        assert_eq!(result(&report, host), ("ok", vec![]), "{host}");
    }

    let message = |host: &str| -> &str {
        let (state, findings) = result(&report, host);
        assert_eq!((state, findings.len()), ("finding", 1), "{host}: {findings:?}");
        assert_eq!(findings[0].0, "another-package");
        findings[0].1
    };
    assert!(message("after").contains("pkgs.llama-cpp is another package"));
    let blas = message("after-blas");
    assert!(blas.contains("cpu-haswell with other settings (-DGGML_BLAS:BOOL=TRUE)"), "{blas}");
    let source = message("after-source");
    assert!(source.contains("with other settings (another source"), "{source}");
    let service = message("service");
    assert!(service.contains("(defined in service.nix)"), "{service}");
    // The module's package is right; only `pkgs.llama-cpp` differs.
    let (state, findings) = result(&report, "cleared");
    assert_eq!((state, findings[0].0), ("ok", "external-pkgs"), "{findings:?}");
}

#[test]
fn external_pkgs_have_the_variant_unless_nixos_ignores_overlays() {
    let flake = foreign("pkgs");
    let (code, report) = checked(&flake);
    assert_eq!(code, 0, "{report:#}");
    for host in ["given", "given-with-ours"] {
        assert_eq!(result(&report, host), ("ok", vec![]), "{host}");
    }
    for host in ["argument", "argument-with-ours", "read-only", "read-only-with-ours"] {
        let (state, findings) = result(&report, host);
        assert_eq!((state, findings.len()), ("ok", 1), "{host}: {findings:?}");
        assert_eq!(findings[0].0, "external-pkgs", "{host}: {findings:?}");
    }
    // All six hosts have the same build.
    assert_eq!(report["builds"], 1);
    let with_ours = result(&report, "argument-with-ours").1[0].1;
    assert!(with_ours.contains("pkgs.llama-cpp is cpu-dispatch, not cpu-haswell"), "{with_ours}");
}

#[test]
fn a_gpu_backend_without_its_driver_is_a_warning() {
    let flake = Scratch::new();
    let graphics = "hardware.graphics.enable = true;";
    let nvidia = "services.xserver.videoDrivers = [ \"nvidia\" ];";
    let old_gpu = |version: &str| {
        format!(
            "programs.llama-cpp.cudaCapabilities = [ \"6.1\" ]; hardware.nvidia.package = {{ \
             type = \"derivation\"; name = \"nvidia-x11\"; version = {version:?}; }}; \
             nixpkgs.overlays = [ (_: prev: {{ cudaPackages = prev.cudaPackages_12; }}) ];"
        )
    };
    let hosts = [
        ("cuda-none", "cuda", String::new()),
        ("cuda-no-graphics", "cuda", nvidia.to_owned()),
        ("cuda-other-driver", "cuda", graphics.to_owned()),
        ("cuda-ok", "cuda", format!("{nvidia} {graphics}")),
        ("cuda-ignored", "cuda", format!("{nvidia} {graphics} {}", old_gpu("595.71.05"))),
        ("cuda-legacy", "cuda", format!("{nvidia} {graphics} {}", old_gpu("580.173.02"))),
        ("vulkan-none", "vulkan", String::new()),
        ("vulkan-ok", "vulkan", graphics.to_owned()),
        ("rocm", "rocm", String::new()),
        ("cpu", "cpu", String::new()),
    ];
    let hosts: Vec<String> = hosts
        .iter()
        .map(|(name, backend, driver)| {
            format!(
                "{name} = host {name:?} {{ programs.llama-cpp.backend = {backend:?}; {driver} }};"
            )
        })
        .collect();
    flake.write(
        "flake.nix",
        &format!(
            "{{
  inputs.nixpkgs.url = \"github:NixOS/nixpkgs/nixos-unstable\";
  inputs.llamafleet.url = \"github:OWNER/llamafleet?dir=lib\";
  inputs.llamafleet.inputs.nixpkgs.follows = \"nixpkgs\";
  outputs = {{ nixpkgs, llamafleet, ... }}:
    let host = name: settings: nixpkgs.lib.nixosSystem {{
      system = \"x86_64-linux\";
      modules = [ llamafleet.nixosModules.default settings {{
        networking.hostName = name; nixpkgs.config.allowUnfree = true;
        programs.llama-cpp.enable = true; }} ];
    }}; in {{ nixosConfigurations = {{ {} }}; }};
}}",
            hosts.join("\n")
        ),
    );
    let (code, report) = checked(&flake);
    assert_eq!(code, 0, "{report:#}");
    let messages = |host: &str| -> Vec<&str> {
        let (state, findings) = result(&report, host);
        assert_eq!(state, "ok", "{host}");
        assert!(findings.iter().all(|(code, _)| *code == "no-driver"), "{host}: {findings:?}");
        findings.into_iter().map(|(_, message)| message).collect()
    };
    for host in ["cuda-ok", "cuda-legacy", "vulkan-ok", "rocm", "cpu"] {
        assert_eq!(messages(host), [""; 0], "{host}");
    }
    for (host, driver) in [
        ("cuda-none", "NVIDIA's driver"),
        ("cuda-other-driver", "NVIDIA's driver"),
        ("cuda-no-graphics", "/run/opengl-driver"),
        ("cuda-ignored", "NVIDIA driver 595.71.05 ignores"),
        ("vulkan-none", "/run/opengl-driver"),
    ] {
        let messages = messages(host);
        assert!(messages.len() == 1 && messages[0].contains(driver), "{host}: {messages:?}");
    }
}

#[test]
fn a_flake_in_a_subfolder_with_a_space_is_found() {
    let flake = foreign_at("plain", "infra/my fleet");
    git(flake.path(), &["init", "--quiet"]);
    git(flake.path(), &["add", "--all"]);
    let folder = format!("{}/infra/my fleet", path(&flake));
    let encoded = folder.replace(' ', "%20");
    let url = format!("git+file://{}?dir=infra/my%20fleet", path(&flake));
    for reference in [&folder, &format!("path:{encoded}"), &url] {
        let output = from_elsewhere_as(&flake, reference, &["list", "--json"]);
        assert_eq!(code(&output), 0, "{reference}: {}", stderr(&output));
        assert_eq!(json(&output)["hosts"].as_array().unwrap().len(), 3, "{reference}");
    }
}

#[test]
fn a_flake_without_hosts_is_an_error_for_every_command() {
    let flake = Scratch::new();
    flake.write("flake.nix", "{ outputs = _: { }; }");
    for command in [&["check"][..], &["list"], &["matrix"], &["build-all", "--dry-run"]] {
        let output = from_elsewhere(&flake, command);
        assert_eq!(code(&output), 2, "{command:?}");
        let text = stderr(&output);
        assert!(text.contains("has no hosts"), "{command:?}: {text}");
    }
}

/// After `git init`, without `git add`.
#[test]
fn a_flake_that_git_does_not_track_is_explained() {
    let flake = foreign("plain");
    git(flake.path(), &["init", "--quiet"]);
    for args in [&["check"][..], &["check", "--testbed"]] {
        let output = run(flake.path(), args);
        assert_eq!(code(&output), 2, "{args:?}");
        let text = stderr(&output);
        assert!(text.contains("that Git tracks: `git add` the file"), "{args:?}: {text}");
    }
}

#[test]
fn a_host_without_special_args_is_explained() {
    let flake = foreign("plain");
    let module = "{ inputs, ... }: { imports = [ inputs.llamafleet.nixosModules.default ]; }";
    flake.write("machines/box.nix", module);
    let (code, report) = checked(&flake);
    let (state, findings) = result(&report, "box");
    assert_eq!((code, state, findings[0].0), (1, "eval-error", "module-argument"), "{report:#}");
}

#[test]
fn a_flake_reference_with_an_attribute_is_an_error() {
    let flake = foreign("plain");
    let reference = format!("{}#box", path(&flake));
    let output = run(flake.path(), &["check", "--flake", &reference]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("a flake without an attribute"), "{}", stderr(&output));
}
