//! No stale green: each kind of change is seen by the next `check`, and where nothing
//! changed nothing is evaluated.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "a test's own repository")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Scratch, code, fleet, json, run, stderr};

fn git(dir: &Path, args: &[&str]) {
    let who = ["-c", "user.name=a", "-c", "user.email=a@b"];
    let status = Command::new("git").args(who).args(args).current_dir(dir).status();
    assert!(status.unwrap().success(), "{args:?}");
}

/// One host whose variant is told by all kinds of files.
fn repository() -> Scratch {
    let fleet = fleet(
        r#"carbon = host { variant = builtins.concatStringsSep "." [
             (import ./part.nix) (builtins.readFile ./part.txt) (import ./link.nix)
             (toString (builtins.length (builtins.attrNames (builtins.readDir ./folder))))
             (if builtins.pathExists ./later then "later" else "early")
             (builtins.substring 44 4 (builtins.unsafeDiscardStringContext "${./script}")) ];
             flags = [ "${./script}" ]; };"#,
    );
    for (name, text) in [
        ("part.nix", "\"a\""),
        ("part.txt", "b"),
        ("one.nix", "\"c\""),
        ("two.nix", "\"d\""),
        ("folder/x", ""),
        ("script", "#!/bin/sh\n"),
        ("README.md", "nobody reads this"),
    ] {
        fleet.write(name, text);
    }
    std::os::unix::fs::symlink("one.nix", fleet.path().join("link.nix")).unwrap();
    git(fleet.path(), &["init", "--quiet"]);
    git(fleet.path(), &["add", "--all"]);
    git(fleet.path(), &["commit", "--quiet", "-m", "a"]);
    fleet
}

fn check_with(dir: &Path, args: &[&str]) -> Value {
    let output = run(dir, &[&["check", "--json"], args].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    json(&output)["hosts"][0].clone()
}

fn check(dir: &Path) -> Value {
    check_with(dir, &[])
}

fn evaluated(host: &Value) -> bool {
    host["seconds"].as_f64().unwrap() > 0.0
}

#[test]
fn what_did_not_change_is_not_evaluated() {
    let fleet = repository();
    let first = check(fleet.path());
    assert!(evaluated(&first) && !evaluated(&check(fleet.path())));
    assert!(evaluated(&check_with(fleet.path(), &["--no-cache"])));
    let mut again = check(fleet.path());
    assert!(!evaluated(&again));
    again["seconds"] = first["seconds"].clone();
    assert_eq!(again, first);
}

#[test]
fn every_change_that_nix_can_see_is_seen() {
    let fleet = repository();
    let dir = fleet.path();
    let mut before = check(dir);
    let mut changes = |what: &str, change: &dyn Fn()| {
        assert!(!evaluated(&check(dir)), "before: {what}");
        change();
        let after = check(dir);
        assert_ne!(
            (&after["variant"], &after["cmakeFlags"]),
            (&before["variant"], &before["cmakeFlags"]),
            "stale: {what}"
        );
        before = after;
    };
    changes("a .nix file", &|| fleet.write("part.nix", "\"A\""));
    changes("a .nix file back again", &|| fleet.write("part.nix", "\"a\""));
    changes("a file that is no .nix file", &|| fleet.write("part.txt", "B"));
    changes("the same size, in the same second", &|| fleet.write("part.txt", "C"));
    changes("a link's target", &|| {
        std::fs::remove_file(dir.join("link.nix")).unwrap();
        std::os::unix::fs::symlink("two.nix", dir.join("link.nix")).unwrap();
    });
    changes("a file's mode", &|| {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.join("script"), mode).unwrap();
    });
    changes("a new file in a folder", &|| {
        fleet.write("folder/y", "");
        git(dir, &["add", "folder/y"]);
    });
    changes("one that Git is told of only", &|| {
        fleet.write("later", "");
        git(dir, &["add", "--intent-to-add", "later"]);
    });
    changes("a file removed from the disk only", &|| {
        std::fs::remove_file(dir.join("folder/y")).unwrap();
    });
    changes("a checkout", &|| git(dir, &["checkout", "--quiet", "--force", "HEAD"]));
}

#[test]
fn an_untracked_file_changes_nothing_until_git_tracks_it() {
    let fleet = repository();
    check(fleet.path());
    fleet.write("untracked.nix", "1");
    assert!(!evaluated(&check(fleet.path())));
    git(fleet.path(), &["add", "untracked.nix"]);
    assert!(evaluated(&check(fleet.path())));
    git(fleet.path(), &["commit", "--quiet", "-m", "b"]);
    assert!(evaluated(&check(fleet.path())), "a commit is what `self.rev` tells");
}

#[test]
fn a_change_that_breaks_the_flake_is_red_and_mending_it_is_green() {
    let fleet = repository();
    check(fleet.path());
    fleet.write("part.nix", "throw \"broken\"");
    for _ in 0..2 {
        assert_eq!(code(&run(fleet.path(), &["check"])), 1, "a failure is never kept");
    }
    fleet.write("part.nix", "\"a\"");
    check(fleet.path());
}

#[test]
fn another_lock_nix_configuration_or_xtask_is_another_question() {
    let fleet = repository();
    let dir = fleet.path();
    check(dir);
    let with = |program: &Path, name: &str, value: &str| {
        let mut command = Command::new(program);
        command.current_dir(dir).args(["check", "--json"]).env(name, value);
        evaluated(&json(&command.output().unwrap())["hosts"][0])
    };
    let ours = Path::new(env!("CARGO_BIN_EXE_xtask"));
    assert!(!with(ours, "LLAMAFLEET_NOTHING", "1"));
    assert!(with(ours, "NIX_CONFIG", "max-call-depth = 9000"));
    // Another program file of the same Nix: its wrapper, elsewhere.
    let other = Scratch::new();
    other.write("nix", &format!("#!/bin/sh\nexec '{}' \"$@\"\n", support::nix().display()));
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(other.path().join("nix"), mode).unwrap();
    let path = format!("{}:{}", other.path().display(), std::env::var("PATH").unwrap());
    check(dir);
    assert!(with(ours, "PATH", &path));
    check(dir);
    std::fs::copy(ours, other.path().join("xtask")).unwrap();
    assert!(with(&other.path().join("xtask"), "LLAMAFLEET_NOTHING", "1"));
    check(dir);
    fleet.write("flake.lock", r#"{"nodes":{"root":{}},"root":"root","version":7}"#);
    git(dir, &["add", "flake.lock"]);
    assert!(evaluated(&check(dir)));
}

#[test]
fn a_tree_that_cannot_be_read_for_certain_is_evaluated_every_time() {
    let fleet = repository();
    fleet.write("a\"b.nix", "1");
    git(fleet.path(), &["add", "--all"]);
    check(fleet.path());
    assert!(evaluated(&check(fleet.path())));
}

#[test]
fn a_large_listing_hides_no_file() {
    let fleet = repository();
    // Longer than one line of a child's output may be.
    let long = "x".repeat(200);
    for nth in 0..6000 {
        fleet.write(&format!("many/{long}{nth}"), "");
    }
    git(fleet.path(), &["add", "--all"]);
    check(fleet.path());
    assert!(!evaluated(&check(fleet.path())));
    fleet.write(&format!("many/{long}3333"), "z");
    assert!(evaluated(&check(fleet.path())));
}

#[test]
fn without_git_a_folder_is_looked_at_too() {
    let fleet = fleet("carbon = host { variant = builtins.readFile ./variant; };");
    fleet.write("variant", "a");
    assert_eq!(check(fleet.path())["variant"], "a");
    assert!(!evaluated(&check(fleet.path())));
    fleet.write("variant", "b");
    assert_eq!(check(fleet.path())["variant"], "b");
}

#[test]
fn doctor_tells_what_is_kept_and_why_not() {
    let fleet = repository();
    let said = || {
        let checks = json(&run(fleet.path(), &["doctor", "--json"]))["checks"].clone();
        let checks = checks.as_array().unwrap().clone();
        let line = checks.into_iter().find(|check| check["name"] == "evaluation").unwrap();
        line["message"].as_str().unwrap().to_owned()
    };
    assert!(said().contains("nothing was evaluated yet"));
    check(fleet.path());
    assert!(said().contains("1 of 1"));
    fleet.write("part.nix", "\"z\"");
    assert!(said().contains("part.nix changed"));
}
