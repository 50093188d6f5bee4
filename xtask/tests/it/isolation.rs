//! The tests' own manners: what they run reads what `setup` made and writes elsewhere.

use std::fs;
use std::path::Path;

use crate::support::{code, copy_of_repository, repository, run, stderr, user_home};

/// Every file below this folder, links not followed.
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
fn what_a_test_runs_leaves_nothing_in_the_users_cache() {
    let fleet = copy_of_repository(&[(
        "carbon",
        "{ programs.llama-cpp.enable = true; system.stateVersion = \"25.05\"; }",
    )]);
    let output = run(fleet.path(), &["check", "--testbed"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let about_it = |folder: &Path| {
        let files = files(folder).into_iter();
        files.filter(|file| file.rsplit('/').next().unwrap().contains(fleet.name())).count()
    };
    // Files are named after the fleet that they are about: an evaluation, a lock file.
    assert!(about_it(&fleet.home()) >= 2, "{:#?}", files(&fleet.home()));
    for folder in ["eval", "locks", "logs", "updates", "bench"] {
        assert_eq!(about_it(&user_home().join(folder)), 0, "{folder}");
    }
}

#[test]
fn the_binary_is_started_by_the_support_code_alone() {
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
