//! Compares a CPU's generation speed with its memory bandwidth, which limits it because each token
//! reads the model's weights once. A small program of the package reads as many bytes on the
//! target, with as many threads as llama-bench used.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::bench::document::BenchReport;
use crate::bench::measure::Setup;
use crate::bench::measurement::Subject;
use crate::bench::model::bytes_per_token::{HEAD, bytes_per_token};
use crate::system::process::Source;

const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryBandwidth {
    /// Bytes of the model that each generated token reads.
    pub bytes_per_token: u64,
    /// Speed at which the machine reads as many bytes repeatedly.
    pub bytes_per_second: u64,
    pub threads: u32,
    /// Share of that speed which generation reaches.
    pub percent: f64,
}

/// Measures the memory bandwidth after a CPU variant's generation test. None if it is unknown,
/// because the package does not have the program or the model has several files.
///
/// # Errors
/// [`crate::findings::finding::Finding`]: SSH failed.
pub fn measure(
    setup: Setup,
    subject: &Subject,
    report: &BenchReport,
) -> Result<Option<MemoryBandwidth>> {
    let Setup { machine, model_path, params, .. } = setup;
    let test = format!("tg{}", params.generate);
    let generation = report.results.iter().find(|result| result.test == test);
    let (Some(generation), Some(threads)) = (generation, report.threads) else { return Ok(None) };
    if subject.manifest.backends != ["cpu"] {
        return Ok(None);
    }
    let program = format!("{}/libexec/memory-bandwidth", subject.store_path);
    let program = machine.target.on_disk(&program);
    if !machine.target.exists(&program)? {
        return Ok(None);
    }
    let head = machine.target.first_bytes(model_path, HEAD)?;
    let Some(bytes) = report.model.bytes.and_then(|bytes| bytes_per_token(&head, bytes)) else {
        return Ok(None);
    };
    let (count, size) = (threads.to_string(), bytes.to_string());
    let mut printed = String::new();
    let argv = [program.as_str(), &count, &size];
    let exit = machine.target.run(&argv, TIMEOUT, &mut |source, line| {
        if source == Source::Stdout {
            printed = String::from_utf8_lossy(line).into_owned();
        }
    })?;
    let speed = printed.trim().parse::<u64>().ok().filter(|speed| *speed > 0);
    Ok(speed.filter(|_| exit.ok()).map(|bytes_per_second| MemoryBandwidth {
        bytes_per_token: bytes,
        bytes_per_second,
        threads,
        percent: 100.0 * generation.tokens_per_second * bytes as f64 / bytes_per_second as f64,
    }))
}
