//! A variant's CPU code held against the CPU of its machine: what would die there, and what
//! could be faster.
//!
//! Pure: no I/O, no clock.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::findings::finding::Finding;
use crate::fleet::manifest::Manifest;
use crate::hardware::cpu::Cpu;
use crate::hardware::facts::Facts;
use crate::hardware::microarch::{DISPATCH, Table};
use crate::nix::names::nix_string;

pub fn findings(manifest: &Manifest, facts: &Facts) -> Vec<Finding> {
    if manifest.microarch == DISPATCH {
        return below_i8mm(facts).into_iter().collect();
    }
    let fatal = sigill("sigill", manifest, facts);
    fatal.or_else(|| below_cpu(manifest, facts)).into_iter().collect()
}

/// Of the CPUs that the package is for, the one that ggml selects on this one: of those that
/// run there, with the most instruction sets; where none runs, the one that lacks least.
fn selected<'a>(manifest: &'a Manifest, cpu: &Cpu) -> &'a str {
    let table = Table::embedded();
    let rank = |name: &&str| {
        let missing = table.missing(name, cpu).map_or(0, |missing| missing.len());
        let features = table.features(cpu.arch, name, &[]).map_or(0, |features| features.len());
        (missing, Reverse(features))
    };
    manifest.cpus().min_by_key(rank).unwrap_or(&manifest.microarch)
}

/// What the variant's code needs and this CPU lacks: of its microarchitecture, and of its
/// CPU options.
pub fn lacking(manifest: &Manifest, cpu: &Cpu) -> [Vec<String>; 2] {
    let table = Table::embedded();
    let by_name = table.missing(selected(manifest, cpu), cpu).unwrap_or_default();
    [by_name, table.missing_for_options(&manifest.cpu_options, cpu)]
}

/// `code`: `check` and `bench` have one each.
pub fn sigill(code: &'static str, manifest: &Manifest, facts: &Facts) -> Option<Finding> {
    let cpu = &facts.cpu;
    let [by_name, by_option] = lacking(manifest, cpu);
    let cause = if by_name.is_empty() {
        "programs.llama-cpp.extraCmakeFlags: these make".to_owned()
    } else {
        let name = nix_string(selected(manifest, cpu));
        format!("programs.llama-cpp.microarch: {name} makes")
    };
    let lacking: BTreeSet<String> = by_name.into_iter().chain(by_option).collect();
    if cpu.flags_cut && !lacking.is_empty() {
        return Some(Finding::warning(
            "unverified-cpu",
            format!(
                "{cause} code that needs {}; whether {} has it is unknown, because the list of \
                 its features in facts.json is cut off",
                in_words(lacking.iter()),
                facts.cpu_name()
            ),
            facts.how_to_find_out(),
        ));
    }
    (!lacking.is_empty()).then(|| {
        Finding::error(
            code,
            format!(
                "{cause} code that needs {}, which {} lacks: llama.cpp would crash there with \
                 SIGILL",
                in_words(lacking.iter()),
                facts.cpu_name()
            ),
            choose(Table::embedded().detect(cpu).map(|detected| detected.name)),
        )
    })
}

pub fn choose(microarch: Option<&str>) -> String {
    let exact = microarch.map(|name| format!("{}, or ", nix_string(name))).unwrap_or_default();
    format!("set programs.llama-cpp.microarch to {exact}\"dispatch\"")
}

fn below_cpu(manifest: &Manifest, facts: &Facts) -> Option<Finding> {
    let (cpu, table) = (&facts.cpu, Table::embedded());
    let best = table.detect(cpu)?.name;
    let selected = selected(manifest, cpu);
    let used = table.features(cpu.arch, selected, &manifest.cpu_options)?;
    let could = table.features(cpu.arch, best, &[])?;
    let unused: Vec<&String> = could.difference(&used).collect();
    if unused.is_empty() {
        return None;
    }
    let worth = worth(&used, &could).unwrap_or_default();
    Some(Finding::warning(
        "below-cpu",
        format!(
            "programs.llama-cpp.microarch: {} does not use {}, which {} supports{worth}",
            nix_string(selected),
            in_words(unused.into_iter()),
            facts.cpu_name()
        ),
        choose(Some(best)),
    ))
}

/// Of ggml's modules for ARM, those with i8mm also need SVE.
fn below_i8mm(facts: &Facts) -> Option<Finding> {
    let (cpu, table) = (&facts.cpu, Table::embedded());
    let best = table.detect(cpu)?.name;
    let used = table.features(cpu.arch, best, &[])?;
    (used.contains("i8mm") && !used.contains("sve")).then(|| {
        Finding::warning(
            "below-cpu",
            format!(
                "programs.llama-cpp.microarch: \"dispatch\" does not use i8mm, which {} supports",
                facts.cpu_name()
            ),
            format!("set programs.llama-cpp.microarch to {}", nix_string(best)),
        )
    })
}

/// Builds of August 2025 on two threads of one Sapphire Rapids machine, an 88M-parameter
/// q4_0 model: instruction sets, tokens/s of prompts and of generation.
const MEASURED: [(&[&str], u32, u32); 4] = [
    (&[], 36, 29),
    (&["SSE42", "AVX", "F16C", "FMA", "AVX2", "BMI2"], 524, 230),
    (&["AVX512", "AVX512_VBMI", "AVX512_VNNI"], 931, 261),
    (&["AVX512_BF16", "AMX_TILE", "AMX_INT8"], 1469, 463),
];

/// Only for a step whose lower end was measured as it is: each row of the table adds its
/// instruction sets to those before.
fn worth(used: &BTreeSet<String>, could: &BTreeSet<String>) -> Option<String> {
    let mut sets: BTreeSet<String> = BTreeSet::new();
    let (mut from, mut to) = (None, None);
    for (adds, prompt, generation) in MEASURED {
        sets.extend(adds.iter().map(|name| (*name).to_owned()));
        if sets == *used {
            from = Some((prompt, generation));
        }
        if sets.is_subset(could) {
            to = Some((prompt, generation));
        }
    }
    let ((slow_prompt, slow_generation), (prompt, generation)) = (from?, to?);
    let times = |slow: u32, fast: u32| f64::from(fast) / f64::from(slow);
    (prompt > slow_prompt).then(|| {
        format!(
            "; on another machine (a Sapphire Rapids, 88M parameters in q4_0) these made prompt \
             processing {:.1} times and generation {:.1} times as fast",
            times(slow_prompt, prompt),
            times(slow_generation, generation)
        )
    })
}

pub fn in_words<'a>(features: impl Iterator<Item = &'a String>) -> String {
    let words: Vec<&str> = features
        .map(|feature| match feature.as_str() {
            "SSE42" => "SSE4.2",
            "AVX512" => "AVX-512",
            "AVX512_VBMI" => "AVX-512 VBMI",
            "AVX512_VNNI" => "AVX-512 VNNI",
            "AVX512_BF16" => "AVX-512 BF16",
            "AVX_VNNI" => "AVX-VNNI",
            "AMX_TILE" => "AMX tiles",
            "AMX_INT8" => "AMX INT8",
            other => other,
        })
        .collect();
    words.join(", ")
}
