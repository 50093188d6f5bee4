//! What `check` evaluates when it is asked for more than the variants: all of each host
//! (`--full`), and the flake's packages for every system (`--all-systems`).

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use crate::check::evaluation::EvalOptions;
use crate::check::report::{CheckReport, Evaluated, HostState, PackageReport};
use crate::check::{evaluation as evaluate, variant_rules};
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::fleet::systems::Toplevel;
use crate::nix::flake::Unanswered;
use crate::nix::names::{DrvPath, HostName};
use crate::system::interrupt;
use crate::system::interrupt::Interrupted;
use crate::system::process::Exit;
use crate::ui::progress::Spinner;

/// A whole NixOS takes up to 4.5 GB to evaluate.
const MEMORY_OF_ONE: u64 = 5 << 30;

/// Each host whose variant evaluates, whole, in a process of its own.
pub fn hosts(context: &Context, report: &mut CheckReport, ask: EvalOptions) -> Result<()> {
    let asked: Vec<HostName> = report
        .hosts
        .iter()
        .filter(|host| host.drv_path.is_some() || host.state == HostState::Unsupported)
        .map(|host| host.host.clone())
        .collect();
    let jobs = ask.jobs.map_or_else(|| usual_jobs(ask.max_memory), NonZeroUsize::get);
    let spinner = Spinner::start(&context.ui, "evaluating whole systems", asked.len());
    let answers = side_by_side(&asked, jobs, |host| {
        let answer = context.flake.toplevel(host, ask.timeout);
        spinner.done(host.as_str());
        answer
    })?;
    spinner.finish();
    for (host, answer) in asked.iter().zip(answers) {
        match answer {
            Ok(Ok(toplevel)) => whole(report, host, toplevel),
            Ok(Err(failure)) => {
                let (state, finding) = explained(context, host.as_str(), &failure)?;
                report.add_with_state(host, finding, state);
            }
            Err(error) => {
                let finding = half_an_answer(&format!("{error:#}"));
                report.add_with_state(host, finding, HostState::EvalError);
            }
        }
    }
    Ok(())
}

fn whole(report: &mut CheckReport, host: &HostName, toplevel: Toplevel) {
    for sentence in &toplevel.assertions {
        report.add_with_state(
            host,
            variant_rules::failed_assertion(sentence),
            HostState::EvalError,
        );
    }
    for sentence in &toplevel.warnings {
        report.add(host, variant_rules::nixos_warning(sentence));
    }
    if let Some(host) = report.hosts.iter_mut().find(|report| report.host == *host) {
        host.toplevel = toplevel.drv_path;
    }
}

/// Every `packages.SYSTEM.llama-cpp-*`: together for each system; where that fails, alone.
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
            let (_, finding) = explained(context, "packages", &failure)?;
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
            let answer = match together.remove(name) {
                Some(drv) => Ok(drv),
                None => alone(context, system, name, timeout)?,
            };
            spinner.done(name);
            report.packages.push(package(system, name, answer));
        }
    }
    spinner.finish();
    Ok(())
}

type Judged = Result<DrvPath, (HostState, Finding)>;

/// The same with a place, for its log.
fn alone(
    context: &Context,
    system: &str,
    name: &str,
    timeout: Duration,
) -> Result<Judged, anyhow::Error> {
    let names = [name.to_owned()];
    Ok(match context.flake.package_derivations(system, &names, timeout)? {
        Ok(mut drvs) => drvs.remove(name).ok_or_else(|| {
            let finding = half_an_answer("the evaluator answered for another package");
            (HostState::EvalError, finding)
        }),
        Err(failure) => {
            let place = format!("packages.{system}.{name}");
            Err(explained(context, &place, &failure)?)
        }
    })
}

fn package(system: &str, name: &str, answer: Judged) -> PackageReport {
    let (system, package) = (system.to_owned(), name.to_owned());
    match answer {
        Ok(drv) => PackageReport {
            system,
            package,
            state: HostState::Ok,
            drv_path: Some(drv),
            findings: vec![],
        },
        Err((state, finding)) => {
            PackageReport { system, package, state, drv_path: None, findings: vec![finding] }
        }
    }
}

/// A failure as a finding; its trace goes to the log of that place.
///
/// # Errors
/// The user interrupted it.
pub fn explained(
    context: &Context,
    place: &str,
    failure: &Unanswered,
) -> Result<(HostState, Finding)> {
    if failure.exit == Exit::Interrupted {
        bail!(Interrupted);
    }
    let log = HostName::new(format!("{place}-whole"));
    match evaluate::explained(context, &log, failure)? {
        Evaluated::Failed { state, finding } => Ok((state, finding)),
        _ => Err(anyhow!("a failure is explained as something else")),
    }
}

pub fn half_an_answer(what: &str) -> Finding {
    Finding::error("bad-eval-output", what, "run the check again with -v")
}

fn usual_jobs(max_memory: Option<u64>) -> usize {
    let cores = crate::system::resources::cores();
    let room = max_memory
        .or_else(crate::system::resources::free_memory)
        .map_or(1, |bytes| bytes / MEMORY_OF_ONE);
    cores.min(usize::try_from(room).unwrap_or(1)).max(1)
}

/// `work` on each item, `jobs` at a time; the answers in the items' order.
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
