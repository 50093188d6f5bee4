//! What a build proves about its CPU modules: the instruction sets of their code are those of the
//! microarchitecture, no more and no less. The build counts them, overlays/llama-cpp/instructions.nix.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use crate::findings::finding::Finding;
use crate::fleet::manifest::Manifest;
use crate::hardware::cmake_line::CommandLine;
use crate::hardware::microarch::{DISPATCH, Table, arch_of};

/// Where the build writes the counts, under its output.
pub const FILE: &str = "nix-support/ggml-cpu-instructions";

/// Of these ggml has so little code that another revision may have none: modules of both
/// revisions of the testbed have two instructions each, or none.
const SELDOM: [&str; 3] = ["AVX512_VBMI", "AVX512_BF16", "AMX_BF16"];

/// Not counted: their instructions cannot be told from those of SVE, or they add none.
const UNCOUNTED: [&str; 3] = ["sve2", "SME", "NOSVE"];

/// The names that llama.cpp has for the features of an ARM module.
const UPSTREAM: [(&str, &str); 5] = [
    ("DOTPROD", "dotprod"),
    ("FP16_VECTOR_ARITHMETIC", "fp16"),
    ("MATMUL_INT8", "i8mm"),
    ("SVE", "sve"),
    ("SVE2", "sve2"),
];

/// What the file says of one module.
#[derive(Debug, Default)]
struct Module {
    /// The sets that it has instructions of.
    sets: BTreeSet<String>,
    is_built: bool,
    /// What llama.cpp's CMakeLists.txt promises for it.
    promised: Option<BTreeSet<String>>,
}

/// `counts` is the text of [`FILE`]; None: the build has none.
pub fn judge(manifest: &Manifest, counts: Option<&str>) -> Vec<Finding> {
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
            None => wrong.push(format!("{file} is for none of its CPUs")),
        }
    }
    if wrong.is_empty() {
        return vec![];
    }
    let message =
        format!("the build of {} is not what it promises: {}", manifest.variant, wrong.join("; "));
    // Who asks for another set gets it: `check` says so.
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
                let name =
                    |word| UPSTREAM.iter().find(|(name, _)| *name == word).map(|(_, own)| *own);
                module.promised =
                    Some(words.map(|word| name(word).unwrap_or(word).to_owned()).collect());
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
    // Then the code for the second is written in the instructions of the first.
    let stands_for = [("AVX", "SSE42"), ("sve", "fp16")];
    let mut found = vec![];
    let less: Vec<&str> = promised
        .difference(&module.sets)
        .map(String::as_str)
        .filter(|set| !SELDOM.contains(set) && !UNCOUNTED.contains(set))
        .filter(|set| {
            !stands_for.iter().any(|(one, other)| promised.contains(*one) && set == other)
        })
        .collect();
    if !less.is_empty() {
        found.push(format!("{file} has no instructions of {}", less.join(", ")));
    }
    // An ARM architecture level such as armv8.6-a has it without being asked for it.
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
    use super::*;
    use crate::findings::finding::Severity;

    /// Of modules of the testbed's two revisions, shortened.
    const COUNTS: &str = include_str!("instructions_test.txt");

    fn manifest(microarchs: &[&str], system: &str) -> Manifest {
        serde_json::from_value(serde_json::json!({
            "variant": "cpu-x", "backends": ["cpu"], "microarch": microarchs.join("+"),
            "microarchs": microarchs, "system": system, "cmakeFlags": [], "rev": null,
            "build": null, "listsInstructions": true,
        }))
        .unwrap()
    }

    fn found(microarchs: &[&str], counts: &str) -> Vec<Finding> {
        let system = if counts.contains("dotprod") { "aarch64-linux" } else { "x86_64-linux" };
        judge(&manifest(microarchs, system), Some(counts))
    }

    fn said(microarchs: &[&str], counts: &str) -> String {
        found(microarchs, counts).first().map(|finding| finding.message.clone()).unwrap_or_default()
    }

    /// The lines of one module, called as the module of another CPU.
    fn module(name: &str, called: &str) -> String {
        let file = format!("libggml-cpu-{name}.so ");
        let lines = COUNTS.lines().filter_map(|line| line.strip_prefix(&file));
        lines.map(|rest| format!("libggml-cpu{called}.so {rest}\n")).collect()
    }

    #[test]
    fn what_the_real_modules_have_is_what_they_promise() {
        assert_eq!(said(&[DISPATCH], COUNTS), "");
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
            assert_eq!(said(&[microarch], &module(name, "")), "", "{name}");
            assert_eq!(said(&[microarch], &module(name, &format!("-{microarch}"))), "", "{name}");
        }
        let both = module("haswell", "-haswell") + &module("zen4", "-znver4");
        assert_eq!(said(&["haswell", "znver4"], &both), "");
        let arm = |counts: &str| said(&["armv8.2-a-i8mm"], counts);
        let counts =
            "libggml-cpu.so total 154177\nlibggml-cpu.so dotprod 976\nlibggml-cpu.so fp16 23\n";
        assert_eq!(said(&["cortex-a76"], counts), "");
        assert_eq!(arm(&format!("{counts}libggml-cpu.so i8mm 296\n")), "");
        let sve = "libggml-cpu.so total 9\nlibggml-cpu.so dotprod 900\nlibggml-cpu.so i8mm 240\nlibggml-cpu.so sve 11586\n";
        assert_eq!(said(&["neoverse-v1"], sve), "");
        assert_eq!(said(&["neoverse-v2"], sve), "");
        assert!(said(&["apple-m2"], sve).contains("has instructions of sve"));
        assert!(arm(counts).contains("no instructions of i8mm"), "{}", arm(counts));
    }

    #[test]
    fn less_and_more_are_errors() {
        let less = said(&["tigerlake"], &module("haswell", ""));
        assert!(
            less.contains("libggml-cpu.so has no instructions of AVX512, AVX512_VNNI"),
            "{less}"
        );
        assert!(said(&["haswell"], &module("x64", "")).contains("no instructions of AVX, AVX2"));
        let more = said(&["haswell"], &module("zen4", ""));
        assert!(more.contains("has instructions of AVX512, "), "{more}");
        let other = module("haswell", "") + "libggml-cpu.so OTHER:vaddph 3\n";
        assert!(said(&["haswell"], &other).contains("the instruction vaddph"));
        let changed = COUNTS.replace("libggml-cpu-haswell.so AVX2 9224\n", "");
        assert!(
            said(&[DISPATCH], &changed)
                .contains("libggml-cpu-haswell.so has no instructions of AVX2")
        );
        assert!(said(&["haswell"], &module("zen4", "-znver4")).contains("is for none of its CPUs"));
    }

    #[test]
    fn a_build_that_should_list_its_instructions_and_does_not_is_an_error() {
        let mut manifest = manifest(&["haswell"], "x86_64-linux");
        assert_eq!(judge(&manifest, None)[0].severity, Severity::Error);
        manifest.lists_instructions = false;
        assert_eq!(judge(&manifest, None), []);
    }

    #[test]
    fn who_asks_for_other_options_is_warned() {
        let mut manifest = manifest(&["tigerlake"], "x86_64-linux");
        manifest.extra_cmake_flags = vec!["-D".to_owned(), "GGML_AVX512=OFF".to_owned()];
        let found = judge(&manifest, Some(&module("haswell", "")));
        assert_eq!(found[0].severity, Severity::Warning);
    }
}
