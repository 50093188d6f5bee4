//! Runs the command that was asked for.

use anyhow::Result;

#[cfg(feature = "man")]
use crate::cli::man;
use crate::cli::{Cli, Command, complete, completions};
use crate::findings::outcome::Outcome;
use crate::fleet::context::Context;
use crate::ui::Ui;
use crate::{bench, build, check, ci, dev, doctor, findings, hardware, list, new_host, pin};

pub fn run(cli: &Cli, ui: &Ui) -> Result<Outcome> {
    let global = &cli.global;
    let open = || Context::open(global, ui);
    match &cli.command {
        Command::Check(args) if args.watch => check::watch::run(args, global, ui),
        Command::Check(args) => ci::run::run(ui, "check", args.junit.as_deref(), &|ci| {
            check::command::run(args, &open()?, ci)
        }),
        Command::BuildAll(args) => ci::run::run(ui, "build-all", args.junit.as_deref(), &|ci| {
            build::command::run(args, &open()?, ci)
        }),
        Command::Bench(args) => bench::command::run(args, &open()?),
        Command::Bisect(args) => pin::bisect::run(args, &open()?),
        Command::Update(args) => pin::update::run(args, &open()?),
        Command::Rollback(args) => pin::rollback::run(args, &open()?),
        Command::Report(args) => bench::report::command::run(args, global, ui),
        Command::Probe(args) => hardware::probe::run(args, global, ui),
        Command::NewHost(args) => new_host::command::run(args, global, ui),
        Command::List => list::run(&open()?),
        Command::Log(args) => build::latest_logs::run(args, &open()?),
        Command::Matrix(args) => build::matrix::run(args, &open()?),
        Command::Explain(args) => findings::explain::run(args, ui),
        Command::Doctor => doctor::command::run(global, ui),
        Command::Setup(args) => dev::setup::run(args, ui),
        Command::Demo(args) => dev::demo::run(args, global, ui),
        Command::Test(args) => dev::test::run(args, global, ui),
        Command::Perf(args) => dev::perf::run(args, global, ui),
        Command::Completions(args) => completions::run(args, ui),
        Command::Complete(args) => complete::run(args, ui),
        #[cfg(feature = "man")]
        Command::Man { folder } => man::write(folder).map(|()| Outcome::Ok),
    }
}
