//! `check --full` evaluates the whole system of each host, `--all-systems` the flake's packages
//! for every system.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use crate::check::eval_failure::{bad_output, explain_at};
use crate::check::evaluation::EvalOptions;
use crate::check::outcomes::HostState;
use crate::check::report::{CheckReport, PackageReport};
use crate::check::variant_rules;
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::fleet::names::HostName;
use crate::nix::names::DrvPath;
use crate::system::interrupt::{self, Interrupted};
use crate::system::resources;
use crate::ui::progress::Spinner;

/// A whole NixOS takes up to 4.5 GB to evaluate.
const MEMORY_OF_ONE: u64 = 5 << 30;

/// Evaluates the whole system of each host whose variant evaluates, each in its own process.
pub fn hosts(context: &Context, report: &mut CheckReport, options: EvalOptions) -> Result<()> {
    let asked: Vec<HostName> = report
        .hosts
        .iter()
        .filter(|host| host.drv_path.is_some() || host.state == HostState::Unsupported)
        .map(|host| host.host.clone())
        .collect();
    let jobs = options.jobs.map_or_else(|| usual_jobs(options.max_memory), NonZeroUsize::get);
    let spinner = Spinner::start(&context.ui, "evaluating whole systems", asked.len());
    let answers = side_by_side(&asked, jobs, |host| {
        let answer = context.flake.toplevel(host, options.timeout);
        spinner.done(host.as_str());
        answer
    })?;
    spinner.finish();
    for (host, answer) in asked.iter().zip(answers) {
        let evaluated = match answer {
            Ok(Ok(toplevel)) => Ok(toplevel),
            Ok(Err(failure)) => Err(explain_at(context, host.as_str(), &failure)?),
            Err(error) => Err(bad_output(&format!("{error:#}"))),
        };
        let toplevel = match evaluated {
            Ok(toplevel) => toplevel,
            Err((state, finding)) => {
                report.add_with_state(host, finding, state);
                continue;
            }
        };
        for sentence in &toplevel.assertions {
            let finding = variant_rules::failed_assertion(sentence);
            report.add_with_state(host, finding, HostState::EvalError);
        }
        for sentence in &toplevel.warnings {
            report.add(host, variant_rules::nixos_warning(sentence));
        }
        if let Some(host) = report.hosts.iter_mut().find(|report| report.host == *host) {
            host.toplevel = toplevel.drv_path;
        }
    }
    Ok(())
}

/// Evaluates every `packages.SYSTEM.llama-cpp-*`: together for each system; if that fails, each
/// alone.
pub fn packages(context: &Context, report: &mut CheckReport, timeout: Duration) -> Result<()> {
    let flake = &context.flake;
    let systems = match flake.packages(timeout)? {
        Ok(systems) => systems,
        Err(failure) if failure.stderr.contains("does not provide attribute") => {
            report.findings.push(Finding::warning(
                "no-packages",
                "this flake has no `packages`, so --all-systems has nothing to evaluate",
                "drop --all-systems, or add packages to the flake",
            ));
            return Ok(());
        }
        Err(failure) => {
            let (_, finding) = explain_at(context, "packages", &failure)?;
            report.findings.push(finding);
            return Ok(());
        }
    };
    let count = systems.values().map(Vec::len).sum();
    let spinner = Spinner::start(&context.ui, "evaluating packages", count);
    for (system, names) in &systems {
        let mut together = flake.package_derivations(system, names, timeout)?.unwrap_or_default();
        for name in names {
            interrupt::check()?;
            let evaluated = match together.remove(name) {
                Some(drv) => Ok(drv),
                None => alone(context, system, name, timeout)?,
            };
            spinner.done(name);
            let (state, drv_path, findings) = match evaluated {
                Ok(drv) => (HostState::Ok, Some(drv), vec![]),
                Err((state, finding)) => (state, None, vec![finding]),
            };
            let (system, package) = (system.clone(), name.clone());
            report.packages.push(PackageReport { system, package, state, drv_path, findings });
        }
    }
    spinner.finish();
    Ok(())
}

/// One package by itself.
fn alone(
    context: &Context,
    system: &str,
    name: &str,
    timeout: Duration,
) -> Result<Result<DrvPath, (HostState, Finding)>> {
    match context.flake.package_derivations(system, &[name.to_owned()], timeout)? {
        Ok(mut drvs) => Ok(drvs
            .remove(name)
            .ok_or_else(|| bad_output("the evaluator answered for another package"))),
        Err(failure) => {
            explain_at(context, &format!("packages.{system}.{name}"), &failure).map(Err)
        }
    }
}

fn usual_jobs(max_memory: Option<u64>) -> usize {
    let cores = resources::cores();
    let room = max_memory.or_else(resources::free_memory).map_or(1, |bytes| bytes / MEMORY_OF_ONE);
    cores.min(usize::try_from(room).unwrap_or(1)).max(1)
}

/// Runs `work` on each item, `jobs` at a time; returns the results in the items' order.
fn side_by_side<T: Sync, A: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(&T) -> A + Sync,
) -> Result<Vec<A>> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(vec![]);
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at).filter(|_| !interrupt::requested()) else {
                        break;
                    };
                    let answer = work(item);
                    if let Ok(mut answers) = answers.lock() {
                        answers.push((at, answer));
                    }
                }
            });
        }
    });
    let mut answers = answers.into_inner().map_err(|_| anyhow!("an evaluation thread panicked"))?;
    if answers.len() != items.len() {
        bail!(Interrupted);
    }
    answers.sort_by_key(|(at, _)| *at);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}
