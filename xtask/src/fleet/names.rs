//! Names of hosts and variants, as types that cannot be confused.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::nix::names::string_newtype;
use crate::system::files;

/// A host: an attribute of `nixosConfigurations`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostName(String);

/// A variant's name as its manifest gives it, for example `cuda-tigerlake-sm75`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VariantName(String);

string_newtype!(HostName, VariantName);

/// Joins the names of hosts with commas.
pub fn join<'a>(hosts: impl IntoIterator<Item = &'a HostName>) -> String {
    hosts.into_iter().map(HostName::as_str).collect::<Vec<_>>().join(", ")
}

impl HostName {
    /// Returns the host's folder under `hosts/`, or none for a name that is not a valid folder
    /// name.
    pub fn folder(&self) -> Option<PathBuf> {
        let is_safe = files::safe_name(&self.0) == self.0 && self.0 != "_";
        is_safe.then(|| Path::new("hosts").join(&self.0))
    }
}
