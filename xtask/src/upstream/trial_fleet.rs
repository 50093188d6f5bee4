//! A trial fleet: a copy of the fleet's flake with another revision of llama.cpp, so that the fleet
//! itself is unchanged. Its derivations are those that the fleet will have with the trial's
//! flake.lock and pin.json.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::build::report::VariantReport;
use crate::build::run as build_all;
use crate::build::variants::Build;
use crate::check::evaluation::{self, EvalOptions};
use crate::check::outcomes::Outcomes;
use crate::findings::finding::Finding;
use crate::fleet::build_numbers::BuildNumbers;
use crate::fleet::context::Context;
use crate::fleet::names::HostName;
use crate::fleet::pinned_hosts::{PinnedHost, PinnedHosts, PinnedHostsFile};
use crate::fleet::state_file::{BUILD_NUMBERS, PINNED_HOSTS, StateFile};
use crate::nix::diagnosis::diagnose;
use crate::nix::flake_input::{Revision, Upstream};
use crate::nix::lockfile::{Input, LockFile};
use crate::nix::tree_copy::TreeCopy;
use crate::system::{disk, files, interrupt, process};
use crate::ui::sanitize::sanitize;

/// Timeout for fetching a revision and its inputs.
const FETCH_TIMEOUT: Duration = Duration::from_secs(900);

/// The default name of the input.
pub const LLAMA_CPP: &str = "llama-cpp";

/// The current pin and its fleet.
pub struct PinState<'a> {
    pub context: &'a Context,
    /// The flake's folder.
    pub root: PathBuf,
    pub input: Input,
    pub upstream: Upstream,
    /// The lock file of the evaluation: flake.lock, or the testbed's.
    pub lock: LockFile,
    pub now: Revision,
    pub build_numbers: Option<BuildNumbers>,
    pub pinned_file: PinnedHostsFile,
}

impl<'a> PinState<'a> {
    /// Reads the pin of this input, by default the first llama.cpp in the lock file.
    ///
    /// # Errors
    /// The flake is not a local folder, or has no lock file. A [`Finding`] if the input is wrong.
    pub fn read(context: &'a Context, input: Option<&str>) -> Result<Self> {
        let root = context.root().with_context(|| {
            format!(
                "cannot update {}: it is not a local folder; pass --flake PATH",
                context.flake.reference
            )
        })?;
        let file = context.lock_file().context("the fleet is not a local folder")?;
        if !file.exists() {
            bail!("no flake.lock; run `nix flake lock` first");
        }
        let text = files::read(&file)?;
        let lock =
            LockFile::parse(&text).with_context(|| format!("{} is not JSON", file.display()))?;
        lock.acyclic()?;
        let input = input.map(str::to_owned).or_else(|| lock.llama_cpp_path());
        let input = lock.find(input.as_deref().unwrap_or(LLAMA_CPP))?;
        let upstream = Upstream::of(&input.name, &input.node)?;
        let parsing = |file: &StateFile| format!("cannot parse {}", file.path(root));
        let build_numbers = BUILD_NUMBERS.read(root)?.map(|text| BuildNumbers::read(&text));
        let build_numbers = build_numbers.transpose().with_context(|| parsing(&BUILD_NUMBERS))?;
        let pinned_file = PINNED_HOSTS.read(root)?.map(|text| PinnedHostsFile::read(&text));
        let pinned_file = pinned_file.transpose().with_context(|| parsing(&PINNED_HOSTS))?;
        let locked = input.locked();
        let Some(rev) = input.rev() else {
            bail!("flake.lock has no revision for {}", input.name);
        };
        let numbers = build_numbers.as_ref();
        let now = Revision {
            rev: rev.to_owned(),
            date: locked["lastModified"].as_i64(),
            build: locked["revCount"].as_u64().or(numbers.and_then(|it| it.build(rev))),
            release: numbers.and_then(|it| it.release(rev)),
        };
        let pinned_file = pinned_file.unwrap_or_default();
        let root = root.to_owned();
        Ok(Self { context, root, input, upstream, lock, now, build_numbers, pinned_file })
    }

    /// Returns the hosts that are currently pinned to an earlier revision.
    pub fn pinned_hosts(&self) -> PinnedHosts {
        self.pinned_file.at(&self.now.rev)
    }

    /// Creates the fleet with its input at `revision`, whose date and build may be unknown. `named`
    /// is the full ref of the revision, if any (for a git input). No host is pinned to another
    /// revision, to test whether it works now.
    ///
    /// # Errors
    /// Nix cannot be run, or the folder cannot be copied. A [`Finding`] if Nix cannot lock this
    /// revision: it is gone, is not a flake, or lacks an input.
    pub fn trial_fleet(&self, revision: &Revision, named: Option<&str>) -> Result<TrialFleet> {
        let copy = TreeCopy::of(&self.root, &self.context.home, &revision.rev)?;
        let flake = copy.flake();
        // Not by rename: the copy's folder is locked while it is in use.
        let write_lock = |lock: &LockFile| {
            fs::write(flake.join("flake.lock"), lock.print()).context("cannot write a lock file")
        };
        write_lock(&self.lock)?;
        let made = self.locked_by_nix(&copy, revision, named)?;
        let lock = self.lock.with_updated_input(&made, &self.input).map_err(|moved| {
            Finding::error(
                "other-inputs-change",
                format!("updating {} would also change {}", self.input.name, moved.join(", ")),
                "flake.lock does not match flake.nix: run `nix flake lock`, review and commit the \
                 change, then update again",
            )
        })?;
        let locked = lock.find(&self.input.name)?.locked().clone();
        if locked["rev"].as_str() != Some(revision.rev.as_str()) {
            bail!("Nix locked {} at {}, not at {}", self.input.name, locked["rev"], revision.rev);
        }
        let revision = Revision {
            rev: revision.rev.clone(),
            date: locked["lastModified"].as_i64().or(revision.date),
            build: locked["revCount"].as_u64().or(revision.build),
            release: revision.release.clone(),
        };
        write_lock(&lock)?;
        if let Some(numbers) = &self.build_numbers {
            let pinned: Vec<Revision> =
                self.pinned_hosts().values().map(PinnedHost::revision).collect();
            let numbers = numbers.with(pinned.iter().chain([&self.now, &revision]));
            BUILD_NUMBERS.replace(&flake, &numbers.print())?;
        }
        if !self.pinned_file.is_empty() {
            PINNED_HOSTS.replace(&flake, &PinnedHostsFile::default().print())?;
        }
        let context = self.context.of_copy(copy.reference());
        Ok(TrialFleet { revision, lock, locked, context, copy })
    }

    /// Locks the input with `nix flake lock --override-input`, which leaves the inputs of the input
    /// unchanged; `nix flake update INPUT` would update those as well.
    fn locked_by_nix(
        &self,
        copy: &TreeCopy,
        revision: &Revision,
        named: Option<&str>,
    ) -> Result<LockFile> {
        let nix = &self.context.flake.nix;
        let new_lock = copy.flake().join("flake.lock.new");
        // When an input of an input is overridden, Nix loses its `follows` unless it reads the
        // outer flake again, as it does for an update. Updating a follower changes nothing.
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
        let output = process::capture(&call, Some(FETCH_TIMEOUT))?;
        if !output.exit.ok() {
            let cause = diagnose(&sanitize(&*output.stderr_text()), None);
            let (name, revision, exit) = (&self.input.name, revision.name(), output.exit);
            let message =
                format!("{name} cannot be locked at {revision} ({exit}): {}", cause.message);
            bail!(Finding::error("not-lockable", message, cause.help));
        }
        let text = files::read(&new_lock)?;
        disk::remove(&new_lock)?;
        LockFile::parse(&text).context("Nix wrote a lock file that is not JSON")
    }
}

/// A copy of the fleet with one revision of its input. Dropping it removes the copy.
pub struct TrialFleet {
    /// The revision with its date, and its build number if known.
    pub revision: Revision,
    /// The lock file that the fleet would have.
    pub lock: LockFile,
    /// The `locked` of the input in the lock file.
    pub locked: Value,
    /// The context for commands on the trial fleet.
    pub context: Context,
    copy: TreeCopy,
}

impl TrialFleet {
    /// Pins these hosts.
    pub fn pin_hosts(&mut self, pinned: &PinnedHosts) -> Result<()> {
        let file = PinnedHostsFile::default().step("", &self.revision.rev, pinned.clone());
        PINNED_HOSTS.replace(&self.copy.flake(), &file.print())?;
        // Drops the results that are cached for the unchanged copy.
        self.context = self.context.of_copy(self.copy.reference());
        Ok(())
    }
}

/// Reports a failed build with the end of its log.
pub fn not_built(variant: &VariantReport) -> Finding {
    let mut message = variant.failure();
    if let Some(line) = &variant.first_error {
        message.push_str(&format!("; first error: {line}"));
    }
    if !variant.log_tail.is_empty() {
        let start = variant.log_tail.len().saturating_sub(8);
        message.push_str(&format!("; end of the log:\n{}", variant.log_tail[start..].join("\n")));
    }
    let help = match &variant.log {
        Some(log) => format!("full log: {log}"),
        None => "run again with -v".to_owned(),
    };
    Finding::error("not-built", message, help)
}

/// Evaluates these hosts with the trial. A host that does not use the module has no outcome.
///
/// # Errors
/// Nix cannot be run, or the user interrupted.
pub fn evaluate(trial: &TrialFleet, hosts: &[HostName]) -> Result<Outcomes> {
    let mut outcomes = evaluation::evaluate(&trial.context, hosts, EvalOptions::default())?;
    outcomes.drop_unsupported();
    Ok(outcomes)
}

/// Builds variants of the trial.
///
/// # Errors
/// Nix cannot be run, or the user interrupted.
pub fn build(trial: &TrialFleet, builds: &[Build]) -> Result<Vec<VariantReport>> {
    let variants = build_all::build(&trial.context, builds)?;
    interrupt::check()?;
    Ok(variants)
}
