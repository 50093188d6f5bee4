//! The commands. Each shows its four steps: discover, plan, run, report.

pub mod bench;
pub mod bisect;
pub mod build_all;
pub mod candidate;
pub mod check;
pub mod ci;
pub mod completions;
pub mod context;
pub mod demo;
pub mod doctor;
pub mod evaluate;
pub mod facts;
pub mod list;
pub mod matrix;
pub mod new_host;
pub mod perf;
pub mod probe;
pub mod progress_demo;
pub mod report;
pub mod rollback;
pub mod setup;
pub mod systems;
pub mod test;
pub mod update;
pub mod validate;

use anyhow::Result;

use crate::cli::{Cli, Command};
use crate::ui::Ui;

/// How a command ended when nothing broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Exit status 0.
    Well,
    /// Exit status 1: there is something for the user to mend.
    Findings,
}

impl Outcome {
    pub fn from_ok(ok: bool) -> Self {
        if ok { Self::Well } else { Self::Findings }
    }
}

pub fn run(cli: &Cli, ui: &Ui) -> Result<Outcome> {
    let open = || context::Context::open(&cli.global, ui);
    match &cli.command {
        Command::Check(args) => {
            ci::run(ui, "check", args.junit.as_deref(), |ci| check::run(args, &open()?, ci))
        }
        Command::BuildAll(args) => {
            ci::run(ui, "build-all", args.junit.as_deref(), |ci| build_all::run(args, open()?, ci))
        }
        Command::Doctor => doctor::run(&cli.global, ui),
        Command::List => list::run(&open()?),
        Command::NewHost(args) => new_host::run(args, &cli.global, ui),
        Command::Matrix(args) => matrix::run(args, &open()?),
        Command::Update(args) => update::run(args, &open()?),
        Command::Rollback(args) => rollback::run(args, &open()?),
        Command::Setup(args) => setup::run(args, ui),
        Command::Completions(args) => completions::run(args, ui),
        Command::ProgressDemo(args) => progress_demo::run(args, ui),
        Command::Perf(args) => perf::run(args, &cli.global, ui),
        Command::Test(args) => test::run(args, &cli.global, ui),
        Command::Bench(args) => bench::run(args, &open()?),
        Command::Bisect(args) => bisect::run(args, &open()?),
        Command::Report(args) => report::run(args, &cli.global, ui),
        Command::Probe(args) => probe::run(args, &cli.global, ui),
        Command::Demo(args) => demo::run(args, &cli.global, ui),
    }
}
