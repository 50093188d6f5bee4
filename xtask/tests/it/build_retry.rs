//! `build-all --retry` and Ctrl-C with real Nix: the report has the last result of each build.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::support::builders::{finish, interrupt_when, running, signal, spawn, wait_for};
use crate::support::{
    Scratch, code, fleet, json, nix, nix_program, path_with_nix, stderr, variant, xtask,
};

/// Generous, for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A build failure that is retried.
const OFFLINE: &str = "echo 'curl: (6) Could not resolve host: x.invalid'; exit 1";

fn start(fleet: &Scratch, options: &[&str], path: &std::ffi::OsStr) -> Child {
    spawn(
        xtask(fleet.path())
            .args(["build-all", "--json", "--no-link", "--max-jobs", "2"])
            .args(options)
            .env("PATH", path),
    )
}

/// Waits until a file has at least `count` lines.
fn wait_for_lines(file: &Path, count: usize) {
    let lines = || fs::read_to_string(file).unwrap_or_default().lines().count();
    assert!(wait_for(TIMEOUT, || lines() >= count), "{} of {count} lines", lines());
}

#[test]
fn a_retry_prevented_by_ctrl_c_is_not_an_attempt() {
    let fleet = fleet(&format!("a = host {{ variant = \"offline\"; script = \"{OFFLINE}\"; }};"));
    let mut command = xtask(fleet.path());
    command.args(["build-all", "--json", "--no-link", "--retry", "3"]);
    // The pause before the third attempt is ten seconds.
    let (output, _) = interrupt_when(&mut command, |text| text.matches("retrying in").count() == 2);
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    let report = json(&output);
    let offline = variant(&report, "offline");
    assert_eq!(offline["state"], "failed", "{report}");
    assert_eq!(offline["reason"], "failed with exit code 1", "{report}");
    assert_eq!(offline["attempts"], 2, "{report}");
}

/// Before the second attempt a dependency is deleted from the store, and then fails to build.
#[test]
fn the_last_attempt_determines_the_reported_failure() {
    let files = Scratch::new();
    let at = |name: &str| files.path().join(name).display().to_string();
    let (built, forbidden, tries) = (at("built"), at("forbidden"), at("tries"));
    let fleet = fleet(&format!(
        r#"
        a = host {{
          variant = "needy";
          needs = [ (package {{ name = "base"; script = "echo $out > {built}; test ! -e {forbidden} && echo > $out"; }}) ];
          script = "echo >> {tries}; {OFFLINE}";
        }};
        "#
    ));
    let child = start(&fleet, &["--retry", "4"], &path_with_nix());
    wait_for_lines(Path::new(&tries), 1);
    fs::write(&forbidden, "").unwrap();
    // Nix refuses this while a build that needs it runs.
    let base = fs::read_to_string(&built).unwrap();
    let delete = || nix(["store", "delete", base.trim()]).output().unwrap().status.success();
    assert!(wait_for(TIMEOUT, delete), "cannot delete {base}");
    let output = finish(child, TIMEOUT);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    let needy = variant(&report, "needy");
    assert_eq!(needy["state"], "dependency-failed", "{report}");
    assert_eq!(needy["failedDependency"], "base", "{report}");
    assert_eq!(needy["reason"], "failed with exit code 1", "{report}");
}

/// A wrapper delays `nix path-info`.
#[test]
fn a_second_ctrl_c_during_a_store_query_keeps_the_report() {
    let marker = format!("sleep 81{}", std::process::id());
    let fleet = fleet(&format!(
        r#"
        a = host {{ variant = "quick"; }};
        b = host {{ variant = "slow"; script = "echo; sleep 1; echo; {marker}"; }};
        c = host {{ variant = "wrong"; script = "exit 1"; }};
        "#
    ));
    let slow = Scratch::new();
    let queries = slow.path().join("queries");
    slow.write_program(
        "nix",
        &format!(
            "#!/bin/sh\ncase \"$*\" in *path-info*) echo >> {}; sleep 2;; esac\nexec {} \"$@\"\n",
            queries.display(),
            nix_program().display()
        ),
    );
    let folders: Vec<_> = std::env::split_paths(&path_with_nix()).collect();
    let path = std::env::join_paths([slow.path().to_owned()].into_iter().chain(folders)).unwrap();
    let child = start(&fleet, &[], &path);
    let is_building = || running(&marker).iter().any(|line| line.ends_with(&marker));
    assert!(wait_for(TIMEOUT, is_building), "the build does not start");
    std::thread::sleep(Duration::from_secs(2));
    let before = fs::read_to_string(&queries).unwrap().lines().count();
    signal("INT", child.id());
    wait_for_lines(&queries, before + 1);
    signal("INT", child.id());
    let output = finish(child, TIMEOUT);
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(variant(&report, "quick")["state"], "built", "{report}");
    assert_eq!(variant(&report, "slow")["state"], "interrupted", "{report}");
    assert_eq!(variant(&report, "wrong")["state"], "failed", "{report}");
}
