//! `perf` on the testbed: every budget is measured, and a missed budget is an error.

use std::path::Path;
use std::process::Command;

use crate::support::world::git;
use crate::support::{Scratch, code, json, repository, run, stderr};

#[test]
fn perf_check_measures_every_budget() {
    let args = ["perf", "check", "--testbed", "--json", "--hosts", "2", "--runs", "1"];
    let output = run(repository(), &args);
    let report = json(&output);
    assert_eq!(report["command"], "perf", "{}", stderr(&output));
    let ratios = report["ratios"].as_array().unwrap();
    for what in ["nothing changed", "README edited", "one host edited", "cold /", "peak memory"] {
        let ratio = ratios.iter().find(|r| r["name"].as_str().unwrap().contains(what)).unwrap();
        let (value, budget) = (ratio["value"].as_f64().unwrap(), ratio["budget"].as_f64().unwrap());
        assert!(value > 0.0 && ratio["samples"].as_array().unwrap().len() == 1, "{ratio}");
        assert_eq!(ratio["ok"], value <= budget, "{ratio}");
    }
    let all = ratios.iter().all(|ratio| ratio["ok"] == true);
    assert_eq!((report["ok"].as_bool().unwrap(), code(&output)), (all, i32::from(!all)));
}

#[test]
fn perf_build_measures_every_budget_with_uncached_builds() {
    let scratch = Scratch::new();
    // The folder is not a flake: `perf build` generates its builds.
    let args = ["perf", "build", "--json", "--steps", "8", "--lines", "210", "--runs", "1"];
    let output = run(scratch.path(), &args);
    let report = json(&output);
    let ratios = report["ratios"].as_array().unwrap_or_else(|| panic!("{}", stderr(&output)));
    assert_eq!(ratios.len(), 6, "{ratios:?}");
    for ratio in ratios {
        let name = ratio["name"].as_str().unwrap();
        let (value, budget) = (ratio["value"].as_f64().unwrap(), ratio["budget"].as_f64().unwrap());
        assert_eq!(ratio["ok"], value <= budget, "{ratio}");
        assert_eq!(ratio["samples"].as_array().unwrap().len(), 1, "{ratio}");
        let (subject, yardstick) = (&ratio["samples"][0][0], &ratio["samples"][0][1]);
        let (subject, yardstick) = (subject.as_f64().unwrap(), yardstick.as_f64().unwrap());
        if name.contains("that wait") {
            // No build was cached: each side waited for its eight steps.
            assert!(budget < 1.03 && subject > 0.2 && yardstick > 0.2, "{ratio}");
        } else if name.contains("CPU time") {
            // 210 lines at 208 lines a second; xtask uses less CPU time than has passed.
            assert!(budget < 0.021 && yardstick > 0.9, "{ratio}");
            assert!(subject > 0.0 && subject < yardstick, "{ratio}");
        }
    }
    let all = ratios.iter().all(|ratio| ratio["ok"] == true);
    assert_eq!((report["ok"].as_bool().unwrap(), code(&output)), (all, i32::from(!all)));
}

/// Makes `folder` a Git repository, as `--nixpkgs` requires.
fn commit(folder: &Path) {
    git(folder, &["init", "--quiet"]);
    git(folder, &["add", "--all"]);
    let user = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
    git(folder, &[&user[..], &["commit", "--quiet", "-m", "x"]].concat());
}

#[test]
fn perf_check_measures_hosts_of_another_nixpkgs() {
    let scratch = Scratch::new();
    let nixpkgs = scratch.path().join("nixpkgs");
    let from = repository().join("testbed/nixpkgs");
    assert!(Command::new("cp").arg("-r").args([&from, &nixpkgs]).status().unwrap().success());
    // The roles set options that the testbed's Nixpkgs does not have.
    scratch.write("nixpkgs/.version", "25.11\n");
    scratch.write(
        "nixpkgs/nixos/lib/eval-config.nix",
        "args: import ../eval-config.nix ({ lib = import ../../lib; extraModules = [ { _module.check = false; } ]; } // args)\n",
    );
    commit(&nixpkgs);
    let mut args = vec!["perf", "check", "--testbed", "--json", "--hosts", "3", "--runs", "1"];
    args.extend(["--nixpkgs", nixpkgs.to_str().unwrap()]);
    let output = run(repository(), &args);
    let report = json(&output);
    let ratios = report["ratios"].as_array().unwrap_or_else(|| panic!("{}", stderr(&output)));
    assert_eq!(ratios.len(), 5, "{ratios:?}");
    for ratio in ratios {
        assert!(ratio["name"].as_str().unwrap().starts_with("3 real hosts, "), "{ratio}");
        assert!(ratio["value"].as_f64().unwrap() > 0.0, "{ratio}");
    }
}

#[test]
fn an_invalid_nixpkgs_is_rejected() {
    let scratch = Scratch::new();
    let folder = scratch.path().to_str().unwrap();
    let args = ["perf", "check", "--testbed", "--hosts", "2", "--nixpkgs", folder];
    let output = run(repository(), &args);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("it has no nixos/lib/eval-config.nix"), "{output:?}");
    scratch.write("nixos/lib/eval-config.nix", "{ }\n");
    let output = run(repository(), &args);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("is not a Git repository"), "{output:?}");
}
