//! Tests of the judgement on recorded runs: each failure has its code, and earlier results stay.

use std::sync::LazyLock;

use crate::bench::document::BenchReport;
use crate::bench::measurement::*;
use crate::hardware::cpu::Arch;

const NEW: &str = include_str!("../../tests/fixtures/llama-bench/new.jsonl");
const KILLED: &str =
    include_str!("../../tests/fixtures/llama-bench/new-killed-in-second-test.jsonl");
const BAD_MODEL: &str = include_str!("../../tests/fixtures/llama-bench/new-bad-model.stderr");

fn manifest(backends: &[&str]) -> Manifest {
    let text = serde_json::json!({
        "variant": "v", "backends": backends, "microarch": "znver5", "system": "x86_64-linux",
        "cmakeFlags": [], "rev": null, "build": null,
    });
    serde_json::from_value(text).unwrap()
}

static ZEN5: LazyLock<Cpu> =
    LazyLock::new(|| Cpu::parse(include_str!("../../tests/fixtures/cpuinfo/zen5")).unwrap());

static PARAMS: Params = Params {
    prompt: 128,
    generate: 32,
    repetitions: 5,
    rounds: 1,
    time_budget: std::time::Duration::MAX,
    timeout: std::time::Duration::from_secs(900),
    args: vec![],
};

fn with_args(args: &[&str]) -> Params {
    Params { args: args.iter().map(|arg| (*arg).to_owned()).collect(), ..PARAMS.clone() }
}

fn expected(manifest: &Manifest) -> Expected<'_> {
    Expected { manifest, params: &PARAMS, target: "carbon", cpu: &ZEN5 }
}

fn run(termination: Termination, stdout: &str, stderr: &str) -> Run {
    Run { termination, output: Output::parse(stdout), stderr: stderr.into() }
}

fn codes(run: &Run, expected: &Expected) -> Vec<&'static str> {
    judge(run, expected).iter().map(|finding| finding.code).collect()
}

#[test]
fn a_good_run_has_no_findings() {
    let manifest = manifest(&["cpu"]);
    assert_eq!(codes(&run(Termination::Status(0), NEW, ""), &expected(&manifest)), [] as [&str; 0]);
}

#[test]
fn every_termination_has_its_code_and_keeps_earlier_results() {
    let manifest = manifest(&["cpu"]);
    for (termination, code) in [
        (Termination::Signal(4), "illegal-instruction"),
        (Termination::Signal(9), "out-of-memory"),
        (Termination::Signal(11), "crashed"),
        (Termination::Status(1), "bench-failed"),
        (Termination::Status(126), "not-executable"),
        (Termination::Status(127), "no-llama-bench"),
        (Termination::TimedOut, "timeout"),
        (Termination::Interrupted, "interrupted"),
    ] {
        let run = run(termination, KILLED, "");
        assert_eq!(codes(&run, &expected(&manifest)), [code]);
        assert_eq!(run.output.results.len(), 1);
        assert_eq!(run.output.results[0].test, "pp128");
    }
    // The dynamic linker exits like a shell that finds no program.
    let missing = "llama-bench: error while loading shared libraries: libcuda.so.1: cannot open \
                   shared object file: No such file or directory";
    let missing = run(Termination::Status(127), "", missing);
    assert_eq!(codes(&missing, &expected(&manifest)), ["bench-failed"]);
    let bad_model = judge(&run(Termination::Status(1), "", BAD_MODEL), &expected(&manifest));
    let message = &bad_model[0].message;
    assert!(message.contains("before it measured anything"), "{message}");
    assert!(message.ends_with("llama_bench: error: failed to load model 'none.gguf'"), "{message}");
}

#[test]
fn an_illegal_instruction_names_what_the_cpu_lacks_and_what_fits() {
    let ended = |manifest: &Manifest, cpu: &Cpu| {
        let expected = Expected { cpu, ..expected(manifest) };
        let Finding { message, help, .. } =
            judge(&run(Termination::Signal(4), KILLED, ""), &expected).remove(0);
        (message, help)
    };
    let plain = manifest(&["cpu"]);
    let options = ["GGML_AMX_TILE", "GGML_AMX_INT8"].map(str::to_owned).to_vec();
    let amx = Manifest { cpu_options: options, ..plain.clone() };
    let (message, help) = ended(&amx, &ZEN5);
    assert!(message.contains("after 1 of 2 tests"), "{message}");
    assert!(message.contains("(AMX INT8, AMX tiles)"), "{message}");
    assert!(help.contains("\"znver5\""), "{help}");

    // For example, a compiler bug.
    let (message, help) = ended(&plain, &ZEN5);
    assert!(message.contains("although this CPU has all"), "{message}");
    assert!(!help.contains("znver5"), "{help}");
    let dispatch = Manifest { microarch: "dispatch".to_owned(), ..plain };
    let unknown = Cpu { arch: Arch::Aarch64, flags: BTreeSet::new(), ..ZEN5.clone() };
    let (message, help) = ended(&dispatch, &unknown);
    assert!(!message.contains("this CPU"), "{message}");
    assert!(help.contains("microarch to \"dispatch\""), "{help}");
}

#[test]
fn unusable_output_is_reported() {
    let manifest = manifest(&["cpu"]);
    let expected = expected(&manifest);
    let successful = |stdout: &str| codes(&run(Termination::Status(0), stdout, ""), &expected);
    let first = NEW.lines().next().unwrap();
    assert_eq!(successful(&NEW[..first.len() + 100]), ["truncated-line"]);
    assert_eq!(successful(""), ["no-output"]);
    assert_eq!(successful(first), ["missing-test"]);
    assert_eq!(successful("{\"hello\": 1}"), ["unreadable-output"]);
    assert_eq!(
        successful(&first.replace("\"stddev_ts\": ", "\"stddev_ts\": -nan, \"x\": ")),
        ["not-a-number"]
    );
    // pp128 is not pp1280.
    assert_eq!(
        successful(&NEW.replace("\"n_prompt\": 128", "\"n_prompt\": 1280")),
        ["missing-test"]
    );
}

/// The output begins as that of llama-bench's printers; the number of lines does not matter.
#[test]
fn another_output_format_is_one_error_that_names_it() {
    let manifest = manifest(&["cpu"]);
    let fields = NEW.lines().next().unwrap().replace(", \"", ",\n    \"");
    let json = format!("[\n  {}\n]\n", fields.replace('{', "{\n    ").replace('}', "\n  }"));
    let csv = "build_commit,build_number,cpu_info\n\"unknown\",\"0\",\"AMD EPYC\"\n";
    let md = "| model                          |       size |\n| --- | ---: |\n| llama | 1 |\n";
    let sql =
        "CREATE TABLE IF NOT EXISTS llama_bench (\n  build_commit TEXT\n);\n\nINSERT INTO x;\n";
    for (format, stdout) in [("json", json.as_str()), ("csv", csv), ("md", md), ("sql", sql)] {
        let noisy = format!("ggml_vulkan: warning: no device\n{stdout}");
        for set in [&[][..], &["-o", "csv"]] {
            let expected = Expected { params: &with_args(set), ..expected(&manifest) };
            let findings = judge(&run(Termination::Status(0), &noisy, ""), &expected);
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert_eq!(findings[0].code, "output-format");
            assert!(findings[0].message.contains(&format!("set to {format}")), "{findings:?}");
            let by_args = !set.is_empty();
            assert_eq!(findings[0].help.contains("remove `-o csv`"), by_args, "{findings:?}");
        }
    }
    let none = Expected { params: &with_args(&["-o", "none"]), ..expected(&manifest) };
    assert_eq!(codes(&run(Termination::Status(0), "", ""), &none), ["output-format"]);
    assert_eq!(codes(&run(Termination::Status(0), NEW, ""), &none), [] as [&str; 0]);
}

#[test]
fn a_gpu_build_that_ran_on_the_cpu_is_caught() {
    let gpu = "\"gpu_info\": \"NVIDIA T1200\"";
    let with_gpu = |backends: &str| {
        NEW.replace("\"gpu_info\": \"\"", gpu)
            .replace("\"backends\": \"CPU\"", &format!("\"backends\": \"{backends}\""))
    };
    let judged = |backends: &[&str], stdout: &str| {
        let manifest = manifest(backends);
        codes(&run(Termination::Status(0), stdout, ""), &expected(&manifest))
    };
    assert_eq!(judged(&["cuda"], NEW), ["device-fallback"]);
    assert_eq!(judged(&["cuda"], &with_gpu("CUDA")), [] as [&str; 0]);
    assert_eq!(judged(&["cuda"], &with_gpu("CUDA,CPU")), [] as [&str; 0]);
    // The backend is registered, but has no device.
    let no_device = NEW.replace("\"backends\": \"CPU\"", "\"backends\": \"CUDA\"");
    assert_eq!(judged(&["cuda"], &no_device), ["device-fallback"]);
    assert_eq!(judged(&["cuda", "rocm"], &with_gpu("CUDA")), ["device-fallback"]);
    assert_eq!(judged(&["cuda", "rocm"], &with_gpu("ROCm,CUDA")), [] as [&str; 0]);
    let tensor = include_str!("../../tests/fixtures/llama-bench/new-sm-tensor.jsonl");
    assert_eq!(judged(&["cuda"], tensor), [] as [&str; 0]);
    let blas = NEW.replace("\"backends\": \"CPU\"", "\"backends\": \"BLAS\"");
    assert_eq!(judged(&["cpu"], &blas), ["other-backend"]);
}

#[test]
fn the_report_has_the_documented_fields() {
    let subject = Subject {
        host: HostName::new("carbon"),
        manifest: manifest(&["cpu"]),
        drv_path: Some(DrvPath::new("/nix/store/x.drv")),
        store_path: StorePath::new("/nix/store/x"),
    };
    let model = Model {
        name: "smoke-29m".into(),
        params: None,
        quantization: Some("q4_0".into()),
        bytes: None,
    };
    let report = BenchReport::new(&subject, "local", model, Some(Output::parse(NEW)), vec![]);
    let json = serde_json::to_value(&report).unwrap();
    for field in [
        "schema",
        "command",
        "host",
        "target",
        "variant",
        "storePath",
        "llamaCpp",
        "model",
        "device",
        "results",
        "findings",
        "ok",
    ] {
        assert!(json.get(field).is_some(), "{field}");
    }
    assert_eq!(json["model"]["params"], 29_368_832);
    assert_eq!(json["device"], "AMD EPYC");
    assert_eq!(json["ok"], true);
    assert_eq!(json["results"][0]["test"], "pp128");
    assert!(json["results"][0]["tokensPerSecond"].as_f64().unwrap() > 1000.0);
}

#[test]
fn the_whole_command_is_as_documented() {
    let params = with_args(&["-fa", "1"]);
    let argv = |backend: &str| params.argv("/x/bin/llama-bench", "m.gguf", &[backend.to_owned()]);
    assert_eq!(
        argv("cpu").join(" "),
        "/x/bin/llama-bench -m m.gguf -o jsonl --progress -p 128 -n 32 -r 5 -fa 1"
    );
    assert!(argv("cuda").join(" ").contains(" -ngl 99 "));
    assert_eq!(params.tests(), ["pp128", "tg32"]);
}

/// Of public reports: the last line is a backtrace, or the first consequence of the cause.
#[test]
fn the_error_of_a_crash_is_quoted_and_not_its_last_line() {
    let manifest = manifest(&["cuda"]);
    let message = |termination, stderr: &str| {
        let finding = judge(&run(termination, "", stderr), &expected(&manifest)).remove(0);
        (finding.code, finding.message)
    };
    let crash = "ggml_cuda_init: found 1 ROCm devices:\n\
                 ggml_cuda_compute_forward: MUL_MAT failed\nROCm error: invalid device function\n  \
                 current device: 0, in function f at ggml-cuda.cu:2932\n  err\n\
                 /s/ggml-cuda.cu:97: ROCm error\n/lib/libggml-base.so(+0x163a6) [0x7f11]\n\
                 /lib/libggml-base.so(ggml_abort+0x150) [0x7f12]\n[Inferior 1 (process 251) detached]";
    let (code, text) = message(Termination::Signal(6), crash);
    assert_eq!(code, "crashed");
    let errors =
        "MUL_MAT failed; ROCm error: invalid device function; /s/ggml-cuda.cu:97: ROCm error";
    assert!(text.ends_with(errors), "{text}");
    for (memory, status) in [
        (
            "allocating 144817.04 MiB on device 0: cudaMalloc failed: out of memory",
            Termination::Status(1),
        ),
        ("ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory", Termination::Signal(6)),
        (
            "alloc_tensor_range: failed to allocate CPU buffer of size 437944320",
            Termination::Status(1),
        ),
    ] {
        let stderr = format!(
            "llama_model_loader: - kv   7: tokenizer.chat_template str = {{ error }}\n{memory}\n\
             llama_model_load: error loading model: unable to\nload failed\nmain: error: failed to load model"
        );
        let (code, text) = message(status, &stderr);
        assert_eq!(code, "out-of-memory", "{text}");
        assert!(
            text.contains(&format!(": {memory}; "))
                && text.ends_with("; main: error: failed to load model"),
            "{text}"
        );
    }
    let assertion =
        "ggml-backend.cpp:194: GGML_ASSERT(buffer) failed\n[New LWP 2]\n#1 ggml_abort ()";
    let (_, text) = message(Termination::Signal(6), assertion);
    assert!(text.ends_with(": ggml-backend.cpp:194: GGML_ASSERT(buffer) failed"), "{text}");
    let (_, text) = message(Termination::Signal(11), "warning: asserts enabled\nthe end");
    assert!(text.ends_with(": the end"), "{text}");
}
