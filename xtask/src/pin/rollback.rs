//! `rollback`: back to a pin before, from the journal of updates. Only the input goes back;
//! what else moved in flake.lock meanwhile stays.

use anyhow::Result;
use serde_json::json;

use crate::findings::finding::Finding;
use crate::findings::outcome::Outcome;
use crate::fleet::context::Context;
use crate::nix::flake_input::{Revision, day};
use crate::pin::args::RollbackArgs;
use crate::pin::journal::{Entry, way_back};
use crate::pin::update::commit as finish;
use crate::pin::update::report::{LockState, Point};
use crate::pin::{journal_file, lock_transaction};
use crate::ui::table::Table;
use crate::upstream::trial_fleet::{LLAMA_CPP, PinState};

pub fn run(args: &RollbackArgs, context: &Context) -> Result<Outcome> {
    // Discover.
    let pin = match PinState::read(context, args.input.as_deref())? {
        Ok(pin) => pin,
        Err(finding) => return refused(context, args, &finding),
    };
    let _alone = lock_transaction::reserve(&context.home, &pin.root)?;
    let entries = journal_file::read(&context.home, &pin.root);
    let way = way_back(&entries, &pin.input.name, &pin.now.rev);
    if args.list {
        return list(context, &pin, &way);
    }
    // Plan.
    let Some(entry) = way.get(args.to.get() - 1) else {
        return refused(context, args, &no_earlier_pin(&pin, way.len(), args.to.get()));
    };
    // Run.
    lock_transaction::can_write(&pin.root.join(finish::LOCK))?;
    let to = &entry.from;
    if let Err(finding) = step_back(&pin, entry)? {
        return refused(context, args, &finding);
    }
    // Report.
    let (from, to) = (Point::from(&pin.now), Point::from(to));
    context.ui.document(&json!({
        "schema": 1, "command": "rollback", "input": pin.input.name, "from": from, "to": to,
        "findings": [], "lock": LockState::Updated, "ok": true,
    }))?;
    context.ui.status(format!(
        "{}: {} is back at {}; run `cargo xtask check` to evaluate every host with it",
        context.ui.green("back"),
        pin.input.name,
        entry.from.name(),
    ));
    for (host, pinned) in &entry.pinned_hosts {
        context
            .ui
            .status(format!("{host} is pinned at {}, as it was then", pinned.revision().name()));
    }
    Ok(Outcome::Ok)
}

/// With what the lock was then, where the inputs of the input are still the same: that
/// needs no network. Else Nix locks the revision again.
fn step_back(pin: &PinState<'_>, entry: &Entry) -> Result<Result<(), Finding>> {
    let name = &pin.input.name;
    let to: &Revision = &entry.from;
    if pin.lock.inputs_that_differ(&entry.lock, name).is_empty()
        && let Ok(then) = entry.lock.find(name)
    {
        let lock = pin.lock.replaced(&pin.input, &then);
        finish::step(pin, &lock, to, entry.pinned_hosts.clone())?;
        return Ok(Ok(()));
    }
    Ok(match pin.trial_fleet(to, None)? {
        Ok(trial) => {
            let pinned = entry.pinned_hosts.clone();
            Ok(finish::step(pin, &trial.lock, &trial.revision, pinned)?)
        }
        Err(finding) => Err(finding),
    })
}

fn no_earlier_pin(pin: &PinState<'_>, known: usize, asked: usize) -> Finding {
    let name = &pin.input.name;
    let message = match known {
        0 => format!("the journal has no update of {name} that led to {}", pin.now.name()),
        known => format!("the journal goes back {known} pins of {name}, not {asked}"),
    };
    Finding::error(
        "no-way-back",
        message,
        format!(
            "`git log --oneline -- flake.lock` has the pins that were committed; `cargo xtask \
             update --input {name} --to REVISION` moves to any revision"
        ),
    )
}

fn list(context: &Context, pin: &PinState<'_>, way: &[&Entry]) -> Result<Outcome> {
    let pins: Vec<_> = way
        .iter()
        .enumerate()
        .map(|(at, entry)| {
            json!({ "to": at + 1, "pin": Point::from(&entry.from), "leftAt": entry.time })
        })
        .collect();
    context.ui.document(&json!({
        "schema": 1, "command": "rollback", "input": pin.input.name,
        "now": Point::from(&pin.now), "pins": pins, "ok": true,
    }))?;
    let row = |(at, entry): (usize, &&Entry)| {
        let left = i64::try_from(entry.time).map(day).unwrap_or_default();
        vec![
            (at + 1).to_string().into(),
            entry.from.name().into(),
            entry.from.day().unwrap_or_default().into(),
            entry.from.rev.clone().into(),
            left.into(),
        ]
    };
    let columns = [">--to", "PIN", "DATE", "REVISION", "LEFT ON"];
    let rows = way.iter().enumerate().map(row).collect();
    context.ui.result(Table { columns: &columns, rows }.render(&context.ui));
    context.ui.status(format!("{} is at {}", pin.input.name, pin.now.name()));
    Ok(Outcome::Ok)
}

fn refused(context: &Context, args: &RollbackArgs, finding: &Finding) -> Result<Outcome> {
    let input = args.input.as_deref().unwrap_or(LLAMA_CPP);
    context.ui.document(&json!({
        "schema": 1, "command": "rollback", "input": input, "findings": [finding],
        "lock": LockState::Unchanged, "ok": false,
    }))?;
    context.ui.warn(crate::findings::view::describe(&context.ui, input, finding));
    Ok(Outcome::Findings)
}
