//! What is built, and for whom.
//!
//! Pure: no I/O, no clock.

use serde::Serialize;

use crate::fleet::manifest::Selection;
use crate::nix::names::{DrvPath, HostName, StorePath, VariantName};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildState {
    Built,
    Substituted,
    Present,
    Failed,
    DependencyFailed,
    Unsupported,
    Interrupted,
}

impl BuildState {
    pub fn well(self) -> bool {
        matches!(self, Self::Built | Self::Substituted | Self::Present)
    }
}

/// One derivation to build, and who wants it.
#[derive(Debug, Clone)]
pub struct Build {
    pub variant: VariantName,
    pub hosts: Vec<HostName>,
    /// The flake's own packages that it is: `--packages`.
    pub packages: Vec<String>,
    pub system: String,
    pub backends: Vec<String>,
    pub drv: DrvPath,
    pub out: StorePath,
}

/// Hosts with equal variants share one build. In order of the first host's name.
pub fn distinct<'a>(
    selections: impl IntoIterator<Item = (&'a HostName, &'a Selection)>,
) -> Vec<Build> {
    let mut builds: Vec<Build> = vec![];
    for (host, selection) in selections {
        match builds.iter_mut().find(|build| build.drv == selection.drv_path) {
            Some(build) => build.hosts.push(host.clone()),
            None => builds.push(Build { hosts: vec![host.clone()], ..Build::of(selection) }),
        }
    }
    builds
}

/// Adds the flake's own packages; one that a host selects as well is the same build.
pub fn with_packages(mut builds: Vec<Build>, packages: &[(String, Selection)]) -> Vec<Build> {
    for (name, selection) in packages {
        match builds.iter_mut().find(|build| build.drv == selection.drv_path) {
            Some(build) => build.packages.push(name.clone()),
            None => {
                builds.push(Build { packages: vec![name.clone()], ..Build::of(selection) });
            }
        }
    }
    builds
}

impl Build {
    fn of(selection: &Selection) -> Self {
        Self {
            variant: selection.manifest.variant.clone(),
            hosts: vec![],
            packages: vec![],
            system: selection.manifest.system.clone(),
            backends: selection.manifest.backends.clone(),
            drv: selection.drv_path.clone(),
            out: selection.out_path.clone(),
        }
    }
}

/// `/nix/store/<hash>-llama-cpp-cpu-znver4-0.0.0.drv` → `llama-cpp-cpu-znver4-0.0.0`.
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
