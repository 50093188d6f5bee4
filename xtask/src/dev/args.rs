//! Arguments of the commands for this repository itself.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct SetupArgs {
    /// Go ahead without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Say what is missing and would be done, and stop there
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Go ahead with the set-up without asking
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Only what needs neither Nix nor a compiler run: format, lints, unit tests
    #[arg(long)]
    pub quick: bool,
}

#[derive(Debug, Args)]
pub struct ProgressDemoArgs {
    /// A recorded standard error of `nix build --log-format internal-json`; each line may
    /// begin with its second and a tab
    #[arg(value_name = "FILE", default_value = "xtask/tests/fixtures/nix-log/testbed")]
    pub file: PathBuf,
    /// Playback speed; 0 shows everything at once
    #[arg(long, default_value_t = 10.0, value_name = "X")]
    pub speed: f64,
    /// Number of variants to show, copied from the recording
    #[arg(long, value_name = "N")]
    pub variants: Option<usize>,
}

#[derive(Debug, Args)]
pub struct PerfArgs {
    /// The command that is measured
    #[arg(value_enum, default_value = "check")]
    pub what: PerfSubject,
    /// check: sizes of the fleets that are generated
    #[arg(long, value_delimiter = ',', default_value = "4,32,128", value_name = "N,…")]
    pub hosts: Vec<usize>,
    /// How often each is measured
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub runs: usize,
    /// check: measure on real NixOS hosts of this nixpkgs, a Git checkout
    #[arg(long, value_name = "PATH")]
    pub nixpkgs: Option<PathBuf>,
    /// bench: leave dispatch out, whose build takes many minutes
    #[arg(long)]
    pub no_dispatch: bool,
    /// build: steps of each of the generated builds, of some 25 ms each
    #[arg(long, default_value_t = 600, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// build: lines of the log that is streamed, at the speed of a real build
    #[arg(long, default_value_t = crate::dev::perf::budgets::LONGEST_LOG.0, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub lines: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PerfSubject {
    /// check, over `nix eval` and `nix flake metadata`
    Check,
    /// bench's builds, over one by hand with GGML_NATIVE=ON, and bench over llama-bench itself
    Bench,
    /// build-all, over `nix build`; with --testbed, of llama.cpp itself
    Build,
}
