//! The rules for flake.lock: it locks exactly the inputs of flake.nix, with one nixpkgs for
//! llama.cpp and the fleet, and every package is built from the locked llama.cpp.
//!
//! Pure: no I/O, no clock.

use serde_json::Value;

use crate::findings::finding::{Finding, abridged};
use crate::fleet::manifest::Manifest;
use crate::fleet::pinned_hosts::{PinnedHost, PinnedHostsFile};
use crate::fleet::state_file::PINNED_HOSTS;
use crate::nix::flake_input::short;
use crate::nix::flake_ref;
use crate::nix::lockfile::{LockFile, LockedInput, Node};

const RELOCK: &str = "run `nix flake lock`, then commit flake.lock";

/// Checks that a package is built from a llama.cpp that is locked here, or from the one that its
/// host is pinned to. Ignores a host with its own source, and a locked path, which has no revision.
pub fn package(
    lock: &LockFile,
    manifest: &Manifest,
    pinned: Option<&PinnedHost>,
) -> Option<Finding> {
    if manifest.own_source {
        return None;
    }
    if let Some(pinned) = pinned {
        return not_pinned(manifest, pinned);
    }
    let nodes = lock.llama_cpps();
    let locked: Option<Vec<&str>> = nodes.iter().map(|node| lock.node(node).rev()).collect();
    let locked = locked.filter(|locked| !locked.is_empty())?;
    let rev = manifest.rev.as_deref().filter(|rev| *rev != "unknown");
    if rev.is_some_and(|rev| locked.contains(&rev)) {
        return None;
    }
    let pin = locked.iter().map(|rev| short(rev)).collect::<Vec<_>>().join(" or ");
    let is = rev.map_or_else(
        || "does not name its llama.cpp revision".to_owned(),
        |rev| format!("is built from llama.cpp {}", short(rev)),
    );
    Some(Finding::error(
        "wrong-revision",
        format!("the package {is}, but flake.lock pins {pin}"),
        "remove whatever overrides its `src` or llamafleet's overlay",
    ))
}

/// Checks that a pinned host has the llama.cpp that it is pinned to.
fn not_pinned(manifest: &Manifest, pinned: &PinnedHost) -> Option<Finding> {
    if manifest.rev.as_deref() == Some(pinned.rev()) {
        return None;
    }
    let is = manifest.rev.as_deref().map_or("another", short);
    Some(Finding::error(
        "pinned-host-not-applied",
        format!(
            "{} pins this host to llama.cpp {}, but its package is built from {is}",
            PINNED_HOSTS.name,
            pinned.rev()
        ),
        "set `programs.llama-cpp.fleet = self;` in its modules and the networking.hostName that \
         pinned_hosts.json uses, and `git add` the file",
    ))
}

/// Compares flake.lock with the `inputs` of flake.nix, and llama.cpp's nixpkgs with the fleet's.
/// `text` is flake.nix, to find lines in.
pub fn findings(lock: &LockFile, inputs: &Value, text: &str) -> Vec<Finding> {
    let mut findings = second_nixpkgs(lock, text);
    findings.extend(elsewhere(lock));
    findings.extend(lock.acyclic().err());
    let Some(wanted) = inputs.as_object() else { return findings };
    let have: Vec<(&str, &Value)> = lock.node(lock.root()).inputs().collect();
    for (name, input) in wanted {
        let at = |finding: Finding| placed(finding, text, name);
        match have.iter().find(|(locked, _)| locked == name) {
            None => findings.push(at(Finding::error(
                "lock-lacks-input",
                format!("flake.lock does not lock the input {name}"),
                RELOCK,
            ))),
            Some((_, target)) => findings.extend(differs(lock, name, input, target).map(at)),
        }
    }
    let extra = have.iter().filter(|(name, _)| !wanted.contains_key(*name)).map(|(name, _)| {
        let message = format!("flake.lock locks {name}, which is not an input of flake.nix");
        Finding::error("lock-extra-input", message, RELOCK).at("flake.lock")
    });
    findings.extend(extra);
    findings
}

fn differs(lock: &LockFile, name: &str, input: &Value, target: &Value) -> Option<Finding> {
    let changed = |what: String| Some(Finding::error("lock-disagrees", what, RELOCK));
    let path = |follows: &str| -> Vec<Value> {
        follows.split('/').filter(|part| !part.is_empty()).map(Value::from).collect()
    };
    if let Some(follows) = input["follows"].as_str() {
        return if target.as_array() == Some(&path(follows)) {
            None
        } else {
            changed(format!("{name} follows {follows} in flake.nix, but not in flake.lock"))
        };
    }
    let Some(key) = target.as_str() else {
        return changed(format!(
            "{name} follows another input in flake.lock, but not in flake.nix"
        ));
    };
    let node = lock.node(key);
    let wanted = flake_ref::of_input(name, input);
    if let Some(wanted) = &wanted
        && !flake_ref::same(wanted, node.original())
    {
        let locked = flake_ref::text(node.original());
        let wanted = input["url"].as_str().map_or_else(|| wanted.to_string(), str::to_owned);
        return changed(format!("{name} is {wanted} in flake.nix, but {locked} in flake.lock"));
    }
    let below = input["inputs"].as_object().into_iter().flatten();
    for (inner, setting) in below {
        let Some(follows) = setting["follows"].as_str() else { continue };
        // Nix itself reports an input that the other flake does not have.
        let locked = node.input(inner);
        if !locked.is_null() && locked.as_array() != Some(&path(follows)) {
            return changed(format!(
                "flake.nix lets {name}'s {inner} follow {follows}, flake.lock does not"
            ));
        }
    }
    (wanted.is_some() && flake_ref::is_old_form(node.original())).then(|| {
        let update = match is_llama_cpp(lock, key) {
            true => "the next update".to_owned(),
            false => format!("`nix flake update {name}`"),
        };
        Finding::note(
            "lock-old-form",
            format!(
                "flake.lock has {name}'s `?dir=` in its url, as earlier versions of Nix wrote it"
            ),
            format!("nothing breaks; {update} writes it as Nix does now"),
        )
    })
}

/// Returns whether a node is a llama.cpp. Only `cargo xtask update` should update it: that builds
/// every host first.
fn is_llama_cpp(lock: &LockFile, key: &str) -> bool {
    lock.llama_cpps().contains(&key)
}

/// Finds inputs whose `locked` is not what their `original` names. Nix accepts such a lock file,
/// and builds the fleet from another repository. A warning for an input of an input, whose own
/// lock file may already say so.
pub fn elsewhere(lock: &LockFile) -> impl Iterator<Item = Finding> {
    let nodes = lock.nodes().into_iter().flatten();
    let is_elsewhere =
        |(_, node): &(&str, Node<'_>)| !flake_ref::may_lock_to(node.original(), node.locked());
    let is_own = |key: &str| lock.node(lock.root()).inputs().any(|(_, target)| target == key);
    nodes.filter(is_elsewhere).map(move |(key, node)| {
        let (locked, original) = (flake_ref::text(node.locked()), flake_ref::text(node.original()));
        let message = format!("flake.lock fetches {key} from {locked}, but asks for {original}");
        let restore = "restore flake.lock with `git checkout flake.lock`";
        let finding = match (is_llama_cpp(lock, key), is_own(key)) {
            (true, _) => {
                let help = format!("{restore}; find out who changed it");
                Finding::error("lock-elsewhere", message, help)
            }
            (false, true) => {
                let help =
                    format!("{restore}, or run `nix flake update {key}`; find out who changed it");
                Finding::error("lock-elsewhere", message, help)
            }
            (false, false) => {
                let help = "compare with the flake.lock of the input that it belongs to";
                Finding::warning("lock-elsewhere", message, help)
            }
        };
        finding.at("flake.lock")
    })
}

/// Finds pinned hosts whose llama.cpp comes from another repository than flake.lock asks for.
pub fn pinned_elsewhere(lock: &LockFile, pinned_file: &PinnedHostsFile) -> Vec<Finding> {
    let originals: Vec<&Value> =
        lock.llama_cpps().into_iter().map(|key| lock.node(key).original()).collect();
    let is_elsewhere = |pinned: &&PinnedHost| {
        !originals.is_empty()
            && !originals.iter().any(|original| flake_ref::may_lock_to(original, &pinned.locked))
    };
    let hosts = pinned_file.hosts().filter(|(_, pinned)| is_elsewhere(pinned));
    hosts
        .map(|(host, pinned)| {
            Finding::error(
                "lock-elsewhere",
                format!(
                    "{} fetches llama.cpp for {host} from {}, but flake.lock asks for {}",
                    PINNED_HOSTS.name,
                    flake_ref::text(&pinned.locked),
                    flake_ref::text(originals[0]),
                ),
                format!(
                    "restore it with `git checkout {}`; find out who changed it",
                    PINNED_HOSTS.name
                ),
            )
        })
        .collect()
}

/// Finds inputs that do not use the fleet's nixpkgs: an error if llama.cpp, or the input that it
/// comes with, brings one, because the fleet builds it; a note for others, where it may be intended.
fn second_nixpkgs(lock: &LockFile, text: &str) -> Vec<Finding> {
    let Some(fleets) = lock.resolve(lock.node(lock.root()).input("nixpkgs")) else { return vec![] };
    let inputs = lock.inputs();
    let llama_cpps = lock.llama_cpps();
    let nixpkgs_of = |node: &&str| lock.resolve(lock.node(node).input("nixpkgs"));
    let used: Vec<&str> = llama_cpps.iter().filter_map(nixpkgs_of).collect();
    let comes_with = |path: &str| {
        let of_llama_cpp = inputs.iter().filter(|input| llama_cpps.contains(&input.key));
        path.rsplit_once('/').is_some_and(|(owner, _)| {
            of_llama_cpp
                .map(|input| format!("{}/", input.path))
                .any(|it| it.starts_with(&format!("{owner}/")))
        })
    };
    let own = inputs.iter().find(|input| {
        !input.follows
            && input.key != fleets
            && used.contains(&input.key)
            && comes_with(&input.path)
    });
    let follow = |path: &str, why: &str| {
        let path = path.replace('/', ".inputs.");
        format!("set inputs.{path}.follows = \"nixpkgs\"{why}, then run `nix flake lock`")
    };
    let at = |finding: Finding, path: &str| {
        placed(finding, text, path.split('/').next().unwrap_or(path))
    };
    let error = own.map(|own| {
        let message = "llama-cpp uses its own nixpkgs: Nix fetches a second one, and shares no \
                       packages between the two";
        at(Finding::error("second-nixpkgs", message, follow(&own.path, "")), &own.path)
    });

    let is_direct = |input: &LockedInput<'_>| !input.path.contains('/');
    let intended: Vec<&str> =
        inputs.iter().filter(|input| is_direct(input)).map(|input| input.key).collect();
    let is_nixpkgs = |input: &LockedInput<'_>| {
        let original = lock.node(input.key).original();
        input.name() == "nixpkgs"
            || flake_ref::repository_names(original).any(|name| name == "nixpkgs")
    };
    let others: Vec<&str> = inputs
        .iter()
        .filter(|input| is_nixpkgs(input) && own.is_none_or(|own| own.key != input.key))
        .filter(|input| !input.follows && !intended.contains(&input.key))
        .map(|input| input.path.as_str())
        .collect();
    let note = others.first().map(|first| {
        let inputs = abridged(&others.iter().map(ToString::to_string).collect::<Vec<_>>());
        let message = format!(
            "flake.lock has another nixpkgs for {inputs}, which shares no packages with the fleet's"
        );
        at(Finding::note("second-nixpkgs", message, follow(first, " unless it is intended")), first)
    });
    error.into_iter().chain(note).collect()
}

/// Returns the finding for a flake.nix with inputs but without flake.lock.
pub fn absent() -> Finding {
    let message = "the inputs of flake.nix are not locked: there is no flake.lock";
    Finding::error("no-lock", message, RELOCK)
}

pub fn unreadable() -> Finding {
    let help = "restore the last good one: `git checkout flake.lock`";
    Finding::error("no-lock", "flake.lock is not JSON", help).at("flake.lock")
}

pub fn unreadable_pinned_hosts(why: &str) -> Finding {
    let help = "restore the last good one with `git checkout`; only this file pins its hosts";
    Finding::error("bad-pinned-hosts", why, help)
}

/// Returns the finding for a file that Nix does not see because Git does not track it.
pub fn untracked(file: String) -> Finding {
    let message = format!("Git does not track {file}, so Nix does not see it");
    Finding::warning("untracked-file", message, format!("git add {file}")).at(file)
}

pub fn hidden_edit(file: String) -> Finding {
    let message = format!("Git was told to ignore edits of {file}, so Nix may not see yours");
    let help = format!("git update-index --no-assume-unchanged --no-skip-worktree {file}");
    Finding::warning("hidden-edit", message, help).at(file)
}

/// Adds the line of flake.nix that declares this input.
fn placed(finding: Finding, text: &str, input: &str) -> Finding {
    let declares = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("inputs.").unwrap_or(line);
        line.strip_prefix(input).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    let line = text.lines().position(declares).and_then(|at| u32::try_from(at + 1).ok());
    Finding { line, ..finding.at("flake.nix") }
}

#[cfg(test)]
#[path = "lock_rules_tests.rs"]
mod tests;
