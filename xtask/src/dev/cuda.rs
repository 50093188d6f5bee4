//! CUDA for the testbed: NVIDIA's compiler and libraries from its wheels on PyPI.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::dev::pieces::{Item, Piece};
use crate::dev::toolkits;
use crate::system::{disk, interrupt};
use crate::testbed::pypi::{self, PypiFile};
use crate::testbed::toolkits::{CUDA, link};

/// Must match the testbed's `cudaPackages_13`.
const VERSION: &str = "13.4";
const LINK: &str = "cuda-13.4";
/// The wheels and the unpacked files.
const DISK_MEGABYTES: u64 = 1500;

/// Package, version, platform, megabytes and SHA-256 of each wheel.
const WHEELS: &str = include_str!("cuda_wheels.txt");

fn wheels() -> Vec<PypiFile> {
    let wheel = |line: &'static str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [package, version, platform, megabytes, sha256] = fields[..] else { return None };
        Some(PypiFile {
            package,
            version,
            file_name: format!("{package}-{version}-py3-none-{platform}.whl"),
            sha256,
            megabytes: megabytes.parse().ok()?,
            is_source: false,
        })
    };
    WHEELS.lines().filter_map(wheel).collect()
}

pub fn item(home: &Path) -> Item {
    if CUDA.is_present() {
        return Piece::Cuda.present(link(LINK).display().to_string());
    }
    if std::env::consts::ARCH != "x86_64" {
        return Piece::Cuda.unneeded("the testbed has it for x86-64 only");
    }
    Piece::Cuda.to_do(
        format!("CUDA {}: NVIDIA's compiler and libraries from PyPI", VERSION),
        "python3 -m pip download, for each of NVIDIA's wheels",
        (Some(missing_megabytes(home)), DISK_MEGABYTES),
    )
}

/// Returns the size of the wheels that are not downloaded yet.
fn missing_megabytes(home: &Path) -> u64 {
    if home.join(LINK).is_dir() {
        return 0;
    }
    let downloads = home.join("downloads");
    let missing = |file: &PypiFile| !downloads.join(&file.file_name).is_file();
    wheels().iter().filter(|file| missing(file)).map(|file| file.megabytes).sum()
}

/// Provides `home/cuda-VERSION` and its link.
pub fn provide(home: &Path, step: &mut dyn FnMut(&str)) -> Result<()> {
    let folder = home.join(LINK);
    if !folder.is_dir() {
        let downloads = home.join("downloads");
        let download = |file: PypiFile| {
            interrupt::check()?;
            file.provide(&downloads, step)
        };
        let wheels: Vec<PathBuf> = wheels().into_iter().map(download).collect::<Result<_>>()?;
        step("unpacking");
        disk::make_folder(&folder, |partial| {
            for wheel in &wheels {
                interrupt::check()?;
                pypi::unpack(wheel, partial)?;
            }
            for programs in ["bin", "nvvm/bin"] {
                make_executable(&partial.join("nvidia/cu13").join(programs))?;
            }
            Ok(())
        })?;
        // Not needed once they are unpacked.
        wheels.iter().try_for_each(|wheel| disk::remove(wheel))?;
    }
    toolkits::publish(LINK, &folder.join("nvidia/cu13"))
}

fn make_executable(folder: &Path) -> Result<()> {
    for file in disk::files_of(folder)? {
        fs::set_permissions(&file, Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} executable", file.display()))?;
        toolkits::set_time(&file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_wheel_and_their_total_size_is_that_of_the_help() {
        let wheels = wheels();
        assert_eq!(wheels.len(), WHEELS.lines().count());
        assert!(wheels.iter().all(|wheel| wheel.sha256.len() == 64));
        assert_eq!(wheels.iter().map(|wheel| wheel.megabytes).sum::<u64>(), 570);
    }
}
