//! Chooses the model, checks whether it fits, and copies it to the target.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::bench::args::BenchArgs;
use crate::bench::machine::Machine;
use crate::bench::measurement::{Model, Subject};
use crate::bench::model::quantize::Quantization;
use crate::bench::model::smoke::{Size, SmokeModel};
use crate::bench::model::smollm2;
use crate::bench::model::store::smoke_model;
use crate::bench::preflight::model_on_target;
use crate::bench::preflight_rules::model_fits;
use crate::findings::finding::Finding;
use crate::fleet::context::Context;

/// A model before it is loaded.
pub struct ChosenModel {
    pub about: Model,
    pub place: ModelSource,
}

/// The source of a model.
pub enum ModelSource {
    /// A file on the target.
    OnTarget(String),
    Smoke(SmokeModel),
    /// Downloaded by `setup --model`.
    SmolLm2,
}

/// A model on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LocalModel {
    /// Generated, 29 million parameters: fits in the CPU's cache
    #[value(name = "29m")]
    M29,
    /// Generated, a billion parameters (593 MB): larger than any CPU cache
    #[value(name = "1b")]
    B1,
    /// SmolLM2 135M, a real model, once `setup --model` has downloaded it
    #[value(name = "smollm2")]
    SmolLm2,
}

impl LocalModel {
    pub fn choose(self, quantization: Quantization) -> ChosenModel {
        let size = match self {
            Self::M29 => Size::M29,
            Self::B1 => Size::B1,
            Self::SmolLm2 => return ChosenModel::smollm2(),
        };
        ChosenModel::smoke(SmokeModel { size, quantization })
    }
}

impl ChosenModel {
    fn smoke(smoke: SmokeModel) -> Self {
        Self { about: describe(smoke), place: ModelSource::Smoke(smoke) }
    }

    fn smollm2() -> Self {
        Self { about: smollm2::describe(), place: ModelSource::SmolLm2 }
    }
}

/// Returns the model of `--model` (a file, or SmolLM2), of the host's
/// `programs.llama-cpp.bench.model`, or the smoke model.
pub fn chosen_model(args: &BenchArgs, subject: &Subject) -> Result<ChosenModel> {
    let named = match (&args.model, &subject.manifest.bench.model) {
        (Some(path), _) => Some(path.to_str().context("--model is not UTF-8")?.to_owned()),
        (None, model) => model.clone(),
    };
    if let Some(path) = named {
        if path == smollm2::NAME {
            return Ok(ChosenModel::smollm2());
        }
        let name = Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_else(|| path.clone());
        let model = Model { name, params: None, quantization: None, bytes: None };
        return Ok(ChosenModel { about: model, place: ModelSource::OnTarget(path) });
    }
    let smoke = SmokeModel { size: args.params, quantization: args.quantization };
    Ok(ChosenModel::smoke(smoke))
}

/// Describes a smoke model for a report.
pub fn describe(smoke: SmokeModel) -> Model {
    Model {
        name: smoke.name(),
        params: Some(smoke.parameters()),
        quantization: Some(smoke.quantization.format().name.to_owned()),
        bytes: Some(smoke.bytes()),
    }
}

/// Returns the model's size in bytes.
///
/// # Errors
/// [`Finding`]: there is no such model, or it does not fit.
pub fn model_size(
    place: &ModelSource,
    context: &Context,
    machine: &Machine,
    subject: &Subject,
) -> Result<u64> {
    let bytes = match place {
        ModelSource::OnTarget(path) => model_on_target(machine, path)?,
        ModelSource::Smoke(smoke) => smoke.bytes(),
        ModelSource::SmolLm2 => {
            local_file(place, &context.home)?;
            smollm2::BYTES
        }
    };
    match model_fits(&subject.manifest, bytes, &machine.state, machine.target.name()) {
        Some(finding) => Err(finding.into()),
        None => Ok(bytes),
    }
}

/// Returns the model's path on the target, after copying it there if it is on this machine.
pub fn provide(place: &ModelSource, context: &Context, machine: &Machine) -> Result<String> {
    match place {
        ModelSource::OnTarget(path) => Ok(path.clone()),
        here => {
            machine.target.put_file(&local_file(here, &context.home)?, machine.state.cache_room)
        }
    }
}

/// Returns the path of a local model's file, after generating a smoke model.
///
/// # Errors
/// [`Finding`]: SmolLM2 was not downloaded.
pub fn local_file(place: &ModelSource, home: &Path) -> Result<PathBuf> {
    match place {
        ModelSource::OnTarget(path) => Ok(path.into()),
        ModelSource::Smoke(smoke) => smoke_model(home, *smoke),
        ModelSource::SmolLm2 if smollm2::is_present(home) => Ok(smollm2::place(home)),
        ModelSource::SmolLm2 => Err(Finding::error(
            "model-not-downloaded",
            format!("SmolLM2 is not in {}", smollm2::place(home).display()),
            "run `cargo xtask setup --model`, or pass a GGUF file on the target with --model",
        )
        .into()),
    }
}
