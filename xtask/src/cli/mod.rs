//! The command line: what can be typed, and which command runs.
//!
//! Entry points: `Cli` is parsed, `dispatch::run` runs it.
//!
//! Imports: system, ui, findings, ci, fleet, hardware, check, build, bench, pin, new_host, list,
//! dev, doctor.

pub mod completions;
pub mod dispatch;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bench::args::BenchArgs;
use crate::bench::report::args::ReportArgs;
use crate::build::args::BuildAllArgs;
use crate::check::args::CheckArgs;
use crate::dev::args::{DemoArgs, PerfArgs, ProgressDemoArgs, SetupArgs, TestArgs};
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
    after_help = "Exit status: 0 all well; 1 findings (a host fails, a build fails, a regression); \
                  2 usage, or the tool or its surroundings failed; 130 interrupted.",
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
    /// Evaluate every host's selected variant and hold it to the fleet's rules
    Check(CheckArgs),
    /// Build every distinct variant, in parallel, with progress
    BuildAll(BuildAllArgs),
    /// Run llama-bench with a host's variant on its target
    Bench(BenchArgs),
    /// Find the first llama.cpp revision that breaks the fleet, and the newest that does not
    Bisect(BisectArgs),
    /// Move the pin of llama.cpp to another revision, once every host is known to bear it
    Update(UpdateArgs),
    /// Go back to a pin before, from the journal of updates
    Rollback(RollbackArgs),
    /// Show what bench has measured over time: in the terminal, as HTML, as Markdown
    Report(ReportArgs),
    /// Read a machine's CPU, GPUs and drivers, and say which options fit it
    Probe(ProbeArgs),
    /// Add a machine to the fleet: its row, its options, what probe sees of it
    NewHost(NewHostArgs),
    /// Show the fleet: host, variant, revision, whether built
    List,
    /// Print a GitHub Actions matrix: one job for each distinct build
    Matrix(HostSelection),
    /// Explain the code of a finding, or list all codes
    Explain(ExplainArgs),
    /// Examine Nix and this machine, and say what to mend
    Doctor,
    /// Provide what this machine lacks for the testbed (Nix itself included)
    Setup(SetupArgs),
    /// Set up, check, build and benchmark: what tuning is worth on this machine
    Demo(DemoArgs),
    /// Run every test of the project
    Test(TestArgs),
    /// Show a recorded log as build-all would
    #[command(hide = true)]
    ProgressDemo(ProgressDemoArgs),
    /// Measure how fast a command is, against its budgets
    Perf(PerfArgs),
    /// Print a shell's completions, or write the man pages
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    #[arg(value_enum, value_name = "SHELL")]
    pub form: CompletionForm,
    /// Where the man pages go
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub out_dir: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompletionForm {
    Bash,
    Fish,
    Zsh,
    /// Man pages, one a command
    Man,
}
