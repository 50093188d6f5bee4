//! Every command-line type, in one place: what a user can type is read here.

mod sweep;
mod tools;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use sweep::Sweep;
pub use tools::*;

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

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The fleet's flake; default: the flake.nix of this folder or of one above it
    #[arg(long, global = true, value_name = "REF")]
    pub flake: Option<String>,
    /// Use the stand-in inputs under testbed/, of llama.cpp's new or old era
    #[arg(long, global = true, value_name = "ERA", num_args = 0..=1, require_equals = true, default_missing_value = "new")]
    pub testbed: Option<Era>,
    /// Print one JSON document on stdout and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// When to colour what a person reads; NO_COLOR is honoured
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: ColorChoice,
    /// Plain lines instead of progress bars (the default without a terminal and in CI)
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// Show the commands that are run; twice, also what they print
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// Which of the testbed's two llama.cpp trees stands in for the flake input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Era {
    /// August 2025
    Old,
    /// Autumn 2026
    New,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Evaluate every host's selected variant and hold it to the fleet's rules
    Check(Check),
    /// Build every distinct variant, in parallel, with progress
    BuildAll(BuildAll),
    /// Run llama-bench with a host's variant on its target
    Bench(Bench),
    /// Find the first llama.cpp revision that breaks the fleet, and the newest that does not
    Bisect(Bisect),
    /// Move the pin of llama.cpp to another revision, once every host is known to bear it
    Update(Update),
    /// Go back to a pin before, from the journal of updates
    Rollback(Rollback),
    /// Show what bench has measured over time: in the terminal, as HTML, as Markdown
    Report(Report),
    /// Read a machine's CPU, GPUs and drivers, and say which options fit it
    Probe(Probe),
    /// Add a machine to the fleet: its row, its options, what probe sees of it
    NewHost(NewHost),
    /// Show the fleet: host, variant, revision, whether built
    List,
    /// Print a GitHub Actions matrix: one job for each distinct build
    Matrix(HostSelection),
    /// Examine Nix and this machine, and say what to mend
    Doctor,
    /// Provide what this machine lacks for the testbed (Nix itself included)
    Setup(Setup),
    /// Set up, check, build and benchmark: what tuning is worth on this machine
    Demo(Demo),
    /// Run every test of the project
    Test(Test),
    /// Show a recorded log as build-all would
    #[command(hide = true)]
    ProgressDemo(ProgressDemo),
    /// Measure how fast a command is, against its budgets
    Perf(Perf),
    /// Print a shell's completions, or write the man pages
    Completions(Completions),
}

/// Which hosts a command is about.
#[derive(Debug, Clone, Args)]
pub struct HostSelection {
    /// Hosts, by name; none: the whole fleet
    #[arg(value_name = "HOST")]
    pub hosts: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub selection: HostSelection,
    /// How many evaluators may run at once; default: by cores and memory
    #[arg(long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// What all evaluators together may hold, for example 4G; default: most of what is free
    #[arg(long, value_name = "SIZE", value_parser = crate::domain::batch::bytes)]
    pub max_memory: Option<u64>,
    /// Evaluate every host, also where nothing changed since it was evaluated
    #[arg(long)]
    pub no_cache: bool,
    /// Give a host's evaluation up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
    /// Evaluate all of each host too, its assertions among it (seconds and gigabytes a host)
    #[arg(long)]
    pub full: bool,
    /// Evaluate the flake's llama.cpp packages of every system too
    #[arg(long)]
    pub all_systems: bool,
    /// Write the report as JUnit XML too, a case for each host
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct BuildAll {
    #[command(flatten)]
    pub selection: HostSelection,
    /// Only variants that have this backend
    #[arg(long, value_name = "BACKEND", value_parser = ["cpu", "cuda", "vulkan", "rocm"])]
    pub backend: Option<String>,
    /// Only the variant of this name; may be given several times
    #[arg(long, value_name = "NAME")]
    pub variant: Vec<String>,
    /// Build the flake's own packages too, portable ones for each backend
    #[arg(long)]
    pub packages: bool,
    /// Where to link what was built, so that no garbage collection takes it; default: result/
    /// beside flake.nix
    #[arg(long, value_name = "FOLDER", conflicts_with = "no_link")]
    pub out_link: Option<PathBuf>,
    /// Leave no links
    #[arg(long)]
    pub no_link: bool,
    /// Copy what was built to this store, a URL as `nix copy --to` takes it
    #[arg(long, value_name = "STORE")]
    pub push: Option<String>,
    /// Show what would be built and fetched, and stop there
    #[arg(long)]
    pub dry_run: bool,
    /// How many builds may run at once (Nix's max-jobs); default: by cores and memory
    #[arg(long, value_name = "N")]
    pub max_jobs: Option<u32>,
    /// How many cores one build may use (Nix's cores); default: all that memory bears
    #[arg(long, value_name = "N")]
    pub cores: Option<u32>,
    /// Machines that build, as in Nix's `builders`; default: nix.conf's
    #[arg(long, value_name = "SPEC")]
    pub builders: Option<String>,
    /// Try again what failed for want of network or of a builder, as often as this
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retry: u32,
    /// Give one build up after this many seconds; default: nix.conf's
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// Give one build up after this many seconds without a line; default: nix.conf's
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_silent_time: Option<u64>,
    /// Write the report as JUnit XML too, a case for each variant
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub junit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Bench {
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
    /// Give llama-bench up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub timeout: u64,
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
    #[arg(long, value_name = "NAME=VALUE", value_parser = crate::domain::bench::variable)]
    pub env: Vec<String>,
    #[command(flatten)]
    pub sweep: Sweep,
    /// Further llama-bench arguments, after `--`
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BuildOn {
    Here,
    Target,
}

#[derive(Debug, Args)]
pub struct Bisect {
    /// A revision, tag or branch that is good; default: the one in flake.lock
    #[arg(long, value_name = "REV")]
    pub good: Option<String>,
    /// A later one that is bad; default: the newest of the branch that flake.nix names
    #[arg(long, value_name = "REV")]
    pub bad: Option<String>,
    /// Search for what breaks this host; `--by bench` needs one
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// What makes a revision bad: eval, build, bench or bench:PERCENT (slower by that much)
    #[arg(long, default_value = "eval", value_parser = crate::domain::bisect_report::By::parse)]
    pub by: crate::domain::bisect_report::By,
    /// Search llama.cpp's builds (tags bN) only, not each commit
    #[arg(long)]
    pub tags: bool,
    /// The input of the flake that is llama.cpp
    #[arg(long, value_name = "INPUT", default_value = "llama-cpp")]
    pub input: String,
    /// Lock the newest good revision, by the same transaction as `update`
    #[arg(long)]
    pub apply: bool,
    /// Judge everything anew, also what an interrupted search judged
    #[arg(long)]
    pub anew: bool,
    /// With `--by bench`: measure on this SSH destination instead of the fleet table's
    #[arg(long, value_name = "DESTINATION", conflicts_with = "local")]
    pub target: Option<String>,
    /// With `--by bench`: measure the host's variant on this machine
    #[arg(long)]
    pub local: bool,
}

#[derive(Debug, Args)]
pub struct Update {
    /// A build tag (b10453), a branch or a commit; default: the newest of the input's branch
    #[arg(long, value_name = "REVISION")]
    pub to: Option<String>,
    /// The input that is llama.cpp; of an input's own input: OUTER/INNER
    #[arg(long, value_name = "INPUT", default_value = "llama-cpp")]
    pub input: String,
    /// Also measure on these hosts, and refuse what is slower
    #[arg(long, value_name = "HOST", num_args = 1..)]
    pub bench: Vec<String>,
    /// Hosts that fail stay at the revision that they have; the others move
    #[arg(long)]
    pub allow_partial: bool,
    /// Commit flake.lock, with the report as the message
    #[arg(long)]
    pub commit: bool,
    /// Evaluate every host with it, and stop there
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Rollback {
    /// How many pins to go back
    #[arg(long, value_name = "N", default_value = "1")]
    pub to: std::num::NonZeroUsize,
    /// Show the pins that can be gone back to, and stop there
    #[arg(long)]
    pub list: bool,
    /// The input that is llama.cpp
    #[arg(long, value_name = "INPUT", default_value = "llama-cpp")]
    pub input: String,
}

#[derive(Debug, Args)]
pub struct Report {
    /// Hosts, by name; none: every host that has been measured
    #[arg(value_name = "HOST")]
    pub hosts: Vec<String>,
    /// Read this folder's HOST.jsonl; default: where `bench` keeps its results
    #[arg(long, value_name = "FOLDER")]
    pub record: Option<PathBuf>,
    /// Write one self-contained HTML page; `-`: to standard output
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write Markdown tables; `-`: to standard output
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Probe {
    /// The host that is read, over SSH; `local`: this machine
    #[arg(value_name = "HOST")]
    pub host: Option<String>,
    /// Read this machine
    #[arg(long)]
    pub local: bool,
    /// Read this SSH destination instead of the fleet table's
    #[arg(long, value_name = "DESTINATION", conflicts_with = "local")]
    pub target: Option<String>,
    /// Read this report of nixos-facter in the machine's place
    #[arg(long, value_name = "FILE", conflicts_with_all = ["local", "target"])]
    pub facter: Option<PathBuf>,
    /// Keep what was seen in hosts/HOST/facts.json, for `check`
    #[arg(long)]
    pub write: bool,
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
