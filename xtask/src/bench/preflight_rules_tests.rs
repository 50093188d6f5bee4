//! Tests of the rules, with targets that lack one thing each.

use crate::bench::preflight_rules::*;
use crate::hardware::cpu::Cpu;

const ZEN5: &str = include_str!("../../tests/fixtures/cpuinfo/zen5");

fn manifest(backends: &[&str]) -> Manifest {
    let text = serde_json::json!({
        "variant": "v", "backends": backends, "microarch": "znver5", "system": "x86_64-linux",
        "cmakeFlags": [], "rev": null, "build": null,
    });
    serde_json::from_value(text).unwrap()
}

fn codes(backends: &[&str], state: &TargetState) -> Vec<(&'static str, Severity)> {
    let facts =
        Facts { gpus: state.gpus.clone(), ..Facts::new("carbon", Cpu::parse(ZEN5).unwrap()) };
    let found = findings(&manifest(backends), &facts, state, "carbon");
    found.iter().map(|finding| (finding.code, finding.severity)).collect()
}

fn with(gpus: &[Gpu], devices: &[(&str, bool)], drivers: &[&str]) -> TargetState {
    TargetState {
        gpus: gpus.to_vec(),
        devices: devices.iter().map(|(node, usable)| ((*node).to_owned(), *usable)).collect(),
        vulkan_drivers: drivers.iter().map(|file| (*file).to_owned()).collect(),
        ..TargetState::default()
    }
}

fn nvidia(driver: Option<&str>) -> Gpu {
    let driver = driver.map(str::to_owned);
    Gpu { driver, vulkan: Some("render-node".into()), ..Gpu::new(Vendor::Nvidia, "T1200") }
}

fn radeon() -> Gpu {
    Gpu {
        gfx_target: Some("gfx906".into()),
        vulkan: Some("1.3".into()),
        ..Gpu::new(Vendor::Amd, "MI50")
    }
}

const ERROR: Severity = Severity::Error;
const RENDER: (&str, bool) = ("/dev/dri/renderD128", true);
const ICD: &[&str] = &["/run/opengl-driver/share/vulkan/icd.d/radeon_icd.json"];

#[test]
fn each_gpu_backend_needs_a_gpu_its_driver_and_access() {
    let nothing = with(&[], &[], &[]);
    assert_eq!(codes(&["cpu"], &nothing), []);
    for backend in ["cuda", "rocm"] {
        assert_eq!(codes(&[backend], &nothing), [("no-such-gpu", ERROR)], "{backend}");
    }
    assert_eq!(codes(&["vulkan"], &nothing), [("no-vulkan-driver", ERROR)]);

    let ctl = ("/dev/nvidiactl", true);
    assert_eq!(codes(&["cuda"], &with(&[nvidia(Some("580.1"))], &[ctl], &[])), []);
    assert_eq!(codes(&["cuda"], &with(&[nvidia(None)], &[], &[])), [("no-driver", ERROR)]);
    // WSL uses the driver of Windows.
    assert_eq!(codes(&["cuda"], &with(&[nvidia(None)], &[("/dev/dxg", true)], &[])), []);
    let locked = with(&[nvidia(Some("580.1"))], &[("/dev/nvidiactl", false)], &[]);
    assert_eq!(codes(&["cuda"], &locked), [("gpu-forbidden", ERROR)]);

    assert_eq!(codes(&["rocm"], &with(&[radeon()], &[("/dev/kfd", true)], &[])), []);
    assert_eq!(codes(&["rocm"], &with(&[radeon()], &[RENDER], &[])), [("no-driver", ERROR)]);
    let locked = with(&[radeon()], &[("/dev/kfd", false)], &[]);
    assert_eq!(codes(&["rocm"], &locked), [("gpu-forbidden", ERROR)]);

    assert_eq!(codes(&["vulkan"], &with(&[radeon()], &[RENDER], ICD)), []);
    let locked = with(&[radeon()], &[("/dev/dri/renderD128", false)], ICD);
    assert_eq!(codes(&["vulkan"], &locked), [("gpu-forbidden", ERROR)]);
    // A software driver (llvmpipe) has no GPU.
    assert_eq!(codes(&["vulkan"], &with(&[], &[], ICD)), [("no-such-gpu", Severity::Warning)]);
    // Two GPUs, of which one is missing.
    let one = with(&[nvidia(Some("580.1"))], &[ctl], &[]);
    assert_eq!(codes(&["cuda", "rocm"], &one), [("no-such-gpu", ERROR)]);
}

#[test]
fn a_read_only_store_is_reported() {
    let nix = |program, writable, trusts_us| TargetState {
        nix: TargetNix { program, writable, trusts_us },
        ..TargetState::default()
    };
    let codes_of = |state: &TargetState| codes(&["cpu"], state);
    assert_eq!(codes_of(&nix(Some(true), Some(true), Some(true))), []);
    assert_eq!(codes_of(&nix(Some(false), None, None)), [("target-without-nix", ERROR)]);
    let read_only = nix(Some(true), Some(false), None);
    assert_eq!(codes_of(&read_only), [("target-store-read-only", ERROR)]);
    let untrusted = nix(Some(true), Some(true), Some(false));
    assert_eq!(codes_of(&untrusted), [("target-rejects-unsigned", Severity::Warning)]);
    let help = super::untrusted("carbon", ERROR).help;
    assert!(help.contains("trusted-users") && help.contains("nix key generate-secret"), "{help}");
}

#[test]
fn disturbances_are_warnings() {
    let codes_of = |change: &dyn Fn(&mut Conditions)| {
        let mut state = TargetState::default();
        state.conditions.processors = 8;
        change(&mut state.conditions);
        let codes = codes(&["cpu"], &state);
        assert!(codes.iter().all(|(_, severity)| *severity == Severity::Warning), "{codes:?}");
        codes.into_iter().map(|(code, _)| code).collect::<Vec<_>>()
    };
    assert_eq!(codes_of(&|c| c.load_average = Some(4.0)), [] as [&str; 0]);
    assert_eq!(codes_of(&|c| c.load_average = Some(4.5)), ["target-busy"]);
    let governor = |c: &mut Conditions, driver: &str| {
        c.governors.insert("powersave".into());
        c.cpufreq_driver = Some(driver.into());
    };
    assert_eq!(codes_of(&|c| governor(c, "acpi-cpufreq")), ["governor"]);
    assert_eq!(codes_of(&|c| governor(c, "intel_pstate")), [] as [&str; 0]);
    assert_eq!(codes_of(&|c| c.on_battery = Some(true)), ["on-battery"]);
    assert_eq!(codes_of(&|c| c.on_battery = Some(false)), [] as [&str; 0]);
    assert_eq!(codes_of(&|c| c.swap_used_bytes = Some(1 << 30)), ["swap-in-use"]);
    assert_eq!(codes_of(&|c| c.gpu_throttle_reasons = vec![0x1, 0x40]), ["gpu-throttled"]);
    assert_eq!(codes_of(&|c| c.gpu_throttle_reasons = vec![0x1, 0x4]), [] as [&str; 0]);
}

#[test]
fn only_heat_during_the_measurement_is_reported() {
    let before = Conditions { throttle_events: Some(7), ..Conditions::default() };
    assert_eq!(throttled(&before, Some(7), "carbon"), None);
    assert_eq!(throttled(&before, None, "carbon"), None);
    let finding = throttled(&before, Some(9), "carbon").unwrap();
    assert!(finding.message.contains("2 times"), "{finding:?}");
}

#[test]
fn a_model_or_closure_that_does_not_fit_is_an_error() {
    let mut state = TargetState { store_room: Some(50 << 20), ..TargetState::default() };
    let fits = |backend: &str, bytes, state: &TargetState| {
        model_fits(&manifest(&[backend]), bytes, state, "carbon")
    };
    assert_eq!(fits("cpu", 1 << 40, &state), None);
    state.conditions.memory_available_bytes = Some(4 << 30);
    assert_eq!(fits("cpu", 4 << 30, &state), None);
    let message = fits("cpu", 5 << 30, &state).unwrap().message;
    assert!(message.contains("5.0 GiB") && message.contains("4.0 GiB"), "{message}");
    // A model on the GPUs needs no memory of the machine, and vice versa.
    state.conditions.vram_free_bytes = vec![4 << 30, 4 << 30];
    assert_eq!(fits("cuda", 8 << 30, &state), None);
    assert_eq!(fits("cuda", 9 << 30, &state).unwrap().code, "model-too-large");
    state.conditions.vram_free_bytes = vec![u64::MAX; 2];
    assert_eq!(fits("cuda", u64::MAX, &state), None);
    assert_eq!(closure_fits(50 << 20, &state, "carbon"), None);
    assert_eq!(closure_fits(51 << 20, &state, "carbon").unwrap().code, "target-disk-full");
}

#[test]
fn the_oom_counter_decides_who_sent_sigkill() {
    let finding = Finding::error(
        "out-of-memory",
        "llama-bench was killed after 1 of 2 tests, most likely because carbon ran out of memory",
        "free memory",
    );
    let kills = |kills| Conditions { oom_kills: kills, ..Conditions::default() };
    let judged = |then, now| killed(&finding, &kills(then), &kills(now), "carbon");
    assert_eq!(judged(None, None), finding);
    let certain = judged(Some(2), Some(3));
    assert_eq!(certain.code, "out-of-memory");
    assert!(!certain.message.contains("likely"), "{certain:?}");
    let other = judged(Some(2), Some(2));
    assert_eq!(other.code, "killed");
    assert!(other.message.starts_with("llama-bench was killed after 1 of 2 tests, but not"));
}

#[test]
fn a_model_must_fit_where_a_program_can_use_memory() {
    let mut slice = nvidia(Some("550"));
    slice.mig_bytes = vec![10 << 30];
    let unified = Gpu { unified_memory: true, ..nvidia(Some("580")) };
    let conditions = |vram: &[u64]| Conditions {
        memory_available_bytes: Some(100 << 30),
        vram_free_bytes: vram.to_vec(),
        ..Conditions::default()
    };
    let fits = |gpu: &Gpu, vram: &[u64], gibibytes: u64| {
        let state = TargetState {
            conditions: conditions(vram),
            ..with(std::slice::from_ref(gpu), &[], &[])
        };
        model_fits(&manifest(&["cuda"]), gibibytes << 30, &state, "carbon").is_none()
    };
    assert!(fits(&nvidia(Some("550")), &[40 << 30], 20));
    assert!(!fits(&slice, &[40 << 30], 20));
    // Unified memory is the machine's, whatever nvidia-smi reports; `[N/A]` is not zero.
    assert!(fits(&unified, &[1 << 30], 20) && fits(&unified, &[], 20));
    assert!(!fits(&unified, &[], 200));
    assert!(fits(&nvidia(Some("550")), &[], 20));

    let on_radeon = |vram: Option<u64>, gibibytes: u64| {
        let gpu = Gpu { vram_bytes: vram.map(|size| size << 30), ..radeon() };
        let state = TargetState {
            conditions: conditions(&[]),
            ..with(std::slice::from_ref(&gpu), &[], &[])
        };
        model_fits(&manifest(&["rocm"]), gibibytes << 30, &state, "carbon").is_none()
    };
    assert!(on_radeon(Some(16), 10) && !on_radeon(Some(16), 20));
    // If it is unknown or an integrated GPU's reserve, the machine's memory decides.
    let huge = Gpu { vram_bytes: Some(u64::MAX), ..radeon() };
    let state = TargetState { gpus: vec![huge.clone(), huge], ..TargetState::default() };
    assert_eq!(model_fits(&manifest(&["rocm"]), 1, &state, "carbon"), None);
    assert!(on_radeon(None, 20) && on_radeon(Some(1), 20) && !on_radeon(None, 200));
}

#[test]
fn nouveau_is_no_driver_and_nvidia_smis_error_is_quoted() {
    let nodes = [("/dev/nvidiactl", true)];
    assert_eq!(
        codes(&["cuda"], &with(&[nvidia(Some("nouveau"))], &nodes, &[]))[0],
        ("no-driver", Severity::Error)
    );
    let state = with(&[nvidia(Some("550"))], &nodes, &[]);
    let facts = Facts {
        gpus: state.gpus.clone(),
        nvidia_smi: Some("Failed to initialize NVML: Driver/library version mismatch".into()),
        ..Facts::new("carbon", Cpu::parse(ZEN5).unwrap())
    };
    let found = findings(&manifest(&["cuda"]), &facts, &state, "carbon");
    assert!(found[0].message.contains("version mismatch"), "{found:?}");
}

#[test]
fn a_bench_of_another_user_is_an_error() {
    let other_bench = Some("process 4711 of alice".to_owned());
    let state = TargetState { other_bench, ..TargetState::default() };
    assert_eq!(codes(&["cpu"], &state), [("busy", Severity::Error)]);
}
