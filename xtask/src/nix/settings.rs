//! What nix.conf says of how much is built at once.

use std::time::Duration;

use serde_json::Value;

use crate::nix::program::Nix;
use crate::system::process;

/// Nix's defaults are told apart from what somebody chose: the default of `max-jobs` is
/// one build at a time, which nobody wants of a machine with sixteen cores. What cannot be
/// read is as if it were not there.
pub fn configured(nix: &Nix) -> Configured {
    let call = nix.command(["config", "show", "--json"]).for_the_report();
    let said = process::read(&call, Some(Duration::from_secs(20))).unwrap_or_default();
    let settings: Value = serde_json::from_str(&said).unwrap_or_default();
    let chosen = |name: &str| {
        let setting = settings.get(name)?;
        let value = setting.get("value")?.as_u64()?;
        let default = setting.get("defaultValue").and_then(Value::as_u64);
        (default != Some(value)).then(|| u32::try_from(value).unwrap_or(u32::MAX))
    };
    let builders = settings.get("builders").and_then(|builders| builders.get("value"));
    let builders = builders.and_then(Value::as_str).unwrap_or_default().trim();
    let builders = match builders.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).unwrap_or_default(),
        None => builders.to_owned(),
    };
    let is_machine = |line: &str| !line.trim().is_empty() && !line.trim().starts_with('#');
    // The testbed's word, though it is Nix's default: its builds share what they compile,
    // one after another.
    let mut words = nix.options.iter();
    let given = words.find(|word| *word == "--max-jobs").and(words.next());
    let given = given.and_then(|jobs| jobs.parse().ok());
    Configured {
        max_jobs: given.or_else(|| chosen("max-jobs")),
        cores: chosen("cores"),
        builders: builders.lines().any(is_machine),
    }
}

/// What nix.conf says, `None` where it leaves Nix's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Configured {
    pub max_jobs: Option<u32>,
    pub cores: Option<u32>,
    /// There are builders; what `cores` says is passed on to them too.
    pub builders: bool,
}
