//! `update` and `rollback` with real Nix and real git: a small upstream repository with
//! what the drift guard reads, and a fleet that takes it as its input.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::world::{PACKAGE, World, git, state};
use crate::support::{code, nix, nix_program, stderr};
use serde_json::Value;

#[test]
fn an_update_moves_the_input_alone_and_rollback_takes_it_back() {
    let world = World::new();
    let (before, first) = (world.lock(), world.locked());
    let second = world.release("two");
    let (code, report, said) = world.run(&["update"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{said}");
    assert_eq!((&report["from"]["build"], &report["to"]["build"]), (&1.into(), &2.into()));
    assert_eq!((&report["commits"], &report["to"]["rev"]), (&1.into(), &second.clone().into()));
    let states = ["plain", "reads", "evaluates"].map(|host| state(&report, host));
    assert_eq!(states, ["unchanged", "changed", "unchanged"], "{report}");
    // Of the whole file, only what is of this input.
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let after = world.lock();
    let different: Vec<String> = lines(&after)
        .into_iter()
        .zip(lines(&before))
        .filter(|(is, was)| is != was)
        .map(|(is, _)| is.split_whitespace().next().unwrap().to_owned())
        .collect();
    assert_eq!(lines(&after).len(), lines(&before).len());
    let expected = ["\"lastModified\":", "\"narHash\":", "\"rev\":", "\"revCount\":"];
    assert!(different.iter().all(|name| expected.contains(&name.as_str())), "{different:?}");
    // And it is a lock that Nix takes as it is.
    assert_eq!(world.run(&["check"]).0, 0);
    assert_eq!(world.lock(), after);

    let (code, report, _) = world.run(&["update"]);
    assert_eq!((code, &report["lock"]), (0, &"unchanged".into()), "already newest");
    assert_eq!(report["hosts"], Value::Array(vec![]));

    world.release("three");
    assert_eq!(world.run(&["update"]).0, 0);
    let (_, listed, _) = world.run(&["rollback", "--list"]);
    assert_eq!(listed["pins"].as_array().unwrap().len(), 2);
    // What else moved meanwhile stays.
    let edited = world.lock().replace("\"version\": 7", "\"version\": 7 ");
    fs::write(world.fleet.path().join("flake.lock"), &edited).unwrap();
    let (code, report, said) = world.run(&["rollback", "--to", "2"]);
    assert_eq!((code, &report["to"]["rev"]), (0, &first.clone().into()), "{said}");
    assert_eq!((world.lock(), world.locked()), (before, first));
    // A step back is a step: it can be taken back as well.
    assert_eq!(world.run(&["rollback"]).0, 0);
    let (code, _, said) = world.run(&["rollback", "--to", "9"]);
    assert!(code == 1 && said.contains("the journal goes back"), "{said}");
    // A journal that cannot be read is not an empty one.
    let name = world.fleet.path().to_str().unwrap().replace('/', "_");
    let journal = world.fleet.home().join(format!("updates/{name}.jsonl"));
    fs::remove_file(&journal).unwrap();
    fs::create_dir(&journal).unwrap();
    let (code, _, said) = world.run(&["rollback"]);
    assert!(code == 2 && said.contains("cannot read") && said.contains(".jsonl"), "{said}");
}

/// A github: source tells no number, so the fleet's own file does, and its hosts read it:
/// `programs.llama-cpp.builds`.
#[test]
fn the_build_numbers_are_kept_where_the_fleet_has_a_file_for_them() {
    let world = World::new();
    let first = world.locked();
    world.fleet.write("pin.json", "{ \"builds\": {} }\n");
    git(world.fleet.path(), &["add", "--all"]);
    let second = world.release("two");
    let (code, report, said) = world.run(&["update"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{said}");
    let kept = fs::read_to_string(world.fleet.path().join("pin.json")).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept, serde_json::json!({ "builds": { first: 1, second: 2 } }));
}

#[test]
fn a_stable_update_takes_the_newest_release_and_never_goes_back() {
    let world = World::new();
    let tag = |name: &str| git(&world.upstream(), &["tag", name]);
    world.fleet.write("pin.json", "{ \"builds\": {} }\n");
    git(world.fleet.path(), &["add", "--all"]);
    world.release("two");
    let (code, report, said) = world.run(&["update", "--stable"]);
    assert_eq!((code, &report["findings"][0]["code"]), (1, &"no-such-revision".into()), "{said}");
    assert!(said.contains("has no release (a tag vX.Y.Z)"), "{said}");

    tag("v0.9.0");
    let third = world.release("three");
    // As upstream makes them: annotated.
    let who = ["-c", "user.name=Up", "-c", "user.email=up@localhost"];
    let annotated = ["tag", "--annotate", "v0.10.0", "--message", "Release"];
    git(&world.upstream(), &[&who[..], &annotated].concat());
    let fourth = world.release("four");
    for name in ["v0.11.0-rc1", "v1", "vocab", "v0.11.0+build.1.x_y"] {
        tag(name);
    }
    let (code, report, said) = world.run(&["update", "--stable"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{said}");
    assert_eq!(report["to"]["release"], "0.10.0", "{report}");
    assert!(said.contains("b1 -> v0.10.0"), "{said}");
    assert_eq!(world.locked(), third);
    let pin = fs::read_to_string(world.fleet.path().join("pin.json")).unwrap();
    let pin: Value = serde_json::from_str(&pin).unwrap();
    assert_eq!(pin["releases"], serde_json::json!({ third.clone(): "0.10.0" }));
    assert_eq!(pin["builds"][&third], 3);
    let (code, report, said) = world.run(&["update", "--stable"]);
    assert_eq!((code, &report["lock"]), (0, &"unchanged".into()), "{said}");
    assert!(said.contains("v0.10.0"), "{said}");

    // A later commit is newer than every release.
    let (_, report, said) = world.run(&["update"]);
    assert_eq!((world.locked(), &report["from"]["release"]), (fourth, &"0.10.0".into()), "{said}");
    let (code, report, said) = world.run(&["update", "--stable"]);
    assert_eq!((code, &report["lock"]), (0, &"unchanged".into()), "{said}");
    assert!(said.contains("b4 is newer than the newest release, v0.10.0"), "{said}");
    for to in ["0.9.0", "v0.10.0"] {
        let (code, report, said) = world.run(&["update", "--to", to]);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(&format!("-> v{}", to.trim_start_matches('v'))), "{said} {report}");
    }
    let both = world.xtask().args(["update", "--stable", "--to", "v0.9.0"]).output().unwrap();
    assert_eq!(self::code(&both), 2);
}

#[test]
fn what_breaks_a_host_is_refused_with_host_and_cause() {
    let world = World::new();
    let before = world.lock();
    // A build that fails.
    let bad = world.release("broken");
    let (code, report, said) = world.run(&["update"]);
    assert_eq!((code, &report["failedAt"]), (1, &"build".into()), "{said}");
    assert_eq!(state(&report, "reads"), "fails");
    assert!(said.contains("reads: cpu-reads failed to build"), "{said}");
    assert!(
        said.contains("flake.lock is unchanged") && said.contains("cargo xtask bisect"),
        "{said}"
    );
    assert_eq!(world.lock(), before);
    let kept = PathBuf::from(report["refused"].as_str().unwrap());
    assert!(fs::read_to_string(kept.join("flake.lock")).unwrap().contains(&bad));
    assert!(kept.join("report.json").is_file());
    // A host that does not evaluate.
    git(&world.upstream(), &["rm", "--quiet", "needed"]);
    world.release("four");
    let (code, report, said) = world.run(&["update"]);
    assert_eq!((code, &report["failedAt"]), (1, &"evaluate".into()), "{said}");
    assert_eq!(state(&report, "evaluates"), "fails");
    assert!(said.contains("/needed") && said.contains("evaluates"), "{said}");
    // Packaging that does not parse, and an argument and an option that are gone.
    world.put("needed", "1");
    world.put(".devops/nix/package.nix", "{ useCuda }: let let");
    world.release("five");
    let (code, report, said) = world.run(&["update"]);
    assert_eq!((code, &report["failedAt"]), (1, &"drift".into()), "{said}");
    assert!(said.contains("packaging-broken") && said.contains("syntax error"), "{said}");
    world.put(".devops/nix/package.nix", PACKAGE);
    world.put("ggml/CMakeLists.txt", "option(GGML_BACKEND_DLS \"x\" OFF)\n");
    world.release("six");
    let (code, report, said) = world.run(&["update"]);
    assert_eq!((code, &report["failedAt"]), (1, &"drift".into()), "{said}");
    assert!(said.contains("it may be called GGML_BACKEND_DLS now"), "{said}");
    // No flake any more: it cannot even be locked.
    git(&world.upstream(), &["rm", "--quiet", "flake.nix"]);
    world.release("seven");
    let (code, report, said) = world.run(&["update"]);
    assert_eq!((code, &report["failedAt"]), (1, &"lock".into()), "{said}");
    assert_eq!((world.lock(), world.status()), (before, String::new()));
}

#[test]
fn a_revision_is_named_by_tag_branch_or_commit() {
    let world = World::new();
    let first = world.locked();
    let second = world.release("two");
    let third = world.release("three");
    git(&world.upstream(), &["branch", "topic", &second]);
    let to = |name: &str| world.run(&["update", "--dry-run", "--to", name]);
    for (name, rev) in
        [("b2", &second), ("topic", &second), (&third, &third), (&third[..9], &third)]
    {
        let (code, report, said) = to(name);
        assert_eq!((code, report["to"]["rev"].as_str()), (0, Some(rev.as_str())), "{said}");
        assert_eq!(report["lock"], "unchanged");
    }
    let (code, _, said) = to("b33");
    assert!(code == 2 && said.contains("did you mean b3? The newest build is b3"), "{said}");
    git(&world.upstream(), &["tag", "v0.1.0", &second]);
    let newest = "The newest release is v0.1.0, the newest build b3";
    for name in ["v9.9.9", "9.9.9", "abcdef123"] {
        let (code, _, said) = to(name);
        assert!(code == 2 && said.contains(newest), "{name}: {said}");
    }
    assert_eq!(world.run(&["update"]).0, 0);
    let (code, report, _) = to("b1");
    assert_eq!((code, &report["backwards"], &report["commits"]), (0, &true.into(), &2.into()));
    assert_eq!(report["to"]["rev"], first.as_str());
}

#[test]
fn one_commit_with_the_update_alone_or_a_reason_why_not() {
    let world = World::new();
    let fleet = world.fleet.path();
    world.release("two");
    let refused = |why: &str| {
        let (code, _, said) = world.run(&["update", "--commit"]);
        assert!(code == 1 && said.contains(why), "{said}");
        assert_eq!(git(fleet, &["rev-list", "--count", "HEAD"]), "1");
    };
    world.fleet.write("staged.nix", "{ }");
    git(fleet, &["add", "staged.nix"]);
    refused("files are already staged: staged.nix");
    git(fleet, &["reset", "--quiet"]);
    git(fleet, &["checkout", "--quiet", "--detach"]);
    refused("HEAD is detached");
    git(fleet, &["checkout", "--quiet", "main"]);
    // What is not staged is not the commit's.
    fs::write(fleet.join("other/flake.nix"), "{ outputs = _: { }; }  \n").unwrap();
    let (code, report, said) = world.run(&["update", "--commit"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{said}");
    let changed = git(fleet, &["show", "--name-only", "--format=%s", "HEAD"]);
    assert_eq!(changed, "flake.lock: llama-cpp b1 -> b2\n\nflake.lock");
    let body = git(fleet, &["show", "--no-patch", "--format=%b", "HEAD"]);
    assert!(body.contains("1 commit. 1\nof 3 hosts") || body.contains("1 commit."), "{body}");
    assert!(body.contains("- reads: cpu-reads"), "{body}");
    assert!(world.status().contains("other/flake.nix") && world.status().contains("staged.nix"));
}

#[test]
fn an_edited_lock_is_left_and_an_update_not_committed_is_none() {
    let world = World::new();
    world.release("two");
    let third = world.release("three");
    // By hand, as `nix flake update` would.
    let by_hand =
        nix(["flake", "update", "llama-cpp"]).current_dir(world.fleet.path()).output().unwrap();
    assert!(by_hand.status.success(), "{}", stderr(&by_hand));
    assert_eq!(world.locked(), third);
    let edited = world.lock();
    world.release("four");
    let (code, _, said) = world.run(&["update"]);
    assert!(code == 1 && said.contains("git checkout flake.lock"), "{said}");
    assert_eq!(world.lock(), edited);
    git(world.fleet.path(), &["checkout", "--quiet", "flake.lock"]);
    // Two in a row, none committed.
    assert_eq!(world.run(&["update", "--to", "b3"]).0, 0);
    assert_eq!(world.run(&["update"]).0, 0);
}

#[test]
fn inputs_that_cannot_be_updated_say_why() {
    let world = World::new();
    let before = world.lock();
    let refused = |status: i32, args: &[&str], words: &[&str]| {
        let (code, _, said) = world.run(&[&["update"], args].concat());
        assert_eq!(code, status, "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
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
    // Another one under way.
    let home = world.fleet.home();
    let name = world.fleet.path().to_str().unwrap().replace('/', "_");
    let busy = fs::File::create(home.join(format!("updates/{name}.busy"))).unwrap();
    busy.lock().unwrap();
    let (code, _, said) = world.run(&["update"]);
    assert!(code == 2 && said.contains("another update of"), "{said}");
    assert_eq!(world.lock(), before);
}

/// `XTASK_KILLS=50` is the trial that the project promises; the everyday test has fewer.
#[test]
fn killed_at_any_moment_the_lock_is_the_old_or_the_new_one() {
    let kills: u32 = std::env::var("XTASK_KILLS").map_or(8, |text| text.parse().unwrap());
    let world = World::new();
    world.put("needed", "2");
    let second = world.release("two");
    let (old, began) = (world.lock(), Instant::now());
    // One run tells how long there is to kill in, and what the new one is.
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
        // What is left in the folder is nobody's hindrance.
        if round % 4 == 3 {
            let (code, _, said) = world.run(&["update", "--to", "b2"]);
            assert_eq!(code, 0, "round {round}: {said}");
            assert_eq!(world.locked(), second);
            assert_eq!(world.status(), "M flake.lock");
            let (code, _, said) = world.run(&["check"]);
            assert_eq!(code, 0, "round {round}: {said}");
        }
    }
    eprintln!("{kills} kills within {whole:?}: {stayed} old, {moved} new");
}
