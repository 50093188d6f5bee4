//! The model that is measured: chosen, looked at, brought to the target.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::bench::args::BenchArgs;
use crate::bench::machine::Machine;
use crate::bench::measurement::{Model, Subject};
use crate::bench::model::smoke::SmokeModel;
use crate::bench::model::store::smoke_model;
use crate::bench::preflight::model_on_target;
use crate::bench::preflight_rules::model_fits;
use crate::fleet::context::Context;
use crate::target::refuse;

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
}

/// `--model`, the host's `programs.llama-cpp.bench.model`, or the smoke model.
pub fn chosen_model(args: &BenchArgs, subject: &Subject) -> Result<ChosenModel> {
    let named = match (&args.model, &subject.manifest.bench.model) {
        (Some(path), _) => Some(path.to_str().context("--model is not UTF-8")?.to_owned()),
        (None, model) => model.clone(),
    };
    if let Some(path) = named {
        let name = Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_else(|| path.clone());
        let model = Model { name, params: None, quantization: None, bytes: None };
        return Ok(ChosenModel { about: model, place: ModelSource::OnTarget(path) });
    }
    let smoke = SmokeModel { size: args.params, quantization: args.quantization };
    Ok(ChosenModel { about: describe(smoke), place: ModelSource::Smoke(smoke) })
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
pub fn model_size(place: &ModelSource, machine: &Machine, subject: &Subject) -> Result<u64> {
    let bytes = match place {
        ModelSource::OnTarget(path) => model_on_target(machine, path)?,
        ModelSource::Smoke(smoke) => smoke.bytes(),
    };
    match model_fits(&subject.manifest, bytes, &machine.state, machine.target.name()) {
        Some(finding) => refuse(finding),
        None => Ok(bytes),
    }
}

/// Its path on the target.
pub fn provide(place: &ModelSource, context: &Context, machine: &Machine) -> Result<String> {
    match place {
        ModelSource::OnTarget(path) => Ok(path.clone()),
        ModelSource::Smoke(smoke) => {
            let file = smoke_model(&context.home, *smoke)?;
            machine.target.put_file(&file, machine.state.cache_room)
        }
    }
}
