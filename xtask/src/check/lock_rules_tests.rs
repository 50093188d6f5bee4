//! Correct lock files, and lock files with one error each.

use serde_json::json;

use crate::check::lock_rules::*;
use crate::findings::finding::Severity;

const FLAKE: &str = "{\n  inputs = {\n    nixpkgs.url = \"github:nixos/nixpkgs\";\n    llama-cpp = {\n      url = \"github:ggml-org/llama.cpp\";\n    };\n  };\n}\n";

fn github(owner: &str, repo: &str) -> Value {
    json!({ "type": "github", "owner": owner, "repo": repo })
}

fn inputs() -> Value {
    let llama_cpp = github("ggml-org", "llama.cpp");
    json!({
        "nixpkgs": { "url": "github:nixos/nixpkgs", "parsed": github("nixos", "nixpkgs") },
        "llama-cpp": { "url": "github:ggml-org/llama.cpp", "parsed": llama_cpp,
                       "inputs": { "nixpkgs": { "follows": "nixpkgs" } } },
    })
}

fn lock() -> Value {
    json!({ "root": "root", "version": 7, "nodes": {
        "root": { "inputs": { "nixpkgs": "nixpkgs_2", "llama-cpp": "llama-cpp" } },
        "nixpkgs": { "original": { "type": "indirect", "id": "nixpkgs" } },
        "nixpkgs_2": { "original": { "type": "github", "owner": "nixos", "repo": "nixpkgs" } },
        "llama-cpp": {
            "inputs": { "nixpkgs": ["nixpkgs"] },
            "locked": { "rev": "abcdefabcdef" },
            "original": { "type": "github", "owner": "ggml-org", "repo": "llama.cpp" },
        },
    } })
}

fn codes(lock: Value, inputs: &Value) -> Vec<&'static str> {
    findings(&LockFile::new(lock), inputs, FLAKE).iter().map(|finding| finding.code).collect()
}

fn manifest(rev: Option<&str>) -> Manifest {
    serde_json::from_value(json!({
        "variant": "cpu-x", "backends": ["cpu"], "microarch": "dispatch",
        "system": "x86_64-linux", "cmakeFlags": [], "rev": rev, "build": null,
    }))
    .unwrap()
}

#[test]
fn a_hosts_own_source_need_not_be_locked() {
    let other = manifest(Some(&"f".repeat(40)));
    assert_eq!(package(&LockFile::new(lock()), &other, None).unwrap().code, "wrong-revision");
    let own = Manifest { own_source: true, ..other };
    assert_eq!(package(&LockFile::new(lock()), &own, None), None);
}

#[test]
fn a_correct_lock_has_no_findings() {
    assert_eq!(codes(lock(), &inputs()), [] as [&str; 0]);
    // flake.nix cannot be read if the flake is not on this machine.
    assert_eq!(codes(lock(), &Value::Null), [] as [&str; 0]);
}

#[test]
fn each_difference_from_flake_nix_has_a_line() {
    let mut more = inputs();
    more["waybar"] = json!({ "url": "github:Alexays/Waybar" });
    assert_eq!(codes(lock(), &more), ["lock-lacks-input"]);

    let mut fewer = inputs();
    fewer.as_object_mut().unwrap().remove("nixpkgs");
    assert_eq!(codes(lock(), &fewer), ["lock-extra-input"]);

    let mut moved = inputs();
    moved["llama-cpp"]["parsed"] = github("somebody", "llama.cpp");
    let found = findings(&LockFile::new(lock()), &moved, FLAKE);
    assert_eq!(found[0].code, "lock-disagrees");
    assert_eq!(found[0].place().as_deref(), Some("flake.nix:4"));
    assert!(found[0].message.contains("github:ggml-org/llama.cpp"), "{}", found[0].message);
}

#[test]
fn a_folder_in_the_url_is_an_old_form() {
    let git = |url: &str| json!({ "type": "git", "url": url, "dir": "sub" });
    let mut old = lock();
    old["nodes"]["llama-cpp"]["original"] = git("file:///x?dir=sub");
    let mut inputs = inputs();
    inputs["llama-cpp"]["parsed"] = git("file:///x");
    let found = findings(&LockFile::new(old), &inputs, FLAKE);
    assert_eq!(found.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["lock-old-form"]);
    assert_eq!(found[0].severity, Severity::Note);
    assert!(!found[0].help.contains("nix flake update"), "{found:?}");
}

#[test]
fn an_input_locked_to_another_repository_is_an_error() {
    let elsewhere = |original: Value, locked: Value| {
        let mut lock = lock();
        lock["nodes"]["nixpkgs"] = json!({ "original": original, "locked": locked });
        codes(lock, &inputs())
    };
    let nixpkgs = || github("NixOS", "nixpkgs");
    let none = [] as [&str; 0];
    assert_eq!(elsewhere(nixpkgs(), github("nixos", "nixpkgs")), none);
    assert_eq!(elsewhere(nixpkgs(), github("somebody", "nixpkgs")), ["lock-elsewhere"]);
    let git = json!({ "type": "git", "url": "https://x.org/nixpkgs" });
    assert_eq!(elsewhere(nixpkgs(), git.clone()), ["lock-elsewhere"]);
    // A registry or a redirection may lead to any repository.
    assert_eq!(elsewhere(json!({ "type": "indirect", "id": "nixpkgs" }), git.clone()), none);
    let tarball = |url: &str| json!({ "type": "tarball", "url": url });
    assert_eq!(elsewhere(tarball("https://x.org/a"), tarball("https://y.org/b")), none);
    assert_eq!(elsewhere(git.clone(), git), none);
    let pinned = |rev: &str| json!({ "type": "git", "url": "https://x.org/n", "rev": rev });
    assert_eq!(elsewhere(pinned("a"), pinned("b")), ["lock-elsewhere"]);
    // `nix flake update` would update llama.cpp without the checks of `update`, and the lock file
    // of an input may already lock an input of its own to another repository.
    for (node, advised, severity) in [
        ("nixpkgs_2", true, Severity::Error),
        ("llama-cpp", false, Severity::Error),
        ("nixpkgs", false, Severity::Warning),
    ] {
        let mut lock = lock();
        lock["nodes"][node]["original"] = github("ggml-org", "x");
        lock["nodes"][node]["locked"] = github("somebody", "x");
        let found = findings(&LockFile::new(lock), &inputs(), FLAKE);
        let found = found.iter().find(|finding| finding.code == "lock-elsewhere").unwrap();
        assert_eq!(found.help.contains("nix flake update"), advised, "{found:?}");
        assert_eq!(found.severity, severity, "{found:?}");
    }
}

#[test]
fn a_second_nixpkgs_is_found_where_follows_is_missing_or_leads_elsewhere() {
    let mut own = lock();
    own["nodes"]["llama-cpp"]["inputs"]["nixpkgs"] = json!("nixpkgs");
    assert_eq!(codes(own, &inputs()), ["second-nixpkgs", "lock-disagrees"]);

    // A fleet with llama.cpp through llamafleet, whose nixpkgs follows the fleet's.
    let mut nested = lock();
    nested["nodes"]["root"]["inputs"] = json!({ "nixpkgs": "nixpkgs_2", "fleet": "fleet" });
    nested["nodes"]["fleet"] =
        json!({ "inputs": { "nixpkgs": ["nixpkgs"], "llama-cpp": "llama-cpp" } });
    nested["nodes"]["llama-cpp"]["inputs"]["nixpkgs"] = json!(["fleet", "nixpkgs"]);
    assert_eq!(codes(nested.clone(), &Value::Null), [] as [&str; 0]);
    nested["nodes"]["fleet"]["inputs"]["nixpkgs"] = json!("nixpkgs");
    let found = findings(&LockFile::new(nested.clone()), &Value::Null, "");
    assert_eq!((found.len(), found[0].severity), (1, Severity::Error), "{found:?}");
    assert!(found[0].help.contains("inputs.fleet.inputs.nixpkgs.follows"), "{found:?}");

    // It follows another nixpkgs of the fleet, or that of another input.
    nested["nodes"]["fleet"]["inputs"]["nixpkgs"] = json!(["nixpkgs-unstable"]);
    nested["nodes"]["root"]["inputs"]["nixpkgs-unstable"] = json!("nixpkgs");
    assert_eq!(codes(nested.clone(), &Value::Null), [] as [&str; 0]);
    nested["nodes"]["fleet"]["inputs"]["nixpkgs"] = json!(["home-manager", "nixpkgs"]);
    nested["nodes"]["root"]["inputs"].as_object_mut().unwrap().remove("nixpkgs-unstable");
    nested["nodes"]["root"]["inputs"]["home-manager"] = json!("home-manager");
    nested["nodes"]["home-manager"] = json!({ "inputs": { "nixpkgs": "nixpkgs" } });
    let found = findings(&LockFile::new(nested), &Value::Null, "");
    assert_eq!((found.len(), found[0].severity), (1, Severity::Note), "{found:?}");
    assert!(found[0].help.contains("inputs.home-manager.inputs.nixpkgs"), "{found:?}");

    // One of nixos-hardware, and one by another name further down; `nixpkgs-stable` is intended.
    let mut others = lock();
    others["nodes"]["root"]["inputs"] = json!({
        "nixpkgs": "nixpkgs_2", "llama-cpp": "llama-cpp", "nixpkgs-stable": "stable",
        "nixos-hardware": "hardware", "waybar": "waybar", "stable-user": "stable-user",
    });
    others["nodes"]["stable"] = json!({ "original": github("nixos", "nixpkgs") });
    others["nodes"]["hardware"] = json!({ "inputs": { "nixpkgs": "nixpkgs" } });
    others["nodes"]["stable-user"] = json!({ "inputs": { "nixpkgs": ["nixpkgs-stable"] } });
    others["nodes"]["waybar"] =
        json!({ "inputs": { "nixpkgs": ["nixpkgs"], "utils": "utils", "libs": "libs" } });
    others["nodes"]["utils"] = json!({ "inputs": { "unstable": "other" } });
    others["nodes"]["other"] = json!({ "original": github("NixOS", "nixpkgs") });
    others["nodes"]["libs"] = json!({ "original": github("nix-community", "nixpkgs.lib") });
    let text = format!("{FLAKE}  inputs.nixos-hardware.url = \"x\";\n");
    let found = findings(&LockFile::new(others), &Value::Null, &text);
    let [found] = &found[..] else { panic!("{found:?}") };
    assert_eq!((found.code, found.severity), ("second-nixpkgs", Severity::Note));
    assert!(found.message.contains("nixos-hardware/nixpkgs, waybar/utils/unstable,"), "{found:?}");
    assert!(found.help.contains("inputs.nixos-hardware.inputs.nixpkgs.follows"), "{found:?}");
    assert_eq!(found.line, Some(9));

    let mut circle = lock();
    circle["nodes"]["llama-cpp"]["inputs"]["nixpkgs"] = json!(["llama-cpp", "nixpkgs"]);
    codes(circle, &Value::Null);
}

#[test]
fn a_package_of_another_revision_is_not_the_pin() {
    let lock = LockFile::new(lock());
    assert_eq!(package(&lock, &manifest(Some("abcdefabcdef")), None), None);
    let other = package(&lock, &manifest(Some("0123456789ab")), None).unwrap();
    assert!(other.message.contains("012345678,"), "{}", other.message);
    assert_eq!(package(&lock, &manifest(None), None).unwrap().code, "wrong-revision");
    // No lock, or a path: nothing to compare it with.
    assert_eq!(package(&LockFile::new(Value::Null), &manifest(None), None), None);
}

#[test]
fn a_pinned_host_has_the_revision_that_it_is_pinned_to() {
    let lock = LockFile::new(lock());
    assert_eq!(lock.revisions(), ["abcdefabcdef"]);
    let pinned: PinnedHost = serde_json::from_value(json!({
        "locked": { "rev": "0123456789ab" }, "since": "2026-11-22", "failedWith": "b9",
        "failedAt": "building", "reason": "x",
    }))
    .unwrap();
    assert_eq!(package(&lock, &manifest(Some("0123456789ab")), Some(&pinned)), None);
    for rev in [Some("abcdefabcdef"), Some("fedcba987654"), None] {
        assert_eq!(
            package(&lock, &manifest(rev), Some(&pinned)).unwrap().code,
            "pinned-host-not-applied"
        );
    }
}
