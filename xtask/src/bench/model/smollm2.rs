//! SmolLM2, a real model that is small enough to download and to run on any machine:
//! 135 million parameters, Apache-2.0. `setup --model` fetches it.

use std::path::{Path, PathBuf};

use crate::bench::measurement::Model;
use crate::bench::model::store::is_whole;

/// What `--model` takes in place of a file.
pub const NAME: &str = "smollm2";
pub const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
pub const BYTES: u64 = 98_362_432;
pub const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// Where it is kept.
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
