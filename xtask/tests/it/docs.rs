//! Every `$ command` in the documents is run, on the testbed, from the repository's root.
//! A block that cannot be run has `<!-- not run: WHY -->` on the line before it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::Scratch;

const DOCUMENTS: [&str; 6] = [
    "README.md",
    "docs/distributed.md",
    "docs/guide.md",
    "docs/options.md",
    "docs/troubleshooting.md",
    "testbed/README.md",
];

/// These are run by .ci/run itself and by real.rs; inside a test they would run for ever.
const ELSEWHERE: [&str; 2] = ["cargo xtask test", "cargo xtask demo"];

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

fn script(dir: &Path, name: &str, body: &str) {
    let file = dir.join(name);
    fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The file is there to be read without Nix, so it can be out of date.
#[test]
fn the_options_are_those_of_the_modules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let words = ["eval", "--raw", "--file", "docs/options.nix", "markdown"];
    let made = Command::new(crate::support::nix())
        .args(["--extra-experimental-features", "nix-command"])
        .args(words)
        .current_dir(root)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", crate::support::stderr(&made));
    let made = crate::support::stdout(&made);
    assert!(made.contains("## `programs.llama-cpp.microarch`"), "{made}");
    let there = fs::read_to_string(root.join("docs/options.md")).unwrap();
    let mend = format!("docs/options.md is out of date: nix {} > docs/options.md", words.join(" "));
    assert_eq!(there, made, "{mend}");
}

#[test]
fn every_command_in_the_documents_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    // `check --testbed` writes the lock file that puts the stand-ins in the inputs' place.
    let xtask = env!("CARGO_BIN_EXE_xtask");
    let output = crate::support::run(root, &["check", "--testbed"]);
    assert!(output.status.success(), "{}", crate::support::stderr(&output));
    let lock = fs::read_dir(crate::support::home().join("locks"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.to_str().unwrap().ends_with("new-era.lock"))
        .max_by_key(|file| {
            let name = root.to_str().unwrap().replace('/', "_");
            let ours = file.file_name().unwrap().to_str().unwrap().starts_with(&name);
            (ours, fs::metadata(file).unwrap().modified().unwrap())
        })
        .unwrap();

    // What a reader has on PATH, with the testbed's inputs.
    let shims = Scratch::new();
    let nix = crate::support::nix();
    let testbed = format!("--reference-lock-file '{}' --no-write-lock-file", lock.display());
    script(shims.path(), "nix", &format!("exec '{}' \"$@\" {testbed}", nix.display()));
    script(shims.path(), "cargo", &format!("shift; exec '{xtask}' \"$@\" --testbed"));
    let path = format!("{}:{}", shims.path().display(), std::env::var("PATH").unwrap());

    let mut failures = vec![];
    let mut count = 0;
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).unwrap();
        for (line, command) in commands(&text) {
            if ELSEWHERE.iter().any(|elsewhere| command.starts_with(elsewhere)) {
                continue;
            }
            count += 1;
            let output = Command::new("sh")
                .args(["-c", &command])
                .current_dir(root)
                .env("PATH", &path)
                .env("NIX_CONFIG", "experimental-features = nix-command flakes")
                .output()
                .unwrap();
            if !output.status.success() {
                let said = crate::support::stderr(&output);
                failures.push(format!("{document}:{line}: {command}\n{said}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(count >= 8, "only {count} commands were found: the test looks in the wrong place");
}

/// Each `[code]` of the troubleshooting page is a finding's, in the source as it is now; a
/// word that no finding has would send the reader nowhere.
#[test]
fn troubleshooting_names_findings_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("docs/troubleshooting.md")).unwrap();
    let mut folders = vec![root.join("xtask/src")];
    let mut source = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => source.push_str(&fs::read_to_string(path).unwrap_or_default()),
            }
        }
    }
    let codes: Vec<&str> = page
        .split("`[")
        .skip(1)
        .filter_map(|rest| rest.split_once("]`"))
        .map(|(code, _)| code)
        .collect();
    assert!(codes.len() > 25, "{codes:?}");
    for code in codes {
        assert!(source.contains(&format!("\"{code}\"")), "no finding has the code {code}");
    }
}
