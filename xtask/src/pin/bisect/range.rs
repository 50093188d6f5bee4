//! The range of the search: the given revisions and those between them in upstream's history.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::nix::flake_input::{Revision, short};
use crate::pin::args::BisectArgs;
use crate::upstream::history::History;
use crate::upstream::revision;
use crate::upstream::trial_fleet::PinState;

/// The revisions to search, from the good end to the bad end.
pub struct Range {
    pub history: History,
    pub revs: Vec<String>,
    pub good: Revision,
    pub bad: Revision,
}

/// Resolves the ends of the search and lists the revisions between them.
///
/// # Errors
/// The history cannot be read, or does not have such a range.
pub fn find(args: &BisectArgs, pin: &PinState<'_>) -> Result<Range> {
    let url = &pin.upstream.url;
    pin.context.ui.debug(format!("reading the history of {url}"));
    let history = revision::history(pin)?;
    let good = match &args.good {
        Some(typed) => resolve(&history, typed, "--good", url)?,
        None => resolve(&history, &pin.now.rev, "the revision in flake.lock, --good", url)?,
    };
    let bad = match &args.bad {
        Some(typed) => resolve(&history, typed, "--bad", url)?,
        None => revision::newest(pin, &revision::names(pin)?)?.0,
    };
    if good == bad {
        bail!("--good and --bad are the same revision, {}", short(&good));
    }
    if !history.is_ancestor(&good, &bad) {
        bail!("{}", diverged(&history, &good, &bad));
    }
    let mut revs = history.first_parent_history(&good, &bad)?;
    let tagged: Option<BTreeSet<String>> = match (args.tags, args.releases) {
        (true, _) => Some(history.builds()?.into_keys().collect()),
        (_, true) => Some(history.releases()?.into_keys().collect()),
        _ => None,
    };
    if let Some(tagged) = tagged {
        revs.retain(|rev| *rev == good || *rev == bad || tagged.contains(rev));
    }
    let (good, bad) = (history.revision(&good)?, history.revision(&bad)?);
    Ok(Range { history, revs, good, bad })
}

fn resolve(history: &History, typed: &str, option: &str, url: &str) -> Result<String> {
    if let Some(rev) = history.resolve(typed) {
        return Ok(rev);
    }
    let shallow = match history.is_shallow() {
        true => " It is a shallow clone: run `git fetch --unshallow` in it.",
        false => "",
    };
    bail!(
        "{option}: {url} has no revision, tag or branch {typed:?}.{shallow} Tags look like \
         b6140 or v0.7.0"
    )
}

/// Explains why the bad revision is not a descendant of the good one.
fn diverged(history: &History, good: &str, bad: &str) -> String {
    let fork = history.fork(good, bad);
    let fork = fork.as_deref().map(short);
    let is_swapped = history.is_ancestor(bad, good);
    let (good, bad) = (short(good), short(bad));
    match fork {
        _ if is_swapped => format!("--bad {bad} is older than --good {good}: swap them"),
        Some(fork) => format!(
            "--good {good} is not an ancestor of --bad {bad}: they diverge at {fork}. If that \
             revision is good, pass --good {fork}"
        ),
        None if history.is_shallow() => format!(
            "the history is a shallow clone that ends before --good {good} and --bad {bad} meet: \
             run `git fetch --unshallow` in it"
        ),
        None => format!("--good {good} and --bad {bad} have no commit in common"),
    }
}
