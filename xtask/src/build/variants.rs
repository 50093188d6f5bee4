//! The distinct builds of a fleet, and the hosts that want them.
//!
//! Pure: no I/O, no clock.

use std::fmt;

use serde::Serialize;

use crate::fleet::manifest::{Manifest, Part, Selection};
use crate::fleet::names::{HostName, VariantName};
use crate::nix::names::{DrvPath, StorePath};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildState {
    Built,
    Substituted,
    Present,
    Failed,
    DependencyFailed,
    Unsupported,
    NeedsSetup,
    Interrupted,
}

/// Writes the state as in the JSON.
impl fmt::Display for BuildState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl BuildState {
    pub fn ok(self) -> bool {
        matches!(self, Self::Built | Self::Substituted | Self::Present)
    }

    /// Returns the start of a sentence that continues with "for" and the hosts.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Substituted => "fetched",
            Self::Present => "already in the store",
            Self::Failed => "the build failed",
            Self::DependencyFailed => "a dependency failed to build",
            Self::Unsupported => "no machine can build for this system",
            Self::NeedsSetup => "set-up required",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A derivation to build, with its hosts. In the JSON these are the first fields of a variant.
#[derive(Debug, Clone, Serialize)]
pub struct Build {
    pub variant: VariantName,
    pub hosts: Vec<HostName>,
    /// With `--packages`: the names of the flake's packages with this derivation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    #[serde(rename = "drvPath")]
    pub drv: DrvPath,
    #[serde(skip)]
    pub manifest: Manifest,
    #[serde(skip)]
    pub out: StorePath,
}

/// Returns the distinct builds, in the order of each one's first host.
pub fn distinct<'a>(
    selections: impl IntoIterator<Item = (&'a HostName, &'a Selection)>,
) -> Vec<Build> {
    let mut builds = vec![];
    for (host, selection) in selections {
        Build::entry(&mut builds, selection).hosts.push(host.clone());
    }
    builds
}

/// Returns the wanted parts of the hosts' packages, each as a separate build.
pub fn of_parts<'a>(
    selections: impl IntoIterator<Item = (&'a HostName, &'a Selection)>,
    is_wanted: impl Fn(&Part) -> bool,
) -> Vec<Build> {
    let mut builds: Vec<Build> = vec![];
    for (host, Selection { manifest, .. }) in selections {
        for part in manifest.parts.iter().filter(|part| is_wanted(part)) {
            match builds.iter_mut().find(|build| build.drv == part.drv_path) {
                Some(build) => build.hosts.push(host.clone()),
                None => builds.push(Build {
                    variant: VariantName::new(&part.name),
                    hosts: vec![host.clone()],
                    packages: vec![],
                    manifest: Manifest {
                        parts: vec![part.clone()],
                        lists_instructions: false,
                        ..manifest.clone()
                    },
                    drv: part.drv_path.clone(),
                    out: part.output.clone(),
                }),
            }
        }
    }
    builds
}

/// Adds the flake's packages. A package that a host also selects is the same build.
pub fn add_packages(builds: &mut Vec<Build>, packages: &[(String, Selection)]) {
    for (name, selection) in packages {
        Build::entry(builds, selection).packages.push(name.clone());
    }
}

impl Build {
    /// Returns the names of its hosts and packages.
    pub fn wanted_by(&self) -> String {
        let hosts = self.hosts.iter().map(HostName::as_str);
        let names: Vec<&str> = hosts.chain(self.packages.iter().map(String::as_str)).collect();
        names.join(", ")
    }

    /// Returns the derivations of the package and its parts, which other builds may share.
    pub fn own_derivations(&self) -> Vec<&DrvPath> {
        self.manifest.parts.iter().map(|part| &part.drv_path).chain([&self.drv]).collect()
    }

    /// Returns the build of a selection, which is added if necessary.
    fn entry<'a>(builds: &'a mut Vec<Self>, selection: &Selection) -> &'a mut Self {
        let found = builds.iter().position(|build| build.drv == selection.drv_path);
        let index = found.unwrap_or_else(|| {
            builds.push(Self {
                variant: selection.manifest.variant.clone(),
                hosts: vec![],
                packages: vec![],
                manifest: selection.manifest.clone(),
                drv: selection.drv_path.clone(),
                out: selection.out_path.clone(),
            });
            builds.len() - 1
        });
        &mut builds[index]
    }
}

#[cfg(test)]
impl Build {
    /// Returns a build without parts for the host `host`.
    pub fn example(name: &str, drv: DrvPath) -> Self {
        Self {
            variant: VariantName::new(name),
            hosts: vec![HostName::new("host")],
            packages: vec![],
            drv,
            manifest: serde_json::from_value(serde_json::json!({
                "variant": name, "backends": [], "microarch": "x86-64",
                "system": "x86_64-linux", "cmakeFlags": [],
            }))
            .expect("a manifest"),
            out: StorePath::new("/nix/store/out"),
        }
    }
}

/// Shortens a store path: `/nix/store/<hash>-llama-cpp-cpu-znver4-0.0.0.drv` →
/// `llama-cpp-cpu-znver4-0.0.0`.
pub fn short_name(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.split_once('-').map_or(name, |(_, rest)| rest);
    name.strip_suffix(".drv").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_path_is_shown_short() {
        assert_eq!(short_name("/nix/store/0c9x-llama-cpp-0.0.0.drv"), "llama-cpp-0.0.0");
    }
}
