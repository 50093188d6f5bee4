//! Arguments of `bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::bench::sweep::args::SweepArgs;
use crate::ui::units::parse_duration;

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The host whose variant is measured; `local`: this machine, its microarchitecture detected
    #[arg(value_name = "HOST")]
    pub host: String,
    /// Measure on this SSH destination instead of the fleet table's
    #[arg(long, value_name = "DESTINATION", conflicts_with = "local")]
    pub target: Option<String>,
    /// Measure on this machine
    #[arg(long)]
    pub local: bool,
    /// A GGUF file on the target instead of the generated smoke model
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Quantization of the generated smoke model
    #[arg(long, value_enum, default_value = "q4-0")]
    pub quantization: Quantization,
    /// Parameters of the generated smoke model, in millions
    #[arg(long, value_enum, default_value = "29m")]
    pub params: ModelSize,
    /// Tokens of the prompt test; 0: none
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    pub prompt: u32,
    /// Tokens of the generation test; 0: none
    #[arg(long, value_name = "TOKENS", default_value_t = 32)]
    pub generate: u32,
    /// Repetitions of each test
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub repetitions: u32,
    /// Timeout of one llama-bench run, such as 90s or 15m
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Where the variant is built: here, then copied; or by the target itself
    #[arg(long, value_enum, default_value = "here", value_name = "WHERE")]
    pub build_on: BuildOn,
    /// Hold what the variant computes against a build without CPU extensions first
    #[arg(long)]
    pub verify: bool,
    /// Go on where the pre-flight says that it cannot work
    #[arg(long)]
    pub force: bool,
    /// Processes of llama-bench, one after another, each with these repetitions; default: 10,
    /// or 5 where those take five minutes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// Keep the results in this folder's HOST.jsonl; default: bench/ of the flake's folder
    #[arg(long, value_name = "FOLDER")]
    pub record: Option<PathBuf>,
    /// Hold later results against this one, also where it is slower; without: against the last
    #[arg(long)]
    pub save_baseline: bool,
    /// Wait for another bench on the same machine to end, instead of refusing
    #[arg(long)]
    pub wait: bool,
    /// Measure these in turns and give each one's ratio to the first: HOST, upstream, nixpkgs,
    /// dispatch, microarch=NAME, rev=REVISION (a tag bN, a commit), or the name of a host's variant
    #[arg(long, num_args = 2.., value_name = "SUBJECT")]
    pub compare: Vec<String>,
    /// Which random order `--compare` takes; each run tells its own
    #[arg(long, value_name = "N", requires = "compare")]
    pub seed: Option<u64>,
    /// Set this for every llama-bench, on the target; may be given several times. Which GPUs
    /// it may use: CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES, GGML_VK_VISIBLE_DEVICES
    #[arg(long, value_name = "NAME=VALUE", value_parser = crate::bench::measurement::variable)]
    pub env: Vec<String>,
    #[command(flatten)]
    pub sweep: SweepArgs,
    /// Further llama-bench arguments, after `--`
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BuildOn {
    Here,
    Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Quantization {
    #[value(name = "q4-0", alias = "q4_0")]
    Q4_0,
    #[value(name = "q8-0", alias = "q8_0")]
    Q8_0,
    F16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelSize {
    #[value(name = "29m")]
    M29,
    #[value(name = "88m")]
    M88,
}
