//! ROCm for the testbed: Debian testing's, with its C library, in one folder. The system is
//! unchanged.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::dev::debian::{self, PrivateApt};
use crate::dev::pieces::{Item, Piece};
use crate::dev::toolkits;
use crate::system::disk;
use crate::system::process::{self, Invocation};
use crate::testbed::toolkits::{ROCM, link};

const LINK: &str = "rocm";
/// patchelf is for [`relocate`].
const PACKAGES: [&str; 5] =
    ["hipcc", "libamdhip64-dev", "libhipblas-dev", "librocblas-dev", "patchelf"];
const DOWNLOAD_MEGABYTES: u64 = 470;
/// The packages and the unpacked files, mostly rocBLAS' kernels.
const DISK_MEGABYTES: u64 = 5400;
/// Must match the testbed's `rocmPackages`.
const COMPILER: &str = "usr/lib/llvm-21";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const PATCH: Duration = Duration::from_secs(60);

pub fn item(on_debian: bool) -> Item {
    if ROCM.is_present() {
        return Piece::Rocm.present(link(LINK).display().to_string());
    }
    if std::env::consts::ARCH != "x86_64" || !on_debian {
        return Piece::Rocm.unneeded("the testbed has it for x86-64 with Debian's apt only");
    }
    Piece::Rocm.to_do(
        "ROCm from Debian testing, unpacked for this project alone",
        format!(
            "apt-get install --download-only {} (in a separate package database), then dpkg -x",
            PACKAGES.join(" ")
        ),
        (Some(DOWNLOAD_MEGABYTES), DISK_MEGABYTES),
    )
}

/// Provides `home/rocm` and its link.
pub fn provide(home: &Path, step: &mut dyn FnMut(&str)) -> Result<()> {
    let folder = home.join(LINK);
    if !folder.is_dir() {
        step("fetching Debian testing's ROCm and its dependencies");
        let apt = home.join("rocm-apt");
        let debs = PrivateApt::new(&apt, debian::TESTING)?.download(&PACKAGES)?;
        step(&format!("unpacking {} packages", debs.len()));
        disk::make_folder(&folder, |partial| {
            debian::unpack(&debs, partial)?;
            if !partial.join(COMPILER).is_dir() {
                bail!("Debian testing's ROCm has another compiler than {COMPILER}");
            }
            step("making the programs use the unpacked libraries");
            relocate(partial)
        })?;
        // The packages are not needed once they are unpacked.
        disk::remove(&apt)?;
    }
    toolkits::publish(LINK, &folder)
}

/// Makes programs and libraries use the libraries and the C library of this folder. Starting the
/// compiler with the unpacked loader is not enough, because it starts itself and its linker by
/// name.
fn relocate(root: &Path) -> Result<()> {
    let libraries = root.join(LIBRARIES);
    let loader = libraries.join("ld-linux-x86-64.so.2");
    let patchelf = root.join("usr/bin/patchelf");
    let by_loader = || Invocation::new(&loader).arg("--library-path").arg(&libraries);
    let listed = process::read(&by_loader().arg("--list").arg(&patchelf), Some(PATCH))?;
    // The libraries of patchelf itself cannot be changed while it runs. They need only the C
    // library.
    let in_use: Vec<PathBuf> =
        listed.split_whitespace().filter_map(|word| fs::canonicalize(word).ok()).collect();

    let place = link(LINK).join(LIBRARIES).display().to_string();
    let run_path = format!("{place}:{}", link(LINK).join(COMPILER).join("lib").display());
    let interpreter = format!("{place}/ld-linux-x86-64.so.2");
    let patch = |folder: &str, options: &[&str]| -> Result<()> {
        for file in disk::files_of(&root.join(folder))? {
            if is_linked(&file) && !in_use.contains(&file) && file != patchelf {
                let call = by_loader().arg(&patchelf).args(options.iter().copied()).arg(&file);
                process::read(&call, Some(PATCH))?;
                toolkits::set_time(&file)?;
            }
        }
        Ok(())
    };
    for programs in ["usr/bin", &format!("{COMPILER}/bin")] {
        patch(programs, &["--set-interpreter", &interpreter, "--set-rpath", &run_path])?;
    }
    for libraries in [LIBRARIES, &format!("{COMPILER}/lib")] {
        patch(libraries, &["--set-rpath", &run_path])?;
    }
    Ok(())
}

/// Returns whether the file is a program or a library, not an object file.
fn is_linked(file: &Path) -> bool {
    let mut start = [0; 18];
    let read = fs::File::open(file).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start.starts_with(b"\x7fELF") && matches!(start[16], 2 | 3)
}
