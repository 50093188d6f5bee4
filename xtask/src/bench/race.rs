//! Two builds for one host, run alternately on its machine: what an update does on its
//! canaries.

use anyhow::{Context as _, Result};
use clap::{Args as _, FromArgMatches as _};

use crate::bench::args::BenchArgs;
use crate::bench::command::{from_selection, get_ready, llama_bench, params, target, tuned};
use crate::bench::machine::Machine;
use crate::bench::measurement::Subject;
use crate::bench::model::choice::chosen_model;
use crate::bench::paired_run::{Comparison, Contender, compare};
use crate::bench::preflight::preflight;
use crate::bench::session::{Hold, hold};
use crate::findings::finding::{Finding, Severity};
use crate::fleet::context::Context;
use crate::hardware::microarch::Table;
use crate::nix::names::HostName;
use crate::target::selection::LOCAL;

/// A host's machine, reached, with the choices that `bench HOST` makes by itself.
pub struct Course {
    args: BenchArgs,
    machine: Machine,
    _hold: Hold,
}

impl Course {
    pub fn reach(context: &Context, host: &str) -> Result<Result<Self, Finding>> {
        // Two of them a round, for as many rounds: what disturbs the machine meets both.
        let words = ["bench", host, "--repetitions", "2"];
        let matches = BenchArgs::augment_args(clap::Command::new("bench"))
            .try_get_matches_from(words)
            .context("bench's own arguments")?;
        let args = BenchArgs::from_arg_matches(&matches)?;
        let mut target = target(&args, context)?;
        let hold = match hold(context, &mut target, &format!("update --bench {host}"), true)? {
            Ok(hold) => hold,
            Err(finding) => return Ok(Err(finding)),
        };
        Ok(Machine::discover(&target)?.map(|machine| Self { args, machine, _hold: hold }))
    }

    /// The variant that fits the machine: for `local`, which is no host of the flake.
    pub fn tuned(&self, context: &Context) -> Result<Subject> {
        let table = Table::embedded().context("microarch.json")?;
        let name = self.machine.microarch(&table);
        let name = name.context("no microarchitecture fits this CPU")?;
        Ok(from_selection(HostName::new(LOCAL), tuned(context, &name)?))
    }

    /// Builds both, takes both there, and runs them for `rounds`.
    pub fn race(
        &self,
        context: &Context,
        before: &Subject,
        after: &Subject,
        rounds: u32,
    ) -> Result<Result<Comparison, Finding>> {
        let Self { args, machine, .. } = self;
        let mut contenders = vec![];
        let mut model = None;
        for (label, subject) in [("before", before), ("after", after)] {
            let wrong = preflight(machine, subject, args.force)?;
            if let Some(wrong) = wrong.into_iter().find(|it| it.severity == Severity::Error) {
                return Ok(Err(wrong));
            }
            let chosen = chosen_model(args, subject)?;
            match get_ready(args, context, machine, subject, chosen)? {
                Ok(ready) => model = Some(ready),
                Err((_, finding)) => {
                    let unsaid =
                        || Finding::error("not-ready", "it cannot be measured", "run bench");
                    return Ok(Err(finding.unwrap_or_else(unsaid)));
                }
            }
            contenders.push(Contender {
                label: label.to_owned(),
                subject: subject.clone(),
                llama_bench: machine.target.on_disk(&llama_bench(subject)),
            });
        }
        let (about, path) = model.context("no model")?;
        let params = params(args, after);
        compare(&context.ui, machine, &contenders, (&about, &path), &params, (rounds, 1)).map(Ok)
    }
}
