//! `bench --sweep` with the testbed's real llama-bench; each test has its own xtask folder.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::support::builders::{signal, spawn, wait_for};
use crate::support::{Scratch, code, json, repository, stderr, stdout, xtask};
use serde_json::Value;

fn bench(home: &Scratch, args: &[&str]) -> Command {
    let mut command = xtask(repository());
    command.env("LLAMAFLEET_HOME", home.home());
    command.args(["bench", "local", "--json", "--repetitions=1", "--prompt=16", "--generate=4"]);
    command.args(args);
    command
}

fn sweep(home: &Scratch, args: &[&str]) -> Output {
    bench(home, args).output().unwrap()
}

fn journals(home: &Scratch) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(home.home().join("sweeps")) else { return vec![] };
    folder.map(|entry| entry.unwrap().path()).collect()
}

fn lines(home: &Scratch) -> usize {
    journals(home).iter().map(|file| fs::read_to_string(file).unwrap().lines().count()).sum()
}

fn configuration<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all = report["sweep"]["configurations"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{report}"))
}

#[test]
fn every_combination_is_a_row_even_if_it_fails() {
    let home = Scratch::new();
    for revision in ["--testbed=old", "--testbed=new"] {
        let args = [revision, "--sweep", "t=1,2", "--sweep=--cache-type-k=f16,zz", "--rounds=2"];
        let output = sweep(&home, &args);
        assert_eq!(code(&output), 0, "{revision}: {}", stderr(&output));
        let report = json(&output);
        assert_eq!(report["sweep"]["complete"], true);
        assert_eq!(report["sweep"]["configurations"].as_array().unwrap().len(), 4);
        for threads in ["1", "2"] {
            let ok = configuration(&report, &format!("t={threads} cache-type-k=f16"));
            assert_eq!(ok["state"], "measured");
            assert_eq!(ok["args"], serde_json::json!(["-t", threads, "-ctk", "f16"]));
            let tests: Vec<&str> = ok["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(|result| result["test"].as_str().unwrap())
                .collect();
            assert_eq!(tests, ["pp16", "tg4"]);
            assert_eq!(ok["results"][0]["samples"].as_array().unwrap().len(), 2);
            let broken = configuration(&report, &format!("t={threads} cache-type-k=zz"));
            assert_eq!((&broken["state"], &broken["rounds"]), (&"failed".into(), &0.into()));
            let reason = broken["reason"].as_str().unwrap();
            assert!(reason.contains("invalid parameter for argument: -ctk"), "{reason}");
        }
        let best = report["sweep"]["best"].as_str().unwrap();
        assert!(best.ends_with("cache-type-k=f16"), "{best}");
        let tied = report["sweep"]["withinNoise"].as_array().unwrap();
        assert!(tied.iter().any(|name| name == best));
        assert!(!report["sweep"]["frontier"].as_array().unwrap().is_empty());
        let nix = report["sweep"]["nix"]["bench"].as_str().unwrap();
        assert!(nix.starts_with("programs.llama-cpp.bench.args = [ \"-t\" "), "{nix}");
        assert_eq!(report["results"][0]["samples"].as_array().unwrap().len(), 2);
        assert_eq!(journals(&home), [] as [PathBuf; 0], "a finished sweep leaves no journal");
    }
}

#[test]
fn a_sweep_keeps_to_its_budget() {
    let home = Scratch::new();
    let args = ["--testbed", "--sweep=t=1,2", "--sweep=ub=8,16,32", "--budget=20s"];
    let output = sweep(&home, &args);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert!(report["sweep"]["seconds"].as_f64().unwrap() < 40.0, "{report}");
    assert!(report["sweep"]["best"].is_string());
}

#[test]
fn unsupported_parameters_are_rejected_before_measuring() {
    let home = Scratch::new();
    let finding = |args: &[&str]| {
        let output = sweep(&home, args);
        assert_eq!(code(&output), 1, "{args:?}: {}", stderr(&output));
        let report = json(&output);
        assert_eq!(report["results"], serde_json::json!([]), "{args:?}");
        assert_eq!(journals(&home), [] as [PathBuf; 0]);
        report["findings"][0]["code"].as_str().unwrap().to_owned()
    };
    // The new revision no longer has -mmp, and the old one does not have --repack yet.
    assert_eq!(finding(&["--testbed=new", "--sweep", "mmp=0,1"]), "unknown-parameter");
    assert_eq!(finding(&["--testbed=old", "--sweep", "repack=0,1"]), "unknown-parameter");
    assert_eq!(finding(&["--testbed", "--sweep", "p=1,2"]), "no-parameter");
    assert_eq!(
        finding(&["--testbed", "--sweep", "t=1", "--sweep", "threads=2"]),
        "parameter-twice"
    );
    for wrong in ["t", "t=", "=1", "t=2..1", "t=1..9999999"] {
        let output = sweep(&home, &["--testbed", "--sweep", wrong]);
        assert_eq!(code(&output), 2, "{wrong}");
        assert!(stderr(&output).contains("--sweep"), "{}", stderr(&output));
    }
    let large = ["--testbed", "--sweep", "t=1..100", "--sweep", "ub=1..100"];
    let output = sweep(&home, &large);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("10000 combinations"), "{}", stderr(&output));
    let output = sweep(&home, &["--testbed", "--budget=1m"]);
    assert_eq!(code(&output), 2);
}

#[test]
fn a_dry_run_estimates_the_duration() {
    let home = Scratch::new();
    let output = sweep(&home, &["--testbed", "--sweep=t=1..2", "--sweep=ub=8..24", "--dry-run"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("34 configurations, 10 rounds"), "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["sweep"]["configurations"].as_array().unwrap().len(), 34);
    assert!(report["sweep"]["estimatedSeconds"].as_f64().unwrap() > 0.0);
    assert_eq!(journals(&home), [] as [PathBuf; 0]);
    let mut command = xtask(repository());
    command.args(["bench", "local", "--testbed", "--sweep=t=1,2", "--goal=prompt", "--prompt=0"]);
    let output = command.env("LLAMAFLEET_HOME", home.home()).output().unwrap();
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(stderr(&output).contains("--goal leaves no test"), "{}", stderr(&output));
    // A grid that is too large for the budget on any machine is rejected.
    let args = ["--testbed", "--sweep=t=1,2", "--sweep=ub=1..2000", "--budget=1s"];
    let output = sweep(&home, &args);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_eq!(json(&output)["findings"][0]["code"], "sweep-too-large");
}

#[test]
fn hostile_values_reach_llama_bench_unchanged_and_no_shell() {
    let home = Scratch::new();
    let owned = home.path().join("owned");
    let hostile = [
        format!("$(touch {})", owned.display()),
        format!("'; touch {}; '", owned.display()),
        "\"two words\"".to_owned(),
        "--help".to_owned(),
        "-1".to_owned(),
        "${x}`id`\\".to_owned(),
    ];
    let args = format!("ctk=f16,{}", hostile.join(","));
    let output = sweep(&home, &["--testbed", "--sweep", &args, "--rounds=1"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(!owned.exists());
    let report = json(&output);
    for value in &hostile {
        let one = configuration(&report, &format!("ctk={value}"));
        assert_eq!(one["args"], serde_json::json!(["-ctk", value]));
        assert_eq!(one["state"], "failed", "{one}");
    }
    assert_eq!(report["sweep"]["best"], "ctk=f16");
}

/// Waits until the journal has `count` lines.
fn wait_for_lines(home: &Scratch, count: usize) {
    let reached = wait_for(Duration::from_secs(240), || lines(home) >= count);
    assert!(reached, "{} lines", lines(home));
}

#[test]
fn a_sweep_resumes_after_kill_9_and_a_truncated_journal() {
    let home = Scratch::new();
    let args = ["--testbed", "--sweep=t=1,2", "--rounds=40"];
    let mut child =
        bench(&home, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_lines(&home, 5);
    child.kill().unwrap();
    child.wait().unwrap();
    let file = journals(&home).remove(0);
    let text = fs::read_to_string(&file).unwrap();
    let kept = text.lines().count() - 1;
    // `--dry-run --fresh` does not delete the journal.
    let args = ["--testbed", "--sweep=t=1,2", "--rounds=40", "--dry-run", "--fresh"];
    assert_eq!(code(&sweep(&home, &args)), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    // Half a line, as a power cut may leave it.
    fs::write(&file, format!("{text}{{\"point\":0,\"rou")).unwrap();
    let rounds = (kept / 2 + 2).to_string();
    let args = ["--testbed", "--sweep=t=1,2", &format!("--rounds={rounds}")];
    let output = sweep(&home, &args);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(
        stderr(&output).contains(&format!("resuming after {kept} runs")),
        "{}",
        stderr(&output)
    );
    let report = json(&output);
    for threads in ["t=1", "t=2"] {
        let samples = &configuration(&report, threads)["results"][0]["samples"];
        assert_eq!(samples.as_array().unwrap().len(), kept / 2 + 2, "{report}");
    }
    assert_eq!(journals(&home), [] as [PathBuf; 0]);
}

#[test]
fn ctrl_c_keeps_and_reports_the_results_so_far() {
    let home = Scratch::new();
    let args = ["--testbed", "--sweep=t=1,2", "--rounds=400"];
    let child = spawn(&mut bench(&home, &args));
    wait_for_lines(&home, 4);
    signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    assert!(stdout(&output).contains("\"complete\": false"));
    let report = json(&output);
    assert_eq!(report["findings"][0]["code"], "interrupted");
    assert!(report["sweep"]["best"].is_string(), "{report}");
    assert_eq!(journals(&home).len(), 1);
}
