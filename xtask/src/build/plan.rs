//! Plans a run of build-all: which variants are in the store or in a cache, which must be built,
//! and their sizes.

use std::cell::LazyCell;
use std::collections::BTreeSet;

use anyhow::Result;
use serde::Serialize;

use crate::build::early::Begun;
use crate::build::estimates::History;
use crate::build::history;
use crate::build::variants::{Build, short_name};
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::nix::builders::Configured;
use crate::nix::flake;
use crate::nix::names::{DrvPath, StorePath};
use crate::nix::store::{self, Missing};
use crate::testbed::toolkits::{self, Toolkit};

/// What is to be done for one variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Todo {
    Present,
    Fetch,
    Build,
    /// Neither this machine nor a builder can build for its system.
    Unsupported,
    /// The testbed lacks a toolkit that its compilation needs.
    NeedsSetup,
}

impl Todo {
    pub fn is_work(self) -> bool {
        matches!(self, Self::Build | Self::Fetch)
    }
}

/// One row of the plan.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    #[serde(flatten)]
    pub build: Build,
    pub out_path: StorePath,
    pub plan: Todo,
    /// Its closure size if it is present, else that of the last build with its name here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closure_bytes: Option<u64>,
    /// Expected seconds to build it and its missing parts, from earlier builds here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_seconds: Option<f64>,
    #[serde(skip)]
    pub lacks: Vec<&'static Toolkit>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub variants: Vec<Row>,
    /// Number of derivations that must be built besides the variants themselves.
    pub dependencies: usize,
    pub fetch: Fetch,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fetch {
    pub paths: usize,
    pub download_bytes: u64,
    pub unpacked_bytes: u64,
}

impl Plan {
    /// Returns what is to be built or fetched.
    pub fn wanted(&self) -> Vec<&Build> {
        self.variants.iter().filter(|row| row.plan.is_work()).map(|row| &row.build).collect()
    }

    pub fn count(&self, todo: Todo) -> usize {
        self.variants.iter().filter(|row| row.plan == todo).count()
    }

    /// Returns a finding for each toolkit that must be set up first.
    pub fn needs_setup(&self) -> impl Iterator<Item = Finding> {
        toolkits::ALL.into_iter().filter_map(|toolkit| {
            let rows = self.variants.iter().filter(|row| row.lacks.contains(&toolkit));
            let builds: Vec<String> = rows
                .map(|row| format!("{} ({})", row.build.variant, row.build.wanted_by()))
                .collect();
            let needs = if builds.len() == 1 { "needs" } else { "need" };
            (!builds.is_empty()).then(|| {
                Finding::error(
                    NEEDS_SETUP,
                    format!(
                        "{} {needs} {}, which this testbed does not have",
                        builds.join(", "),
                        toolkit.name
                    ),
                    format!("run `{}`, and then this command again", toolkit.setup_command()),
                )
            })
        })
    }
}

/// Returns whether a finding is about a missing toolkit; these are printed before the build.
pub fn is_setup(finding: &Finding) -> bool {
    finding.code == NEEDS_SETUP
}

const NEEDS_SETUP: &str = "needs-setup";

/// Returns the absent toolkits that the compilation of this build needs.
fn lacks(
    build: &Build,
    absent: &[&'static Toolkit],
    is_valid: impl Fn(&StorePath) -> bool,
) -> Vec<&'static Toolkit> {
    let parts = &build.manifest.parts;
    let compiles = |backend: &str| match &parts[..] {
        [] => build.manifest.has_backend(backend),
        parts => {
            parts.iter().any(|part| part.backend() == Some(backend) && !is_valid(&part.output))
        }
    };
    let needed = |toolkit: &&&Toolkit| compiles(toolkit.backend) && !is_valid(&build.out);
    absent.iter().filter(needed).copied().collect()
}

/// A plan, with the data that it was made from.
pub struct Planned {
    pub earlier: History,
    pub plan: Plan,
    pub missing: Missing,
}

impl Planned {
    /// Plans the variants that were begun early as before, although they may be present by now.
    pub fn restore(&mut self, begun: &Begun) {
        for row in &mut self.plan.variants {
            if let Some(todo) = begun.get(&row.build.drv) {
                row.plan = *todo;
            }
        }
    }
}

pub fn plan(context: &Context, builds: &[Build]) -> Result<Planned> {
    let nix = &context.flake.nix;
    let mut outputs: BTreeSet<StorePath> = builds.iter().map(|build| build.out.clone()).collect();
    let mut toolkits = vec![];
    if context.in_testbed() {
        toolkits.extend(toolkits::ALL.into_iter().filter(|toolkit| !toolkit.is_present()));
        let parts = builds.iter().flat_map(|build| &build.manifest.parts);
        outputs.extend(parts.map(|part| part.output.clone()).filter(|_| !toolkits.is_empty()));
    }
    let valid = store::valid(nix, &outputs)?;
    let lacks = |build: &Build| lacks(build, &toolkits, |path| valid.contains_key(path));
    let configured = LazyCell::new(|| Configured::read(nix));
    let buildable = |build: &&Build| {
        build.manifest.system == flake::system() || configured.builds_for(&build.manifest.system)
    };
    let absent = builds.iter().filter(|build| !valid.contains_key(&build.out)).filter(buildable);
    let absent = absent.filter(|build| lacks(build).is_empty());
    let missing = store::missing(nix, &absent.map(|build| &build.drv).collect::<Vec<_>>())?;
    let earlier = history::read(&context.home);
    let row = |build: &Build| {
        let name = short_name(build.drv.as_str());
        let info = valid.get(&build.out);
        let lacks = lacks(build);
        let todo = match build {
            _ if info.is_some() => Todo::Present,
            build if !buildable(&build) => Todo::Unsupported,
            _ if !lacks.is_empty() => Todo::NeedsSetup,
            build if missing.fetch.contains(&build.out) => Todo::Fetch,
            _ => Todo::Build,
        };
        Row {
            build: build.clone(),
            out_path: build.out.clone(),
            plan: todo,
            closure_bytes: match info {
                Some(info) => info.closure_size,
                None => earlier.before(name, &build.out).and_then(|before| before.closure_bytes),
            },
            expected_seconds: seconds(build, &missing, &earlier).filter(|_| todo == Todo::Build),
            lacks,
        }
    };
    let own: Vec<&DrvPath> = builds.iter().map(|build| &build.drv).collect();
    let plan = Plan {
        variants: builds.iter().map(row).collect(),
        dependencies: missing.build.iter().filter(|drv| !own.contains(drv)).count(),
        fetch: Fetch {
            paths: missing.fetch.len(),
            download_bytes: missing.download,
            unpacked_bytes: missing.unpacked,
        },
    };
    Ok(Planned { earlier, plan, missing })
}

/// Estimates the seconds to build a package and its parts, as far as they are missing; `None` if
/// one of them was never built here.
fn seconds(build: &Build, missing: &Missing, earlier: &History) -> Option<f64> {
    let own = build.own_derivations().into_iter().filter(|drv| missing.build.contains(*drv));
    own.map(|drv| earlier.seconds(short_name(drv.as_str()), "")).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::manifest::Part;

    #[test]
    fn a_package_takes_as_long_as_the_parts_that_are_missing() {
        let drv = |name: &str| DrvPath::new(format!("/nix/store/0-{name}.drv"));
        let mut build = Build::example("cpu", drv("llama-cpp-1"));
        build.manifest.parts = ["ggml-1", "tools-1"]
            .map(|name| Part {
                name: name.to_owned(),
                drv_path: drv(name),
                output: StorePath::new("/nix/store/o"),
            })
            .into();
        let line = |(name, seconds): (&str, f64)| {
            let record = serde_json::json!({ "name": name, "machine": "", "seconds": seconds });
            format!("{record}\n")
        };
        let records = [("llama-cpp-1", 0.5), ("ggml-1", 20.0), ("tools-1", 200.0)];
        let history =
            |count| History::parse(&records[..count].iter().copied().map(line).collect::<String>());
        let missing = |names: &[&str]| Missing {
            build: names.iter().map(|name| drv(name)).collect(),
            ..Missing::default()
        };
        let all = missing(&["llama-cpp-1", "ggml-1", "tools-1", "other-1"]);
        assert_eq!(seconds(&build, &all, &history(3)), Some(220.5));
        assert_eq!(seconds(&build, &missing(&["llama-cpp-1", "ggml-1"]), &history(3)), Some(20.5));
        assert_eq!(seconds(&build, &all, &history(2)), None);
    }

    // Printed by Nix 2.26.3.
    const DRY_RUN: &str = "these 2 derivations will be built:
  /nix/store/7m8ds0jpzsfq1g4rcavzb53mvvprzyig-yy.drv
  /nix/store/0kn7a2zamlimpj5ziwcl0j3zvpjcar1z-xx.drv
these 3 paths will be fetched (1.50 MiB download, 2.25 GiB unpacked):
  /nix/store/0c9xdvdw2sq1fx4yccrhpj2g0vzxxxxx-hello-2.12
warning: Git tree is dirty
  /nix/store/not-a-path-of-the-list
";

    #[test]
    fn the_output_of_a_dry_run_is_parsed() {
        let missing = Missing::parse(DRY_RUN);
        assert_eq!(missing.build.len(), 2);
        assert_eq!(missing.fetch.len(), 1);
        assert_eq!(missing.download, 3 << 19);
        assert_eq!(missing.unpacked, 9 << 28);
        let one = "this path will be fetched (12 KiB download, 1 B unpacked):\n  /nix/store/a\n";
        assert_eq!((Missing::parse(one).download, Missing::parse(one).unpacked), (12 << 10, 1));
        assert_eq!(Missing::parse("nothing"), Missing::default());
    }
}
