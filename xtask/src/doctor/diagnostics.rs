//! The diagnostics of `doctor`. Each is a short query, and its failure is a result as well.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;
use std::{io, thread};

use anyhow::{Context, Result};
use serde_json::Value;
use walkdir::WalkDir;

use crate::dev::provision;
use crate::doctor::rules::{self, Check, Config, Health};
use crate::hardware::cpu::Cpu;
use crate::hardware::microarch::Table;
use crate::nix::builders::builder_list;
use crate::nix::diagnosis::{FETCH, diagnose};
use crate::nix::flake;
use crate::nix::lockfile::{LockFile, RESTORE};
use crate::nix::machines::{Machine, machines};
use crate::nix::program::Nix;
use crate::system::process::{self, Exit, Invocation};
use crate::system::resources::{cores, memory, now};
use crate::system::{disk, files, git};
use crate::testbed::inputs as testbed;
use crate::ui::units;

const QUICK: Duration = Duration::from_secs(20);

/// Checks Nix: version, store, settings, binary caches, builders.
pub fn nix(found: &Result<Nix>, home: &Path) -> Vec<Check> {
    let nix = match found {
        Ok(nix) => nix,
        Err(error) => {
            let help = "run `cargo xtask setup`, or install Nix from nixos.org";
            return vec![Check::error("nix", format!("{error:#}"), help)];
        }
    };
    let private = nix.program.starts_with(home);
    let note = if private { " (unpacked by setup)" } else { "" };
    let version = format!("{} in {}{note}", nix.version, nix.program.display());
    let mut checks = vec![Check::ok("nix", version)];
    checks.push(match write_to_store(nix) {
        Ok(()) => Check::ok("store", "writable"),
        Err(error) => {
            let finding = diagnose(&format!("{:#}", error.root_cause()), None);
            Check::error("store", finding.message, finding.help)
        }
    });
    match config(nix) {
        Ok(config) => {
            checks.extend(rules::check_config(&config, private));
            let ping = |url: &String| rules::check_substituter(url, ping(nix, url));
            checks.extend(in_parallel(&config.substituters.value, ping));
            checks.extend(builders(&config));
        }
        Err(error) => {
            let help = "fix the setting that Nix names";
            checks.push(Check::error("nix.conf", format!("{error:#}"), help));
        }
    }
    checks
}

/// Runs checks in parallel, because an unreachable machine takes some seconds.
fn in_parallel<T: Sync>(items: &[T], check: impl Fn(&T) -> Check + Sync) -> Vec<Check> {
    thread::scope(|scope| {
        let check = &check;
        let threads: Vec<_> = items.iter().map(|item| scope.spawn(move || check(item))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

/// Adds a path to the store, to test whether it is writable. The path is the same for a day, so the
/// store does not fill up.
fn write_to_store(nix: &Nix) -> Result<()> {
    let name = format!("llamafleet-doctor-{}", now() / 86_400);
    let expression = format!("builtins.toFile \"{name}\" \"\"");
    let call = nix.command(["eval", "--raw", "--expr", &expression]);
    process::read(&call, Some(QUICK)).map(drop)
}

/// Reads the settings of the user's own commands, without enabling flakes.
fn config(nix: &Nix) -> Result<Config> {
    let read = |words: &[&str]| {
        let call = Invocation::new(&nix.program)
            .args(["--extra-experimental-features", "nix-command"])
            .args(words.iter().copied())
            .arg("--json");
        process::read(&call, Some(QUICK))
    };
    // Nix before 2.20 calls it `show-config`.
    let output = read(&["config", "show"]).or_else(|_| read(&["show-config"]))?;
    serde_json::from_str(&output).context("unexpected output from `nix config show --json`")
}

fn ping(nix: &Nix, url: &str) -> Result<()> {
    let call = nix.command(["store", "ping", "--store", url]).args([
        "--option",
        "connect-timeout",
        "3",
        "--option",
        "download-attempts",
        "1",
    ]);
    process::read(&call, Some(QUICK)).map(drop)
}

fn builders(config: &Config) -> Vec<Check> {
    let text = builder_list(&config.builders.value);
    let builders: Vec<Machine> = machines(&text).collect();
    match builders.is_empty() {
        true => vec![Check::ok("builders", "only this machine")],
        false => in_parallel(&builders, reach),
    }
}

fn reach(builder: &Machine) -> Check {
    let Machine { store, ssh_key, .. } = builder;
    let Some(address) = rules::ssh_destination(store) else {
        return Check::ok("builders", format!("{store} is not an SSH builder"));
    };
    // A daemon reads the key as root.
    if let Some(key) = ssh_key.filter(|key| File::open(key).is_err_and(is_forbidden)) {
        let message = format!("{store} was not tried: {key} is not readable by this user");
        return Check::ok("builders", message);
    }
    let options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=3"];
    let key = ssh_key.iter().flat_map(|key| ["-i", key]);
    let call = Invocation::new("ssh").args(options).args(key).args(address).arg("true");
    match process::read(&call, Some(QUICK)) {
        Ok(_) => Check::ok("builders", format!("{store} is reachable")),
        Err(error) => {
            let why = error.root_cause().to_string();
            let message = format!("cannot reach {store}: {}", why.trim());
            let help = format!("`{call}` must work without a prompt");
            Check::warning("builders", message, help)
        }
    }
}

fn is_forbidden(error: io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Checks the machine: disk space, memory, cores, compiler cache.
pub fn machine(home: &Path) -> Vec<Check> {
    let mut checks = vec![];
    for (name, place) in [("disk of the store", Path::new("/nix/store")), ("disk of xtask", home)] {
        if let Ok(free) = disk::free_bytes(place) {
            checks.push(rules::check_free_space(name, &place.display().to_string(), free));
        }
    }
    checks.push(rejected(&home.join("refused")));
    checks.extend(memory().map(|bytes| rules::check_memory(bytes, cores())));
    checks.extend(cpu());
    let ccache = ccache().unwrap_or_else(|| "not installed; only the testbed uses it".to_owned());
    checks.push(Check::ok("ccache", ccache));
    checks
}

/// Checks the size of the rejected updates that are saved with their logs.
fn rejected(folder: &Path) -> Check {
    const NAME: &str = "refused updates";
    const LIMIT: u64 = 200 << 20;
    let files = WalkDir::new(folder).into_iter().flatten().filter_map(|it| it.metadata().ok());
    let sizes: Vec<u64> = files.filter(|it| !it.is_dir()).map(|it| it.len()).collect();
    let bytes: u64 = sizes.iter().sum();
    let message = format!("{} files, {} MiB", sizes.len(), bytes.div_ceil(1 << 20));
    match bytes > LIMIT {
        true => Check::warning(NAME, message, format!("rm -r {}", folder.display())),
        false => Check::ok(NAME, message),
    }
}

/// Suggests the option for this machine's CPU.
fn cpu() -> Option<Check> {
    let cpu = Cpu::parse(&fs::read_to_string("/proc/cpuinfo").ok()?).ok()?;
    let detected = Table::embedded().detect(&cpu)?;
    let why = if detected.is_own { "" } else { " (the same instruction sets)" };
    let message = format!("programs.llama-cpp.microarch = \"{}\"{why}", detected.name);
    Some(Check::ok("CPU", message))
}

/// The folder of the compiler cache in testbed/nixpkgs, the same on every machine.
const CCACHE: &str = "/nix/var/llamafleet/ccache";

fn ccache() -> Option<String> {
    let call = Invocation::new("ccache").arg("--print-stats").env("CCACHE_DIR", CCACHE);
    let output = process::read(&call, Some(QUICK)).ok()?;
    let value =
        |name: &str| output.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    let kib: u64 = value("cache_size_kibibyte")?;
    let files: u64 = value("files_in_cache").unwrap_or_default();
    Some(format!("{} in {files} files", units::bytes(kib << 10)))
}

/// Checks the repository: flake.lock, and files that Nix does not see.
pub fn repository(nix: &Result<Nix>, root: &Path) -> Vec<Check> {
    let mut checks = match lock(nix, root) {
        Ok((lock, inputs)) => rules::check_lock(&lock, &inputs, now()),
        Err(error) => {
            let exists = root.join("flake.lock").exists();
            let help = if exists { RESTORE } else { "create it with `nix flake lock`" };
            vec![Check::error("flake.lock", format!("{error:#}"), help)]
        }
    };
    if let Ok(nix) = nix
        && checks.iter().all(|check| check.state != Health::Error)
        && let Some(rejected) = rejected_by_nix(nix, root)
    {
        checks.retain(|check| check.name != rejected.name);
        checks.push(rejected);
    }
    let help = "is this a Git repository?";
    checks.push(match git::untracked(root, "*.nix") {
        Ok(files) => rules::check_untracked(&files),
        Err(error) => Check::warning("untracked files", format!("{error:#}"), help),
    });
    checks
}

fn lock(nix: &Result<Nix>, root: &Path) -> Result<(LockFile, Value)> {
    let file = root.join("flake.lock");
    let lock = LockFile::parse(&files::read(&file)?).context("flake.lock is not JSON")?;
    // Without Nix the inputs of flake.nix are unknown, but not the ages.
    let inputs = nix.as_ref().map(|nix| flake::inputs(nix, root)).unwrap_or_default();
    Ok((lock, inputs))
}

/// Returns Nix's error if it rejects flake.lock or flake.nix. Fetches nothing.
fn rejected_by_nix(nix: &Nix, root: &Path) -> Option<Check> {
    let call = nix.command(["flake", "metadata", "--offline", "--no-write-lock-file", "."]);
    let output = process::capture(&call.dir(root), Some(QUICK)).ok()?;
    let stderr = output.stderr_text();
    let finding = diagnose(&stderr, None);
    if finding.code == "foreign-repository" {
        return Some(Check::error("flake", finding.message, finding.help));
    }
    // A failed download, because it is offline, says nothing about flake.lock.
    let fetches = ["while updating the flake input", "while fetching the input"];
    let is_fetch = finding.code == FETCH || fetches.iter().any(|trace| stderr.contains(trace));
    if !matches!(output.exit, Exit::Code(1)) || is_fetch {
        return None;
    }
    if stderr.contains("flake.nix") {
        let help = format!("run `nix flake metadata {}` for details", root.display());
        return Some(Check::error("flake.nix", finding.message, help));
    }
    Some(Check::error("flake.lock", format!("Nix refuses it: {}", finding.message), RESTORE))
}

/// Checks the testbed's pieces, and whether the real inputs are reachable.
pub fn inputs(home: &Path) -> Vec<Check> {
    rules::check_pieces(&provision::discover(home, &[]), testbed::inputs_reachable())
}
