//! Tests of variants with recorded CPUs and invented cards.

use serde_json::json;

use crate::hardware::cpu::Cpu;
use crate::hardware::recommendation::Recommendation;
use crate::hardware::rules::*;

const GOLDMONT_PLUS: &str = include_str!("../../tests/fixtures/probe/goldmont-plus.cpuinfo");
const TIGER_LAKE: &str = include_str!("../../tests/fixtures/probe/tiger-lake.cpuinfo");
const SAPPHIRE_RAPIDS: &str = include_str!("../../tests/fixtures/probe/sapphire-rapids.cpuinfo");
const ZEN4: &str = include_str!("../../tests/fixtures/probe/zen4.cpuinfo");

fn machine(cpuinfo: &str, gpus: &[Gpu]) -> Facts {
    let cpu = Cpu::parse(cpuinfo).unwrap();
    Facts { gpus: gpus.to_vec(), ..Facts::new("a", cpu) }
}

fn variant(microarch: &str, backends: &[&str]) -> Manifest {
    Manifest::with(&json!({ "backends": backends, "microarch": microarch }))
}

fn codes(findings: &[Finding]) -> Vec<(&'static str, Severity)> {
    findings.iter().map(|finding| (finding.code, finding.severity)).collect()
}

fn nvidia(capability: &str) -> Gpu {
    let mut gpu = Gpu::new(Vendor::Nvidia, format!("NVIDIA {capability}"));
    gpu.cuda_capability = Some(capability.into());
    gpu.vulkan = Some("1.3".into());
    gpu
}

fn amd(target: &str, gibibytes: u64) -> Gpu {
    let mut gpu = Gpu::new(Vendor::Amd, format!("AMD {target}"));
    gpu.gfx_target = Some(target.into());
    gpu.vulkan = Some("1.3".into());
    gpu.vram_bytes = Some(gibibytes << 30);
    gpu
}

#[test]
fn haswell_crashes_on_goldmont_plus() {
    let facts = machine(GOLDMONT_PLUS, &[]);
    let [finding] = &findings(&variant("haswell", &["cpu"]), &facts)[..] else { panic!() };
    assert_eq!((finding.code, finding.severity), ("sigill", Severity::Error));
    assert!(
        finding.message.contains("AVX, AVX2, BMI2, F16C, FMA, which Intel(R) Celeron(R) J4105")
    );
    assert!(finding.help.contains("\"goldmont-plus\", or \"dispatch\""), "{}", finding.help);
    assert!(findings(&variant("goldmont-plus", &["cpu"]), &facts).is_empty());
    assert!(findings(&variant("dispatch", &["cpu"]), &facts).is_empty());
}

#[test]
fn an_extra_cmake_flag_can_crash_too() {
    let mut manifest = variant("goldmont-plus", &["cpu"]);
    manifest.cpu_options = vec!["GGML_SSE42".into(), "GGML_AVX2".into()];
    let [finding] = &findings(&manifest, &machine(GOLDMONT_PLUS, &[]))[..] else { panic!() };
    assert_eq!(finding.code, "sigill");
    assert!(finding.message.starts_with("programs.llama-cpp.extraCmakeFlags"));
}

#[test]
fn zen_4_under_v3_does_not_use_avx_512() {
    let facts = machine(ZEN4, &[]);
    let [finding] = &findings(&variant("x86-64-v3", &["cpu"]), &facts)[..] else { panic!() };
    assert_eq!((finding.code, finding.severity), ("below-cpu", Severity::Warning));
    let unused =
        "does not use AVX-512, AVX-512 BF16, AVX-512 VBMI, AVX-512 VNNI, which AMD Ryzen 9";
    assert!(finding.message.contains(unused), "{}", finding.message);
    assert!(
        finding.message.contains("prompt processing 1.8 times and generation 1.1 times as fast"),
        "{}",
        finding.message
    );
    assert!(finding.help.contains("\"znver4\""), "{}", finding.help);
    assert!(findings(&variant("znver4", &["cpu"]), &facts).is_empty());
    // This step was not measured: no figures.
    let [finding] = &findings(&variant("x86-64-v4", &["cpu"]), &facts)[..] else { panic!() };
    assert!(!finding.message.contains("times as fast"), "{}", finding.message);
}

#[test]
fn every_measured_step_names_its_gain() {
    let steps = [
        (SAPPHIRE_RAPIDS, "x86-64", "prompt processing 40.8 times"),
        (SAPPHIRE_RAPIDS, "tigerlake", "prompt processing 1.6 times"),
        (TIGER_LAKE, "haswell", "prompt processing 1.8 times"),
    ];
    for (cpuinfo, microarch, figures) in steps {
        let [finding] = &findings(&variant(microarch, &["cpu"]), &machine(cpuinfo, &[]))[..] else {
            panic!()
        };
        assert!(finding.message.contains(figures), "{}", finding.message);
    }
    assert!(findings(&variant("tigerlake", &["cpu"]), &machine(TIGER_LAKE, &[])).is_empty());
    assert!(
        findings(&variant("sapphirerapids", &["cpu"]), &machine(SAPPHIRE_RAPIDS, &[])).is_empty()
    );
    let found = findings(&variant("sapphirerapids", &["cpu"]), &machine(TIGER_LAKE, &[]));
    assert_eq!(codes(&found), [("sigill", Severity::Error)]);
    assert!(found[0].message.contains("AMX INT8, AMX tiles"), "{}", found[0].message);
    assert!(found[0].help.contains("\"tigerlake\""), "{}", found[0].help);
}

#[test]
fn aarch64_is_compared_with_its_own_table() {
    let graviton2 = include_str!("../../tests/fixtures/probe/graviton2.cpuinfo");
    let with = |microarch: &str, march: &str| {
        let mut manifest = variant(microarch, &["cpu"]);
        manifest.system = "aarch64-linux".into();
        manifest.cpu_options = vec![format!("GGML_CPU_ARM_ARCH={march}")];
        findings(&manifest, &machine(graviton2, &[]))
    };
    assert!(with("neoverse-n1", "armv8.2-a+dotprod+fp16").is_empty());
    let [finding] = &with("armv8-a", "armv8-a")[..] else { panic!() };
    assert_eq!(finding.code, "below-cpu");
    assert!(
        finding.message.contains("does not use dotprod, fp16, which this CPU supports"),
        "{}",
        finding.message
    );
    let [finding] = &with("neoverse-v1", "armv8.4-a+dotprod+fp16+i8mm+bf16+sve")[..] else {
        panic!()
    };
    assert_eq!(finding.code, "sigill");
    assert!(finding.message.contains("armv8.4-a, bf16, i8mm, sve"), "{}", finding.message);
    assert!(finding.help.contains("\"neoverse-n1\""), "{}", finding.help);
}

#[test]
fn dispatch_on_arm_without_sve_loses_i8mm() {
    let on = |cpuinfo: &str| {
        let mut manifest = variant("dispatch", &["cpu"]);
        manifest.system = "aarch64-linux".into();
        findings(&manifest, &machine(cpuinfo, &[]))
    };
    let [finding] = &on(include_str!("../../tests/fixtures/cpuinfo/apple-m2"))[..] else {
        panic!()
    };
    assert_eq!((finding.code, finding.severity), ("below-cpu", Severity::Warning));
    assert!(finding.help.ends_with("\"apple-m2\""), "{}", finding.help);
    assert!(on(include_str!("../../tests/fixtures/cpuinfo/neoverse-v2")).is_empty());
    assert!(on(include_str!("../../tests/fixtures/probe/graviton2.cpuinfo")).is_empty());
}

/// nixpkgs has ROCm for x86_64 only; MI350 has no Vulkan.
#[test]
fn rocm_is_suggested_where_nixpkgs_has_it() {
    let graviton2 = include_str!("../../tests/fixtures/probe/graviton2.cpuinfo");
    let mi350 = Gpu { vulkan: None, ..amd("gfx950", 288) };
    for (cpuinfo, gpu, backend) in [
        (ZEN4, amd("gfx1100", 24), "rocm"),
        (ZEN4, mi350, "rocm"),
        (graviton2, amd("gfx1100", 24), "vulkan"),
    ] {
        let facts = machine(cpuinfo, &[gpu]);
        assert_eq!(Recommendation::new(&facts).backend, [backend]);
        let mut manifest = variant("dispatch", &["cpu"]);
        manifest.system = if cpuinfo == ZEN4 { "x86_64-linux" } else { "aarch64-linux" }.into();
        let [finding] = &findings(&manifest, &facts)[..] else { panic!() };
        assert!(finding.help.contains(&format!("add {backend:?}")), "{}", finding.help);
    }
}

#[test]
fn zen_5_gains_nothing_over_zen_4() {
    let zen5 = machine(include_str!("../../tests/fixtures/cpuinfo/zen5"), &[]);
    assert_eq!(findings(&variant("znver4", &["cpu"]), &zen5), []);
    let [finding] = &findings(&variant("x86-64-v4", &["cpu"]), &zen5)[..] else { panic!() };
    assert!(finding.message.contains("AVX-512 VNNI"), "{}", finding.message);
}

/// Another name for the same instruction sets is no finding.
#[test]
fn an_equivalent_name_is_accepted() {
    let facts = machine(&ZEN4.replace("avx512f", ""), &[]);
    for name in ["haswell", "x86-64-v3", "znver3"] {
        assert!(findings(&variant(name, &["cpu"]), &facts).is_empty(), "{name}");
    }
}

#[test]
fn another_architecture_is_one_finding() {
    let mut manifest = variant("znver4", &["cpu"]);
    manifest.system = "aarch64-linux".into();
    assert_eq!(codes(&findings(&manifest, &machine(ZEN4, &[])))[0].0, "wrong-architecture");
}

#[test]
fn a_backend_without_its_card_is_an_error() {
    let facts = machine(ZEN4, &[]);
    for backend in ["cuda", "rocm", "vulkan"] {
        let found = findings(&variant("znver4", &[backend]), &facts);
        assert_eq!(codes(&found), [("no-such-gpu", Severity::Error)]);
    }
    let mut bare = amd("gfx1103", 1);
    bare.vulkan = None;
    let found = findings(&variant("znver4", &["vulkan"]), &machine(ZEN4, &[bare]));
    assert!(codes(&found).contains(&("no-vulkan-driver", Severity::Warning)));
}

#[test]
fn capabilities_are_compared_with_the_cards() {
    let with = |capabilities: &[&str], gpus: &[Gpu]| {
        let mut manifest = variant("znver4", &["cuda"]);
        manifest.cuda_capabilities = capabilities.iter().map(|c| (*c).to_owned()).collect();
        codes(&findings(&manifest, &machine(ZEN4, gpus)))
    };
    use Severity::{Error, Warning};
    assert!(with(&["8.6"], &[nvidia("8.6")]).is_empty());
    assert!(with(&["8.6"], &[nvidia("8.9")]).is_empty());
    // The driver compiles an older capability's PTX.
    assert_eq!(with(&["7.5"], &[nvidia("8.6")]), [("no-exact-kernel", Warning)]);
    assert_eq!(with(&["8.6"], &[nvidia("7.5")]), [("no-kernel", Error), ("no-such-gpu", Error)]);
    assert_eq!(with(&["7.5", "8.6"], &[nvidia("7.5")]), [("no-such-gpu", Warning)]);
    assert_eq!(with(&["8.6"], &[nvidia("8.6"), nvidia("7.5")]), [("no-kernel", Error)]);
    assert!(with(&["9.0a"], &[nvidia("9.0")]).is_empty());
    assert_eq!(with(&["9.0a"], &[nvidia("10.0")])[0], ("no-kernel", Error));
    // A GTX 1080 with the default capabilities of a nixpkgs with CUDA 13.
    let mut default = variant("znver4", &["cuda"]);
    default.cuda_capabilities = ["7.5", "8.6"].map(str::to_owned).to_vec();
    default.cuda_version = Some("13.0".into());
    let found = findings(&default, &machine(ZEN4, &[nvidia("6.1")]));
    assert_eq!(found[0].code, "no-kernel");
    assert!(
        found[0].help.contains("a CUDA that compiles 6.1: ")
            && found[0].help.contains("cudaPackages_12"),
        "{}",
        found[0].help
    );
    // llama.cpp compiles 12.0 as 12.0a.
    assert_eq!(with(&["12.0"], &[nvidia("12.1")])[0], ("no-kernel", Error));
    assert!(with(&["12.0"], &[nvidia("12.0")]).is_empty());
    assert!(with(&["12.0f"], &[nvidia("12.1")]).is_empty());
    assert!(with(&["10.0f"], &[nvidia("10.3")]).is_empty());
    assert!(with(&[], &[nvidia("8.6")]).is_empty());
    // A card with unknown capability is no finding.
    let silent = Gpu::new(Vendor::Nvidia, "NVIDIA 10de:2208");
    assert!(with(&["8.6"], &[silent]).is_empty());
}

#[test]
fn rocm_targets_are_compared_with_the_cards() {
    let with = |targets: &[&str], gpus: &[Gpu]| {
        let mut manifest = variant("znver4", &["rocm"]);
        manifest.rocm_targets = targets.iter().map(|t| (*t).to_owned()).collect();
        codes(&findings(&manifest, &machine(ZEN4, gpus)))
    };
    use Severity::Error;
    assert!(with(&["gfx906"], &[amd("gfx906", 32)]).is_empty());
    assert!(with(&["gfx906:sramecc+:xnack-"], &[amd("gfx906", 32)]).is_empty());
    assert!(with(&["gfx10-3-generic"], &[amd("gfx1030", 16)]).is_empty());
    assert!(with(&["gfx906"], &[amd("gfx906", 32), amd("gfx1036", 1)]).is_empty());
    let wrong = with(&["gfx9-generic"], &[amd("gfx90a", 64)]);
    assert_eq!(wrong, [("no-kernel", Error), ("no-such-gpu", Error)]);
    let wrong = with(&["gfx906"], &[amd("gfx1100", 24)]);
    assert_eq!(wrong, [("no-kernel", Error), ("no-such-gpu", Error)]);
    assert_eq!(with(&["gfx906"], &[amd("gfx906", 32), amd("gfx1100", 24)])[0].0, "no-kernel");
}

#[test]
fn an_idle_card_is_a_warning_with_its_name() {
    let facts = machine(ZEN4, &[amd("gfx1103", 1)]);
    let [finding] = &findings(&variant("znver4", &["cpu"]), &facts)[..] else { panic!() };
    assert_eq!((finding.code, finding.severity), ("idle-gpu", Severity::Warning));
    assert!(finding.message.contains("AMD gfx1103") && finding.help.contains("add \"vulkan\""));
    // nitrogen: both cards in one build; an integrated GPU beside them is ignored.
    let facts = machine(ZEN4, &[nvidia("8.6"), amd("gfx906", 32), amd("gfx1036", 1)]);
    assert!(findings(&variant("znver4", &["cuda", "rocm"]), &facts).is_empty());
    // With more memory, too, if the firmware gives it the machine's.
    let own = Gpu { unified_memory: true, ..amd("gfx1103", 8) };
    let both = machine(ZEN4, &[nvidia("8.6"), own.clone()]);
    assert!(findings(&variant("znver4", &["cuda"]), &both).is_empty());
    let found = findings(&variant("znver4", &["cpu"]), &machine(ZEN4, &[own]));
    assert_eq!(codes(&found), [("idle-gpu", Severity::Warning)]);
    // A target without libraries in this nixpkgs is used nevertheless.
    let facts_of_strix = machine(ZEN4, &[amd("gfx1151", 96)]);
    let mut strix = variant("znver4", &["rocm"]);
    strix.rocm_library_targets = Some(vec!["gfx1100".into()]);
    strix.rocm_targets = vec!["gfx1151".into()];
    assert!(findings(&strix, &facts_of_strix).is_empty());
    let found = findings(&variant("znver4", &["cuda"]), &facts);
    assert_eq!(codes(&found), [("idle-gpu", Severity::Warning)]);
    assert!(found[0].help.contains("add \"rocm\""), "{}", found[0].help);
    assert!(findings(&variant("znver4", &["vulkan"]), &facts).is_empty());
}

#[test]
fn the_cpu_of_a_list_that_runs_here_counts() {
    let list = |names: &[&str]| {
        let microarchs = names.iter().map(|name| (*name).to_owned()).collect();
        Manifest { microarchs, ..variant(&names.join("+"), &["cpu"]) }
    };
    let zen4 = machine(ZEN4, &[]);
    assert_eq!(findings(&list(&["sapphirerapids", "znver4"]), &zen4), []);
    let below = findings(&list(&["haswell", "sandybridge"]), &zen4);
    assert_eq!(codes(&below), [("below-cpu", Severity::Warning)]);
    assert!(below[0].message.contains("\"haswell\""), "{below:?}");
    let none = findings(&list(&["sapphirerapids", "znver5"]), &machine(GOLDMONT_PLUS, &[]));
    assert_eq!(codes(&none), [("sigill", Severity::Error)]);
}
