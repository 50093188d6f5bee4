//! The GitHub workflows of this repository and of the template: security rules, and every command
//! run as plain shell in the testbed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{
    Scratch, XTASK, contained, copy_of_repository, json, nix, path_with_nix, repository, run,
    stderr, stdout,
};
use serde_json::Value;

fn workflows() -> Vec<(String, String)> {
    let mut found = vec![];
    for folder in [".github/workflows", "templates/fleet/.github/workflows"] {
        for entry in fs::read_dir(repository().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    assert_eq!(found.len(), 4, "a workflow was added: test it here");
    found
}

/// Returns every `run:` command in the file's order. Parses only the YAML that the files use: a
/// scalar on the same line, or an indented block.
fn commands(workflow: &str) -> Vec<String> {
    let lines: Vec<&str> = workflow.lines().collect();
    let mut found = vec![];
    for (at, line) in lines.iter().enumerate() {
        let Some((before, after)) = line.split_once("run: ") else { continue };
        if !before.chars().all(|c| c == ' ' || c == '-') {
            continue;
        }
        if after != "|" {
            found.push(after.to_owned());
            continue;
        }
        let block = lines[at + 1..].iter().take_while(|line| {
            line.is_empty() || line.len() - line.trim_start().len() > before.len()
        });
        let block: Vec<&str> = block.map(|line| line.trim_start_matches(' ')).collect();
        found.push(block.join("\n"));
    }
    found
}

#[test]
fn actions_are_pinned_and_commands_contain_no_expressions() {
    for (name, text) in workflows() {
        for line in text.lines().filter(|line| line.contains("uses:")) {
            let (_, pin) = line.split_once('@').unwrap();
            let (commit, version) =
                pin.split_once(" # v").unwrap_or_else(|| panic!("{name}: {line}"));
            assert!(commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit()), "{line}");
            assert!(!version.is_empty(), "{line}");
        }
        for command in commands(&text) {
            assert!(!command.contains("${{"), "{name}: an expression in a shell: {command}");
        }
        let permissions: Vec<&str> = text.lines().filter(|line| line.contains(": write")).collect();
        assert_eq!(permissions.is_empty(), name.ends_with("ci.yml"), "{name}: {permissions:?}");
        assert!(text.contains("\npermissions:\n  contents: read\n"), "{name}");
        assert!(!text.contains("pull_request_target"), "{name}");
        let jobs = text.matches("runs-on:").count();
        assert_eq!(
            text.matches("timeout-minutes:").count(),
            jobs,
            "{name}: a job without a timeout"
        );
    }
}

/// A job that builds upstream's code, with Nix or xtask, cannot write to the repository.
#[test]
fn jobs_that_build_have_no_write_permission() {
    for (name, text) in workflows() {
        let (_, jobs) = text.split_once("\njobs:\n").unwrap();
        let mut all = vec![String::new()];
        for line in jobs.lines() {
            if line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':') {
                all.push(String::new());
            }
            *all.last_mut().unwrap() += &format!("{line}\n");
        }
        for job in all.iter().filter(|job| job.contains(": write")) {
            assert!(!job.contains("xtask") && !job.contains("nix"), "{name}: {job}");
        }
    }
}

/// The first job of the update workflow passes its change to the second as a patch, which may change
/// only the pin files.
#[test]
fn the_update_workflow_passes_on_a_patch_of_pin_files() {
    let text = fs::read_to_string(repository().join(".github/workflows/update.yml")).unwrap();
    let commands = commands(&text);
    let find = |what: &str| commands.iter().find(|command| command.contains(what)).unwrap();
    let (make, apply) = (find("format-patch"), find("git am"));
    for (file, is_allowed) in [("flake.lock", true), ("pin.json", true), ("flake.nix", false)] {
        let runner = Runner::new();
        let base = Scratch::new();
        let git = |dir: &Path, args: &[&str]| {
            let user = ["-c", "user.name=Fleet", "-c", "user.email=fleet@localhost"];
            let output = Command::new("git").args(user).args(args).current_dir(dir).output();
            assert_ok(&output.unwrap(), &format!("{args:?}"));
        };
        base.write("flake.lock", "old\n");
        git(base.path(), &["init", "--quiet", "--initial-branch=main"]);
        git(base.path(), &["add", "--all"]);
        git(base.path(), &["commit", "--quiet", "--message=first"]);
        let clone = Scratch::new();
        let origin = base.path().to_str().unwrap();
        for name in ["update", "propose"] {
            git(clone.path(), &["clone", "--quiet", origin, name]);
        }
        let update = clone.path().join("update");
        assert_ok(&runner.step(&update, make, &[("BASE", "main")]), make);
        assert_eq!(runner.read("output"), "", "nothing to propose");
        fs::write(update.join(file), "new\n").unwrap();
        git(&update, &["add", "--all"]);
        git(&update, &["commit", "--quiet", "--message=flake.lock: llama-cpp b1 -> b2"]);
        assert_ok(&runner.step(&update, make, &[("BASE", "main")]), make);
        let output = runner.read("output");
        let env = [("BRANCH", "branch"), ("PATCH", output.trim().strip_prefix("patch=").unwrap())];
        let propose = clone.path().join("propose");
        let applied = runner.step(&propose, apply, &env);
        assert_eq!(applied.status.success(), is_allowed, "{file}: {}", stderr(&applied));
        let now = fs::read_to_string(propose.join(file)).unwrap_or_default();
        assert_eq!(now == "new\n", is_allowed, "{file}");
    }
}

/// The template's workflows differ only in how they call xtask, and do not run our tests.
#[test]
fn the_templates_workflows_run_the_same_commands() {
    let all: BTreeMap<String, String> = workflows().into_iter().collect();
    for file in ["ci.yml", "update.yml"] {
        let ours = commands(&all[&format!(".github/workflows/{file}")]);
        let ours: Vec<String> = ours
            .into_iter()
            .filter(|command| command != ".ci/run")
            .map(|command| command.replace("cargo xtask", "nix run .#xtask --"))
            .collect();
        let theirs = commands(&all[&format!("templates/fleet/.github/workflows/{file}")]);
        assert_eq!(theirs, ours, "{file}");
    }
}

/// A GitHub runner: its files, and a `cargo xtask` that runs the binary under test with the
/// testbed's inputs, because tests fetch nothing.
struct Runner {
    scratch: Scratch,
    path: String,
}

impl Runner {
    fn new() -> Self {
        let scratch = Scratch::new();
        let bin = scratch.path().join("bin");
        let program = |name: &str, text: &str| {
            scratch.write_program(&format!("bin/{name}"), &format!("#!/bin/sh\n{text}\n"));
        };
        program("cargo", &format!("[ \"$1\" = xtask ] && shift && exec {XTASK} \"$@\" --testbed"));
        // Makes no pull request but records the arguments.
        program("gh", &format!("printf '%s\\n' \"$@\" >> {}/gh", scratch.path().display()));
        fs::create_dir(scratch.path().join("temp")).unwrap();
        let path = format!("{}:{}", bin.display(), path_with_nix().to_str().unwrap());
        Self { scratch, path }
    }

    fn step(&self, dir: &Path, command: &str, env: &[(&str, &str)]) -> Output {
        let file = |name: &str| self.scratch.path().join(name);
        contained(Command::new("bash"), dir)
            .args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", command])
            .env("PATH", &self.path)
            .env("CI", "true")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_OUTPUT", file("output"))
            .env("GITHUB_ENV", file("env"))
            .env("GITHUB_STEP_SUMMARY", file("summary"))
            .env("GITHUB_WORKSPACE", dir)
            .env("RUNNER_TEMP", file("temp"))
            .envs(env.iter().copied())
            .output()
            .unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.scratch.path().join(name)).unwrap_or_default()
    }
}

fn assert_ok(output: &Output, command: &str) {
    assert!(output.status.success(), "{command}\n{}\n{}", stdout(output), stderr(output));
}

/// Runs check, the matrix and its jobs in order.
#[test]
fn the_ci_workflow_runs_as_plain_shell() {
    // Build the variant of `bench local`, which other tests need as well.
    let probed = json(&run(repository(), &["probe", "--local", "--json"]));
    let microarch = &probed["recommendation"]["microarch"];
    let options = format!("{{ enable = true; microarch = {microarch}; }}");
    let fleet = copy_of_repository(&[("box", &format!("{{ programs.llama-cpp = {options}; }}"))]);
    let runner = Runner::new();
    let text = fs::read_to_string(repository().join(".github/workflows/ci.yml")).unwrap();
    let commands: Vec<String> =
        commands(&text).into_iter().filter(|command| command != ".ci/run").collect();
    let [check, matrix, key, build] = &commands[..] else { panic!("{commands:#?}") };

    assert_ok(&runner.step(fleet.path(), check, &[]), check);
    assert!(fleet.path().join("check.xml").is_file());
    assert!(runner.read("summary").contains("1 of 1 hosts ok"), "{}", runner.read("summary"));
    assert_ok(&runner.step(fleet.path(), matrix, &[]), matrix);
    let output = runner.read("output");
    let jobs: Value = serde_json::from_str(output.trim().strip_prefix("matrix=").unwrap()).unwrap();
    let job = &jobs["include"][0];

    let cache = format!("file://{}/cache", runner.scratch.path().display());
    let secret = nix(["key", "generate-secret", "--key-name", "test-1"]).output().unwrap();
    assert_ok(
        &runner.step(fleet.path(), key, &[("KEY", &stdout(&secret)), ("CACHE", &cache)]),
        key,
    );
    let push = runner.read("env");
    let push = push.trim().strip_prefix("PUSH=").unwrap();
    let env = [
        ("HOSTS", job["hosts"].as_str().unwrap()),
        ("VARIANT", job["variant"].as_str().unwrap()),
        ("PUSH", push),
    ];
    let built = runner.step(fleet.path(), build, &env);
    assert_ok(&built, build);
    assert!(!stderr(&built).contains("unsigned"), "{}", stderr(&built));
    assert!(fleet.path().join("build.xml").is_file());
    assert!(runner.scratch.path().join("cache/nix-cache-info").is_file());
    // Without a cache, nothing is pushed.
    assert_ok(&runner.step(fleet.path(), build, &env[..2]), build);
}
