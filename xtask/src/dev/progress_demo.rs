//! `progress-demo` (hidden): a recorded log through the parser, the tracker and the
//! drawing of build-all, so that they can be looked at and measured without a build.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::build::progress::Expected;
use crate::build::tracker::{Tracker, Update};
use crate::build::variants::{Build, short_name};
use crate::build::view::Progress;
use crate::dev::args::ProgressDemoArgs;
use crate::findings::outcome::Outcome;
use crate::nix::log::{Event, parse};
use crate::nix::names::{DrvPath, HostName, StorePath, VariantName};
use crate::system::interrupt;
use crate::ui::Ui;
use crate::ui::sanitize::sanitize;

/// Lines per second of a log without times.
const PACE: f64 = 200.0;
/// So many copies of a recording run beside each other.
const BESIDE: f64 = 4.0;

pub fn run(args: &ProgressDemoArgs, ui: &Ui) -> Result<Outcome> {
    // Discover.
    let bytes = std::fs::read(&args.file)
        .with_context(|| format!("cannot read {}", args.file.display()))?;
    let recording = read(&bytes);
    // Plan.
    let drvs = started(&recording);
    if !drvs.iter().any(is_variant) {
        bail!("no llama-cpp is built in this log; record one with --log-format internal-json");
    }
    let wanted = args.variants.unwrap_or(drvs.iter().filter(|drv| is_variant(drv)).count());
    let copies = wanted.div_ceil(drvs.iter().filter(|drv| is_variant(drv)).count().max(1)).max(1);
    let builds = builds(&drvs, copies, wanted);
    let dependencies = (0..copies).flat_map(|copy| {
        drvs.iter().filter(|drv| !is_variant(drv)).map(move |drv| renamed(drv, copy))
    });
    let needed_by = Expected { seconds: None, needed_by: Some((0..builds.len()).collect()) };
    let expected = dependencies.map(|drv| (drv, needed_by.clone())).collect();
    let speed = if args.speed > 0.0 { args.speed } else { 1.0 };
    let progress = Progress::start(ui, &builds.iter().collect::<Vec<_>>(), expected, speed);
    let mut replay =
        Replay::new(copies, &drvs, &builds, failing(&recording, &drvs, copies), progress);
    let length = recording.last().map_or(0.0, |(second, _)| *second);
    let mut lines: Vec<(f64, usize, &[u8])> = (0..copies)
        .flat_map(|copy| {
            let later = copy as f64 * length / BESIDE;
            recording.iter().map(move |(second, line)| (second + later, copy, *line))
        })
        .collect();
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Run.
    let began = Instant::now();
    for (second, copy, line) in &lines {
        while args.speed > 0.0 && !interrupt::requested() {
            let early = second / speed - began.elapsed().as_secs_f64();
            if early <= 0.0 {
                break;
            }
            thread::sleep(Duration::from_secs_f64(early.min(0.05)));
        }
        if interrupt::requested() {
            break;
        }
        replay.line(*copy, line);
    }
    // Report.
    let counts = replay.counts;
    drop(replay.progress);
    ui.result(format!(
        "{} lines: {} builds started, {} finished, {} of them failed",
        lines.len(),
        counts.started,
        counts.ended,
        counts.failed
    ));
    Ok(Outcome::Ok)
}

/// Each line with its second: `12.34<tab>@nix {…}`, or as Nix prints it.
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

/// The derivations whose builds or fetching begin, in that order.
fn started(recording: &[(f64, &[u8])]) -> Vec<DrvPath> {
    let mut drvs: Vec<DrvPath> = vec![];
    for (_, line) in recording {
        let drv = match parse(line) {
            Event::BuildStarted { drv, .. } => drv,
            // The log does not name the derivation of what is fetched.
            Event::SubstituteStarted { path, .. } => DrvPath::new(format!("{path}.drv")),
            _ => continue,
        };
        if !drvs.contains(&drv) {
            drvs.push(drv);
        }
    }
    drvs
}

/// Those that an error of Nix's names.
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
                variant: VariantName::new(name),
                hosts: vec![HostName::new(format!("host-{}", number + 1))],
                packages: vec![],
                system: "x86_64-linux".to_owned(),
                backends: vec![],
                drv: renamed(drv, copy),
                out: StorePath::new(renamed(drv, copy).as_str().trim_end_matches(".drv")),
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
    progress: Progress,
    counts: Counts,
}

impl<'a> Replay<'a> {
    fn new(
        copies: usize,
        drvs: &'a [DrvPath],
        builds: &[Build],
        failing: BTreeSet<DrvPath>,
        progress: Progress,
    ) -> Self {
        let mut trackers = vec![];
        trackers.resize_with(copies, Tracker::default);
        let known = builds.iter().map(|build| build.drv.clone()).collect();
        let (phases, counts) = (RefCell::default(), Counts::default());
        Self { trackers, drvs, known, failing, phases, progress, counts }
    }

    fn line(&mut self, copy: usize, line: &[u8]) {
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
        // A recording has no store to look into: a build succeeded if it was in one of its last
        // phases, where it has phases, and no error names it.
        let (phases, failing) = (&self.phases, &self.failing);
        let there = |drv: &DrvPath| {
            !failing.contains(drv)
                && phases.borrow().get(drv).is_none_or(|phase| {
                    matches!(phase.as_str(), "installPhase" | "fixupPhase" | "installCheckPhase")
                })
        };
        for update in self.trackers[copy].follow(event, &there) {
            match &update {
                Update::Phase { drv, phase } => {
                    self.phases.borrow_mut().insert(drv.clone(), phase.clone());
                }
                Update::Started { .. } => self.counts.started += 1,
                Update::Stopped { .. } => self.counts.ended += 1,
                Update::Failed { .. } => self.counts.failed += 1,
                // Each copy counts only its own.
                Update::Expecting { .. } if self.trackers.len() > 1 => continue,
                _ => {}
            }
            self.progress.apply(&update, None);
        }
    }
}
