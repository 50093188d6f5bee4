//! Queries a flake: each query is one `nix eval`. The expressions are in the .nix files of this
//! folder; strings from elsewhere are passed as Nix literals.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::findings::finding::Finding;
use crate::nix::diagnosis::{FETCH, diagnose, with_testbed_advice};
use crate::nix::flake_ref;
use crate::nix::lockfile::LockFile;
use crate::nix::program::Nix;
use crate::system::files;
use crate::system::interrupt::Interrupted;
use crate::system::process::{self, Exit, Invocation};
use crate::ui::sanitize::sanitize;

pub(crate) const SELECT: &str = include_str!("select.nix");
pub(crate) const PACKAGE: &str = include_str!("package.nix");

/// A flake that uses the module, and the Nix that reads it.
#[derive(Debug, Clone)]
pub struct Flake {
    pub nix: Nix,
    /// A flake reference: a path or a URL, without an attribute.
    pub reference: String,
    /// Options of every command about this flake: not to write flake.lock, and the testbed's lock
    /// file.
    pub options: Vec<String>,
}

/// Nix's option to use another lock file instead of flake.lock.
pub const LOCK_OPTION: &str = "--reference-lock-file";

/// Where a flake was copied to.
#[derive(Debug, Clone)]
pub struct Source {
    /// The store path, with which positions in Nix's messages begin.
    pub path: String,
    /// The flake's folder in the store path; empty if that is the root.
    pub folder: String,
    /// What is copied, without the flake's folder, if it is on this machine.
    original: Option<String>,
}

impl Source {
    /// Explains a failed evaluation, with the file relative to the store path.
    pub fn diagnose(&self, stderr: &str) -> Finding {
        let Some(original) = &self.original else { return diagnose(stderr, Some(&self.path)) };
        // With lazy trees, as in Determinate Nix, positions are in the folder itself.
        let (from, to) = (format!("at {original}/"), format!("at {}/", self.path));
        diagnose(&stderr.replace(&from, &to), Some(&self.path))
    }

    /// Makes a finding's file, which is relative to the store path, relative to the flake.
    pub fn relative(&self, mut finding: Finding) -> Finding {
        finding.file = finding.file.map(|file| self.relative_file(file));
        finding
    }

    pub fn relative_file(&self, file: String) -> String {
        if self.folder.is_empty() {
            return file;
        }
        match file.strip_prefix(&self.folder).and_then(|rest| rest.strip_prefix('/')) {
            Some(own) => own.to_owned(),
            None => "../".repeat(self.folder.split('/').count()) + &file,
        }
    }
}

/// A failed evaluation.
#[derive(Debug, Clone)]
pub struct EvalFailure {
    pub exit: Exit,
    /// Nix's standard error, without terminal escapes.
    pub stderr: String,
    pub command: String,
}

impl Flake {
    /// Returns `nix eval --json FLAKE#ATTRIBUTE --apply EXPRESSION`.
    pub(crate) fn eval_call(&self, attribute: &str, apply: Option<&str>) -> Invocation {
        let call = self
            .nix
            .command(["eval", "--json", "--show-trace"])
            // The dot stops Nix from first looking for the attribute in packages.SYSTEM, which
            // would evaluate nixpkgs.
            .arg(format!("{}#.{attribute}", self.reference))
            .args(&self.options);
        let call = call.grace(Duration::from_secs(1));
        match apply {
            Some(expression) => call.arg("--apply").arg(expression),
            None => call,
        }
    }

    /// Evaluates an attribute, with `apply` applied to it.
    ///
    /// # Errors
    /// Nix cannot be started, or prints unexpected JSON.
    pub(crate) fn eval<T: DeserializeOwned>(
        &self,
        attribute: &str,
        apply: Option<&str>,
        timeout: Option<Duration>,
    ) -> Result<Result<T, EvalFailure>> {
        let call = self.eval_call(attribute, apply);
        let output = process::capture(&call, timeout)?;
        if !output.exit.ok() {
            return Ok(Err(EvalFailure {
                exit: output.exit,
                stderr: sanitize(output.stderr_text()).into_owned(),
                command: call.to_string(),
            }));
        }
        serde_json::from_str(&output.stdout_text()).map(Ok).with_context(|| {
            format!(
                "`nix eval {}#{attribute}` printed unexpected or incomplete JSON",
                self.reference
            )
        })
    }

    /// Returns where the flake is copied to.
    pub fn source(&self) -> Option<Source> {
        let metadata = self.metadata()?;
        let folder = metadata["resolved"]["dir"].as_str().unwrap_or_default().to_owned();
        let local = flake_ref::local_path(&self.reference);
        let original = local.and_then(|path| {
            Some(path.to_str()?.strip_suffix(&folder)?.trim_end_matches('/').to_owned())
        });
        Some(Source { path: metadata["path"].as_str()?.to_owned(), folder, original })
    }

    /// Runs `nix flake metadata`.
    pub(crate) fn metadata(&self) -> Option<Value> {
        let call = self.nix.command(["flake", "metadata", "--json"]).arg(&self.reference);
        let call = call.args(&self.options);
        let output = process::read(&call, Some(Duration::from_secs(60))).ok()?;
        serde_json::from_str(&output).ok()
    }

    /// Explains why the flake itself does not evaluate.
    pub(crate) fn broken_flake(&self, failure: &EvalFailure) -> anyhow::Error {
        if failure.exit == Exit::Interrupted {
            return Interrupted.into();
        }
        let source = self.source();
        let mut finding = match &source {
            Some(source) => source.relative(source.diagnose(&failure.stderr)),
            None => diagnose(&failure.stderr, None),
        };
        if self.reference_lock_file().is_some() {
            with_testbed_advice(&mut finding);
        }
        let place = finding.place().map(|place| format!("{place}: ")).unwrap_or_default();
        let help = match finding.code {
            "eval-error" => format!("run `nix flake metadata {}` for details", self.reference),
            _ => finding.help,
        };
        let error = anyhow!("{place}{}\n  help: {help}", finding.message);
        if ["no-daemon", "foreign-store"].contains(&finding.code) {
            return error.context("Nix cannot evaluate anything on this machine");
        }
        if let Some(input) = input_in_trace(&failure.stderr) {
            return error.context(format!("Nix cannot lock the input {input}"));
        }
        let input = self.lock().and_then(|lock| Some(lock.named_in(&finding.message)?.to_owned()));
        if let (FETCH, Some(input)) = (finding.code, input) {
            return error.context(format!("cannot fetch the input {input}"));
        }
        error.context(format!("the flake {} does not evaluate ({})", self.reference, failure.exit))
    }

    /// Reads the lock file that the evaluation uses: flake.lock, or the testbed's.
    fn lock(&self) -> Option<LockFile> {
        let own = || Some(flake_ref::local_path(&self.reference)?.join("flake.lock"));
        let file = self.reference_lock_file().or_else(own)?;
        LockFile::parse(&files::read(&file).ok()?).ok()
    }

    /// Returns the lock file that is used instead of flake.lock.
    pub fn reference_lock_file(&self) -> Option<PathBuf> {
        let mut options = self.options.iter();
        options.find(|option| *option == LOCK_OPTION).and(options.next()).map(PathBuf::from)
    }
}

/// Returns the input that Nix was updating when it failed.
fn input_in_trace(stderr: &str) -> Option<&str> {
    let (_, rest) = stderr.rsplit_once("while updating the flake input '")?;
    rest.split('\'').next()
}

/// Returns whether the evaluation failed because the flake has no such output.
pub(crate) fn lacks(failure: &EvalFailure, output: &str) -> bool {
    failure.stderr.contains(&format!("does not provide attribute '{output}'"))
}

/// Returns Nix's name for this machine's platform.
pub fn system() -> String {
    format!("{}-linux", std::env::consts::ARCH)
}

const INPUTS: &str = include_str!("inputs.nix");

const QUICK: Duration = Duration::from_secs(20);

/// Returns the inputs of a flake.nix, without fetching any, or null if flake.nix cannot be
/// evaluated. Beside each `url` is `parsed`, the reference as flake.lock has it.
pub fn inputs(nix: &Nix, root: &Path) -> Value {
    let Some(file) = root.join("flake.nix").to_str().map(str::to_owned) else {
        return Value::Null;
    };
    // Nix fails at the first URL that it cannot parse; then no URL is parsed.
    let read = |parse: bool| -> Option<Value> {
        let apply = format!("({INPUTS}) {parse}");
        let call = nix.command(["eval", "--json", "--file", &file, "--apply", &apply, ""]);
        serde_json::from_str(&process::read(&call, Some(QUICK)).ok()?).ok()
    };
    read(true).or_else(|| read(false)).unwrap_or_default()
}
