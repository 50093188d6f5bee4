//! What `check` validates beyond evaluation: flags, targets, the lock file, Git.

use std::fs;
use std::time::Duration;

use crate::support::builders::{signal, spawn};
use crate::support::world::git;
use crate::support::{Scratch, code, copy_of_repository, fleet, json, run, stderr, stdout, xtask};
use serde_json::Value;

/// Returns the subject (`fleet`, a host or a package), code and message of every finding.
fn findings(report: &Value) -> Vec<(String, String, String)> {
    let of = |place: &str, list: &Value| -> Vec<_> {
        let list = list.as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        list.map(|f| (place.to_owned(), text(&f["code"]), text(&f["message"]))).collect()
    };
    let mut all = of("fleet", &report["findings"]);
    for host in report["hosts"].as_array().unwrap() {
        all.extend(of(host["host"].as_str().unwrap(), &host["findings"]));
    }
    for package in report["packages"].as_array().unwrap() {
        all.extend(of(package["package"].as_str().unwrap(), &package["findings"]));
    }
    all
}

fn checked(dir: &Scratch, args: &[&str]) -> (i32, Value) {
    let output = run(dir.path(), &[&["check", "--json"], args].concat());
    assert!(!stdout(&output).is_empty(), "{}", stderr(&output));
    (code(&output), json(&output))
}

#[test]
fn wrong_flags_and_targets_are_findings_of_their_host() {
    let fleet = fleet(
        r#"
        a-good = host { };
        b-flag = host { flags = [ "-DGGML_AVX512=ON" ]; };
        c-asked = host { flags = [ "-DGGML_X=1" ]; manifest.extraCmakeFlags = [ "-DGGML_X=1" ]; };
        d-dispatch = host { microarch = "dispatch"; flags = [ "-DGGML_AVX2=ON" ]; };
        e-unknown = host { microarch = "tigerlak"; };
        f-gpu = host { backends = [ "cuda" "rocm" ];
          manifest = { cudaCapabilities = [ "8.6" "8.4" ]; rocmTargets = [ "906" ]; }; };
        g-cache = host { manifest = { kvKernels = [ "f16-f16" ];
          service.kvCacheTypes = [ "q8_0-q4_0" ]; }; };
        "#,
    );
    let (code, report) = checked(&fleet, &[]);
    assert_eq!(code, 1);
    let found = findings(&report);
    let codes: Vec<_> =
        found.iter().map(|(host, code, _)| (host.as_str(), code.as_str())).collect();
    let expected = [
        ("b-flag", "repeated-flag"),
        ("b-flag", "cpu-options"),
        ("d-dispatch", "cpu-options"),
        ("e-unknown", "unknown-microarch"),
        ("f-gpu", "unknown-gpu-target"),
        ("f-gpu", "gpu-target"),
        ("g-cache", "kv-cache-types"),
    ];
    assert_eq!(codes, expected);
    assert!(found[1].2.contains("-DGGML_AVX512 is ON, but must be OFF"), "{}", found[1].2);
    assert!(found[4].2.contains("\"8.4\"; the nearest is"), "{}", found[4].2);
}

#[test]
fn pkgs_and_service_packages_must_be_the_hosts_variant() {
    let fleet = fleet(
        r#"
        a-good = host { } // { pkgs.llama-cpp.llamaCpp.variant = "cpu-test"; };
        b-nixpkgs = host { } // { pkgs.llama-cpp = { name = "llama-cpp"; }; };
        c-service = let h = host { }; in h // { config = h.config // {
          services.llama-cpp = { enable = true; package.llamaCpp.variant = "cpu-other"; }; }; };
        "#,
    );
    let (code, report) = checked(&fleet, &[]);
    assert_eq!(code, 1);
    let found = findings(&report);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].2.contains("pkgs.llama-cpp is another package"), "{found:?}");
    assert!(found[1].2.contains("services.llama-cpp.package is cpu-other"), "{found:?}");
}

#[test]
fn packages_refused_by_nixpkgs_are_reported_without_its_long_error() {
    let fleet = fleet(
        r#"
        a-broken = let h = host { }; in h // { config.programs.llama-cpp = h.config.programs.llama-cpp // {
          package = { meta = { available = false; broken = true; }; drvPath = throw "wall of text"; }; }; };
        b-allowed = let h = host { }; in h // { config.programs.llama-cpp = h.config.programs.llama-cpp // {
          package = h.config.programs.llama-cpp.package // { meta = { available = true; broken = true; }; }; }; };
        "#,
    );
    let (code, report) = checked(&fleet, &[]);
    assert_eq!(code, 1);
    let found = findings(&report);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("a-broken", "broken"));
    assert!(found[0].2.contains("programs.llama-cpp.backend"), "{found:?}");
}

#[test]
fn equal_variants_with_different_builds_name_the_setting() {
    let fleet = fleet(
        r#"
        a = let h = host { script = "echo a > $out"; }; in h // { config = h.config // { nixpkgs.config.cudaSupport = true; }; };
        b = host { script = "echo b > $out"; };
        c = host { variant = "other"; };
        "#,
    );
    let (code, report) = checked(&fleet, &[]);
    // The additional build is no error.
    assert_eq!((code, &report["builds"]), (0, &Value::from(3)));
    let found = findings(&report);
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("fleet", "unequal-builds"));
    assert!(found[0].2.contains("config.cudaSupport is true on a and not set on b"), "{found:?}");
}

#[test]
fn full_check_evaluates_whole_systems_and_lists_assertions() {
    let fleet = fleet(
        r#"
        a-good = let h = host { }; in h // { config = h.config // { assertions = [ ];
          warnings = [ "old option" ]; system.build.toplevel.drvPath = "/nix/store/x.drv"; }; };
        b-assert = let h = host { }; in h // { config = h.config // { assertions = [
          { assertion = false; message = "one is wrong"; } { assertion = false; message = "two too"; }
          { assertion = true; message = "three is well"; } ]; }; };
        c-throw = let h = host { }; in h // { config = h.config // {
          system.build.toplevel = throw "no file systems"; }; };
        "#,
    );
    assert_eq!(checked(&fleet, &[]).0, 0);
    let (code, report) = checked(&fleet, &["--full"]);
    assert_eq!(code, 1);
    let found = findings(&report);
    let codes: Vec<_> =
        found.iter().map(|(_, code, text)| (code.as_str(), text.as_str())).collect();
    assert_eq!(
        codes,
        [
            ("nixos-warning", "old option"),
            ("assertion", "one is wrong"),
            ("assertion", "two too"),
            ("eval-error", "no file systems"),
        ]
    );
    let states: Vec<_> = report["hosts"].as_array().unwrap().iter().map(|h| &h["state"]).collect();
    assert_eq!(states, ["ok", "eval-error", "eval-error"]);
    assert_eq!(report["hosts"][0]["toplevel"], "/nix/store/x.drv");
}

#[test]
fn all_systems_evaluates_every_package_despite_errors() {
    let fleet = fleet("a = host { };");
    let text = fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    let packages = r#"packages.x86_64-linux = {
      llama-cpp-cpu = package { name = "cpu"; };
      llama-cpp-cuda = throw "no CUDA here";
      other = throw "not asked for"; };
    packages.aarch64-linux.llama-cpp-cpu = package { name = "cpu"; system = "aarch64-linux"; };
    nixosConfigurations = {"#;
    fleet.write("flake.nix", &text.replace("nixosConfigurations = {", packages));
    let (code, report) = checked(&fleet, &["--all-systems"]);
    assert_eq!(code, 1);
    assert_eq!(report["hosts"].as_array().unwrap().len(), 1);
    let row = |package: &Value| {
        let text = |key: &str| package[key].as_str().unwrap().to_owned();
        (text("system"), text("package"), text("state"))
    };
    let rows: Vec<_> = report["packages"].as_array().unwrap().iter().map(row).collect();
    let expected = [
        ("aarch64-linux", "llama-cpp-cpu", "ok"),
        ("x86_64-linux", "llama-cpp-cpu", "ok"),
        ("x86_64-linux", "llama-cpp-cuda", "eval-error"),
    ];
    let expected: Vec<_> =
        expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())).into();
    assert_eq!(rows, expected);
    assert!(findings(&report)[0].2.contains("no CUDA here"));
}

/// Edits the repository's real flake.lock, on the testbed.
#[test]
fn a_lock_file_that_disagrees_with_the_flake_is_an_error_and_unchanged() {
    let llama = "{ programs.llama-cpp.enable = true; system.stateVersion = \"25.05\"; }\n";
    let fleet = copy_of_repository(&[("carbon", llama)]);
    let (code, report) = checked(&fleet, &["--testbed"]);
    assert_eq!((code, findings(&report)), (0, vec![]));

    let flake = fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    let lock = fs::read_to_string(fleet.path().join("flake.lock")).unwrap();
    let mut spoilt: Value = serde_json::from_str(&lock).unwrap();
    spoilt["nodes"]["llama-cpp"]["inputs"]["nixpkgs"] = "nixpkgs-stable".into();
    fleet.write("flake.lock", &spoilt.to_string());
    fleet.write("nixos/draft.nix", "{ }");
    let (code, report) = checked(&fleet, &["--testbed"]);
    assert_eq!(code, 1);
    let found = findings(&report);
    let codes: Vec<_> = found.iter().map(|(_, code, _)| code.as_str()).collect();
    assert_eq!(codes, ["second-nixpkgs", "lock-disagrees", "untracked-file"]);
    assert_eq!(report["hosts"][0]["state"], "ok");
    let line = 1 + flake.lines().position(|line| line.contains("llama-cpp = {")).unwrap();
    assert_eq!(report["findings"][0]["line"], line);
    let after = fs::read_to_string(fleet.path().join("flake.lock")).unwrap();
    assert_eq!(after, spoilt.to_string(), "check changes nothing");

    // The lock file has another URL, which cannot be fetched: `check` names the disagreement.
    spoilt["nodes"]["llama-cpp"]["original"]["owner"] = "somebody".into();
    fleet.write("flake.lock", &spoilt.to_string());
    let message = stderr(&run(fleet.path(), &["check", "--testbed"]));
    assert!(message.contains("llama-cpp is github:ggml-org/llama.cpp"), "{message}");
}

#[test]
fn an_input_named_only_by_outputs_is_an_input() {
    let fleet = fleet("a = host { };");
    let text = fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    fleet.write("flake.nix", &text.replace("outputs = _:", "outputs = { self, sub }:"));
    fleet.write("sub/flake.nix", "{ outputs = _: { }; }");
    let lock = |name: &str| {
        serde_json::json!({ "version": 7, "root": "root", "nodes": {
            "root": { "inputs": { name: "sub" } },
            "sub": { "locked": { "type": "path", "path": "./sub" }, "parent": [],
                     "original": { "type": "indirect", "id": "sub" } } } })
        .to_string()
    };
    // Neither can be fetched here, but only the second lock file is reported.
    fleet.write("flake.lock", &lock("sub"));
    let message = stderr(&run(fleet.path(), &["check"]));
    assert!(!message.contains("lock-"), "{message}");
    fleet.write("flake.lock", &lock("other"));
    let message = stderr(&run(fleet.path(), &["check"]));
    assert!(message.contains("does not lock the input sub"), "{message}");
    assert!(message.contains("locks other, which is not an input"), "{message}");
}

#[test]
fn a_package_of_another_revision_is_an_error() {
    let llama = "{ programs.llama-cpp.enable = true; system.stateVersion = \"25.05\"; }\n";
    let fleet = copy_of_repository(&[("carbon", llama)]);
    let variant = fleet.path().join("overlays/llama-cpp/variant.nix");
    let text = fs::read_to_string(&variant).unwrap();
    let (rev, other) = ("0123456789".repeat(4), "inherit (buildInfo) build release; rev =");
    let text =
        text.replace("inherit (buildInfo) rev build release;", &format!("{other} \"{rev}\";"));
    assert!(text.contains(&rev));
    fleet.write("overlays/llama-cpp/variant.nix", &text);
    let (code, report) = checked(&fleet, &["--testbed"]);
    let found = findings(&report);
    assert_eq!((code, found[0].1.as_str()), (1, "wrong-revision"), "{found:?}");
    assert!(found[0].2.contains("llama.cpp 012345678,"), "{found:?}");
}

/// An edit hidden from Git is hidden from Nix.
#[test]
fn an_edit_hidden_by_git_flags_is_reported() {
    let fleet = fleet("a = host { };");
    fleet.write("hosts/a.nix", "{ }\n");
    fleet.write("hosts/b.nix", "{ }\n");
    git(fleet.path(), &["init", "--quiet"]);
    git(fleet.path(), &["add", "--all"]);
    for flag in ["assume-unchanged", "skip-worktree"] {
        git(fleet.path(), &["update-index", &format!("--{flag}"), "hosts/a.nix", "hosts/b.nix"]);
        let (_, report) = checked(&fleet, &[]);
        assert_eq!(findings(&report), [], "{flag}");
        fleet.write("hosts/b.nix", "{ edited = true; }\n");
        let (_, report) = checked(&fleet, &[]);
        let found = findings(&report);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].1 == "hidden-edit" && found[0].2.contains("hosts/b.nix"), "{found:?}");
        fleet.write("hosts/b.nix", "{ }\n");
        git(fleet.path(), &["update-index", &format!("--no-{flag}"), "hosts/a.nix", "hosts/b.nix"]);
    }
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let fleet = fleet("a = host { };");
    for args in [&["check", "--json"][..], &["matrix"], &["list"], &["completions", "bash"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = xtask(fleet.path()).args(args).stdout(full).output().unwrap();
        assert_eq!(code(&output), 2, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("No space left on device"), "{}", stderr(&output));
        // A closed pipe is no error.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = xtask(fleet.path()).args(args).stdout(writer).output().unwrap();
        assert_eq!(code(&output), 0, "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn ctrl_c_during_a_full_check_is_not_a_finding() {
    let fleet = fleet(
        r#"slow = let h = host { }; in h // { config = h.config // { system.build.toplevel.drvPath =
          let l = builtins.genList (x: x) 30000; in
          toString (builtins.foldl' (a: _: builtins.foldl' (b: _: b + 1) a l) 0 l); }; };"#,
    );
    let child = spawn(xtask(fleet.path()).args(["check", "--full", "--json"]));
    std::thread::sleep(Duration::from_secs(4));
    signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    assert_eq!(json(&output)["error"], "interrupted", "{}", stdout(&output));
}

/// The names of the hosts are unknown in that case.
#[test]
fn pinned_hosts_are_not_judged_if_the_flake_does_not_evaluate() {
    let fleet = fleet("a = host { };");
    let rev = "0123456789abcdef0123456789abcdef01234567";
    let locked = format!(
        r#"{{ "type": "github", "owner": "o", "repo": "llama.cpp", "rev": "{rev}", "narHash": "sha256-x" }}"#
    );
    fleet.write(
        "flake.lock",
        &format!(
            r#"{{ "version": 7, "root": "root", "nodes": {{ "root": {{ "inputs": {{ "llama-cpp": "l" }} }},
               "l": {{ "locked": {locked}, "original": {{ "type": "github", "owner": "o", "repo": "llama.cpp" }} }} }} }}"#
        ),
    );
    fleet.write(
        "pinned_hosts.json",
        &format!(
            r#"{{ "holds": {{ "{rev}": {{ "a": {{ "locked": {locked}, "since": "2026-11-22",
               "failedWith": "b9", "failedAt": "build", "reason": "x" }} }} }} }}"#
        ),
    );
    fleet.write("flake.nix", "{ outputs = _: throw \"planted\"; }");
    let output = run(fleet.path(), &["check"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    let message = stderr(&output);
    assert!(
        message.contains("planted") && !message.contains("not a host of the fleet"),
        "{message}"
    );
}
