//! The tests do not disturb each other or the user: they may read what `setup` made, and write
//! elsewhere.

use std::fs;
use std::path::Path;

use crate::support::{code, copy_of_repository, repository, run, stderr, user_home};

/// Returns every file below a folder, without following links.
fn files(folder: &Path) -> Vec<String> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        found.push(entry.path().to_str().unwrap().to_owned());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        }
    }
    found
}

#[test]
fn tests_write_nothing_to_the_users_cache() {
    let fleet = copy_of_repository(&[(
        "carbon",
        "{ programs.llama-cpp.enable = true; system.stateVersion = \"25.05\"; }",
    )]);
    let output = run(fleet.path(), &["check", "--testbed"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let count = |folder: &Path| {
        let files = files(folder).into_iter();
        files.filter(|file| file.rsplit('/').next().unwrap().contains(fleet.name())).count()
    };
    // Two files have the fleet's name in theirs: an evaluation and a lock file.
    assert!(count(&fleet.home()) >= 2, "{:#?}", files(&fleet.home()));
    for folder in ["eval", "locks", "logs", "updates", "bench"] {
        assert_eq!(count(&user_home().join(folder)), 0, "{folder}");
    }
}

#[test]
fn only_support_code_starts_the_binary() {
    let here = repository().join("xtask/tests/it");
    for file in files(&here).iter().filter(|file| file.ends_with(".rs")) {
        let text = fs::read_to_string(file).unwrap();
        if file.ends_with("it/support/mod.rs") || file.ends_with("it/isolation.rs") {
            continue;
        }
        for word in ["CARGO_BIN_EXE", "Command::new(XTASK", "Command::new(nix_program())"] {
            assert!(!text.contains(word), "{file}: `{word}`: use support's `xtask` or `nix`");
        }
    }
}
