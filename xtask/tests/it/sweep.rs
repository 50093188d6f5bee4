//! `bench --sweep` with the real llama-bench of the testbed, in an xtask folder of its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Scratch, code, json, repository, stderr, stdout, xtask};
use serde_json::Value;

fn bench(home: &Scratch, words: &[&str]) -> Command {
    let mut command = xtask(repository());
    command.env("LLAMAFLEET_HOME", home.home());
    command.args(["bench", "local", "--json", "--repetitions=1", "--prompt=16", "--generate=4"]);
    command.args(words);
    command
}

fn sweep(home: &Scratch, words: &[&str]) -> Output {
    bench(home, words).output().unwrap()
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
fn a_grid_is_measured_and_a_configuration_that_fails_is_a_row() {
    let home = Scratch::new();
    for revision in ["--testbed=old", "--testbed=new"] {
        let words = [revision, "--sweep", "t=1,2", "--sweep=--cache-type-k=f16,zz", "--rounds=2"];
        let output = sweep(&home, &words);
        assert_eq!(code(&output), 0, "{revision}: {}", stderr(&output));
        let report = json(&output);
        assert_eq!(report["sweep"]["complete"], true);
        assert_eq!(report["sweep"]["configurations"].as_array().unwrap().len(), 4);
        for threads in ["1", "2"] {
            let well = configuration(&report, &format!("t={threads} cache-type-k=f16"));
            assert_eq!(well["state"], "measured");
            assert_eq!(well["args"], serde_json::json!(["-t", threads, "-ctk", "f16"]));
            let tests: Vec<&str> = well["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(|result| result["test"].as_str().unwrap())
                .collect();
            assert_eq!(tests, ["pp16", "tg4"]);
            assert_eq!(well["results"][0]["samples"].as_array().unwrap().len(), 2);
            let broken = configuration(&report, &format!("t={threads} cache-type-k=zz"));
            assert_eq!((&broken["state"], &broken["rounds"]), (&"failed".into(), &0.into()));
            let reason = broken["reason"].as_str().unwrap();
            assert!(reason.contains("invalid parameter for argument: -ctk"), "{reason}");
        }
        let best = report["sweep"]["best"].as_str().unwrap();
        assert!(best.ends_with("cache-type-k=f16"), "{best}");
        let near = report["sweep"]["withinNoise"].as_array().unwrap();
        assert!(near.iter().any(|name| name == best));
        assert!(!report["sweep"]["frontier"].as_array().unwrap().is_empty());
        let nix = report["sweep"]["nix"]["bench"].as_str().unwrap();
        assert!(nix.starts_with("programs.llama-cpp.bench.args = [ \"-t\" "), "{nix}");
        assert_eq!(report["results"][0]["samples"].as_array().unwrap().len(), 2);
        assert_eq!(journals(&home), [] as [PathBuf; 0], "a sweep that ended leaves no journal");
    }
}

#[test]
fn a_sweep_under_a_budget_ends_in_time() {
    let home = Scratch::new();
    let words = ["--testbed", "--sweep=t=1,2", "--sweep=ub=8,16,32", "--budget=20s"];
    let output = sweep(&home, &words);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert!(report["sweep"]["seconds"].as_f64().unwrap() < 40.0, "{report}");
    assert!(report["sweep"]["best"].is_string());
}

#[test]
fn what_llama_bench_does_not_take_is_refused_before_anything_is_measured() {
    let home = Scratch::new();
    let finding = |words: &[&str]| {
        let output = sweep(&home, words);
        assert_eq!(code(&output), 1, "{words:?}: {}", stderr(&output));
        let report = json(&output);
        assert_eq!(report["results"], serde_json::json!([]), "{words:?}");
        assert_eq!(journals(&home), [] as [PathBuf; 0]);
        report["findings"][0]["code"].as_str().unwrap().to_owned()
    };
    // Old enough to have -mmp, and too old for --repack.
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
fn a_dry_run_tells_how_long_it_would_take() {
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
    // What cannot be reached is not begun, however fast the machine.
    let words = ["--testbed", "--sweep=t=1,2", "--sweep=ub=1..2000", "--budget=1s"];
    let output = sweep(&home, &words);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_eq!(json(&output)["findings"][0]["code"], "sweep-too-large");
}

#[test]
fn hostile_values_reach_llama_bench_as_they_are_and_no_shell() {
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
    let words = format!("ctk=f16,{}", hostile.join(","));
    let output = sweep(&home, &["--testbed", "--sweep", &words, "--rounds=1"]);
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

/// Waits until the journal has so many lines.
fn until(home: &Scratch, many: usize) {
    let began = Instant::now();
    while lines(home) < many {
        assert!(began.elapsed() < Duration::from_secs(240), "{} lines", lines(home));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_sweep_goes_on_after_kill_9_and_with_a_torn_journal() {
    let home = Scratch::new();
    let words = ["--testbed", "--sweep=t=1,2", "--rounds=40"];
    let mut child =
        bench(&home, &words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(&home, 5);
    child.kill().unwrap();
    child.wait().unwrap();
    let file = journals(&home).remove(0);
    let text = fs::read_to_string(&file).unwrap();
    let kept = text.lines().count() - 1;
    // Nor does a dry run of a fresh one cost what is measured.
    let words = ["--testbed", "--sweep=t=1,2", "--rounds=40", "--dry-run", "--fresh"];
    assert_eq!(code(&sweep(&home, &words)), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    // As the power cut would have left it.
    fs::write(&file, format!("{text}{{\"point\":0,\"rou")).unwrap();
    let rounds = (kept / 2 + 2).to_string();
    let words = ["--testbed", "--sweep=t=1,2", &format!("--rounds={rounds}")];
    let output = sweep(&home, &words);
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
fn ctrl_c_keeps_and_shows_what_was_measured() {
    let home = Scratch::new();
    let words = ["--testbed", "--sweep=t=1,2", "--rounds=400"];
    let child = bench(&home, &words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(&home, 4);
    let kill = ["-INT".to_owned(), child.id().to_string()];
    assert!(Command::new("kill").args(kill).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    assert!(stdout(&output).contains("\"complete\": false"));
    let report = json(&output);
    assert_eq!(report["findings"][0]["code"], "interrupted");
    assert!(report["sweep"]["best"].is_string(), "{report}");
    assert_eq!(journals(&home).len(), 1);
}
