//! The lock file for a fleet that has none, in the testbed: Nix makes it with every input
//! overridden by its stand-in; then the real inputs' references replace those of the stand-ins.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::nix::diagnosis::diagnose;
use crate::nix::flake;
use crate::nix::flake_ref;
use crate::nix::program::Nix;
use crate::system::interrupt::Interrupted;
use crate::system::process::Exit;
use crate::system::{disk, files, process};
use crate::testbed::lock_file::{StandIn, stand_in_for, with_originals};
use crate::testbed::revision::Tree;
use crate::testbed::{inputs as testbed, llama_tree};

const TIMEOUT: Duration = Duration::from_secs(120);

/// # Errors
/// flake.nix cannot be read, or has an input without a stand-in.
pub fn make(nix: &Nix, home: &Path, root: &Path, folder: &Path, tree: &Tree) -> Result<String> {
    let inputs = flake::inputs(nix, root);
    let inputs = inputs
        .as_object()
        .with_context(|| format!("cannot read the inputs of {}", root.display()))?;
    let flakes = testbed::flakes(folder)?;
    let mut originals = Map::new();
    let mut overrides: Vec<String> = vec![];
    let mut missing = vec![];
    let mut instead = |name: &str, by: String| {
        overrides.extend(["--override-input".to_owned(), name.to_owned(), by]);
    };
    let flake = |flake: &str| format!("path:{}?dir={flake}", folder.display());
    let llama_cpp = {
        let repository = llama_tree::repository(home);
        let (tag, rev) = (tree.tag, tree.rev);
        format!("git+file://{}?ref=refs/tags/{tag}&rev={rev}", repository.display())
    };
    for (name, input) in inputs {
        if input.get("follows").is_some() {
            continue;
        }
        let original = flake_ref::of_input(name, input).unwrap_or_default();
        // The inputs that a stand-in and the real input have in common.
        let mut own_inputs = vec![];
        match stand_in_for(&original, name, &flakes) {
            Some(StandIn::Folder(stand_in)) => {
                instead(name, flake(stand_in));
                if ["home-manager", "waybar"].contains(&stand_in) {
                    own_inputs.push(("nixpkgs", flake("nixpkgs")));
                }
            }
            Some(StandIn::Llamafleet) => {
                let ourselves = ourselves(nix, folder)?;
                match original["dir"].as_str() {
                    // lib/ has no lock file, so its inputs have to be replaced, too.
                    Some(dir) => {
                        instead(name, format!("{ourselves}?dir={dir}"));
                        own_inputs.push(("nixpkgs", flake("nixpkgs")));
                        own_inputs.push(("llama-cpp", llama_cpp.clone()));
                        own_inputs.push(("llama-cpp/flake-parts", flake("flake-parts")));
                    }
                    None => instead(name, ourselves),
                }
            }
            Some(StandIn::LlamaCpp) => {
                instead(name, llama_cpp.clone());
                own_inputs.push(("flake-parts", flake("flake-parts")));
                own_inputs.push(("nixpkgs", flake("nixpkgs")));
            }
            // A folder in the flake.
            None if is_relative(input) => continue,
            None => {
                let url = input["url"].as_str().map(str::to_owned);
                let url = url.unwrap_or_else(|| flake_ref::text(&original));
                missing.push(format!("{name} ({url})"));
                continue;
            }
        }
        for (own, by) in own_inputs {
            let first = own.split('/').next().unwrap_or(own);
            if input["inputs"][first].get("follows").is_none() {
                instead(&format!("{name}/{own}"), by);
            }
        }
        originals.insert(name.clone(), original);
    }
    if !missing.is_empty() {
        bail!(
            "--testbed has no stand-in for {} {} of {}",
            if missing.len() == 1 { "the input" } else { "the inputs" },
            missing.join(", "),
            root.join("flake.nix").display()
        );
    }
    let folder = disk::TemporaryFolder::new(&home.join("locks"), ".creation-", "")?;
    let file = folder.path().join("flake.lock");
    let call = nix
        .command(["flake", "lock"])
        .args(testbed::NIX_OPTIONS)
        .arg("--output-lock-file")
        .arg(&file)
        .args(overrides)
        .arg(root);
    let answer = process::capture(&call, Some(TIMEOUT))?;
    match answer.exit {
        Exit::Code(0) => {}
        Exit::Interrupted => bail!(Interrupted),
        exit => {
            let flake = root.join("flake.nix");
            let words = diagnose(&answer.stderr_text(), None).message;
            bail!("Nix cannot lock the inputs of {} ({exit}): {words}", flake.display());
        }
    }
    with_originals(&files::read(&file)?, &originals)
}

/// `./folder` or `path:./folder`: Nix locks it without fetching anything.
fn is_relative(input: &Value) -> bool {
    let url = input["url"].as_str().unwrap_or_default();
    url.strip_prefix("path:").unwrap_or(url).starts_with('.')
}

/// Copies the tracked files of the checkout that contains the testbed to the store, as a flake.
fn ourselves(nix: &Nix, folder: &Path) -> Result<String> {
    let checkout = folder.parent().unwrap_or(folder);
    if !checkout.join("flake.nix").is_file() {
        bail!("--testbed has no llamafleet for this flake: run xtask from a checkout of it");
    }
    let kind = if checkout.join(".git").exists() { "git+file://" } else { "path:" };
    let reference = format!("{kind}{}", checkout.display());
    let call = nix.command(["flake", "metadata", "--json", "--no-write-lock-file", &reference]);
    let printed = process::read(&call, Some(TIMEOUT))?;
    let metadata: Value = serde_json::from_str(&printed)
        .with_context(|| format!("unexpected output from `{call}`"))?;
    let path = metadata["path"].as_str().context("Nix reported no path for this repository")?;
    Ok(format!("path:{path}"))
}
