//! `bench` on small fleets, whose llama-bench replays a recording.

use std::process::Stdio;
use std::time::Duration;

use crate::bench_faults::errors;
use crate::support::builders::{running, signal, wait_for};
use crate::support::{Scratch, code, fleet, fleet_with, json, run, stderr, stdout, xtask};

const NEW: &str = include_str!("../fixtures/llama-bench/new.jsonl");
const FLASH: &str = include_str!("../fixtures/llama-bench/new-fa-0-1.jsonl");
const BROKEN: &str = include_str!("../fixtures/llama-bench/new-killed-in-second-test.jsonl");

/// A fleet with one host, `a`, whose llama-bench prints `recording` and then runs `then`.
fn replaying(recording: &str, then: &str, fields: &str) -> Scratch {
    let script = format!(
        "mkdir -p $out/bin; cat >$out/bin/llama-bench <<'END'\n#!/bin/sh\ncat <<'JSON'\n\
         {recording}JSON\n{then}\nEND\nchmod +x $out/bin/llama-bench"
    );
    fleet(&format!("a = host {{ variant = \"cpu-replay\"; {fields} script = ''\n{script}\n''; }};"))
}

/// A fleet with one host, `a`, whose llama-bench runs `first` and then prints `recording`.
fn replaying_after(first: &str, recording: &str) -> Scratch {
    replaying("", &format!("{first}\ncat <<'JSON'\n{recording}JSON"), "")
}

#[test]
fn bench_builds_and_measures_a_variant() {
    let fleet = replaying(NEW, "", "");
    let output = run(fleet.path(), &["bench", "a", "--local", "--json", "--rounds=1"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["schema"], 1);
    assert_eq!(report["command"], "bench");
    assert_eq!(report["host"], "a");
    assert_eq!(report["target"], "local");
    assert_eq!(report["variant"], "cpu-replay");
    assert_eq!(report["model"]["quantization"], "q4_0");
    assert_eq!(report["results"][0]["test"], "pp128");
    assert_eq!(report["results"][1]["samples"].as_array().unwrap().len(), 5);
    assert_eq!(report["ok"], true);

    let output = run(fleet.path(), &["bench", "a", "--local"]);
    assert!(stdout(&output).contains("tg32"), "{}", stdout(&output));
    assert!(stdout(&output).contains("TOKENS/S"), "{}", stdout(&output));
}

/// Runs `bench --verify` on a variant whose completion programs print `text`, and returns the exit
/// code, the report and standard error. The reference build has the same programs and the right
/// text.
fn verified(programs: &[&str], text: &str) -> (i32, serde_json::Value, String) {
    let probabilities = include_str!("../fixtures/llama-perplexity/new.right");
    let program = |name: &str, body: &str| {
        format!("cat >$out/bin/{name} <<'END'\n#!/bin/sh\n{body}\nEND\nchmod +x $out/bin/{name}\n")
    };
    let package = |text: &str| {
        let perplexity = format!(
            "while [ $# -gt 1 ]; do [ \"$1\" != --kl-divergence-base ] || echo >>\"$2\"; shift; \
             done; cat <<'ALL'\n{probabilities}ALL"
        );
        // Its first run ends too early, as the real program does on a busy machine.
        let completion = format!(
            "again=/tmp/$(echo $0 | tr / _)$PPID; [ -e $again ] || {{ : >$again; printf ' 6, 7'; \
             exit; }}; rm $again\ncase \"$*\" in *'-p 1, 2, 3, 4, 5, -n 24 --temp 0'*) printf \
             '{text}\\n\\n';; *) exit 1;; esac"
        );
        let all = programs.iter().map(|name| program(name, &completion));
        let first = [
            program("llama-bench", &format!("cat <<'JSON'\n{NEW}JSON")),
            program("llama-perplexity", &perplexity),
        ];
        format!("mkdir -p $out/bin\n{}", first.into_iter().chain(all).collect::<String>())
    };
    let reference = format!(
        "legacyPackages.x86_64-linux.mkLlamaCpp = {{ microarch, ... }}: let ref = host {{ inherit \
         microarch; variant = \"cpu-${{microarch}}\"; script = ''\n{}\n''; }}; in \
         ref.config.programs.llama-cpp.package // {{ llamaCpp = \
         ref.config.programs.llama-cpp.manifest; }};",
        package(" 6, 7, 8, 9, 10, 11, 12,")
    );
    let variant =
        format!("a = host {{ variant = \"cpu-a\"; script = ''\n{}\n''; }};", package(text));
    let fleet = fleet_with(&variant, &reference);
    let output = run(fleet.path(), &["bench", "a", "--local", "--verify", "--rounds=1", "--json"]);
    (code(&output), json(&output), stderr(&output))
}

#[test]
fn verify_compares_the_text_with_the_reference_build() {
    let counted = " 6, 7, 8, 9, 10, 11, 12,";
    for program in ["llama-completion", "llama-cli"] {
        let (code, report, shown) = verified(&[program], counted);
        assert_eq!(code, 0, "{shown}");
        let completion = &report["completion"];
        assert_eq!(completion["isEqual"], true, "{report}");
        assert_eq!(completion["text"], counted, "{report}");
        assert_eq!(report["verification"].as_array().unwrap().len(), 2, "{report}");
        assert!(shown.contains("text       equal: 1, 2, 3, 4, 5, 6, 7, 8,"), "{shown}");
    }
    // The probabilities are those of a correct build.
    let (code, report, shown) = verified(&["llama-completion"], " 6, 7, 8, 8, 8, 8, 8,");
    assert_eq!(code, 1, "{shown}");
    assert!(report["findings"].to_string().contains("wrong-output"), "{report}");
    assert_eq!(shown.matches("error[wrong-output]").count(), 1, "{shown}");
    assert_eq!(report["completion"]["isEqual"], false, "{report}");
    assert_eq!(report["results"].as_array().unwrap().len(), 0, "{report}");
}

#[test]
fn verify_without_a_completion_program_prints_a_note_and_measures() {
    let (code, report, shown) = verified(&[], "");
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("note[text-not-compared]"), "{shown}");
    assert!(shown.contains("have neither llama-completion nor llama-cli"), "{shown}");
    assert_eq!(report["completion"], serde_json::Value::Null);
    assert_eq!(report["results"].as_array().unwrap().len(), 2, "{report}");
}

/// Only `setup` downloads models.
#[test]
fn a_missing_model_is_an_error_before_the_build() {
    let fleet = replaying(NEW, "", "");
    let output = run(fleet.path(), &["bench", "a", "--local", "--json", "--model", "smollm2"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["findings"][0]["code"], "model-not-downloaded", "{report}");
    assert!(stderr(&output).contains("`cargo xtask setup --model`"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("building"), "{}", stderr(&output));
}

/// This holds in the report, the results file, the comparison with the baseline and in `report`. A
/// round that ends early keeps the names of the rounds before it.
#[test]
fn settings_of_one_run_are_separate_tests() {
    let [first, second] = ["flash_attn=0", "flash_attn=1"];
    let names = [first, second].map(|fa| [format!("pp128 {fa}"), format!("tg32 {fa}")]).concat();
    let tests = |results: &serde_json::Value| -> Vec<String> {
        let results = results.as_array().unwrap().iter();
        results.map(|it| it["test"].as_str().unwrap().to_owned()).collect()
    };
    let fleet = replaying(FLASH, "", "");
    let args = ["bench", "a", "--local", "--json", "--rounds=5", "--", "-fa", "0,1"];
    for is_second in [false, true] {
        let output = run(fleet.path(), &args);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let report = json(&output);
        assert_eq!(tests(&report["results"]), names);
        let speeds: Vec<f64> = report["results"].as_array().unwrap().iter().map(speed).collect();
        assert!((speeds[2] / speeds[0] - 2.0).abs() < 0.01, "{speeds:?}");
        assert_eq!(report["baseline"]["tests"].is_array(), is_second);
        if is_second {
            assert_eq!(tests(&report["baseline"]["tests"]), names);
            assert_eq!(report["baseline"]["verdict"], "same");
        }
    }
    let history = std::fs::read_to_string(fleet.path().join("bench/a.jsonl")).unwrap();
    let rows: Vec<serde_json::Value> =
        history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2 * 5 * 4);
    assert_eq!(
        rows.iter().flat_map(|row| tests(&row["results"])).take(4).collect::<Vec<_>>(),
        names
    );
    let reported = json(&run(fleet.path(), &["report", "--json"]));
    let setting = &reported["hosts"][0]["settings"][0];
    assert_eq!(tests(&setting["series"]), names);
    assert_eq!(setting["series"][2]["points"].as_array().unwrap().len(), 2);

    let first_of_four = FLASH.lines().next().unwrap();
    let script = format!("[ ! -e seen ] || {{ echo '{first_of_four}'; kill -KILL $$; }}; : >seen");
    let broken = replaying_after(&script, FLASH);
    let report = json(&run(broken.path(), &args));
    assert_eq!(report["findings"][0]["severity"], "error", "{report}");
    assert_eq!(tests(&report["results"]), names);
    assert_eq!(report["results"][0]["samples"].as_array().unwrap().len(), 10);
}

fn speed(result: &serde_json::Value) -> f64 {
    result["tokensPerSecond"].as_f64().unwrap()
}

#[test]
fn results_before_a_crash_are_reported() {
    let fleet = replaying(BROKEN, "kill -ILL $$", "");
    let output = run(fleet.path(), &["bench", "a", "--local", "--json"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["findings"][0]["code"], "illegal-instruction");
    assert_eq!(report["results"].as_array().unwrap().len(), 1);
    assert_eq!(report["ok"], false);
}

#[test]
fn a_cuda_variant_that_ran_on_the_cpu_is_an_error() {
    let fleet = replaying(NEW, "", "backends = [ \"cuda\" ];");
    let bench = |more: &[&str]| {
        let output = run(fleet.path(), &[&["bench", "a", "--local", "--json"], more].concat());
        assert_eq!(code(&output), 1, "{}", stderr(&output));
        (errors(&output), json(&output)["results"].as_array().unwrap().len())
    };
    // A machine with an NVIDIA GPU has no `no-such-gpu` error, but also detects the fallback.
    if !std::path::Path::new("/dev/nvidiactl").exists() {
        assert_eq!(bench(&[]), (vec!["no-such-gpu".to_owned()], 0));
    }
    assert_eq!(bench(&["--force"]), (vec!["device-fallback".to_owned()], 2));
}

/// llama.cpp opens a single device for both GPUs with `-sm tensor`.
#[test]
fn tensors_split_over_two_gpus_are_not_a_fallback() {
    let results = include_str!("../fixtures/llama-bench/new-sm-tensor.jsonl");
    let loading = include_str!("../fixtures/llama-bench/new-sm-tensor.stderr");
    let then = format!("cat >&2 <<'LOG'\n{loading}LOG");
    let fleet = replaying(results, &then, "backends = [ \"cuda\" ];");
    let args = ["bench", "a", "--local", "--json", "--force", "--rounds=1", "--", "-sm", "tensor"];
    let output = run(fleet.path(), &args);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["offload"]["devices"], serde_json::json!(["Meta(CUDA0,CUDA1)"]));
    assert_eq!(report["results"].as_array().unwrap().len(), 2);
}

#[test]
fn kv_cache_types_without_a_kernel_are_a_warning() {
    let kernels = "manifest.kvKernels = [ \"f16-f16\" \"q8_0-q8_0\" ];";
    let help = include_str!("../fixtures/llama-bench/new.help");
    let measured = replaying(NEW, "", kernels);
    let swept = replaying(help, "", kernels);
    for (fleet, args, expected) in [
        (&measured, vec!["--rounds=1", "--", "-ctk", "q8_0", "-ctv", "q4_0"], vec!["q4_0 (V)"]),
        (&measured, vec!["--rounds=1", "--", "-ctk", "q8_0", "-ctv", "q8_0"], vec![]),
        (&swept, vec!["--rounds=1", "--sweep=ctk=f16,q8_0"], vec!["f16 (V)"]),
    ] {
        let output = run(fleet.path(), &[&["bench", "a", "--local", "--json"][..], &args].concat());
        let report = json(&output);
        let findings = report["findings"].as_array().unwrap().iter();
        let warnings: Vec<&str> = findings
            .filter(|finding| finding["code"] == "kv-cache-types")
            .map(|finding| finding["message"].as_str().unwrap())
            .collect();
        assert_eq!(warnings.len(), expected.len(), "{args:?}: {report}");
        for (warning, types) in warnings.iter().zip(expected) {
            assert!(warning.contains("q8_0 (K)") && warning.contains(types), "{warning}");
        }
    }
}

#[test]
fn more_threads_than_cores_are_a_warning() {
    let fleet = replaying(NEW, "", "");
    for (threads, warns) in [("1", false), ("9999", true)] {
        let args = ["bench", "a", "--local", "--json", "--rounds=1", "--", "-t", threads];
        let report = json(&run(fleet.path(), &args));
        let mut findings = report["findings"].as_array().unwrap().iter();
        let warned = findings.any(|finding| finding["code"] == "too-many-threads");
        // Without the CPU topology in /sys there is no warning.
        let is_known = std::path::Path::new("/sys/devices/system/cpu/cpu0/topology").exists();
        assert_eq!(warned, warns && is_known, "{threads}: {report}");
    }
}

#[test]
fn a_failed_build_or_evaluation_is_a_finding() {
    let fleet = fleet(
        r#"a = host { script = "echo planted >&2; exit 1"; }; b = throw "gone"; c = host { };"#,
    );
    let bench = |host: &str| {
        let output = run(fleet.path(), &["bench", host, "--local", "--json"]);
        assert_eq!(code(&output), 1, "{}", stderr(&output));
        json(&output)["findings"][0]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(bench("a"), "not-built");
    assert_ne!(bench("b"), "");
    // It builds, but contains no llama-bench.
    assert_eq!(bench("c"), "no-llama-bench");
}

#[test]
fn an_invalid_target_is_an_error() {
    let fleet = replaying(NEW, "", "");
    let output = run(fleet.path(), &["bench", "a", "--target", "nobody.invalid", "--json"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert_eq!(json(&output)["findings"][0]["code"], "ssh-no-such-host");
    let output = run(fleet.path(), &["bench", "a", "--target=-oProxyCommand=touch owned"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("starts with a dash"), "{}", stderr(&output));
    assert!(!fleet.path().join("owned").exists());
    let output = run(fleet.path(), &["bench", "a"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("--target"), "{}", stderr(&output));
    let output = run(fleet.path(), &["bench", "aa"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("did you mean a?"), "{}", stderr(&output));
    let output = run(fleet.path(), &["bench", "a", "--local", "--prompt=0", "--generate=0"]);
    assert_eq!(code(&output), 2);
}

/// Runs `bench`, interrupts it once `sleep MARKER` runs, and returns the report.
fn interrupted(fleet: &Scratch, marker: &str) -> serde_json::Value {
    let mut command = xtask(fleet.path());
    command.args(["bench", "a", "--local", "--json", "--rounds=5"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The script is also an argument of its build.
    let is_sleep = |it: &String| it.split(' ').skip(1).eq(["sleep", marker]);
    let sleeping = || running(marker).iter().any(is_sleep);
    assert!(wait_for(Duration::from_secs(60), sleeping), "`sleep` never started");
    signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    assert!(!sleeping());
    let report = json(&output);
    assert_eq!(report["ok"], false, "{report}");
    assert_eq!(report["findings"][0]["code"], "interrupted", "{report}");
    report
}

#[test]
fn ctrl_c_ends_llama_bench_and_keeps_its_results() {
    let marker = format!("99{}", std::process::id());
    let fleet = replaying(BROKEN, &format!("exec sleep {marker}"), "");
    let report = interrupted(&fleet, &marker);
    assert_eq!(report["results"].as_array().unwrap().len(), 1);
}

/// Interrupts the measurement of the memory bandwidth, and the second run of the baseline.
#[test]
fn ctrl_c_after_the_measurement_keeps_all_results() {
    let faster = NEW.replace("\"samples_ts\": [ ", "\"samples_ts\": [ 99999.0, ");
    let bench = ["bench", "a", "--local", "--json", "--rounds=5"];
    for (place, number) in [("libexec/memory-bandwidth", 96), ("bin/llama-bench", 97)] {
        let marker = format!("{number}{}", std::process::id());
        let fleet = replaying(NEW, "", "");
        assert_eq!(code(&run(fleet.path(), &bench)), 0);
        let then = "[ $(wc -l <runs) -lt 6 ] || exec sleep ";
        let other = match place {
            "bin/llama-bench" => replaying_after(&format!("echo >>runs; {then}{marker}"), &faster),
            _ => replaying(&faster, "", ""),
        };
        let text = std::fs::read_to_string(other.path().join("flake.nix")).unwrap();
        let program = format!(
            "chmod +x $out/bin/llama-bench; mkdir $out/libexec; printf '#!/bin/sh\\nexec sleep \
             {marker}\\n' >$out/{place}; chmod +x $out/{place}"
        );
        let text = match place {
            "bin/llama-bench" => text,
            _ => text.replace("chmod +x $out/bin/llama-bench", &program),
        };
        fleet.write("flake.nix", &text);
        let report = interrupted(&fleet, &marker);
        assert_eq!(report["results"].as_array().unwrap().len(), 2, "{place}: {report}");
    }
}

/// A failed combination does not determine the estimate, and the next sweep tries it again.
#[test]
fn a_sweep_estimates_its_time_and_retries_failed_combinations() {
    let help = include_str!("../fixtures/llama-bench/new.help");
    let break_journal = "[ ! -e no-journal ] || [ -z \"$(ls ../home/sweeps)\" ] || \
                         { rm -r ../home/sweeps; : >../home/sweeps; }";
    let first = format!(
        "{break_journal}\ncase \"$*\" in *--help*) cat <<'HELP'\n{help}HELP\nexit;; *'-t 1'*) exit 1;; esac\n\
         [ ! -e fail ] || exit 1; sleep 1"
    );
    let fleet = replaying_after(&first, NEW);
    let sweep = |more: &[&str]| {
        let args = ["bench", "a", "--local", "--json", "--rounds=1", "--sweep=t=1,2"];
        run(fleet.path(), &[&args[..], more].concat())
    };
    let planned = json(&sweep(&["--dry-run"]));
    assert!(planned["sweep"]["estimatedSeconds"].as_f64() > Some(2.0), "{planned}");
    fleet.write("fail", "");
    let output = sweep(&[]);
    assert_eq!(json(&output)["findings"][0]["code"], "nothing-measured", "{}", stderr(&output));
    std::fs::remove_file(fleet.path().join("fail")).unwrap();
    let output = sweep(&["--env=GGML_NUMBER=1"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(json(&output)["env"][0], "GGML_NUMBER=1");
    let output = sweep(&[]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(json(&output)["sweep"]["best"], "t=2");
    // If the journal cannot be written, the results are still reported.
    fleet.write("no-journal", "");
    let output = sweep(&[]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert!(report["findings"].to_string().contains("not-recorded"), "{report}");
    assert_eq!(report["sweep"]["complete"], false, "{report}");
}
