//! The machine on which `update --bench` compares the builds before and after the update.

use anyhow::{Context as _, Error, Result, anyhow};
use clap::{Args as _, FromArgMatches as _};

use crate::bench::args::BenchArgs;
use crate::bench::command::{or_findings, params, target, tuned_subject};
use crate::bench::deploy::comparison_targets;
use crate::bench::machine::Machine;
use crate::bench::measure::Setup;
use crate::bench::measurement::Subject;
use crate::bench::model::choice::chosen_model;
use crate::bench::paired_run::{self, PairedRun, Rounds};
use crate::bench::session::{Session, open};
use crate::findings::finding::Severity;
use crate::fleet::context::Context;

/// A host's machine, connected and locked, with the defaults of `bench HOST`.
pub struct CanaryMachine {
    args: BenchArgs,
    machine: Machine,
    _session: Session,
}

impl CanaryMachine {
    /// # Errors
    /// [`crate::findings::finding::Finding`].
    pub fn reach(context: &Context, host: &str) -> Result<Self> {
        // Two repetitions, because more rounds are worth more than more repetitions.
        let matches = BenchArgs::augment_args(clap::Command::new("bench"))
            .try_get_matches_from(["bench", host, "--repetitions", "2"])
            .context("bench's own arguments")?;
        let args = BenchArgs::from_arg_matches(&matches)?;
        // An invalid destination is a usage error, not a finding.
        let mut target = target(&args, context).map_err(|error| anyhow!("{error:#}"))?;
        let session = open(context, &mut target, &format!("update --bench {host}"), true)?;
        let machine = Machine::discover(&target)?;
        Ok(Self { args, machine, _session: session })
    }

    /// Returns the variant that fits the machine, for `local`, which is not a host of the flake.
    pub fn tuned(&self, context: &Context) -> Result<Subject> {
        tuned_subject(context, &self.machine)
    }

    /// Builds and copies both builds, and runs them in turns.
    ///
    /// # Errors
    /// [`crate::findings::finding::Finding`].
    pub fn compare(
        &self,
        context: &Context,
        [before, after]: [&Subject; 2],
        rounds: Rounds,
    ) -> Result<PairedRun> {
        let Self { args, machine, .. } = self;
        let mut model = chosen_model(args, after)?;
        let subjects = [("before", before), ("after", after)];
        let ready = or_findings(comparison_targets(args, context, machine, &subjects, &mut model))?;
        let (targets, path, _) = ready.map_err(|findings| {
            let error = findings.into_iter().find(|it| it.severity == Severity::Error);
            error.map_or_else(|| anyhow!("a build cannot be measured"), Error::from)
        })?;
        let (ui, model, params) = (&context.ui, &model.about, &params(args, after));
        paired_run::run(Setup { ui, machine, model, model_path: &path, params }, &targets, rounds)
    }
}
