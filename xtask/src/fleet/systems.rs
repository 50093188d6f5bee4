//! Further questions to a flake: whole systems, the packages of all systems, and what
//! its inputs are locked to. Each costs more than a host's selection.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use crate::fleet::manifest::Selection;
use crate::fleet::names::HostName;
use crate::nix::flake::{Flake, PACKAGE, Unanswered};
use crate::nix::names::{DrvPath, nix_string};
use crate::system::process;

const TOPLEVEL: &str = include_str!("toplevel.nix");

pub const QUICK: Duration = Duration::from_secs(20);

/// What toplevel.nix answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Toplevel {
    /// The sentences of the assertions that do not hold; with these there is no system.
    #[serde(default)]
    pub assertions: Vec<String>,
    #[serde(default)]
    pub warnings: Vec<String>,
    #[serde(default)]
    pub drv_path: Option<DrvPath>,
}

impl Flake {
    /// Evaluates all of a host.
    pub fn toplevel(
        &self,
        host: &HostName,
        timeout: Duration,
    ) -> Result<Result<Toplevel, Unanswered>> {
        let expression = format!("({TOPLEVEL}) {}", nix_string(host.as_str()));
        self.eval("nixosConfigurations", Some(&expression), Some(timeout))
    }

    /// llama.cpp's packages by system, named without their derivations being made.
    pub fn packages(
        &self,
        timeout: Duration,
    ) -> Result<Result<BTreeMap<String, Vec<String>>, Unanswered>> {
        let names = "builtins.mapAttrs (_: packages: builtins.filter \
                     (name: builtins.match \"llama-cpp.*\" name != null) \
                     (builtins.attrNames packages))";
        self.eval("packages", Some(names), Some(timeout))
    }

    /// Derivations of some packages of one system.
    pub fn package_derivations(
        &self,
        system: &str,
        names: &[String],
        timeout: Duration,
    ) -> Result<Result<BTreeMap<String, DrvPath>, Unanswered>> {
        let names: Vec<String> = names.iter().map(|name| nix_string(name)).collect();
        let expression = format!(
            "packages: builtins.listToAttrs (map (name: {{ inherit name; value = \
             packages.${{{}}}.${{name}}.drvPath; }}) [ {} ])",
            nix_string(system),
            names.join(" ")
        );
        self.eval("packages", Some(&expression), Some(timeout))
    }

    /// Some packages of one system, with their manifests.
    pub fn package_selections(
        &self,
        system: &str,
        names: &[String],
        timeout: Duration,
    ) -> Result<Result<BTreeMap<String, Selection>, Unanswered>> {
        let names: Vec<String> = names.iter().map(|name| nix_string(name)).collect();
        let expression = format!(
            "systems: let packages = systems.${{{}}}; in builtins.listToAttrs (map (name: {{ \
             inherit name; value = ({PACKAGE}) (packages: packages.${{name}}) packages; }}) [ {} ])",
            nix_string(system),
            names.join(" ")
        );
        self.eval("packages", Some(&expression), Some(timeout))
    }

    /// What a flake that is not on this machine is locked to.
    pub fn locks(&self) -> Option<Value> {
        let call = self.nix.command(["flake", "metadata", "--json"]).arg(&self.reference);
        let said = process::read(&call.args(&self.options), Some(3 * QUICK)).ok()?;
        serde_json::from_str::<Value>(&said).ok()?.get_mut("locks").map(Value::take)
    }
}
