//! Compares a variant's CPU code with its machine's CPU: which code would crash there, and which
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

/// Returns the microarchitecture that ggml selects on this CPU: among those that run there, the
/// one with the most instruction sets; if none runs, the one with the fewest missing features.
fn selected<'a>(manifest: &'a Manifest, cpu: &Cpu) -> &'a str {
    let table = Table::embedded();
    let rank = |name: &&str| {
        let missing = table.missing(name, cpu).map_or(0, |missing| missing.len());
        let features = table.features(cpu.arch, name, &[]).map_or(0, |features| features.len());
        (missing, Reverse(features))
    };
    manifest.cpus().min_by_key(rank).unwrap_or(&manifest.microarch)
}

/// Returns the features that the variant requires and this CPU lacks: those of its
/// microarchitecture, and those of its CPU options.
pub fn missing(manifest: &Manifest, cpu: &Cpu) -> [Vec<String>; 2] {
    let table = Table::embedded();
    let by_name = table.missing(selected(manifest, cpu), cpu).unwrap_or_default();
    [by_name, table.missing_for_options(&manifest.cpu_options, cpu)]
}

/// Reports code that this CPU cannot run. `check` and `bench` pass different finding codes.
pub fn sigill(code: &'static str, manifest: &Manifest, facts: &Facts) -> Option<Finding> {
    let cpu = &facts.cpu;
    let [by_name, by_option] = missing(manifest, cpu);
    let cause = if by_name.is_empty() {
        "programs.llama-cpp.extraCmakeFlags: these make".to_owned()
    } else {
        let name = nix_string(selected(manifest, cpu));
        format!("programs.llama-cpp.microarch: {name} makes")
    };
    let missing: BTreeSet<String> = by_name.into_iter().chain(by_option).collect();
    if missing.is_empty() {
        return None;
    }
    let needs = format!("{cause} code that needs {}", feature_names(&missing));
    if cpu.flags_cut {
        return Some(Finding::warning(
            "unverified-cpu",
            format!(
                "{needs}; whether {} has it is unknown, because the list of its features in \
                 facts.json is cut off",
                facts.cpu_name()
            ),
            facts.probe_help(),
        ));
    }
    Some(Finding::error(
        code,
        format!(
            "{needs}, which {} lacks: llama.cpp would crash there with SIGILL",
            facts.cpu_name()
        ),
        set_microarch(Table::embedded().detect(cpu).map(|detected| detected.name)),
    ))
}

/// Returns the help of findings that another microarchitecture solves.
pub fn set_microarch(microarch: Option<&str>) -> String {
    let exact = microarch.map(|name| format!("{}, or ", nix_string(name))).unwrap_or_default();
    format!("set programs.llama-cpp.microarch to {exact}\"dispatch\"")
}

fn below_cpu(manifest: &Manifest, facts: &Facts) -> Option<Finding> {
    let (cpu, table) = (&facts.cpu, Table::embedded());
    let best = table.detect(cpu)?.name;
    let selected = selected(manifest, cpu);
    let used = table.features(cpu.arch, selected, &manifest.cpu_options)?;
    let supported = table.features(cpu.arch, best, &[])?;
    // ggml has no code for AVX-VNNI if AVX-512 VNNI is on.
    let is_useful = |feature: &&String| *feature != "AVX_VNNI" || !used.contains("AVX512_VNNI");
    let unused: Vec<&String> = supported.difference(&used).filter(is_useful).collect();
    if unused.is_empty() {
        return None;
    }
    let gain = measured_gain(&used, &supported).unwrap_or_default();
    Some(Finding::warning(
        "below-cpu",
        format!(
            "programs.llama-cpp.microarch: {} does not use {}, which {} supports{gain}",
            nix_string(selected),
            feature_names(unused),
            facts.cpu_name()
        ),
        set_microarch(Some(best)),
    ))
}

/// Reports a dispatched build on an ARM CPU with i8mm but without SVE: ggml's ARM modules with
/// i8mm also require SVE.
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

/// Measured speeds of builds of August 2025 on two threads of a Sapphire Rapids machine with an
/// 88M-parameter q4_0 model: added instruction sets, tokens/s of prompt processing and of
/// generation.
const MEASURED: [(&[&str], u32, u32); 4] = [
    (&[], 36, 29),
    (&["SSE42", "AVX", "F16C", "FMA", "AVX2", "BMI2"], 524, 230),
    (&["AVX512", "AVX512_VBMI", "AVX512_VNNI"], 931, 261),
    (&["AVX512_BF16", "AMX_TILE", "AMX_INT8"], 1469, 463),
];

/// Describes the measured gain from one set of features to another. None if exactly the used
/// features were not measured. Each row of [`MEASURED`] adds its features to the previous ones.
fn measured_gain(used: &BTreeSet<String>, supported: &BTreeSet<String>) -> Option<String> {
    let mut sets: BTreeSet<String> = BTreeSet::new();
    let (mut from, mut to) = (None, None);
    for (adds, prompt, generation) in MEASURED {
        sets.extend(adds.iter().map(|name| (*name).to_owned()));
        if sets == *used {
            from = Some((prompt, generation));
        }
        if sets.is_subset(supported) {
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

/// Formats features for messages, with their common names.
pub fn feature_names<'a>(features: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<&str> = features
        .into_iter()
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
    names.join(", ")
}
