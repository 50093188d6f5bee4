//! Checks that the CPU modules of a build use exactly the instruction sets of their
//! microarchitecture. The build counts the instructions: overlays/llama-cpp/instructions.nix.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use crate::findings::finding::Finding;
use crate::fleet::manifest::Manifest;
use crate::hardware::cmake_line::CommandLine;
use crate::hardware::microarch::{DISPATCH, Table, arch_of};

/// Path of the instruction counts below the build's output.
pub const FILE: &str = "nix-support/ggml-cpu-instructions";

/// Instruction sets that ggml uses so little that another revision may not use them: modules of
/// both revisions of the testbed have two instructions or none.
const RARE: [&str; 3] = ["AVX512_VBMI", "AVX512_BF16", "AMX_BF16"];

/// Features that are not counted: their instructions cannot be distinguished from those of SVE,
/// or they add none.
const UNCOUNTED: [&str; 3] = ["sve2", "SME", "NOSVE"];

/// llama.cpp's names for the features of an ARM module, and the table's.
const UPSTREAM: [(&str, &str); 5] = [
    ("DOTPROD", "dotprod"),
    ("FP16_VECTOR_ARITHMETIC", "fp16"),
    ("MATMUL_INT8", "i8mm"),
    ("SVE", "sve"),
    ("SVE2", "sve2"),
];

/// The entries of one module in the file.
#[derive(Debug, Default)]
struct Module {
    /// The instruction sets that its code uses.
    sets: BTreeSet<String>,
    is_built: bool,
    /// The features for which llama.cpp's CMakeLists.txt compiles it.
    promised: Option<BTreeSet<String>>,
}

/// Compares a build's instructions with its microarchitecture. `counts` is the content of
/// [`FILE`], None if the build has no such file.
pub fn findings(manifest: &Manifest, counts: Option<&str>) -> Vec<Finding> {
    if !manifest.lists_instructions || !manifest.has_backend("cpu") {
        return vec![];
    }
    let modules = parse(counts.unwrap_or_default());
    let mut wrong = vec![];
    if !modules.values().any(|module| module.is_built) {
        wrong.push("it has no CPU module whose instructions are listed".to_owned());
    }
    for (file, module) in modules.iter().filter(|(_, module)| module.is_built) {
        match promised(manifest, file, module) {
            Some(promised) => wrong.extend(difference(file, module, &promised)),
            None => wrong.push(format!("{file} is for another CPU")),
        }
    }
    if wrong.is_empty() {
        return vec![];
    }
    let message = format!(
        "the build of {} does not match its microarchitecture: {}",
        manifest.variant,
        wrong.join("; ")
    );
    // The user may have chosen other instruction sets, which `check` reports.
    let extra = CommandLine::parse(&manifest.extra_cmake_flags);
    if Table::embedded().options().any(|option| extra.get(option).is_some()) {
        let help = "ignore this if extraCmakeFlags is meant to change the CPU options";
        return vec![Finding::warning("cpu-instructions", message, help)];
    }
    vec![Finding::error(
        "cpu-instructions",
        message,
        "remove flags of the compiler such as `-mno-avx2` or `-march` from the package's \
         overrides; set the CPU only through `programs.llama-cpp.microarch`",
    )]
}

fn parse(counts: &str) -> BTreeMap<&str, Module> {
    let mut modules = BTreeMap::<&str, Module>::new();
    for line in counts.lines() {
        let mut words = line.split_whitespace();
        let (Some(file), Some(what)) = (words.next(), words.next()) else { continue };
        let module = modules.entry(file).or_default();
        match what {
            "promises" => {
                let name = |word| {
                    let known = UPSTREAM.iter().find(|(upstream, _)| *upstream == word);
                    known.map_or(word, |(_, name)| *name).to_owned()
                };
                module.promised = Some(words.map(name).collect());
            }
            "total" => module.is_built = true,
            set => drop(module.sets.insert(set.to_owned())),
        }
    }
    modules
}

fn promised(manifest: &Manifest, file: &str, module: &Module) -> Option<BTreeSet<String>> {
    if manifest.microarch == DISPATCH {
        return module.promised.clone();
    }
    let name = file.strip_prefix("libggml-cpu")?.strip_suffix(".so")?.trim_start_matches('-');
    let mut cpus = manifest.cpus();
    let cpu = if name.is_empty() { cpus.next() } else { cpus.find(|cpu| *cpu == name) }?;
    Table::embedded().features(arch_of(&manifest.system)?, cpu, &[])
}

fn difference(file: &str, module: &Module, promised: &BTreeSet<String>) -> Vec<String> {
    // With the first, the compiler encodes the second with the first's instructions.
    let replaces = [("AVX", "SSE42"), ("sve", "fp16")];
    let mut found = vec![];
    let less: Vec<&str> = promised
        .difference(&module.sets)
        .map(String::as_str)
        .filter(|set| !RARE.contains(set) && !UNCOUNTED.contains(set))
        .filter(|set| !replaces.iter().any(|(new, old)| promised.contains(*new) && set == old))
        .collect();
    if !less.is_empty() {
        found.push(format!("{file} has no instructions of {}", less.join(", ")));
    }
    // ARM architecture levels such as armv8.6-a include bf16.
    let more: Vec<&str> = module
        .sets
        .difference(promised)
        .map(String::as_str)
        .filter(|set| !set.starts_with("OTHER:") && *set != "bf16")
        .collect();
    if !more.is_empty() {
        found.push(format!("{file} has instructions of {}", more.join(", ")));
    }
    let other = module.sets.iter().find_map(|set| set.strip_prefix("OTHER:"));
    found.extend(
        other.map(|name| format!("{file} has the instruction {name}, which no CPU option allows")),
    );
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::findings::finding::Severity;

    /// Counts of modules of the testbed's two revisions, shortened.
    const COUNTS: &str = include_str!("instructions_test.txt");

    fn manifest(microarchs: &[&str], system: &str) -> Manifest {
        Manifest::with(&json!({
            "variant": "cpu-x", "microarch": microarchs.join("+"), "microarchs": microarchs,
            "system": system, "listsInstructions": true,
        }))
    }

    fn found(microarchs: &[&str], counts: &str) -> Vec<Finding> {
        let system = if counts.contains("dotprod") { "aarch64-linux" } else { "x86_64-linux" };
        findings(&manifest(microarchs, system), Some(counts))
    }

    fn message(microarchs: &[&str], counts: &str) -> String {
        found(microarchs, counts).first().map(|finding| finding.message.clone()).unwrap_or_default()
    }

    /// The lines of one module, renamed to that of another CPU.
    fn module(name: &str, called: &str) -> String {
        let file = format!("libggml-cpu-{name}.so ");
        let lines = COUNTS.lines().filter_map(|line| line.strip_prefix(&file));
        lines.map(|rest| format!("libggml-cpu{called}.so {rest}\n")).collect()
    }

    #[test]
    fn the_real_modules_are_accepted() {
        assert_eq!(message(&[DISPATCH], COUNTS), "");
        for (name, microarch) in [
            ("x64", "x86-64"),
            ("sse42", "nehalem"),
            ("sandybridge", "sandybridge"),
            ("ivybridge", "ivybridge"),
            ("haswell", "haswell"),
            ("skylakex", "x86-64-v4"),
            ("icelake", "tigerlake"),
            ("zen4", "znver4"),
            ("alderlake", "alderlake"),
            ("sapphirerapids", "sapphirerapids"),
        ] {
            assert_eq!(message(&[microarch], &module(name, "")), "", "{name}");
            assert_eq!(
                message(&[microarch], &module(name, &format!("-{microarch}"))),
                "",
                "{name}"
            );
        }
        let both = module("haswell", "-haswell") + &module("zen4", "-znver4");
        assert_eq!(message(&["haswell", "znver4"], &both), "");
        let arm = |counts: &str| message(&["armv8.2-a-i8mm"], counts);
        let counts =
            "libggml-cpu.so total 154177\nlibggml-cpu.so dotprod 976\nlibggml-cpu.so fp16 23\n";
        assert_eq!(message(&["cortex-a76"], counts), "");
        assert_eq!(arm(&format!("{counts}libggml-cpu.so i8mm 296\n")), "");
        let sve = "libggml-cpu.so total 9\nlibggml-cpu.so dotprod 900\nlibggml-cpu.so i8mm 240\nlibggml-cpu.so sve 11586\n";
        assert_eq!(message(&["neoverse-v1"], sve), "");
        assert_eq!(message(&["neoverse-v2"], sve), "");
        assert!(message(&["apple-m2"], sve).contains("has instructions of sve"));
        assert!(arm(counts).contains("no instructions of i8mm"), "{}", arm(counts));
    }

    #[test]
    fn missing_and_extra_instructions_are_errors() {
        let less = message(&["tigerlake"], &module("haswell", ""));
        assert!(
            less.contains("libggml-cpu.so has no instructions of AVX512, AVX512_VNNI"),
            "{less}"
        );
        assert!(message(&["haswell"], &module("x64", "")).contains("no instructions of AVX, AVX2"));
        let more = message(&["haswell"], &module("zen4", ""));
        assert!(more.contains("has instructions of AVX512, "), "{more}");
        let other = module("haswell", "") + "libggml-cpu.so OTHER:vaddph 3\n";
        assert!(message(&["haswell"], &other).contains("the instruction vaddph"));
        let changed = COUNTS.replace("libggml-cpu-haswell.so AVX2 9224\n", "");
        assert!(
            message(&[DISPATCH], &changed)
                .contains("libggml-cpu-haswell.so has no instructions of AVX2")
        );
        assert!(message(&["haswell"], &module("zen4", "-znver4")).contains("is for another CPU"));
    }

    #[test]
    fn a_build_without_its_instruction_counts_is_an_error() {
        let mut manifest = manifest(&["haswell"], "x86_64-linux");
        assert_eq!(findings(&manifest, None)[0].severity, Severity::Error);
        manifest.lists_instructions = false;
        assert_eq!(findings(&manifest, None), []);
    }

    #[test]
    fn extra_cpu_options_are_a_warning() {
        let mut manifest = manifest(&["tigerlake"], "x86_64-linux");
        manifest.extra_cmake_flags = vec!["-D".to_owned(), "GGML_AVX512=OFF".to_owned()];
        let found = findings(&manifest, Some(&module("haswell", "")));
        assert_eq!(found[0].severity, Severity::Warning);
    }
}
