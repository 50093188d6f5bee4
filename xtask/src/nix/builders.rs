//! How much Nix builds at once, and on which machines, by nix.conf; and how long a silent
//! connection to one of them is kept open.

use std::time::Duration;

use serde_json::Value;

use crate::nix::machines::machines;
use crate::nix::program::Nix;
use crate::system::process;

/// Two minutes without an answer, and a builder is lost. TCP alone notices after two hours
/// that the other side lost its power.
const KEEP_ALIVE: &str = "-o ServerAliveInterval=30 -o ServerAliveCountMax=4";

/// The environment in which Nix's ssh notices a builder that is gone. Where a daemon
/// builds, its own environment and configuration count, and this has no effect.
pub fn ssh_options() -> (&'static str, String) {
    ("NIX_SSHOPTS", with_keep_alive(&std::env::var("NIX_SSHOPTS").unwrap_or_default()))
}

fn with_keep_alive(given: &str) -> String {
    // The user's own options win.
    if given.contains("ServerAlive") {
        return given.to_owned();
    }
    format!("{given} {KEEP_ALIVE}").trim_start().to_owned()
}

/// Nix's setting `builders`: a list, or `@` and the file that has it, /etc/nix/machines by default.
pub fn listed(setting: &str) -> String {
    match setting.trim().strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).unwrap_or_default(),
        None => setting.to_owned(),
    }
}

/// What nix.conf says, `None` where it leaves Nix's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    pub max_jobs: Option<u32>,
    pub cores: Option<u32>,
    /// Of each builder the systems; none: this machine's. What `cores` says is passed on to
    /// builders too.
    pub builders: Vec<Vec<String>>,
    /// Systems that this machine emulates.
    pub extra_platforms: Vec<String>,
}

impl Configured {
    /// Nix's defaults are not what somebody chose: the default of `max-jobs` is one build at
    /// a time, which nobody wants of a machine with sixteen cores. What cannot be read counts
    /// as not set.
    pub fn read(nix: &Nix) -> Self {
        let call = nix.command(["config", "show", "--json"]).for_the_report();
        let json = process::read(&call, Some(Duration::from_secs(20))).unwrap_or_default();
        let settings: Value = serde_json::from_str(&json).unwrap_or_default();
        let chosen = |name: &str| {
            let value = settings[name]["value"].as_u64()?;
            let default = settings[name]["defaultValue"].as_u64();
            (default != Some(value)).then(|| u32::try_from(value).unwrap_or(u32::MAX))
        };
        let builders = listed(settings["builders"]["value"].as_str().unwrap_or_default());
        // The testbed sets it although it is Nix's default: its builds share what they
        // compile, one after another.
        let mut words = nix.options.iter();
        let given = words.find(|word| *word == "--max-jobs").and(words.next());
        let platforms = settings["extra-platforms"]["value"].as_array().into_iter().flatten();
        Self {
            max_jobs: given.and_then(|jobs| jobs.parse().ok()).or_else(|| chosen("max-jobs")),
            cores: chosen("cores"),
            builders: machines(&builders)
                .map(|machine| machine.systems.into_iter().map(str::to_owned).collect())
                .collect(),
            extra_platforms: platforms.filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
        }
    }

    /// Whether a machine builds for this system, which is not this machine's. Whether it really can is
    /// Nix's to find out.
    pub fn builds_for(&self, system: &str) -> bool {
        self.builders.iter().chain([&self.extra_platforms]).flatten().any(|name| name == system)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_builder_is_given_up_unless_the_user_says_when() {
        assert_eq!(with_keep_alive(""), KEEP_ALIVE);
        assert_eq!(with_keep_alive("-F x"), format!("-F x {KEEP_ALIVE}"));
        let own = "-o ServerAliveInterval=5";
        assert_eq!(with_keep_alive(own), own);
    }
}
