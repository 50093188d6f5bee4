//! Evaluates the whole system of each host for `check --full`, and the flake's packages for every
//! system for `--all-systems`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::slice;
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
use crate::fleet::queries::Toplevel;
use crate::nix::flake::{EvalFailure, lacks};
use crate::system::interrupt::{self, Interrupted};
use crate::system::resources;
use crate::ui::progress::Spinner;

/// Memory for one evaluator, in bytes: a whole NixOS needs up to 4.5 GB.
const MEMORY_OF_ONE: u64 = 5 << 30;

/// Evaluates the whole system of each host whose variant evaluates, each in its own process.
pub fn hosts(context: &Context, report: &mut CheckReport, options: EvalOptions) -> Result<()> {
    let hosts: Vec<HostName> = report
        .hosts
        .iter()
        .filter(|host| host.drv_path.is_some() || host.state == HostState::Unsupported)
        .map(|host| host.host.clone())
        .collect();
    let jobs = options.jobs.map_or_else(|| usual_jobs(options.max_memory), NonZeroUsize::get);
    let spinner = Spinner::start(&context.ui, "evaluating whole systems", hosts.len());
    let results = parallel_map(&hosts, jobs, |host| {
        let result = context.flake.toplevel(host, options.timeout);
        spinner.done(host.as_str());
        result
    })?;
    spinner.finish();
    for (host, result) in hosts.iter().zip(results) {
        let (state, finding) = match result {
            Ok(Ok(toplevel)) => {
                add_toplevel(report, host, toplevel);
                continue;
            }
            Ok(Err(failure)) => explain_at(context, host.as_str(), &failure)?,
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => bad_output(&format!("{error:#}")),
        };
        report.add_with_state(host, finding, state);
    }
    Ok(())
}

fn add_toplevel(report: &mut CheckReport, host: &HostName, toplevel: Toplevel) {
    for sentence in &toplevel.assertions {
        let finding = variant_rules::failed_assertion(sentence);
        report.add_with_state(host, finding, HostState::EvalError);
    }
    for sentence in &toplevel.warnings {
        report.add(host, variant_rules::nixos_warning(sentence));
    }
    if let Some(report) = report.hosts.iter_mut().find(|report| report.host == *host) {
        report.toplevel = toplevel.drv_path;
    }
}

/// Evaluates every `packages.SYSTEM.llama-cpp-*`.
pub fn packages(context: &Context, report: &mut CheckReport, timeout: Duration) -> Result<()> {
    let systems = match package_names(context, timeout)? {
        Ok(systems) => systems,
        Err(finding) => {
            report.findings.push(finding);
            return Ok(());
        }
    };
    if systems.is_empty() {
        report.findings.push(Finding::warning(
            "no-packages",
            "this flake has no `packages`, so --all-systems has nothing to evaluate",
            "drop --all-systems, or add packages to the flake",
        ));
    }
    let count = systems.values().map(Vec::len).sum();
    let spinner = Spinner::start(&context.ui, "evaluating packages", count);
    for (system, names) in systems {
        let query = |names: &[String]| context.flake.package_derivations(&system, names, timeout);
        for (package, evaluated) in each_package(context, &system, names, &spinner, query)? {
            let (state, drv_path, findings) = match evaluated {
                Ok(drv) => (HostState::Ok, Some(drv), vec![]),
                Err((state, finding)) => (state, None, vec![finding]),
            };
            let system = system.clone();
            report.packages.push(PackageReport { system, package, state, drv_path, findings });
        }
    }
    Ok(())
}

/// Returns the names of llama.cpp's packages by system, or why the flake does not list them.
pub fn package_names(
    context: &Context,
    timeout: Duration,
) -> Result<Result<BTreeMap<String, Vec<String>>, Finding>> {
    Ok(match context.flake.packages(timeout)? {
        Err(failure) if lacks(&failure, "packages") => Ok(BTreeMap::new()),
        Err(failure) => Err(explain_at(context, "packages", &failure)?.1),
        Ok(systems) => Ok(systems),
    })
}

/// A package's name, and what `query` returns for it or why it does not evaluate.
type Evaluated<T> = (String, Result<T, (HostState, Finding)>);

/// Evaluates packages of one system together; if that fails, each alone, so that one broken
/// package never hides another.
pub fn each_package<T>(
    context: &Context,
    system: &str,
    names: Vec<String>,
    spinner: &Spinner,
    query: impl Fn(&[String]) -> Result<Result<BTreeMap<String, T>, EvalFailure>>,
) -> Result<Vec<Evaluated<T>>> {
    let mut together = query(&names)?.unwrap_or_default();
    let evaluate = |name: String| {
        interrupt::check()?;
        let evaluated = match together.remove(&name) {
            Some(found) => Ok(found),
            None => match query(slice::from_ref(&name))? {
                Ok(mut alone) => alone
                    .remove(&name)
                    .ok_or_else(|| bad_output("the evaluator answered for another package")),
                Err(failure) => {
                    Err(explain_at(context, &format!("packages.{system}.{name}"), &failure)?)
                }
            },
        };
        spinner.done(&name);
        Ok((name, evaluated))
    };
    names.into_iter().map(evaluate).collect()
}

fn usual_jobs(max_memory: Option<u64>) -> usize {
    let cores = resources::cores();
    let room = max_memory.or_else(resources::free_memory).map_or(1, |bytes| bytes / MEMORY_OF_ONE);
    cores.min(usize::try_from(room).unwrap_or(1)).max(1)
}

/// Runs `work` on each item, `jobs` at a time; returns the results in the items' order.
fn parallel_map<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![]);
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at).filter(|_| !interrupt::requested()) else {
                        break;
                    };
                    let result = work(item);
                    if let Ok(mut results) = results.lock() {
                        results.push((at, result));
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().map_err(|_| anyhow!("an evaluation thread panicked"))?;
    if results.len() != items.len() {
        bail!(Interrupted);
    }
    results.sort_by_key(|(at, _)| *at);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
