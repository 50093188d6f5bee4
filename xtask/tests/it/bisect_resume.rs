//! The verdicts of earlier runs that `bisect` reuses.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bisect::{BOUND, COMMITS, Fleet};
use crate::support::sshd::Sshd;
use crate::support::upstream::{Breakage, Plan, Upstream};
use crate::support::{Scratch, code, json as document, stderr};
use serde_json::{Value, json};

#[test]
fn a_killed_search_resumes() {
    let dir = Scratch::new();
    let plan = Plan::new("2025-08", COMMITS).with(Breakage::MissingInput, 13);
    let upstream = Upstream::create(dir.path(), &plan);
    let fleet = Fleet::of(&upstream, "old");
    let bisect = ["bisect", "--json", "--host", "beryllium"];
    let journal = || {
        // Not the temporary file that is being written beside it.
        let mut files = fs::read_dir(fleet.folder.home().join("bisect")).ok()?.flatten();
        let file = files.find(|it| it.path().extension().is_some_and(|it| it == "json"))?;
        let text = fs::read(file.path()).ok()?;
        Some(serde_json::from_slice::<Value>(&text).unwrap()["steps"].as_array().unwrap().len())
    };
    // Once with Ctrl-C, once with SIGKILL, each after one more step.
    for (signal, steps) in [("-INT", 1), ("-KILL", 2)] {
        let mut child = fleet
            .command()
            .args(bisect)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while journal().unwrap_or(0) < steps {
            assert!(child.try_wait().unwrap().is_none(), "it ended before {steps} steps");
            assert!(started.elapsed() < Duration::from_secs(120));
            std::thread::sleep(Duration::from_millis(5));
        }
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        if signal == "-INT" {
            assert_eq!(code(&output), 130);
        }
    }
    let before = journal().unwrap();
    let output = fleet.run(&bisect);
    let report = document(&output);
    assert_eq!(report["firstBad"]["rev"], json!(upstream.revs[13]), "{report}");
    let steps = report["judged"].as_array().unwrap();
    let earlier = steps.iter().filter(|step| step["earlier"] == true).count();
    assert!(earlier == before && earlier >= 2 && steps.len() <= BOUND, "{report}");
    // Another run reuses every verdict. After a change of the lock file or of the fleet, none is.
    let again = document(&fleet.run(&bisect));
    assert!(again["judged"].as_array().unwrap().iter().all(|step| step["earlier"] == true));
    let lock = fleet.folder.path().join("flake.lock");
    let text = fs::read_to_string(&lock).unwrap();
    fs::write(&lock, text.replace("\"nodes\": {", "\"nodes\": {\"x\": {},")).unwrap();
    let fresh = document(&fleet.run(&bisect));
    assert!(fresh["judged"].as_array().unwrap().iter().all(|step| step["earlier"].is_null()));
    let host = fleet.folder.path().join("hosts/beryllium/default.nix");
    let text = fs::read_to_string(&host).unwrap();
    fs::write(&host, text.replace("znver4", "znver3")).unwrap();
    let fresh = document(&fleet.run(&bisect));
    assert!(fresh["judged"].as_array().unwrap().iter().all(|step| step["earlier"].is_null()));
}

/// A package with the same parts gets a verdict without being built or measured.
#[test]
fn measurements_of_another_machine_are_not_reused() {
    let dir = Scratch::new();
    // A commit that changes only the README.
    let upstream = Upstream::create(dir.path(), &Plan::new("2025-08", 1));
    let fleet = Fleet::of(&upstream, "old");
    let sshd = Sshd::start();
    let earlier = |place: &[&str]| {
        let args =
            ["bisect", "--json", "--good=b1", "--bad=main", "--by=bench", "--host=beryllium"];
        let mut command = fleet.command();
        command.args(args).args(place).env("NIX_SSHOPTS", sshd.options());
        let output = command.output().unwrap();
        assert!(code(&output) < 2, "{}", stderr(&output));
        document(&output)["judged"][0]["earlier"].clone()
    };
    assert_eq!([&["--local"][..], &["--local"]].map(earlier), [Value::Null, json!(true)]);
    assert_eq!(earlier(&["--target", &sshd.host]), Value::Null);
}
