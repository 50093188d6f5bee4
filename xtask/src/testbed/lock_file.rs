//! Creates the testbed's lock file from the fleet's: the same inputs, each locked to its stand-in.
//! Keeps `original` and `follows`, which Nix compares with flake.nix, so that Nix does not lock
//! them again.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::nix::flake_ref;
use crate::nix::lockfile::LockFile;
use crate::testbed::revision::Tree;

/// The stand-ins for the inputs.
#[derive(Debug)]
pub struct StandIns<'a> {
    /// The testbed's folder and its hash as a store path.
    pub folder: &'a str,
    pub nar_hash: &'a str,
    /// The flakes in it.
    pub flakes: &'a [String],
    /// The Git repository of llama.cpp's trees, and the selected tree.
    pub repository: &'a str,
    pub tree: &'a Tree,
}

/// Returns the lock file's text with each input replaced by its stand-in, if it has one. A stand-in
/// keeps the inputs of the real input, because other inputs may follow them. It uses only nixpkgs,
/// so Nix does not fetch the others.
pub fn with_stand_ins(lock: &str, stand_ins: &StandIns<'_>) -> Result<String> {
    let mut lock = LockFile::parse(lock).context("flake.lock is not JSON")?;
    let root = lock.root().to_owned();
    let nodes = lock.nodes_mut().context("flake.lock has no nodes")?;

    let mut reached = Map::new();
    let mut seen = BTreeSet::new();
    // Each node with the name of the input that refers to it.
    let mut queue = vec![(root.clone(), String::new())];
    while let Some((key, name)) = queue.pop() {
        if !seen.insert(key.clone()) {
            continue;
        }
        let mut node = nodes
            .get(&key)
            .cloned()
            .with_context(|| format!("flake.lock names a node {key:?} that it does not have"))?;
        if key != root {
            stand_in(&mut node, &name, stand_ins);
        }
        if let Some(inputs) = node.get("inputs").and_then(Value::as_object) {
            for (input, target) in inputs {
                // An array is a path of names to follow.
                if let Some(target) = target.as_str() {
                    queue.push((target.to_owned(), input.clone()));
                }
            }
        }
        reached.insert(key, node);
    }
    *nodes = reached;
    serde_json::to_string_pretty(&lock).context("cannot serialize the lock file")
}

fn stand_in(node: &mut Value, name: &str, stand_ins: &StandIns<'_>) {
    let is_local = |locked: &Value| {
        let url = locked["url"].as_str().unwrap_or_default();
        locked["type"] == "git" && url.starts_with("file://")
    };
    if node.get("locked").is_some_and(is_local) {
        // Already a local llama.cpp: the fleet was created for the testbed.
        return;
    }
    let locked = match stand_in_for(&node["original"], name, stand_ins.flakes) {
        Some(StandIn::LlamaCpp) => locked_tree(stand_ins),
        Some(StandIn::Folder(flake)) => locked_folder(flake, stand_ins),
        // This repository, locked here or by a fleet's own lock file.
        Some(StandIn::Llamafleet) | None => return,
    };
    if let Some(node) = node.as_object_mut() {
        node.insert("locked".into(), locked);
    }
}

/// The replacement of an input.
#[derive(Debug, PartialEq, Eq)]
pub enum StandIn<'a> {
    LlamaCpp,
    /// This repository.
    Llamafleet,
    /// A folder of the testbed.
    Folder(&'a str),
}

/// Finds an input's stand-in by its repository (`original` in flake.lock), else by the input's
/// name.
pub fn stand_in_for<'a>(original: &Value, name: &str, flakes: &'a [String]) -> Option<StandIn<'a>> {
    let mut names = flake_ref::repository_names(original).chain([name]);
    names.find_map(|name| match name.to_ascii_lowercase().as_str() {
        "llama.cpp" | "llama-cpp" => Some(StandIn::LlamaCpp),
        "llamafleet" => Some(StandIn::Llamafleet),
        // One stand-in for nixpkgs of any branch, nixpkgs.lib, and channels (nixexprs.tar.xz).
        other => {
            let is_nixpkgs = other.starts_with("nixpkgs") || other.starts_with("nixexprs");
            let wanted = if is_nixpkgs { "nixpkgs" } else { other };
            flakes.iter().find(|flake| *flake == wanted).map(|flake| StandIn::Folder(flake))
        }
    })
}

/// Replaces the `original` of each input in Nix's lock file, so that it matches flake.nix.
/// `originals` has the replacements by the name of the input.
pub fn with_originals(lock: &str, originals: &Map<String, Value>) -> Result<String> {
    let mut lock = LockFile::parse(lock).context("Nix's lock file is not JSON")?;
    for (name, original) in originals {
        let key = lock.node(lock.root()).input(name).as_str().map(str::to_owned);
        if let Some(key) = key
            && let Some(node) = lock.nodes_mut().and_then(|nodes| nodes.get_mut(&key))
            && let Some(node) = node.as_object_mut()
        {
            node.insert("original".into(), original.clone());
        }
    }
    serde_json::to_string_pretty(&lock).context("cannot serialize the lock file")
}

fn locked_folder(flake: &str, stand_ins: &StandIns<'_>) -> Value {
    json!({
        "type": "path",
        "path": stand_ins.folder,
        "dir": flake,
        "narHash": stand_ins.nar_hash,
        "lastModified": 1,
    })
}

fn locked_tree(StandIns { repository, tree, .. }: &StandIns<'_>) -> Value {
    json!({
        "type": "git",
        "url": format!("file://{repository}"),
        "ref": format!("refs/tags/{}", tree.tag),
        "rev": tree.rev,
        "revCount": tree.rev_count,
        "lastModified": tree.date,
        "narHash": tree.nar_hash,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed::revision::{TREES, TestbedRevision};

    const LOCK: &str = r#"{
      "nodes": {
        "flake-compat": { "locked": { "type": "github" }, "original": { "repo": "flake-compat" } },
        "flake-parts": { "inputs": { "nixpkgs-lib": "nixpkgs-lib" }, "locked": { "type": "github" },
                         "original": { "owner": "hercules-ci", "repo": "flake-parts" } },
        "llama-cpp": { "inputs": { "flake-parts": "flake-parts", "nixpkgs": ["nixpkgs"] },
                       "locked": { "type": "github" }, "original": { "repo": "llama.cpp" } },
        "nixpkgs": { "locked": { "type": "tarball" }, "original": { "type": "tarball" } },
        "nixpkgs-lib": { "locked": { "type": "github" }, "original": { "repo": "nixpkgs.lib" } },
        "nixpkgs_2": { "locked": { "type": "github" }, "original": { "repo": "nixpkgs", "ref": "x" } },
        "other": { "locked": { "type": "github" }, "original": { "repo": "other" } },
        "waybar": { "inputs": { "flake-compat": "flake-compat", "nixpkgs": ["nixpkgs"] },
                    "locked": { "type": "github" }, "original": { "repo": "Waybar" } },
        "root": { "inputs": { "llama-cpp": "llama-cpp", "nixpkgs": "nixpkgs_2",
                              "nixpkgs-stable": "nixpkgs", "waybar": "waybar", "other": "other" } }
      },
      "root": "root",
      "version": 7
    }"#;

    fn transformed() -> Value {
        let flakes = ["nixpkgs", "flake-parts", "waybar"].map(str::to_owned);
        let stand_ins = StandIns {
            folder: "/fleet/testbed",
            nar_hash: "sha256-x",
            flakes: &flakes,
            repository: "/home/llama.cpp",
            tree: &TREES[0],
        };
        serde_json::from_str(&with_stand_ins(LOCK, &stand_ins).unwrap()).unwrap()
    }

    #[test]
    fn what_nix_compares_with_the_flake_is_unchanged() {
        let (before, after): (Value, Value) = (serde_json::from_str(LOCK).unwrap(), transformed());
        for node in ["llama-cpp", "nixpkgs", "nixpkgs_2", "waybar"] {
            let original = format!("/nodes/{node}/original");
            assert_eq!(before.pointer(&original), after.pointer(&original), "{node}");
        }
        assert_eq!(before.pointer("/nodes/root"), after.pointer("/nodes/root"));
        assert_eq!(before.pointer("/nodes/waybar/inputs"), after.pointer("/nodes/waybar/inputs"));
        assert_eq!(after.pointer("/version"), Some(&json!(7)));
    }

    #[test]
    fn every_input_is_locked_to_its_stand_in() {
        let lock = transformed();
        let dir = |node: &str| lock.pointer(&format!("/nodes/{node}/locked/dir")).cloned();
        assert_eq!(dir("nixpkgs_2"), Some(json!("nixpkgs")));
        // Found by the input's name: a tarball has no repository.
        assert_eq!(dir("nixpkgs"), Some(json!("nixpkgs")));
        assert_eq!(dir("waybar"), Some(json!("waybar")));
        // llama.cpp is the real flake, so its inputs have stand-ins, too.
        assert_eq!(dir("flake-parts"), Some(json!("flake-parts")));
        let llama = lock.pointer("/nodes/llama-cpp/locked").unwrap();
        assert_eq!(llama["url"], "file:///home/llama.cpp");
        assert_eq!(llama["ref"], "refs/tags/2025-08");
        assert_eq!(llama["rev"], TREES[0].rev);
    }

    #[test]
    fn an_input_without_a_stand_in_is_unchanged() {
        let other = transformed();
        assert_eq!(other.pointer("/nodes/other/locked"), Some(&json!({ "type": "github" })));
    }

    #[test]
    fn a_stand_in_is_found_by_every_form_of_reference() {
        let flakes = ["nixpkgs", "home-manager"].map(str::to_owned);
        let found = |original: Value| match stand_in_for(&original, "x", &flakes) {
            Some(StandIn::Folder(flake)) => flake.to_owned(),
            other => format!("{other:?}"),
        };
        for url in [
            "https://flakehub.com/f/NixOS/nixpkgs/0.1",
            "https://channels.nixos.org/nixos-unstable/nixexprs.tar.xz",
            "https://github.com/NixOS/nixpkgs/archive/nixos-unstable.tar.gz",
            "ssh://git@github.com/NixOS/nixpkgs.git",
        ] {
            assert_eq!(found(json!({ "url": url })), "nixpkgs", "{url}");
        }
        assert_eq!(found(json!({ "type": "indirect", "id": "home-manager" })), "home-manager");
        assert_eq!(found(json!({ "url": "https://x.org/g/llama.cpp" })), "Some(LlamaCpp)");
        assert_eq!(found(json!({ "url": "file:///srv/nixpkgs/x" })), "None");
    }

    #[test]
    fn an_invalid_lock_file_is_an_error() {
        let flakes = [];
        let stand_ins = StandIns {
            folder: "",
            nar_hash: "",
            flakes: &flakes,
            repository: "",
            tree: TestbedRevision::New.tree(),
        };
        assert!(with_stand_ins("{", &stand_ins).is_err());
        assert!(with_stand_ins("{}", &stand_ins).is_err());
        let dangling = r#"{"nodes": {"root": {"inputs": {"a": "b"}}}, "root": "root"}"#;
        let error = with_stand_ins(dangling, &stand_ins).unwrap_err().to_string();
        assert!(error.contains("\"b\""), "{error}");
    }
}
