//! What the testbed needs, looked for on this machine and provided piece by piece.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::dev::pieces::{Item, Piece, Size, State};
use crate::dev::{debian, private_nix};
use crate::nix::program::Nix;
use crate::system::disk;
use crate::system::process::{self, Invocation};
use crate::testbed::llama_tree;

/// Every piece, in the order in which they are provided. Changes nothing.
pub fn discover(home: &Path) -> Vec<Item> {
    let nix = Nix::find(home);
    let on_debian = debian::is_here();
    vec![
        Item { piece: Piece::Tools, state: tools(home, on_debian) },
        Item { piece: Piece::Store, state: store(nix.is_ok()) },
        Item { piece: Piece::Nix, state: nix_state(home, nix, on_debian) },
        Item { piece: Piece::LlamaCpp, state: llama_cpp(home, on_debian) },
    ]
}

fn tools(home: &Path, on_debian: bool) -> State {
    if !on_debian {
        return State::Unneeded("needed by the testbed only, which needs Debian".into());
    }
    let with_pip = !llama_tree::is_present(home) && !llama_tree::missing_archives(home).is_empty();
    let packages = debian::missing_packages(with_pip);
    if packages.is_empty() {
        return State::Present(
            "compiler, cmake, ninja, ccache, git, ssh and sshd, OpenBLAS".into(),
        );
    }
    let what = format!("Debian's {}", packages.join(" "));
    let command = debian::install_command(&packages).to_string();
    if !debian::is_root() {
        return State::Blocked {
            why: format!("{what} must be installed as root"),
            command: format!("sudo {command}"),
        };
    }
    let starts_sshd =
        packages.contains(&"openssh-server") && Path::new("/run/systemd/system").is_dir();
    let note = "; systemd will start Debian's SSH service (`systemctl disable --now ssh` ends it)";
    let what = if starts_sshd { what + note } else { what };
    State::ToDo {
        what,
        size: Size { download: debian::download_megabytes(&packages), disk: 0 },
        command,
    }
}

fn store(has_nix: bool) -> State {
    let dir = Path::new("/nix");
    if has_nix {
        return State::Present("managed by Nix".into());
    }
    if debian::is_root() {
        return State::Present("root can make it".into());
    }
    let writable = Invocation::new("test").args(["-w", "/nix"]);
    if process::capture(&writable, Some(Duration::from_secs(5)))
        .is_ok_and(|output| output.exit.ok())
    {
        return State::Present("writable".into());
    }
    State::Blocked {
        why: format!("{} must exist and belong to you: Nix builds only there", dir.display()),
        command: "sudo install -d -m 755 -o \"$(id -un)\" /nix".into(),
    }
}

fn nix_state(home: &Path, nix: Result<Nix>, on_debian: bool) -> State {
    match nix {
        Ok(nix) if nix.program.starts_with(home.join("nix")) && private_nix::is_stale(home) => {
            State::ToDo {
                what: format!("rewrites the scripts that start {}", nix.version),
                size: Size { download: Some(0), disk: 0 },
                command: "nothing outside this folder".into(),
            }
        }
        Ok(nix) => State::Present(format!("{} ({})", nix.version, nix.program.display())),
        Err(_) if on_debian => State::ToDo {
            what: "Nix 2.26 from Debian 13, unpacked for this project alone".into(),
            size: Size {
                download: Some(private_nix::DOWNLOAD_MEGABYTES),
                disk: private_nix::DISK_MEGABYTES,
            },
            command: "apt-get install --download-only nix-bin (in a separate package database), \
                      then dpkg -x"
                .into(),
        },
        Err(error) => State::Blocked {
            why: format!("{error:#}"),
            command: "see https://nixos.org/download".into(),
        },
    }
}

fn llama_cpp(home: &Path, on_debian: bool) -> State {
    if llama_tree::is_present(home) {
        return State::Present(llama_tree::repository(home).display().to_string());
    }
    if !on_debian {
        return State::Unneeded("needed by the testbed only, which needs Debian".into());
    }
    let missing = llama_tree::missing_archives(home);
    let versions: Vec<&str> = missing.iter().map(|tree| tree.version).collect();
    State::ToDo {
        what: "llama.cpp's trees of August 2025 and autumn 2026, as a git repository".into(),
        size: Size {
            download: Some(missing.iter().map(|tree| tree.megabytes).sum()),
            disk: llama_tree::DISK_MEGABYTES,
        },
        command: if missing.is_empty() {
            "git commit (the archives are here)".into()
        } else {
            format!(
                "python3 -m pip download llama_cpp_python ({}), then git commit",
                versions.join(" and ")
            )
        },
    }
}

/// Makes the home folder ready, for this process alone until the guard is dropped.
pub fn reserve(home: &Path, items: &[Item], step: &mut dyn FnMut(&str)) -> Result<fs::File> {
    let hint = "set LLAMAFLEET_HOME to a folder you can write to";
    disk::create(home).context(hint)?;
    let file = home.join("setup.lock");
    let lock = fs::File::create(&file)
        .with_context(|| format!("cannot write {}: {hint}", file.display()))?;
    if lock.try_lock().is_err() {
        step("waiting for another setup of this folder");
        lock.lock().with_context(|| format!("cannot lock {}", file.display()))?;
    }
    let needed: u64 = items
        .iter()
        .map(|item| match &item.state {
            State::ToDo { size, .. } => size.disk,
            _ => 0,
        })
        .sum();
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
pub fn provide(home: &Path, piece: Piece, step: &mut dyn FnMut(&str)) -> Result<()> {
    match piece {
        Piece::Tools => {
            let with_pip = !llama_tree::missing_archives(home).is_empty();
            step("installing with apt");
            debian::install(&debian::missing_packages(with_pip))
        }
        Piece::Store => Ok(()),
        Piece::Nix => {
            private_nix::provide(home, step)?;
            Nix::find(home).map(drop).context("the Nix that was just unpacked does not work")
        }
        Piece::LlamaCpp => llama_tree::provide(home, step),
    }
}
