//! A fleet from nothing: the template, `new-host`, and the first commands, on the testbed.

use std::fs;
use std::process::Command;

use crate::support::{
    Scratch, code, json, nix, path_with_nix, repository, run, stderr, stdout, xtask,
};
use serde_json::Value;

/// What `nix flake init -t` makes of this repository's template.
fn fleet_of_ones_own() -> Scratch {
    let scratch = Scratch::new();
    let made = nix(["flake", "init", "-t"])
        .arg(repository())
        .current_dir(scratch.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    scratch
}

#[test]
fn the_template_and_new_host_make_a_fleet_that_checks() {
    let fleet = fleet_of_ones_own();
    let output = run(fleet.path(), &["check", "--testbed"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("new-host"), "{}", stderr(&output));

    let output = run(fleet.path(), &["new-host", "box", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(json(&output)["files"].as_array().unwrap().len() >= 3);
    let second = run(fleet.path(), &["new-host", "3d", "--target", "root@10.0.0.3"]);
    assert_eq!(code(&second), 0, "{}", stderr(&second));
    assert!(stderr(&second).contains("xtask check 3d"), "{}", stderr(&second));

    let output = run(fleet.path(), &["check", "--testbed", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    let names = |field: &str| -> Vec<Value> {
        report["hosts"].as_array().unwrap().iter().map(|host| host[field].clone()).collect()
    };
    assert_eq!(names("host"), ["3d", "box"]);
    // One machine, read twice: one build.
    assert_eq!(report["builds"], 1);
    let table = fs::read_to_string(fleet.path().join("hosts/default.nix")).unwrap();
    assert!(table.contains("\"3d\" = {") && table.contains("root@10.0.0.3"), "{table}");
}

/// A run that is killed between two of its files leaves nothing in the way of the next one.
#[test]
fn a_killed_new_host_can_be_run_again() {
    let fleet = fleet_of_ones_own();
    let git = |args: &[&str]| {
        let status = Command::new("git").args(args).current_dir(fleet.path()).status();
        assert!(status.unwrap().success(), "{args:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    // Git is asked when the host's own files are written and the table is not.
    let tools = Scratch::new();
    let kill = "#!/bin/sh\ncase \"$*\" in *intent-to-add*) kill -9 $PPID;; esac\n\
                exec /usr/bin/env -S \"PATH=${PATH#*:}\" git \"$@\"\n";
    tools.write_program("git", kill);
    let path = format!("{}:{}", tools.path().display(), path_with_nix().to_str().unwrap());
    let killed = xtask(fleet.path()).args(["new-host", "box"]).env("PATH", path).output().unwrap();
    assert_eq!(killed.status.code(), None, "{}", stderr(&killed));
    assert!(fleet.path().join("hosts/box/facts.json").exists());
    let output = run(fleet.path(), &["new-host", "box"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let files = fs::read_dir(fleet.path().join("hosts/box")).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert!(!files.iter().any(|name| name == ".new-host"), "{files:?}");
    // A host's folder that somebody made by hand is left alone.
    fleet.write("hosts/own/default.nix", "{ }\n");
    let output = run(fleet.path(), &["new-host", "own"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(fleet.path().join("hosts/own/default.nix").exists());
}

/// The same in a Git repository: Nix sees what Git knows of.
#[test]
fn a_new_host_is_seen_in_a_git_repository_and_not_committed() {
    let fleet = fleet_of_ones_own();
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(fleet.path()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        stdout(&output)
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    let output = run(fleet.path(), &["new-host", "box"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let output = run(fleet.path(), &["check", "box", "--testbed"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(git(&["diff", "--name-only"]).contains("hosts/box/default.nix"));
    assert!(!git(&["diff", "--cached", "--name-only"]).contains("hosts/box"));
}

#[test]
fn what_cannot_be_a_host_is_refused_and_nothing_is_written() {
    let fleet = fleet_of_ones_own();
    let table = fs::read_to_string(fleet.path().join("hosts/default.nix")).unwrap();
    for (name, said) in [
        ("../x", "letters, digits and hyphens"),
        ("$(touch x)", "letters, digits and hyphens"),
        ("local", "the machine that runs xtask"),
        ("with", "a Nix keyword"),
    ] {
        let output = run(fleet.path(), &["new-host", "--", name]);
        assert_eq!(code(&output), 2, "{name}");
        assert!(stderr(&output).contains(said), "{name}: {}", stderr(&output));
    }
    let output = run(fleet.path(), &["new-host", "box", "--from", "nobody@127.0.0.1:1"]);
    assert_ne!(code(&output), 0);
    let output = run(fleet.path(), &["new-host", "box", "--dry-run"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("programs.llama-cpp"), "{}", stdout(&output));
    assert!(!fleet.path().join("hosts/box").exists());
    assert_eq!(fs::read_to_string(fleet.path().join("hosts/default.nix")).unwrap(), table);

    // A host that is there, and a table that is none.
    assert_eq!(code(&run(fleet.path(), &["new-host", "box"])), 0);
    let output = run(fleet.path(), &["new-host", "box"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("hosts/box already exists"), "{}", stderr(&output));
    fleet.write("hosts/default.nix", "import ../elsewhere.nix\n");
    let output = run(fleet.path(), &["new-host", "other"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("by hand"), "{}", stderr(&output));
    fs::remove_file(fleet.path().join("hosts/default.nix")).unwrap();
    let output = run(fleet.path(), &["new-host", "other"]);
    assert!(stderr(&output).contains("no hosts/default.nix"), "{}", stderr(&output));
}

#[test]
fn an_input_that_the_testbed_has_nothing_for_is_named() {
    let fleet = fleet_of_ones_own();
    let flake = fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    let more = "inputs = {\n    stylix.url = \"github:nix-community/stylix\";";
    fleet.write("flake.nix", &flake.replace("inputs = {", more));
    let output = run(fleet.path(), &["check", "--testbed"]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output)
            .contains("has no stand-in for the input stylix (github:nix-community/stylix)"),
        "{}",
        stderr(&output)
    );
}
