//! Runs every `$ command` in the docs on the testbed, in the repository's root. A block that cannot
//! be run has `<!-- not run: WHY -->` on the line before it.

use std::fs;
use std::process::Command;

use expect_test::expect_file;

use crate::support::{
    Scratch, XTASK, contained, home_of, nix, nix_program, path_with_nix, repository, run, stderr,
    stdout,
};

const DOCUMENTS: [&str; 8] = [
    "README.md",
    "docs/distributed.md",
    "docs/guide.md",
    "docs/options.md",
    "docs/serving.md",
    "docs/testing.md",
    "docs/troubleshooting.md",
    "testbed/README.md",
];

/// .ci/run and real.rs run these; inside a test they would never end.
const ELSEWHERE: [&str; 2] = ["cargo xtask test", "cargo xtask demo"];

/// The commands of a document's `console` blocks, with their line numbers.
fn commands(document: &str) -> Vec<(usize, String)> {
    let mut commands = vec![];
    let (mut inside, mut skipped, mut before) = (false, false, "");
    for (index, line) in document.lines().enumerate() {
        if let Some(kind) = line.strip_prefix("```") {
            inside = !inside && kind == "console";
            skipped = before.starts_with("<!-- not run: ");
        } else if let (true, false, Some(command)) = (inside, skipped, line.strip_prefix("$ ")) {
            commands.push((index + 1, command.to_owned()));
        }
        before = line;
    }
    commands
}

/// The file is committed, to be read without Nix, so it can be out of date.
#[test]
fn the_option_docs_match_the_modules() {
    let root = repository();
    let args = ["eval", "--raw", "--file", "docs/options.nix", "markdown"];
    let output = nix(args).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let markdown = stdout(&output);
    assert!(markdown.contains("## `programs.llama-cpp.microarch`"), "{markdown}");
    expect_file![root.join("docs/options.md")].assert_eq(&markdown);
}

#[test]
fn every_command_in_the_docs_succeeds() {
    let root = repository();
    // `check --testbed` writes the lock file that replaces the inputs with stand-ins.
    let output = run(root, &["check", "--testbed"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let name = root.to_str().unwrap().replace('_', "%5F").replace('/', "_");
    let lock = home_of(root).join(format!("locks/{name}-2026-09.lock"));

    // The programs that a reader has on PATH, with the testbed's inputs.
    let shims = Scratch::new();
    let nix = nix_program();
    let testbed = format!("--reference-lock-file '{}' --no-write-lock-file", lock.display());
    shims.write_program("nix", &format!("#!/bin/sh\nexec '{}' \"$@\" {testbed}", nix.display()));
    let path = path_with_nix().into_string().unwrap();
    let cargo = format!("#!/bin/sh\nshift; PATH='{path}' exec '{XTASK}' \"$@\" --testbed");
    shims.write_program("cargo", &cargo);
    let path = format!("{}:{path}", shims.path().display());

    let mut failures = vec![];
    let mut count = 0;
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).unwrap();
        for (line, command) in commands(&text) {
            if ELSEWHERE.iter().any(|elsewhere| command.starts_with(elsewhere)) {
                continue;
            }
            count += 1;
            let output = contained(Command::new("sh"), root)
                .args(["-c", &command])
                .env("PATH", &path)
                .env("NIX_CONFIG", "experimental-features = nix-command flakes")
                .output()
                .unwrap();
            if !output.status.success() {
                let printed = stderr(&output);
                failures.push(format!("{document}:{line}: {command}\n{printed}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(count >= 8, "only {count} commands were found: the test looks in the wrong place");
}
