//! What `doctor` looks at: each look is one short question, and an answer that does
//! not come is a finding like any other.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::dev::provision;
use crate::doctor::rules as doctor;
use crate::doctor::rules::{Check, Config};
use crate::hardware::cpu::Cpu;
use crate::hardware::microarch::Table;
use crate::nix::lockfile::LockFile;
use crate::nix::program::Nix;
use crate::system::process::{self, Invocation};
use crate::system::resources::{cores, memory};
use crate::system::{disk, git};
use crate::testbed::inputs as testbed;

const QUICK: Duration = Duration::from_secs(20);

/// Everything about Nix itself.
pub fn nix(found: &Result<Nix>, home: &Path) -> Vec<Check> {
    let nix = match found {
        Ok(nix) => nix,
        Err(error) => {
            let help = "run `cargo xtask setup`, or install Nix from nixos.org";
            return vec![Check::error("nix", format!("{error:#}"), help)];
        }
    };
    let private = nix.program.starts_with(home);
    let whose = if private { " (unpacked by setup)" } else { "" };
    let place = nix.program.display();
    let mut checks = vec![Check::ok("nix", format!("{} in {place}{whose}", nix.version))];
    checks.push(match write_to_store(nix) {
        Ok(()) => Check::ok("store", "writable"),
        Err(error) => Check::error(
            "store",
            format!("{error:#}"),
            "check that the Nix daemon runs and owns /nix",
        ),
    });
    match config(nix) {
        Ok(config) => {
            checks.extend(doctor::check_config(&config, private));
            checks.extend(substituters(nix, &config));
            checks.extend(builders(&config));
        }
        Err(error) => checks.push(Check::error(
            "nix.conf",
            format!("{error:#}"),
            "fix the setting that Nix names",
        )),
    }
    checks
}

/// One path a day, so that the store is really written to and yet not littered.
fn write_to_store(nix: &Nix) -> Result<()> {
    let name = format!("llamafleet-doctor-{}", now() / 86_400);
    let expression = format!("builtins.toFile \"{name}\" \"\"");
    let call = nix.command(["eval", "--raw", "--expr", &expression]);
    process::read(&call, Some(QUICK)).map(drop)
}

/// As the user's own commands see it: flakes are not switched on for this one.
fn config(nix: &Nix) -> Result<Config> {
    let call = |words: &[&str]| {
        Invocation::new(&nix.program)
            .args(["--extra-experimental-features", "nix-command"])
            .args(words.iter().copied())
            .arg("--json")
    };
    let call = call(&["config", "show"]);
    let output = process::read(&call, Some(QUICK)).or_else(|_| {
        // Before 2.20 it had another name.
        let old = Invocation::new(&nix.program).args([
            "--extra-experimental-features",
            "nix-command",
            "show-config",
            "--json",
        ]);
        process::read(&old, Some(QUICK))
    })?;
    serde_json::from_str(&output).with_context(|| format!("unexpected output from `{call}`"))
}

/// Each binary cache, asked as Nix would ask it; side by side, since one that is away
/// takes its time.
fn substituters(nix: &Nix, config: &Config) -> Vec<Check> {
    let ask = |url: &str| {
        let call = nix.command(["store", "ping", "--store", url]).args([
            "--option",
            "connect-timeout",
            "3",
            "--option",
            "download-attempts",
            "1",
        ]);
        doctor::check_substituter(url, process::read(&call, Some(QUICK)).map(drop))
    };
    thread::scope(|scope| {
        let urls = &config.substituters.value;
        let asked: Vec<_> = urls.iter().map(|url| scope.spawn(move || ask(url))).collect();
        asked.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

fn builders(config: &Config) -> Vec<Check> {
    let setting = config.builders.value.trim();
    let text = match setting.strip_prefix('@') {
        Some(file) => fs::read_to_string(file).unwrap_or_default(),
        None => setting.to_owned(),
    };
    let builders = doctor::builders(&text);
    if builders.is_empty() {
        return vec![Check::ok("builders", "only this machine")];
    }
    // Side by side: each that is away takes three seconds.
    thread::scope(|scope| {
        let asked: Vec<_> =
            builders.iter().map(|builder| scope.spawn(move || reach(builder))).collect();
        asked.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

fn reach(builder: &str) -> Check {
    let Some(host) = doctor::ssh_destination(builder) else {
        return Check::ok("builders", format!("{builder} is not an SSH builder"));
    };
    let call = Invocation::new("ssh").args([
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=3",
        "--",
        host,
        "true",
    ]);
    match process::read(&call, Some(QUICK)) {
        Ok(_) => Check::ok("builders", format!("{builder} is reachable")),
        Err(error) => {
            let why = error.root_cause().to_string();
            let message = format!("cannot reach {builder}: {}", why.trim());
            Check::warning("builders", message, format!("`ssh {host}` must work without a prompt"))
        }
    }
}

/// The machine: room, memory, cores, the compiler cache.
pub fn machine(home: &Path) -> Vec<Check> {
    let mut checks = vec![];
    for (name, place) in [("disk of the store", Path::new("/nix/store")), ("disk of xtask", home)] {
        if let Ok(free) = disk::free_bytes(place) {
            checks.push(doctor::check_room(name, &place.display().to_string(), free));
        }
    }
    checks.push(refused(&home.join("refused")));
    let cores = cores();
    if let Some(bytes) = memory() {
        checks.push(doctor::check_memory(bytes, cores));
    }
    checks.extend(cpu());
    checks.push(match ccache() {
        Some(size) => Check::ok("ccache", size),
        None => Check::ok("ccache", "not installed; only the testbed uses it"),
    });
    checks
}

/// What `update` refused and kept, with its logs. The newest of each fleet stay; fleets come
/// and go.
fn refused(folder: &Path) -> Check {
    const MUCH: u64 = 200 << 20;
    let (mut files, mut bytes, mut queue) = (0_u64, 0, vec![folder.to_owned()]);
    while let Some(folder) = queue.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(about) if about.is_dir() => queue.push(entry.path()),
                Ok(about) => (files, bytes) = (files + 1, bytes + about.len()),
                Err(_) => {}
            }
        }
    }
    let told = format!("{files} files, {} MiB", bytes.div_ceil(1 << 20));
    match bytes > MUCH {
        true => Check::warning("refused updates", told, format!("rm -r {}", folder.display())),
        false => Check::ok("refused updates", told),
    }
}

/// What to write for this machine's CPU.
fn cpu() -> Option<Check> {
    let cpu = Cpu::parse(&fs::read_to_string("/proc/cpuinfo").ok()?).ok()?;
    let table = Table::embedded().ok()?;
    let detected = table.detect(&cpu)?;
    let why = if detected.is_own { String::new() } else { format!(" ({detected})") };
    let message = format!("programs.llama-cpp.microarch = \"{}\"{why}", detected.name);
    Some(Check::ok("CPU", message))
}

/// As testbed/nixpkgs names it; it must not depend on whose machine it is.
const CCACHE: &str = "/nix/var/llamafleet/ccache";

fn ccache() -> Option<String> {
    let call = Invocation::new("ccache").arg("--print-stats").env("CCACHE_DIR", CCACHE);
    let output = process::read(&call, Some(QUICK)).ok()?;
    let value =
        |name: &str| output.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    let kib: u64 = value("cache_size_kibibyte")?;
    let files: u64 = value("files_in_cache").unwrap_or_default();
    Some(format!("{} MB in {files} files", kib / 1000))
}

/// The repository: flake.lock, and files that Nix does not see.
pub fn repository(nix: &Result<Nix>, root: &Path) -> Vec<Check> {
    let mut checks = match lock(nix, root) {
        Ok((lock, inputs)) => doctor::check_lock(&lock, &inputs, now()),
        Err(error) => {
            vec![Check::error(
                "flake.lock",
                format!("{error:#}"),
                "create it with `nix flake \
                                                                   lock`",
            )]
        }
    };
    checks.push(match git::untracked(root, "*.nix") {
        Ok(files) => doctor::check_untracked(&files),
        Err(error) => {
            Check::warning("untracked files", format!("{error:#}"), "is this a Git repository?")
        }
    });
    checks
}

fn lock(nix: &Result<Nix>, root: &Path) -> Result<(LockFile, Value)> {
    let file = root.join("flake.lock");
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let lock = LockFile::parse(&text).context("flake.lock is not JSON")?;
    // Without Nix the inputs of flake.nix cannot be told; the ages still can.
    let inputs = nix.as_ref().map(|nix| crate::nix::flake::inputs(nix, root)).unwrap_or_default();
    Ok((lock, inputs))
}

/// The testbed's pieces, and whether the real inputs can be had.
pub fn inputs(home: &Path) -> Vec<Check> {
    doctor::check_pieces(&provision::discover(home), testbed::inputs_reachable())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
