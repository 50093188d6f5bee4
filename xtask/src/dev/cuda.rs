//! CUDA for the testbed: NVIDIA's compiler and libraries out of its wheels on PyPI.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::dev::toolkits;
use crate::system::process::{self, Invocation};
use crate::system::{disk, interrupt};
use crate::testbed::pypi::PypiFile;

/// The testbed's `cudaPackages_13` has the same.
pub const VERSION: &str = "13.4";
pub const LINK: &str = "cuda-13.4";
/// The wheels and what comes out of them.
pub const DISK_MEGABYTES: u64 = 1500;

/// Package, version, platform, SHA-256, megabytes.
type Wheel = (&'static str, &'static str, &'static str, &'static str, u64);
const WHEELS: [Wheel; 7] = [
    (
        "nvidia_cuda_nvcc",
        "13.4.92",
        "manylinux2014_x86_64.manylinux_2_17_x86_64",
        "a1f3bfb27299e060b444d5df1f4bcd762501326cf0fd3141ed61756816ab9a0e",
        48,
    ),
    (
        "nvidia_cuda_crt",
        "13.4.92",
        "manylinux2014_x86_64.manylinux_2_17_x86_64",
        "731ce3de11df8add8306404417a1edaede225dbe27eb233aed37c8de9d4fe720",
        1,
    ),
    (
        "nvidia_nvvm",
        "13.4.92",
        "manylinux2010_x86_64.manylinux_2_12_x86_64",
        "e4c81cb321dd9743bcf871c5e7e8fecd7f05dea607944426e102bdda8d49e137",
        73,
    ),
    (
        "nvidia_cuda_runtime",
        "13.4.92",
        "manylinux2014_x86_64.manylinux_2_17_x86_64",
        "9641f797da20ce1dd8e779b6e96d08cf9ba564cec8e8225458811ee26423f3a5",
        3,
    ),
    (
        "nvidia_cuda_cccl",
        "13.3.4.3.1",
        "manylinux2014_x86_64.manylinux_2_17_x86_64",
        "48ba8e44a1162face51306d5bfd67604d9949be5acb9105dbb93734d2df8b3a4",
        4,
    ),
    (
        "nvidia_cuda_cuobjdump",
        "13.4.92",
        "manylinux2014_x86_64.manylinux_2_17_x86_64",
        "fb72ca80d0cdd8f5e8e232ce17d3c5aa2a37c3153bb8ef4e010010ed4fdef6c5",
        1,
    ),
    (
        "nvidia_cublas",
        "13.8.0.4",
        "manylinux_2_27_x86_64",
        "9f17797dfcc048694461f4e47de17d2e3c25adf172ef723d2db0a07cd8744b89",
        440,
    ),
];

fn files() -> Vec<PypiFile> {
    let file = |&(package, version, platform, sha256, megabytes): &Wheel| PypiFile {
        package,
        version,
        file_name: format!("{package}-{version}-py3-none-{platform}.whl"),
        sha256,
        megabytes,
        is_source: false,
    };
    WHEELS.iter().map(file).collect()
}

/// What is left to download.
pub fn missing_megabytes(home: &Path) -> u64 {
    if home.join(LINK).is_dir() {
        return 0;
    }
    let downloads = home.join("downloads");
    let missing = |file: &PypiFile| !downloads.join(&file.file_name).is_file();
    files().iter().filter(|file| missing(file)).map(|file| file.megabytes).sum()
}

/// Provides `home/cuda-VERSION` and its link.
pub fn provide(home: &Path, step: &mut dyn FnMut(&str)) -> Result<()> {
    let folder = home.join(LINK);
    if !folder.is_dir() {
        let mut wheels = vec![];
        for file in files() {
            interrupt::check()?;
            wheels.push(file.provide(&home.join("downloads"), step)?);
        }
        step("unpacking");
        disk::make_folder(&folder, |partial| {
            for wheel in &wheels {
                interrupt::check()?;
                let unpack = Invocation::new("python3").args(["-m", "zipfile", "-e"]);
                process::read(&unpack.arg(wheel).arg(partial), Some(Duration::from_secs(300)))?;
            }
            for programs in ["bin", "nvvm/bin"] {
                make_executable(&partial.join("nvidia/cu13").join(programs))?;
            }
            Ok(())
        })?;
        // Fetched again at need.
        wheels.iter().try_for_each(|wheel| disk::remove(wheel))?;
    }
    toolkits::publish(LINK, &folder.join("nvidia/cu13"))
}

/// Python unpacks no permissions.
fn make_executable(folder: &Path) -> Result<()> {
    for file in disk::files_of(folder)? {
        fs::set_permissions(&file, Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} executable", file.display()))?;
        toolkits::set_time(&file)?;
    }
    Ok(())
}
