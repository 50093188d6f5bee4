//! GitHub Actions: annotations, the step summary, and no workflow commands from the fleet's text.

use std::process::Output;

use crate::support::{Scratch, code, fleet, run, stderr, stdout, xtask};

const HOSTILE: &str = r#"
    "a|b, c: d%\n::add-mask::x" = host { variant = throw "1\n::error::taken\r::set-env name=A::B\n##[group]x | `<b>`"; };
    good = host { };
"#;

/// Runs xtask as in GitHub Actions, and returns its output and the step summary.
fn in_actions(fleet: &Scratch, args: &[&str]) -> (Output, String) {
    let files = Scratch::new();
    files.write("summary", "before\n");
    let summary = files.path().join("summary");
    let mut command = xtask(fleet.path());
    command.args(args).env("CI", "true").env("GITHUB_ACTIONS", "true");
    let output = command.env("GITHUB_STEP_SUMMARY", &summary).output().unwrap();
    (output, std::fs::read_to_string(summary).unwrap())
}

/// The lines that the runner reads as workflow commands, by the rules of its ActionCommand.cs.
fn commands(text: &str) -> Vec<&str> {
    let lines = text.split(['\n', '\r']);
    lines.filter(|line| line.trim_start().starts_with("::") || line.contains("##[")).collect()
}

#[test]
fn a_finding_is_the_only_workflow_command() {
    let fleet = fleet(HOSTILE);
    for args in [&["check"][..], &["check", "--json"], &["check", "-v"]] {
        let (output, _) = in_actions(&fleet, args);
        assert_eq!(code(&output), 1);
        assert_eq!(commands(&stdout(&output)), [] as [&str; 0]);
        let text = stderr(&output);
        let commands = commands(&text);
        assert_eq!(commands.len(), 1, "{text}");
        let start = "::error file=flake.nix,line=";
        assert!(commands[0].starts_with(start), "{}", commands[0]);
        let title = "title=a|b%2C c%3A d%25%0A%3A%3Aadd-mask%3A%3Ax%3A eval-error::1";
        assert!(commands[0].contains(title), "{}", commands[0]);
    }
}

#[test]
fn hostile_text_does_not_break_the_summary_table() {
    let (_, summary) = in_actions(&fleet(HOSTILE), &["check"]);
    assert!(summary.starts_with("before\n### "), "{summary}");
    assert!(summary.contains("1 of 2 hosts ok, 1 distinct build"), "{summary}");
    let rows: Vec<_> = summary.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 4, "{summary}");
    for row in rows {
        assert_eq!(row.matches('|').count(), 5, "{row}");
    }
    assert!(!summary.contains("<b>") && !summary.contains("\n::"), "{summary}");
}

#[test]
fn annotations_of_a_flake_in_a_subfolder_have_its_path() {
    let fleet = fleet(HOSTILE);
    let mut command = xtask(fleet.path());
    command.arg("check").env("GITHUB_ACTIONS", "true").env_remove("GITHUB_STEP_SUMMARY");
    let text =
        stderr(&command.env("GITHUB_WORKSPACE", fleet.path().parent().unwrap()).output().unwrap());
    let name = fleet.path().file_name().unwrap().to_str().unwrap();
    assert!(text.contains(&format!("::error file={name}/flake.nix,line=")), "{text}");
}

#[test]
fn a_fatal_error_is_an_annotation() {
    let fleet = fleet("a = throw \"x\"; }; }; }\n::error::taken");
    let (output, _) = in_actions(&fleet, &["check"]);
    assert_eq!(code(&output), 2);
    let text = stderr(&output);
    let commands = commands(&text);
    assert_eq!(commands.len(), 1, "{text}");
    assert!(commands[0].starts_with("::error title=cargo xtask::the flake"), "{text}");
}

const BROKEN: &str = r#"
    good = host { variant = "good"; };
    bad = host { variant = "bad"; manifest = { variant = "b|d"; }; script = "echo 'x.c:3: error: a%b'; for i in $(seq 40); do echo \"$i ::error::taken\"; echo '::add-mask::x ##[group]y'; echo '````'; echo '</details><b>'; done; exit 1"; };
    also = host { variant = "bad"; manifest = { variant = "b|d"; }; script = "echo 'x.c:3: error: a%b'; for i in $(seq 40); do echo \"$i ::error::taken\"; echo '::add-mask::x ##[group]y'; echo '````'; echo '</details><b>'; done; exit 1"; };
    gone = throw "gone";
"#;

#[test]
fn a_failed_build_is_one_annotation_with_its_hosts_and_first_error() {
    let fleet = fleet(BROKEN);
    let (output, summary) = in_actions(&fleet, &["build-all", "-vv"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_eq!(commands(&stdout(&output)), [] as [&str; 0]);
    let printed = stderr(&output);
    let commands = commands(&printed);
    assert_eq!(commands.len(), 4, "{commands:?}");
    assert_eq!(commands[..2], ["::group::b|d failed, for also, bad", "::endgroup::"]);
    let expected = "::error title=b|d%3A failed::the build failed for also, bad: x.c:3: error: a%25b\
                %0Afull log: /";
    assert!(commands[2].starts_with(expected), "{}", commands[2]);
    assert!(commands[3].contains("title=gone%3A eval-error::"), "{}", commands[3]);
    // The folded group has only the tail of the log.
    let (_, group) = printed.split_once(commands[0]).unwrap();
    let group = group.split_once("::endgroup::").unwrap().0;
    assert!(group.trim().lines().count() > 20 && group.contains("40 ::error::taken"), "{group}");

    assert!(summary.contains("### ❌ 1 of 2 variants in the store"), "{summary}");
    let rows: Vec<_> = summary.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 3, "{summary}");
    for row in rows {
        assert_eq!(row.matches('|').count(), 6, "{row}");
    }
    assert!(summary.contains("| b&#124;d | failed | also, bad |"), "{summary}");
    // Fences and tags in the log do not end the code block.
    let (_, details) = summary.split_once("</summary>\n\n`````text\n").unwrap();
    let (log, after) = details.split_once("\n`````\n\n</details>\n").unwrap();
    assert!(log.contains("\n````\n") && log.contains("</details><b>"), "{log}");
    assert!(after.contains("**gone**") && !after.contains("<b>"), "{after}");
}

#[test]
fn a_fatal_error_of_build_all_has_a_summary() {
    let fleet = fleet("a = throw \"x\"; }; }; }\n```\n::error::taken");
    let (output, summary) = in_actions(&fleet, &["build-all"]);
    assert_eq!(code(&output), 2);
    assert!(summary.contains("### ❌ build-all ended without a report"), "{summary}");
    assert!(!summary.contains("\n::"), "{summary}");
}

#[test]
fn outside_github_actions_there_are_no_annotations() {
    let output = run(fleet(HOSTILE).path(), &["check"]);
    assert!(!stderr(&output).contains("::error file="), "{}", stderr(&output));
}
