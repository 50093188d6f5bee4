//! The shells' own view of what `completions` prints, and the man pages.

use std::process::Command;

use crate::support::{Scratch, code, run, stderr, stdout};

/// Bash completes a command, an option, and a value.
#[test]
fn bash_completes() {
    let scratch = Scratch::new();
    let script = stdout(&run(scratch.path(), &["completions", "bash"]));
    scratch.write("xtask.bash", &script);
    let complete = |words: &[&str]| {
        let line = format!(
            "source {}/xtask.bash; COMP_WORDS=({}); COMP_CWORD={}; _xtask xtask '{}' '{}'; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            scratch.path().display(),
            words.join(" "),
            words.len() - 1,
            words.last().unwrap().trim_matches('\''),
            words[words.len() - 2],
        );
        stdout(&Command::new("bash").args(["-c", &line]).output().unwrap())
    };
    assert_eq!(complete(&["xtask", "build-a"]).trim(), "build-all");
    assert!(complete(&["xtask", "build-all", "--max-"]).contains("--max-jobs"));
    assert!(complete(&["xtask", "--color", "''"]).contains("never"));
}

#[test]
fn every_command_has_a_page() {
    let scratch = Scratch::new();
    let output = run(scratch.path(), &["completions", "man", "--out-dir", "man"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let help = stdout(&run(scratch.path(), &["--help"]));
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 10, "{help}");
    for command in commands {
        let page = scratch.path().join(format!("man/xtask-{command}.1"));
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(text.contains(&format!(".TH xtask-{command} 1")), "{text}");
    }
    assert!(scratch.path().join("man/xtask.1").is_file());
}
