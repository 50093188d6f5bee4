//! Evaluation of many hosts with many errors in one run: each host has its own state.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;

use crate::support::world::git;
use crate::support::{Scratch, code, fleet, json, nix_program, run, stderr, stdout, xtask};

#[test]
fn eight_errors_among_32_hosts_are_reported_for_exactly_those_hosts() {
    // Name, body, state, code. Each body is one line, so that its error has the host's line.
    let errors = [
        ("h03", r#"host { variant = throw "no such chip"; }"#, "eval-error", "eval-error"),
        ("h07", "assert 1 == 2; host { }", "eval-error", "eval-error"),
        ("h08", "host { variant = ({ }).nothing; }", "eval-error", "missing-attribute"),
        ("h12", "host { variant = 1 + \"a\"; }", "eval-error", "eval-error"),
        ("h17", "let x = x; in x", "eval-error", "infinite-recursion"),
        ("h18", r#"host { variant = abort "gave up"; }"#, "eval-error", "abort"),
        (
            "h25",
            "host { variant = let l = builtins.genList (x: x) 20000; in toString (builtins.foldl' (a: _: builtins.foldl' (b: _: b + 1) a l) 0 l); }",
            "timeout",
            "timeout",
        ),
        (
            "h32",
            "host { variant = builtins.substring 0 3 (builtins.foldl' (s: _: s + s) \"cpu-cpu-\" (builtins.genList (x: x) 29)); }",
            "out-of-memory",
            "out-of-memory",
        ),
    ];
    let faulty: BTreeMap<_, _> = errors.iter().map(|error| (error.0, error)).collect();
    let names: Vec<String> = (1..=32).map(|n| format!("h{n:02}")).collect();
    let body = |name: &str| match faulty.get(name) {
        Some((_, body, ..)) => (*body).to_owned(),
        None => format!("host {{ variant = \"cpu-{name}\"; }}"),
    };
    let lines: Vec<String> =
        names.iter().map(|name| format!("      {name} = {};", body(name))).collect();
    let fleet = fleet(&lines.join("\n"));
    let output = run(
        fleet.path(),
        &["check", "--json", "--timeout", "8", "--max-memory", "600M", "--jobs", "2"],
    );
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    let hosts = report["hosts"].as_array().unwrap();
    assert_eq!(hosts.len(), 32);
    let text = fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    for host in hosts {
        let name = host["host"].as_str().unwrap();
        let Some((_, body, state, code)) = faulty.get(name) else {
            assert_eq!(host["state"], "ok", "{host}");
            continue;
        };
        assert_eq!(host["state"], *state, "{host}");
        let finding = &host["findings"][0];
        assert_eq!(finding["code"], *code, "{host}");
        // A killed evaluator reports no line.
        if *state == "eval-error" {
            let line = 1 + text.lines().position(|line| line.contains(body)).unwrap();
            assert_eq!((&finding["file"], &finding["line"]), (&"flake.nix".into(), &line.into()));
        }
    }
}

#[test]
fn a_host_that_needs_more_memory_than_its_share_gets_all_of_it() {
    // Some 200 MB: more than a quarter of 600M, less than all of it.
    let fleet = fleet(
        r#"
        big = host { variant = builtins.substring 0 3 (builtins.foldl' (s: _: s + s) "cpu-cpu-" (builtins.genList (x: x) 24)); };
        other = host { };
        "#,
    );
    let args = ["check", "--json", "--jobs", "4", "--max-memory", "600M"];
    let output = run(fleet.path(), &args);
    assert_eq!(code(&output), 0, "{}\n{}", stderr(&output), stdout(&output));
    let output = run(fleet.path(), &["check", "--json", "--no-cache", "--max-memory", "100M"]);
    assert_eq!(json(&output)["hosts"][0]["state"], "out-of-memory");
    assert_eq!(json(&output)["hosts"][1]["state"], "ok");
}

/// Runs `check` with a Nix whose evaluators run `fault`, a piece of bash, for each `$line` of their
/// standard error. Returns the exit code, and the state and error code of the three hosts.
fn check_with(fault: &str) -> (i32, Vec<(String, String)>) {
    let fleet = fleet(
        "aa = host { variant = \"a\"; }; bad = host { variant = \"b\"; }; zz = host { variant = \"z\"; };",
    );
    let bin = Scratch::new();
    let script = format!(
        r#"#!/bin/bash
case "$*" in *'mark = '*) ;; *) exec '{nix}' "$@" ;; esac
exec 3>&2
'{nix}' "$@" 2> >(while IFS= read -r line; do {fault}; printf '%s\n' "$line" >&3; done)
status=$?
# Nix may end before the loop reads the line for the fault.
wait $!
exit $status
"#,
        nix = nix_program().display()
    );
    bin.write_program("nix", &script);
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    let mut check = xtask(fleet.path());
    check.args(["check", "--json", "--jobs", "1"]).env("PATH", path);
    // Twice: the cache must not have a result of the failed run.
    check.output().unwrap();
    let output = check.output().unwrap();
    let state = |host: &serde_json::Value| {
        let code = host["findings"][0]["code"].as_str().unwrap_or_default().to_owned();
        (host["state"].as_str().unwrap().to_owned(), code)
    };
    let hosts = json(&output)["hosts"].as_array().unwrap().iter().map(state).collect();
    (code(&output), hosts)
}

fn states(of: [(&str, &str); 3]) -> Vec<(String, String)> {
    of.into_iter().map(|(state, code)| (state.to_owned(), code.to_owned())).collect()
}

#[test]
fn a_killed_evaluator_fails_only_its_host() {
    let kill = r#"case "$line" in *' begin "bad"'*) kill -9 $$; exit ;; esac"#;
    let expected = states([("ok", ""), ("out-of-memory", "out-of-memory"), ("ok", "")]);
    assert_eq!(check_with(kill), (1, expected));
}

#[test]
fn truncated_output_fails_only_its_host() {
    let half = r#"case "$line" in *' done '*'"host":"bad"'*) line="${line:0:80}" ;; esac"#;
    let expected = states([("ok", ""), ("eval-error", "bad-eval-output"), ("ok", "")]);
    assert_eq!(check_with(half), (1, expected));
}

#[test]
fn an_evaluator_without_output_is_an_error() {
    let expected = states([("eval-error", "bad-eval-output"); 3]);
    assert_eq!(check_with("continue"), (1, expected));
}

/// Its name is not interpreted by Nix or a shell.
#[test]
fn a_folder_with_special_characters_in_its_name_is_read() {
    let scratch = fleet(r#"neighbour = host { };"#);
    let text = fs::read_to_string(scratch.path().join("flake.nix")).unwrap();
    let mine = text.replace("neighbour = host", "mine = host");
    scratch.write("fleet/flake.nix", &text);
    let names: [&[u8]; 8] = [
        b"fleet?x",
        b"fleet#x",
        b"fleet^x",
        b"fleet:x",
        b"fleet%20x",
        b"fleet x",
        b"\xff\xfe",
        b"nixpkgs",
    ];
    for (index, name) in names.into_iter().enumerate() {
        let folder = scratch.path().join(OsStr::from_bytes(name));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("flake.nix"), &mine).unwrap();
        if index % 2 == 0 {
            git(&folder, &["init", "--quiet"]);
            git(&folder, &["add", "--all"]);
        }
        let link = scratch.path().join(format!("link{index}"));
        symlink(&folder, &link).unwrap();
        // From inside, with a path without ./, and through a link.
        let link = link.file_name().unwrap().to_owned();
        for flake in [None, Some(OsString::from_vec(name.to_vec())), Some(link)] {
            let current_dir = if flake.is_none() { folder.as_path() } else { scratch.path() };
            let Ok(flake) = flake.map(OsString::into_string).transpose() else { continue };
            let mut call = xtask(current_dir);
            call.args(["check", "--json"]);
            call.args(flake.iter().flat_map(|flake| ["--flake", flake]));
            let output = call.output().unwrap();
            assert_eq!(code(&output), 0, "{folder:?} {flake:?}: {}", stderr(&output));
            let report = json(&output);
            assert_eq!(report["hosts"][0]["host"], "mine", "{folder:?} {flake:?}: {report}");
            assert_eq!(report["hosts"].as_array().unwrap().len(), 1);
        }
    }
}
