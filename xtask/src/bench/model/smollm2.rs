//! SmolLM2, a trained model that is small enough for any machine: 135 million parameters,
//! Apache-2.0. `setup --model` downloads it.

use std::path::{Path, PathBuf};

use crate::bench::measurement::Model;
use crate::bench::model::store::is_whole;

/// Name for `--model`.
pub const NAME: &str = "smollm2";
pub const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
pub const BYTES: u64 = 98_362_432;
pub const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// Returns the path of the file.
pub fn place(home: &Path) -> PathBuf {
    home.join("models").join(FILE)
}

pub fn is_present(home: &Path) -> bool {
    is_whole(&place(home), BYTES)
}

pub fn describe() -> Model {
    Model {
        name: "SmolLM2-135M".to_owned(),
        params: Some(134_515_008),
        quantization: Some("q4_1".to_owned()),
        bytes: Some(BYTES),
    }
}
