//! Replays recorded logs through the parser, the tracker and the display of build-all;
//! tests/fixtures/nix-log/README.md has the command to watch one.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use expect_test::expect_file;

use super::*;
use crate::build::derivations::Expected;
use crate::build::tracker::Tracker;
use crate::build::variants::Build;
use crate::fleet::names::HostName;
use crate::nix::log::{Event, parse};
use crate::nix::names::{DrvPath, StorePath};

#[path = "../../../tests/it/support/terminal.rs"]
#[expect(dead_code, reason = "the integration tests press Ctrl-C, too")]
mod terminal;

/// Lines per second of a log without times.
const PACE: f64 = 200.0;
/// Number of copies of a recording that run in parallel.
const PARALLEL: f64 = 4.0;

/// Replays what the environment names: `REPLAY`, a recorded standard error of `nix build
/// --log-format internal-json`, each line of which may begin with its second and a tab;
/// `SPEED`, 0 for everything at once; `VARIANTS`, how many.
#[test]
#[ignore = "the other tests run it, on a terminal and without one"]
fn replay() {
    let set = |name: &str| std::env::var(name).ok();
    let bytes = std::fs::read(set("REPLAY").expect("REPLAY names a log")).unwrap();
    let speed: f64 = set("SPEED").map_or(10.0, |speed| speed.parse().unwrap());
    let recording = read(&bytes);
    let drvs = started(&recording);
    let variants = drvs.iter().filter(|drv| is_variant(drv)).count();
    assert!(variants > 0, "no llama-cpp is built in this log");
    let wanted = set("VARIANTS").map_or(variants, |count| count.parse().unwrap());
    let copies = wanted.div_ceil(variants);
    let builds = builds(&drvs, copies, wanted);
    let dependencies = (0..copies).flat_map(|copy| {
        drvs.iter().filter(|drv| !is_variant(drv)).map(move |drv| renamed(drv, copy))
    });
    let needed_by = Expected { seconds: None, needed_by: Some((0..builds.len()).collect()) };
    let expected = dependencies.map(|drv| (drv, needed_by.clone())).collect();
    let bars = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let ui = Ui { bars, ..Ui::PLAIN };
    let mut rows = Derivations::default();
    rows.add_variants(&builds.iter().collect::<Vec<_>>());
    rows.add_expected(expected);
    let mut replay = Replay {
        trackers: std::iter::repeat_with(Tracker::default).take(copies).collect(),
        drvs: &drvs,
        known: builds.iter().map(|build| build.drv.clone()).collect(),
        failing: failing(&recording, &drvs, copies),
        phases: RefCell::default(),
        rows,
        progress: Progress::new(&ui),
        counts: Counts::default(),
    };
    let length = recording.last().map_or(0.0, |(second, _)| *second);
    let mut lines: Vec<(f64, usize, &[u8])> = (0..copies)
        .flat_map(|copy| {
            let later = copy as f64 * length / PARALLEL;
            recording.iter().map(move |(second, line)| (second + later, copy, *line))
        })
        .collect();
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    let began = Instant::now();
    let now = || began.elapsed().as_secs_f64();
    for (second, copy, line) in &lines {
        while speed > 0.0 && second / speed > now() {
            thread::sleep(Duration::from_secs_f64((second / speed - now()).clamp(0.0, 0.05)));
            replay.progress.tick(&mut replay.rows, now());
        }
        replay.line(*copy, line, now());
        replay.progress.tick(&mut replay.rows, now());
    }
    let Counts { started, ended, failed } = replay.counts;
    drop(replay.progress);
    ui.result(format!(
        "{} lines: {started} builds started, {ended} finished, {failed} of them failed",
        lines.len(),
    ));
}

/// Returns a command that runs [`replay`].
#[expect(clippy::disallowed_methods, reason = "a test ends what it starts")]
fn replay_of(log: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "build::view::replay_tests::replay", "--ignored", "--nocapture"]);
    command.env("REPLAY", log);
    command
}

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nix-log").join(name)
}

/// Returns what the replay prints without a terminal.
fn plainly(log: &Path) -> (String, String) {
    let output: Output = replay_of(log).env("SPEED", "0").output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{stdout}{stderr}");
    (stdout, stderr)
}

/// Parses a recording, in which each line may follow its second and a tab: `12.34<tab>@nix {…}`.
fn read(bytes: &[u8]) -> Vec<(f64, &[u8])> {
    let mut second = 0.0;
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let tab = line.iter().position(|byte| *byte == b'\t');
            let timed = tab.and_then(|tab| {
                let number = std::str::from_utf8(&line[..tab]).ok()?.parse::<f64>().ok()?;
                Some((number.max(second), &line[tab + 1..]))
            });
            let (at, line) = timed.unwrap_or((second + 1.0 / PACE, line));
            second = at;
            (at, line)
        })
        .collect()
}

/// Returns the derivations that are built or fetched, in the order of their start.
fn started(recording: &[(f64, &[u8])]) -> Vec<DrvPath> {
    let mut drvs: Vec<DrvPath> = vec![];
    for (_, line) in recording {
        let drv = match parse(line) {
            Event::BuildStarted { drv, .. } => drv,
            // The log does not name the derivation of a fetched path.
            Event::SubstituteStarted { path, .. } => DrvPath::new(format!("{path}.drv")),
            _ => continue,
        };
        if !drvs.contains(&drv) {
            drvs.push(drv);
        }
    }
    drvs
}

/// Returns the derivations that an error of Nix names.
fn failing(recording: &[(f64, &[u8])], drvs: &[DrvPath], copies: usize) -> BTreeSet<DrvPath> {
    let errors = recording.iter().filter_map(|(_, line)| match parse(line) {
        Event::Message { level: 0, text } => Some(sanitize(text).into_owned()),
        _ => None,
    });
    let errors: Vec<String> = errors.collect();
    let named = |drv: &&DrvPath| {
        let name = format!("{drv}'");
        errors.iter().any(|text| text.contains(&name) && !text.contains("dependencies of"))
    };
    let named = drvs.iter().filter(named);
    named.flat_map(|drv| (0..copies).map(move |copy| renamed(drv, copy))).collect()
}

fn is_variant(drv: &DrvPath) -> bool {
    short_name(drv.as_str()).starts_with("llama-cpp")
}

fn renamed(drv: &DrvPath, copy: usize) -> DrvPath {
    match copy {
        0 => drv.clone(),
        _ => DrvPath::new(drv.as_str().replace(".drv", &format!("-{copy}.drv"))),
    }
}

fn builds(drvs: &[DrvPath], copies: usize, wanted: usize) -> Vec<Build> {
    let all = (0..copies)
        .flat_map(|copy| drvs.iter().filter(|drv| is_variant(drv)).map(move |drv| (copy, drv)));
    all.take(wanted)
        .enumerate()
        .map(|(number, (copy, drv))| {
            let name = short_name(drv.as_str()).trim_start_matches("llama-cpp-");
            let name = match copy {
                0 => name.to_owned(),
                _ => format!("{name}-{copy}"),
            };
            Build {
                hosts: vec![HostName::new(format!("host-{}", number + 1))],
                out: StorePath::new(renamed(drv, copy).as_str().trim_end_matches(".drv")),
                ..Build::example(&name, renamed(drv, copy))
            }
        })
        .collect()
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    started: u32,
    ended: u32,
    failed: u32,
}

struct Replay<'a> {
    trackers: Vec<Tracker>,
    drvs: &'a [DrvPath],
    known: BTreeSet<DrvPath>,
    failing: BTreeSet<DrvPath>,
    phases: RefCell<BTreeMap<DrvPath, String>>,
    rows: Derivations,
    progress: Progress,
    counts: Counts,
}

impl Replay<'_> {
    fn line(&mut self, copy: usize, line: &[u8], now: f64) {
        let mut event = parse(line);
        match &mut event {
            Event::BuildStarted { drv, .. } => {
                let name = renamed(drv, copy);
                if is_variant(drv) && !self.known.contains(&name) {
                    return;
                }
                *drv = name;
            }
            Event::SubstituteStarted { path, .. } => {
                let drv = renamed(&DrvPath::new(format!("{path}.drv")), copy);
                *path = StorePath::new(drv.as_str().trim_end_matches(".drv"));
            }
            Event::Message { text, .. } if copy > 0 => {
                for drv in self.drvs {
                    *text = text.replace(drv.as_str(), renamed(drv, copy).as_str());
                }
            }
            _ => {}
        }
        // A recording has no store. A build succeeded if no error names it, and if its phase, if it
        // has one, is one of the last ones.
        let (phases, failing) = (&self.phases, &self.failing);
        let is_built = |drv: &DrvPath| {
            !failing.contains(drv)
                && phases.borrow().get(drv).is_none_or(|phase| {
                    matches!(phase.as_str(), "installPhase" | "fixupPhase" | "installCheckPhase")
                })
        };
        // Each copy has its own tracker; all are drawn as one run.
        for update in self.trackers[copy].follow(event, &is_built) {
            let rows = &mut self.rows;
            match &update {
                Update::Started { drv, machine } => {
                    rows.entry(drv).begin(machine.clone(), "", now);
                    self.counts.started += 1;
                }
                Update::Phase { drv, phase } => {
                    rows.entry(drv).enter(phase);
                    self.phases.borrow_mut().insert(drv.clone(), phase.clone());
                }
                Update::Fraction { drv, done, total } => {
                    rows.entry(drv).advance((*done, *total), now);
                }
                Update::Stopped { drv } => {
                    rows.entry(drv).end(now);
                    self.counts.ended += 1;
                }
                Update::Failed { drv, .. } => {
                    rows.entry(drv).fail();
                    self.counts.failed += 1;
                }
                _ => {}
            }
            self.progress.apply(&update, rows, now, None);
        }
    }
}

#[test]
fn without_a_terminal_milestones_are_lines_and_a_failure_is_one_piece() {
    let (result, drawn) = plainly(&recorded("testbed"));
    assert!(result.contains("754 lines: 3 builds started, 3 finished, 1 of them failed\n"));
    // The output of a build is printed only with its failure, and completely.
    expect_file!["../../../tests/it/snapshots/progress.txt"].assert_eq(&without_times(&drawn));
}

/// Replaces times such as `[0:12]` by `[_:__]` and removes estimates, because they depend on the
/// machine.
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
    words.collect::<String>().replace(", ~_:__ left", "")
}

#[test]
fn local_and_remote_builds_of_old_and_new_nix_are_shown_alike() {
    for name in ["local-2.26", "local-2.34", "remote-2.26", "remote-2.34"] {
        let (result, drawn) = plainly(&recorded(name));
        let counts = "5 builds started, 5 finished, 2 of them failed";
        assert!(result.contains(counts), "{name}: {result}");
        let on = if name.starts_with("remote") { " on builder-" } else { "" };
        assert!(drawn.contains(&format!("cpu-planted-1 failed{on}")), "{name}: {drawn}");
        assert!(drawn.contains("x.c:3: error: planted"), "{name}: {drawn}");
    }
}

#[test]
fn garbage_in_a_log_is_no_error() {
    let mut log = std::fs::read(recorded("local-2.26")).unwrap();
    log.extend_from_slice(b"\xff\xfe@nix {\n@nix {\"action\":\"stop\"\n\n@nix null\n");
    log.extend(std::iter::repeat_n(b'x', 3 << 20));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), log).unwrap();
    let (result, _) = plainly(file.path());
    assert!(result.contains("5 builds started, 5 finished"), "{result}");
}

#[test]
fn on_a_terminal_bars_fit_and_are_gone_at_the_end() {
    for (columns, lines, variants) in
        [(20, 24, "3"), (60, 24, "40"), (100, 24, "40"), (200, 30, "3")]
    {
        let speed = if variants == "3" { "200" } else { "1000" };
        let mut replay = replay_of(&recorded("testbed"));
        replay.env("SPEED", speed).env("VARIANTS", variants);
        let session = terminal::run(&mut replay, columns, lines);
        let screens = session.screens();
        let end = screens.last().unwrap().contents();
        assert!(session.status.success(), "{columns}: {end}");
        let seen = |what: &str| screens.iter().any(|screen| screen.contents().contains(what));
        assert!(seen("cpu-tigerlake-2 failed"), "{columns}: {end}");
        assert!(!screens.iter().any(terminal::is_coloured), "{columns}");
        // Overall progress is one line, and never decreases.
        let totals: Vec<String> =
            screens.iter().filter_map(|screen| total(screen, variants)).collect();
        assert_eq!(seen(" more: "), variants == "40", "{columns}");
        assert!(totals.len() > 10, "{columns}: {totals:?}");
        let percent = |line: &String| line.split('%').next()?.rsplit(' ').next()?.parse().ok();
        let percents: Vec<u32> = totals.iter().filter_map(percent).collect();
        assert!(percents.is_sorted(), "{columns}: {percents:?}");
        assert!(percents.last() > percents.first(), "{columns}: {percents:?}");
        // In the end, only the result is below the failure's log.
        let (_, left) = end.rsplit_once("subcommand failed.\n").unwrap();
        let ended = format!("{variants} builds started, {variants} finished");
        let below: Vec<&str> = left.lines().filter(|line| !line.contains("replay")).collect();
        assert!(left.contains(&ended) && !left.contains('%'), "{below:?}");
    }
}

/// Returns the line of overall progress, which is the first and takes one row.
fn total(screen: &vt100::Screen, variants: &str) -> Option<String> {
    let rows: Vec<String> = screen.rows(0, screen.size().1.get()).collect();
    let is_total = |row: &String| row.contains('%') && row.contains(&format!(" of {variants}"));
    let at = rows.iter().position(is_total)?;
    let next = rows.get(at + 1).map_or("", |row| row.as_str());
    assert!(next.is_empty() || next.starts_with("cpu-"), "{rows:#?}");
    Some(rows[at].clone())
}
