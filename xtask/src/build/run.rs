//! Builds everything, and reports each build by what the store has afterwards.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::build::args::Limits;
use crate::build::derivations::{Derivation, Expected, Stage};
use crate::build::early::{Begun, EarlyBuild};
use crate::build::estimates::{History, Record};
use crate::build::history;
use crate::build::interrupted_build::{self, BuildList};
use crate::build::parallel::{self, Machine};
use crate::build::plan::{Planned, Todo, plan};
use crate::build::report::VariantReport;
use crate::build::run_state::{RunState, SharedRun};
use crate::build::variants::{Build, BuildState, short_name};
use crate::build::view;
use crate::build::{attempts, compile_error, log};
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::hardware::instructions;
use crate::nix::builders::Configured;
use crate::nix::machines::machine_name;
use crate::nix::names::{DrvPath, StorePath};
use crate::nix::{derivation, store};
use crate::system::{files, interrupt, resources};

/// Maximum bytes of a build's list of instructions, which has a dozen lines per module.
const LARGEST_LIST: u64 = 1 << 20;

/// Builds all of these, and returns a report of each.
pub fn build(context: &Context, builds: &[Build]) -> Result<Vec<VariantReport>> {
    build_planned(context, plan(context, builds)?, &Limits::default())
}

/// Like [`build`], with a plan. A build is only reported as built if it is valid in the store when
/// Nix has exited.
pub fn build_planned(
    context: &Context,
    mut planned: Planned,
    requested: &Limits,
) -> Result<Vec<VariantReport>> {
    let run = SharedRun::new(context);
    begin(context, &mut planned, requested, &run, None)?;
    report(context, &planned, run.into_state())
}

/// Builds everything that was not begun early.
pub fn begin(
    context: &Context,
    planned: &mut Planned,
    requested: &Limits,
    run: &SharedRun,
    early: Option<&EarlyBuild>,
) -> Result<()> {
    let begun = early.map(EarlyBuild::close).unwrap_or_default();
    planned.restore(&begun);
    let now = BuildList::new(planned);
    let Planned { earlier, plan, missing } = planned;
    let wanted = plan.wanted();
    let left = interrupted_build::left(&context.home).and_then(|left| left.done_of(&now));
    if !wanted.is_empty() || left.is_some() {
        view::tables::announce(&context.ui, plan, left);
    }
    if !wanted.is_empty() {
        warn_on_error(context, interrupted_build::begin(&context.home, &now));
    }
    let expected = expected(earlier, wanted.iter().map(|build| &build.drv).chain(&missing.build));
    let configured = Configured::read(&context.flake.nix);
    let limits_on = |machine| parallel::choose(&wanted, machine, &configured, requested);
    let beside = early.and_then(EarlyBuild::rest_of_machine).map(limits_on);
    let limits = match beside {
        // The running early build is one of the jobs.
        Some(limits @ Limits { jobs: Some(jobs), .. }) if jobs != 1 => {
            Limits { jobs: Some(jobs.saturating_sub(1)), ..limits }
        }
        _ => {
            early.inspect(|early| early.wait());
            limits_on(this_machine())
        }
    };
    let rest = rest(&wanted, &begun, requested, run);
    attempts::run(context, &rest, &limits, expected, run)?;
    early.inspect(|early| early.wait());
    if !interrupt::requested() && (!wanted.is_empty() || left.is_some()) {
        warn_on_error(context, interrupted_build::end(&context.home));
    }
    Ok(())
}

/// Reports each build by what the store has.
pub fn report(
    context: &Context,
    Planned { earlier, plan, .. }: &Planned,
    mut run: RunState,
) -> Result<Vec<VariantReport>> {
    if let Some(error) = run.logs.error.take() {
        // The builds themselves are in the store, and Nix has its own logs.
        context.ui.warn(format!(
            "warning: the build logs are incomplete: {error:#}; `nix log` prints Nix's own"
        ));
    }
    let outputs: BTreeSet<StorePath> =
        plan.variants.iter().map(|row| row.out_path.clone()).collect();
    let valid = store::valid(&context.flake.nix, &outputs)?;
    let is_missing = |build: &&Build| !valid.contains_key(&build.out) || deleted(build).is_some();
    let missing: Vec<&Build> = plan.wanted().into_iter().filter(is_missing).collect();
    // If Nix cannot be asked, each failure counts as the build's own.
    let all_culprits = run.culprits(context, &missing).unwrap_or_default();
    let variants: Vec<VariantReport> = plan
        .variants
        .iter()
        .map(|planned| {
            let build = &planned.build;
            let deleted = valid.get(&build.out).and_then(|_| deleted(build));
            let info = valid.get(&build.out).filter(|_| deleted.is_none());
            let culprits = all_culprits.get(&build.drv).map(Vec::as_slice).unwrap_or_default();
            let derivations = build.own_derivations();
            let own = culprits.iter().find(|drv| derivations.contains(drv));
            let failed_before_ctrl_c = culprits.iter().any(|drv| run.record(drv).attempts.failed);
            let state = match (info, planned.plan) {
                (Some(_), Todo::Present) => BuildState::Present,
                (Some(_), _) if run.tracker.was_substituted(&build.out) => BuildState::Substituted,
                (Some(_), _) => BuildState::Built,
                (None, _) if deleted.is_some() => BuildState::Failed,
                (None, Todo::Unsupported) => BuildState::Unsupported,
                (None, Todo::NeedsSetup) => BuildState::NeedsSetup,
                (None, _) if interrupt::requested() && !failed_before_ctrl_c => {
                    BuildState::Interrupted
                }
                (None, _) if culprits.is_empty() || own.is_some() => BuildState::Failed,
                (None, _) => BuildState::DependencyFailed,
            };
            let failed = matches!(state, BuildState::Failed | BuildState::DependencyFailed);
            let culprit = own.or(culprits.first()).unwrap_or(&build.drv);
            let row = run.record(&build.drv);
            let machine = machine_name(&row.machine);
            let build_seconds = |drv: &&DrvPath| run.record(drv).build_seconds(run.now());
            VariantReport {
                build: build.clone(),
                out_path: info.map(|_| build.out.clone()),
                state,
                seconds: derivations.iter().map(build_seconds).sum(),
                log: run.logs.file(culprit).map(|file| file.display().to_string()),
                closure_bytes: info.and_then(|info| info.closure_size),
                machine: Some(machine.to_owned()).filter(|machine| !machine.is_empty()),
                attempts: Some(row.attempts.count).filter(|count| *count > 1),
                reason: match deleted {
                    Some(path) => Some(format!(
                        "{path} is missing on disk, although Nix's database has it; `nix store \
                         repair {path}` restores it"
                    )),
                    None if failed => run.reason(build, culprit),
                    None => planned.lacks.first().map(|toolkit| {
                        format!("it needs {}: run `{}`", toolkit.name, toolkit.setup_command())
                    }),
                },
                failed_dependency: (state == BuildState::DependencyFailed)
                    .then(|| short_name(culprit.as_str()).to_owned()),
                failed_part: part(build, culprit).filter(|_| state == BuildState::Failed),
                first_error: run
                    .logs
                    .file(culprit)
                    .filter(|_| failed)
                    .and_then(|log| compile_error::first(log::lines(log))),
                closure_change_bytes: closure_change(earlier, build, info),
                link: None,
                findings: info.map_or_else(Vec::new, |_| instruction_findings(build)),
                pushed: None,
                tail_shown: failed && run.record(culprit).stage == Stage::Failed,
                log_tail: if failed { run.record(culprit).tail.lines() } else { vec![] },
            }
        })
        .collect();
    record_times(context, &variants, &run);
    Ok(variants)
}

/// Returns the name of the build's part with this derivation.
fn part(build: &Build, drv: &DrvPath) -> Option<String> {
    let part = build.manifest.parts.iter().find(|part| part.drv_path == *drv);
    part.map(|part| part.name.clone())
}

/// Returns the output, or one of its parts, that is deleted, although Nix may have it as valid.
fn deleted(build: &Build) -> Option<&StorePath> {
    let parts = build.manifest.parts.iter().map(|part| &part.output);
    parts.chain([&build.out]).find(|path| !store::exists(path))
}

/// Warns that the file of an interrupted build cannot be written, which does not stop the build.
fn warn_on_error(context: &Context, written: Result<()>) {
    if let Err(error) = written {
        context.ui.warn(format!("warning: {error:#}"));
    }
}

/// Checks the build's list of its instructions.
fn instruction_findings(build: &Build) -> Vec<Finding> {
    let file = Path::new(build.out.as_str()).join(instructions::FILE);
    let counts = files::read_limited(&file, LARGEST_LIST).ok();
    instructions::findings(&build.manifest, counts.as_deref())
}

/// Returns the times of earlier builds of these derivations.
pub fn expected<'a>(
    earlier: &History,
    drvs: impl Iterator<Item = &'a DrvPath>,
) -> Vec<(DrvPath, Expected)> {
    let seconds = |drv: &DrvPath| earlier.seconds(short_name(drv.as_str()), "");
    drvs.map(|drv| (drv.clone(), Expected { seconds: seconds(drv), needed_by: None })).collect()
}

/// Returns the change of the closure size since another output of this name was built, in bytes.
fn closure_change(earlier: &History, build: &Build, info: Option<&store::PathInfo>) -> Option<i64> {
    let now = i64::try_from(info?.closure_size?).ok()?;
    let before = earlier.before(short_name(build.drv.as_str()), &build.out)?.closure_bytes?;
    Some(now - i64::try_from(before).ok()?)
}

/// Records the times of completed builds, for the estimates of the next run.
fn record_times(context: &Context, variants: &[VariantReport], run: &RunState) {
    let record = |drv: &DrvPath, row: &Derivation, out, closure_bytes| Record {
        name: short_name(drv.as_str()).to_owned(),
        machine: row.machine.clone(),
        seconds: row.build_seconds(run.now()),
        out,
        closure_bytes,
    };
    let mut records = vec![];
    for variant in variants.iter().filter(|variant| variant.state == BuildState::Built) {
        let row = run.record(&variant.build.drv);
        // Another process may have built it.
        if row.started {
            let out = variant.out_path.clone();
            records.push(record(&variant.build.drv, row, out, variant.closure_bytes));
        }
    }
    for (drv, row) in run.tracker.derivations.iter() {
        let is_ended = row.started && row.stage == Stage::Ended && !row.is_variant();
        if is_ended && derivation::is_built(drv) {
            records.push(record(drv, row, None, None));
        }
    }
    if let Err(error) = history::add(&context.home, &records) {
        context
            .ui
            .warn(format!("warning: cannot record build times for later estimates: {error:#}"));
    }
}

/// Returns the builds that were not begun early, except those with a failed part.
fn rest<'a>(
    wanted: &[&'a Build],
    begun: &Begun,
    requested: &Limits,
    run: &SharedRun,
) -> Vec<&'a Build> {
    let mut state = run.lock();
    let errors: Vec<String> =
        begun.keys().flat_map(|drv| state.record(drv).attempts.errors.clone()).collect();
    let mut rest = vec![];
    for build in wanted {
        let failed =
            |drv: &DrvPath| requested.retry == 0 && state.record(drv).stage == Stage::Failed;
        if begun.contains_key(&build.drv) {
            // It may have more hosts than when it was begun.
            state.tracker.derivations.set_wanted_by(build);
        } else if build.manifest.parts.iter().any(|part| failed(&part.drv_path)) {
            state.attempts(&build.drv).errors.clone_from(&errors);
        } else {
            rest.push(*build);
        }
    }
    rest
}

pub fn this_machine() -> Machine {
    Machine { cores: resources::cores(), memory: resources::free_memory() }
}
