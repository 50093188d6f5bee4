//! Inputs of other flakes: references in every form, lock files written by Nix and other tools,
//! inputs that cannot be fetched.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json as value};

use crate::support::world::git;
use crate::support::{Scratch, code, json, nix, repository, run, stderr, testbed_lock, xtask};

const HOST: &str = "{ nixosConfigurations.a = nixpkgs.lib.nixosSystem { \
                    system = \"x86_64-linux\"; modules = [ ]; }; }";
const HASH: &str = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn flake(inputs: &str, outputs: &str) -> Scratch {
    let flake = Scratch::new();
    flake.write("flake.nix", &format!("{{ {inputs}\n  outputs = {outputs}; }}"));
    flake
}

fn github(owner: &str, repo: &str) -> Value {
    value!({ "type": "github", "owner": owner, "repo": repo })
}

/// A lock file node whose locked reference is that of `original`.
fn node(original: Value, inputs: Value) -> Value {
    let mut locked = original.clone();
    locked.as_object_mut().unwrap().remove("ref");
    locked["rev"] = "0000000000000000000000000000000000000002".into();
    locked["narHash"] = HASH.into();
    value!({ "inputs": inputs, "locked": locked, "original": original })
}

fn write_lock(flake: &Scratch, nodes: Value) {
    let lock = value!({ "nodes": nodes, "root": "root", "version": 7 });
    flake.write("flake.lock", &lock.to_string());
}

/// Checks the flake in the testbed and returns the state of its only host, `a`.
fn state(flake: &Scratch) -> String {
    let output = run(flake.path(), &["check", "--testbed", "--json"]);
    let report = json(&output);
    assert_eq!(report["hosts"][0]["host"], "a", "{}", stderr(&output));
    report["hosts"][0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn the_testbed_evaluates_an_unlocked_flake_with_any_form_of_reference() {
    for reference in [
        "url = \"github:NixOS/nixpkgs/nixos-unstable\"",
        "url = \"https://flakehub.com/f/NixOS/nixpkgs/0.1\"",
        "url = \"https://channels.nixos.org/nixos-unstable/nixexprs.tar.xz\"",
        "url = \"git+https://github.com/NixOS/nixpkgs?ref=nixos-unstable&shallow=1\"",
        "url = \"git+ssh://git@github.com/NixOS/nixpkgs.git\"",
        "url = \"nixpkgs/nixos-unstable\"",
        "url = \"flake:nixpkgs\"",
        "type = \"github\"; owner = \"NixOS\"; repo = \"nixpkgs\"",
    ] {
        let inputs = format!("inputs.pkgs = {{ {reference}; }};");
        let outputs = format!("{{ pkgs, ... }}: let nixpkgs = pkgs; in {HOST}");
        assert_eq!(state(&flake(&inputs, &outputs)), "unsupported", "{reference}");
    }
    // An input that only the arguments of `outputs` name.
    assert_eq!(state(&flake("", &format!("{{ self, nixpkgs }}: {HOST}"))), "unsupported");
}

/// The testbed's NixOS has few options, but this host's configuration is not evaluated.
#[test]
fn a_host_without_the_module_may_set_what_the_testbed_lacks() {
    let module = "({ modulesPath, ... }: { imports = [ (modulesPath + \
                  \"/virtualisation/lxc-container.nix\") ]; boot.zfs.devNodes = \"/dev\"; })";
    let outputs = HOST.replace("modules = [ ]", &format!("modules = [ {module} ]"));
    let fleet = flake("", &format!("{{ self, nixpkgs }}: {outputs}"));
    assert_eq!(state(&fleet), "unsupported");
}

#[test]
fn the_testbed_evaluates_inputs_with_and_without_follows() {
    let nixpkgs = "inputs.nixpkgs.url = \"github:NixOS/nixpkgs/nixos-unstable\";";
    let home = "inputs.home-manager.url = \"github:nix-community/home-manager\";";
    let outputs = format!("{{ nixpkgs, ... }}: {HOST}");
    assert_eq!(state(&flake(&format!("{nixpkgs} {home}"), &outputs)), "unsupported");

    // Follows an input of an input that a stand-in replaces.
    let through = format!("{home} inputs.nixpkgs.follows = \"home-manager/nixpkgs\";");
    assert_eq!(state(&flake(&through, &outputs)), "unsupported");
    let locked = flake(&through, &outputs);
    let mut unstable = github("NixOS", "nixpkgs");
    unstable["ref"] = "nixos-unstable".into();
    write_lock(
        &locked,
        value!({
            "root": { "inputs": { "home-manager": "home-manager",
                                  "nixpkgs": ["home-manager", "nixpkgs"] } },
            "home-manager": node(github("nix-community", "home-manager"),
                                 value!({ "nixpkgs": "nixpkgs" })),
            "nixpkgs": node(unstable, value!({})),
        }),
    );
    assert_eq!(state(&locked), "unsupported");

    // Overrides an input that the stand-in does not have.
    let parts = format!(
        "{nixpkgs} inputs.flake-parts.url = \"github:hercules-ci/flake-parts\"; \
         inputs.flake-parts.inputs.nixpkgs-lib.follows = \"nixpkgs\";"
    );
    let outputs = format!("{{ nixpkgs, flake-parts, ... }}: builtins.seq flake-parts.lib {HOST}");
    assert_eq!(state(&flake(&parts, &outputs)), "unsupported");
}

#[test]
fn the_testbed_keeps_inputs_that_are_folders() {
    const SUB: &str = "{ outputs = { self }: { args = { }; }; }";
    let elsewhere = Scratch::new();
    elsewhere.write("flake.nix", SUB);
    git(elsewhere.path(), &["init", "--quiet"]);
    git(elsewhere.path(), &["add", "--all"]);
    let author = ["-c", "user.name=a", "-c", "user.email=a@localhost"];
    git(elsewhere.path(), &[&author[..], &["commit", "--quiet", "--message=sub"]].concat());
    let path = elsewhere.path().display().to_string();
    let (prefixed, in_git) = (format!("path:{path}"), format!("git+file://{path}"));
    for url in ["./sub", "path:./sub", &path, &prefixed, &in_git] {
        let inputs = format!("inputs.nixpkgs.url = \"nixpkgs\"; inputs.sub.url = \"{url}\";");
        let host = HOST.replace("modules", "specialArgs = sub.args; modules");
        let fleet = flake(&inputs, &format!("{{ nixpkgs, sub, ... }}: {host}"));
        fleet.write("sub/flake.nix", SUB);
        assert_eq!(state(&fleet), "unsupported", "{url}");
    }
}

#[test]
fn an_input_that_cannot_be_locked_is_a_one_line_error() {
    let inputs = "inputs.nixpkgs.url = \"nixpkgs\"; \
                  inputs.home-manager.url = \"github:nix-community/home-manager\"; \
                  inputs.home-manager.inputs.nixpkgs.follows = \"nixpgks\";";
    let fleet = flake(inputs, &format!("{{ nixpkgs, ... }}: {HOST}"));
    let text = stderr(&run(fleet.path(), &["check", "--testbed"]));
    let sentence = "flake.nix (exit status 1): input 'home-manager/nixpkgs' follows a non-existent \
                    input 'nixpgks'";
    assert!(text.contains(sentence) && text.trim().lines().count() == 1, "{text}");
}

fn findings(output: &Output) -> Vec<(String, String)> {
    let report = json(output);
    let findings = report["findings"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    findings.map(|finding| (text(&finding["code"]), text(&finding["severity"]))).collect()
}

/// References from the documentation of nix-community/home-manager, kolide/nix-agent and others.
#[test]
fn a_lock_file_that_nix_accepts_is_ok() {
    let rev = "3cb7ffb1a1f612d5e4a46244ae5a3c77ad934a70";
    let mut main = github("kolide", "nix-agent");
    main["ref"] = "main".into();
    let mut pinned = github("a", "b");
    pinned["rev"] = rev.into();
    let git = |url: &str| value!({ "type": "git", "url": url, "dir": "subdir" });
    let page = value!({ "type": "file", "url": "https://github.com/a.keys" });
    let registry =
        value!({ "type": "indirect", "id": "nixpkgs", "ref": "nixos-unstable", "rev": rev });
    for (url, original, expected) in [
        ("github:/kolide/nix-agent/main", main, "ok"),
        ("github:nix-community/home-manager/", github("nix-community", "home-manager"), "ok"),
        (&format!("github:a/b/{}", rev.to_uppercase()), pinned, "ok"),
        (&format!("flake:nixpkgs/nixos-unstable/{rev}"), registry, "ok"),
        ("git+file:///no-such-path?dir=subdir", git("file:///no-such-path"), "ok"),
        ("git+file:///no-such-path?dir=subdir", git("file:///no-such-path?dir=subdir"), "ok"),
        // With `flake = false`.
        ("https://github.com/a.keys", page, "ok"),
        ("github:a/c", github("a", "b"), "error"),
    ] {
        let fleet = flake(
            &format!("inputs.x.url = \"{url}\";"),
            "{ self, ... }: { nixosConfigurations.a = throw \"not evaluated\"; }",
        );
        let mut locked = original.clone();
        if locked["type"] != "git" {
            locked = github("NixOS", "nixpkgs");
            locked["owner"] = original.get("owner").unwrap_or(&locked["owner"]).clone();
            locked["repo"] = original.get("repo").unwrap_or(&locked["repo"]).clone();
        }
        locked["rev"] = rev.into();
        locked["lastModified"] = 1.into();
        locked["narHash"] = "sha256-VGc3/2fe6hnOmNSLlOygEAbeS69v7A7rjKDKRzAgE2Q=".into();
        write_lock(
            &fleet,
            value!({
                "root": { "inputs": { "x": "x" } },
                "x": { "original": original, "locked": locked },
            }),
        );
        let doctor = json(&run(fleet.path(), &["doctor", "--json"]));
        let checks = doctor["checks"].as_array().unwrap().iter();
        let states: Vec<&Value> =
            checks.filter(|check| check["name"] == "flake.lock").map(|it| &it["state"]).collect();
        assert_eq!(states, [expected], "{url}: {doctor:#}");
    }
}

#[test]
fn a_cycle_in_the_lock_file_is_an_error() {
    let fleet = flake(
        "inputs.llama-cpp.url = \"git+file:///srv/upstream\";",
        "{ self, ... }: { nixosConfigurations.a = { }; }",
    );
    let names: Vec<String> = (0..24).map(|at| format!("n{at}")).collect();
    let each: Value = names.iter().map(|name| (name.clone(), value!(name))).collect();
    let mut nodes = value!({
        "root": { "inputs": { "llama-cpp": "llama-cpp", "n0": "n0" } },
        "llama-cpp": node(value!({ "type": "git", "url": "file:///srv/upstream" }), value!({})),
    });
    for name in &names {
        nodes[name] = value!({ "inputs": each, "locked": { "type": "path", "path": "/x" } });
    }
    write_lock(&fleet, nodes);
    let started = Instant::now();
    let output = run(fleet.path(), &["update", "--dry-run", "--json"]);
    assert_eq!((code(&output), findings(&output)[0].0.as_str()), (1, "lock-cycle"));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn an_input_that_cannot_be_fetched_is_tried_and_reported_once() {
    let hosts = "{ nixpkgs, ... }: { nixosConfigurations = builtins.listToAttrs (map (n: { \
                 name = \"h${toString n}\"; value = nixpkgs.lib.nixosSystem { modules = [ ]; }; \
                 }) (builtins.genList (n: n) 12)); }";
    let fleet = flake("inputs.nixpkgs.url = \"github:NixOS/nixpkgs\";", hosts);
    write_lock(
        &fleet,
        value!({
            "root": { "inputs": { "nixpkgs": "nixpkgs" } },
            "nixpkgs": node(github("NixOS", "nixpkgs"), value!({})),
        }),
    );
    // A proxy that does not exist, to be without a network on every machine.
    let output = xtask(fleet.path())
        .args(["check", "--jobs", "2"])
        .env("https_proxy", "http://127.0.0.1:9")
        .output()
        .unwrap();
    let text = stderr(&output);
    assert_eq!(text.matches("error[fetch]").count(), 1, "{text}");
    assert!(
        text.contains("h0, h1, h10, h11 and 8 more: cannot fetch the input nixpkgs:"),
        "{text}"
    );
    assert!(!text.contains("--> flake.nix"), "{text}");
    let report = xtask(fleet.path())
        .args(["check", "--jobs", "2", "--json"])
        .env("https_proxy", "http://127.0.0.1:9")
        .output()
        .unwrap();
    let report = json(&report);
    let hosts = report["hosts"].as_array().unwrap();
    let waited = hosts.iter().filter(|host| host["seconds"].as_f64().unwrap() > 1.5).count();
    assert!(waited <= 2, "{report:#}");
    assert!(hosts.iter().all(|host| host["state"] == "eval-error"));
    // Also if listing the hosts already needs the input; the flake itself is not blamed.
    let flake = std::fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    for (outputs, commands) in [
        ("builtins.seq nixpkgs.lib { nixosConfigurations", &["check", "list", "build-all"][..]),
        ("{ nixosConfigurations", &["list", "build-all"]),
    ] {
        fleet.write("flake.nix", &flake.replace("{ nixosConfigurations", outputs));
        for command in commands {
            let mut call = xtask(fleet.path());
            let output =
                call.arg(command).env("https_proxy", "http://127.0.0.1:9").output().unwrap();
            let text = stderr(&output);
            assert_eq!(code(&output), 2, "{command}: {text}");
            assert!(!text.contains("does not evaluate"), "{command}: {text}");
            let named = text.matches("cannot fetch the input nixpkgs").count();
            assert_eq!(named, 1, "{command}: {text}");
        }
    }
}

#[test]
fn the_overlay_of_an_inline_module_is_found() {
    let fleet = flake(
        "inputs.nixpkgs.url = \"github:NixOS/nixpkgs\";
  inputs.llama-cpp.url = \"github:ggml-org/llama.cpp\";
  inputs.llama-cpp.inputs.nixpkgs.follows = \"nixpkgs\";
  inputs.llamafleet.url = \"github:OWNER/llamafleet\";
  inputs.llamafleet.inputs.nixpkgs.follows = \"nixpkgs\";
  inputs.llamafleet.inputs.llama-cpp.follows = \"llama-cpp\";",
        "inputs: { nixosConfigurations.a = inputs.nixpkgs.lib.nixosSystem {
    system = \"x86_64-linux\";
    modules = [
      { nixpkgs.overlays = [ inputs.llama-cpp.overlays.default
        (final: prev: { llama-cpp = final.llamaPackages.llama-cpp; }) ]; }
      inputs.llamafleet.nixosModules.default
      { programs.llama-cpp.enable = true; }
      ./unrelated.nix
    ];
  }; }",
    );
    fleet.write(
        "unrelated.nix",
        "{ nixpkgs.overlays = [ (final: prev: { mine = prev.hello or null; }) ]; }",
    );
    let report = json(&run(fleet.path(), &["check", "--testbed", "--json"]));
    let findings = report["hosts"][0]["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{report:#}");
    let finding = &findings[0];
    assert_eq!(
        (&finding["code"], &finding["file"]),
        (&value!("another-package"), &value!("flake.nix"))
    );
    assert_eq!(finding["line"], 11, "{finding:#}");
}

/// Puts the lines of README.md into a minimal flake.
#[test]
fn the_readmes_example_works_with_every_command() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```nix\n# flake.nix\n").unwrap();
    let (snippet, _) = rest.split_once("```").unwrap();
    let (inputs, module) = snippet.split_once("# a host's module").unwrap();
    let (_, module) = module.split_once('\n').unwrap();
    let outputs = format!(
        "inputs: {{ nixosConfigurations.box = inputs.nixpkgs.lib.nixosSystem {{ system = \
         \"x86_64-linux\"; specialArgs = {{ inherit inputs; }}; modules = [ ({{ inputs, ... }}: \
         {{ {module} }}) ]; }}; nixosConfigurations.router = inputs.nixpkgs.lib.nixosSystem {{ \
         system = \"x86_64-linux\"; modules = [ ]; }}; darwinConfigurations.mac = throw \"a mac\"; }}"
    );
    let nixpkgs = "inputs.nixpkgs.url = \"github:NixOS/nixpkgs/nixos-unstable\";\n";
    let fleet = flake(&format!("{nixpkgs}{inputs}"), &outputs);
    let output = run(fleet.path(), &["check", "--testbed", "--json"]);
    let report = json(&output);
    let states: Vec<&Value> =
        report["hosts"].as_array().unwrap().iter().map(|host| &host["state"]).collect();
    assert_eq!(
        (code(&output), states),
        (0, vec![&value!("ok"), &value!("unsupported")]),
        "{report:#}"
    );
    assert_eq!(report["hosts"][0]["variant"], "cuda-tigerlake-sm86");
    // Its llama.cpp is the input of llamafleet.
    let update = run(fleet.path(), &["update", "--testbed", "--dry-run", "--json"]);
    assert_eq!(code(&update), 0, "{}", stderr(&update));
    assert_eq!(json(&update)["input"], "llamafleet/llama-cpp");
    // The testbed's newest release, and an earlier one.
    for (to, release) in [(&["--stable"][..], "0.5.0"), (&["--to", "v0.1.0"], "0.1.0")] {
        let update = ["update", "--testbed=2025-08", "--dry-run", "--json"];
        let update = run(fleet.path(), &[&update[..], to].concat());
        assert_eq!(code(&update), 0, "{}", stderr(&update));
        let report = json(&update);
        assert_eq!(report["to"]["release"], release, "{report:#}");
        assert_eq!(report["hosts"][0]["state"], "changed", "{report:#}");
    }
    let rollback = run(fleet.path(), &["rollback", "--testbed", "--list"]);
    assert_eq!(code(&rollback), 0, "{}", stderr(&rollback));
    let bisect = run(fleet.path(), &["bisect", "--testbed", "--good", "2025-08", "--host", "box"]);
    // All revisions of the testbed are good; the error shows that one was evaluated.
    assert!(stderr(&bisect).contains("error[bad-is-good]"), "{}", stderr(&bisect));
}

/// A lock file has the flake's inputs, and of the library's two only those that the flake lacks.
/// flake-parts is an input of llama.cpp's flake.
#[test]
fn the_library_flake_adds_only_two_inputs() {
    let nixpkgs = "inputs.nixpkgs.url = \"github:NixOS/nixpkgs/nixos-26.05\";
  inputs.home-manager.url = \"github:nix-community/home-manager\";
  inputs.home-manager.inputs.nixpkgs.follows = \"nixpkgs\";
  inputs.llamafleet.url = \"github:OWNER/llamafleet?dir=lib\";
  inputs.llamafleet.inputs.nixpkgs.follows = \"nixpkgs\";";
    let llama_cpp = "inputs.llama-cpp.url = \"github:ggml-org/llama.cpp\";
  inputs.llama-cpp.inputs.nixpkgs.follows = \"nixpkgs\";
  inputs.llamafleet.inputs.llama-cpp.follows = \"llama-cpp\";";
    let outputs = "inputs: { nixosConfigurations.a = inputs.nixpkgs.lib.nixosSystem {
    system = \"x86_64-linux\";
    modules = [ inputs.llamafleet.nixosModules.default
      { programs.llama-cpp = { enable = true; microarch = \"znver4\"; }; } ];
  }; }";
    for inputs in [nixpkgs.to_owned(), format!("{nixpkgs}\n  {llama_cpp}")] {
        let fleet = flake(&inputs, outputs);
        let output = run(fleet.path(), &["check", "--testbed", "--json"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert_eq!(json(&output)["hosts"][0]["variant"], "cpu-znver4");
        let lock: Value =
            serde_json::from_str(&std::fs::read_to_string(testbed_lock(&fleet)).unwrap()).unwrap();
        let nodes: Vec<&String> = lock["nodes"].as_object().unwrap().keys().collect();
        let expected =
            ["flake-parts", "home-manager", "llama-cpp", "llamafleet", "nixpkgs", "root"];
        assert_eq!(nodes, expected, "{lock:#}");
    }

    // The library flake itself, without the testbed, declares nixpkgs and llama.cpp only.
    let inputs = nix(["eval", "--json", "--file"])
        .arg(repository().join("lib/flake.nix"))
        .args(["--apply", "builtins.attrNames", "inputs"])
        .output()
        .unwrap();
    assert_eq!(json(&inputs), value!(["llama-cpp", "nixpkgs"]), "{}", stderr(&inputs));
}
