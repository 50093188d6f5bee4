//! Questions to the fleet's flake, each one `nix eval`. The expressions are in the
//! .nix files beside this one; every string from outside goes in as a Nix literal.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::findings::finding::Finding;
use crate::nix::diagnosis::{FETCH, diagnose, with_testbed_advice};
use crate::nix::flake_ref;
use crate::nix::lockfile::LockFile;
use crate::nix::program::Nix;
use crate::system::files;
use crate::system::interrupt::Interrupted;
use crate::system::process::{self, Captured, Exit, Invocation};
use crate::ui::sanitize::sanitize;

pub(crate) const SELECT: &str = include_str!("select.nix");
pub(crate) const PACKAGE: &str = include_str!("package.nix");

/// A flake that uses the module, and the Nix that reads it.
#[derive(Debug, Clone)]
pub struct Flake {
    pub nix: Nix,
    /// As Nix takes it: a path or a URL, without an attribute.
    pub reference: String,
    /// The testbed's lock file, and that flake.lock must not be written.
    pub options: Vec<String>,
}

/// Nix's option for another lock file than flake.lock.
pub const LOCK_OPTION: &str = "--reference-lock-file";

/// Where a flake was copied to.
#[derive(Debug, Clone)]
pub struct Source {
    /// The store path; Nix's positions begin with it.
    pub path: String,
    /// The flake's folder in it, empty if it is the whole.
    pub folder: String,
}

impl Source {
    /// A finding whose file is relative to the store path, with the file relative to the flake.
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

/// A question that Nix did not answer.
#[derive(Debug, Clone)]
pub struct Unanswered {
    pub exit: Exit,
    /// What Nix printed, without terminal escapes.
    pub stderr: String,
    pub command: String,
}

impl Flake {
    /// `nix eval --json FLAKE#ATTRIBUTE --apply EXPRESSION`.
    pub(crate) fn eval_call(&self, attribute: &str, apply: Option<&str>) -> Invocation {
        let call = self
            .nix
            .command(["eval", "--json", "--show-trace"])
            // The dot: exactly this attribute, none of packages.SYSTEM, which would
            // evaluate nixpkgs to find that it has no such package.
            .arg(format!("{}#.{attribute}", self.reference))
            .args(&self.options);
        let call = call.grace(Duration::from_secs(1));
        match apply {
            Some(expression) => call.arg("--apply").arg(expression),
            None => call,
        }
    }

    pub(crate) fn eval<T: DeserializeOwned>(
        &self,
        attribute: &str,
        apply: Option<&str>,
        timeout: Option<Duration>,
    ) -> Result<Result<T, Unanswered>> {
        let call = self.eval_call(attribute, apply);
        let answer = process::capture(&call, timeout)?;
        if !answer.exit.ok() {
            return Ok(Err(unanswered(&call, &answer)));
        }
        serde_json::from_slice(&answer.stdout).map(Ok).with_context(|| {
            format!(
                "`nix eval {}#{attribute}` printed unexpected or incomplete JSON",
                self.reference
            )
        })
    }

    /// Where the flake was copied to.
    pub fn source(&self) -> Option<Source> {
        #[derive(Deserialize)]
        struct Metadata {
            path: String,
            #[serde(default)]
            resolved: Resolved,
        }
        #[derive(Default, Deserialize)]
        struct Resolved {
            #[serde(default)]
            dir: String,
        }
        let call = self
            .nix
            .command(["flake", "metadata", "--json"])
            .arg(&self.reference)
            .args(&self.options);
        let answer = process::capture(&call, Some(Duration::from_secs(60))).ok()?;
        let metadata: Metadata = serde_json::from_slice(&answer.stdout).ok()?;
        Some(Source { path: metadata.path, folder: metadata.resolved.dir })
    }

    pub(crate) fn broken_flake(&self, failure: &Unanswered) -> anyhow::Error {
        if failure.exit == Exit::Interrupted {
            return Interrupted.into();
        }
        let source = self.source();
        let finding = diagnose(&failure.stderr, source.as_ref().map(|source| source.path.as_str()));
        let mut finding = source.iter().fold(finding, |finding, source| source.relative(finding));
        if self.lent_lock_file().is_some() {
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

    /// What the evaluation is locked to: flake.lock, or the testbed's in its place.
    fn lock(&self) -> Option<LockFile> {
        let own = || Some(flake_ref::local_path(&self.reference)?.join("flake.lock"));
        let file = self.lent_lock_file().or_else(own)?;
        LockFile::parse(&files::read(&file).ok()?).ok()
    }

    /// The lock file that is used in place of flake.lock.
    pub fn lent_lock_file(&self) -> Option<PathBuf> {
        let mut options = self.options.iter();
        options.find(|option| *option == LOCK_OPTION).and(options.next()).map(PathBuf::from)
    }
}

/// The input that Nix was locking again when it failed.
fn input_in_trace(stderr: &str) -> Option<&str> {
    let (_, rest) = stderr.rsplit_once("while updating the flake input '")?;
    rest.split('\'').next()
}

pub(crate) fn lacks(failure: &Unanswered, output: &str) -> bool {
    failure.stderr.contains(&format!("does not provide attribute '{output}'"))
}

fn unanswered(call: &Invocation, answer: &Captured) -> Unanswered {
    Unanswered {
        exit: answer.exit,
        stderr: sanitize(answer.stderr_text()).into_owned(),
        command: call.to_string(),
    }
}

/// Nix's name for this machine.
pub fn system() -> String {
    format!("{}-linux", std::env::consts::ARCH)
}

const INPUTS: &str = include_str!("inputs.nix");

const QUICK: Duration = Duration::from_secs(20);

/// The inputs of a flake.nix, read as the plain set that it must be: no input is fetched.
/// Each `url` comes with `parsed`, the reference as flake.lock writes it. Null where
/// flake.nix cannot be read.
pub fn inputs(nix: &Nix, root: &Path) -> Value {
    let Some(file) = root.join("flake.nix").to_str().map(str::to_owned) else {
        return Value::Null;
    };
    // Nix ends at the first URL that it cannot read; then none is parsed.
    let read = |parse: bool| -> Option<Value> {
        let apply = format!("({INPUTS}) {parse}");
        let call = nix.command(["eval", "--json", "--file", &file, "--apply", &apply, ""]);
        serde_json::from_str(&process::read(&call, Some(QUICK)).ok()?).ok()
    };
    read(true).or_else(|| read(false)).unwrap_or_default()
}
