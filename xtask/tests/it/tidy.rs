//! Checks the sources against the invariants of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns path and text of every file below `dir` with this extension; paths are relative to the
/// repository.
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

/// Removes test modules and comments from a file.
fn code(text: &str) -> String {
    let mut kept = vec![];
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            // The item is one line, or a block that ends at the margin.
            let item = lines.by_ref().find(|line| !line.starts_with("#[")).unwrap_or_default();
            if item.ends_with('{') {
                lines.by_ref().find(|line| *line == "}");
            }
        } else if !line.trim_start().starts_with("//") {
            kept.push(line);
        }
    }
    kept.join("\n")
}

/// Returns whether the code has `word` without a letter or digit before it: `product` does not
/// have `duct`.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(|before| before.is_alphanumeric())
    })
}

fn is_test_file(name: &str) -> bool {
    name.ends_with("tests.rs") || name.ends_with("target/sshd.rs")
}

/// Returns path and text of the production code; paths are relative to xtask/src.
fn sources() -> Vec<(String, String)> {
    let below = |name: String| name.strip_prefix("xtask/src/").unwrap().to_owned();
    let all = files("xtask/src", "rs").into_iter().filter(|(name, _)| !is_test_file(name));
    all.map(|(name, text)| (below(name), text)).collect()
}

fn forbid(words: &[&str], except: fn(&str) -> bool, why: &str) {
    let mut offences = vec![];
    for (name, text) in sources() {
        if !except(&name) {
            offences.extend(offences_in(&name, &text, words));
        }
    }
    assert!(offences.is_empty(), "{why}:\n  {}", offences.join("\n  "));
}

fn offences_in(name: &str, text: &str, words: &[&str]) -> Vec<String> {
    let code = code(text);
    let found = words.iter().filter(|word| has_word(&code, word));
    found.map(|word| format!("{name}: {word}")).collect()
}

/// Returns a file's subject: the top folder, or the name of a file that is in none.
fn subject(name: &str) -> &str {
    name.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Returns the subjects that each one imports, with the file that does: any `crate::NAME` in code.
fn imports(sources: &[(String, String)]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut imports: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (name, text) in sources.iter().filter(|(name, _)| name != "main.rs") {
        let code = code(text);
        let from = imports.entry(subject(name).to_owned()).or_default();
        let mut words: Vec<String> = vec![];
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            match rest.strip_prefix('{') {
                // `use crate::{a, b::c}`: every name is a subject.
                Some(group) => words.extend(
                    group.split('}').next().unwrap().split(',').map(|word| word.trim().to_owned()),
                ),
                None => words.push(rest.to_owned()),
            }
        }
        for word in words {
            let end = word.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(word.len());
            let to = &word[..end];
            if !to.is_empty() && to != subject(name) {
                from.entry(to.to_owned()).or_insert_with(|| name.clone());
            }
        }
    }
    imports
}

/// Parses the line `//! Imports: a, b.` of each subject.
fn declared(sources: &[(String, String)]) -> BTreeMap<String, BTreeSet<String>> {
    let heads = sources.iter().filter(|(name, _)| {
        let depth = name.matches('/').count();
        (depth == 1 && name.ends_with("/mod.rs")) || (depth == 0 && name != "main.rs")
    });
    let list = |text: &str| -> BTreeSet<String> {
        let head: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//!")).collect();
        let head = head.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        let list = head.split("Imports: ").nth(1).and_then(|rest| rest.split('.').next());
        let list = list.unwrap_or_default().split(", ").filter(|name| *name != "nothing");
        list.map(str::to_owned).collect()
    };
    heads.map(|(name, text)| (subject(name).to_owned(), list(text))).collect()
}

/// Returns undeclared imports and import cycles between subjects.
fn import_offences(sources: &[(String, String)]) -> Vec<String> {
    let declared = declared(sources);
    let mut offences = vec![];
    for (from, to) in imports(sources) {
        for (to, file) in to {
            if !declared.get(&from).is_some_and(|allowed| allowed.contains(&to)) {
                offences.push(format!("{file} imports {to}, which {from} does not declare"));
            }
        }
    }
    // Topological sort: the subjects that remain form a cycle.
    let mut rest = declared;
    loop {
        let sorted: Vec<String> = rest
            .iter()
            .filter(|(_, to)| to.iter().all(|to| !rest.contains_key(to)))
            .map(|(from, _)| from.clone())
            .collect();
        if sorted.is_empty() {
            break;
        }
        rest.retain(|from, _| !sorted.contains(from));
    }
    if !rest.is_empty() {
        let names: Vec<&str> = rest.keys().map(String::as_str).collect();
        offences.push(format!("these subjects import each other: {}", names.join(", ")));
    }
    offences
}

#[test]
fn subjects_import_only_what_they_declare_without_cycles() {
    let offences = import_offences(&sources());
    assert!(offences.is_empty(), "\n  {}", offences.join("\n  "));
}

#[test]
fn an_undeclared_import_and_a_cycle_are_found() {
    let mut planted = sources();
    planted.push(("system/planted.rs".into(), "//! X.\nuse crate::bench::view;\n".into()));
    assert_eq!(
        import_offences(&planted),
        ["system/planted.rs imports bench, which system does not declare"]
    );
    // Once it is declared, the import closes a cycle.
    for (name, text) in &mut planted {
        if name == "system/mod.rs" {
            *text = text.replace("Imports: nothing", "Imports: bench");
        }
    }
    let offences = import_offences(&planted).join("\n");
    assert!(offences.starts_with("these subjects import each other: "), "{offences}");
    assert!(offences.contains("bench") && offences.contains("system"), "{offences}");
}

const IMPURE: [&str; 16] = [
    "crate::system",
    "crate::ui::Ui",
    "std::process",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "println!",
    "stdout()",
    "stderr()",
    "indicatif",
    "console::",
    "duct",
    "xshell",
];

#[test]
fn pure_files_do_no_io() {
    let pure: Vec<(String, String)> =
        sources().into_iter().filter(|(_, text)| text.contains("//! Pure: ")).collect();
    assert!(pure.len() > 80, "only {} files are marked as pure", pure.len());
    let offences: Vec<String> =
        pure.iter().flat_map(|(name, text)| offences_in(name, text, &IMPURE)).collect();
    assert!(offences.is_empty(), "a pure file does no I/O:\n  {}", offences.join("\n  "));
    let planted = "//! Pure: no I/O, no clock.\n#[cfg(test)]\nmod tests {\n}\nuse std::fs;\n";
    assert_eq!(offences_in("planted", planted, &IMPURE), ["planted: std::fs"]);
}

#[test]
fn only_system_starts_processes() {
    forbid(
        &["process::Command", "duct::", "xshell::"],
        |name| name.starts_with("system/"),
        "only system/ starts programs: its children end with us",
    );
}

#[test]
fn files_start_with_a_doc_comment_and_are_short() {
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
fn no_file_or_folder_has_a_catch_all_name() {
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
fn architecture_names_every_subject() {
    let map = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    for name in declared(&sources()).keys() {
        assert!(map.contains(&format!("`{name}")), "ARCHITECTURE.md does not name {name}/");
    }
}

#[test]
fn no_mirror_address_is_committed() {
    // Mirrors come from the machine's configuration.
    let needles = [["deb.", "debian.org"].concat(), ["files.", "pythonhosted.org"].concat()];
    let mut sources = files("xtask/src", "rs");
    sources.extend(files("testbed", "nix"));
    for (name, text) in sources {
        for needle in &needles {
            assert!(!text.contains(needle.as_str()), "{name} names a mirror");
        }
    }
}
