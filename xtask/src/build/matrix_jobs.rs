//! `matrix`: a GitHub Actions matrix, one job for each distinct build.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::fleet::manifest::Selection;
use crate::nix::names::{DrvPath, HostName, VariantName};

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Matrix {
    pub include: Vec<Job>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    pub variant: VariantName,
    /// With a space between, as `cargo xtask build-all` takes them.
    pub hosts: String,
    pub system: String,
    pub drv_path: DrvPath,
    /// As in the module, `cuda+rocm` for several.
    pub backend: String,
    /// llama.cpp's; a host that is held has an earlier one than the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rev: Option<String>,
    /// GitHub's own runner of this system; none where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<&'static str>,
}

impl Matrix {
    pub fn new<'a>(selected: impl Iterator<Item = (&'a HostName, &'a Selection)>) -> Self {
        let mut builds: BTreeMap<&DrvPath, (&Selection, Vec<&str>)> = BTreeMap::new();
        for (host, selection) in selected {
            let build = builds.entry(&selection.drv_path).or_insert((selection, vec![]));
            build.1.push(host.as_str());
        }
        let mut include: Vec<Job> = builds
            .into_values()
            .map(|(Selection { manifest, drv_path, .. }, hosts)| Job {
                variant: manifest.variant.clone(),
                hosts: hosts.join(" "),
                system: manifest.system.clone(),
                drv_path: drv_path.clone(),
                backend: manifest.backends.join("+"),
                rev: manifest.rev.clone(),
                runner: runner(&manifest.system),
            })
            .collect();
        // Derivations sort by hash: of no use to who reads the job list.
        include.sort_by(|a, b| (&a.variant, &a.hosts).cmp(&(&b.variant, &b.hosts)));
        Self { include }
    }
}

fn runner(system: &str) -> Option<&'static str> {
    match system {
        "x86_64-linux" => Some("ubuntu-24.04"),
        "aarch64-linux" => Some("ubuntu-24.04-arm"),
        _ => None,
    }
}
