//! `build-all` on other machines, with real Nix: two stores behind an sshd on loopback. The
//! reported states match the store, also after a builder is lost.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::builders::{
    Builders, agrees_with_the_store, command_line, finish, running, skipped, spawn, try_signal,
    wait_for,
};
use crate::support::{Scratch, code, fleet, json, stderr, variant};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(120);

fn start(builders: &Builders, fleet: &Scratch, further: &[&str]) -> Child {
    spawn(
        builders
            .xtask(fleet.path())
            .args(["build-all", "--json", "--no-link"])
            .args(builders.both())
            .args(further),
    )
}

fn assert_nothing_runs(builders: &Builders, marker: &str) {
    let mut left = vec![];
    let gone = wait_for(Duration::from_secs(20), || {
        left = builders.remaining_processes();
        left.extend(running(marker));
        left.is_empty()
    });
    assert!(gone, "still running: {left:#?}");
}

fn is_built_by(builders: &Builders, name: &str, marker: &str) -> bool {
    builders.serving(name).iter().any(|pid| command_line(*pid).contains(marker))
}

#[test]
fn builds_are_spread_over_builders_and_copied_back() {
    if skipped() {
        return;
    }
    let builders = Builders::start();
    // Each takes three seconds, so that neither builder gets both.
    let fleet = fleet(
        r#"
        a = host { variant = "one"; script = "sleep 3; echo one > $out"; };
        b = host { variant = "two"; script = "sleep 3; echo two > $out"; };
        c = host { variant = "bad"; script = "echo 'x.c:3: error: planted' >&2; exit 7"; };
        d = host { variant = "needy"; needs = [ (package { name = "needed"; script = "echo n > $out"; }) ];
                   script = "cat $needs > $out"; };
        "#,
    );
    let output = finish(start(&builders, &fleet, &["--retry", "3"]), TIMEOUT);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    agrees_with_the_store(&report);
    let machines: BTreeSet<&str> = ["one", "two"]
        .iter()
        .map(|name| {
            assert_eq!(variant(&report, name)["state"], "built");
            variant(&report, name)["machine"].as_str().unwrap()
        })
        .collect();
    assert_eq!(machines, BTreeSet::from(["builder-one", "builder-two"]), "{report}");
    let out = variant(&report, "two")["outPath"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(out).unwrap(), "two\n");
    let there = |name: &str| builders.store(name).join(out.trim_start_matches('/')).is_file();
    assert!(there("one") != there("two"), "it was not built on exactly one builder");
    assert_eq!(variant(&report, "needy")["state"], "built");
    // A failed build is not retried, and its log is copied.
    let bad = variant(&report, "bad");
    assert_eq!(bad["state"], "failed");
    assert_eq!(bad["attempts"], Value::Null);
    assert!(bad["reason"].as_str().unwrap().starts_with("failed with exit code 7 on builder-"));
    assert!(bad["logTail"].to_string().contains("error: planted"), "{bad}");
    assert_nothing_runs(&builders, &format!("{}/store-", builders.dir.path().display()));
}

/// Runs `build-all` on two builders, kills all processes of one during its build, and returns the
/// report and the exit code.
fn lose_one_builder(further: &[&str]) -> (Value, i32) {
    let builders = Builders::start();
    // Long enough to be found and killed on a busy machine.
    let marker = format!("sleep 15.{}", std::process::id());
    let fleet = fleet(&format!(
        r#"
        a = host {{ variant = "one"; script = "{marker}; echo > $out"; }};
        b = host {{ variant = "two"; script = "{marker}; echo > $out"; }};
        "#
    ));
    let started = Instant::now();
    let child = start(&builders, &fleet, further);
    let both = || ["one", "two"].iter().all(|name| is_built_by(&builders, name, &marker));
    assert!(
        wait_for(TIMEOUT, both),
        "the builds do not start: {:?}",
        builders.remaining_processes()
    );
    for pid in builders.serving("one") {
        try_signal("KILL", pid);
    }
    let output = finish(child, TIMEOUT);
    assert!(started.elapsed() < TIMEOUT, "{:?}", started.elapsed());
    let report = json(&output);
    agrees_with_the_store(&report);
    assert_nothing_runs(&builders, &marker);
    (report, code(&output))
}

#[test]
fn a_lost_builder_fails_one_build() {
    if skipped() {
        return;
    }
    let (report, status) = lose_one_builder(&[]);
    assert_eq!(status, 1);
    let variants = report["variants"].as_array().unwrap();
    let failed: Vec<&Value> = variants.iter().filter(|v| v["state"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{report}");
    assert_eq!(failed[0]["machine"], "builder-one");
    let reason = failed[0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("the connection to builder-one was lost: "), "{reason}");
}

#[test]
fn retry_rebuilds_after_a_lost_builder() {
    if skipped() {
        return;
    }
    let (report, status) = lose_one_builder(&["--retry", "2"]);
    assert_eq!(status, 0, "{report}");
    let variants = report["variants"].as_array().unwrap();
    assert!(variants.iter().all(|variant| variant["state"] == "built"), "{report}");
    assert!(variants.iter().any(|variant| variant["attempts"] == 2), "{report}");
}

/// As after a power failure: the connection stays open, but there are no answers.
#[test]
fn an_unresponsive_builder_times_out() {
    if skipped() {
        return;
    }
    let builders = Builders::start();
    let marker = format!("sleep 5.{}", std::process::id());
    let fleet =
        fleet(&format!(r#"a = host {{ variant = "one"; script = "{marker}; echo > $out"; }};"#));
    let config = builders.dir.path().join("ssh_config");
    let child = builders
        .xtask(fleet.path())
        .args(["build-all", "--json", "--no-link", "--max-jobs", "0"])
        .args(["--builders", &builders.machine("one")])
        // By default, xtask waits for two minutes.
        .env(
            "NIX_SSHOPTS",
            format!("-F {} -o ServerAliveInterval=2 -o ServerAliveCountMax=2", config.display()),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(wait_for(TIMEOUT, || is_built_by(&builders, "one", &marker)));
    for pid in builders.serving("one") {
        try_signal("STOP", pid);
    }
    let output = finish(child, TIMEOUT);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    agrees_with_the_store(&report);
    let reason = variant(&report, "one")["reason"].as_str().unwrap();
    assert!(reason.starts_with("the connection to builder-one was lost"), "{reason}");
}

#[test]
fn a_build_that_hangs_on_a_builder_times_out_and_the_others_are_built() {
    if skipped() {
        return;
    }
    let builders = Builders::start();
    let marker = format!("sleep 9{}", std::process::id());
    let fleet = fleet(&format!(
        r#"
        a = host {{ variant = "hangs"; script = "echo hm; {marker}"; }};
        b = host {{ variant = "good"; script = "sleep 1; echo > $out"; }};
        c = host {{ variant = "needy"; needs = [ (package {{ name = "slow"; script = "sleep 4; echo > $out"; }}) ]; }};
        "#
    ));
    let output = finish(start(&builders, &fleet, &["--timeout", "5", "--retry", "1"]), TIMEOUT);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    agrees_with_the_store(&report);
    let hangs = variant(&report, "hangs");
    assert_eq!(hangs["state"], "failed", "{report}");
    assert_eq!(hangs["reason"], "timed out after 5 seconds", "{report}");
    assert_eq!(hangs["attempts"], Value::Null, "it was retried: {}", stderr(&output));
    assert_eq!(variant(&report, "good")["state"], "built", "{report}");
    assert_eq!(variant(&report, "needy")["state"], "built", "{report}");
    assert_nothing_runs(&builders, &marker);
}

#[test]
fn an_unreachable_builder_is_named() {
    if skipped() {
        return;
    }
    let mut builders = Builders::start();
    builders.stop_listening();
    let fleet = fleet(r#"a = host { variant = "one"; };"#);
    let output = finish(start(&builders, &fleet, &["--retry", "1"]), TIMEOUT);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    let one = variant(&report, "one");
    assert_eq!(one["state"], "failed", "{report}");
    assert_eq!(one["attempts"], 2, "{report}");
    let reason = one["reason"].as_str().unwrap();
    assert!(reason.starts_with("cannot build on builder-"), "{reason}");
    assert!(reason.contains("failed to start SSH connection"), "{reason}");
    assert!(!Path::new(&builders.store("one")).join("nix/store").exists());
}
