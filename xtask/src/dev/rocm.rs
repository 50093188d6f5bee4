//! ROCm for the testbed: Debian testing's, with its own C library, in one folder. The system
//! is left alone.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::dev::debian::{self, PrivateApt};
use crate::dev::toolkits;
use crate::system::process::{self, Invocation};
use crate::system::{disk, interrupt};

pub const LINK: &str = "rocm";
/// The last one is for the others: see [`relocate`].
pub const PACKAGES: [&str; 5] =
    ["hipcc", "libamdhip64-dev", "libhipblas-dev", "librocblas-dev", "patchelf"];
pub const DOWNLOAD_MEGABYTES: u64 = 470;
/// Packages and what comes out of them, most of it rocBLAS' kernels.
pub const DISK_MEGABYTES: u64 = 5400;
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

pub fn is_present() -> bool {
    toolkits::link(LINK).join("usr/lib/llvm/bin/clang++").is_file()
}

/// Provides `home/rocm` and its link.
pub fn provide(home: &Path, step: &mut dyn FnMut(&str)) -> Result<()> {
    let folder = home.join(LINK);
    if !folder.is_dir() {
        step("fetching Debian testing's ROCm and what it needs");
        let apt = home.join("rocm-apt");
        let debs = PrivateApt::new(&apt, debian::TESTING)?.download(&PACKAGES)?;
        step(&format!("unpacking {} packages", debs.len()));
        disk::make_folder(&folder, |partial| {
            for deb in &debs {
                interrupt::check()?;
                debian::unpack(deb, partial)?;
            }
            link_compiler(&partial.join("usr/lib"))?;
            step("making the programs use the unpacked libraries");
            relocate(partial)
        })?;
        // Fetched again at need.
        disk::remove(&apt)?;
    }
    toolkits::publish(LINK, &folder)
}

/// Its folder's name has its version.
fn link_compiler(folder: &Path) -> Result<()> {
    let versions = files_of(folder)?.into_iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        name.starts_with("llvm-").then_some(name)
    });
    let newest = versions.max().context("Debian's ROCm has no compiler")?;
    let link = folder.join("llvm");
    symlink(newest, &link).with_context(|| format!("cannot create {}", link.display()))
}

/// Makes programs and libraries find each other and their own C library, as if this folder
/// were the system. The compiler starts itself and its linker again, so starting it by the
/// unpacked loader would not do.
fn relocate(root: &Path) -> Result<()> {
    let libraries = root.join(LIBRARIES);
    let loader = libraries.join("ld-linux-x86-64.so.2");
    let patchelf = root.join("usr/bin/patchelf");
    let by_loader = || Invocation::new(&loader).arg("--library-path").arg(&libraries);
    let listed = process::read(&by_loader().arg("--list").arg(&patchelf), Some(PATCH))?;
    // patchelf's own libraries need no others than the C library's.
    let mut unchanged: Vec<PathBuf> =
        listed.split_whitespace().filter_map(|word| fs::canonicalize(word).ok()).collect();
    unchanged.push(fs::canonicalize(&patchelf)?);

    let place = toolkits::link(LINK).join(LIBRARIES);
    let place = place.to_str().context("the path is not UTF-8")?;
    let run_path = format!("{place}:{place}/../llvm/lib");
    let interpreter = format!("{place}/ld-linux-x86-64.so.2");
    let patch = |folders: &[&str], options: &[&str]| -> Result<()> {
        let mut call = by_loader().arg(&patchelf).args(options.iter().copied());
        for folder in folders {
            for file in files_of(&root.join(folder))? {
                // A link's target has its turn under its own name.
                if !file.is_symlink() && is_elf(&file) && !unchanged.contains(&file) {
                    call = call.arg(file);
                }
            }
        }
        process::read(&call, Some(PATCH)).map(drop)
    };
    patch(&["usr/bin", "usr/lib/llvm/bin"], &["--set-interpreter", &interpreter])?;
    patch(
        &["usr/bin", "usr/lib/llvm/bin", "usr/lib/llvm/lib", LIBRARIES],
        &["--set-rpath", &run_path],
    )
}

const PATCH: Duration = Duration::from_secs(600);

fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}

fn is_elf(file: &Path) -> bool {
    let mut magic = [0; 4];
    let read = fs::File::open(file).and_then(|mut file| file.read_exact(&mut magic));
    file.is_file() && read.is_ok() && &magic == b"\x7fELF"
}
