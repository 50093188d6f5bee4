//! What a person sees of a build: recorded logs through `progress-demo`, and real builds
//! with dependencies, on a terminal and without one.

use std::path::{Path, PathBuf};

use crate::support::{Scratch, code, fleet, json, run, stderr, stdout, xtask};

fn recorded(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nix-log").join(name);
    file.to_str().unwrap().to_owned()
}

#[test]
fn without_a_terminal_milestones_are_lines_and_a_failure_is_one_piece() {
    let here = Scratch::new();
    let output = run(here.path(), &["progress-demo", "--speed", "0"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(stdout(&output), "754 lines: 3 builds began, 3 ended, 1 of them failed\n");
    let said = stderr(&output);
    for milestone in
        ["cpu-znver4-2: building", "cpu-haswell-2: 139/139 steps", "cpu-znver4-2: ended"]
    {
        assert!(said.contains(milestone), "{milestone}: {said}");
    }
    // A line of a build is shown with the failure of that build only, and all of it there.
    let log: Vec<&str> = said.lines().filter(|line| line.contains('│')).collect();
    assert_eq!(log.len(), 25, "{said}");
    let (_, block) = said.split_once("cpu-tigerlake-2 failed after").unwrap();
    assert!(block.lines().skip(1).take(25).all(|line| line.contains('│')), "{said}");
    assert!(!said.contains('\x1b'), "{said}");
    assert!(said.lines().count() < 100, "{} lines", said.lines().count());
}

#[test]
fn old_and_new_nix_near_and_far_are_shown_alike() {
    let here = Scratch::new();
    for name in ["local-2.26", "local-2.34", "remote-2.26", "remote-2.34"] {
        let output = run(here.path(), &["progress-demo", "--speed", "0", &recorded(name)]);
        assert!(stdout(&output).contains("5 builds began, 5 ended, 2 of them failed"), "{name}");
        let said = stderr(&output);
        let on = if name.starts_with("remote") { " on builder-" } else { "" };
        assert!(said.contains(&format!("cpu-planted-1 failed{on}")), "{name}: {said}");
        assert!(said.contains("x.c:3: error: planted"), "{name}: {said}");
    }
}

#[test]
fn garbage_in_a_log_is_no_error() {
    let here = Scratch::new();
    let mut log = std::fs::read(recorded("local-2.26")).unwrap();
    log.extend_from_slice(b"\xff\xfe@nix {\n@nix {\"action\":\"stop\"\n\n@nix null\n");
    log.extend(std::iter::repeat_n(b'x', 3 << 20));
    here.write("ok", "");
    let file: PathBuf = here.path().join("log");
    std::fs::write(&file, log).unwrap();
    let output = run(here.path(), &["progress-demo", "--speed", "0", file.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("5 builds began, 5 ended"), "{}", stdout(&output));
}

/// What a terminal of this size gets; `script` is a part of every Debian.
#[allow(clippy::disallowed_methods, reason = "a terminal for the binary under test")]
fn on_terminal(columns: usize, lines: usize, arguments: &str) -> Option<String> {
    let here = Scratch::new();
    let binary = env!("CARGO_BIN_EXE_xtask");
    let command = format!("stty cols {columns} rows {lines}; {binary} {arguments}");
    let output = std::process::Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(here.path())
        .env_remove("CI")
        .env_remove("GITHUB_ACTIONS")
        .env("NO_COLOR", "1")
        .env("TERM", "xterm")
        .output()
        .ok()?;
    assert!(output.status.success(), "{}", stdout(&output));
    Some(stdout(&output))
}

#[test]
fn on_a_terminal_bars_fit_and_are_gone_at_the_end() {
    for columns in [20, 40, 80] {
        let arguments = "progress-demo --speed 200";
        let Some(said) = on_terminal(columns, 24, arguments) else {
            eprintln!("no program `script` here: not tested");
            return;
        };
        assert!(said.contains("cpu-tigerlake-2 failed"), "{columns}: {said}");
        // NO_COLOR leaves what moves the cursor, and nothing that colours.
        assert!(!said.contains("\x1b[3") && !said.contains("\x1b[1m"), "{columns}: {said}");
        // A drawn line ends with what clears the rest of it; its text fits.
        let drawn = said.split("\x1b[K").filter(|line| !line.contains('│'));
        let text = drawn.map(|line| line.rsplit(['\n', '\r', 'A', 'J']).next().unwrap());
        let bars: Vec<&str> = text.filter(|line| line.contains(" of 3")).collect();
        assert!(!bars.is_empty(), "{columns}: {said}");
        assert!(bars.iter().all(|line| line.chars().count() < columns), "{columns}: {bars:?}");
        // The whole never runs backwards.
        let percent = |line: &&str| {
            let number = line.split('%').next()?.rsplit(' ').next()?;
            number.parse::<u32>().ok()
        };
        let percents: Vec<u32> = bars.iter().filter_map(percent).collect();
        assert!(percents.is_sorted(), "{columns}: {percents:?}");
        let (_, end) = said.rsplit_once("\x1b[J").unwrap();
        assert!(end.trim().starts_with("754 lines"), "{columns}: {end}");
    }
}

const NEEDY: &str = r#"
    a = host { variant = "one"; needs = package { name = "shared-1"; script = "echo '[1/2] x'; sleep 1; echo > $out"; }; };
    b = host { variant = "two"; needs = package { name = "shared-1"; script = "echo '[1/2] x'; sleep 1; echo > $out"; }; };
    c = host { variant = "lost"; needs = package { name = "gone-1"; script = "echo 'no such header'; exit 1"; }; };
    d = host { variant = "loud"; script = "printf '\\033[2J::error::boo\\n##[error]x\\n'; head -c 2000000 /dev/zero | tr '\\0' y; echo; exit 1"; };
"#;

#[test]
fn real_builds_name_who_needs_what_and_whose_it_is() {
    let fleet = fleet(NEEDY);
    let home = Scratch::new();
    let output = xtask(fleet.path())
        .args(["build-all", "--json", "--max-jobs", "1"])
        .env("LLAMAFLEET_HOME", home.path())
        .env("PATH", path_with_nix())
        .output()
        .unwrap();
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("gone-1 failed after"), "{said}");
    assert!(said.contains("needed by lost (c)"), "{said}");
    assert!(said.contains("for d\n  │ : :error::boo\n  │ ## [error]x\n  │ yyy"), "{said}");
    assert!(said.contains("… (1998000 bytes more)"), "the long line is cut with a mark");
    assert!(said.len() < 30_000 && !said.contains('\x1b'), "{} bytes", said.len());
    assert_eq!(said.matches("no such header").count(), 1, "said once: {said}");

    // The log on disk is whole, and what was built is remembered for the next estimate.
    let report = json(&output);
    let variants = report["variants"].as_array().unwrap();
    let loud = variants.iter().find(|variant| variant["variant"] == "loud").unwrap();
    let log = std::fs::read_to_string(loud["log"].as_str().unwrap()).unwrap();
    assert!(log.contains(&"y".repeat(2_000_000)), "{} bytes", log.len());
    let kept = std::fs::read_to_string(home.path().join("builds.jsonl")).unwrap();
    let names: Vec<String> = kept
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|record| record["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["llama-cpp-one", "llama-cpp-two", "shared-1"], "{kept}");
}

/// The folder of the Nix that is found without LLAMAFLEET_HOME.
fn path_with_nix() -> std::ffi::OsString {
    let folder = crate::support::nix().parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path))).unwrap()
}
