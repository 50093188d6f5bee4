//! `rollback`: restores an earlier pin from the journal of updates. Changes only the input; other
//! changes of flake.lock stay.

use anyhow::Result;
use serde::Serialize;

use crate::findings::finding::{Finding, or_finding};
use crate::findings::outcome::Outcome;
use crate::findings::view::print as print_finding;
use crate::fleet::context::Context;
use crate::nix::flake_input::day;
use crate::pin::args::RollbackArgs;
use crate::pin::journal::{self, Entry, updates_to};
use crate::pin::lock_transaction;
use crate::pin::update::commit::{self, LOCK};
use crate::pin::update::report::{LockState, Point};
use crate::ui::table::Table;
use crate::upstream::trial_fleet::{LLAMA_CPP, PinState};

#[derive(Debug, Default, Serialize)]
struct RollbackReport {
    schema: u32,
    command: &'static str,
    /// The name of the llama.cpp input.
    input: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Point>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Point>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<Vec<Finding>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<LockState>,
    /// `--list`: the pin in flake.lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Point>,
    /// `--list`: the earlier pins, newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pins: Option<Vec<EarlierPin>>,
    ok: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EarlierPin {
    /// The value for `--steps`.
    to: usize,
    pin: Point,
    /// When an update replaced it, in seconds since 1970.
    left_at: u64,
}

impl RollbackReport {
    fn new(input: &str) -> Self {
        let input = input.to_owned();
        Self { schema: 1, command: "rollback", input, ok: true, ..Self::default() }
    }
}

pub fn run(args: &RollbackArgs, context: &Context) -> Result<Outcome> {
    match or_finding(roll_back(args, context))? {
        Ok(()) => Ok(Outcome::Ok),
        Err(finding) => {
            let input = args.input.as_deref().unwrap_or(LLAMA_CPP);
            print_finding(&context.ui, input, &finding);
            let report = RollbackReport {
                findings: Some(vec![finding.clone()]),
                lock: Some(LockState::Unchanged),
                ok: false,
                ..RollbackReport::new(input)
            };
            context.ui.document(&report)?;
            Ok(Outcome::new(false, [&finding]))
        }
    }
}

fn roll_back(args: &RollbackArgs, context: &Context) -> Result<()> {
    // Discover.
    let pin = PinState::read(context, args.input.as_deref())?;
    let _lock = lock_transaction::reserve(&context.home, &pin.root)?;
    let entries = journal::read(&context.home, &pin.root)?;
    let updates = updates_to(&entries, &pin.input.name, &pin.now.rev);
    if args.list {
        return list(context, &pin, &updates);
    }
    // Plan.
    let steps = args.steps.get();
    let entry = updates.get(steps - 1).ok_or_else(|| no_earlier_pin(&pin, updates.len(), steps))?;
    // Run.
    lock_transaction::can_write(&pin.root.join(LOCK))?;
    restore(&pin, entry)?;
    // Report.
    context.ui.document(&RollbackReport {
        from: Some(Point::from(&pin.now)),
        to: Some(Point::from(&entry.from)),
        findings: Some(vec![]),
        lock: Some(LockState::Updated),
        ..RollbackReport::new(&pin.input.name)
    })?;
    context.ui.status(format!(
        "{}: {} is back at {}; run `cargo xtask check` to evaluate every host with it",
        context.ui.green("back"),
        pin.input.name,
        entry.from.name(),
    ));
    for (host, pinned) in &entry.pinned_hosts {
        let at = pinned.revision().name();
        context.ui.status(format!("{host} is pinned to {at}, as it was then"));
    }
    Ok(())
}

/// Restores the pin before an update. Takes the input from the old lock file, which needs no
/// network; if other inputs have changed since then, Nix locks the revision again.
fn restore(pin: &PinState<'_>, entry: &Entry) -> Result<()> {
    let name = &pin.input.name;
    let pinned = entry.pinned_hosts.clone();
    if pin.lock.changed_inputs_of(&entry.lock, name).is_empty()
        && let Ok(input) = entry.lock.find(name)
    {
        return commit::step(pin, &pin.lock.replaced(&pin.input, &input), &entry.from, pinned);
    }
    let trial = pin.trial_fleet(&entry.from, None)?;
    commit::step(pin, &trial.lock, &trial.revision, pinned)
}

fn no_earlier_pin(pin: &PinState<'_>, known: usize, steps: usize) -> Finding {
    let name = &pin.input.name;
    let message = match known {
        0 => format!("the journal has no update of {name} that led to {}", pin.now.name()),
        known => format!("the journal goes back {known} pins of {name}, not {steps}"),
    };
    Finding::error(
        "no-earlier-pin",
        message,
        format!(
            "`git log --oneline -- flake.lock` has the pins that were committed; `cargo xtask \
             update --input {name} --to REVISION` moves to any revision"
        ),
    )
}

fn list(context: &Context, pin: &PinState<'_>, updates: &[&Entry]) -> Result<()> {
    let pins = (1..).zip(updates).map(|(to, entry)| {
        let pin = Point::from(&entry.from);
        EarlierPin { to, pin, left_at: entry.time }
    });
    let pins: Vec<EarlierPin> = pins.collect();
    let row = |EarlierPin { to, pin, left_at }: &EarlierPin| {
        let left = i64::try_from(*left_at).map(day).unwrap_or_default();
        let date = pin.date.clone().unwrap_or_default();
        vec![
            to.to_string().into(),
            pin.name().into(),
            date.into(),
            pin.rev.as_str().into(),
            left.into(),
        ]
    };
    let columns = [">--steps", "PIN", "DATE", "REVISION", "LEFT ON"];
    let rows = pins.iter().map(row).collect();
    context.ui.document(&RollbackReport {
        now: Some(Point::from(&pin.now)),
        pins: Some(pins),
        ..RollbackReport::new(&pin.input.name)
    })?;
    context.ui.result(Table { columns: &columns, rows }.render(&context.ui));
    context.ui.status(format!("{} is at {}", pin.input.name, pin.now.name()));
    Ok(())
}
