//! What most commands start from: the flake, its Nix, and xtask's folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

use crate::fleet::args::Global;
use crate::fleet::eval_cache::EvalCache;
use crate::fleet::names::HostName;
use crate::nix::flake::{Flake, LOCK_OPTION};
use crate::nix::flake_ref;
use crate::nix::program::Nix;
use crate::system::{git, paths};
use crate::testbed::inputs as testbed;
use crate::testbed::revision::TestbedRevision;
use crate::ui::Ui;
use crate::ui::nearest::nearest;

pub struct Context {
    pub ui: Ui,
    pub home: PathBuf,
    pub flake: Flake,
    /// The flake's folder, if it is on this machine, and the testbed's revision, if it is used.
    root: Option<PathBuf>,
    revision: Option<TestbedRevision>,
    cache: OnceLock<Option<EvalCache>>,
    hosts: OnceLock<Vec<HostName>>,
}

impl Context {
    pub fn open(global: &Global, ui: &Ui) -> Result<Self> {
        Self::open_with(global, ui, global.testbed)
    }

    /// Like [`Self::open`], the testbed chosen by the command rather than the user.
    pub fn open_with(global: &Global, ui: &Ui, revision: Option<TestbedRevision>) -> Result<Self> {
        let home = paths::home()?;
        let mut nix = Nix::find(&home)?;
        let folder = match &global.flake {
            Some(reference) => flake_folder(Path::new(reference)),
            None => Some(paths::repository_root()?),
        };
        let (reference, root) = match (folder, &global.flake) {
            (Some(folder), _) => (flake_ref::of_folder(&folder, git::top(&folder)), Some(folder)),
            (None, Some(reference)) => (reference.clone(), local_root(reference)),
            (None, None) => bail!("no flake"),
        };
        // Nix must not write flake.lock: if it does not match flake.nix, that is a finding.
        let mut options = vec!["--no-write-lock-file".to_owned()];
        if let Some(revision) = revision {
            let Some(root) = &root else {
                bail!("--testbed needs a flake on this machine, and {reference} is not a folder");
            };
            let lock = testbed::lock_file(&nix, &home, root, revision)?;
            let lock = lock.to_str().context("the testbed's path is not UTF-8")?.to_owned();
            options.extend([LOCK_OPTION.to_owned(), lock]);
            nix.options.extend(testbed::NIX_OPTIONS.iter().map(|word| (*word).to_owned()));
        }
        let flake = Flake { nix, reference, options };
        let sources = root.clone().map(|root| &*Box::leak(root.into_boxed_path()));
        Ok(Self::new(Ui { sources, ..*ui }, home, flake, root, revision))
    }

    fn new(
        ui: Ui,
        home: PathBuf,
        flake: Flake,
        root: Option<PathBuf>,
        revision: Option<TestbedRevision>,
    ) -> Self {
        Self { ui, home, flake, root, revision, cache: OnceLock::new(), hosts: OnceLock::new() }
    }

    /// The flake's folder, if it is on this machine.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Whether the testbed's stand-ins replace the inputs.
    pub fn in_testbed(&self) -> bool {
        self.revision.is_some()
    }

    /// What the evaluation is locked to: flake.lock, or the testbed's in its place.
    pub fn lock_file(&self) -> Option<PathBuf> {
        self.flake.reference_lock_file().or_else(|| Some(self.root()?.join("flake.lock")))
    }

    /// The same with further options for Nix. It has no cache.
    pub fn with_nix_options(&self, options: impl IntoIterator<Item = String>) -> Self {
        let mut flake = self.flake.clone();
        flake.nix.options.extend(options);
        Self::new(self.ui, self.home.clone(), flake, self.root.clone(), self.revision)
    }

    /// The same for a temporary copy of the flake with its own lock file. It has no cache.
    pub fn of_copy(&self, reference: String) -> Self {
        let mut flake = Flake { reference, ..self.flake.clone() };
        if let Some(at) = flake.options.iter().position(|option| option == LOCK_OPTION) {
            flake.options.drain(at..at + 2);
        }
        Self::new(self.ui, self.home.clone(), flake, None, self.revision)
    }

    /// The testbed's revision, if it is used.
    pub fn testbed(&self) -> Option<&'static str> {
        self.revision.map(TestbedRevision::name)
    }

    /// ` --testbed`, if it is used, for a command that is printed.
    pub fn testbed_option(&self) -> String {
        match self.revision {
            None => String::new(),
            Some(TestbedRevision::New) => " --testbed".to_owned(),
            Some(revision) => format!(" --testbed={}", revision.name()),
        }
    }

    /// The evaluation cache of this flake, if it is a folder of this machine.
    pub fn cache(&self) -> Option<&EvalCache> {
        self.cache.get_or_init(|| self.open_eval_cache()).as_ref()
    }

    /// To be called first: results of earlier runs are not used.
    pub fn ignore_cache(&self) {
        self.cache.get_or_init(|| {
            let mut cache = self.open_eval_cache()?;
            cache.forget();
            Some(cache)
        });
    }

    fn open_eval_cache(&self) -> Option<EvalCache> {
        let revision = self.testbed().unwrap_or("real");
        Some(EvalCache::open(&self.flake, &self.home, self.root.as_ref()?, revision))
    }

    /// Every host of the flake.
    pub fn all_hosts(&self) -> Result<&[HostName]> {
        if let Some(known) = self.hosts.get() {
            return Ok(known);
        }
        let known = match self.cache().and_then(EvalCache::hosts) {
            Some(known) => known,
            None => self.flake.hosts()?,
        };
        Ok(self.hosts.get_or_init(|| known))
    }

    /// The hosts that the user means: those named, or all.
    ///
    /// # Errors
    /// A name that the flake does not have; the nearest one is offered.
    pub fn hosts(&self, asked: &[String]) -> Result<Vec<HostName>> {
        let known = self.all_hosts()?;
        if known.is_empty() {
            bail!(
                "the flake {} has no hosts: its nixosConfigurations are empty; `cargo xtask \
                 new-host NAME` adds one to a fleet with a hosts/default.nix",
                self.flake.reference
            );
        }
        let mut chosen = vec![];
        for name in asked {
            let host = HostName::new(name.clone());
            if !known.contains(&host) {
                bail!(unknown_host(name, known));
            }
            if !chosen.contains(&host) {
                chosen.push(host);
            }
        }
        Ok(if asked.is_empty() { known.to_vec() } else { chosen })
    }
}

pub fn unknown_host(name: &str, known: &[HostName]) -> String {
    let names: Vec<&str> = known.iter().map(HostName::as_str).collect();
    let hint = nearest(name, names.iter().copied())
        .map(|near| format!("; did you mean {near}?"))
        .unwrap_or_else(|| ".".to_owned());
    format!("this flake has no host {name:?}{hint} It has: {}", names.join(", "))
}

/// The command that finds the commit between two revisions that broke a host.
pub fn bisect_command(
    testbed: &str,
    input: Option<&str>,
    good: &str,
    bad: &str,
    host: Option<&str>,
    by: &str,
) -> String {
    let option = |name, value: Option<&str>| {
        value.map(|value| format!(" --{name} {value}")).unwrap_or_default()
    };
    format!(
        "cargo xtask bisect{testbed}{} --good {good} --bad {bad}{} --by {by}",
        option("input", input),
        option("host", host),
    )
}

/// A folder that is a flake, whatever its name could also mean to Nix.
fn flake_folder(folder: &Path) -> Option<PathBuf> {
    fs::canonicalize(folder).ok().filter(|folder| folder.join("flake.nix").is_file())
}

/// The folder a flake reference points to, if it is one on this machine.
pub fn local_root(reference: &str) -> Option<PathBuf> {
    flake_folder(&flake_ref::local_path(reference)?)
}
