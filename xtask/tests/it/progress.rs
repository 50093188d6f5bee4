//! What a person sees of a build: recorded logs through `progress-demo`, and real builds
//! with dependencies, on a terminal and without one.

use std::path::{Path, PathBuf};

use expect_test::expect_file;

use crate::support::{Scratch, code, fleet, json, run, stderr, stdout, terminal, xtask};

fn recorded(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nix-log").join(name);
    file.to_str().unwrap().to_owned()
}

#[test]
fn without_a_terminal_milestones_are_lines_and_a_failure_is_one_piece() {
    let here = Scratch::new();
    let output = run(here.path(), &["progress-demo", "--speed", "0", &recorded("testbed")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(stdout(&output), "754 lines: 3 builds started, 3 finished, 1 of them failed\n");
    // A line of a build is shown with the failure of that build only, and all of it there.
    expect_file!["snapshots/progress.txt"].assert_eq(&without_times(&stderr(&output)));
}

/// `[0:12]` as `[_:__]`: how long a replay takes is the machine's affair.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| {
        word.split_once(':').is_some_and(|(minutes, seconds)| {
            [minutes, seconds].iter().all(|part| part.parse::<u8>().is_ok()) && seconds.len() == 2
        })
    };
    let words = text.split_inclusive([' ', '[', ']', ',', '\n']).map(|word| {
        let time = word.trim_end_matches([' ', '[', ']', ',', '\n']);
        if is_time(time) { word.replace(time, "_:__") } else { word.to_owned() }
    });
    words.collect()
}

#[test]
fn old_and_new_nix_near_and_far_are_shown_alike() {
    let here = Scratch::new();
    for name in ["local-2.26", "local-2.34", "remote-2.26", "remote-2.34"] {
        let output = run(here.path(), &["progress-demo", "--speed", "0", &recorded(name)]);
        assert!(
            stdout(&output).contains("5 builds started, 5 finished, 2 of them failed"),
            "{name}"
        );
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
    assert!(stdout(&output).contains("5 builds started, 5 finished"), "{}", stdout(&output));
}

#[test]
fn on_a_terminal_bars_fit_and_are_gone_at_the_end() {
    for (columns, lines, variants) in
        [(20, 24, "3"), (60, 24, "40"), (100, 24, "40"), (200, 30, "3")]
    {
        let here = Scratch::new();
        let mut demo = xtask(here.path());
        let speed = if variants == "3" { "200" } else { "1000" };
        demo.args(["progress-demo", "--speed", speed, "--variants", variants]);
        let session = terminal::run(demo.arg(recorded("testbed")), columns, lines);
        let screens = session.screens();
        let end = screens.last().unwrap().contents();
        assert!(session.status.success(), "{columns}: {end}");
        let seen = |what: &str| screens.iter().any(|screen| screen.contents().contains(what));
        assert!(seen("cpu-tigerlake-2 failed"), "{columns}: {end}");
        assert!(!screens.iter().any(terminal::is_coloured), "{columns}: NO_COLOR is set");
        // The whole is one line, and never runs backwards.
        let totals: Vec<String> =
            screens.iter().filter_map(|screen| total(screen, variants)).collect();
        assert_eq!(seen(" more: "), variants == "40", "{columns}");
        assert!(totals.len() > 10, "{columns}: {totals:?}");
        let percent = |line: &String| line.split('%').next()?.rsplit(' ').next()?.parse().ok();
        let percents: Vec<u32> = totals.iter().filter_map(percent).collect();
        assert!(percents.is_sorted(), "{columns}: {percents:?}");
        assert!(percents.last() > percents.first(), "{columns}: {percents:?}");
        // What is left is the result, below the failure's log.
        let (_, left) = end.rsplit_once("subcommand failed.\n").unwrap();
        let ended = format!("{variants} builds started, {variants} finished");
        assert!(left.contains(&ended) && left.trim_end().lines().count() == 1, "{left}");
    }
}

/// The line of all builds, which comes first and takes one row.
fn total(screen: &vt100::Screen, variants: &str) -> Option<String> {
    let rows: Vec<String> = screen.rows(0, screen.size().1.get()).collect();
    let is_total = |row: &String| row.contains('%') && row.contains(&format!(" of {variants}"));
    let at = rows.iter().position(is_total)?;
    let next = rows.get(at + 1).map_or("", |row| row.as_str());
    assert!(next.is_empty() || next.starts_with("cpu-"), "{rows:#?}");
    Some(rows[at].clone())
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
    let output =
        xtask(fleet.path()).args(["build-all", "--json", "--max-jobs", "1"]).output().unwrap();
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
    let kept = std::fs::read_to_string(fleet.home().join("builds.jsonl")).unwrap();
    let names: Vec<String> = kept
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|record| record["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["llama-cpp-one", "llama-cpp-two", "shared-1"], "{kept}");
}

#[test]
fn real_builds_are_drawn_and_only_the_report_is_left_on_the_screen() {
    let fleet = fleet(NEEDY);
    let mut build = xtask(fleet.path());
    let session = terminal::run(build.args(["build-all", "--max-jobs", "1"]), 100, 60);
    let screens: Vec<String> = session.screens().iter().map(|screen| screen.contents()).collect();
    let end = screens.last().unwrap();
    let seen = |what: &str| screens.iter().any(|screen| screen.contains(what));
    assert!(seen("  └ shared-1") && seen("waiting for shared-1"), "{end}");
    assert!(end.contains("gone-1 failed after") && end.contains("VARIANT"), "{end}");
    assert!(!end.contains('%') && !end.contains('└'), "{end}");
}
