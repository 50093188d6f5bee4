//! Queries to the fleet's flake, one `nix eval` each: its hosts, its table, its packages.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::fleet::manifest::{FleetEntry, Selection};
use crate::fleet::names::HostName;
use crate::nix::flake::{Flake, PACKAGE, Unanswered, lacks, system};

impl Flake {
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
}
