//! Compares the KV cache types that a host uses with the FlashAttention kernels of its CUDA or
//! ROCm build, which ggml compiles for pairs of types.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeSet;

use crate::findings::finding::Finding;
use crate::fleet::manifest::Manifest;

/// Types for which kernels can be compiled, as in overlays/llama-cpp/kv-cache.nix.
const TYPES: [&str; 7] = ["bf16", "f16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0"];

/// Reports pairs without a kernel in the host's service, `bench.args` and `kvCacheTypes`.
pub fn findings(manifest: &Manifest) -> Vec<Finding> {
    let service = manifest.service.iter().flat_map(|service| service.kv_cache_types.clone());
    let bench = bench_pairs(&manifest.bench.args);
    let users = [
        ("services.llama-cpp uses", service.collect()),
        ("programs.llama-cpp.bench.args uses", bench),
        ("programs.llama-cpp.kvCacheTypes has", manifest.kv_cache_types.clone()),
    ];
    let mut seen = BTreeSet::new();
    let pairs = users.iter().flat_map(|(user, pairs)| pairs.iter().map(move |pair| (*user, pair)));
    pairs
        .filter(|(_, pair)| seen.insert((*pair).clone()))
        .filter_map(|(user, pair)| missing(manifest, user, pair))
        .collect()
}

/// Reports pairs without a kernel in the arguments of one llama-bench.
pub fn bench_findings(manifest: &Manifest, args: &[String]) -> Vec<Finding> {
    let pairs = bench_pairs(args);
    pairs.iter().filter_map(|pair| missing(manifest, "this bench uses", pair)).collect()
}

fn missing(manifest: &Manifest, user: &str, pair: &str) -> Option<Finding> {
    let kernels =
        manifest.kv_kernels.as_ref().filter(|kernels| !kernels.iter().any(|k| k == pair))?;
    let (k, v) = pair.split_once('-')?;
    let flag = manifest.extra_cmake_flags.iter().find(|flag| flag.starts_with("-DGGML_CUDA_FA"));
    let help = if let Some(flag) = flag {
        format!("remove {flag} from programs.llama-cpp.extraCmakeFlags")
    } else if !TYPES.contains(&k) || !TYPES.contains(&v) {
        format!("use types that have kernels: {}", TYPES.join(", "))
    } else if manifest.kv_cache_types.iter().any(|asked| asked == pair) {
        format!("this llama.cpp revision cannot build it; use one of {}", kernels.join(", "))
    } else {
        format!("add \"{pair}\" to programs.llama-cpp.kvCacheTypes, or use {}", kernels.join(", "))
    };
    Some(Finding::warning(
        "kv-cache-types",
        format!(
            "{user} the KV cache types {k} (K) and {v} (V), but {} has no GPU kernel for this \
             pair: with FlashAttention it is many times slower, or crashes",
            manifest.variant
        ),
        help,
    ))
}

/// Returns the pairs that llama-bench measures with these arguments: every combination of the
/// values, or none if FlashAttention is off.
fn bench_pairs(args: &[String]) -> Vec<String> {
    let values = |names: [&str; 2]| -> Vec<&str> {
        let flags = args.iter().zip(args.iter().skip(1));
        let given = flags.filter(|(flag, _)| names.contains(&flag.trim_start_matches('-')));
        given.flat_map(|(_, value)| value.split(',')).collect()
    };
    let types = |names| {
        let mut types = values(names);
        if types.is_empty() {
            types.push("f16");
        }
        types
    };
    let flash_attention = values(["fa", "flash-attn"]);
    let is_off = |value: &&str| ["0", "off", "false", "disabled"].contains(value);
    if !flash_attention.is_empty() && flash_attention.iter().all(is_off) {
        return vec![];
    }
    // f32 uses the kernels of f16.
    let v_types = types(["ctv", "cache-type-v"]);
    let pairs = types(["ctk", "cache-type-k"])
        .into_iter()
        .flat_map(|k| v_types.iter().map(move |v| format!("{k}-{v}").replace("f32", "f16")));
    let pairs: BTreeSet<String> = pairs.filter(|pair| pair != "f16-f16").collect();
    pairs.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(fields: &serde_json::Value) -> Manifest {
        let mut all = json!({
            "variant": "cuda-x", "backends": ["cuda"],
            "kvKernels": ["f16-f16", "q4_0-q4_0", "q8_0-q8_0", "bf16-bf16"],
        });
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        Manifest::with(&all)
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_pair_without_a_kernel_is_reported_once_with_its_first_user() {
        let found = findings(&manifest(&json!({
            "service": { "kvCacheTypes": ["q8_0-q4_0", "q8_0-q8_0"] },
            "bench": { "args": ["-ctk", "q8_0", "-ctv", "q4_0,q8_0,f16"] },
        })));
        let messages: Vec<&str> = found.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "services.llama-cpp uses the KV cache types q8_0 (K) and q4_0 (V), but cuda-x has \
                 no GPU kernel for this pair: with FlashAttention it is many times slower, or \
                 crashes",
                "programs.llama-cpp.bench.args uses the KV cache types q8_0 (K) and f16 (V), but \
                 cuda-x has no GPU kernel for this pair: with FlashAttention it is many times \
                 slower, or crashes"
            ]
        );
        assert!(found[0].help.starts_with("add \"q8_0-q4_0\" to programs.llama-cpp.kvCacheTypes"));
    }

    #[test]
    fn the_help_is_what_this_build_needs() {
        for (fields, help) in [
            (json!({ "service": { "kvCacheTypes": ["iq4_nl-f16"] } }), "use types that have"),
            (json!({ "kvCacheTypes": ["bf16-f16"] }), "this llama.cpp revision cannot build it"),
            (
                json!({
                    "kvCacheTypes": ["q8_0-q4_0"],
                    "extraCmakeFlags": ["-DGGML_CUDA_FA_QUANTS=f16-f16"],
                }),
                "remove -DGGML_CUDA_FA_QUANTS=f16-f16 from",
            ),
        ] {
            let found = findings(&manifest(&fields));
            assert!(found.len() == 1 && found[0].help.starts_with(help), "{found:?}");
        }
    }

    #[test]
    fn builds_without_cuda_and_rocm_and_older_manifests_are_ignored() {
        let uses = json!({ "service": { "kvCacheTypes": ["q8_0-q4_0"] }, "kvKernels": null });
        assert_eq!(findings(&manifest(&uses)), []);
    }

    #[test]
    fn a_bench_uses_the_types_of_its_arguments_and_sweep() {
        for (args, pairs) in [
            ("-ctk q8_0 -ctv q4_0", vec!["q8_0-q4_0"]),
            ("--cache-type-k f32 -p 512", vec![]),
            ("-ctk q8_0 -fa 0", vec![]),
            ("-ctk f16,q8_0 -fa 0,1", vec!["q8_0-f16"]),
            ("-ctv q8_0 -ctv f16", vec!["f16-q8_0"]),
        ] {
            assert_eq!(bench_pairs(&words(args)), pairs, "{args}");
        }
        let found = bench_findings(&manifest(&json!({})), &words("-ctk q8_0 -ctv q4_0"));
        assert!(found[0].message.starts_with("this bench uses the KV cache types q8_0"));
        assert_eq!(bench_findings(&manifest(&json!({})), &words("-ctk q8_0 -ctv q8_0")), []);
    }
}
