//! Nix's build settings in nix.conf: parallel jobs, cores and builders; and the keep-alive options
//! of connections to builders.

use std::time::Duration;

use serde_json::Value;

use crate::nix::machines::{entries, machines};
use crate::nix::program::Nix;
use crate::system::process;

/// ssh options that drop a connection after two minutes without an answer. TCP alone notices a
/// machine without power only after two hours.
const KEEP_ALIVE: &str = "-o ServerAliveInterval=30 -o ServerAliveCountMax=4";

/// Returns the environment variable with which Nix's ssh notices an unreachable builder. It has no
/// effect if a daemon builds, because the daemon has its own environment and configuration.
pub fn ssh_options() -> (&'static str, String) {
    ("NIX_SSHOPTS", with_keep_alive(&std::env::var("NIX_SSHOPTS").unwrap_or_default()))
}

fn with_keep_alive(options: &str) -> String {
    // The user's options take precedence.
    if options.contains("ServerAlive") {
        return options.to_owned();
    }
    format!("{options} {KEEP_ALIVE}").trim_start().to_owned()
}

/// Returns the list of builders of Nix's setting `builders`, in which the content of a file replaces
/// each `@FILE`, by default /etc/nix/machines.
pub fn builder_list(setting: &str) -> String {
    let lines = entries(setting).map(|entry| match entry.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file.trim()).unwrap_or_default(),
        None => entry.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The settings in nix.conf. `None`: Nix's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    pub max_jobs: Option<u32>,
    pub cores: Option<u32>,
    /// The systems of each builder; empty: this machine's system. Nix passes `cores` to builders
    /// too.
    pub builders: Vec<Vec<String>>,
    /// Systems that this machine emulates.
    pub extra_platforms: Vec<String>,
}

impl Configured {
    /// Reads the settings. A setting that has its default value counts as not set: the default of
    /// `max-jobs` is one build at a time, too few for a machine with sixteen cores. So does a
    /// setting that cannot be read.
    pub fn read(nix: &Nix) -> Self {
        let call = nix.command(["config", "show", "--json"]).for_the_report();
        let json = process::read(&call, Some(Duration::from_secs(20))).unwrap_or_default();
        let settings: Value = serde_json::from_str(&json).unwrap_or_default();
        let chosen = |name: &str| {
            let value = settings[name]["value"].as_u64()?;
            let default = settings[name]["defaultValue"].as_u64();
            (default != Some(value)).then(|| u32::try_from(value).unwrap_or(u32::MAX))
        };
        let builders = builder_list(settings["builders"]["value"].as_str().unwrap_or_default());
        // The testbed sets --max-jobs to Nix's default, so that each build finds the objects of the
        // one before it in ccache.
        let mut options = nix.options.iter();
        let max_jobs = options.find(|option| *option == "--max-jobs").and(options.next());
        let platforms = settings["extra-platforms"]["value"].as_array().into_iter().flatten();
        Self {
            max_jobs: max_jobs.and_then(|jobs| jobs.parse().ok()).or_else(|| chosen("max-jobs")),
            cores: chosen("cores"),
            builders: machines(&builders)
                .map(|machine| machine.systems.into_iter().map(str::to_owned).collect())
                .collect(),
            extra_platforms: platforms.filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
        }
    }

    /// Whether a builder or an emulator is configured for this system, which is not this machine's.
    pub fn builds_for(&self, system: &str) -> bool {
        self.builders.iter().chain([&self.extra_platforms]).flatten().any(|name| name == system)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_machines_are_in_one_list() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("machines");
        std::fs::write(&file, "ssh://a\nssh://b # not ssh://c\n").unwrap();
        let setting = format!("@ {0} ; ssh://d\n@{0}.missing", file.display());
        let list = builder_list(&setting);
        let stores: Vec<&str> = machines(&list).map(|machine| machine.store).collect();
        assert_eq!(stores, ["ssh://a", "ssh://b", "ssh://d"]);
    }

    #[test]
    fn builders_get_keep_alive_options_unless_the_user_set_them() {
        assert_eq!(with_keep_alive(""), KEEP_ALIVE);
        assert_eq!(with_keep_alive("-F x"), format!("-F x {KEEP_ALIVE}"));
        let of_user = "-o ServerAliveInterval=5";
        assert_eq!(with_keep_alive(of_user), of_user);
    }
}
