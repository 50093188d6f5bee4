//! Compares what the overlay and xtask need of llama.cpp's sources with what a revision has, before
//! anything is built. The needs are in overlays/llama-cpp/needs.json, which the overlay reads too.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::findings::finding::Finding;
use crate::fleet::manifest::Manifest;
use crate::fleet::names::{HostName, join};
use crate::hardware::microarch::Table;
use crate::ui::nearest::nearest;

const PACKAGE: &str = ".devops/nix/package.nix";
const SCOPE: &str = ".devops/nix/scope.nix";
const BENCH: &str = "tools/llama-bench/llama-bench.cpp";
/// The files that declare the options that the overlay sets. Nix reads the same two.
const CMAKE: [&str; 2] = ["CMakeLists.txt", "ggml/CMakeLists.txt"];

/// Returns the files to compare, besides those that Nix reads.
pub fn files() -> impl Iterator<Item = &'static str> {
    CMAKE.into_iter().chain([BENCH, &NEEDS.patched.file])
}

static NEEDS: LazyLock<Needs> = LazyLock::new(|| {
    let text = include_str!("../../../overlays/llama-cpp/needs.json");
    serde_json::from_str(text).expect("the tests read all of needs.json")
});

/// The content of needs.json.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Needs {
    /// Backends, and the argument that selects each.
    backends: BTreeMap<String, String>,
    /// Arguments that are set to false.
    switched_off: Vec<String>,
    /// Further arguments, and the purpose of each.
    arguments: BTreeMap<String, String>,
    scope_arguments: Vec<String>,
    cmake_options: BTreeMap<String, String>,
    llama_bench: LlamaBench,
    patched: Patched,
}

#[derive(Debug, Deserialize)]
struct LlamaBench {
    options: Vec<String>,
    fields: Vec<String>,
}

/// If the file contains `has`, it must contain one of `lines`, which the overlay removes.
#[derive(Debug, Deserialize)]
struct Patched {
    file: String,
    has: String,
    lines: Vec<String>,
}

/// The arguments, backends and files of a revision that the overlay and xtask depend on.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Surface {
    /// Arguments of package.nix, and whether each has a default. `None` if the file does not exist.
    pub package: Option<BTreeMap<String, bool>>,
    pub scope: Option<BTreeMap<String, bool>>,
    /// Folders `ggml/src/ggml-…`, without the `ggml-`.
    pub backends: BTreeSet<String>,
    /// The existing files by path.
    #[serde(skip)]
    pub texts: BTreeMap<String, String>,
}

impl Surface {
    fn text(&self, file: &str) -> &str {
        self.texts.get(file).map_or("", String::as_str)
    }

    fn options(&self) -> BTreeSet<&str> {
        CMAKE.iter().flat_map(|file| declared(self.text(file))).collect()
    }
}

/// Returns the options that a CMakeLists.txt declares: `option(NAME …` and `set(NAME …` at the
/// start of a line.
fn declared(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim_start();
        let rest = line.strip_prefix("option").or_else(|| line.strip_prefix("set"))?;
        let rest = rest.trim_start().strip_prefix('(')?.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = &rest[..end];
        name.starts_with(|c: char| c.is_ascii_uppercase()).then_some(name)
    })
}

/// The backends and options that the fleet uses, which determine the severity of a finding.
#[derive(Debug, Clone, Default)]
pub struct Used {
    /// Backends, and the hosts that select each.
    pub backends: BTreeMap<String, Vec<HostName>>,
    /// CPU options, and the hosts for which each is on.
    pub cpu_options: BTreeMap<String, Vec<HostName>>,
}

impl Used {
    pub fn by<'a>(manifests: impl IntoIterator<Item = (&'a HostName, &'a Manifest)>) -> Self {
        let mut used = Self::default();
        for (host, manifest) in manifests {
            for backend in &manifest.backends {
                used.backends.entry(backend.clone()).or_default().push(host.clone());
            }
            for option in &manifest.cpu_options {
                let name = option.split('=').next().unwrap_or(option).to_owned();
                used.cpu_options.entry(name).or_default().push(host.clone());
            }
        }
        used
    }
}

/// Returns what changes for the fleet. `before` is the current revision, if its source is still
/// available; without it, nothing is reported as new.
pub fn findings(used: &Used, before: Option<&Surface>, after: &Surface) -> Vec<Finding> {
    let mut findings = vec![];
    match &after.package {
        None => findings.push(missing_file(PACKAGE)),
        Some(arguments) => {
            let old = before.and_then(|before| before.package.as_ref());
            findings.extend(package(used, old, arguments));
        }
    }
    match &after.scope {
        None => findings.push(missing_file(SCOPE)),
        Some(arguments) => {
            let gone = NEEDS.scope_arguments.iter().filter(|name| !arguments.contains_key(*name));
            findings.extend(gone.map(|name| {
                Finding::error(
                    "argument-gone",
                    format!("{SCOPE} no longer takes {name}"),
                    "overlays/llama-cpp/variant.nix passes it; check what replaced it upstream",
                )
            }));
        }
    }
    findings.extend(cmake(used, before, after));
    findings.extend(bench(after));
    findings.extend(patched(after));
    findings.extend(new_backends(before, after));
    findings
}

fn missing_file(file: &str) -> Finding {
    Finding::error(
        "file-gone",
        format!("this revision has no {file}, or it cannot be parsed"),
        "find where upstream packages llama.cpp now; overlays/llama-cpp/variant.nix calls it",
    )
}

/// Returns a note that lists the names, if there are any.
fn list_note(code: &'static str, what: &str, names: &[&str], help: &str) -> Option<Finding> {
    (!names.is_empty()).then(|| Finding::note(code, format!("{what} {}", names.join(", ")), help))
}

fn package(
    used: &Used,
    before: Option<&BTreeMap<String, bool>>,
    after: &BTreeMap<String, bool>,
) -> Vec<Finding> {
    let is_gone = |name: &str| !after.contains_key(name);
    let is_new = |name: &&str| before.is_none_or(|before| !before.contains_key(*name));
    let added: Vec<&str> = after.keys().map(String::as_str).filter(is_new).collect();
    let message = |name: &str, why: &str| format!("{PACKAGE} no longer takes {name}{why}");
    let help = |name: &str| match renamed(name, &added) {
        Some(new) => format!("it may be called {new} now; update overlays/llama-cpp/needs.json"),
        None => "check what replaced it upstream, then update overlays/llama-cpp".to_owned(),
    };
    let mut findings = vec![];
    for (backend, name) in NEEDS.backends.iter().filter(|(_, name)| is_gone(name)) {
        findings.push(match used.backends.get(backend) {
            Some(hosts) => {
                let why = format!(": {} would be built without {backend}", join(hosts));
                Finding::error("argument-gone", message(name, &why), help(name))
            }
            None => {
                let why = format!(": no host can select {backend}");
                Finding::warning("argument-gone", message(name, &why), help(name))
            }
        });
    }
    for (name, why) in NEEDS.arguments.iter().filter(|(name, _)| is_gone(name)) {
        let message = message(name, &format!(" ({why})"));
        findings.push(Finding::warning("argument-gone", message, help(name)));
    }
    for name in NEEDS.switched_off.iter().filter(|name| is_gone(name)) {
        let message = message(name, ", which the overlay sets to false");
        // Matters only if the argument has a new name.
        findings.push(match renamed(name, &added) {
            Some(_) => Finding::warning("argument-gone", message, help(name)),
            None => Finding::note("argument-gone", message, "nothing to do"),
        });
    }
    let Some(before) = before else { return findings };
    let needed: Vec<&String> =
        NEEDS.backends.values().chain(NEEDS.arguments.keys()).chain(&NEEDS.switched_off).collect();
    let lost = before.keys().filter(|name| is_gone(name) && !needed.contains(name));
    let lost: Vec<&str> = lost.map(String::as_str).collect();
    let (optional, required): (Vec<&str>, Vec<&str>) =
        added.into_iter().partition(|name| after[*name]);
    findings.extend(list_note(
        "argument-gone",
        &format!("{PACKAGE} no longer takes"),
        &lost,
        "the overlay does not use it; remove it from your own `.override` calls",
    ));
    findings.extend(list_note(
        "new-required-argument",
        &format!("{PACKAGE} now requires"),
        &required,
        "nixpkgs provides these; a host that fails has too old a nixpkgs",
    ));
    findings.extend(list_note(
        "new-argument",
        &format!("{PACKAGE} now accepts"),
        &optional,
        "each has a default; `mkLlamaCpp` passes it on",
    ));
    findings
}

/// Guesses the new name of a lost argument: one or two letters differ, or only the verb.
fn renamed<'a>(gone: &str, added: &[&'a str]) -> Option<&'a str> {
    let noun = gone.find(|c: char| c.is_ascii_uppercase()).map(|at| gone[at..].to_lowercase());
    let alike = added.iter().copied().find(|new| {
        noun.as_ref().is_some_and(|noun| noun.len() > 2 && new.to_lowercase().contains(noun))
    });
    // Too many short names are similar: useMpi, useRpc.
    alike.or_else(|| nearest(gone, added.iter().copied()).filter(|_| gone.len() >= 9))
}

fn cmake(used: &Used, before: Option<&Surface>, after: &Surface) -> Vec<Finding> {
    let mut findings = vec![];
    let options = after.options();
    let old = before.map(Surface::options).unwrap_or_default();
    let added: Vec<&str> = options.iter().copied().filter(|option| !old.contains(option)).collect();
    let help = |option: &str| match nearest(option, added.iter().copied()) {
        Some(new) => format!("it may be called {new} now"),
        None => "check what replaced it upstream".to_owned(),
    };
    for (option, why) in &NEEDS.cmake_options {
        if !options.contains(option.as_str()) {
            findings.push(Finding::error(
                "cmake-option-gone",
                format!(
                    "CMake no longer declares {option} ({why}) and would silently ignore -D{option}"
                ),
                format!("{}; overlays/llama-cpp/variant.nix sets it", help(option)),
            ));
        }
    }
    for option in Table::embedded().options() {
        if options.contains(option) {
            continue;
        }
        let known_before = before.is_none() || old.contains(option);
        if let Some(hosts) = used.cpu_options.get(option) {
            findings.push(Finding::error(
                "cpu-option-gone",
                format!(
                    "CMake no longer declares {option}: {} would silently lose its speed",
                    join(hosts)
                ),
                format!("{}; overlays/llama-cpp/microarch.json names it", help(option)),
            ));
        } else if known_before {
            findings.push(Finding::note(
                "cpu-option-gone",
                format!("CMake no longer declares {option}, which no host of this fleet uses"),
                help(option),
            ));
        }
    }
    let is_cpu = |option: &&str| {
        ["GGML_AVX", "GGML_AMX", "GGML_SSE"].iter().any(|prefix| option.starts_with(prefix))
    };
    let known: BTreeSet<&str> = Table::embedded().options().collect();
    let news: Vec<&str> = added
        .iter()
        .copied()
        .filter(|option| before.is_some() && is_cpu(option) && !known.contains(option))
        .collect();
    findings.extend(list_note(
        "new-cpu-option",
        "CMake now has",
        &news,
        "consider adding it to overlays/llama-cpp/microarch.json if your CPUs support it",
    ));
    findings
}

fn bench(after: &Surface) -> Option<Finding> {
    let text = after.text(BENCH);
    let is_missing = |name: &&str| {
        !text.contains(&format!("\"{name}\"")) && !text.contains(&format!("\\\"{name}\\\""))
    };
    let LlamaBench { options, fields } = &NEEDS.llama_bench;
    let names = options.iter().chain(fields).map(String::as_str);
    let missing: Vec<&str> = names.filter(is_missing).collect();
    (!missing.is_empty()).then(|| {
        let names = missing.join(", ");
        Finding::warning(
            "llama-bench",
            format!("{BENCH} does not mention {names}: `bench` may not be able to read its output"),
            "try `cargo xtask bench` on a host before you rely on it",
        )
    })
}

fn patched(after: &Surface) -> Option<Finding> {
    let Patched { file, has, lines } = &NEEDS.patched;
    let text = after.text(file);
    let is_unpatched = text.contains(has) && !lines.iter().any(|line| text.contains(line));
    is_unpatched.then(|| {
        Finding::warning(
            "unused-patch",
            format!(
                "{file} loads modules from the current directory in a way the overlay does not \
                 patch"
            ),
            "update the sed in `postPatch` of overlays/llama-cpp/variant.nix",
        )
    })
}

fn new_backends(before: Option<&Surface>, after: &Surface) -> Option<Finding> {
    let new: Vec<&str> = after.backends.difference(&before?.backends).map(String::as_str).collect();
    let help = "`programs.llama-cpp.extraCmakeFlags = [ \"-DGGML_NAME=ON\" ]` builds one";
    list_note("new-backend", "ggml now has the backends", &new, help)
}

#[cfg(test)]
#[path = "drift_tests.rs"]
mod tests;
