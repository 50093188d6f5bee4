//! `update` and `rollback` with real Nix and Git: a small upstream repository with the files that
//! the drift check reads, and a fleet that has it as an input.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::world::{PACKAGE, World, git, state};
use crate::support::{code, nix, nix_program, stderr};
use serde_json::Value;

#[test]
fn update_changes_only_its_input_and_rollback_restores_it() {
    let world = World::new();
    let (before, first) = (world.lock(), world.locked());
    let second = world.release("two");
    let (code, report, message) = world.run(&["update"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{message}");
    assert_eq!((&report["from"]["build"], &report["to"]["build"]), (&1.into(), &2.into()));
    assert_eq!((&report["commits"], &report["to"]["rev"]), (&1.into(), &second.clone().into()));
    let states = ["plain", "reads", "evaluates"].map(|host| state(&report, host));
    assert_eq!(states, ["unchanged", "changed", "unchanged"], "{report}");
    // Only fields of this input changed in the file.
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let after = world.lock();
    let changed: Vec<String> = lines(&after)
        .into_iter()
        .zip(lines(&before))
        .filter(|(new, old)| new != old)
        .map(|(new, _)| new.split_whitespace().next().unwrap().to_owned())
        .collect();
    assert_eq!(lines(&after).len(), lines(&before).len());
    let expected = ["\"lastModified\":", "\"narHash\":", "\"rev\":", "\"revCount\":"];
    assert!(changed.iter().all(|name| expected.contains(&name.as_str())), "{changed:?}");
    // Nix accepts the lock file unchanged.
    assert_eq!(world.run(&["check"]).0, 0);
    assert_eq!(world.lock(), after);

    let (code, report, _) = world.run(&["update"]);
    assert_eq!((code, &report["lock"]), (0, &"unchanged".into()), "already newest");
    assert_eq!(report["hosts"], Value::Array(vec![]));

    world.release("three");
    assert_eq!(world.run(&["update"]).0, 0);
    let (_, listed, _) = world.run(&["rollback", "--list"]);
    assert_eq!(listed["pins"].as_array().unwrap().len(), 2);
    // Rollback works although another part of the file was edited.
    let edited = world.lock().replace("\"version\": 7", "\"version\": 7 ");
    fs::write(world.fleet.path().join("flake.lock"), &edited).unwrap();
    let (code, report, message) = world.run(&["rollback", "--to", "2"]);
    assert_eq!((code, &report["to"]["rev"]), (0, &first.clone().into()), "{message}");
    assert_eq!((world.lock(), world.locked()), (before, first));
    // A rollback can be rolled back.
    assert_eq!(world.run(&["rollback"]).0, 0);
    let (code, _, message) = world.run(&["rollback", "--to", "9"]);
    assert!(code == 1 && message.contains("the journal goes back"), "{message}");
    // An unreadable journal is an error.
    let name = world.fleet.path().to_str().unwrap().replace('/', "_");
    let journal = world.fleet.home().join(format!("updates/{name}.jsonl"));
    fs::remove_file(&journal).unwrap();
    fs::create_dir(&journal).unwrap();
    let (code, _, message) = world.run(&["rollback"]);
    assert!(
        code == 2 && message.contains("cannot read") && message.contains(".jsonl"),
        "{message}"
    );
}

/// A `github:` source has no build number, so hosts read it from pin.json
/// (`programs.llama-cpp.builds`).
#[test]
fn update_writes_build_numbers_to_an_existing_pin_json() {
    let world = World::new();
    let first = world.locked();
    world.fleet.write("pin.json", "{ \"builds\": {} }\n");
    git(world.fleet.path(), &["add", "--all"]);
    let second = world.release("two");
    let (code, report, message) = world.run(&["update"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{message}");
    let pin = fs::read_to_string(world.fleet.path().join("pin.json")).unwrap();
    let pin: Value = serde_json::from_str(&pin).unwrap();
    assert_eq!(pin, serde_json::json!({ "builds": { first: 1, second: 2 } }));
}

#[test]
fn a_stable_update_takes_the_newest_release_and_never_goes_back() {
    let world = World::new();
    let tag = |name: &str| git(&world.upstream(), &["tag", name]);
    world.fleet.write("pin.json", "{ \"builds\": {} }\n");
    git(world.fleet.path(), &["add", "--all"]);
    world.release("two");
    let (code, report, message) = world.run(&["update", "--stable"]);
    assert_eq!(
        (code, &report["findings"][0]["code"]),
        (1, &"no-such-revision".into()),
        "{message}"
    );
    assert!(message.contains("has no release (a tag vX.Y.Z)"), "{message}");

    tag("v0.9.0");
    let third = world.release("three");
    // Annotated, like upstream's.
    let who = ["-c", "user.name=Up", "-c", "user.email=up@localhost"];
    let annotated = ["tag", "--annotate", "v0.10.0", "--message", "Release"];
    git(&world.upstream(), &[&who[..], &annotated].concat());
    let fourth = world.release("four");
    for name in ["v0.11.0-rc1", "v1", "vocab", "v0.11.0+build.1.x_y"] {
        tag(name);
    }
    let (code, report, message) = world.run(&["update", "--stable"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{message}");
    assert_eq!(report["to"]["release"], "0.10.0", "{report}");
    assert!(message.contains("b1 -> v0.10.0"), "{message}");
    assert_eq!(world.locked(), third);
    let pin = fs::read_to_string(world.fleet.path().join("pin.json")).unwrap();
    let pin: Value = serde_json::from_str(&pin).unwrap();
    assert_eq!(pin["releases"], serde_json::json!({ third.clone(): "0.10.0" }));
    assert_eq!(pin["builds"][&third], 3);
    let (code, report, message) = world.run(&["update", "--stable"]);
    assert_eq!((code, &report["lock"]), (0, &"unchanged".into()), "{message}");
    assert!(message.contains("v0.10.0"), "{message}");

    // A later commit is newer than every release.
    let (_, report, message) = world.run(&["update"]);
    assert_eq!(
        (world.locked(), &report["from"]["release"]),
        (fourth, &"0.10.0".into()),
        "{message}"
    );
    let (code, report, message) = world.run(&["update", "--stable"]);
    assert_eq!((code, &report["lock"]), (0, &"unchanged".into()), "{message}");
    assert!(message.contains("b4 is newer than the newest release, v0.10.0"), "{message}");
    for to in ["0.9.0", "v0.10.0"] {
        let (code, report, message) = world.run(&["update", "--to", to]);
        assert_eq!(code, 0, "{message}");
        assert!(
            message.contains(&format!("-> v{}", to.trim_start_matches('v'))),
            "{message} {report}"
        );
    }
    let both = world.xtask().args(["update", "--stable", "--to", "v0.9.0"]).output().unwrap();
    assert_eq!(self::code(&both), 2);
}

#[test]
fn an_update_that_breaks_a_host_is_rejected_with_host_and_cause() {
    let world = World::new();
    let before = world.lock();
    // A build that fails.
    let bad = world.release("broken");
    let (code, report, message) = world.run(&["update"]);
    assert_eq!((code, &report["failedAt"]), (1, &"build".into()), "{message}");
    assert_eq!(state(&report, "reads"), "fails");
    assert!(message.contains("reads: cpu-reads failed to build"), "{message}");
    assert!(
        message.contains("flake.lock is unchanged") && message.contains("cargo xtask bisect"),
        "{message}"
    );
    assert_eq!(world.lock(), before);
    let rejected = PathBuf::from(report["refused"].as_str().unwrap());
    assert!(fs::read_to_string(rejected.join("flake.lock")).unwrap().contains(&bad));
    assert!(rejected.join("report.json").is_file());
    // A host that does not evaluate.
    git(&world.upstream(), &["rm", "--quiet", "needed"]);
    world.release("four");
    let (code, report, message) = world.run(&["update"]);
    assert_eq!((code, &report["failedAt"]), (1, &"evaluate".into()), "{message}");
    assert_eq!(state(&report, "evaluates"), "fails");
    assert!(message.contains("/needed") && message.contains("evaluates"), "{message}");
    // Packaging that does not parse, then a missing option.
    world.put("needed", "1");
    world.put(".devops/nix/package.nix", "{ useCuda }: let let");
    world.release("five");
    let (code, report, message) = world.run(&["update"]);
    assert_eq!((code, &report["failedAt"]), (1, &"drift".into()), "{message}");
    assert!(message.contains("packaging-broken") && message.contains("syntax error"), "{message}");
    world.put(".devops/nix/package.nix", PACKAGE);
    world.put("ggml/CMakeLists.txt", "option(GGML_BACKEND_DLS \"x\" OFF)\n");
    world.release("six");
    let (code, report, message) = world.run(&["update"]);
    assert_eq!((code, &report["failedAt"]), (1, &"drift".into()), "{message}");
    assert!(message.contains("it may be called GGML_BACKEND_DLS now"), "{message}");
    // Upstream is no longer a flake, so it cannot be locked.
    git(&world.upstream(), &["rm", "--quiet", "flake.nix"]);
    world.release("seven");
    let (code, report, message) = world.run(&["update"]);
    assert_eq!((code, &report["failedAt"]), (1, &"lock".into()), "{message}");
    assert_eq!((world.lock(), world.status()), (before, String::new()));
}

#[test]
fn a_revision_can_be_a_tag_branch_or_commit() {
    let world = World::new();
    let first = world.locked();
    let second = world.release("two");
    let third = world.release("three");
    git(&world.upstream(), &["branch", "topic", &second]);
    let to = |name: &str| world.run(&["update", "--dry-run", "--to", name]);
    for (name, rev) in
        [("b2", &second), ("topic", &second), (&third, &third), (&third[..9], &third)]
    {
        let (code, report, message) = to(name);
        assert_eq!((code, report["to"]["rev"].as_str()), (0, Some(rev.as_str())), "{message}");
        assert_eq!(report["lock"], "unchanged");
    }
    let (code, _, message) = to("b33");
    assert!(code == 2 && message.contains("did you mean b3? The newest build is b3"), "{message}");
    git(&world.upstream(), &["tag", "v0.1.0", &second]);
    let newest = "The newest release is v0.1.0, the newest build b3";
    for name in ["v9.9.9", "9.9.9", "abcdef123"] {
        let (code, _, message) = to(name);
        assert!(code == 2 && message.contains(newest), "{name}: {message}");
    }
    assert_eq!(world.run(&["update"]).0, 0);
    let (code, report, _) = to("b1");
    assert_eq!((code, &report["backwards"], &report["commits"]), (0, &true.into(), &2.into()));
    assert_eq!(report["to"]["rev"], first.as_str());
}

#[test]
fn update_commits_only_its_own_files_or_explains_why_not() {
    let world = World::new();
    let fleet = world.fleet.path();
    world.release("two");
    let refused = |why: &str| {
        let (code, _, message) = world.run(&["update", "--commit"]);
        assert!(code == 1 && message.contains(why), "{message}");
        assert_eq!(git(fleet, &["rev-list", "--count", "HEAD"]), "1");
    };
    world.fleet.write("staged.nix", "{ }");
    git(fleet, &["add", "staged.nix"]);
    refused("files are already staged: staged.nix");
    git(fleet, &["reset", "--quiet"]);
    git(fleet, &["checkout", "--quiet", "--detach"]);
    refused("HEAD is detached");
    git(fleet, &["checkout", "--quiet", "main"]);
    // Files that are not staged are not committed.
    fs::write(fleet.join("other/flake.nix"), "{ outputs = _: { }; }  \n").unwrap();
    let (code, report, message) = world.run(&["update", "--commit"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{message}");
    let changed = git(fleet, &["show", "--name-only", "--format=%s", "HEAD"]);
    assert_eq!(changed, "flake.lock: llama-cpp b1 -> b2\n\nflake.lock");
    let body = git(fleet, &["show", "--no-patch", "--format=%b", "HEAD"]);
    assert!(body.contains("1 commit. 1\nof 3 hosts") || body.contains("1 commit."), "{body}");
    assert!(body.contains("- reads: cpu-reads"), "{body}");
    assert!(world.status().contains("other/flake.nix") && world.status().contains("staged.nix"));
}

#[test]
fn only_manual_edits_of_the_lock_file_stop_an_update() {
    let world = World::new();
    world.release("two");
    let third = world.release("three");
    // A manual `nix flake update`.
    let by_hand =
        nix(["flake", "update", "llama-cpp"]).current_dir(world.fleet.path()).output().unwrap();
    assert!(by_hand.status.success(), "{}", stderr(&by_hand));
    assert_eq!(world.locked(), third);
    let edited = world.lock();
    world.release("four");
    let (code, _, message) = world.run(&["update"]);
    assert!(code == 1 && message.contains("git checkout flake.lock"), "{message}");
    assert_eq!(world.lock(), edited);
    git(world.fleet.path(), &["checkout", "--quiet", "flake.lock"]);
    // Two updates in a row without a commit.
    assert_eq!(world.run(&["update", "--to", "b3"]).0, 0);
    assert_eq!(world.run(&["update"]).0, 0);
}

#[test]
fn an_update_that_cannot_start_explains_why() {
    let world = World::new();
    let before = world.lock();
    let refused = |status: i32, args: &[&str], words: &[&str]| {
        let (code, _, message) = world.run(&[&["update"], args].concat());
        assert_eq!(code, status, "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        assert_eq!(world.lock(), before);
    };
    refused(1, &["--input", "lama-cpp"], &["no input lama-cpp", "--input llama-cpp"]);
    refused(1, &["--input", "other"], &["from a path", "no revisions"]);
    let aside = world.scratch.path().join("aside");
    fs::rename(world.upstream(), &aside).unwrap();
    refused(2, &[], &["cannot list the revisions of", "upstream"]);
    fs::rename(&aside, world.upstream()).unwrap();
    // Without git.
    let output =
        world.xtask().arg("update").env("PATH", nix_program().parent().unwrap()).output().unwrap();
    assert!(code(&output) != 0 && stderr(&output).contains("git"), "{}", stderr(&output));
    // Another update is running.
    let home = world.fleet.home();
    let name = world.fleet.path().to_str().unwrap().replace('/', "_");
    let busy = fs::File::create(home.join(format!("updates/{name}.busy"))).unwrap();
    busy.lock().unwrap();
    let (code, _, message) = world.run(&["update"]);
    assert!(code == 2 && message.contains("another update of"), "{message}");
    assert_eq!(world.lock(), before);
}

/// `XTASK_KILLS=50` runs the full test; the default has fewer kills.
#[test]
fn a_kill_leaves_the_old_or_the_new_lock_file() {
    let kills: u32 = std::env::var("XTASK_KILLS").map_or(8, |text| text.parse().unwrap());
    let world = World::new();
    world.put("needed", "2");
    let second = world.release("two");
    let (old, began) = (world.lock(), Instant::now());
    // Measure how long an update takes, and read the new lock file.
    assert_eq!(world.run(&["update"]).0, 0);
    let (new, whole) = (world.lock(), began.elapsed());
    let (mut stayed, mut moved) = (0, 0);
    for round in 0..kills {
        fs::write(world.fleet.path().join("flake.lock"), &old).unwrap();
        let mut child = world.xtask();
        child.arg("update").stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = child.spawn().unwrap();
        // Spread over the run, twice as dense at its end, where the rename is.
        let part = f64::from(round) / f64::from(kills);
        let moment = whole.mul_f64(if round % 2 == 0 { part } else { 0.7 + 0.35 * part });
        let started = Instant::now();
        while started.elapsed() < moment && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let lock = world.lock();
        assert!(lock == old || lock == new, "round {round}: neither old nor new:\n{lock}");
        if lock == old {
            stayed += 1
        } else {
            moved += 1
        }
        // Files that a killed update left do not stop the next one.
        if round % 4 == 3 {
            let (code, _, message) = world.run(&["update", "--to", "b2"]);
            assert_eq!(code, 0, "round {round}: {message}");
            assert_eq!(world.locked(), second);
            assert_eq!(world.status(), "M flake.lock");
            let (code, _, message) = world.run(&["check"]);
            assert_eq!(code, 0, "round {round}: {message}");
        }
    }
    eprintln!("{kills} kills within {whole:?}: {stayed} old, {moved} new");
}
