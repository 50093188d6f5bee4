//! Creates the lock file of a fleet that has none, in the testbed: Nix locks every input to its
//! stand-in, then the real inputs' references replace those of the stand-ins.

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

/// Returns the text of the lock file.
///
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
    let mut override_input = |name: &str, stand_in: String| {
        overrides.extend(["--override-input".to_owned(), name.to_owned(), stand_in]);
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
        // The inputs of the input that need stand-ins, too.
        let mut inner_inputs = vec![];
        match stand_in_for(&original, name, &flakes) {
            Some(StandIn::Folder(stand_in)) => {
                override_input(name, flake(stand_in));
                if ["home-manager", "waybar"].contains(&stand_in) {
                    inner_inputs.push(("nixpkgs", flake("nixpkgs")));
                }
            }
            Some(StandIn::Llamafleet) => {
                let llamafleet = llamafleet(nix, folder)?;
                match original["dir"].as_str() {
                    // lib/ has no lock file, so its inputs have to be replaced, too.
                    Some(dir) => {
                        override_input(name, format!("{llamafleet}?dir={dir}"));
                        inner_inputs.push(("nixpkgs", flake("nixpkgs")));
                        inner_inputs.push(("llama-cpp", llama_cpp.clone()));
                        inner_inputs.push(("llama-cpp/flake-parts", flake("flake-parts")));
                    }
                    None => override_input(name, llamafleet),
                }
            }
            Some(StandIn::LlamaCpp) => {
                override_input(name, llama_cpp.clone());
                inner_inputs.push(("flake-parts", flake("flake-parts")));
                inner_inputs.push(("nixpkgs", flake("nixpkgs")));
            }
            None if is_local(input) => continue,
            None => {
                let url = input["url"].as_str().map(str::to_owned);
                let url = url.unwrap_or_else(|| flake_ref::text(&original));
                missing.push(format!("{name} ({url})"));
                continue;
            }
        }
        for (inner, stand_in) in inner_inputs {
            let first = inner.split('/').next().unwrap_or(inner);
            if input["inputs"][first].get("follows").is_none() {
                override_input(&format!("{name}/{inner}"), stand_in);
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
    let output = process::capture(&call, Some(TIMEOUT))?;
    match output.exit {
        Exit::Code(0) => {}
        Exit::Interrupted => bail!(Interrupted),
        exit => {
            let flake = root.join("flake.nix");
            let error = diagnose(&output.stderr_text(), None);
            let help = match error.code {
                "eval-error" => String::new(),
                _ => format!("\n  help: {}", error.help),
            };
            let (flake, message) = (flake.display(), error.message);
            bail!("Nix cannot lock the inputs of {flake} ({exit}): {message}{help}");
        }
    }
    with_originals(&files::read(&file)?, &originals)
}

/// Returns whether the URL is a folder, of the flake or elsewhere on this machine.
fn is_local(input: &Value) -> bool {
    let url = input["url"].as_str().unwrap_or_default();
    let path = ["path:", "git+file://", "git+file:"].iter().find_map(|it| url.strip_prefix(it));
    path.unwrap_or(url).starts_with(['.', '/'])
}

/// Copies the tracked files of the checkout that contains the testbed to the store, as a flake.
fn llamafleet(nix: &Nix, folder: &Path) -> Result<String> {
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
