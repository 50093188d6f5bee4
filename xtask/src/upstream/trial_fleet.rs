//! A trial: the fleet as it would be with its llama.cpp at another revision. It is
//! made beside the fleet, in a copy of what Nix sees of it, so nothing of the fleet's own
//! is touched; and what is evaluated and built there is, to the byte of every derivation,
//! what the fleet has once flake.lock and pin.json are those of the trial.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::build::report::VariantReport;
use crate::build::run as build_all;
use crate::build::variants::distinct;
use crate::check::evaluation as evaluate;
use crate::check::evaluation::{EvalOptions, Outcomes};
use crate::check::report::Evaluated;
use crate::findings::finding::Finding;
use crate::fleet::build_numbers::BuildNumbers;
use crate::fleet::context::Context;
use crate::fleet::pinned_hosts::{PinnedHost, PinnedHosts, PinnedHostsFile};
use crate::fleet::state_file::{BUILD_NUMBERS, PINNED_HOSTS};
use crate::nix::diagnosis::diagnose;
use crate::nix::flake_input::{Revision, Upstream};
use crate::nix::lockfile::{Input, LockFile};
use crate::nix::names::HostName;
use crate::nix::tree_copy::TreeCopy;
use crate::system::files;
use crate::system::interrupt::Interrupted;
use crate::system::process::Exit;
use crate::ui::sanitize::sanitize;

/// Fetching one revision, and what it needs.
const FETCH: Duration = Duration::from_secs(900);

/// What the input of llama.cpp is usually called.
pub const LLAMA_CPP: &str = "llama-cpp";

/// The pin as it is now, and the fleet it belongs to.
pub struct PinState<'a> {
    pub context: &'a Context,
    /// The flake's folder.
    pub root: PathBuf,
    pub input: Input,
    pub upstream: Upstream,
    /// What the evaluation is locked to: flake.lock, or the testbed's in its place.
    pub lock: LockFile,
    pub now: Revision,
    pub build_numbers: Option<BuildNumbers>,
    pub pinned_file: PinnedHostsFile,
}

impl<'a> PinState<'a> {
    /// `input`: where it is not the first llama.cpp of the lock file.
    ///
    /// # Errors
    /// The flake is none that could be written to, or has no lock file. What is wrong
    /// with the input is a finding.
    pub fn read(context: &'a Context, input: Option<&str>) -> Result<Result<Self, Finding>> {
        let root = context.root().with_context(|| {
            format!(
                "cannot update {}: it is not a local folder; pass --flake PATH",
                context.flake.reference
            )
        })?;
        let file = context.lock_file().context("the fleet is not a local folder")?;
        let text = files::read(&file).context("no flake.lock; run `nix flake lock` first")?;
        let lock =
            LockFile::parse(&text).with_context(|| format!("{} is not JSON", file.display()))?;
        if let Err(finding) = lock.acyclic() {
            return Ok(Err(finding));
        }
        let input = input.map(str::to_owned).or_else(|| lock.llama_cpp_path());
        let input = match lock.find(input.as_deref().unwrap_or(LLAMA_CPP)) {
            Ok(input) => input,
            Err(finding) => return Ok(Err(finding)),
        };
        let upstream = match Upstream::of(&input.name, &input.node) {
            Ok(upstream) => upstream,
            Err(finding) => return Ok(Err(finding)),
        };
        let build_numbers = BUILD_NUMBERS.read(root).map(|text| {
            BuildNumbers::read(&text)
                .with_context(|| format!("cannot parse {}", BUILD_NUMBERS.path(root)))
        });
        let build_numbers = build_numbers.transpose()?;
        let pinned_file = PINNED_HOSTS.read(root).map(|text| {
            PinnedHostsFile::read(&text)
                .with_context(|| format!("cannot parse {}", PINNED_HOSTS.path(root)))
        });
        let pinned_file = pinned_file.transpose()?.unwrap_or_default();
        let locked = input.locked();
        let Some(rev) = locked["rev"].as_str() else {
            bail!("flake.lock has no revision for {}", input.name);
        };
        let counted = locked["revCount"].as_u64();
        let now = Revision {
            rev: rev.to_owned(),
            date: locked["lastModified"].as_i64(),
            build: counted.or(build_numbers.as_ref().and_then(|pins| pins.build(rev))),
        };
        let root = root.to_owned();
        Ok(Ok(Self { context, root, input, upstream, lock, now, build_numbers, pinned_file }))
    }

    /// The hosts that are pinned to an earlier revision now.
    pub fn pinned_hosts(&self) -> PinnedHosts {
        self.pinned_file.at(&self.now.rev)
    }

    /// The build numbers for a step to this revision.
    pub fn build_numbers_for(&self, to: &Revision) -> Option<BuildNumbers> {
        let pinned: Vec<Revision> =
            self.pinned_hosts().values().map(PinnedHost::revision).collect();
        let ends = [&self.now, to];
        self.build_numbers.as_ref().map(|numbers| numbers.with(pinned.iter().chain(ends)))
    }

    /// The fleet with its input at `revision`, of which date and build may be unknown.
    /// `named`: the full ref it was found under, if any (for a git input). No host of it is
    /// pinned to another, to see whether it works now.
    ///
    /// # Errors
    /// Nix cannot be run, or the folder not be copied. That Nix cannot lock this revision
    /// (gone, an input missing, no flake) is a finding.
    pub fn trial_fleet(
        &self,
        revision: &Revision,
        named: Option<&str>,
    ) -> Result<Result<TrialFleet, Finding>> {
        let copy = TreeCopy::of(&self.root, &self.context.home, &revision.rev)?;
        let flake = copy.flake();
        write(&flake.join("flake.lock"), &self.lock.print())?;
        let made = match self.locked_by_nix(&copy, revision, named)? {
            Ok(made) => made,
            Err(finding) => return Ok(Err(finding)),
        };
        let lock = match self.lock.graft(&made, &self.input) {
            Ok(lock) => lock,
            Err(moved) => return Ok(Err(other_inputs_changed(&self.input.name, &moved))),
        };
        let locked = lock.find(&self.input.name).map_or(Value::Null, |it| it.node);
        let locked = &locked["locked"];
        if locked["rev"].as_str() != Some(revision.rev.as_str()) {
            bail!("Nix locked {} at {}, not at {}", self.input.name, locked["rev"], revision.rev);
        }
        let revision = Revision {
            rev: revision.rev.clone(),
            date: locked["lastModified"].as_i64().or(revision.date),
            build: locked["revCount"].as_u64().or(revision.build),
        };
        write(&flake.join("flake.lock"), &lock.print())?;
        if let Some(numbers) = self.build_numbers_for(&revision) {
            BUILD_NUMBERS.replace(&flake, &numbers.print())?;
        }
        if !self.pinned_file.is_empty() {
            PINNED_HOSTS.replace(&flake, &PinnedHostsFile::default().print())?;
        }
        let context = self.context.of_copy(copy.reference());
        Ok(Ok(TrialFleet { revision, lock, context, copy, input: self.input.name.clone() }))
    }

    /// `nix flake lock --override-input`, which leaves the inputs of the input at what
    /// they are; `nix flake update INPUT` would move those as well.
    fn locked_by_nix(
        &self,
        copy: &TreeCopy,
        revision: &Revision,
        named: Option<&str>,
    ) -> Result<Result<LockFile, Finding>> {
        let nix = &self.context.flake.nix;
        let new_lock = copy.flake().join("flake.lock.new");
        // What an input's input follows, Nix forgets when that is overridden, unless it reads
        // the outer flake again; it does for an update, and one of what follows moves nothing.
        let call = match self.input.follower() {
            Some(follower) => {
                nix.command(["flake", "update"]).arg(follower).arg("--flake").arg(copy.reference())
            }
            None => nix.command(["flake", "lock"]).arg(copy.reference()),
        };
        let call = call
            .args(["--override-input", &self.input.name])
            .arg(self.upstream.reference(&revision.rev, named))
            .arg("--output-lock-file")
            .arg(&new_lock);
        self.context.ui.debug(format!("$ {call}"));
        let output = nix.capture(&call, Some(FETCH))?;
        match output.exit {
            Exit::Code(0) => {}
            Exit::Interrupted => bail!(Interrupted),
            exit => {
                let stderr = output.stderr_text();
                let text = sanitize(&*stderr);
                let mut finding = diagnose(&text, None);
                finding.file = None;
                finding.line = None;
                finding.code = "not-lockable";
                finding.message = format!(
                    "{} cannot be locked at {} ({exit}): {}",
                    self.input.name,
                    revision.name(),
                    finding.message
                );
                return Ok(Err(finding));
            }
        }
        let text = files::read(&new_lock)?;
        std::fs::remove_file(&new_lock).context("cannot remove a temporary file")?;
        let made = LockFile::parse(&text).context("Nix wrote a lock file that is not JSON")?;
        Ok(Ok(made))
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn other_inputs_changed(input: &str, moved: &[String]) -> Finding {
    Finding::error(
        "others-moved",
        format!("updating {input} would also change {}", moved.join(", ")),
        "flake.lock does not match flake.nix: run `nix flake lock`, review and commit the change, \
         then update again",
    )
}

/// The fleet with one revision of its input. Its copy goes when this is dropped.
pub struct TrialFleet {
    /// With its date, and its build number as far as it can be known.
    pub revision: Revision,
    /// The lock file it would be.
    pub lock: LockFile,
    /// For every question to this fleet as to any other.
    pub context: Context,
    /// Kept for as long as the trial is.
    copy: TreeCopy,
    input: String,
}

impl TrialFleet {
    /// What its lock says of the input.
    pub fn locked(&self) -> Value {
        self.lock.find(&self.input).map_or(Value::Null, |it| it.locked().clone())
    }
}

impl TrialFleet {
    /// Pins these hosts.
    pub fn pin_hosts(&mut self, pinned: &PinnedHosts) -> Result<()> {
        let file = PinnedHostsFile::default().step("", &self.revision.rev, pinned.clone());
        PINNED_HOSTS.replace(&self.copy.flake(), &file.print())?;
        // What is cached is about the copy as it was.
        self.context = self.context.of_copy(self.copy.reference());
        Ok(())
    }
}

/// How far a trial is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    Evaluate,
    Build,
}

/// What became of a trial's hosts. Each that was asked for is in `outcomes`.
pub struct TrialResult {
    pub outcomes: Outcomes,
    /// Each distinct derivation; empty at [`Depth::Evaluate`].
    pub variants: Vec<VariantReport>,
}

pub fn not_built(variant: &VariantReport) -> Finding {
    let end = variant.log_tail.iter().rev().take(8).rev().cloned().collect::<Vec<_>>().join("\n");
    let message = format!(
        "{} failed to build ({}){}{end}",
        variant.variant,
        variant.state.as_str(),
        if end.is_empty() { "" } else { "; end of the log:\n" }
    );
    let help = variant
        .log
        .as_ref()
        .map_or_else(|| "run again with -v".to_owned(), |log| format!("full log: {log}"));
    Finding::error("not-built", message, help)
}

/// Evaluates these hosts with the trial, and builds each distinct variant of them.
///
/// # Errors
/// Nix cannot be run, or the user interrupted: the trial has no result.
pub fn judge(trial: &TrialFleet, hosts: &[HostName], depth: Depth) -> Result<TrialResult> {
    let context = &trial.context;
    let mut outcomes = evaluate::evaluate(context, hosts, EvalOptions::default())?;
    // A host that does not use the module has no llama.cpp to be broken.
    outcomes.retain(|_, (evaluated, _)| !matches!(evaluated, Evaluated::Unsupported(_)));
    let mut result = TrialResult { outcomes, variants: vec![] };
    if depth == Depth::Evaluate {
        return Ok(result);
    }
    let builds =
        distinct(result.outcomes.iter().filter_map(|(host, (evaluated, _))| match evaluated {
            Evaluated::Selected(selection) => Some((host, selection.as_ref())),
            _ => None,
        }));
    result.variants = build_all::build(context, &builds)?;
    crate::system::interrupt::check()?;
    Ok(result)
}
