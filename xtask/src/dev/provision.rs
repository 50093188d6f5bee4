//! Finds the pieces of the testbed on this machine, and provides the missing ones.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::bench::model::smollm2;
use crate::dev::pieces::{Item, Piece};
use crate::dev::{cuda, debian, private_nix, real_model, rocm, vulkan};
use crate::nix::program::Nix;
use crate::system::disk;
use crate::system::machine_lock::{self, Lock};
use crate::system::process::{self, Invocation};
use crate::testbed::llama_tree;
use crate::testbed::toolkits::CUDA;
use crate::ui::Ui;

const WITHOUT_DEBIAN: &str = "needed by the testbed only, which needs Debian";

/// Returns every piece with its state, in the order of installation. Changes nothing.
pub fn discover(home: &Path, requested: &[Piece]) -> Vec<Item> {
    let nix = Nix::find(home);
    let on_debian = debian::is_here();
    let item = |piece: &Piece| match piece {
        Piece::Tools => tools(home, requested, on_debian),
        Piece::Store => store(nix.is_ok()),
        Piece::Nix => private_nix::item(home, &nix, on_debian),
        Piece::LlamaCpp => llama_cpp(home, on_debian),
        Piece::Model => real_model::item(home),
        Piece::Cuda => cuda::item(home),
        Piece::Rocm => rocm::item(on_debian),
        Piece::Vulkan => vulkan::item(home, on_debian),
    };
    Piece::ALWAYS.iter().chain(requested).map(item).collect()
}

/// Returns whether something must be downloaded with pip.
fn needs_pip(home: &Path, requested: &[Piece]) -> bool {
    let llama_cpp = !llama_tree::is_present(home) && !llama_tree::missing_archives(home).is_empty();
    llama_cpp
        || requested.contains(&Piece::Model) && !smollm2::is_present(home)
        || requested.contains(&Piece::Cuda) && !CUDA.is_present()
}

fn tools(home: &Path, requested: &[Piece], on_debian: bool) -> Item {
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
        Piece::Store.present("root can create it")
    } else if writable().is_ok_and(|output| output.exit.ok()) {
        Piece::Store.present("writable")
    } else {
        Piece::Store.blocked(
            "/nix must exist and belong to you: Nix builds only there",
            "sudo install -d -m 755 -o \"$(id -un)\" /nix",
        )
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

/// Creates the home folder, locks it until the guard is dropped, and checks the disk space.
pub fn lock_home(home: &Path, items: &[Item], ui: &Ui) -> Result<Lock> {
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

/// Provides a missing piece.
pub fn provide(
    home: &Path,
    requested: &[Piece],
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
