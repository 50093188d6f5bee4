//! The machines that Nix builds on, as far as they are ours to look after: how long a
//! silent connection is held, and which systems they say they build for.

use std::time::Duration;

use crate::nix::program::Nix;
use crate::nix::{flake, machines};
use crate::system::process;

/// Two minutes without an answer, and a builder is lost. TCP alone notices after two hours
/// that the other side lost its power.
const KEEP_ALIVE: &str = "-o ServerAliveInterval=30 -o ServerAliveCountMax=4";

/// The environment in which Nix's ssh notices a builder that is gone. Where a daemon
/// builds, its own environment and configuration hold, and this has no effect.
pub fn ssh_options() -> (&'static str, String) {
    ("NIX_SSHOPTS", with_keep_alive(&std::env::var("NIX_SSHOPTS").unwrap_or_default()))
}

fn with_keep_alive(given: &str) -> String {
    // The user's own word stands.
    if given.contains("ServerAlive") {
        return given.to_owned();
    }
    format!("{given} {KEEP_ALIVE}").trim_start().to_owned()
}

impl Nix {
    /// Whether `builders` has a machine, or this one an emulation, for this system. What it
    /// can really do is Nix's to find out.
    pub fn has_machine_for(&self, system: &str) -> bool {
        let read = |name: &str| {
            let call = self.command(["config", "show", name]);
            process::read(&call, Some(Duration::from_secs(20))).unwrap_or_default()
        };
        // `builders` is a list, or `@` and the file that has it, /etc/nix/machines by default.
        let builders = read("builders");
        let builders = match builders.trim().strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file).unwrap_or_default(),
            None => builders,
        };
        let builds = |machine: &machines::Machine| match machine.systems.as_slice() {
            [] => system == flake::system(),
            systems => systems.iter().any(|name| name == system),
        };
        machines::machines(&builders).iter().any(builds)
            || read("extra-platforms").split_whitespace().any(|platform| platform == system)
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
