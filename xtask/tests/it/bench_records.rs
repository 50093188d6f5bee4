//! Results files, baselines, comparisons and locks of `bench`, on small fleets whose llama-bench
//! replays a recording at a speed that the test chooses.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::support::builders::wait_for;
use crate::support::{Scratch, code, fleet, json, kill, run, stderr, stdout, xtask};
use serde_json::Value;

const NEW: &str = include_str!("../fixtures/llama-bench/new.jsonl");

/// A host `a` of llama.cpp revision `rev`, whose llama-bench reports roughly `pp` tokens/s for
/// prompts and `tg` for generation, and runs `then` between the two tests.
fn host(rev: &str, pp: u32, tg: u32, then: &str) -> String {
    host_with_baseline("null", rev, pp, tg, then)
}

fn host_with_baseline(baseline: &str, rev: &str, pp: u32, tg: u32, then: &str) -> String {
    let prints = prints(pp, tg);
    format!(
        "a = host {{ variant = \"cpu-replay\"; manifest = {{ rev = \"{rev}\"; bench.baseline = {baseline}; }}; script = ''\n\
         mkdir -p $out/bin; cat >$out/bin/llama-bench <<'END'\n#!/bin/sh\n{}\n{then}\n{}\nEND\n\
         chmod +x $out/bin/llama-bench\n''; }};",
        prints[0], prints[1]
    )
}

/// Returns a shell command for each test that prints a result of this speed.
fn prints(pp: u32, tg: u32) -> Vec<String> {
    let pattern = NEW.lines().map(|line| {
        let (before, _) = line.split_once("\"avg_ts\"").unwrap();
        before.replace('\'', "").to_owned()
    });
    let print = |(before, speed): (String, u32)| {
        format!(
            "cat <<'JSON'\n{before}\"avg_ts\": {speed}.0, \"stddev_ts\": 1.0, \
             \"samples_ts\": [ {}.0, {speed}.0, {}.0 ]}}\nJSON",
            speed - speed / 200,
            speed / 2
        )
    };
    pattern.zip([pp, tg]).map(print).collect()
}

fn lines(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(dir.join("bench/a.jsonl")).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Replaces the fleet's host, which gives another build.
fn change(fleet: &Scratch, host: &str) {
    let other = crate::support::fleet(host);
    fs::copy(other.path().join("flake.nix"), fleet.path().join("flake.nix")).unwrap();
}

const BENCH: [&str; 5] = ["bench", "a", "--local", "--json", "--rounds=8"];

#[test]
fn every_test_of_every_round_is_recorded_and_listed() {
    let fleet = fleet(&host("aaaa", 1000, 200, ""));
    fleet.write("bench/a.jsonl", "{\"schema\":1,\"run\":\"half a li");
    let output = run(fleet.path(), &BENCH);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert!(report.get("baseline").is_none(), "{report}");
    assert_eq!(report["results"][0]["samples"].as_array().unwrap().len(), 24);
    assert!(report["record"].as_str().unwrap().ends_with("/bench/a.jsonl"));
    let rows = lines(fleet.path());
    assert_eq!(rows.len(), 16);
    assert_eq!(rows[15]["schema"], 1);
    assert_eq!(rows[15]["run"], rows[0]["run"]);
    assert_eq!(rows[15]["round"], 8);
    assert_eq!(rows[15]["results"][0]["test"], "tg32");
    assert_eq!(rows[15]["llamaCpp"]["rev"], "aaaa");
    assert_eq!(rows[15]["model"]["quantization"], "q4_0");
    assert_eq!(rows[15]["flags"].as_array().unwrap().len(), 0);
    // `list` and `report` print the same values as `bench`.
    let printed = ["list", "report"].map(|command| json(&run(fleet.path(), &[command, "--json"])));
    for (index, text) in [(0, "1000"), (1, "200.0")] {
        let speed = &report["results"][index]["tokensPerSecond"];
        let listed = &printed[0]["hosts"][0]["lastBench"]["results"][index];
        assert_eq!(listed["tokensPerSecond"], *speed);
        let series = &printed[1]["hosts"][0]["settings"][0]["series"][index];
        assert_eq!(series["points"][0]["tokensPerSecond"], *speed);
        for command in ["list", "report"] {
            let shown = stdout(&run(fleet.path(), &[command]));
            assert!(shown.contains(text), "{command}: {shown}");
        }
    }
}

#[test]
fn results_before_a_failure_are_recorded() {
    let fleet = fleet(&host("aaaa", 1000, 200, "kill -ILL $$"));
    let output = run(fleet.path(), &BENCH);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let rows = lines(fleet.path());
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["results"][0]["test"], "pp128");
}

#[test]
fn a_regression_is_found_by_running_both_builds_and_can_be_accepted() {
    let fleet = fleet(&host("aaaa", 1000, 200, ""));
    assert_eq!(code(&run(fleet.path(), &BENCH)), 0);
    // An unchanged build has the same speed.
    let output = run(fleet.path(), &BENCH);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["baseline"]["verdict"], "same");
    assert_eq!(report["baseline"]["rev"], "aaaa");
    assert_eq!(report["baseline"]["saved"], false);

    change(&fleet, &host("bbbb", 900, 200, ""));
    let output = run(fleet.path(), &BENCH);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    let baseline = &report["baseline"];
    assert_eq!(baseline["verdict"], "slower");
    assert_eq!(baseline["method"], "side-by-side");
    let turns = &baseline["turns"];
    assert!(turns["seed"].as_u64().is_some(), "{turns}");
    assert_eq!(turns["tests"][0]["new"].as_array().map(Vec::len), Some(8), "{turns}");
    assert!((baseline["changePercent"].as_f64().unwrap() + 10.0).abs() < 0.2, "{baseline}");
    assert_eq!(baseline["tests"][1]["verdict"], "same");
    let finding = &report["findings"][0];
    assert_eq!(finding["code"], "regression");
    let message = finding["message"].as_str().unwrap();
    assert!(message.contains("pp128 -10.0 %") && message.contains("bbbb"), "{message}");
    assert!(finding["help"].as_str().unwrap().contains("xtask bisect --good"), "{finding}");

    // Without a saved baseline the last result counts, which was as slow.
    assert_eq!(code(&run(fleet.path(), &BENCH)), 0);
    change(&fleet, &host("aaaa", 1000, 200, ""));
    let save = [&BENCH[..], &["--save-baseline"]].concat();
    assert_eq!(code(&run(fleet.path(), &save)), 0);
    assert!(fleet.path().join("bench/a.baseline.json").is_file());
    change(&fleet, &host("bbbb", 900, 200, ""));
    for _ in 0..2 {
        let output = run(fleet.path(), &BENCH);
        assert_eq!(code(&output), 1, "{}", stderr(&output));
        assert_eq!(json(&output)["baseline"]["saved"], true);
    }
    // The regression is accepted.
    let output = run(fleet.path(), &save);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let output = run(fleet.path(), &BENCH);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(json(&output)["baseline"]["rev"], "bbbb");
    let output = run(fleet.path(), &["bench", "a", "--local", "--rounds=8"]);
    assert!(stdout(&output).contains("no change"), "{}", stdout(&output));
    let output = run(fleet.path(), &["bench", "a", "--local", "--rounds=2"]);
    assert!(stdout(&output).contains("inconclusive"), "{}", stdout(&output));
    assert!(stderr(&output).contains("fewer than 8 rounds"), "{}", stderr(&output));
}

/// Anyone who can change the repository can write any path into a results file. Such a path does
/// not hide a regression either.
#[test]
fn paths_in_a_results_file_are_never_run() {
    let fleet = fleet(&host("aaaa", 1000, 200, ""));
    assert_eq!(code(&run(fleet.path(), &BENCH)), 0);
    let results = fs::read_to_string(fleet.path().join("bench/a.jsonl")).unwrap();
    let path = lines(fleet.path())[0]["storePath"].as_str().unwrap().to_owned();
    change(&fleet, &host("bbbb", 500, 200, ""));
    let ran = fleet.path().join("ran");
    let program = format!("#!/bin/sh\ntouch {}\n", ran.display());
    let (_, name) = path.rsplit_once('/').unwrap();
    for folder in ["data".to_owned(), format!("data/{name}"), format!("{}x", path)] {
        if !folder.starts_with('/') {
            fleet.write_program(&format!("{folder}/bin/llama-bench"), &program);
        }
        fleet.write("bench/a.jsonl", &results.replace(&path, &folder));
        let output = run(fleet.path(), &BENCH);
        assert_eq!(code(&output), 1, "{folder}: {}", stderr(&output));
        let report = json(&output);
        assert_eq!(report["baseline"]["method"], "stored", "{folder}");
        assert_eq!(report["findings"][0]["code"], "regression", "{folder}");
        assert!(!ran.exists(), "{folder} was run");
    }
    // A real build that is slower than the file says is reported.
    fleet.write("bench/a.jsonl", &results.replace("aaaa", "cccc"));
    change(&fleet, &host("dddd", 500, 200, "# other"));
    let slow = run(fleet.path(), &[&BENCH[..], &["--record=other"]].concat());
    let slow = json(&slow)["storePath"].as_str().unwrap().to_owned();
    fleet.write("bench/a.jsonl", &results.replace(&path, &slow));
    change(&fleet, &host("bbbb", 500, 200, ""));
    let report = json(&run(fleet.path(), &BENCH));
    assert_eq!(report["baseline"]["method"], "side-by-side", "{report}");
    assert_eq!(report["findings"][0]["code"], "machine-slower", "{report}");
}

/// SSH to the same machine would only need a key in addition.
#[test]
fn this_machine_is_measured_without_ssh() {
    let fleet = fleet(&host("aaaa", 1000, 200, ""));
    let flake = fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let table = |target: &str| {
        let entry = format!("fleet.a = {{ system = \"x86_64-linux\"; target = \"{target}\"; }};");
        flake.replace("fleet = { };", &entry)
    };
    fleet.write("flake.nix", &table(&format!("someone@{}", name.trim())));
    let output = run(fleet.path(), &["bench", "a", "--json", "--rounds=1"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(json(&output)["target"], "local");
    assert!(stderr(&output).contains("a is this machine"), "{}", stderr(&output));
    fleet.write("flake.nix", &table("ssh://nobody.invalid:2222"));
    let output = run(fleet.path(), &["bench", "a", "--json"]);
    assert_eq!(json(&output)["findings"][0]["code"], "ssh-no-such-host");
}

#[test]
fn an_incomplete_run_is_not_a_baseline() {
    let fleet = fleet(&host("aaaa", 1000, 200, ""));
    assert_eq!(code(&run(fleet.path(), &BENCH)), 0);
    // This run ends after its first test, whose speed is recorded.
    change(&fleet, &host("bbbb", 500, 200, "exit 1"));
    assert_eq!(code(&run(fleet.path(), &BENCH)), 1);
    change(&fleet, &host("cccc", 1000, 200, ""));
    let output = run(fleet.path(), &BENCH);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(json(&output)["baseline"]["rev"], "aaaa");
    // Only the last build is a GC root.
    let links = fs::read_dir(fleet.home().join("roots/bench")).unwrap();
    let links: Vec<_> = links.map(|link| fs::read_link(link.unwrap().path()).unwrap()).collect();
    assert_eq!(links.len(), 1, "{links:?}");
    assert_eq!(links[0].to_str(), json(&output)["storePath"].as_str());
}

#[test]
fn a_result_is_compared_only_with_runs_of_the_same_settings() {
    let fleet = fleet(&host("aaaa", 1000, 200, ""));
    assert_eq!(code(&run(fleet.path(), &BENCH)), 0);
    let output = run(fleet.path(), &[&BENCH[..], &["--", "-fa", "1"]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(json(&output).get("baseline").is_none());
    assert!(stderr(&output).contains("no complete earlier run of a is"), "{}", stderr(&output));
    assert_eq!(lines(fleet.path())[16]["flags"][0], "-fa");
    let output = run(fleet.path(), &[&BENCH[..], &["--env=CUDA_VISIBLE_DEVICES=1"]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(json(&output).get("baseline").is_none());
    // The file is committed, so it has a hash of the value, which may be a secret.
    let env = lines(fleet.path())[32]["env"][0].as_str().unwrap().to_owned();
    assert!(env.starts_with("CUDA_VISIBLE_DEVICES=#"), "{env}");
    let other = run(fleet.path(), &[&BENCH[..], &["--env=CUDA_VISIBLE_DEVICES=2"]].concat());
    assert!(json(&other).get("baseline").is_none());
    assert_ne!(lines(fleet.path())[48]["env"][0], *env);
}

#[test]
fn results_that_cannot_be_written_are_still_printed() {
    let fleet = fleet(&host("aaaa", 1000, 200, ""));
    let output = run(fleet.path(), &[&BENCH[..], &["--record=/proc/self"]].concat());
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["results"].as_array().unwrap().len(), 2);
    assert_eq!(report["findings"][0]["code"], "not-recorded");
    assert!(report["findings"][0]["message"].as_str().unwrap().contains("/proc/self/a.jsonl"));
    // The same holds if the baseline cannot be written.
    std::os::unix::fs::symlink("/proc/self", fleet.path().join("unwritable")).unwrap();
    change(&fleet, &host_with_baseline("\"unwritable/a.json\"", "aaaa", 1000, 200, ""));
    let output = run(fleet.path(), &[&BENCH[..], &["--save-baseline"]].concat());
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["results"].as_array().unwrap().len(), 2);
    assert_eq!(report["findings"][0]["code"], "not-recorded");
}

#[test]
fn the_baseline_file_is_an_option_and_stays_inside_the_flake() {
    let chosen = |file: &str| host_with_baseline(&format!("\"{file}\""), "aaaa", 1000, 200, "");
    let fleet = fleet(&chosen("good/a.json"));
    let save = [&BENCH[..], &["--save-baseline"]].concat();
    // A result of the testbed is never the fleet's baseline.
    for (more, is_written) in [("--testbed", false), ("--quiet", true)] {
        assert_eq!(code(&run(fleet.path(), &[&save[..], &[more]].concat())), 0);
        assert_eq!(fleet.path().join("good/a.json").is_file(), is_written);
    }
    change(&fleet, &chosen("../outside.json"));
    let output = run(fleet.path(), &save);
    assert_eq!(code(&output), 1);
    assert_eq!(json(&output)["findings"][0]["code"], "baseline-outside");
}

#[test]
fn an_invalid_baseline_file_is_an_error_before_the_measurement() {
    let fleet = fleet(&host("aaaa", 1000, 200, ""));
    fleet.write("bench/a.baseline.json", "<<<<<<< HEAD\n");
    let output = run(fleet.path(), &BENCH);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("a.baseline.json is not a baseline"), "{}", stderr(&output));
    assert!(!fleet.path().join("bench/a.jsonl").exists());
}

#[test]
fn concurrent_runs_are_refused_and_a_killed_run_leaves_no_lock() {
    let files = Scratch::new();
    let pid = files.path().join("pid");
    let then = format!("echo $$ >{}; exec sleep 600", pid.display());
    let fleet = fleet(&host("aaaa", 1000, 200, &then));
    let lock = fleet.home().join("locks/bench-local.lock");
    let mut first = xtask(fleet.path())
        .args(BENCH)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_recorded = || fleet.path().join("bench/a.jsonl").is_file();
    assert!(wait_for(Duration::from_secs(120), is_recorded), "nothing was measured");
    let holder = fs::read_to_string(&lock).unwrap();
    assert!(holder.contains(&first.id().to_string()), "{holder}");
    let output = run(fleet.path(), &BENCH);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let finding = &json(&output)["findings"][0];
    assert_eq!(finding["code"], "busy");
    let message = finding["message"].as_str().unwrap();
    assert!(message.contains(&format!("process {}", first.id())), "{message}");

    change(&fleet, &host("aaaa", 1000, 200, ""));
    first.kill().unwrap();
    assert_eq!(first.wait().unwrap().signal(), Some(9));
    let sleeper = fs::read_to_string(&pid).unwrap();
    assert!(kill(sleeper.trim()));
    let output = run(fleet.path(), &BENCH);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn a_comparison_prints_each_ratio_and_interval() {
    let slow =
        host("aaaa", 500, 200, "").replace("a = host", "b = host").replace("cpu-replay", "slow");
    let fleet = fleet(&(host("aaaa", 1000, 200, "") + &slow));
    let compare = |names: &str| {
        let args =
            ["bench", "a", "--local", "--json", "--rounds=8", "--seed=3", "--compare", names];
        run(fleet.path(), &args)
    };
    // A host, and another host's variant.
    let output = compare("a,slow");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["seed"], 3);
    assert_eq!(report["subjects"][1]["variant"], "slow");
    let standings = report["standings"].as_array().unwrap();
    let actual: Vec<_> = standings
        .iter()
        .map(|s| (s["label"].as_str().unwrap(), s["test"].as_str().unwrap(), s["ratio"].as_f64()))
        .collect();
    assert_eq!(
        actual,
        [
            ("a", "pp128", Some(1.0)),
            ("slow", "pp128", Some(0.5)),
            ("a", "tg32", Some(1.0)),
            ("slow", "tg32", Some(1.0)),
        ]
    );
    assert_eq!(standings[1]["interval"], serde_json::json!([0.5, 0.5]));
    assert_eq!(standings[1]["samples"], 24);
    let args = ["bench", "--compare", "a,slow", "a", "--local", "--rounds=8"];
    let shown = stdout(&run(fleet.path(), &args));
    for part in [
        "29 M parameters, 15.9 MiB), AMD EPYC, 2 threads",
        "  slow: slow, llama.cpp aaaa",
        "slow is 0.50 times as fast as a at prompts, 99 % interval 0.50 to 0.50",
        "slow is as fast as a at generation, 99 % interval 1.00 to 1.00",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // A path on the target, such as a build outside Nix.
    let manual = fleet.path().join("manual");
    fleet.write_program(
        "manual/bin/llama-bench",
        &format!("#!/bin/sh\n{}\n", prints(2000, 100).join("\n")),
    );
    let path = manual.to_str().unwrap();
    for named in [path, &format!("{path}/bin/llama-bench")] {
        let report = json(&compare(&format!("a,{named}")));
        assert_eq!(report["subjects"][1]["storePath"], path);
        assert_eq!(report["standings"][1]["ratio"], 2.0, "{report}");
        assert_eq!(report["standings"][3]["ratio"], 0.5, "{report}");
    }
    let output = compare(&format!("a,{path}/elsewhere"));
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_eq!(json(&output)["findings"][0]["code"], "no-llama-bench", "{}", stdout(&output));
    // An unknown name is an error that lists the known ones; a comparison records nothing.
    let output = compare("a,slwo");
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("cpu-replay, slow"), "{}", stderr(&output));
    let output = compare("rev=5ad058a");
    assert_ne!(code(&output), 0, "{}", stderr(&output));
    assert!(!fleet.path().join("bench").exists());
}
