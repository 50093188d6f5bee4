//! What our overlay and xtask need of llama.cpp's tree, held against what a revision of it
//! has: told before anything is built, by name. The needs are written down once, in
//! overlays/llama-cpp/needs.json, which the overlay reads as well.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::findings::finding::Finding;
use crate::fleet::manifest::Manifest;
use crate::fleet::names::HostName;
use crate::hardware::microarch::Table;
use crate::ui::nearest::nearest;

const PACKAGE: &str = ".devops/nix/package.nix";
const SCOPE: &str = ".devops/nix/scope.nix";
const BENCH: &str = "tools/llama-bench/llama-bench.cpp";
/// Where the options are declared that the overlay sets. Nix reads the same two.
const CMAKE: [&str; 2] = ["CMakeLists.txt", "ggml/CMakeLists.txt"];

/// Every file that is looked at, beside those that Nix reads.
pub fn files(needs: &Needs) -> Vec<&str> {
    let mut files = CMAKE.to_vec();
    files.extend([BENCH, &needs.patched.file]);
    files
}

/// needs.json.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Needs {
    /// A backend and the argument that selects it.
    pub backends: BTreeMap<String, String>,
    /// Arguments that are set to false.
    switched_off: Vec<String>,
    /// Further arguments, and what each is for.
    arguments: BTreeMap<String, String>,
    scope_arguments: Vec<String>,
    cmake_options: BTreeMap<String, String>,
    llama_bench: LlamaBench,
    patched: Patched,
}

#[derive(Debug, Clone, Deserialize)]
struct LlamaBench {
    options: Vec<String>,
    fields: Vec<String>,
}

/// Where `has` stands, one of `lines` must: the overlay takes that line out.
#[derive(Debug, Clone, Deserialize)]
struct Patched {
    file: String,
    has: String,
    lines: Vec<String>,
}

impl Needs {
    pub fn embedded() -> serde_json::Result<Self> {
        serde_json::from_str(include_str!("../../../overlays/llama-cpp/needs.json"))
    }
}

/// What a revision offers.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Surface {
    /// Arguments of package.nix, and whether each has a default. `None`: no such file.
    pub package: Option<BTreeMap<String, bool>>,
    pub scope: Option<BTreeMap<String, bool>>,
    /// Folders `ggml/src/ggml-…`, without the `ggml-`.
    pub backends: BTreeSet<String>,
    /// Files by their path in the tree; one that is not there is absent.
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

/// What a CMakeLists.txt declares: `option(NAME …` and `set(NAME …`, at the beginning of a
/// line.
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

/// The fleet, as far as it decides how grave a loss is.
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

fn names(hosts: &[HostName]) -> String {
    hosts.iter().map(HostName::as_str).collect::<Vec<_>>().join(", ")
}

/// What changes for the fleet. `before`: the revision that it has now, where that can be
/// looked at; without it nothing is told to be new.
pub fn judge(
    needs: &Needs,
    table: &Table,
    used: &Used,
    before: Option<&Surface>,
    after: &Surface,
) -> Vec<Finding> {
    let mut findings = vec![];
    match &after.package {
        None => findings.push(missing_file(PACKAGE)),
        Some(arguments) => {
            let old = before.and_then(|before| before.package.as_ref());
            findings.extend(package(needs, used, old, arguments));
        }
    }
    match &after.scope {
        None => findings.push(missing_file(SCOPE)),
        Some(arguments) => {
            let gone = needs.scope_arguments.iter().filter(|name| !arguments.contains_key(*name));
            findings.extend(gone.map(|name| {
                Finding::error(
                    "argument-gone",
                    format!("{SCOPE} no longer takes {name}"),
                    "overlays/llama-cpp/variant.nix passes it; check what replaced it upstream",
                )
            }));
        }
    }
    findings.extend(cmake(needs, table, used, before, after));
    findings.extend(bench(needs, after));
    findings.extend(patched(needs, after));
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

fn package(
    needs: &Needs,
    used: &Used,
    before: Option<&BTreeMap<String, bool>>,
    after: &BTreeMap<String, bool>,
) -> Vec<Finding> {
    let mut findings = vec![];
    let added: Vec<&str> = after
        .keys()
        .filter(|name| before.is_none_or(|before| !before.contains_key(*name)))
        .map(String::as_str)
        .collect();
    let gone = |name: &&String| !after.contains_key(*name);
    let instead = |name: &str| match renamed(name, &added) {
        Some(new) => format!("it may be called {new} now; update overlays/llama-cpp/needs.json"),
        None => "check what replaced it upstream, then update overlays/llama-cpp".to_owned(),
    };
    for (backend, argument) in &needs.backends {
        if after.contains_key(argument) {
            continue;
        }
        findings.push(match used.backends.get(backend) {
            Some(hosts) => Finding::error(
                "argument-gone",
                format!(
                    "{PACKAGE} no longer takes {argument}: {} would be built without {backend}",
                    names(hosts)
                ),
                instead(argument),
            ),
            None => Finding::warning(
                "argument-gone",
                format!("{PACKAGE} no longer takes {argument}: no host can select {backend}"),
                instead(argument),
            ),
        });
    }
    for (argument, why) in needs.arguments.iter().filter(|(name, _)| gone(name)) {
        let message = format!("{PACKAGE} no longer takes {argument} ({why})");
        findings.push(Finding::warning("argument-gone", message, instead(argument)));
    }
    for argument in needs.switched_off.iter().filter(gone) {
        // Nothing to switch off is well, unless it goes by another name.
        let message =
            format!("{PACKAGE} no longer takes {argument}, which the overlay sets to false");
        findings.push(match renamed(argument, &added) {
            Some(_) => Finding::warning("argument-gone", message, instead(argument)),
            None => Finding::note("argument-gone", message, "nothing to do"),
        });
    }
    let Some(before) = before else { return findings };
    let of_ours = |name: &str| {
        needs
            .backends
            .values()
            .chain(needs.arguments.keys())
            .chain(&needs.switched_off)
            .any(|n| n == name)
    };
    let lost: Vec<&str> = before
        .keys()
        .map(String::as_str)
        .filter(|name| !after.contains_key(*name) && !of_ours(name))
        .collect();
    if !lost.is_empty() {
        findings.push(Finding::note(
            "argument-gone",
            format!("{PACKAGE} no longer takes {}", lost.join(", ")),
            "the overlay does not use it; remove it from your own `.override` calls",
        ));
    }
    let (optional, required): (Vec<&str>, Vec<&str>) =
        added.into_iter().partition(|name| after.get(*name).copied().unwrap_or_default());
    if !required.is_empty() {
        findings.push(Finding::note(
            "new-required-argument",
            format!("{PACKAGE} now requires {}", required.join(", ")),
            "nixpkgs provides these; a host that fails has too old a nixpkgs",
        ));
    }
    if !optional.is_empty() {
        findings.push(Finding::note(
            "new-argument",
            format!("{PACKAGE} now accepts {}", optional.join(", ")),
            "each has a default; `mkLlamaCpp` passes it on",
        ));
    }
    findings
}

/// A new name for what is gone: one or two letters differ, or only the verb does.
fn renamed<'a>(gone: &str, added: &[&'a str]) -> Option<&'a str> {
    let noun = gone.find(|c: char| c.is_ascii_uppercase()).map(|at| gone[at..].to_lowercase());
    let alike = added.iter().copied().find(|new| {
        noun.as_ref().is_some_and(|noun| noun.len() > 2 && new.to_lowercase().contains(noun))
    });
    // Of short names too many are near one another: useMpi, useRpc.
    alike.or_else(|| nearest(gone, added.iter().copied()).filter(|_| gone.len() >= 9))
}

fn cmake(
    needs: &Needs,
    table: &Table,
    used: &Used,
    before: Option<&Surface>,
    after: &Surface,
) -> Vec<Finding> {
    let mut findings = vec![];
    let options = after.options();
    let old = before.map(Surface::options).unwrap_or_default();
    let added: Vec<&str> = options.iter().copied().filter(|option| !old.contains(option)).collect();
    let help = |option: &str| match nearest(option, added.iter().copied()) {
        Some(new) => format!("it may be called {new} now"),
        None => "check what replaced it upstream".to_owned(),
    };
    for (option, why) in &needs.cmake_options {
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
    for option in table.options() {
        if options.contains(option) {
            continue;
        }
        let known_before = before.is_none() || old.contains(option);
        if let Some(hosts) = used.cpu_options.get(option) {
            findings.push(Finding::error(
                "cpu-option-gone",
                format!(
                    "CMake no longer declares {option}: {} would silently lose its speed",
                    names(hosts)
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
    let known: BTreeSet<&str> = table.options().collect();
    let news: Vec<&str> = added
        .iter()
        .copied()
        .filter(|option| before.is_some() && is_cpu(option) && !known.contains(option))
        .collect();
    if !news.is_empty() {
        findings.push(Finding::note(
            "new-cpu-option",
            format!("CMake now has {}", news.join(", ")),
            "consider adding it to overlays/llama-cpp/microarch.json if your CPUs support it",
        ));
    }
    findings
}

fn bench(needs: &Needs, after: &Surface) -> Option<Finding> {
    let text = after.text(BENCH);
    let quoted = |name: &&String| {
        !text.contains(&format!("\"{name}\"")) && !text.contains(&format!("\\\"{name}\\\""))
    };
    let missing: Vec<&str> = needs
        .llama_bench
        .options
        .iter()
        .chain(&needs.llama_bench.fields)
        .filter(quoted)
        .map(String::as_str)
        .collect();
    (!missing.is_empty()).then(|| {
        Finding::warning(
            "llama-bench",
            format!(
                "{BENCH} does not mention {}: `bench` may not be able to read its output",
                missing.join(", ")
            ),
            "try `cargo xtask bench` on a host before you rely on it",
        )
    })
}

fn patched(needs: &Needs, after: &Surface) -> Option<Finding> {
    let Patched { file, has, lines } = &needs.patched;
    let text = after.text(file);
    let stands = text.contains(has) && !lines.iter().any(|line| text.contains(line));
    stands.then(|| {
        Finding::warning(
            "patch-idle",
            format!(
                "{file} loads modules from the current directory in a way the overlay does not \
                 patch"
            ),
            "update the sed in `postPatch` of overlays/llama-cpp/variant.nix",
        )
    })
}

fn new_backends(before: Option<&Surface>, after: &Surface) -> Option<Finding> {
    let before = before?;
    let news: Vec<&str> = after.backends.difference(&before.backends).map(String::as_str).collect();
    (!news.is_empty()).then(|| {
        Finding::note(
            "new-backend",
            format!("ggml now has the backends {}", news.join(", ")),
            "`programs.llama-cpp.extraCmakeFlags = [ \"-DGGML_NAME=ON\" ]` builds one",
        )
    })
}

#[cfg(test)]
#[path = "drift_tests.rs"]
mod tests;
