//! `update --allow-partial`: hosts that fail are pinned, the others move, `check` warns, and
//! what works again is unpinned; with real Nix and real git.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::stderr;
use crate::support::world::{World, git, state};
use serde_json::Value;

/// `well` builds whatever it is, `picky` does not build `broken`, `needs` needs a file to
/// evaluate; each from the llama.cpp that it has. The package of `well` names its revision,
/// as every real one does.
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

/// The revision that each host has, by `list`.
fn revisions(world: &World) -> Vec<(String, String, bool)> {
    let (_, list, said) = world.run(&["list"]);
    let text = |value: &Value| value.as_str().unwrap_or("none").to_owned();
    let hosts = list["hosts"].as_array().unwrap_or_else(|| panic!("{said}"));
    hosts
        .iter()
        .map(|it| (text(&it["host"]), text(&it["rev"]), it["held"].as_bool().unwrap()))
        .collect()
}

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
fn a_host_that_fails_is_pinned_warned_about_and_unpinned() {
    let world = World::of(HOSTS);
    let first = world.locked();
    let second = world.release("broken");
    // Without the flag nothing moves.
    let (code, report, said) = world.run(&["update"]);
    assert_eq!((code, &report["failedAt"]), (1, &"build".into()), "{said}");
    assert_eq!(world.status(), "");

    let (code, report, said) = world.run(&["update", "--allow-partial", "--commit"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{said}");
    assert!(said.contains("PINNED: picky stays at b1, because the build fails"), "{said}");
    // The command that finds the commit is one that runs.
    let line = said.lines().find_map(|line| line.split_once("cargo xtask bisect ")).unwrap().1;
    let words: Vec<&str> = std::iter::once("bisect").chain(line.split_whitespace()).collect();
    let (code, bisected, told) = world.run(&words);
    assert_eq!((code, &bisected["firstBad"]["rev"]), (0, &second.clone().into()), "{told}");
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

    let (code, check, said) = world.run(&["check"]);
    assert_eq!((code, reminders(&check).len()), (0, 1), "{said}");
    let (host, reminder) = &reminders(&check)[0];
    assert!(host == "picky" && reminder.contains("pinned to llama.cpp b1"), "{reminder}");
    assert!(
        reminder.contains("since 20") && reminder.contains("b2 fails on this host"),
        "{reminder}"
    );
    assert!(said.contains("unpins it once it works"), "{said}");

    // Tried again where flake.lock is the newest already; it still fails.
    let lock = world.lock();
    let (code, report, said) = world.run(&["update"]);
    assert_eq!((code, state(&report, "picky"), world.lock()), (0, "held", lock.clone()), "{said}");
    assert_eq!(world.status(), "");

    // The next one fails for it too, and for another host: that one is none that may.
    git(&world.upstream(), &["rm", "--quiet", "needed"]);
    world.release("broken");
    let (code, report, said) = world.run(&["update"]);
    assert_eq!((code, &report["failedAt"]), (1, &"evaluate".into()), "{said}");
    let third = {
        let (code, _, said) = world.run(&["update", "--allow-partial"]);
        assert_eq!(code, 0, "{said}");
        world.locked()
    };
    let at = |name: &str| pinned(&world)["holds"][&third][name]["locked"]["rev"].clone();
    // Each stays where it was, not where flake.lock was.
    assert_eq!((at("picky"), at("needs")), (first.clone().into(), second.clone().into()));
    assert_eq!(reminders(&world.run(&["check"]).1).len(), 2);

    // Back, with one pinned host less; and forth again.
    assert_eq!(world.run(&["rollback"]).0, 0);
    let (_, check, said) = world.run(&["check"]);
    assert_eq!((world.locked(), reminders(&check).len()), (second.clone(), 1), "{said}");
    assert_eq!(world.run(&["rollback"]).0, 0);
    assert_eq!((world.locked(), reminders(&world.run(&["check"]).1).len()), (third, 2));

    // One that works for all.
    world.put("needed", "1");
    let good = world.release("good");
    let (code, report, said) = world.run(&["update"]);
    assert_eq!((code, report["released"].as_array().unwrap().len()), (0, 2), "{said}");
    assert!(said.contains("picky is unpinned"), "{said}");
    assert!(revisions(&world).iter().all(|(_, rev, pinned)| *rev == good && !pinned));
    assert!(reminders(&world.run(&["check"]).1).is_empty());
}

#[test]
fn a_fix_in_the_fleet_unpins_a_host_without_a_change_of_flake_lock() {
    let world = World::of(HOSTS);
    world.release("broken");
    assert_eq!(world.run(&["update", "--allow-partial", "--commit"]).0, 0);
    let lock = world.lock();
    let flake = world.fleet.path().join("flake.nix");
    let text = fs::read_to_string(&flake).unwrap();
    fs::write(&flake, text.replace("test $x != broken && ", "")).unwrap();
    let (code, report, said) = world.run(&["update", "--commit"]);
    assert_eq!((code, &report["released"][0]), (0, &"picky".into()), "{said}");
    assert_eq!((world.lock(), pinned(&world)["holds"].clone()), (lock, serde_json::json!({})));
    let subject = git(world.fleet.path(), &["show", "--no-patch", "--format=%s", "HEAD"]);
    assert_eq!(subject, "pinned_hosts.json: unpin picky");
    assert_eq!(world.status(), "M flake.nix");
}

/// As earlier versions left a fleet, with both files in overlays/llama-cpp/.
#[test]
fn files_in_the_old_places_are_read_and_moved_by_the_next_update() {
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

    let (code, check, said) = world.run(&["check"]);
    assert_eq!((code, reminders(&check).len()), (0, 1), "{said}");
    assert!(said.contains(old_hosts), "{said}");
    let range = ["--good", first.as_str(), "--bad", &second, "--host", "picky", "--by", "build"];
    let (code, bisected, said) = world.run(&[&["bisect"], &range[..]].concat());
    assert_eq!((code, &bisected["firstBad"]["rev"]), (0, &second.clone().into()), "{said}");
    assert_eq!(world.status(), "");

    // It fails again: picky stays pinned, in the new place.
    world.put("more", "1");
    let third = world.release("broken");
    let (code, _, said) = world.run(&["update", "--commit"]);
    assert_eq!((code, world.locked(), world.status()), (0, third.clone(), String::new()), "{said}");
    assert!(!fleet.join("overlays").join("llama-cpp").join("held.json").exists());
    assert!(!fleet.join(old_pin).exists());
    let numbers = fs::read_to_string(fleet.join("pin.json")).unwrap();
    assert!([&first, &second, &third].iter().all(|rev| numbers.contains(*rev)), "{numbers}");
    let (_, check, said) = world.run(&["check"]);
    assert_eq!(reminders(&check).len(), 1, "{said}");

    let (code, _, said) = world.run(&["rollback"]);
    assert_eq!((code, world.locked()), (0, second), "{said}");
    let at = revisions(&world).into_iter().find(|(host, ..)| host == "picky");
    assert_eq!(at, Some(("picky".into(), first, true)));
}

#[test]
fn a_host_that_cannot_be_pinned_is_refused() {
    // A fleet that does not read pinned_hosts.json.
    let world = World::of(&HOSTS.replace("source \"picky\"", "llama-cpp"));
    let before = world.lock();
    world.release("broken");
    let (code, report, said) = world.run(&["update", "--allow-partial"]);
    assert_eq!((code, &report["failedAt"]), (1, &"build".into()), "{said}");
    assert!(said.contains("picky cannot be pinned") && said.contains("fleet = self"), "{said}");
    // And one that would leave nobody.
    let alone = &HOSTS[HOSTS.find("    picky").unwrap()..HOSTS.find("    needs").unwrap()];
    let world_of_one = World::of(alone);
    world_of_one.release("broken");
    let (code, _, said) = world_of_one.run(&["update", "--allow-partial"]);
    assert!(code == 1 && said.contains("there is nothing to update"), "{said}");
    assert_eq!((world.status(), world_of_one.status()), (String::new(), String::new()));
    assert_eq!(world.lock(), before);
}

#[test]
fn check_finds_pinned_hosts_that_do_not_apply() {
    let world = World::of(HOSTS);
    world.release("broken");
    assert_eq!(world.run(&["update", "--allow-partial"]).0, 0);
    let file = world.fleet.path().join(PINNED);
    let text = fs::read_to_string(&file).unwrap();
    let said_of = |text: &str| {
        fs::write(&file, text).unwrap();
        let (code, _, said) = world.run(&["check"]);
        (code, said)
    };
    let (code, said) = said_of(&text.replace("\"picky\"", "\"piccy\""));
    assert!(code == 0 && said.contains("piccy is pinned") && said.contains("not a host"), "{said}");
    let (code, said) = said_of("{");
    assert!(code != 0, "{said}");
    // flake.lock moved by hand.
    fs::write(&file, &text).unwrap();
    git(world.fleet.path(), &["checkout", "--quiet", "flake.lock"]);
    let (code, said) = said_of(&text);
    assert!(code == 0 && said.contains("picky is no longer pinned"), "{said}");
}

/// pinned_hosts.json, pin.json and flake.lock are three files and one step: whatever the moment, each
/// host has the llama.cpp of before or that of after. `XTASK_KILLS=50` is the whole trial.
#[test]
fn killed_at_any_moment_a_partial_update_was_or_was_not() {
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
