//! Arguments of `bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::bench::model::quantize::Quantization;
use crate::bench::model::smoke::Size;
use crate::bench::sweep::args::SweepArgs;
use crate::ui::units::parse_duration;

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Host whose variant to measure, or `local`: this machine, with its CPU detected
    #[arg(value_name = "HOST")]
    pub host: String,
    /// SSH destination to measure on [default: the target in hosts/default.nix]
    #[arg(long, value_name = "DESTINATION", conflicts_with = "local")]
    pub target: Option<String>,
    /// Measure on this machine
    #[arg(long)]
    pub local: bool,
    /// GGUF file on the target, or `smollm2` (see `setup --model`) [default: the generated smoke
    /// model]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Quantization of the generated smoke model
    #[arg(long, value_enum, default_value = "q4-0")]
    pub quantization: Quantization,
    /// Number of parameters of the generated smoke model; 1b lives in memory, not in a cache
    #[arg(long, value_enum, default_value = "29m")]
    pub params: Size,
    /// Tokens of the prompt test; 0 skips it
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    pub prompt: u32,
    /// Tokens of the generation test; 0 skips it
    #[arg(long, value_name = "TOKENS", default_value_t = 32)]
    pub generate: u32,
    /// Repetitions of each test
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub repetitions: u32,
    /// Timeout of one llama-bench run, such as 90s or 15m
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Machine that builds the variant
    #[arg(long, value_enum, default_value = "here", value_name = "WHERE")]
    pub build_on: BuildOn,
    /// First compare the output with that of a build without CPU extensions
    #[arg(long)]
    pub verify: bool,
    /// Ignore pre-flight errors
    #[arg(long)]
    pub force: bool,
    /// Number of llama-bench runs, each with all repetitions [default: 10, or 5 if those take
    /// five minutes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// Folder for the results file HOST.jsonl [default: bench/ beside flake.nix]
    #[arg(long, value_name = "FOLDER")]
    pub record: Option<PathBuf>,
    /// Save this result as the baseline, even if it is slower
    #[arg(long)]
    pub save_baseline: bool,
    /// Wait for another bench on the same machine instead of failing
    #[arg(long)]
    pub wait: bool,
    /// Compare builds with the first one, run in turns: HOST, upstream, nixpkgs, dispatch,
    /// microarch=NAME, rev=REVISION (a tag or commit), or a variant's name
    #[arg(long, num_args = 2.., value_name = "SUBJECT")]
    pub compare: Vec<String>,
    /// Seed for the random order of `--compare`; each run prints its own
    #[arg(long, value_name = "N", requires = "compare")]
    pub seed: Option<u64>,
    /// Environment variable for llama-bench on the target (repeatable), for example
    /// CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES or GGML_VK_VISIBLE_DEVICES to choose GPUs
    #[arg(long, value_name = "NAME=VALUE", value_parser = crate::bench::measurement::variable)]
    pub env: Vec<String>,
    #[command(flatten)]
    pub sweep: SweepArgs,
    /// Arguments for llama-bench, after `--`
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BuildOn {
    /// This machine, which then copies it
    Here,
    /// The target
    Target,
}
