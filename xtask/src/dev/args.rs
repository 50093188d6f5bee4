//! Arguments of the commands for this repository itself.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::bench::model::choice::LocalModel;
use crate::dev::perf::budgets;
use crate::dev::pieces::Piece;

#[derive(Debug, Args)]
pub struct SetupArgs {
    /// Also download SmolLM2 135M, a real model for `bench --model smollm2` (93 MB)
    #[arg(long)]
    pub model: bool,
    /// Also provide CUDA, ROCm and Vulkan, to build every host in the testbed
    #[arg(long)]
    pub gpu: bool,
    /// Also unpack the CUDA toolkit (PyPI, 570 MB)
    #[arg(long)]
    pub cuda: bool,
    /// Also unpack ROCm (Debian testing, 470 MB)
    #[arg(long)]
    pub rocm: bool,
    /// Also install Vulkan with a software driver (Debian)
    #[arg(long)]
    pub vulkan: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub yes: bool,
    /// Show what is missing and would be done, then exit
    #[arg(long)]
    pub dry_run: bool,
}

impl SetupArgs {
    pub fn requested(&self) -> Vec<Piece> {
        let pieces = [
            (self.model, Piece::Model),
            (self.gpu || self.cuda, Piece::Cuda),
            (self.gpu || self.rocm, Piece::Rocm),
            (self.gpu || self.vulkan, Piece::Vulkan),
        ];
        pieces
            .into_iter()
            .filter_map(|(is_asked_for, piece)| is_asked_for.then_some(piece))
            .collect()
    }
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Model to measure with
    #[arg(long, value_enum, default_value = "29m")]
    pub model: LocalModel,
    /// Do not ask for confirmation of the set-up
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Run only format checks, lints and unit tests, which need neither Nix nor compilers
    #[arg(long)]
    pub quick: bool,
    /// Do not ask for confirmation of the set-up
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct PerfArgs {
    /// Command to measure
    #[arg(value_enum, default_value = "check")]
    pub what: PerfSubject,
    /// Sizes of the generated fleets, for `check`
    #[arg(long, value_delimiter = ',', default_value = "4,32,128", value_name = "N,…")]
    pub hosts: Vec<usize>,
    /// Runs of each measurement
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub runs: usize,
    /// Git checkout of nixpkgs: measure `check` on real NixOS hosts
    #[arg(long, value_name = "PATH")]
    pub nixpkgs: Option<PathBuf>,
    /// Models to measure, for `bench`; 29m in three quantizations
    #[arg(long, value_enum, value_delimiter = ',', default_value = "29m", value_name = "MODEL,…")]
    pub model: Vec<LocalModel>,
    /// Leave out the dispatch build, which takes many minutes, for `bench`
    #[arg(long)]
    pub no_dispatch: bool,
    /// Steps of each generated build, about 25 ms each, for `build`
    #[arg(long, default_value_t = 600, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// Lines of the log to stream, for `build`
    #[arg(long, default_value_t = budgets::LONGEST_LOG.0, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub lines: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PerfSubject {
    /// check, compared with `nix eval` and `nix flake metadata`
    Check,
    /// The builds, compared with one by hand with GGML_NATIVE=ON; and bench, with llama-bench
    Bench,
    /// build-all, compared with `nix build`; with --testbed, packages from parts and as a whole
    Build,
}
