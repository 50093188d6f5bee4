//! The command line: its types, and the dispatch to commands.
//!
//! Entry points: `usage::parse` makes a `Cli`, `dispatch::run` runs it.
//!
//! Imports: system, ui, findings, ci, nix, fleet, hardware, check, build, bench, pin, new_host, list,
//! dev, doctor.

mod complete;
mod completions;
pub mod dispatch;
mod examples;
#[cfg(any(test, feature = "man"))]
mod man;
pub mod usage;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bench::args::BenchArgs;
use crate::bench::report::args::ReportArgs;
use crate::build::args::{BuildAllArgs, LogArgs};
use crate::check::args::CheckArgs;
use crate::dev::args::{DemoArgs, PerfArgs, SetupArgs, TestArgs};
use crate::findings::args::ExplainArgs;
use crate::fleet::args::{Global, HostSelection};
use crate::hardware::args::ProbeArgs;
use crate::new_host::args::NewHostArgs;
use crate::pin::args::{BisectArgs, RollbackArgs, UpdateArgs};

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Checks, builds and benchmarks a NixOS fleet's llama.cpp",
    version,
    after_help = "Exit status: 0 ok; 1 findings (a host or build fails, a regression); 2 usage \
                  error, or the tool, network or target failed; 130 interrupted.",
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Evaluate every host's variant and check it against the fleet's rules
    #[command(after_help = examples::CHECK)]
    Check(CheckArgs),
    /// Build every distinct variant in parallel
    #[command(after_help = examples::BUILD_ALL)]
    BuildAll(BuildAllArgs),
    /// Run llama-bench with a host's variant on its target
    #[command(after_help = examples::BENCH)]
    Bench(BenchArgs),
    /// Find the first llama.cpp revision that breaks the fleet, and the last good one
    #[command(after_help = examples::BISECT)]
    Bisect(BisectArgs),
    /// Update the llama.cpp input, but only if every host still evaluates and builds
    #[command(after_help = examples::UPDATE)]
    Update(UpdateArgs),
    /// Restore an earlier pin
    #[command(after_help = examples::ROLLBACK)]
    Rollback(RollbackArgs),
    /// Show bench results over time, in the terminal, as HTML or as Markdown
    #[command(after_help = examples::REPORT)]
    Report(ReportArgs),
    /// Read a machine's CPU, GPUs and drivers, and suggest options
    #[command(after_help = examples::PROBE)]
    Probe(ProbeArgs),
    /// Add a machine to the fleet, with options that fit its hardware
    #[command(after_help = examples::NEW_HOST)]
    NewHost(NewHostArgs),
    /// List the hosts with variant, revision and build state
    List,
    /// Print the log of a host's last build
    Log(LogArgs),
    /// Print a GitHub Actions matrix with one job per distinct build, or for all that share a module
    #[command(after_help = examples::MATRIX)]
    Matrix(HostSelection),
    /// Explain the code of a finding, or list all codes
    #[command(after_help = examples::EXPLAIN)]
    Explain(ExplainArgs),
    /// Check Nix and this machine, and suggest fixes
    Doctor,
    /// Install what the testbed needs, including Nix
    Setup(SetupArgs),
    /// Set up, check, build and benchmark: measures what tuning gains on this machine
    Demo(DemoArgs),
    /// Run all tests of the project
    Test(TestArgs),
    /// Measure the speed of a command against its budgets
    Perf(PerfArgs),
    /// Print shell completions
    #[command(after_help = examples::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print what a command line may continue with
    #[command(hide = true)]
    Complete(CompleteArgs),
    /// Write man pages
    #[cfg(feature = "man")]
    #[command(hide = true)]
    Man { folder: std::path::PathBuf },
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Fish,
    Zsh,
}

#[derive(Debug, Args)]
pub struct CompleteArgs {
    /// Words after the program's name, the last one as far as it is typed
    #[arg(last = true)]
    pub words: Vec<String>,
}
