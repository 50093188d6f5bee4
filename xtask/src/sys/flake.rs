//! Questions to the fleet's flake, each one `nix eval`. The expressions are in the
//! .nix files beside this one; every string from outside goes in as a Nix literal.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::diagnose::{diagnose, strip_escapes};
use crate::domain::manifest::{FleetEntry, Selection};
use crate::domain::names::HostName;
use crate::sys::nix::Nix;
use crate::sys::process::{Captured, Exit, Invocation};

pub(super) const SELECT: &str = include_str!("select.nix");
pub(super) const PACKAGE: &str = include_str!("package.nix");

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
    pub(super) fn eval_call(&self, attribute: &str, apply: Option<&str>) -> Invocation {
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

    pub(super) fn eval<T: DeserializeOwned>(
        &self,
        attribute: &str,
        apply: Option<&str>,
        timeout: Option<Duration>,
    ) -> Result<Result<T, Unanswered>> {
        let call = self.eval_call(attribute, apply);
        let answer = self.nix.capture(&call, timeout)?;
        if !answer.exit.ok() {
            return Ok(Err(unanswered(&call, &answer)));
        }
        serde_json::from_slice(&answer.stdout).map(Ok).with_context(|| {
            format!(
                "`nix eval {}#{attribute}` printed what is not the JSON that was asked for \
                 (half an answer?)",
                self.reference
            )
        })
    }

    /// The hosts, listed without evaluating any of them.
    ///
    /// # Errors
    /// The flake itself does not evaluate: then nothing can be said of any host.
    pub fn hosts(&self) -> Result<Vec<HostName>> {
        let names: Result<Vec<HostName>, Unanswered> =
            self.eval("nixosConfigurations", Some("builtins.attrNames"), None)?;
        match names {
            // A flake that evaluates, and has none.
            Err(failure) if lacks(&failure, "nixosConfigurations") => Ok(vec![]),
            names => names.map_err(|failure| self.broken_flake(&failure)),
        }
    }

    /// The `fleet` output; empty where a flake has none.
    pub fn fleet(&self) -> Result<BTreeMap<HostName, FleetEntry>> {
        let table: Result<BTreeMap<HostName, FleetEntry>, Unanswered> =
            self.eval("fleet", None, None)?;
        match table {
            Ok(table) => Ok(table),
            Err(failure) if lacks(&failure, "fleet") => Ok(BTreeMap::new()),
            Err(failure) => Err(self.broken_flake(&failure)),
        }
    }

    /// A package of `legacyPackages`, chosen by a Nix function of the package set.
    pub fn package(&self, choose: &str) -> Result<Selection> {
        self.package_of(&system(), choose)
    }

    /// The same, for machines of another system.
    pub fn package_of(&self, system: &str, choose: &str) -> Result<Selection> {
        let attribute = format!("legacyPackages.{system}");
        let expression = format!("({PACKAGE}) ({choose})");
        let answer: Result<Selection, Unanswered> =
            self.eval(&attribute, Some(&expression), None)?;
        answer.map_err(|failure| self.broken_flake(&failure))
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
        let answer = self.nix.capture(&call, Some(Duration::from_secs(60))).ok()?;
        serde_json::from_slice::<Metadata>(&answer.stdout).ok().map(|metadata| metadata.path)
    }

    fn broken_flake(&self, failure: &Unanswered) -> anyhow::Error {
        if failure.exit == Exit::Interrupted {
            return anyhow!("interrupted");
        }
        let finding = diagnose(&failure.stderr, self.source().as_deref());
        let place = finding.place().map(|place| format!("{place}: ")).unwrap_or_default();
        let help = match finding.code {
            "eval-error" => format!("`nix flake metadata {}` says more", self.reference),
            // Nothing of a fleet can be said without its inputs.
            "fetch" => format!("{}; `cargo xtask doctor` tells which can be reached", finding.help),
            _ => finding.help,
        };
        anyhow!("{place}{}\n  help: {help}", finding.message)
            .context(format!("the flake {} does not evaluate ({})", self.reference, failure.exit))
    }
}

fn lacks(failure: &Unanswered, output: &str) -> bool {
    failure.stderr.contains(&format!("does not provide attribute '{output}'"))
}

fn unanswered(call: &Invocation, answer: &Captured) -> Unanswered {
    Unanswered {
        exit: answer.exit,
        stderr: strip_escapes(&answer.stderr_text()),
        command: call.to_string(),
    }
}

/// Nix's name for this machine.
pub fn system() -> String {
    format!("{}-linux", std::env::consts::ARCH)
}
