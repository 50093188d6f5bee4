//! Progress of real builds with dependencies, on a terminal and without one.

use crate::build_all::slow_fleet;
use crate::support::builders::try_signal;
use crate::support::{code, fleet, json, run, stderr, terminal, xtask};

const LLAMA_BENCH: &str = include_str!("../fixtures/llama-bench/new.jsonl");

const NEEDY: &str = r#"
    a = host { variant = "one"; needs = package { name = "shared-1"; script = "echo '[1/2] x'; sleep 3; echo > $out"; }; };
    b = host { variant = "two"; needs = package { name = "shared-1"; script = "echo '[1/2] x'; sleep 3; echo > $out"; }; };
    c = host { variant = "lost"; needs = package { name = "gone-1"; script = "echo 'no such header'; exit 1"; }; };
    d = host { variant = "loud"; script = "printf '\\033[2J::error::boo\\n##[error]x\\n'; head -c 2000000 /dev/zero | tr '\\0' y; echo; exit 1"; };
"#;

#[test]
fn plain_output_names_failed_dependencies_and_hosts() {
    let fleet = fleet(NEEDY);
    let mut build = xtask(fleet.path());
    build.args(["build-all", "--json", "--max-jobs", "1"]).env("FORCE_HYPERLINK", "1");
    let output = build.output().unwrap();
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let message = stderr(&output);
    assert!(message.contains("gone-1 failed after"), "{message}");
    assert!(message.contains("needed by lost (c)"), "{message}");
    assert!(message.contains("for d\n  │ : :error::boo\n  │ ## [error]x\n  │ yyy"), "{message}");
    assert!(message.contains("… (1998000 bytes more)"), "the long line is cut with a mark");
    assert!(message.len() < 30_000 && !message.contains('\x1b'), "{} bytes", message.len());
    assert_eq!(message.matches("no such header").count(), 1, "printed once: {message}");

    // The log file is complete, and build times are stored for the next estimate.
    let report = json(&output);
    let variants = report["variants"].as_array().unwrap();
    let loud = variants.iter().find(|variant| variant["variant"] == "loud").unwrap();
    let log = std::fs::read_to_string(loud["log"].as_str().unwrap()).unwrap();
    assert!(log.contains(&"y".repeat(2_000_000)), "{} bytes", log.len());
    let builds = std::fs::read_to_string(fleet.home().join("builds.jsonl")).unwrap();
    let names: Vec<String> = builds
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|record| record["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["llama-cpp-one", "llama-cpp-two", "shared-1"], "{builds}");
}

#[test]
fn progress_bars_are_removed_before_the_report() {
    let fleet = fleet(NEEDY);
    let mut build = xtask(fleet.path());
    build.args(["build-all", "--max-jobs", "1"]);
    build.env("FORCE_HYPERLINK", "1").env_remove("NO_COLOR");
    let session = terminal::run(&mut build, 100, 60);
    let link = "\x1b]8;;file://";
    assert_eq!(session.text().matches(link).count(), 4, "two logs, when they fail and at the end");
    let screens: Vec<String> = session.screens().iter().map(|screen| screen.contents()).collect();
    let end = screens.last().unwrap();
    assert_eq!(session.status.code(), Some(1), "{end}");
    let seen = |what: &str| screens.iter().any(|screen| screen.contains(what));
    assert!(seen("  └ shared-1") && seen("waiting for shared-1"), "{end}");
    assert!(end.contains("gone-1 failed after") && end.contains("VARIANT"), "{end}");
    assert!(!end.contains('%') && !end.contains('└'), "{end}");
}

#[test]
fn messages_above_the_bars_wrap_between_words() {
    let fleet = fleet("a-host-of-its-own = host { variant = \"lost\"; script = \"exit 1\"; };");
    let session = terminal::run(xtask(fleet.path()).arg("build-all"), 40, 30);
    let end = session.screens().pop().unwrap().contents();
    assert!(end.contains("lost failed after 0:00, for\na-host-of-its-own\n"), "{end}");
}

/// Text to copy and output of other programs keep their lines.
#[test]
fn files_and_logs_do_not_wrap_on_a_narrow_terminal() {
    let long = "one two three four five six seven eight nine ten eleven twelve";
    let fleet = fleet(&format!("a = host {{ script = \"echo {long}; exit 1\"; }};"));
    assert_eq!(code(&run(fleet.path(), &["build-all"])), 1);
    fleet.write("hosts/default.nix", "{\n}\n");
    for (args, line) in [
        (vec!["log", "a"], long),
        (vec!["new-host", "box", "--dry-run"], "  # users.users.root.openssh.authorizedKeys"),
    ] {
        let session = terminal::run(xtask(fleet.path()).args(args), 40, 30);
        let text = session.text();
        let found = text.lines().find(|it| it.contains(line));
        let width = found.map(|line| line.trim_end().chars().count());
        assert!(width.is_some_and(|width| width > 50), "{text}");
    }
}

/// Bars are removed although the terminal prints `^C` after the last one.
#[test]
fn ctrl_c_removes_the_progress_bars() {
    let slow = r#"a = host { variant = "a-name-that-is-long-enough-for-any-row"; script = "echo '[3/9] x'; sleep 60"; };"#;
    let fleet = slow_fleet(slow, "echo >$out", "echo >$out");
    for (args, what) in [
        (["check", "--no-cache"], "evaluating"),
        (["build-all", "--no-link"], "3/9"),
        (["check", "--watch"], "waiting for a change"),
    ] {
        let mut command = xtask(fleet.path());
        let session = terminal::interrupt(command.args(args), (90, 30), what, |pid| {
            try_signal("INT", pid);
        });
        assert_eq!(session.status.code(), Some(130));
        let screens = session.screens();
        let end = screens.last().unwrap().contents();
        assert!(end.contains("interrupted") && !end.contains("evaluating"), "{end}");
        assert!(!end.contains("3/9") && !end.contains('%'), "{end}");
        assert!(!end.lines().any(|line| line.starts_with("^C")), "{end}");
    }
}

/// Bars contain names of hosts and output of targets.
#[test]
fn terminal_escapes_in_progress_bars_are_removed() {
    let progress = "llama-bench: benchmark \\033]0;title\\007\\342\\200\\2561/2: seen\\n";
    let recorded = LLAMA_BENCH.replace('\'', "");
    let fleet = fleet(&format!(
        "a = host {{ variant = \"cpu-a\"; script = ''\nmkdir -p $out/bin\n\
         cat >$out/bin/llama-bench <<'END'\n#!/bin/sh\nfor i in 1 2 3; do\nprintf '{progress}' >&2\n\
         sleep 0.5\ndone\ncat <<'JSON'\n{recorded}JSON\nEND\nchmod +x $out/bin/llama-bench\n''; }};\n\
         \"\u{1b}]0;title\u{7}\u{202e}se\u{9b}2Jen\" = host {{ }};"
    ));
    for args in [&["check", "--no-cache"][..], &["bench", "a", "--local", "--wait", "--rounds=1"]] {
        let session = terminal::run(xtask(fleet.path()).args(args), 100, 40);
        let text = session.text();
        assert!(text.contains("se") && text.contains("en"), "{args:?}: {text:?}");
        for acts in ["\u{1b}]0", "\u{7}", "\u{202e}", "\u{9b}"] {
            assert!(!text.contains(acts), "{args:?}: {text:?}");
        }
    }
}
