//! The model that is measured: chosen, looked at, brought to the target.

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

/// What is known of a model before it is read, and where it is.
pub struct ChosenModel {
    pub about: Model,
    pub place: ModelSource,
}

/// Where the model is to be had.
pub enum ModelSource {
    /// A file of the target.
    OnTarget(String),
    Smoke(SmokeModel),
    /// What `setup --model` fetches.
    SmolLm2,
}

/// A model of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LocalModel {
    /// Generated, 29 million parameters: fits in the CPU's cache
    #[value(name = "29m")]
    M29,
    /// Generated, a billion parameters (593 MB): lives in memory
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

/// `--model` (a file, or SmolLM2), the host's `programs.llama-cpp.bench.model`, or the smoke model.
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

/// The smoke model as a report names it.
pub fn describe(smoke: SmokeModel) -> Model {
    Model {
        name: smoke.name(),
        params: Some(smoke.parameters()),
        quantization: Some(smoke.quantization.numbers().name.to_owned()),
        bytes: Some(smoke.bytes()),
    }
}

/// Whether it is there, or can be: its size in bytes.
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

/// Its path on the target.
pub fn provide(place: &ModelSource, context: &Context, machine: &Machine) -> Result<String> {
    match place {
        ModelSource::OnTarget(path) => Ok(path.clone()),
        here => {
            machine.target.put_file(&local_file(here, &context.home)?, machine.state.cache_room)
        }
    }
}

/// The file of a model that is not the target's own, on this machine.
///
/// # Errors
/// [`Finding`]: it was not downloaded.
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
