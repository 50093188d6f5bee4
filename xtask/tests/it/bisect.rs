//! `bisect` on generated histories with a mistake in them: real trees of llama.cpp, Git and Nix.

use std::fs;
use std::process::{Command, Output};

use crate::support::upstream::{Breakage, Plan, Upstream, git};
use crate::support::{Scratch, code, json as document, repository, stderr, xtask};
use serde_json::{Value, json};

/// A copy of this repository's fleet, locked to the first revision of an upstream.
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
        // The testbed writes a lock file with its stand-ins, which becomes the fleet's.
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

/// Runs `bisect` on a history whose commit `at` makes the mistake, checks that it is found, and
/// returns the upstream, the report and standard error.
fn found(breakage: Breakage, at: usize, plan: Plan, args: &[&str]) -> (Upstream, Value, String) {
    let dir = Scratch::new();
    let revision = plan.revision;
    let upstream = Upstream::create(dir.path(), &plan.with(breakage, at));
    let fleet = Fleet::of(&upstream, revision.trim_end_matches("-era"));
    let lock = fs::read(fleet.folder.path().join("flake.lock")).unwrap();
    let output =
        fleet.run(&[&["bisect", "--json", "--good", "b1", "--bad", "main"], args].concat());
    let (report, text) = (document(&output), stderr(&output));
    assert_eq!(code(&output), 0, "{report}\n{text}");
    assert_eq!(fs::read(fleet.folder.path().join("flake.lock")).unwrap(), lock);
    let first = &report["firstBad"];
    assert_eq!(first["rev"], json!(upstream.revs[at]), "{report}\n{text}");
    assert!(first["subject"].as_str().unwrap().starts_with(breakage.subject()), "{first}");
    assert_eq!(report["newestGood"]["rev"], json!(upstream.revs[at - 1]));
    assert_eq!((&report["ok"], &report["schema"]), (&json!(true), &json!(1)));
    (upstream, report, text)
}

fn judged(report: &Value) -> usize {
    report["judged"].as_array().unwrap().len()
}

#[test]
fn a_dependency_missing_in_nixpkgs_is_found_for_every_host() {
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
fn an_unfree_licence_is_found_for_the_affected_host() {
    let plan = Plan::new("2025-08", COMMITS);
    let (_upstream, report, _) = found(Breakage::LicenceList, 2, plan, &["--by", "eval"]);
    assert!(judged(&report) <= BOUND, "{report}");
    let cause = report["firstBad"]["cause"][0].as_str().unwrap();
    assert!(cause.starts_with("carbon: ") && cause.contains("unfree"), "{cause}");
}

#[test]
fn commits_that_do_not_parse_are_skipped() {
    let plan = Plan { unparsable: 10..12, ..Plan::new("2025-08", COMMITS) };
    let args = ["--by", "eval", "--host", "boron"];
    let (upstream, report, text) = found(Breakage::CudaAttribute, 18, plan, &args);
    let inconclusive: Vec<_> = report["judged"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["verdict"] == "untold")
        .map(|step| upstream.number(step["rev"].as_str().unwrap()))
        .collect();
    assert!(
        !inconclusive.is_empty() && inconclusive.iter().all(|number| (10..12).contains(number))
    );
    assert!(judged(&report) <= BOUND + inconclusive.len(), "{report}");
    assert_eq!(report["firstBad"]["cause"], json!(["boron: undefined variable 'cuda_runtime'"]));
    assert!(text.contains("inconclusive"), "{text}");
}

#[test]
fn a_generated_history_is_reproducible_and_has_its_mistakes() {
    let dir = Scratch::new();
    let plan =
        Plan { unparsable: 6..8, ..Plan::new("2025-08", 20).with(Breakage::MissingInput, 13) };
    let upstream = Upstream::create(dir.path(), &plan);
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
    // Names, dates and contents are fixed, so the newest commit has the same hash again.
    let again = Scratch::new();
    assert_eq!(Upstream::create(again.path(), &plan).newest(), upstream.newest());
}

#[test]
fn tags_and_releases_can_be_searched_instead_of_commits() {
    let plan = Plan::new("2025-08", COMMITS);
    let dir = Scratch::new();
    // Commit 11 has no build tag, 12 has.
    let upstream = Upstream::create(dir.path(), &plan.with(Breakage::MissingInput, 11));
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
fn a_merge_is_one_step_of_the_first_parent_history() {
    let plan = Plan { merge: Some(5), ..Plan::new("2025-08", 8) };
    let (_upstream, report, _) = found(Breakage::MissingInput, 5, plan, &["--host", "beryllium"]);
    assert_eq!(report["revisions"], 8, "{report}");
    assert_eq!(report["firstBad"]["commits"], 2, "{report}");
    assert_eq!(report["firstBad"]["packaging"], json!([".devops/nix/package.nix"]));
}

#[test]
fn a_good_end_that_is_bad_or_a_bad_end_that_is_good_is_an_error() {
    let dir = Scratch::new();
    let plan = Plan::new("2025-08", 8).with(Breakage::MissingInput, 4);
    let upstream = Upstream::create(dir.path(), &plan);
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
fn an_invalid_range_is_an_error() {
    let dir = Scratch::new();
    let upstream = Upstream::create(dir.path(), &Plan::new("2025-08", 4));
    let repository = upstream.repository();
    // A branch that diverged, and one without a common commit.
    let tree = git(repository, &["rev-parse", &format!("{}^{{tree}}", upstream.revs[1])]);
    let commit = |parents: &[&str]| {
        let args = ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit-tree", &tree];
        git(repository, &[&args[..], &["-m", "x"], parents].concat())
    };
    let (diverged, unrelated) = (commit(&["-p", &upstream.revs[1]]), commit(&[]));
    let fleet = Fleet::of(&upstream, "old");
    for (args, expected) in [
        (&["--good", "b1", "--bad", "b1"][..], "are the same revision"),
        (&["--good", "main", "--bad", "b1"], "swap them"),
        (&["--good", &diverged, "--bad", "main"], "they diverge at"),
        (&["--good", &unrelated, "--bad", "main"], "no commit in common"),
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
fn a_shallow_or_missing_history_is_an_error() {
    let dir = Scratch::new();
    let upstream = Upstream::create(&dir.path().join("whole"), &Plan::new("2025-08", 4));
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
    let text = stderr(&output);
    assert!(text.contains("cannot read the history of file:///nonexistent/llama.cpp"), "{text}");
}

/// The good builds have fixed contents, so a second test run finds them in the store.
#[test]
fn a_configure_error_is_found_by_building() {
    let plan = Plan::new("2025-08", 16);
    let args = ["--by", "build", "--host", "beryllium"];
    let (_upstream, report, _) = found(Breakage::ConfigureError, 1, plan, &args);
    // The good end had to be built too, since the result depends on it.
    assert!(judged(&report) <= 6, "{report}");
    let cause = report["firstBad"]["cause"][0].as_str().unwrap();
    assert!(cause.contains("CMake 3.99 or higher is required"), "{cause}");
    assert_eq!(report["firstBad"]["packaging"], json!(["CMakeLists.txt"]));
}

/// After the bad end only the CPU module is built, and only where its sources differ.
#[test]
fn a_compile_error_of_some_cpus_is_found_by_building() {
    let plan = Plan::new("2025-08", COMMITS);
    let args = ["--by", "build", "--host", "beryllium"];
    let (_upstream, report, text) = found(Breakage::CompileError, 13, plan, &args);
    assert!(judged(&report) <= BOUND, "{report}");
    let cause = report["firstBad"]["cause"][0].as_str().unwrap();
    assert!(cause.contains("vnni-dot-products.h: No such file"), "{cause}");
    eprintln!("{text}");
}

#[test]
#[ignore = "builds llama.cpp six times and measures it: minutes"]
fn a_slowdown_is_found_by_measuring() {
    let plan = Plan::new("2025-08", COMMITS);
    let args = ["--by", "bench", "--host", "local"];
    let (_upstream, report, text) = found(Breakage::SlowDown, 13, plan, &args);
    assert!(judged(&report) <= BOUND, "{report}");
    let cause = report["firstBad"]["cause"][0].as_str().unwrap();
    assert!(cause.starts_with("local: ") && cause.contains("% slower"), "{cause}");
    eprintln!("{text}");
}

/// Neither end is built.
#[test]
fn a_revision_with_the_same_parts_is_not_measured() {
    let dir = Scratch::new();
    // A commit that changes only the README.
    let upstream = Upstream::create(dir.path(), &Plan::new("2025-08", 1));
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
fn renamed_arguments_and_options_are_found() {
    for (breakage, expected) in [
        (Breakage::ArgumentRenamed, "takes no useVulkan, which selects vulkan"),
        (Breakage::OptionRenamed, "no longer declares GGML_AVX512_VNNI"),
    ] {
        let plan = Plan::new("2025-08", COMMITS);
        let (_upstream, report, _) = found(breakage, 7, plan, &["--by", "eval"]);
        assert!(judged(&report) <= BOUND, "{report}");
        let cause = report["firstBad"]["cause"][0].as_str().unwrap();
        assert!(cause.contains(expected), "{cause}");
    }
}

#[test]
fn apply_locks_the_newest_good_revision() {
    let dir = Scratch::new();
    let plan = Plan::new("2025-08", 8).with(Breakage::MissingInput, 2);
    let upstream = Upstream::create(dir.path(), &plan);
    let fleet = Fleet::of(&upstream, "old");
    // Only one host: the testbed cannot build GPU variants.
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
