//! What became of a build, in words: for the terminal, JUnit and GitHub alike.
//!
//! Pure: no I/O, no clock.

use crate::build::report::VariantReport;
use crate::build::variants::BuildState;
use crate::nix::names::HostName;

impl BuildState {
    /// As in the JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Substituted => "substituted",
            Self::Present => "present",
            Self::Failed => "failed",
            Self::DependencyFailed => "dependency-failed",
            Self::Unsupported => "unsupported",
            Self::Interrupted => "interrupted",
        }
    }

    /// For a person, with "for" and the hosts after it.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Substituted => "fetched",
            Self::Present => "in the store already",
            Self::Failed => "the build failed",
            Self::DependencyFailed => "something that it needs failed to build",
            Self::Unsupported => "no machine that Nix has can build for this system",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The hosts that select a variant, then the flake's own packages that it is.
pub fn wanted_by(hosts: &[HostName], packages: &[String]) -> String {
    let hosts = hosts.iter().map(HostName::as_str);
    let names: Vec<&str> = hosts.chain(packages.iter().map(String::as_str)).collect();
    names.join(", ")
}

impl VariantReport {
    pub fn wanted_by(&self) -> String {
        wanted_by(&self.hosts, &self.packages)
    }

    /// A sentence: what became of it, whose it is, and the line that says most of why.
    pub fn told(&self) -> String {
        let text = format!("{} for {}", self.state.sentence(), self.wanted_by());
        let reason = self.reason.as_ref().and_then(|reason| reason.lines().next());
        match self.first_error.as_deref().or(reason) {
            Some(line) => format!("{text}: {line}"),
            None => text,
        }
    }
}
