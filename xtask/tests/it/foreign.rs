//! Other people's flakes, with the module and with layouts of their own, on the testbed's
//! inputs: fixtures/foreign/. Each command reads them from another folder.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Scratch, code, json, nix_in_testbed, run, stderr, stdout};
use serde_json::Value;

/// A copy, as in a person's home: it has no lock file, and is not in our repository.
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

/// Runs it where there is no flake.
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

/// What is said of a host: state, and code and message of each finding.
fn of<'a>(report: &'a Value, host: &str) -> (&'a str, Vec<(&'a str, &'a str)>) {
    let hosts = report["hosts"].as_array().unwrap();
    let found = hosts.iter().find(|one| one["host"] == host);
    let found = found.unwrap_or_else(|| panic!("no {host} in {report:#}"));
    let text = |value: &'a Value| value.as_str().unwrap();
    let findings = found["findings"].as_array().unwrap().iter();
    (text(&found["state"]), findings.map(|f| (text(&f["code"]), text(&f["message"]))).collect())
}

/// What a host's package is put together from.
pub fn parts<'a>(report: &'a Value, host: &str) -> Vec<&'a str> {
    let hosts = report["hosts"].as_array().unwrap();
    let host = hosts.iter().find(|one| one["host"] == host).unwrap();
    host["parts"].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap()).collect()
}

fn path(scratch: &Scratch) -> &str {
    scratch.path().to_str().unwrap()
}

#[test]
fn a_flake_of_its_own_layout_is_read_by_every_command() {
    let flake = foreign("plain");
    let (code_of_check, report) = checked(&flake);
    assert_eq!(code_of_check, 0, "{report:#}");
    assert_eq!(of(&report, "box"), ("ok", vec![]));
    assert_eq!(of(&report, "server"), ("ok", vec![]));
    assert_eq!(of(&report, "router").0, "unsupported");
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

    // `box` needs Vulkan's headers, which only a set-up provides.
    let plan = from_elsewhere(&flake, &["build-all", "server", "--dry-run", "--json"]);
    assert_eq!(code(&plan), 0, "{}", stderr(&plan));
    // One CPU's module instead of fourteen, which compile for minutes.
    let server = fs::read_to_string(flake.path().join("machines/server.nix")).unwrap();
    let one = "programs.llama-cpp = { enable = true; microarch = \"haswell\"; };";
    let one = server.replace("programs.llama-cpp.enable = true;", one);
    assert_ne!(one, server);
    flake.write("machines/server.nix", &one);
    let built = from_elsewhere(&flake, &["build-all", "server", "--no-link", "--json"]);
    assert_eq!(code(&built), 0, "{}", stderr(&built));
    let package = json(&built)["variants"][0]["outPath"].as_str().unwrap().to_owned();
    assert!(Path::new(&package).join("libexec/llama-cpp/libggml-cpu.so").is_file(), "{package}");
    assert!(!flake.path().join("flake.lock").exists(), "asking wrote a lock file");
}

#[test]
fn modules_of_flake_parts_make_a_host() {
    let (code, report) = checked(&foreign("modules"));
    assert_eq!((code, of(&report, "box")), (0, ("ok", vec![])), "{report:#}");
    assert_eq!(report["hosts"][0]["variant"], "cpu-haswell");
}

#[test]
fn flake_parts_and_home_manager_share_the_hosts_variant() {
    let flake = foreign("parts");
    let (code, report) = checked(&flake);
    assert_eq!(code, 0, "{report:#}");
    // `board` is made of flake-parts' own packages, for another system.
    assert_eq!(of(&report, "board"), ("ok", vec![]));
    assert_eq!(of(&report, "laptop"), ("ok", vec![]));
    for host in ["board", "laptop"] {
        assert!(parts(&report, host).len() >= 3, "{report:#}");
    }

    // The user's package is the host's; home-manager by itself has the user's own.
    let eval = |attribute: &str, apply: &str| {
        let answer = nix_in_testbed(&flake, ["eval", "--json"])
            .arg(format!("{}#{attribute}", path(&flake)))
            .args(["--apply", apply])
            .output()
            .unwrap();
        assert!(answer.status.success(), "{}", stderr(&answer));
        json(&answer)
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
fn other_llama_cpps_are_told_by_option_and_by_what_differs() {
    let flake = foreign("overlays");
    let (code, report) = checked(&flake);
    assert_eq!(code, 1, "{report:#}");
    for host in ["before", "package-only"] {
        assert_eq!(of(&report, host), ("ok", vec![]), "{host}");
    }

    let said = |host: &str| -> &str {
        let (state, findings) = of(&report, host);
        assert_eq!((state, findings.len()), ("finding", 1), "{host}: {findings:?}");
        assert_eq!(findings[0].0, "another-package");
        findings[0].1
    };
    assert!(said("after").contains("pkgs.llama-cpp is another package"));
    let blas = said("after-blas");
    assert!(blas.contains("cpu-haswell with other settings (-DGGML_BLAS:BOOL=TRUE)"), "{blas}");
    let source = said("after-source");
    assert!(source.contains("with other settings (another source"), "{source}");
    let service = said("service");
    assert!(service.contains("(defined in service.nix)"), "{service}");
    // The variant is what it should be, and only `pkgs` lacks it.
    let (state, findings) = of(&report, "cleared");
    assert_eq!((state, findings[0].0), ("ok", "external-pkgs"), "{findings:?}");
}

#[test]
fn packages_from_outside_have_the_variant_where_nixos_lets_them() {
    let flake = foreign("pkgs");
    let (code, report) = checked(&flake);
    assert_eq!(code, 0, "{report:#}");
    for host in ["given", "given-with-ours"] {
        assert_eq!(of(&report, host), ("ok", vec![]), "{host}");
    }
    for host in ["argument", "argument-with-ours", "read-only", "read-only-with-ours"] {
        let (state, findings) = of(&report, host);
        assert_eq!((state, findings.len()), ("ok", 1), "{host}: {findings:?}");
        assert_eq!(findings[0].0, "external-pkgs", "{host}: {findings:?}");
    }
    // All six get one and the same build.
    assert_eq!(report["builds"], 1);
    let with_ours = of(&report, "argument-with-ours").1[0].1;
    assert!(with_ours.contains("pkgs.llama-cpp is cpu-dispatch, not cpu-haswell"), "{with_ours}");
}

#[test]
fn a_gpu_backend_without_its_driver_is_a_warning() {
    let flake = Scratch::new();
    let graphics = "hardware.graphics.enable = true;";
    let nvidia = "services.xserver.videoDrivers = [ \"nvidia\" ];";
    let hosts = [
        ("cuda-none", "cuda", String::new()),
        ("cuda-no-graphics", "cuda", nvidia.to_owned()),
        ("cuda-other-driver", "cuda", graphics.to_owned()),
        ("cuda-ok", "cuda", format!("{nvidia} {graphics}")),
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
    let said = |host: &str| -> Vec<&str> {
        let (state, findings) = of(&report, host);
        assert_eq!(state, "ok", "{host}");
        assert!(findings.iter().all(|(code, _)| *code == "no-driver"), "{host}: {findings:?}");
        findings.into_iter().map(|(_, message)| message).collect()
    };
    for host in ["cuda-ok", "vulkan-ok", "rocm", "cpu"] {
        assert_eq!(said(host), [""; 0], "{host}");
    }
    for (host, driver) in [
        ("cuda-none", "NVIDIA's driver"),
        ("cuda-other-driver", "NVIDIA's driver"),
        ("cuda-no-graphics", "/run/opengl-driver"),
        ("vulkan-none", "/run/opengl-driver"),
    ] {
        let said = said(host);
        assert!(said.len() == 1 && said[0].contains(driver), "{host}: {said:?}");
    }
}

#[test]
fn a_flake_is_found_in_a_subfolder_and_behind_a_space() {
    let flake = foreign_at("plain", "infra/my fleet");
    let git = |args: &[&str]| {
        let done = Command::new("git").args(args).current_dir(flake.path()).status();
        assert!(done.unwrap().success(), "{args:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
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
fn a_flake_without_hosts_says_so_to_every_command() {
    let flake = Scratch::new();
    flake.write("flake.nix", "{ outputs = _: { }; }");
    for command in [&["check"][..], &["list"], &["matrix"], &["build-all", "--dry-run"]] {
        let output = from_elsewhere(&flake, command);
        assert_eq!(code(&output), 2, "{command:?}");
        let said = stderr(&output);
        assert!(said.contains("has no hosts"), "{command:?}: {said}");
    }
}
