//! `update` under faults: Ctrl-C, a full disk, a read-only folder, a concurrent update. flake.lock
//! stays unchanged and the message says why.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::world::{World, git};
use crate::support::{Scratch, code, json, path_with_nix, skip, stderr};
use serde_json::json;

/// The build of `slow` takes a second, so that it can be interrupted.
const HOSTS: &str = r#"
    plain = host { variant = "cpu-plain"; manifest.rev = llama-cpp.rev; };
    slow = host { variant = "cpu-slow"; manifest.rev = llama-cpp.rev; script = "read x < ${llama-cpp}/content; sleep 1; echo $x > $out"; };
"#;

/// Nix accepts such a lock file and would build the fleet from another repository.
#[test]
fn a_lock_file_with_another_source_is_not_updated() {
    let redirected = |text: &str| {
        let mut lock: serde_json::Value = serde_json::from_str(text).unwrap();
        let locked = &mut lock["nodes"]["llama-cpp"]["locked"];
        *locked = json!({ "type": "github", "owner": "evil", "repo": "llama.cpp",
            "rev": locked["rev"], "narHash": locked["narHash"] });
        lock
    };
    let world = World::new();
    let good = world.lock();
    world.release("two");
    let bad = redirected(&good).to_string();
    world.fleet.write("flake.lock", &bad);
    let (code, report, message) = world.run(&["update"]);
    assert_eq!(code, 1, "{message}");
    assert_eq!(report["findings"][0]["code"], "lock-elsewhere", "{report}");
    assert!(message.contains("github:evil/llama.cpp"), "{message}");
    assert_eq!(world.lock(), bad);
    // Pinned hosts are locked in another file.
    world.fleet.write("flake.lock", &good);
    let locked = &redirected(&good)["nodes"]["llama-cpp"]["locked"];
    let pinned = json!({ "holds": { world.locked(): { "plain": { "locked": locked,
        "since": "2026-11-22", "failedWith": "b9", "failedAt": "build", "reason": "x" } } } });
    world.fleet.write("pinned_hosts.json", &pinned.to_string());
    let (code, report, message) = world.run(&["update", "--dry-run"]);
    assert_eq!(code, 1, "{message}");
    let finding = &report["findings"][0];
    assert_eq!(finding["code"], "lock-elsewhere", "{report}");
    assert!(
        finding["message"].as_str().unwrap().contains("for plain from github:evil"),
        "{finding}"
    );
}

/// `?`, `#` and `%` have a meaning in flake references.
#[test]
fn special_characters_in_the_fleets_path_work() {
    let world = World::new();
    let second = world.release("two");
    let beside = world.fleet.path().parent().unwrap();
    let fleet = beside.join("fleet?x=#y%20 z");
    for folder in [&fleet, &beside.join("fleet")] {
        let copied = Command::new("cp").arg("-r").args([world.fleet.path(), folder]).status();
        assert!(copied.unwrap().success());
    }
    fs::write(beside.join("fleet/flake.nix"), "the neighbour").unwrap();
    let run = |words: &str| {
        let mut command = crate::support::xtask(&fleet);
        let output = command.args(words.split(' ')).arg("--json").output().unwrap();
        assert_eq!(code(&output), 0, "{words}: {}", stderr(&output));
    };
    let lock = || fs::read_to_string(fleet.join("flake.lock")).unwrap();
    let before = lock();
    ["check", "build-all --no-link", "list", "matrix", "update"].into_iter().for_each(run);
    assert!(lock().contains(&second) && lock() != before);
    run("rollback");
    assert_eq!(lock(), before);
    assert_eq!(world.lock(), before);
}

/// Upstream's branches and tags can be listed but its history cannot be read.
#[test]
fn without_upstreams_history_update_makes_no_claims_about_it() {
    let world = World::new();
    let second = world.release("two");
    let tools = Scratch::new();
    let broken = "#!/bin/sh\ncase \"$*\" in *--git-dir*) echo 'fatal: disk full' >&2; exit 128;; esac\n\
                  exec /usr/bin/env -S \"PATH=${PATH#*:}\" git \"$@\"\n";
    tools.write_program("git", broken);
    let path = format!("{}:{}", tools.path().display(), path_with_nix().to_str().unwrap());
    let update = |to: &[&str]| {
        let output =
            world.xtask().arg("update").args(to).arg("--json").env("PATH", &path).output().unwrap();
        (code(&output), json(&output), stderr(&output))
    };
    // A hash that no branch or tag reaches.
    let unreachable = git(&world.upstream(), &["rev-parse", &format!("{second}~1^{{tree}}")]);
    let (code, report, message) = update(&["--to", &unreachable[..9]]);
    assert_eq!((code, &report["findings"][0]["code"]), (2, &json!("unreachable")), "{message}");
    assert!(message.contains("disk full") && !message.contains("has no tag"), "{message}");
    // The pin may be newer than the release.
    assert_eq!(world.run(&["update"]).0, 0);
    git(&world.upstream(), &["tag", "v0.1.0", "b1"]);
    let (code, report, message) = update(&["--stable"]);
    assert_eq!((code, &report["findings"][0]["code"]), (2, &json!("unreachable")), "{message}");
    assert!(message.contains("disk full") && message.contains("update --to v0.1.0"), "{message}");
    assert_eq!(world.locked(), second);
    let (code, _, message) = update(&["--to", "v0.1.0", "--dry-run"]);
    assert!(code == 0 && message.contains("cannot list upstream's changes"), "{message}");
}

/// The build edits flake.lock during the update.
#[test]
fn a_lock_file_that_changes_during_the_update_is_left_alone() {
    let hosts = r#"
        plain = host { variant = "cpu-plain"; manifest.rev = llama-cpp.rev; script = "read x < ${llama-cpp}/content; case $x in /*) echo '{ }' > $x;; esac; echo > $out"; };
    "#;
    let world = World::of(hosts);
    world.release(world.fleet.path().join("flake.lock").to_str().unwrap());
    let (code, _, message) = world.run(&["update"]);
    assert!(code == 2 && message.contains("flake.lock changed while the update ran"), "{message}");
    assert_eq!(world.lock(), "{ }\n");
}

#[test]
fn an_unmeasurable_bench_host_is_rejected_before_the_build() {
    let bare = r#"
        plain = host { variant = "cpu-plain"; manifest.rev = llama-cpp.rev; script = "read x < ${llama-cpp}/content; test $x != broken && echo $x > $out"; };
        bare = { options = { }; config = { }; };
    "#;
    let world = World::of(bare);
    world.release("broken");
    let (code, _, message) = world.run(&["update", "--bench", "bare"]);
    assert!(code == 2 && message.contains("bare has no llama.cpp that evaluates"), "{message}");
}

/// A kill between the renames of pin.json and flake.lock leaves this state.
#[test]
fn a_half_written_update_is_not_a_manual_edit() {
    let world = World::new();
    let fleet = world.fleet.path();
    world.fleet.write("pin.json", "{ \"builds\": {} }\n");
    git(fleet, &["add", "--all"]);
    git(fleet, &["commit", "--quiet", "--message=fleet"]);
    let two = world.release("two");
    assert_eq!(world.run(&["update"]).0, 0);
    let half = fs::read_to_string(fleet.join("pin.json")).unwrap();
    git(fleet, &["checkout", "--quiet", "flake.lock"]);
    assert_ne!(world.status(), "");
    // Any other difference is the user's edit.
    world.fleet.write("pin.json", &half.replace("{", "{ \"x\": 1,"));
    let (code, report, message) = world.run(&["update", "--commit"]);
    assert_eq!((code, &report["findings"][0]["code"]), (1, &json!("cannot-commit")), "{message}");
    world.fleet.write("pin.json", &half);
    let (code, _, message) = world.run(&["update", "--commit"]);
    assert_eq!(code, 0, "{message}");
    assert_eq!((world.locked(), world.status()), (two, String::new()));
}

#[test]
fn ctrl_c_leaves_the_old_or_the_new_lock_file() {
    let world = World::of(HOSTS);
    let old = world.lock();
    let mut whole = Duration::from_secs(2);
    let mut interrupted = 0;
    for round in 0..8u32 {
        // Each time another revision, or there would be nothing to build.
        let revision = world.release(&format!("content {round}"));
        let began = Instant::now();
        if round == 0 {
            assert_eq!(world.run(&["update"]).0, 0);
            whole = began.elapsed();
            fs::write(world.fleet.path().join("flake.lock"), &old).unwrap();
            continue;
        }
        let mut child = world.xtask();
        let child = child.arg("update").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let moment = whole.mul_f64(f64::from(round) / 8.0);
        while began.elapsed() < moment && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        let pid = child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).stderr(Stdio::null()).status();
        let output = child.wait_with_output().unwrap();
        let lock = world.lock();
        if lock == old {
            interrupted += 1;
            // SIGINT kills xtask until its handler is installed.
            assert!([130, -1].contains(&code(&output)), "round {round}: {}", stderr(&output));
            if code(&output) == 130 {
                assert!(stderr(&output).contains("flake.lock is unchanged"), "{}", stderr(&output));
            }
            assert_eq!(world.status(), "", "round {round}");
        } else {
            assert_eq!(world.locked(), revision, "round {round}: neither old nor new:\n{lock}");
            fs::write(world.fleet.path().join("flake.lock"), &old).unwrap();
        }
    }
    assert!(interrupted > 0, "no round was interrupted in time");
    // Files that interrupted updates left do not stop the next one.
    assert_eq!(world.run(&["update"]).0, 0);
}

#[test]
fn concurrent_updates_update_once() {
    let world = World::of(HOSTS);
    let second = world.release("two");
    let start = || {
        let mut child = world.xtask();
        child.arg("update").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let mut codes = both.each_ref().map(code);
    codes.sort_unstable();
    // Both succeed if the second starts after the first has ended; it then has nothing to do.
    assert!(codes == [0, 2] || codes == [0, 0], "{codes:?}: {}", stderr(&both[0]));
    let messages = format!("{}{}", stderr(&both[0]), stderr(&both[1]));
    assert!(messages.contains("another update of") || messages.contains("already"), "{messages}");
    assert_eq!((world.locked(), world.status()), (second, "M flake.lock".to_owned()));
}

#[test]
fn update_works_on_a_detached_head_with_the_builds_of_the_trial() {
    let world = World::of(HOSTS);
    git(world.fleet.path(), &["checkout", "--quiet", "--detach"]);
    let second = world.release("two");
    let (code, report, message) = world.run(&["update"]);
    assert_eq!((code, &report["lock"]), (0, &json!("updated")), "{message}");
    assert_eq!(world.locked(), second);
    // The updated fleet has exactly the derivations of the trial fleet.
    let (_, check, _) = world.run(&["check", "--no-cache"]);
    let trial = report["hosts"].as_array().unwrap().iter();
    let fleet = check["hosts"].as_array().unwrap().iter();
    let mut changed = 0;
    for (trial, fleet) in trial.zip(fleet) {
        assert_eq!((&trial["host"], &trial["after"]), (&fleet["host"], &fleet["drvPath"]));
        changed += i32::from(trial["before"] != trial["after"]);
    }
    assert_eq!(changed, 1);
}

/// A copy of a world's fleet in a tmpfs of limited size, which is unmounted when dropped.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Copies the fleet. An error says why this machine cannot mount a tmpfs.
    fn with(world: &World) -> Result<Self, String> {
        let folder = world.scratch.path().join("small");
        fs::create_dir_all(&folder).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=600k", "tmpfs"])
            .arg(&folder)
            .output();
        match mount {
            Ok(output) if output.status.success() => {}
            Ok(output) => return Err(format!("needs root: {}", stderr(&output))),
            Err(error) => return Err(format!("needs mount: {error}")),
        }
        let small = Self { folder };
        // Git's sample hooks are larger than everything else.
        fs::remove_dir_all(world.fleet.path().join(".git/hooks")).unwrap();
        let from = world.fleet.path().join(".");
        let copied = Command::new("cp").arg("-a").arg(from).arg(&small.folder).status();
        assert!(copied.unwrap().success());
        Ok(small)
    }

    /// Runs `update` there; returns its output and flake.lock before and after.
    fn update(&self, world: &World, args: &[&str]) -> (Output, Vec<u8>, Vec<u8>) {
        let lock = || fs::read(self.folder.join("flake.lock")).unwrap();
        let before = lock();
        let output =
            world.xtask().arg("update").args(args).current_dir(&self.folder).output().unwrap();
        (output, before, lock())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.folder).status();
    }
}

#[test]
fn a_full_or_read_only_disk_leaves_the_lock_file_unchanged() {
    let world = World::of(HOSTS);
    world.release("two");
    let small = match SmallDisk::with(&world) {
        Ok(small) => small,
        Err(why) => return skip(&why),
    };
    let fill = small.folder.join("fill");
    let mut bytes = 1 << 20;
    let mut filling = fs::File::create(&fill).unwrap();
    // Fill the disk to the last byte, in ever smaller pieces.
    while bytes > 0 {
        use std::io::Write as _;
        if filling.write_all(&vec![1; bytes]).is_err() {
            bytes /= 2;
        }
    }
    drop(filling);
    for args in [&[][..], &["--allow-partial"]] {
        let (output, before, after) = small.update(&world, args);
        let message = stderr(&output);
        assert_eq!((code(&output), before == after), (2, true), "{message}");
        assert!(message.contains("flake.lock") && message.contains("No space left"), "{message}");
    }
    fs::remove_file(&fill).unwrap();

    let remount = |how: &str| {
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", &format!("remount,{how}")]).arg(&small.folder).status();
        assert!(status.unwrap().success());
    };
    remount("ro");
    let (output, before, after) = small.update(&world, &[]);
    let message = stderr(&output);
    assert_eq!((code(&output), before == after), (2, true), "{message}");
    assert!(
        message.contains("flake.lock") && message.contains("Read-only file system"),
        "{message}"
    );
    assert!(temporary_files(&small.folder).is_empty(), "{:?}", temporary_files(&small.folder));
    remount("rw");
    let (output, before, after) = small.update(&world, &[]);
    assert_eq!((code(&output), before == after), (0, false), "{}", stderr(&output));
    assert!(temporary_files(&small.folder).is_empty(), "{:?}", temporary_files(&small.folder));
}

/// Lists xtask's temporary files.
fn temporary_files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".tmp")).collect()
}
