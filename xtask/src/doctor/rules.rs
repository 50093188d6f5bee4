//! The rules of `doctor`: each fact is ok, a warning or an error, with a suggested fix.
//!
//! Pure: no I/O, no clock.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::check::lock_rules;
use crate::dev::pieces::Item;
use crate::findings::finding::Severity;
use crate::nix::lockfile::LockFile;
use crate::target::ssh;
use crate::ui::units;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub state: Health,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Ok,
    Warning,
    Error,
}

impl Check {
    pub fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, state: Health::Ok, message: message.into(), help: None }
    }

    pub fn warning(
        name: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { state: Health::Warning, help: Some(help.into()), ..Self::ok(name, message) }
    }

    pub fn error(name: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { state: Health::Error, ..Self::warning(name, message, help) }
    }
}

/// The fields used of `nix config show --json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    pub experimental_features: Setting<Vec<String>>,
    pub sandbox: Setting<Value>,
    pub substituters: Setting<Vec<String>>,
    pub builders: Setting<String>,
}

#[derive(Debug, Deserialize)]
pub struct Setting<T> {
    pub value: T,
}

/// Checks the settings. `private` is the Nix of `setup`, which has neither a sandbox nor binary
/// caches.
pub fn check_config(config: &Config, private: bool) -> Vec<Check> {
    let flakes = match config.experimental_features.value.iter().any(|name| name == "flakes") {
        true => Check::ok("flakes", "switched on"),
        false => Check::warning(
            "flakes",
            "disabled; xtask enables them for itself",
            "for your own commands: `experimental-features = nix-command flakes` in nix.conf",
        ),
    };
    let on = config.sandbox.value.as_bool().unwrap_or(config.sandbox.value != "false");
    let sandbox = match (on, private) {
        (true, _) => Check::ok("sandbox", "on"),
        (false, true) => Check::ok("sandbox", "off, as the testbed needs it"),
        (false, false) => Check::warning(
            "sandbox",
            "off: a build can silently depend on this machine",
            "`sandbox = true` in nix.conf",
        ),
    };
    let caches = &config.substituters.value;
    let substituters = match (caches.is_empty(), private) {
        (false, _) => Check::ok("substituters", caches.join(" ")),
        (true, true) => Check::ok("substituters", "none: the testbed needs none"),
        (true, false) => Check::warning(
            "substituters",
            "none: everything including the compiler is built here",
            "`substituters = https://cache.nixos.org` in nix.conf",
        ),
    };
    vec![flakes, sandbox, substituters]
}

/// Checks a binary cache. An unreachable one delays every build.
pub fn check_substituter(url: &str, ping: anyhow::Result<()>) -> Check {
    let Err(error) = ping else {
        return Check::ok("substituter", format!("{url} is reachable"));
    };
    let why = error.root_cause().to_string();
    let last = why.lines().last().unwrap_or_default().trim();
    Check::warning(
        "substituter",
        format!("cannot reach {url}: {last}"),
        "check the network and `substituters` in nix.conf; without it everything is built here",
    )
}

/// Returns ssh's arguments for the address in a builder's URL; `None` for a builder without SSH.
pub fn ssh_destination(builder: &str) -> Option<Vec<String>> {
    let rest = match builder.split_once("://") {
        Some(("ssh" | "ssh-ng", rest)) => rest,
        Some(_) => return None,
        None => builder,
    };
    let host = rest.split(['?', '/']).next().filter(|host| !host.is_empty())?;
    let (address, port) = ssh::address(host);
    let port = port.map(|port| ["-p".to_owned(), port.to_string()]);
    Some(port.into_iter().flatten().chain(["--".to_owned(), address]).collect())
}

pub fn check_free_space(name: &'static str, folder: &str, free: u64) -> Check {
    const GB: u64 = 1_000_000_000;
    let message = format!("{}.{} GB free in {folder}", free / GB, free % GB / (GB / 10));
    match free {
        0..2_000_000_000 => Check::error(name, message, "free space with `nix store gc`"),
        2_000_000_000..10_000_000_000 => Check::warning(
            name,
            message,
            "a CUDA or ROCm build needs more than 10 GB; free space with `nix store gc`",
        ),
        _ => Check::ok(name, message),
    }
}

pub fn check_memory(bytes: u64, cores: usize) -> Check {
    let message = format!("{}, {cores} cores", units::bytes(bytes));
    if bytes < 5 << 30 {
        let help = "evaluating a whole NixOS takes up to 4.5 GB: use `check --jobs 1`";
        return Check::warning("machine", message, help);
    }
    Check::ok("machine", message)
}

/// The help for an old nixpkgs, because `cargo xtask update` updates only llama.cpp.
const UPDATE_NIXPKGS: &str = "`nix flake update nixpkgs`, then `cargo xtask check --full` and \
    `cargo xtask build-all`";

/// Checks the ages of the pins at `now` (seconds since 1970), and flake.lock against flake.nix's
/// `inputs`, which are null if unknown.
pub fn check_lock(lock: &LockFile, inputs: &Value, now: u64) -> Vec<Check> {
    let root = lock.node(lock.root());
    let mut checks = vec![];
    let llama_cpp = lock.llama_cpps().first().copied();
    for (name, node, limit, help) in [
        ("llama-cpp age", llama_cpp, 30, "`cargo xtask update`"),
        ("nixpkgs age", root.input("nixpkgs").as_str(), 60, UPDATE_NIXPKGS),
    ] {
        let node = lock.node(node.unwrap_or_default());
        let Some(modified) = node.locked()["lastModified"].as_u64() else { continue };
        let days = now.saturating_sub(modified) / 86_400;
        let message = format!("the pin is {days} days old");
        checks.push(match days > limit {
            true => Check::warning(name, message, help),
            false => Check::ok(name, message),
        });
    }
    let findings = lock_rules::findings(lock, inputs, "");
    if inputs.is_null() {
        let message = "not compared with flake.nix, whose inputs cannot be read";
        let help = "fix Nix or flake.nix, then run `cargo xtask doctor` again";
        checks.push(Check::warning("flake.lock", message, help));
    } else if findings.is_empty() {
        let count = root.inputs().count();
        checks.push(Check::ok("flake.lock", format!("matches the {count} inputs of flake.nix")));
    }
    checks.extend(findings.into_iter().map(|finding| match finding.severity {
        Severity::Error => Check::error("flake.lock", finding.message, finding.help),
        Severity::Warning => Check::warning("flake.lock", finding.message, finding.help),
        Severity::Note => Check::ok("flake.lock", finding.message),
    }));
    checks
}

pub fn check_untracked(files: &[String]) -> Check {
    const NAME: &str = "untracked files";
    match files.is_empty() {
        true => Check::ok(NAME, "Git tracks every .nix file"),
        false => {
            let help = format!("git add {}", files.join(" "));
            Check::error(NAME, format!("Nix ignores {}", files.join(", ")), help)
        }
    }
}

/// Checks the inputs. An incomplete testbed is only a warning, because the real inputs may be
/// reachable.
pub fn check_pieces(items: &[Item], reachable: bool) -> Vec<Check> {
    let inputs = match reachable {
        true => Check::ok("real inputs", "GitHub is reachable"),
        false => {
            let help = "use --testbed; demo does so automatically";
            Check::warning("real inputs", "cannot reach GitHub", help)
        }
    };
    let missing: Vec<&str> =
        items.iter().filter(|item| !item.is_ready()).map(|item| item.piece.name()).collect();
    let testbed = match missing.is_empty() {
        true => Check::ok("testbed", "complete"),
        false => {
            let message = format!("lacks {}", missing.join(", "));
            Check::warning("testbed", message, "cargo xtask setup")
        }
    };
    vec![inputs, testbed]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(features: &str, sandbox: Value, caches: &[&str]) -> Config {
        serde_json::from_value(json!({
            "experimental-features": { "value": [features] },
            "sandbox": { "value": sandbox, "defaultValue": true },
            "substituters": { "value": caches },
            "builders": { "value": "" },
        }))
        .unwrap()
    }

    fn states(checks: &[Check]) -> Vec<Health> {
        checks.iter().map(|check| check.state).collect()
    }

    #[test]
    fn the_private_nix_needs_no_sandbox_and_no_caches() {
        use Health::{Ok, Warning};
        let minimal = config("nix-command", json!(false), &[]);
        assert_eq!(states(&check_config(&minimal, true)), [Warning, Ok, Ok]);
        assert_eq!(states(&check_config(&minimal, false)), [Warning, Warning, Warning]);
        for on in [json!(true), json!("true"), json!("relaxed")] {
            let usual = config("flakes", on, &["https://cache.nixos.org"]);
            assert_eq!(states(&check_config(&usual, false)), [Ok, Ok, Ok]);
        }
    }

    #[test]
    fn ssh_destinations_of_builders_are_found() {
        let names = ["ssh-ng://me@big", "old", "ssh://x?a=b", "ssh-ng://me@big:23", "ssh://[::1]"];
        let hosts = names.map(|name| ssh_destination(name).unwrap().join(" "));
        assert_eq!(hosts, ["-- me@big", "-- old", "-- x", "-p 23 -- me@big", "-- ::1"]);
        assert_eq!(ssh_destination("unix:///run/nix"), None);
    }

    #[test]
    fn an_old_pin_is_a_warning_and_a_missing_input_is_an_error() {
        let lock = json!({ "root": "root", "nodes": {
            "root": { "inputs": { "llama-cpp": "llama-cpp", "nixpkgs": "nixpkgs_2", "gone": "x" } },
            "llama-cpp": { "locked": { "lastModified": 1_000_000 } },
            "nixpkgs_2": { "locked": { "lastModified": 1_000_000 } },
        } });
        let named = json!({ "url": "path:/anywhere" });
        let inputs = json!({ "llama-cpp": named, "nixpkgs": named, "new": named });
        let checks = check_lock(&LockFile::new(lock.clone()), &inputs, 1_000_000 + 40 * 86_400);
        assert_eq!(states(&checks), [Health::Warning, Health::Ok, Health::Error, Health::Error]);
        assert_eq!(checks[0].message, "the pin is 40 days old");
        assert_eq!(checks[2].message, "flake.lock does not lock the input new");
        assert!(checks[3].message.contains("locks gone, which is not an input"));
        let unknown = check_lock(&LockFile::new(lock.clone()), &Value::Null, 1_000_000);
        assert_eq!(states(&unknown), [Health::Ok, Health::Ok, Health::Warning]);
        assert!(unknown[2].message.starts_with("not compared with flake.nix"), "{unknown:?}");
        // An input of llamafleet.
        let nested = json!({ "root": "root", "nodes": {
            "root": { "inputs": { "llamafleet": "llamafleet" } },
            "llamafleet": { "inputs": { "llama-cpp": "x" } },
            "x": { "locked": { "lastModified": 1_000_000 } },
        } });
        let nested = check_lock(&LockFile::new(nested), &Value::Null, 1_000_000 + 40 * 86_400);
        assert_eq!(nested[0].message, "the pin is 40 days old");
        // The clock may be behind.
        assert_eq!(check_lock(&LockFile::new(lock.clone()), &inputs, 0)[0].state, Health::Ok);
        // `update` does not update nixpkgs, so the help differs.
        let old = check_lock(&LockFile::new(lock), &inputs, 1_000_000 + 90 * 86_400);
        let help = |check: &Check| check.help.clone().unwrap_or_default();
        assert_eq!(help(&old[0]), "`cargo xtask update`");
        assert!(help(&old[1]).starts_with("`nix flake update nixpkgs`"), "{old:?}");
    }

    #[test]
    fn memory_is_printed_in_binary_units() {
        let check = check_memory(16_300_000 << 10, 8);
        assert_eq!((check.state, &*check.message), (Health::Ok, "15.5 GiB, 8 cores"));
        assert_eq!(check_memory(4 << 30, 1).state, Health::Warning);
    }

    #[test]
    fn little_free_space_is_a_warning_or_an_error() {
        assert_eq!(check_free_space("disk", "/nix", 1_500_000_000).state, Health::Error);
        let warning = check_free_space("disk", "/nix", 9_950_000_000);
        assert_eq!(warning.message, "9.9 GB free in /nix");
        assert_eq!(warning.state, Health::Warning);
        assert_eq!(check_free_space("disk", "/nix", 20_000_000_000).state, Health::Ok);
    }
}
