//! Queries to the fleet's flake, one `nix eval` each: hosts, packages, whole systems.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::fleet::manifest::{FleetEntry, Selection};
use crate::fleet::names::HostName;
use crate::nix::flake::{EvalFailure, Flake, PACKAGE, lacks, system};
use crate::nix::names::{DrvPath, nix_list, nix_string};

const TOPLEVEL: &str = include_str!("toplevel.nix");

/// The result of toplevel.nix.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Toplevel {
    /// The messages of failed assertions, which prevent the evaluation of the system.
    #[serde(default)]
    pub assertions: Vec<String>,
    #[serde(default)]
    pub warnings: Vec<String>,
    pub drv_path: Option<DrvPath>,
}

impl Flake {
    /// Lists the hosts, without evaluating any of them.
    ///
    /// # Errors
    /// The flake itself does not evaluate.
    pub fn hosts(&self) -> Result<Vec<HostName>> {
        match self.eval("nixosConfigurations", Some("builtins.attrNames"), None)? {
            Err(failure) if lacks(&failure, "nixosConfigurations") => Ok(vec![]),
            names => names.map_err(|failure| self.broken_flake(&failure)),
        }
    }

    /// Returns the `fleet` output; empty if the flake has none.
    pub fn fleet(&self) -> Result<BTreeMap<HostName, FleetEntry>> {
        match self.eval("fleet", None, None)? {
            Err(failure) if lacks(&failure, "fleet") => Ok(BTreeMap::new()),
            table => table.map_err(|failure| self.broken_flake(&failure)),
        }
    }

    /// Evaluates a package of `legacyPackages`, selected by a Nix function of the package set.
    pub fn package(&self, choose: &str) -> Result<Selection> {
        self.package_of(&system(), choose)
    }

    /// Like [`Self::package`], for another system.
    pub fn package_of(&self, system: &str, choose: &str) -> Result<Selection> {
        let attribute = format!("legacyPackages.{system}");
        let expression = format!("({PACKAGE}) ({choose})");
        let answer = self.eval(&attribute, Some(&expression), None)?;
        answer.map_err(|failure| self.broken_flake(&failure))
    }

    /// Evaluates the whole system of a host.
    pub fn toplevel(
        &self,
        host: &HostName,
        timeout: Duration,
    ) -> Result<Result<Toplevel, EvalFailure>> {
        let expression = format!("({TOPLEVEL}) {}", nix_string(host.as_str()));
        self.eval("nixosConfigurations", Some(&expression), Some(timeout))
    }

    /// Lists the names of llama.cpp's packages by system, without evaluating any of them.
    pub fn packages(
        &self,
        timeout: Duration,
    ) -> Result<Result<BTreeMap<String, Vec<String>>, EvalFailure>> {
        let names = "builtins.mapAttrs (_: packages: builtins.filter \
                     (name: builtins.match \"llama-cpp.*\" name != null) \
                     (builtins.attrNames packages))";
        self.eval("packages", Some(names), Some(timeout))
    }

    /// Returns the derivations of some packages of one system.
    pub fn package_derivations(
        &self,
        system: &str,
        names: &[String],
        timeout: Duration,
    ) -> Result<Result<BTreeMap<String, DrvPath>, EvalFailure>> {
        self.of_packages(system, names, "packages.${name}.drvPath", timeout)
    }

    /// Evaluates some packages of one system, with their manifests.
    pub fn package_selections(
        &self,
        system: &str,
        names: &[String],
        timeout: Duration,
    ) -> Result<Result<BTreeMap<String, Selection>, EvalFailure>> {
        let value = format!("({PACKAGE}) (packages: packages.${{name}}) packages");
        self.of_packages(system, names, &value, timeout)
    }

    /// Evaluates `value`, a Nix expression of `packages` and `name`, for each of these packages.
    fn of_packages<T: DeserializeOwned>(
        &self,
        system: &str,
        names: &[String],
        value: &str,
        timeout: Duration,
    ) -> Result<Result<BTreeMap<String, T>, EvalFailure>> {
        let expression = format!(
            "systems: let packages = systems.${{{}}}; in builtins.listToAttrs (map (name: {{ \
             inherit name; value = {value}; }}) {})",
            nix_string(system),
            nix_list(names)
        );
        self.eval("packages", Some(&expression), Some(timeout))
    }

    /// Returns the lock file of a flake that is not on this machine.
    pub fn locks(&self) -> Option<Value> {
        self.metadata()?.get_mut("locks").map(Value::take)
    }
}
