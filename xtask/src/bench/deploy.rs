//! Deploys a variant and the model to the target, after checking whether it can run there.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::bench::args::{BenchArgs, BuildOn};
use crate::bench::command::params;
use crate::bench::machine::Machine;
use crate::bench::measurement::{Refusal, Subject};
use crate::bench::model::choice::{ChosenModel, model_size, provide};
use crate::bench::paired_run::ComparisonTarget;
use crate::bench::preflight::preflight;
use crate::bench::preflight_rules::closure_fits;
use crate::build::run as build_all;
use crate::build::variants::BuildState;
use crate::build::variants::distinct;
use crate::findings::finding::{Finding, none_is_an_error, or_finding};
use crate::findings::view::print;
use crate::fleet::context::Context;
use crate::fleet::manifest::{HostContext, Selection};
use crate::nix::names::{DrvPath, StorePath};
use crate::nix::store;
use crate::system::interrupt::Interrupted;
use crate::target::Target;

/// Timeout for checking which of some hundred paths exist.
const PATHS_TIMEOUT: Duration = Duration::from_secs(60);

/// Deploys the builds of a paired run, and prints their warnings. Returns them, the model's path on
/// the target and the warnings.
///
/// # Errors
/// A [`Refusal`]: one of them cannot be measured.
pub fn comparison_targets(
    args: &BenchArgs,
    context: &Context,
    machine: &Machine,
    subjects: &[(&str, &Subject)],
    chosen: &mut ChosenModel,
) -> Result<(Vec<ComparisonTarget>, String, Vec<Finding>)> {
    let (mut targets, mut model_path, mut warnings) = (vec![], String::new(), vec![]);
    for (label, subject) in subjects {
        let bench_args = params(args, subject).args;
        let (path, mut findings) = prepare(args, context, machine, subject, &bench_args, chosen)?;
        let Some(path) = path else {
            findings.iter_mut().for_each(|it| it.message = format!("{label}: {}", it.message));
            bail!(Refusal(findings));
        };
        model_path = path;
        // Warnings about the machine are the same for each build.
        for finding in findings {
            if !warnings.contains(&finding) {
                print(&context.ui, subject.host.as_str(), &finding);
                warnings.push(finding);
            }
        }
        targets.push(ComparisonTarget::new(label, subject));
    }
    Ok((targets, model_path, warnings))
}

/// Checks whether the subject can run on the target with these arguments, and if it can, deploys it
/// and the model. Returns the model's path on the target, unless a finding is an error, and all
/// findings.
pub fn prepare(
    args: &BenchArgs,
    context: &Context,
    machine: &Machine,
    subject: &Subject,
    bench_args: &[String],
    chosen: &mut ChosenModel,
) -> Result<(Option<String>, Vec<Finding>)> {
    let mut findings = preflight(machine, subject, bench_args, args.force);
    if none_is_an_error(&findings) {
        match or_finding(deploy(args, context, machine, subject, chosen))? {
            Ok(path) => return Ok((Some(path), findings)),
            Err(finding) => findings.push(finding),
        }
    }
    Ok((None, findings))
}

/// Builds the subject, and copies it and the model to the target. Returns the model's path there.
///
/// # Errors
/// [`Finding`]: one of these steps failed.
fn deploy(
    args: &BenchArgs,
    context: &Context,
    machine: &Machine,
    subject: &Subject,
    chosen: &mut ChosenModel,
) -> Result<String> {
    // Checked before the build, which takes longer.
    chosen.about.bytes = Some(model_size(&chosen.place, context, machine, subject)?);
    match (&subject.drv_path, args.build_on, &machine.target) {
        (None, ..) => {}
        (Some(drv), BuildOn::Target, Target::Ssh(_)) => {
            build_on_target(context, machine, subject, drv)?
        }
        _ => build_and_copy(context, machine, subject)?,
    }
    provide(&chosen.place, context, machine)
}

/// Builds on this machine and copies to the target.
pub fn build_and_copy(context: &Context, machine: &Machine, subject: &Subject) -> Result<()> {
    build(context, subject)?;
    copy(context, machine, subject)
}

/// Builds with the target's Nix in its store.
fn build_on_target(
    context: &Context,
    machine: &Machine,
    subject: &Subject,
    drv: &DrvPath,
) -> Result<()> {
    let (ui, target) = (&context.ui, &machine.target);
    ui.status(format!("building {} on {}", subject.manifest.variant, target.name()));
    target.build_on_target(&context.flake.nix, drv, &mut |_, line| {
        ui.debug(String::from_utf8_lossy(line));
    })
}

/// Copies the closure of the built subject to the target's store.
pub fn copy(context: &Context, machine: &Machine, subject: &Subject) -> Result<()> {
    let (ui, target, path) = (&context.ui, &machine.target, &subject.store_path);
    let Target::Ssh(_) = target else { return Ok(()) };
    let nix = &context.flake.nix;
    let bytes = absent_bytes(target, &store::closure(nix, path)?)?;
    if let Some(full) = closure_fits(bytes, &machine.state, target.name()) {
        bail!(full);
    }
    ui.status(format!("copying {path} to {}", target.name()));
    target.copy_closure(nix, path, &mut |_, line| ui.debug(String::from_utf8_lossy(line)))
}

/// Returns the total size of the paths that the target does not have.
fn absent_bytes(target: &Target, sizes: &[(StorePath, u64)]) -> Result<u64> {
    const ABSENT: &str = r#"for path; do [ -e "$path" ] || printf '%s\n' "$path"; done"#;
    let on_disk: BTreeMap<String, u64> =
        sizes.iter().map(|(path, size)| (target.on_disk(path.as_str()), *size)).collect();
    let paths = on_disk.keys().map(String::as_str);
    let argv: Vec<&str> = ["sh", "-c", ABSENT, "llamafleet"].into_iter().chain(paths).collect();
    let mut bytes = 0;
    target.run(&argv, PATHS_TIMEOUT, &mut |_, line| {
        bytes += on_disk.get(&*String::from_utf8_lossy(line)).unwrap_or(&0);
    })?;
    Ok(bytes)
}

fn build(context: &Context, subject: &Subject) -> Result<()> {
    let host = &subject.host;
    let Some(drv_path) = subject.drv_path.clone() else { return Ok(()) };
    let selection = Selection {
        manifest: subject.manifest.clone(),
        drv_path,
        out_path: subject.store_path.clone(),
        context: HostContext::default(),
    };
    let builds = distinct([(host, &selection)]);
    let variants = build_all::build(context, &builds)?;
    let Some(failed) = variants.into_iter().find(|variant| !variant.state.ok()) else {
        return Ok(());
    };
    if failed.state == BuildState::Interrupted {
        bail!(Interrupted);
    }
    let first = failed.first_error.as_ref().map(|line| format!("; first error: {line}"));
    let log = failed.log.as_ref().map(|log| format!("; its log: {log}")).unwrap_or_default();
    Err(Finding::error(
        "not-built",
        format!("{}{}{log}", failed.failure(), first.unwrap_or_default()),
        format!("see `cargo xtask build-all {host}`"),
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_paths_need_space() {
        let sizes = [("/", 7), ("/nonexistent/a b", 5), ("/nonexistent/'$(b)", 3)];
        let sizes = sizes.map(|(path, size)| (StorePath::new(path), size));
        assert_eq!(absent_bytes(&Target::Local, &sizes).unwrap(), 8);
    }
}
