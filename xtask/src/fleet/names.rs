//! Names of hosts and variants, as types that cannot be confused.
//!
//! Pure: no I/O, no clock.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::nix::names::string_newtype;

/// A host: an attribute of `nixosConfigurations`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostName(String);

/// A variant's name as its manifest gives it, for example `cuda-tigerlake-sm75`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VariantName(String);

string_newtype!(HostName, VariantName);
