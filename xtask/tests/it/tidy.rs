//! The invariants of ARCHITECTURE.md, held against the sources themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file below `dir` with this extension, relative to the repository.
fn files(dir: &str, extension: &str) -> Vec<(String, String)> {
    let mut found = vec![];
    let mut folders = vec![repository().join(dir)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                let name = path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(
        !found.is_empty(),
        "no .{extension} files under {dir}: the test looks in the wrong place"
    );
    found
}

/// The code of a file without its unit tests, comments left out.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or(text);
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// `word` where no letter precedes it: `duct` is not in `product`.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(|before| before.is_alphanumeric())
    })
}

fn forbid(dir: &str, words: &[&str], except: &[&str], why: &str) {
    let mut offences = vec![];
    for (name, text) in files(dir, "rs") {
        if name.ends_with("/tests.rs") || except.iter().any(|allowed| name.ends_with(allowed)) {
            continue;
        }
        let code = code(&text);
        offences.extend(
            words.iter().filter(|word| has_word(&code, word)).map(|word| format!("{name}: {word}")),
        );
    }
    assert!(offences.is_empty(), "{why}:\n  {}", offences.join("\n  "));
}

#[test]
fn domain_is_pure() {
    forbid(
        "xtask/src/domain",
        &[
            "crate::sys",
            "crate::ui",
            "crate::cmd",
            "crate::cli",
            "std::process",
            "std::fs",
            "std::net",
            "std::env",
            "std::thread",
            "Instant",
            "SystemTime",
            "println!",
            "stdout()",
            "stderr()",
            "indicatif",
            "duct",
            "xshell",
        ],
        &[],
        "domain knows no process, file, clock or terminal, and no other room",
    );
}

#[test]
fn sys_never_draws() {
    forbid(
        "xtask/src/sys",
        &["crate::ui", "crate::cmd", "indicatif", "println!"],
        &[],
        "sys reports by values and events; drawing is for ui",
    );
}

#[test]
fn ui_only_shows() {
    forbid(
        "xtask/src/ui",
        &["crate::sys", "crate::cmd", "std::process", "std::fs", "duct", "xshell"],
        &[],
        "ui is handed what it shows",
    );
}

#[test]
fn processes_start_in_one_place() {
    forbid(
        "xtask/src",
        &["Command::new", "duct::"],
        &["sys/process.rs"],
        "only sys/process.rs starts programs: its children end with us",
    );
    forbid("xtask/src/cmd", &["xshell", "Invocation::new(\"sh\")"], &[], "cmd asks sys");
}

#[test]
fn every_file_says_what_it_is_for_and_has_one_job() {
    let mut offences = vec![];
    for (name, text) in files("xtask", "rs") {
        if !text.starts_with("//!") {
            offences.push(format!("{name}: begin with `//!` and what the file is for"));
        }
        let lines = text.lines().count();
        if lines > 400 {
            offences.push(format!("{name}: {lines} lines; a file of more than 400 has two jobs"));
        }
    }
    for dir in ["hosts", "nixos", "home", "overlays", "testbed", "tests"] {
        for (name, text) in files(dir, "nix") {
            let lines = text.lines().count();
            if lines > 400 {
                offences
                    .push(format!("{name}: {lines} lines; a file of more than 400 has two jobs"));
            }
        }
    }
    let main = fs::read_to_string(repository().join("xtask/src/main.rs")).unwrap();
    if main.lines().count() > 80 {
        offences.push("xtask/src/main.rs: only parses and dispatches, in 80 lines".into());
    }
    assert!(offences.is_empty(), "\n  {}", offences.join("\n  "));
}

#[test]
fn no_room_is_a_lumber_room() {
    for (name, _) in files("xtask", "rs") {
        let stem = Path::new(&name).file_stem().unwrap().to_str().unwrap();
        let path: BTreeSet<&str> = name.split('/').collect();
        for banned in ["utils", "util", "helpers", "helper", "common", "core", "misc"] {
            assert!(stem != banned && !path.contains(banned), "{name}: name it after its job");
        }
    }
}

#[test]
fn every_host_folder_is_in_the_fleet_table() {
    let table = fs::read_to_string(repository().join("hosts/default.nix")).unwrap();
    let hosts: Vec<String> = fs::read_dir(repository().join("hosts"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert!(!hosts.is_empty());
    for host in &hosts {
        assert!(
            table.contains(&format!("{host} = {{")),
            "hosts/{host} is not in hosts/default.nix"
        );
    }
    let rows = table.lines().filter(|line| {
        line.starts_with("  ") && !line.starts_with("   ") && line.trim_end().ends_with("= {")
    });
    for row in rows {
        let host = row.trim().trim_end_matches("= {").trim();
        assert!(hosts.iter().any(|known| known == host), "{host} has no folder under hosts/");
    }
}

#[test]
fn architecture_names_every_command_and_room() {
    let map = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    for (name, _) in files("xtask/src/cmd", "rs") {
        let stem = Path::new(&name).file_stem().unwrap().to_str().unwrap();
        assert!(stem == "mod" || map.contains(stem), "ARCHITECTURE.md does not know {name}");
    }
}

#[test]
fn nothing_private_is_committed() {
    // Mirrors are learnt from the machine's own configuration, never written down.
    let needles = [["deb.", "debian.org"].concat(), ["files.", "pythonhosted.org"].concat()];
    let mut sources = files("xtask/src", "rs");
    sources.extend(files("testbed", "nix"));
    for (name, text) in sources {
        for needle in &needles {
            assert!(!text.contains(needle.as_str()), "{name} names a mirror");
        }
    }
}
