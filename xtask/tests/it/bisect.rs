//! `bisect` on histories with planted mistakes: real trees of llama.cpp, real Git, real Nix.

use std::fs;
use std::process::{Command, Output};

use crate::support::upstream::{Breakage, Plan, Upstream, git};
use crate::support::{Scratch, code, json as document, repository, stderr, xtask};
use serde_json::{Value, json};

/// The fleet of this repository, locked to the first revision of an upstream.
pub struct Fleet {
    pub folder: Scratch,
}

impl Fleet {
    pub fn of(upstream: &Upstream, revision: &str) -> Self {
        let fleet = Self { folder: Scratch::new() };
        let listed = git(repository(), &["ls-files", "--", ".", ":!xtask", ":!docs"]);
        for file in listed.lines() {
            fleet.folder.write(file, &fs::read_to_string(repository().join(file)).unwrap());
        }
        git(fleet.folder.path(), &["init", "--quiet"]);
        git(fleet.folder.path(), &["add", "--all"]);
        // The stand-ins, as the testbed has them; then as if they were locked for good.
        let output = fleet.run(&["check", "beryllium", &format!("--testbed={revision}")]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let locks = fs::read_dir(fleet.folder.home().join("locks")).unwrap();
        let lock =
            locks.map(|entry| entry.unwrap().path()).find(|it| it.extension().unwrap() == "lock");
        let mut lock: Value = serde_json::from_slice(&fs::read(lock.unwrap()).unwrap()).unwrap();
        let locked = &mut lock["nodes"]["llama-cpp"]["locked"];
        assert_eq!(locked["rev"], json!(upstream.revs[0]));
        locked["url"] = json!(format!("file://{}", upstream.repository().display()));
        locked.as_object_mut().unwrap().remove("ref");
        fleet.folder.write("flake.lock", &format!("{lock:#}\n"));
        fleet
    }

    pub fn command(&self) -> Command {
        let mut command = xtask(self.folder.path());
        command.env(
            "NIX_CONFIG",
            "experimental-features = nix-command flakes\nsandbox = false\nsubstituters =\nmax-jobs = 1",
        );
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap()
    }
}

/// Commits after the revision's tree.
pub const COMMITS: usize = 20;
/// ceil(log2 20) + 1.
pub const BOUND: usize = 6;

/// Searches a history with this mistake in it, and answers what was found.
fn found(breakage: Breakage, at: usize, plan: Plan, args: &[&str]) -> (Upstream, Value, String) {
    let dir = Scratch::new();
    let revision = plan.revision;
    let upstream = Upstream::plant(dir.path(), &plan.with(breakage, at));
    let fleet = Fleet::of(&upstream, revision.trim_end_matches("-era"));
    let lock = fs::read(fleet.folder.path().join("flake.lock")).unwrap();
    let output =
        fleet.run(&[&["bisect", "--json", "--good", "b1", "--bad", "main"], args].concat());
    let (report, said) = (document(&output), stderr(&output));
    assert_eq!(code(&output), 0, "{report}\n{said}");
    assert_eq!(fs::read(fleet.folder.path().join("flake.lock")).unwrap(), lock);
    let first = &report["firstBad"];
    assert_eq!(first["rev"], json!(upstream.revs[at]), "{report}\n{said}");
    assert!(first["subject"].as_str().unwrap().starts_with(breakage.subject()), "{first}");
    assert_eq!(report["newestGood"]["rev"], json!(upstream.revs[at - 1]));
    assert_eq!((&report["ok"], &report["schema"]), (&json!(true), &json!(1)));
    (upstream, report, said)
}

fn judged(report: &Value) -> usize {
    report["judged"].as_array().unwrap().len()
}

#[test]
fn a_package_that_nixpkgs_lacks_is_found_for_every_host() {
    let plan = Plan::new("2025-08", COMMITS);
    let (_upstream, report, _) = found(Breakage::MissingInput, 13, plan, &["--by", "eval"]);
    assert!(judged(&report) <= BOUND, "{report}");
    let first = &report["firstBad"];
    let cause = first["cause"][0].as_str().unwrap();
    assert!(cause.starts_with("beryllium, boron, carbon, nitrogen: "), "{cause}");
    assert!(cause.contains("shader-debugger-headers"), "{cause}");
    assert_eq!(first["packaging"], json!([".devops/nix/package.nix"]));
    assert_eq!(first["lines"], json!(["+  shader-debugger-headers,"]));
    assert_eq!(first["author"], "Grace Sample");
}

#[test]
fn an_unfree_licence_is_found_for_the_host_that_it_refuses() {
    let plan = Plan::new("2025-08", COMMITS);
    let (_upstream, report, _) = found(Breakage::LicenceList, 2, plan, &["--by", "eval"]);
    assert!(judged(&report) <= BOUND, "{report}");
    let cause = report["firstBad"]["cause"][0].as_str().unwrap();
    assert!(cause.starts_with("carbon: ") && cause.contains("unfree"), "{cause}");
}

#[test]
fn what_does_not_even_parse_is_walked_around_and_another_host_is_not_asked() {
    let plan = Plan { untold: 10..12, ..Plan::new("2025-08", COMMITS) };
    let args = ["--by", "eval", "--host", "boron"];
    let (upstream, report, said) = found(Breakage::CudaAttribute, 18, plan, &args);
    let untold: Vec<_> = report["judged"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["verdict"] == "untold")
        .map(|step| upstream.number(step["rev"].as_str().unwrap()))
        .collect();
    assert!(!untold.is_empty() && untold.iter().all(|number| (10..12).contains(number)));
    assert!(judged(&report) <= BOUND + untold.len(), "{report}");
    assert_eq!(report["firstBad"]["cause"], json!(["boron: undefined variable 'cuda_runtime'"]));
    assert!(said.contains("inconclusive"), "{said}");
}

#[test]
fn a_planted_history_is_the_same_everywhere_and_has_its_mistake_where_it_should() {
    let dir = Scratch::new();
    let plan = Plan { untold: 6..8, ..Plan::new("2025-08", 20).with(Breakage::MissingInput, 13) };
    let upstream = Upstream::plant(dir.path(), &plan);
    assert_eq!(upstream.revs.len(), 21);
    let package = |number: usize| {
        let file = format!("{}:.devops/nix/package.nix", upstream.revs[number]);
        git(upstream.repository(), &["show", &file])
    };
    for number in 0..=20 {
        let text = package(number);
        assert_eq!(text.contains("shader-debugger-headers"), number >= 13, "{number}");
        assert_eq!(text.contains("\nlet let"), (6..8).contains(&number), "{number}");
    }
    let tags = git(upstream.repository(), &["tag", "--list", "b*"]);
    assert_eq!(tags.lines().count(), 1 + 15, "{tags}");
    let build =
        |number: usize| git(upstream.repository(), &["describe", "--tags", &upstream.revs[number]]);
    assert_eq!((build(0), build(20)), ("b1".into(), "b21".into()));
    // Names, dates and contents are fixed: the newest commit stands for them all.
    let again = Scratch::new();
    assert_eq!(Upstream::plant(again.path(), &plan).newest(), upstream.newest());
}

#[test]
fn tags_alone_are_searched_and_then_the_commits_between_two_of_them() {
    let plan = Plan::new("2025-08", COMMITS);
    let dir = Scratch::new();
    // Commit 11 has no build tag, 12 has.
    let upstream = Upstream::plant(dir.path(), &plan.with(Breakage::MissingInput, 11));
    let fleet = Fleet::of(&upstream, "old");
    let bisect = ["bisect", "--json", "--bad", "b21", "--host", "beryllium"];
    let report = document(&fleet.run(&[&bisect[..], &["--tags"]].concat()));
    assert_eq!(report["firstBad"]["rev"], json!(upstream.revs[12]), "{report}");
    assert_eq!(report["firstBad"]["commits"], 2, "{report}");
    assert_eq!(report["revisions"], 15, "{report}");
    assert!(judged(&report) <= 5, "{report}");
    let (good, bad) = (upstream.revs[10].as_str(), upstream.revs[12].as_str());
    let finer = ["bisect", "--json", "--host", "beryllium", "--good", good, "--bad", bad];
    let report = document(&fleet.run(&finer));
    assert_eq!(report["firstBad"]["rev"], json!(upstream.revs[11]), "{report}");
    for (version, at) in [("v0.1.0", 2), ("v0.2.0", 6), ("v0.3.0", 12), ("v0.4.0", 18)] {
        git(upstream.repository(), &["tag", version, &upstream.revs[at]]);
    }
    let ends = ["--releases", "--good", "v0.1.0", "--bad", "v0.4.0", "--host", "beryllium"];
    let report = document(&fleet.run(&[&["bisect", "--json"][..], &ends].concat()));
    let (bad, good) = (&report["firstBad"]["release"], &report["newestGood"]["release"]);
    assert_eq!((&report["revisions"], bad, good), (&json!(3), &json!("0.3.0"), &json!("0.2.0")));
}

#[test]
fn a_merge_is_one_step_of_the_main_line() {
    let plan = Plan { merge: Some(5), ..Plan::new("2025-08", 8) };
    let (_upstream, report, _) = found(Breakage::MissingInput, 5, plan, &["--host", "beryllium"]);
    assert_eq!(report["revisions"], 8, "{report}");
    assert_eq!(report["firstBad"]["commits"], 2, "{report}");
    assert_eq!(report["firstBad"]["packaging"], json!([".devops/nix/package.nix"]));
}

#[test]
fn ends_that_are_not_what_they_are_called_are_told() {
    let dir = Scratch::new();
    let plan = Plan::new("2025-08", 8).with(Breakage::MissingInput, 4);
    let upstream = Upstream::plant(dir.path(), &plan);
    let fleet = Fleet::of(&upstream, "old");
    let bisect = |args: &[&str]| {
        let output = fleet.run(&[&["bisect", "--json", "--host", "beryllium"], args].concat());
        assert_eq!(code(&output), 1, "{args:?}: {}", stderr(&output));
        let report = document(&output);
        assert_eq!(report["ok"], false);
        assert_eq!(report["firstBad"], Value::Null);
        report["findings"][0].clone()
    };
    let finding = bisect(&["--good", "b1", "--bad", &upstream.revs[2]]);
    assert_eq!(finding["code"], "bad-is-good", "{finding}");
    assert!(finding["help"].as_str().unwrap().contains("--by build"), "{finding}");
    let finding = bisect(&["--good", &upstream.revs[5], "--bad", "main"]);
    assert_eq!(finding["code"], "good-is-bad", "{finding}");
    assert!(finding["message"].as_str().unwrap().contains("shader-debugger-headers"), "{finding}");
}

#[test]
fn what_names_no_stretch_of_the_history_is_told() {
    let dir = Scratch::new();
    let upstream = Upstream::plant(dir.path(), &Plan::new("2025-08", 4));
    let repository = upstream.repository();
    // A branch that left the main line, and one that has nothing to do with it.
    let tree = git(repository, &["rev-parse", &format!("{}^{{tree}}", upstream.revs[1])]);
    let commit = |words: &[&str]| {
        let who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit-tree", &tree];
        git(repository, &[&who[..], &["-m", "x"], words].concat())
    };
    let (aside, alone) = (commit(&["-p", &upstream.revs[1]]), commit(&[]));
    let fleet = Fleet::of(&upstream, "old");
    for (args, expected) in [
        (&["--good", "b1", "--bad", "b1"][..], "are the same revision"),
        (&["--good", "main", "--bad", "b1"], "swap them"),
        (&["--good", &aside, "--bad", "main"], "they diverge at"),
        (&["--good", &alone, "--bad", "main"], "no commit in common"),
        (&["--good", "b7777"], "no revision, tag or branch \"b7777\""),
        (&["--bad=--all"], "no revision, tag or branch"),
        (&["--host", "berylium"], "did you mean beryllium?"),
        (&["--by", "speed"], "bench:PERCENT"),
        (&["--by", "bench"], "pass --host"),
        (&["--local"], "pass `--by bench`"),
    ] {
        let output = fleet.run(&[&["bisect"], args].concat());
        assert_eq!(code(&output), 2, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
    }
    let output = fleet.run(&["bisect", "--json", "--input", "lama-cpp"]);
    assert_eq!(code(&output), 1);
    assert_eq!(document(&output)["findings"][0]["code"], "no-such-input");
}

#[test]
fn a_history_that_is_cut_off_or_gone_is_told() {
    let dir = Scratch::new();
    let upstream = Upstream::plant(&dir.path().join("whole"), &Plan::new("2025-08", 4));
    let fleet = Fleet::of(&upstream, "old");
    let shallow = dir.path().join("shallow");
    let url = format!("file://{}", upstream.repository().display());
    git(dir.path(), &["clone", "--quiet", "--depth=2", &url, shallow.to_str().unwrap()]);
    let lock = fs::read_to_string(fleet.folder.path().join("flake.lock")).unwrap();
    let elsewhere = format!("file://{}", shallow.display());
    fleet.folder.write("flake.lock", &lock.replace(&url, &elsewhere));
    let output = fleet.run(&["bisect", "--bad", "HEAD"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("git fetch --unshallow"), "{}", stderr(&output));
    fleet.folder.write("flake.lock", &lock.replace(&url, "file:///nonexistent/llama.cpp"));
    let output = fleet.run(&["bisect"]);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(said.contains("cannot read the history of file:///nonexistent/llama.cpp"), "{said}");
}

/// The builds that are good are of fixed content, so they are in the store the next time.
#[test]
fn a_configure_error_is_found_by_building() {
    let plan = Plan::new("2025-08", 16);
    let args = ["--by", "build", "--host", "beryllium"];
    let (_upstream, report, _) = found(Breakage::ConfigureError, 1, plan, &args);
    // The good end had to be built as well, since the answer hangs on it.
    assert!(judged(&report) <= 6, "{report}");
    let cause = report["firstBad"]["cause"][0].as_str().unwrap();
    assert!(cause.contains("CMake 3.99 or higher is required"), "{cause}");
    assert_eq!(report["firstBad"]["packaging"], json!(["CMakeLists.txt"]));
}

/// Only the CPU's module is built after the bad end, and only where its sources differ.
#[test]
fn a_compile_error_of_some_cpus_is_found_by_building() {
    let plan = Plan::new("2025-08", COMMITS);
    let args = ["--by", "build", "--host", "beryllium"];
    let (_upstream, report, said) = found(Breakage::CompileError, 13, plan, &args);
    assert!(judged(&report) <= BOUND, "{report}");
    let cause = report["firstBad"]["cause"][0].as_str().unwrap();
    assert!(cause.contains("vnni-dot-products.h: No such file"), "{cause}");
    eprintln!("{said}");
}

#[test]
#[ignore = "builds llama.cpp six times and measures it: minutes"]
fn a_slow_down_is_found_by_measuring() {
    let plan = Plan::new("2025-08", COMMITS);
    let args = ["--by", "bench", "--host", "local"];
    let (_upstream, report, said) = found(Breakage::SlowDown, 13, plan, &args);
    assert!(judged(&report) <= BOUND, "{report}");
    let cause = report["firstBad"]["cause"][0].as_str().unwrap();
    assert!(cause.starts_with("local: ") && cause.contains("% slower"), "{cause}");
    eprintln!("{said}");
}

/// Neither end is built for that.
#[test]
fn a_revision_of_the_same_parts_is_not_measured() {
    let dir = Scratch::new();
    // Touches the README.
    let upstream = Upstream::plant(dir.path(), &Plan::new("2025-08", 1));
    let fleet = Fleet::of(&upstream, "old");
    let output = fleet.run(&[
        "bisect", "--json", "--good", "b1", "--bad", "main", "--by", "bench", "--host", "local",
    ]);
    let report = document(&output);
    let [step] = &report["judged"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!(step["verdict"], "good", "{report}");
    assert_eq!(step["why"], "local: has the same parts as b1", "{report}");
    assert!(step["measured"].is_null(), "{report}");
    assert!(!stderr(&output).contains("building"), "{}", stderr(&output));
}

#[test]
fn what_no_host_says_a_word_about_is_found_too() {
    for (breakage, words) in [
        (Breakage::ArgumentRenamed, "takes no useVulkan, which selects vulkan"),
        (Breakage::OptionRenamed, "no longer declares GGML_AVX512_VNNI"),
    ] {
        let plan = Plan::new("2025-08", COMMITS);
        let (_upstream, report, _) = found(breakage, 7, plan, &["--by", "eval"]);
        assert!(judged(&report) <= BOUND, "{report}");
        let cause = report["firstBad"]["cause"][0].as_str().unwrap();
        assert!(cause.contains(words), "{cause}");
    }
}

#[test]
fn the_newest_good_revision_is_locked_by_the_transaction_of_update() {
    let dir = Scratch::new();
    let plan = Plan::new("2025-08", 8).with(Breakage::MissingInput, 2);
    let upstream = Upstream::plant(dir.path(), &plan);
    let fleet = Fleet::of(&upstream, "old");
    // Alone: the testbed cannot build what has a GPU.
    fleet.folder.write(
        "hosts/default.nix",
        "{ beryllium = { system = \"x86_64-linux\"; target = null; hardware = null; }; }\n",
    );
    let output = fleet.run(&["bisect", "--json", "--bad", "main", "--apply"]);
    let report = document(&output);
    assert_eq!(code(&output), 0, "{report}\n{}", stderr(&output));
    assert_eq!(report["applied"], true);
    let lock = fs::read_to_string(fleet.folder.path().join("flake.lock")).unwrap();
    let lock: Value = serde_json::from_str(&lock).unwrap();
    assert_eq!(lock["nodes"]["llama-cpp"]["locked"]["rev"], json!(upstream.revs[1]));
    assert_eq!(code(&fleet.run(&["check", "--quiet"])), 0);
}
