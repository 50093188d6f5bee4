//! Tests of `bench` with a llama-bench that replays recordings.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::bench::comparison::Samples;
use crate::bench::measure::{Results, measure};
use crate::bench::measurement::Model;
use crate::bench::model::choice::describe;
use crate::bench::model::quantize::Quantization;
use crate::bench::model::smoke::{Size, SmokeModel};
use crate::bench::paired_run::{self, ComparisonTarget, PairedRun, Rounds};
use crate::bench::preflight::preflight;
use crate::bench::target_state::TargetState;
use crate::cli::Cli;
use crate::fleet::args::Global;
use crate::hardware::cpu::Cpu;
use crate::hardware::facts::Facts;
use crate::nix::names::{DrvPath, StorePath};
use crate::ui::Ui;

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/llama-bench");
const ZEN5: &str = include_str!("../../tests/fixtures/cpuinfo/zen5");

/// Returns a package whose llama-bench prints a recording and then runs the shell command `then`.
fn replay(recording: &str, then: &str) -> (TempDir, Subject) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bin/llama-bench");
    fs::create_dir(folder.path().join("bin")).unwrap();
    let script =
        format!("#!/bin/sh\n[ -z '{recording}' ] || cat '{RECORDINGS}/{recording}'\n{then}\n");
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let subject = in_folder(folder.path().to_str().unwrap());
    (folder, subject)
}

fn ui() -> Ui {
    use clap::Parser;
    let global: Global = Cli::parse_from(["xtask", "-q", "list"]).global;
    Ui::new(&global.output)
}

fn zen5() -> Machine {
    Machine {
        target: Target::Local,
        facts: Facts::new("carbon", Cpu::parse(ZEN5).unwrap()),
        state: TargetState::default(),
        env: vec![],
        log: None,
    }
}

fn subject(microarch: &str, cpu_options: &[&str]) -> Subject {
    let manifest = serde_json::json!({
        "variant": format!("cpu-{microarch}"), "backends": ["cpu"], "microarch": microarch,
        "system": "x86_64-linux", "cpuOptions": cpu_options, "cmakeFlags": [],
        "rev": null, "build": null,
    });
    Subject {
        host: HostName::new("carbon"),
        manifest: serde_json::from_value(manifest).unwrap(),
        drv_path: Some(DrvPath::new("/nix/store/x.drv")),
        store_path: StorePath::new("/nix/store/x"),
    }
}

fn in_folder(folder: &str) -> Subject {
    Subject { store_path: StorePath::new(folder), ..subject("znver5", &["GGML_AVX512"]) }
}

fn params() -> Params {
    Params {
        prompt: 128,
        generate: 32,
        repetitions: 5,
        rounds: 1,
        time_budget: Duration::MAX,
        timeout: Duration::from_secs(20),
        args: vec![],
    }
}

fn model() -> Model {
    describe(SmokeModel { size: Size::M29, quantization: Quantization::Q4_0 })
}

fn measured(subject: &Subject, params: &Params) -> BenchReport {
    let setup =
        Setup { ui: &ui(), machine: &zen5(), model: &model(), model_path: "m.gguf", params };
    measure(setup, subject, &mut Results::default()).unwrap()
}

fn codes(report: &BenchReport) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn impossible_numbers_are_rejected() {
    use clap::Parser;
    for (word, ok) in [
        ("--rounds=1000", true),
        ("--rounds=0", false),
        ("--rounds=4294967295", false),
        ("--repetitions=0", false),
    ] {
        assert_eq!(Cli::try_parse_from(["xtask", "bench", "a", word]).is_ok(), ok, "{word}");
    }
}

#[test]
fn options_that_would_have_no_effect_are_rejected() {
    use clap::Parser;
    for mode in ["--compare=upstream", "--sweep=t=1,2"] {
        for option in ["--save-baseline", "--verify", "--record=x"] {
            let words = ["xtask", "bench", "a", mode, option];
            assert!(Cli::try_parse_from(words).is_err(), "{words:?}");
        }
    }
}

#[test]
fn both_revisions_are_measured() {
    for recording in ["old.jsonl", "new.jsonl"] {
        let (_folder, subject) = replay(recording, "");
        let report = measured(&subject, &params());
        assert_eq!(codes(&report), [] as [&str; 0]);
        assert!(report.ok);
        assert_eq!(report.results.len(), 2);
        assert_eq!(report.device.as_deref(), Some("AMD EPYC"));
    }
}

#[test]
fn a_failed_run_keeps_its_results() {
    let broken = "new-killed-in-second-test.jsonl";
    let half = format!("head -c 300 '{RECORDINGS}/new.jsonl'; kill -KILL $$");
    let bad = format!("cat '{RECORDINGS}/new-bad-model.stderr' >&2; exit 1");
    for (recording, then, expected, results) in [
        (broken, "kill -ILL $$", vec!["illegal-instruction"], 1),
        (broken, "kill -KILL $$", vec!["out-of-memory"], 1),
        (broken, half.as_str(), vec!["out-of-memory", "truncated-line"], 1),
        (broken, "exec sleep 60", vec!["timeout"], 1),
        ("", bad.as_str(), vec!["bench-failed"], 0),
        ("", "echo 'no such option'", vec!["no-output"], 0),
    ] {
        let (_folder, subject) = replay(recording, then);
        let params = Params { timeout: Duration::from_secs(1), ..params() };
        let report = measured(&subject, &params);
        assert_eq!(codes(&report), expected, "{then}");
        assert_eq!(report.results.len(), results, "{then}");
        assert!(!report.ok);
    }
    assert_eq!(codes(&measured(&in_folder("/nonexistent"), &params())), ["no-llama-bench"]);
}

#[test]
fn a_build_for_another_cpu_is_rejected_before_it_is_copied() {
    let amx = subject("sapphirerapids", &["GGML_AVX512", "GGML_AMX_TILE", "GGML_AMX_INT8"]);
    let findings = preflight(&zen5(), &amx, &[], false);
    assert_eq!(findings[0].code, "cpu-lacks-features");
    assert!(findings[0].message.contains("AMX INT8, AMX tiles"), "{findings:?}");
    assert!(findings[0].help.contains("znver5"), "{findings:?}");
    assert_eq!(preflight(&zen5(), &subject("znver4", &["GGML_AVX512"]), &[], false), []);
    assert_eq!(preflight(&zen5(), &subject("dispatch", &[]), &[], false), []);
}

#[test]
fn a_comparison_stops_at_the_first_error_and_keeps_earlier_rounds() {
    let (_old, old) = replay("old.jsonl", "");
    let (_new, new) = replay("new.jsonl", "");
    let (_crashing, crashing) = replay("new-killed-in-second-test.jsonl", "kill -ILL $$");
    let compare = |targets: &[ComparisonTarget], rounds: Rounds| -> PairedRun {
        let (ui, machine, model, params) = (&ui(), &zen5(), &model(), &params());
        let setup = Setup { ui, machine, model, model_path: "m.gguf", params };
        paired_run::run(setup, targets, rounds).unwrap()
    };
    let twice = [ComparisonTarget::new("upstream", &old), ComparisonTarget::new("tuned", &new)];
    let compared = compare(&twice, Rounds::exactly(2, 1));
    assert_eq!(compared.finding, None);
    let standings = compared.standings(&twice);
    assert_eq!((standings.len(), standings[0].samples, standings[0].ratio), (4, 10, Some(1.0)));
    let mut enough = |round, samples: &[Samples]| round == 3 && samples[1].of("tg32").len() == 3;
    let compared = compare(&twice, Rounds { most: 9, seed: 1, enough: Some(&mut enough) });
    assert_eq!(compared.samples[0].of("pp128").len(), 3);
    // Whichever runs first, the device is the first target's.
    let renamed = format!("sed 's/AMD EPYC/BLAS/' '{RECORDINGS}/new.jsonl'");
    let (_renamed, renamed) = replay("", &renamed);
    let twice = [ComparisonTarget::new("tuned", &new), ComparisonTarget::new("blas", &renamed)];
    for seed in 0..4 {
        let compared = compare(&twice, Rounds::exactly(1, seed));
        assert_eq!(compared.device.as_deref(), Some("AMD EPYC"), "{seed}");
    }
    let broken =
        [ComparisonTarget::new("upstream", &old), ComparisonTarget::new("tuned", &crashing)];
    let compared = compare(&broken, Rounds::exactly(3, 1));
    assert!(compared.finding.as_ref().unwrap().message.starts_with("tuned: "));
    assert_eq!(compared.standings(&broken)[0].samples, 5);
}

/// Without `-v`, llama-bench prints only that it could not load the model.
#[test]
fn llama_bench_runs_again_with_v_to_explain_a_failure() {
    let then = "case \"$*\" in *' -v') echo 'cudaMalloc failed: out of memory' >&2;; esac\n\
                echo 'main: error: failed to load model' >&2; exit 1";
    let (_folder, subject) = replay("", then);
    let report = measured(&subject, &params());
    assert_eq!(codes(&report), ["out-of-memory"]);
    let message = &report.findings[0].message;
    let errors = "cudaMalloc failed: out of memory; main: error: failed to load model";
    assert!(message.ends_with(errors), "{message}");
}
