//! `rollback`: back to a pin before, from the journal of updates. Only the input goes back;
//! what else moved in flake.lock meanwhile stays.

use anyhow::Result;
use serde_json::json;

use crate::findings::finding::Finding;
use crate::findings::outcome::Outcome;
use crate::fleet::context::Context;
use crate::nix::flake_input::{Revision, day};
use crate::nix::moved_lock;
use crate::pin::args::RollbackArgs;
use crate::pin::journal::{Entry, way_back};
use crate::pin::update::commit as finish;
use crate::pin::update::report::{LockState, Point};
use crate::pin::{journal_file, lock_transaction};
use crate::ui::table::{Align, Table};
use crate::upstream::trial_fleet::Ground;

pub fn run(args: &RollbackArgs, context: &Context) -> Result<Outcome> {
    // Discover.
    let ground = match Ground::survey(context, &args.input)? {
        Ok(ground) => ground,
        Err(finding) => return refused(context, args, &finding),
    };
    let _alone = lock_transaction::reserve(&context.home, &ground.root)?;
    let entries = journal_file::read(&context.home, &ground.root);
    let way = way_back(&entries, &ground.input.name, &ground.now.rev);
    if args.list {
        return list(context, &ground, &way);
    }
    // Plan.
    let Some(entry) = way.get(args.to.get() - 1) else {
        return refused(context, args, &nowhere(&ground, way.len(), args.to.get()));
    };
    // Run.
    lock_transaction::can_write(&ground.root.join(finish::LOCK))?;
    let to = &entry.from;
    if let Err(finding) = step_back(&ground, entry)? {
        return refused(context, args, &finding);
    }
    // Report.
    let (from, to) = (Point::from(&ground.now), Point::from(to));
    context.ui.document(&json!({
        "schema": 1, "command": "rollback", "input": args.input, "from": from, "to": to,
        "findings": [], "lock": LockState::Updated, "ok": true,
    }))?;
    context.ui.say(format!(
        "{}: {} is at {} again; `cargo xtask check` evaluates every host with it",
        context.ui.green("back"),
        args.input,
        entry.from.name(),
    ));
    for (host, hold) in &entry.held {
        context.ui.say(format!("{host} is held at {}, as it was then", hold.revision().name()));
    }
    Ok(Outcome::Well)
}

/// With what the lock was then, where the inputs of the input are still the same: that
/// needs no network. Else Nix locks the revision anew.
fn step_back(ground: &Ground<'_>, entry: &Entry) -> Result<Result<(), Finding>> {
    let name = &ground.input.name;
    let to: &Revision = &entry.from;
    if moved_lock::inputs_that_differ(&ground.lock, &entry.lock, name).is_empty()
        && let Ok(then) = moved_lock::find(&entry.lock, name)
    {
        let lock = moved_lock::replaced(&ground.lock, &ground.input, &then);
        finish::step(ground, &lock, to, entry.held.clone())?;
        return Ok(Ok(()));
    }
    Ok(match ground.candidate(to, None)? {
        Ok(candidate) => {
            let held = entry.held.clone();
            Ok(finish::step(ground, &candidate.lock, &candidate.revision, held)?)
        }
        Err(finding) => Err(finding),
    })
}

fn nowhere(ground: &Ground<'_>, known: usize, asked: usize) -> Finding {
    let name = &ground.input.name;
    let message = match known {
        0 => format!("the journal knows no update of {name} that led to {}", ground.now.name()),
        known => format!("the journal goes back {known} pins of {name}, not {asked}"),
    };
    Finding::error(
        "no-way-back",
        message,
        format!(
            "`git log --oneline -- flake.lock` has the pins that were committed; \
             `cargo xtask update --input {name} --to REVISION` goes to any"
        ),
    )
}

fn list(context: &Context, ground: &Ground<'_>, way: &[&Entry]) -> Result<Outcome> {
    let pins: Vec<_> = way
        .iter()
        .enumerate()
        .map(|(at, entry)| {
            json!({ "to": at + 1, "pin": Point::from(&entry.from), "leftAt": entry.time })
        })
        .collect();
    context.ui.document(&json!({
        "schema": 1, "command": "rollback", "input": ground.input.name,
        "now": Point::from(&ground.now), "pins": pins, "ok": true,
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
    let columns = [
        ("--to", Align::Right),
        ("PIN", Align::Left),
        ("DATE", Align::Left),
        ("REVISION", Align::Left),
        ("LEFT ON", Align::Left),
    ];
    let rows = way.iter().enumerate().map(row).collect();
    context.ui.result(Table { columns: &columns, rows }.render(&context.ui));
    context.ui.say(format!("{} is at {}", ground.input.name, ground.now.name()));
    Ok(Outcome::Well)
}

fn refused(context: &Context, args: &RollbackArgs, finding: &Finding) -> Result<Outcome> {
    context.ui.document(&json!({
        "schema": 1, "command": "rollback", "input": args.input, "findings": [finding],
        "lock": LockState::Unchanged, "ok": false,
    }))?;
    context.ui.complain(crate::findings::view::describe(&context.ui, &args.input, finding));
    Ok(Outcome::Findings)
}
