//! Arguments of `bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::bench::measurement::variable;
use crate::bench::model::quantize::Quantization;
use crate::bench::model::smoke::Size;
use crate::bench::sweep::args::SweepArgs;
use crate::ui::units::parse_duration;

#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// Host whose variant to measure, or `local`: this machine, with its CPU detected
    #[arg(
        value_name = "HOST",
        required_unless_present = "all",
        default_value = "",
        hide_default_value = true
    )]
    pub host: String,
    /// Measure every host on its target, one after another
    #[arg(long, conflicts_with_all = ["host", "target", "local", "compare", "sweep"])]
    pub all: bool,
    /// Save this result as the baseline, even if it is slower
    #[arg(long)]
    pub save_baseline: bool,
    /// First compare the output with that of a build without CPU extensions
    #[arg(long)]
    pub verify: bool,
    /// Ignore pre-flight errors
    #[arg(long)]
    pub force: bool,
    /// Folder for the results file HOST.jsonl [default: bench/ beside flake.nix]
    #[arg(long, value_name = "FOLDER")]
    pub record: Option<PathBuf>,

    /// SSH destination to measure on [default: the target in hosts/default.nix]
    #[arg(help_heading = TARGET, long, value_name = "DESTINATION", conflicts_with = "local")]
    pub target: Option<String>,
    /// Measure on this machine
    #[arg(help_heading = TARGET, long)]
    pub local: bool,
    /// Machine that builds the variant
    #[arg(help_heading = TARGET, long, value_enum, default_value = "here", value_name = "WHERE")]
    pub build_on: BuildOn,
    /// Wait for another bench on the same machine instead of failing
    #[arg(help_heading = TARGET, long)]
    pub wait: bool,
    /// Environment variable for llama-bench on the target (repeatable), for example
    /// CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES or GGML_VK_VISIBLE_DEVICES to choose GPUs
    #[arg(help_heading = TARGET, long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<String>,

    /// GGUF file on the target, or `smollm2` (see `setup --model`) [default: the generated smoke
    /// model]
    #[arg(help_heading = MODEL, long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Quantization of the generated smoke model
    #[arg(help_heading = MODEL, long, value_enum, default_value = "q4_0")]
    pub quantization: Quantization,
    /// Number of parameters of the generated smoke model; 1b is larger than any CPU cache
    #[arg(help_heading = MODEL, long, value_enum, default_value = "29m")]
    pub params: Size,

    /// Tokens of the prompt test; 0 skips it
    #[arg(help_heading = TESTS, long, value_name = "TOKENS", default_value_t = 128)]
    pub prompt: u32,
    /// Tokens of the generation test; 0 skips it
    #[arg(help_heading = TESTS, long, value_name = "TOKENS", default_value_t = 32)]
    pub generate: u32,
    /// Repetitions of each test
    #[arg(help_heading = TESTS, long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub repetitions: u32,
    /// Number of llama-bench runs, each with all repetitions [default: 10, or 8 if those take
    /// five minutes]
    #[arg(help_heading = TESTS, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_ROUNDS))]
    pub rounds: Option<u32>,
    /// Timeout of one llama-bench run, such as 90s or 15m
    #[arg(help_heading = TESTS, long, value_name = "DURATION", default_value = "15m", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Arguments for llama-bench, after `--`
    #[arg(help_heading = TESTS, last = true, value_name = "ARGS")]
    pub args: Vec<String>,

    /// Compare builds with the first one, run in turns: HOST, upstream, nixpkgs, dispatch,
    /// microarch=NAME, rev=REVISION (a tag or commit), a variant's name, or the absolute path of a
    /// llama-bench on the target; a single one is compared with HOST's
    #[arg(help_heading = COMPARISON, long, value_delimiter = ',', value_name = "SUBJECT,…", conflicts_with_all = ["save_baseline", "verify", "record"])]
    pub compare: Vec<String>,
    /// Seed for the random order of `--compare`; each run prints its own
    #[arg(help_heading = COMPARISON, long, value_name = "N", requires = "compare")]
    pub seed: Option<u64>,
    #[command(flatten, next_help_heading = "Sweep")]
    pub sweep: SweepArgs,
}

/// Keeps the number of all rounds of all builds within 32 bits.
const MAX_ROUNDS: i64 = 1_000_000;

const TARGET: &str = "Target";
const MODEL: &str = "Model";
const TESTS: &str = "Tests";
const COMPARISON: &str = "Comparison";

impl BenchArgs {
    /// Returns the builds of `--compare`; the first is the reference of the others.
    pub fn subjects(&self) -> Vec<&str> {
        let host = Some(self.host.as_str()).filter(|_| self.compare.len() == 1);
        self.compare.iter().map(String::as_str).chain(host).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BuildOn {
    /// This machine; the result is copied to the target
    Here,
    /// The target
    Target,
}
