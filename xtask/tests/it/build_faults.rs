//! Faults while `build-all` builds with real Nix: kills, hangs, huge logs, full disks, a concurrent
//! `build-all`. Afterwards no process is left running.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::support::builders::{
    agrees_with_the_store, command_line, finish, parent_of, processes_below, running, signal,
    spawn, try_signal, wait_for,
};
use crate::support::{
    Scratch, XTASK, code, contained, fleet, fleet_with, json, nix, output_and_peak, run, skip,
    stderr, stdout, variant, xtask,
};
use serde_json::Value;

/// Generous, for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

fn start(fleet: &Scratch, further: &[&str]) -> Child {
    spawn(
        xtask(fleet.path())
            .args(["build-all", "--json", "--no-link", "--max-jobs", "2"])
            .args(further),
    )
}

fn assert_nothing_runs(marker: &str) {
    let mut left = vec![];
    let gone = wait_for(Duration::from_secs(20), || {
        left = running(marker);
        left.is_empty()
    });
    assert!(gone, "still running: {left:#?}");
}

/// A `sleep` command that identifies this test in the process table.
fn marker(test: u32) -> String {
    format!("sleep {test}{}", std::process::id())
}

/// A fleet with a quick variant, and a slow one whose builder runs `marker` as a child process.
fn quick_and_slow(marker: &str) -> Scratch {
    fleet(&format!(
        r#"
        a = host {{ variant = "quick"; }};
        b = host {{ variant = "slow"; script = "{marker}; echo > $out"; }};
        "#
    ))
}

fn wait_for_build(marker: &str) {
    let is_building = || running(marker).iter().any(|line| line.ends_with(marker));
    assert!(wait_for(TIMEOUT, is_building), "the build does not start");
}

/// The process id of this xtask's `nix build`.
fn nix_of(xtask: &Child) -> u32 {
    let children = processes_below(xtask.id());
    let building = |pid: &u32| {
        parent_of(*pid) == Some(xtask.id()) && command_line(*pid).contains(" build --no-link")
    };
    children.into_iter().find(building).unwrap()
}

#[test]
fn a_killed_nix_leaves_no_builder_running() {
    let marker = marker(71);
    let fleet = quick_and_slow(&marker);
    let child = start(&fleet, &[]);
    wait_for_build(&marker);
    signal("KILL", nix_of(&child));
    let output = finish(child, TIMEOUT);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    agrees_with_the_store(&report);
    let slow = variant(&report, "slow");
    assert_eq!(slow["state"], "failed");
    assert_eq!(slow["reason"], "Nix itself was killed by signal 9 while it built");
    assert_nothing_runs(&marker);
}

#[test]
fn a_killed_builder_fails_only_its_build() {
    let marker = marker(72);
    let fleet = quick_and_slow(&marker);
    let child = start(&fleet, &["--retry", "2"]);
    wait_for_build(&marker);
    // All processes: one that is left would hold the build's output open, and Nix would wait.
    for pid in processes_below(nix_of(&child)) {
        try_signal("KILL", pid);
    }
    let output = finish(child, TIMEOUT);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    agrees_with_the_store(&report);
    assert_eq!(variant(&report, "quick")["state"], "built");
    let slow = variant(&report, "slow");
    assert_eq!(slow["reason"], "failed due to signal 9 (Killed)", "{slow}");
    assert_eq!(slow["attempts"], Value::Null, "{slow}");
}

#[test]
fn a_run_after_a_kill_succeeds() {
    let name = marker(73);
    let files = Scratch::new();
    let go = files.path().join("go");
    let fleet = fleet(&format!(
        r#"
        a = host {{ variant = "quick"; }};
        b = host {{ variant = "slow"; script = "test -e {} || {name}; echo > $out"; }};
        "#,
        go.display()
    ));
    let mut child = start(&fleet, &[]);
    wait_for_build(&name);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_nothing_runs(&name);
    fs::write(&go, "").unwrap();
    let started = Instant::now();
    let output = finish(start(&fleet, &[]), TIMEOUT);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(started.elapsed() < TIMEOUT);
    let report = json(&output);
    agrees_with_the_store(&report);
    assert_eq!(variant(&report, "slow")["state"], "built");
}

#[test]
fn a_second_ctrl_c_kills_the_builder() {
    let name = marker(74);
    // It ignores the signals TERM and INT.
    let fleet = fleet(&format!(
        r#"a = host {{ variant = "stubborn"; script = "trap : TERM INT; while :; do {name}; done"; }};"#
    ));
    let child = start(&fleet, &[]);
    wait_for_build(&name);
    let started = Instant::now();
    for _ in 0..2 {
        signal("INT", child.id());
        std::thread::sleep(Duration::from_millis(300));
    }
    let output = finish(child, TIMEOUT);
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert_eq!(variant(&json(&output), "stubborn")["state"], "interrupted");
    assert_nothing_runs(&name);
}

#[test]
fn a_build_that_hangs_times_out_and_the_others_are_built() {
    let name = marker(75);
    let fleet = fleet(&format!(
        r#"
        a = host {{ variant = "hangs"; script = "echo hm; {name}"; }};
        b = host {{ variant = "good"; script = "sleep 1; echo > $out"; }};
        c = host {{ variant = "needy"; needs = [ (package {{ name = "stuck"; script = "{name}"; }}) ]; }};
        "#
    ));
    for (option, reason) in [
        ("--timeout", "timed out after 3 seconds"),
        ("--max-silent-time", "timed out after 3 seconds of silence"),
    ] {
        let output = finish(start(&fleet, &[option, "3", "--retry", "1"]), TIMEOUT);
        assert_eq!(code(&output), 1, "{}", stderr(&output));
        let report = json(&output);
        agrees_with_the_store(&report);
        assert_eq!(variant(&report, "hangs")["state"], "failed");
        assert_eq!(variant(&report, "hangs")["reason"], reason, "{report}");
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
        let needy = variant(&report, "needy");
        assert_eq!(needy["state"], "dependency-failed", "{report}");
        assert_eq!(needy["reason"], reason, "{report}");
        assert!(["built", "present"].iter().any(|s| variant(&report, "good")["state"] == *s));
        assert_nothing_runs(&name);
    }
}

#[test]
fn concurrent_runs_succeed_and_the_second_prints_that_it_waits() {
    let fleet = fleet(r#"a = host { variant = "shared"; script = "sleep 4; echo > $out"; };"#);
    let first = start(&fleet, &[]);
    let is_building =
        || processes_below(first.id()).iter().any(|pid| command_line(*pid) == "sleep 4");
    assert!(wait_for(TIMEOUT, is_building), "the build does not start");
    let second = finish(start(&fleet, &[]), TIMEOUT);
    let first = finish(first, TIMEOUT);
    for output in [&first, &second] {
        assert_eq!(code(output), 0, "{}", stderr(output));
        agrees_with_the_store(&json(output));
    }
    let text = stderr(&second);
    assert!(text.contains("waiting for another Nix process's build of "), "{text}");
}

#[test]
fn a_large_log_is_kept_whole_with_little_memory() {
    let fleet = fleet(
        r#"
        a = host { variant = "flood"; script = "i=0; while [ $i -lt 100 ]; do seq 1000; i=$((i+1)); done; echo > $out"; };
        b = host { variant = "long"; script = "head -c 10485760 /dev/zero | tr '\\0' x; echo; echo end; echo > $out"; };
        "#,
    );
    let (output, peak) = output_and_peak(start(&fleet, &[]));
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    let log =
        |name: &str| fs::read_to_string(variant(&report, name)["log"].as_str().unwrap()).unwrap();
    assert_eq!(log("flood").lines().count(), 100_000);
    let long = log("long");
    assert!(long.ends_with("end\n"), "{}", &long[long.len() - 40..]);
    assert!((1..200 * 1024).contains(&peak), "{peak} kB");
}

#[test]
fn logs_that_cannot_be_written_do_not_stop_a_build() {
    let fleet = fleet(r#"a = host { variant = "one"; script = "echo hello; echo > $out"; };"#);
    let logs = fleet.home().join("logs");
    fs::write(&logs, "not a folder").unwrap();
    let child = spawn(xtask(fleet.path()).args(["build-all", "--json", "--no-link"]));
    let output = finish(child, TIMEOUT);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(variant(&report, "one")["state"], "built");
    assert_eq!(variant(&report, "one")["log"], Value::Null);
    let text = stderr(&output);
    assert_eq!(text.matches("the build logs are incomplete").count(), 1, "{text}");
    assert!(text.contains(logs.to_str().unwrap()), "{text}");
}

/// Returns a `build-all` in a mount namespace where a shell script has mounted a file system over
/// `folder`, its `$0`; skips the test if this user may not mount one.
fn with_mount(fleet: &Scratch, mount: &str, folder: &Path) -> Option<Command> {
    let in_namespace = |program: &[&str]| {
        let mut command = contained(Command::new("unshare"), fleet.path());
        command.args(["--mount", "sh", "-c", mount]).arg(folder).args(program);
        command
    };
    if !in_namespace(&["true"]).output().is_ok_and(|output| output.status.success()) {
        skip("only root can mount a small file system");
        return None;
    }
    Some(in_namespace(&[XTASK, "build-all", "--json", "--no-link"]))
}

/// The logs, build times and evaluations in it are not needed for a build.
#[test]
fn a_full_or_read_only_cache_does_not_stop_a_build() {
    let fleet = fleet(r#"a = host { variant = "one"; script = "echo hello; echo > $out"; };"#);
    let states = ["head -c 1000000 /dev/zero >\"$0/fill\" 2>&1", "mount -o remount,ro \"$0\""];
    for (state, expected) in states.into_iter().zip(["built", "present"]) {
        let mount =
            format!("mount -t tmpfs -o size=64k tmpfs \"$0\" && {{ {state}; exec \"$@\"; }}");
        let Some(mut build) = with_mount(&fleet, &mount, &fleet.home()) else { return };
        let output = build.output().unwrap();
        assert_eq!(code(&output), 0, "{state}: {}", stderr(&output));
        assert_eq!(variant(&json(&output), "one")["state"], expected, "{state}");
    }
}

/// Mounts a small file system over TMPDIR, where builds write, in a mount namespace that ends with
/// the test.
#[test]
fn a_full_disk_is_reported() {
    let fleet = fleet(
        r#"
        a = host { variant = "large"; script = "head -c 60000000 /dev/zero > here && echo > $out"; };
        b = host { variant = "small"; };
        "#,
    );
    let small = Scratch::new();
    let folder = small.path().to_str().unwrap();
    let mount = "mount -t tmpfs -o size=24m tmpfs \"$0\" && exec \"$@\"";
    let Some(mut build) = with_mount(&fleet, mount, small.path()) else { return };
    let output = finish(spawn(build.env("TMPDIR", folder)), TIMEOUT);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    agrees_with_the_store(&report);
    assert_eq!(variant(&report, "small")["state"], "built");
    let large = variant(&report, "large");
    assert_eq!(large["state"], "failed");
    let reason = large["reason"].as_str().unwrap();
    assert!(reason.contains("no space left on device"), "{reason}");
    assert!(reason.contains(folder), "{reason}");
}

/// Nix's database still lists it.
#[test]
fn an_output_missing_on_disk_is_a_failure() {
    let fleet = fleet(r#"a = host { variant = "one"; };"#);
    let output = run(fleet.path(), &["build-all", "--json"]);
    let out = json(&output)["variants"][0]["outPath"].as_str().unwrap().to_owned();
    let aside = format!("{out}.aside");
    if fs::rename(&out, &aside).is_err() {
        return skip("the store is read-only");
    }
    let output = run(fleet.path(), &["build-all", "--json"]);
    fs::rename(&aside, &out).unwrap();
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let variant = &json(&output)["variants"][0];
    assert_eq!(variant["state"], "failed");
    assert!(variant["reason"].as_str().unwrap().contains("missing on disk"), "{variant}");
}

#[test]
fn a_missing_path_built_during_evaluation_is_a_finding() {
    let generated = "package { name = \"generated\"; script = \"printf x >$out\"; }";
    let fleet = fleet_with(
        &format!("a = host {{ flags = [ (builtins.readFile ({generated})) ]; }};"),
        &format!("generated = {generated};"),
    );
    let flake = format!("path:{}#generated", fleet.path().display());
    let mut build = nix(["build", "--no-link", "--print-out-paths", &flake]);
    let built = build.args(["--option", "sandbox", "false"]).output().unwrap();
    let path = stdout(&built).trim().to_owned();
    if fs::rename(&path, format!("{path}.aside")).is_err() {
        return skip("the store is read-only");
    }
    let check = || run(fleet.path(), &["check", "--json"]);
    let output = check();
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let finding = &json(&output)["hosts"][0]["findings"][0];
    assert_eq!(finding["code"], "store-path-gone", "{finding}");
    let help = finding["help"].as_str().unwrap();
    assert!(help.contains(&format!("`nix store repair {path}`")), "{help}");
    let mut repair = nix(["store", "repair", "--option", "sandbox", "false", &path]);
    assert!(repair.output().unwrap().status.success());
    fs::remove_file(format!("{path}.aside")).unwrap();
    assert_eq!(code(&check()), 0);
}
