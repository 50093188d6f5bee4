//! `update --allow-partial` with real Nix and Git: failing hosts are pinned, the others are updated,
//! `check` warns, and hosts that work again are unpinned.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::stderr;
use crate::support::world::{World, git, state};
use serde_json::Value;

/// `well` always builds, `picky` fails to build the release `broken`, `needs` reads a file to
/// evaluate; each uses the llama.cpp revision of its host. Like every real package, that of `well`
/// contains its revision.
const HOSTS: &str = r#"
    well = let s = source "well"; in host { variant = "cpu-well"; manifest.rev = s.rev; script = "echo ${s.rev} > $out"; };
    picky = let s = source "picky"; in host { variant = "cpu-picky"; manifest.rev = s.rev; script = "read x < ${s}/content; test $x != broken && echo $x > $out"; };
    needs = let s = source "needs"; in host { variant = "cpu-needs"; manifest.rev = s.rev; script = "echo ${builtins.readFile "${s}/needed"} ${s.rev} > $out"; };
"#;

const PINNED: &str = "pinned_hosts.json";

fn pinned(world: &World) -> Value {
    let text = fs::read_to_string(world.fleet.path().join(PINNED)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Returns host, revision and whether it is pinned, from `list`.
fn revisions(world: &World) -> Vec<(String, String, bool)> {
    let (_, list, message) = world.run(&["list"]);
    let text = |value: &Value| value.as_str().unwrap_or("none").to_owned();
    let hosts = list["hosts"].as_array().unwrap_or_else(|| panic!("{message}"));
    hosts
        .iter()
        .map(|it| (text(&it["host"]), text(&it["rev"]), it["held"].as_bool().unwrap()))
        .collect()
}

/// Returns host and message of each warning about a pinned host.
fn reminders(check: &Value) -> Vec<(String, String)> {
    let hosts = check["hosts"].as_array().unwrap().iter();
    let of = |host: &Value| -> Vec<(String, String)> {
        let findings = host["findings"].as_array().unwrap().iter();
        let pinned = findings.filter(|it| it["code"] == "pinned-host");
        let name = host["host"].as_str().unwrap();
        pinned.map(|it| (name.to_owned(), it["message"].as_str().unwrap().to_owned())).collect()
    };
    hosts.flat_map(of).collect()
}

#[test]
fn a_failing_host_is_pinned_and_unpinned_once_it_works() {
    let world = World::of(HOSTS);
    let first = world.locked();
    let second = world.release("broken");
    // Without the flag nothing changes.
    let (code, report, message) = world.run(&["update"]);
    assert_eq!((code, &report["failedAt"]), (1, &"build".into()), "{message}");
    assert_eq!(world.status(), "");

    let (code, report, message) = world.run(&["update", "--allow-partial", "--commit"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{message}");
    assert!(message.contains("PINNED: picky stays at b1, because the build fails"), "{message}");
    // The suggested bisect command works.
    let line = message.lines().find_map(|line| line.split_once("cargo xtask bisect ")).unwrap().1;
    let args: Vec<&str> = std::iter::once("bisect").chain(line.split_whitespace()).collect();
    let (code, bisected, messages) = world.run(&args);
    assert_eq!((code, &bisected["firstBad"]["rev"]), (0, &second.clone().into()), "{messages}");
    let states = ["well", "picky", "needs"].map(|host| state(&report, host));
    assert_eq!(states, ["changed", "held", "changed"], "{report}");
    assert_eq!(
        revisions(&world),
        [
            ("needs".into(), second.clone(), false),
            ("picky".into(), first.clone(), true),
            ("well".into(), second.clone(), false)
        ]
    );
    let body = git(world.fleet.path(), &["show", "--format=%B", "--name-only", "HEAD"]);
    assert!(body.starts_with("flake.lock: llama-cpp b1 -> b2, without picky"), "{body}");
    assert!(body.contains("PINNED at b1: build fails"), "{body}");
    assert!(body.contains(PINNED) && body.contains("flake.lock\n"), "{body}");
    assert_eq!(world.status(), "");

    let (code, check, message) = world.run(&["check"]);
    assert_eq!((code, reminders(&check).len()), (0, 1), "{message}");
    let (host, reminder) = &reminders(&check)[0];
    assert!(host == "picky" && reminder.contains("pinned to llama.cpp b1"), "{reminder}");
    assert!(
        reminder.contains("since 20") && reminder.contains("b2 fails on this host"),
        "{reminder}"
    );
    assert!(message.contains("unpins it once it works"), "{message}");

    // An update tries picky again although flake.lock is already the newest; it still fails.
    let lock = world.lock();
    let (code, report, message) = world.run(&["update"]);
    assert_eq!(
        (code, state(&report, "picky"), world.lock()),
        (0, "held", lock.clone()),
        "{message}"
    );
    assert_eq!(world.status(), "");

    // The next release also fails for another host, which needs --allow-partial again.
    git(&world.upstream(), &["rm", "--quiet", "needed"]);
    world.release("broken");
    let (code, report, message) = world.run(&["update"]);
    assert_eq!((code, &report["failedAt"]), (1, &"evaluate".into()), "{message}");
    let third = {
        let (code, _, message) = world.run(&["update", "--allow-partial"]);
        assert_eq!(code, 0, "{message}");
        world.locked()
    };
    let at = |name: &str| pinned(&world)["holds"][&third][name]["locked"]["rev"].clone();
    // Each host stays at its own revision, not at that of flake.lock.
    assert_eq!((at("picky"), at("needs")), (first.clone().into(), second.clone().into()));
    assert_eq!(reminders(&world.run(&["check"]).1).len(), 2);

    // Roll back, to one pinned host, and forward again.
    assert_eq!(world.run(&["rollback"]).0, 0);
    let (_, check, message) = world.run(&["check"]);
    assert_eq!((world.locked(), reminders(&check).len()), (second.clone(), 1), "{message}");
    assert_eq!(world.run(&["rollback"]).0, 0);
    assert_eq!((world.locked(), reminders(&world.run(&["check"]).1).len()), (third, 2));

    // A release that works for all hosts.
    world.put("needed", "1");
    let good = world.release("good");
    let (code, report, message) = world.run(&["update"]);
    assert_eq!((code, report["released"].as_array().unwrap().len()), (0, 2), "{message}");
    assert!(message.contains("picky is unpinned"), "{message}");
    assert!(revisions(&world).iter().all(|(_, rev, pinned)| *rev == good && !pinned));
    assert!(reminders(&world.run(&["check"]).1).is_empty());
}

#[test]
fn a_fix_in_the_fleet_unpins_a_host_without_changing_flake_lock() {
    let world = World::of(HOSTS);
    world.release("broken");
    assert_eq!(world.run(&["update", "--allow-partial", "--commit"]).0, 0);
    let lock = world.lock();
    let flake = world.fleet.path().join("flake.nix");
    let text = fs::read_to_string(&flake).unwrap();
    fs::write(&flake, text.replace("test $x != broken && ", "")).unwrap();
    let (code, report, message) = world.run(&["update", "--commit"]);
    assert_eq!((code, &report["released"][0]), (0, &"picky".into()), "{message}");
    assert_eq!((world.lock(), pinned(&world)["holds"].clone()), (lock, serde_json::json!({})));
    let subject = git(world.fleet.path(), &["show", "--no-patch", "--format=%s", "HEAD"]);
    assert_eq!(subject, "pinned_hosts.json: unpin picky");
    assert_eq!(world.status(), "M flake.nix");
}

/// Earlier versions wrote both files to overlays/llama-cpp/.
#[test]
fn files_at_old_paths_are_read_and_moved_by_the_next_update() {
    let world = World::of(HOSTS);
    let first = world.locked();
    let second = world.release("broken");
    assert_eq!(world.run(&["update", "--allow-partial"]).0, 0);
    let fleet = world.fleet.path();
    let (old_pin, old_hosts) = ("overlays/llama-cpp/pin.json", "overlays/llama-cpp/held.json");
    world.fleet.write(old_pin, &format!("{{ \"builds\": {{ \"{second}\": 2 }} }}\n"));
    fs::rename(fleet.join(PINNED), fleet.join(old_hosts)).unwrap();
    git(fleet, &["add", "--all"]);
    git(fleet, &["commit", "--quiet", "--message", "old"]);

    let (code, check, message) = world.run(&["check"]);
    assert_eq!((code, reminders(&check).len()), (0, 1), "{message}");
    assert!(message.contains(old_hosts), "{message}");
    let range = ["--good", first.as_str(), "--bad", &second, "--host", "picky", "--by", "build"];
    let (code, bisected, message) = world.run(&[&["bisect"], &range[..]].concat());
    assert_eq!((code, &bisected["firstBad"]["rev"]), (0, &second.clone().into()), "{message}");
    assert_eq!(world.status(), "");

    // picky fails again and stays pinned, in the new file.
    world.put("more", "1");
    let third = world.release("broken");
    let (code, _, message) = world.run(&["update", "--commit"]);
    assert_eq!(
        (code, world.locked(), world.status()),
        (0, third.clone(), String::new()),
        "{message}"
    );
    assert!(!fleet.join("overlays").join("llama-cpp").join("held.json").exists());
    assert!(!fleet.join(old_pin).exists());
    let numbers = fs::read_to_string(fleet.join("pin.json")).unwrap();
    assert!([&first, &second, &third].iter().all(|rev| numbers.contains(*rev)), "{numbers}");
    let (_, check, message) = world.run(&["check"]);
    assert_eq!(reminders(&check).len(), 1, "{message}");

    let (code, _, message) = world.run(&["rollback"]);
    assert_eq!((code, world.locked()), (0, second), "{message}");
    let at = revisions(&world).into_iter().find(|(host, ..)| host == "picky");
    assert_eq!(at, Some(("picky".into(), first, true)));
}

#[test]
fn an_update_is_rejected_if_a_failing_host_cannot_be_pinned() {
    // A fleet that does not read pinned_hosts.json.
    let world = World::of(&HOSTS.replace("source \"picky\"", "llama-cpp"));
    let before = world.lock();
    world.release("broken");
    let (code, report, message) = world.run(&["update", "--allow-partial"]);
    assert_eq!((code, &report["failedAt"]), (1, &"build".into()), "{message}");
    assert!(
        message.contains("picky cannot be pinned") && message.contains("fleet = self"),
        "{message}"
    );
    // A fleet whose only host fails.
    let alone = &HOSTS[HOSTS.find("    picky").unwrap()..HOSTS.find("    needs").unwrap()];
    let world_of_one = World::of(alone);
    world_of_one.release("broken");
    let (code, _, message) = world_of_one.run(&["update", "--allow-partial"]);
    assert!(code == 1 && message.contains("there is nothing to update"), "{message}");
    assert_eq!((world.status(), world_of_one.status()), (String::new(), String::new()));
    assert_eq!(world.lock(), before);
}

#[test]
fn check_warns_about_pins_that_do_not_apply() {
    let world = World::of(HOSTS);
    world.release("broken");
    assert_eq!(world.run(&["update", "--allow-partial"]).0, 0);
    let file = world.fleet.path().join(PINNED);
    let text = fs::read_to_string(&file).unwrap();
    let check_with = |text: &str| {
        fs::write(&file, text).unwrap();
        let (code, _, message) = world.run(&["check"]);
        (code, message)
    };
    let (code, message) = check_with(&text.replace("\"picky\"", "\"piccy\""));
    assert!(
        code == 0 && message.contains("piccy is pinned") && message.contains("not a host"),
        "{message}"
    );
    let (code, message) = check_with("{");
    assert!(code != 0, "{message}");
    // flake.lock moved by hand.
    fs::write(&file, &text).unwrap();
    git(world.fleet.path(), &["checkout", "--quiet", "flake.lock"]);
    let (code, message) = check_with(&text);
    assert!(code == 0 && message.contains("picky is no longer pinned"), "{message}");
}

/// An update changes pinned_hosts.json, pin.json and flake.lock in one step: after a kill, all hosts
/// have the llama.cpp from before or all from after. `XTASK_KILLS=50` runs the full test.
#[test]
fn a_kill_leaves_all_of_a_partial_update_or_none() {
    let kills: u32 = std::env::var("XTASK_KILLS").map_or(6, |text| text.parse().unwrap());
    let world = World::of(HOSTS);
    let fleet = world.fleet.path();
    world.fleet.write("pin.json", "{ \"builds\": { } }\n");
    git(fleet, &["add", "--all"]);
    git(fleet, &["commit", "--quiet", "--message", "pin"]);
    let before = revisions(&world);
    world.release("broken");
    let began = Instant::now();
    assert_eq!(world.run(&["update", "--allow-partial"]).0, 0);
    let (new, whole, after) = (world.lock(), began.elapsed(), revisions(&world));
    assert!(before != after && after.iter().any(|(_, _, pinned)| *pinned));
    let (mut stayed, mut moved) = (0, 0);
    for round in 0..kills {
        git(fleet, &["reset", "--quiet", "--hard"]);
        let _ = fs::remove_file(fleet.join(PINNED));
        let old = world.lock();
        let mut child = world.xtask();
        child.args(["update", "--allow-partial"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = child.spawn().unwrap();
        let part = f64::from(round) / f64::from(kills);
        let moment = whole.mul_f64(if round % 3 == 0 { part } else { 0.8 + 0.3 * part });
        let started = Instant::now();
        while started.elapsed() < moment && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let lock = world.lock();
        assert!(lock == old || lock == new, "round {round}: neither old nor new:\n{lock}");
        let now = revisions(&world);
        let expected = if lock == old { &before } else { &after };
        assert_eq!(&now, expected, "round {round}");
        if lock == old {
            stayed += 1;
            let output = world.xtask().args(["update", "--allow-partial"]).output().unwrap();
            assert!(output.status.success(), "round {round}: {}", stderr(&output));
            assert_eq!(revisions(&world), after, "round {round}");
        } else {
            moved += 1;
        }
    }
    eprintln!("{kills} kills within {whole:?}: {stayed} old, {moved} new");
}
