//! `build-all --retry`, and Ctrl-C at awkward moments: what is reported of each build is what
//! became of it last. With real Nix.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::support::builders::{finish, signal, spawn, wait_for};
use crate::support::{
    Scratch, code, fleet, json, nix, nix_program, path_with_nix, stderr, variant, xtask,
};

/// Generous: other tests and other people's work are on the same cores.
const PATIENCE: Duration = Duration::from_secs(120);

/// The end of a build that may succeed the next time.
const OFFLINE: &str = "echo 'curl: (6) Could not resolve host: x.invalid'; exit 1";

fn start(fleet: &Scratch, options: &[&str], path: &std::ffi::OsStr) -> Child {
    spawn(
        xtask(fleet.path())
            .args(["build-all", "--json", "--no-link", "--max-jobs", "2"])
            .args(options)
            .env("PATH", path),
    )
}

/// Waits until a file has so many lines.
fn wait_for_lines(file: &Path, count: usize) {
    let lines = || fs::read_to_string(file).unwrap_or_default().lines().count();
    assert!(wait_for(PATIENCE, || lines() >= count), "{} of {count} lines", lines());
}

#[test]
fn a_retry_that_ctrl_c_prevents_is_no_attempt() {
    let files = Scratch::new();
    let tries = files.path().join("tries");
    let script = format!("echo >> {}; {OFFLINE}", tries.display());
    let fleet = fleet(&format!("a = host {{ variant = \"offline\"; script = \"{script}\"; }};"));
    let child = start(&fleet, &["--retry", "3"], &path_with_nix());
    // The pause before the third attempt is ten seconds.
    wait_for_lines(&tries, 2);
    std::thread::sleep(Duration::from_secs(2));
    signal("INT", child.id());
    let output = finish(child, PATIENCE);
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    let report = json(&output);
    let offline = variant(&report, "offline");
    assert_eq!(offline["state"], "failed", "{report}");
    assert_eq!(offline["reason"], "failed with exit code 1", "{report}");
    assert_eq!(offline["attempts"], 2, "{report}");
}

/// The second time a dependency is gone, and fails.
#[test]
fn the_last_attempt_says_what_failed() {
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
    // Nix protects it as long as it builds what needs it.
    let base = fs::read_to_string(&built).unwrap();
    let delete = || nix(["store", "delete", base.trim()]).output().unwrap().status.success();
    assert!(wait_for(PATIENCE, delete), "cannot delete {base}");
    let output = finish(child, PATIENCE);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    let needy = variant(&report, "needy");
    assert_eq!(needy["state"], "dependency-failed", "{report}");
    assert_eq!(needy["failedDependency"], "base", "{report}");
    assert_eq!(needy["reason"], "failed with exit code 1", "{report}");
}

/// By a Nix that takes its time to say what is in the store.
#[test]
fn a_second_ctrl_c_while_the_store_is_asked_does_not_cost_the_report() {
    let marker = format!("sleep 81{}", std::process::id());
    let fleet = fleet(&format!(
        r#"
        a = host {{ variant = "quick"; }};
        b = host {{ variant = "slow"; script = "echo; sleep 1; echo; {marker}"; }};
        c = host {{ variant = "wrong"; script = "exit 1"; }};
        "#
    ));
    let slow = Scratch::new();
    let asked = slow.path().join("asked");
    slow.write_program(
        "nix",
        &format!(
            "#!/bin/sh\ncase \"$*\" in *path-info*) echo >> {}; sleep 2;; esac\nexec {} \"$@\"\n",
            asked.display(),
            nix_program().display()
        ),
    );
    let folders: Vec<_> = std::env::split_paths(&path_with_nix()).collect();
    let path = std::env::join_paths([slow.path().to_owned()].into_iter().chain(folders)).unwrap();
    let child = start(&fleet, &[], &path);
    let at_work =
        || crate::support::builders::running(&marker).iter().any(|l| l.ends_with(&marker));
    assert!(wait_for(PATIENCE, at_work), "the build does not begin");
    std::thread::sleep(Duration::from_secs(2));
    let before = fs::read_to_string(&asked).unwrap().lines().count();
    signal("INT", child.id());
    wait_for_lines(&asked, before + 1);
    signal("INT", child.id());
    let output = finish(child, PATIENCE);
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(variant(&report, "quick")["state"], "built", "{report}");
    assert_eq!(variant(&report, "slow")["state"], "interrupted", "{report}");
    assert_eq!(variant(&report, "wrong")["state"], "failed", "{report}");
}
