//! The evaluation cache: `check` evaluates again after every kind of change, and evaluates nothing
//! without one.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{
    Scratch, XTASK, code, contained, fleet, fleet_with, json, nix, nix_program, path_with_nix, run,
    stderr, stdout,
};
use serde_json::Value;

fn git(dir: &Path, args: &[&str]) {
    let who = ["-c", "user.name=a", "-c", "user.email=a@b"];
    let status = Command::new("git").args(who).args(args).current_dir(dir).status();
    assert!(status.unwrap().success(), "{args:?}");
}

/// A fleet in a Git repository with one host, whose variant depends on files of every kind.
fn tracked_fleet() -> Scratch {
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
        ("README.md", "unread"),
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
fn an_unchanged_fleet_is_not_evaluated_again() {
    let fleet = tracked_fleet();
    let first = check(fleet.path());
    assert!(evaluated(&first) && !evaluated(&check(fleet.path())));
    assert!(evaluated(&check_with(fleet.path(), &["--no-cache"])));
    let mut again = check(fleet.path());
    assert!(!evaluated(&again));
    again["seconds"] = first["seconds"].clone();
    assert_eq!(again, first);
}

#[test]
fn every_change_visible_to_nix_is_detected() {
    let fleet = tracked_fleet();
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
    changes("a file with another extension", &|| fleet.write("part.txt", "B"));
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
    changes("a file added with --intent-to-add", &|| {
        fleet.write("later", "");
        git(dir, &["add", "--intent-to-add", "later"]);
    });
    changes("a file removed from the disk only", &|| {
        std::fs::remove_file(dir.join("folder/y")).unwrap();
    });
    changes("a checkout", &|| git(dir, &["checkout", "--quiet", "--force", "HEAD"]));
}

/// Evaluates the variant of each host.
fn variants(dir: &Path) -> BTreeMap<String, String> {
    let output = run(dir, &["check", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let hosts = json(&output)["hosts"].as_array().unwrap().clone();
    hosts.iter().map(|host| (text(&host["host"]), text(&host["variant"]))).collect()
}

fn committed(fleet: &Scratch, files: &[(&str, &str)]) {
    for (name, text) in files {
        fleet.write(name, text);
    }
    git(fleet.path(), &["init", "--quiet"]);
    git(fleet.path(), &["add", "--all"]);
    git(fleet.path(), &["commit", "--quiet", "-m", "a"]);
}

/// All these hosts depend on the flake's store path, and so on files that no evaluation opens. A
/// cache keyed on the files that were read would have to detect each of them.
#[test]
fn an_edit_of_an_unread_file_changes_hosts_that_use_the_source_path() {
    let fleet = fleet(
        r#"by-text = host { variant = cut (toString ./.); };
           by-name = host { variant = cut ("/nix/store/" + baseNameOf ./.); };
           by-place = host { variant = cut __curPos.file; };
           by-attribute = host { variant = cut (builtins.unsafeGetAttrPos "x" { x = 1; }).file; };
           by-digest = host { variant = digest (toString ./.); };
           by-print = host { variant = digest (builtins.toXML ./.); };
           by-filter = host { variant = filtered; };
           by-module = host { variant = cut (import ./module.nix); };
           self-path = host { variant = plain _.self.outPath; };
           self-hash = host { variant = digest _.self.narHash; };
           self-source = host { variant = plain "${_.self}/part"; };"#,
    );
    // Functions for the hosts: cutting the hash out of a store path, and a filter, which gets paths.
    let text = std::fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    let functions = r#"cut = builtins.substring 11 32;
        plain = path: cut (builtins.unsafeDiscardStringContext path);
        digest = builtins.hashString "md5";
        kept = n: builtins.path {
          name = "f";
          path = ./folder;
          filter = path: _: builtins.substring n 1 (digest path) < "8";
        };
        filtered = builtins.unsafeDiscardStringContext (digest (toString (builtins.genList kept 32)));
        "#;
    fleet.write("flake.nix", &text.replacen("let\n", &format!("let\n        {functions}"), 1));
    committed(
        &fleet,
        &[("module.nix", "toString ./."), ("folder/x", "x"), ("README.md", "a"), ("part", "")],
    );
    let before = variants(fleet.path());
    assert_eq!(before, variants(fleet.path()));
    fleet.write("README.md", "b");
    let after = variants(fleet.path());
    assert_eq!(before.len(), 11);
    for (host, variant) in &before {
        assert_ne!(&after[host], variant, "stale: {host}");
    }
}

#[test]
fn changed_commit_attributes_of_self_are_detected() {
    let fleet = fleet(
        r#"rev = host { variant = _.self.rev or _.self.dirtyRev; };
           short = host { variant = _.self.shortRev or _.self.dirtyShortRev; };
           date = host { variant = _.self.lastModifiedDate; };
           time = host { variant = toString _.self.lastModified; };
           count = host { variant = toString (_.self.revCount or "none"); };
           names = host { variant = builtins.concatStringsSep "-" (builtins.attrNames _.self); };
           clean = host { variant = if _.self ? rev then "clean" else "dirty"; };"#,
    );
    committed(&fleet, &[("README.md", "a")]);
    let before = variants(fleet.path());
    fleet.write("README.md", "b");
    let dirty = variants(fleet.path());
    for host in ["rev", "short", "count", "names", "clean"] {
        assert_ne!(dirty[host], before[host], "stale: {host}");
    }
    fleet.write("README.md", "a");
    assert_eq!(variants(fleet.path()), before);
    fleet.write("README.md", "b");
    assert_eq!(variants(fleet.path()), dirty);
    // A commit at another time.
    let date = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-am", "b"];
    let mut commit = Command::new("git");
    commit.args(date).env("GIT_COMMITTER_DATE", "2001-02-03T04:05:06Z");
    assert!(commit.current_dir(fleet.path()).status().unwrap().success());
    let after = variants(fleet.path());
    for host in ["rev", "short", "date", "time", "count"] {
        assert_ne!(after[host], before[host], "stale: {host}");
    }
}

/// Each host reads a file in another way.
#[test]
fn a_changed_file_affects_only_the_hosts_that_read_it() {
    let fleet = fleet(
        r#"a-late = host { variant = "a-${if import ./b.nix == "b" then "not" else builtins.readFile ./README.md}"; };
           b-own = host { variant = "b-${import ./b.nix}"; };
           c-folder = host { variant = "c-${builtins.unsafeDiscardStringContext (baseNameOf "${./folder}")}"; };
           d-listed = host { variant = "d-${builtins.concatStringsSep "-" (map (name: import (./listed + "/${name}"))
             (builtins.attrNames (builtins.readDir ./listed)))}"; };
           e-self = host { variant = "e-${builtins.readFile "${_.self}/e.txt"}"; };
           f-link = host { variant = "f-${import ./link.nix}"; };
           g-later = host { variant = "g-${if builtins.pathExists ./later then "later" else "early"}"; };
           h-shared = host { variant = "h-${import ./shared.nix}"; };
           i-shared = host { variant = "i-${import ./shared.nix}"; };
           j-path = host { variant = "j-${builtins.readFile (toString ./. + "/j.txt")}"; };"#,
    );
    std::os::unix::fs::symlink("target.nix", fleet.path().join("link.nix")).unwrap();
    committed(
        &fleet,
        &[
            ("b.nix", "\"b\""),
            ("README.md", "readme"),
            ("folder/under/x", "1"),
            ("listed/x.nix", "\"x\""),
            ("e.txt", "e"),
            ("target.nix", "\"f\""),
            ("shared.nix", "\"s\""),
            ("j.txt", "j"),
        ],
    );
    let dir = fleet.path();
    let mut before = variants(dir);
    let mut changes = |name: &str, text: &str, hosts: &[&str]| {
        fleet.write(name, text);
        git(dir, &["add", "--intent-to-add", "--all"]);
        let after = variants(dir);
        let changed = |host: &&String| after[*host] != before[*host];
        assert_eq!(before.keys().filter(changed).collect::<Vec<_>>(), hosts, "edited: {name}");
        before = after;
    };
    changes("README.md", "edited", &[]);
    changes("b.nix", "\"B\"", &["a-late", "b-own"]);
    changes("README.md", "host-a", &["a-late"]);
    changes("folder/under/x", "2", &["c-folder"]);
    changes("listed/x.nix", "\"X\"", &["d-listed"]);
    changes("listed/y.nix", "\"y\"", &["d-listed"]);
    changes("e.txt", "E", &["e-self"]);
    changes("target.nix", "\"F\"", &["f-link"]);
    changes("later", "", &["g-later"]);
    changes("shared.nix", "\"S\"", &["h-shared", "i-shared"]);
    changes("j.txt", "J", &["j-path"]);
}

#[test]
fn an_untracked_file_changes_nothing_until_git_tracks_it() {
    let fleet = tracked_fleet();
    check(fleet.path());
    fleet.write("untracked.nix", "1");
    assert!(!evaluated(&check(fleet.path())));
    git(fleet.path(), &["add", "untracked.nix"]);
    assert!(evaluated(&check(fleet.path())));
    git(fleet.path(), &["commit", "--quiet", "-m", "b"]);
    assert!(evaluated(&check(fleet.path())), "a commit changes `self.rev`");
}

#[test]
fn failed_evaluations_are_not_cached() {
    let fleet = tracked_fleet();
    check(fleet.path());
    fleet.write("part.nix", "throw \"broken\"");
    for _ in 0..2 {
        assert_eq!(code(&run(fleet.path(), &["check"])), 1, "a failure was cached");
    }
    fleet.write("part.nix", "\"a\"");
    check(fleet.path());
}

#[test]
fn a_new_lock_file_nix_configuration_or_xtask_invalidates_the_cache() {
    let fleet = tracked_fleet();
    let dir = fleet.path();
    check(dir);
    let with = |program: &Path, name: &str, value: &str| {
        let mut command = contained(Command::new(program), dir);
        command.args(["check", "--json"]).env(name, value);
        evaluated(&json(&command.output().unwrap())["hosts"][0])
    };
    let ours = Path::new(XTASK);
    assert!(!with(ours, "LLAMAFLEET_NOTHING", "1"));
    assert!(with(ours, "NIX_CONFIG", "max-call-depth = 9000"));
    // A wrapper of the same Nix at another path.
    let other = Scratch::new();
    other.write_program("nix", &format!("#!/bin/sh\nexec '{}' \"$@\"\n", nix_program().display()));
    let path = format!("{}:{}", other.path().display(), path_with_nix().to_str().unwrap());
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
fn a_tree_with_ambiguous_file_names_is_never_cached() {
    let fleet = tracked_fleet();
    fleet.write("a\"b.nix", "1");
    git(fleet.path(), &["add", "--all"]);
    check(fleet.path());
    assert!(evaluated(&check(fleet.path())));
}

#[test]
fn a_change_in_a_large_repository_is_detected() {
    let fleet = tracked_fleet();
    // The list of files exceeds the length limit of a line of a child's output.
    let long = "x".repeat(250);
    let file = |nth: u32| format!("{long}/{long}/{long}/{long}{nth}");
    for nth in 0..1200 {
        fleet.write(&file(nth), "");
    }
    git(fleet.path(), &["add", "--all"]);
    check(fleet.path());
    assert!(!evaluated(&check(fleet.path())));
    fleet.write(&file(333), "z");
    assert!(evaluated(&check(fleet.path())));
}

#[test]
fn changes_are_detected_without_git() {
    let fleet = fleet("carbon = host { variant = builtins.readFile ./variant; };");
    fleet.write("variant", "a");
    assert_eq!(check(fleet.path())["variant"], "a");
    assert!(!evaluated(&check(fleet.path())));
    fleet.write("variant", "b");
    assert_eq!(check(fleet.path())["variant"], "b");
}

#[test]
fn doctor_explains_the_evaluation_cache() {
    let fleet = tracked_fleet();
    let message = || {
        let checks = json(&run(fleet.path(), &["doctor", "--json"]))["checks"].clone();
        let checks = checks.as_array().unwrap().clone();
        let line = checks.into_iter().find(|check| check["name"] == "evaluation").unwrap();
        line["message"].as_str().unwrap().to_owned()
    };
    assert!(message().contains("there is no evaluation cache yet"));
    check(fleet.path());
    assert!(message().contains("1 of 1"));
    fleet.write("part.nix", "\"z\"");
    assert!(message().contains("part.nix changed"));
}

/// The cache stays valid if a file that Nix built during evaluation is deleted.
#[test]
fn files_built_by_evaluation_may_be_garbage_collected() {
    let generated = "package { name = \"generated\"; script = \"printf x >$out\"; }";
    let fleet = fleet_with(
        &format!("carbon = host {{ flags = [ (builtins.readFile ({generated})) ]; }};"),
        &format!("generated = {generated};"),
    );
    let flake = format!("path:{}#generated", fleet.path().display());
    let first = check(fleet.path());
    assert!(first["cmakeFlags"].as_array().unwrap().contains(&"x".into()), "{first}");
    let mut build = nix(["build", "--no-link", "--print-out-paths", "--option", "sandbox"]);
    let path = stdout(&build.args(["false", &flake]).output().unwrap()).trim().to_owned();
    let delete = || {
        let output = nix(["store", "delete", &path]).output().unwrap();
        assert!(output.status.success() && !Path::new(&path).exists(), "{}", stderr(&output));
    };
    delete();
    assert!(!evaluated(&check(fleet.path())));
    let output = run(fleet.path(), &["build-all", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(!Path::new(&path).exists(), "the cache was not used");
    let again = check_with(fleet.path(), &["--no-cache"]);
    assert!(evaluated(&again) && Path::new(&path).exists(), "it is built again");
    assert_eq!(again["drvPath"], first["drvPath"]);
    delete();
    fleet.write("README.md", "changed");
    assert_eq!(code(&run(fleet.path(), &["build-all", "--json"])), 0);
    assert!(Path::new(&path).exists(), "it is built again");
}
