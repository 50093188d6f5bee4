//! Questions to the fleet's flake, each one `nix eval`. The expressions are in the
//! .nix files beside this one; every string from outside goes in as a Nix literal.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::nix::diagnosis::diagnose;
use crate::nix::program::Nix;
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

    /// The store path that the flake was copied to; Nix's positions begin with it.
    pub fn source(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Metadata {
            path: String,
        }
        let call = self
            .nix
            .command(["flake", "metadata", "--json"])
            .arg(&self.reference)
            .args(&self.options);
        let answer = process::capture(&call, Some(Duration::from_secs(60))).ok()?;
        serde_json::from_slice::<Metadata>(&answer.stdout).ok().map(|metadata| metadata.path)
    }

    pub(crate) fn broken_flake(&self, failure: &Unanswered) -> anyhow::Error {
        if failure.exit == Exit::Interrupted {
            return Interrupted.into();
        }
        let finding = diagnose(&failure.stderr, self.source().as_deref());
        let place = finding.place().map(|place| format!("{place}: ")).unwrap_or_default();
        let help = match finding.code {
            "eval-error" => format!("run `nix flake metadata {}` for details", self.reference),
            _ => finding.help,
        };
        let error = anyhow!("{place}{}\n  help: {help}", finding.message);
        if ["no-daemon", "foreign-store"].contains(&finding.code) {
            return error.context("Nix cannot evaluate anything on this machine");
        }
        error.context(format!("the flake {} does not evaluate ({})", self.reference, failure.exit))
    }
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
