//! Between which revisions is searched: what was typed, found in upstream's history.

use anyhow::{Context as _, Result, bail};

use crate::nix::flake_input::{Revision, short};
use crate::pin::args::BisectArgs;
use crate::upstream::history as upstream;
use crate::upstream::history::History;
use crate::upstream::trial_fleet::PinState;

/// Revisions in their order, the good end first.
pub struct Range {
    pub history: History,
    pub revs: Vec<String>,
    pub good: Revision,
    pub bad: Revision,
}

/// # Errors
/// The history cannot be had, or what was typed names no stretch of it.
pub fn find(args: &BisectArgs, pin: &PinState<'_>) -> Result<Range> {
    let url = &pin.upstream.url;
    pin.context.ui.detail(format!("reading the history of {url}"));
    let history = History::open(&pin.context.home, url)
        .with_context(|| format!("there is no history to search: {url} cannot be read"))?;
    let good = match &args.good {
        Some(typed) => resolve(&history, typed, "--good", url)?,
        None => resolve(&history, &pin.now.rev, "the revision in flake.lock, --good", url)?,
    };
    let bad = match &args.bad {
        Some(typed) => resolve(&history, typed, "--bad", url)?,
        None => newest(pin)?,
    };
    if good == bad {
        bail!("--good and --bad are the same revision, {}: there is nothing between", short(&good));
    }
    if !history.is_ancestor(&good, &bad) {
        bail!("{}", apart(&history, &good, &bad));
    }
    let mut revs = history.main_line(&good, &bad)?;
    if args.tags {
        let builds = history.builds()?;
        let last = revs.len() - 1;
        let mut at = 0..;
        revs.retain(|rev| {
            let at = at.next().unwrap_or_default();
            at == 0 || at == last || builds.contains_key(rev)
        });
    }
    let (good, bad) = (history.revision(&good)?, history.revision(&bad)?);
    Ok(Range { history, revs, good, bad })
}

fn resolve(history: &History, typed: &str, option: &str, url: &str) -> Result<String> {
    if let Some(rev) = history.resolve(typed) {
        return Ok(rev);
    }
    let shallow = match history.is_shallow() {
        true => " That history is cut off (a shallow clone): `git fetch --unshallow` there.",
        false => "",
    };
    bail!(
        "{option}: {url} has no revision, tag or branch {typed:?}.{shallow} Tags are named b and \
         the build number, as in b6140"
    )
}

/// What `update` would move to.
fn newest(pin: &PinState<'_>) -> Result<String> {
    let branch = pin.upstream.branch.as_deref().unwrap_or("HEAD");
    let names = upstream::names(&pin.upstream.url)?;
    match names.resolve(branch) {
        Some((rev, _)) => Ok(rev.to_owned()),
        None => bail!("{} has no {branch}: name a revision with --bad", pin.upstream.url),
    }
}

/// Why there is no way from the good to the bad revision.
fn apart(history: &History, good: &str, bad: &str) -> String {
    let (this, that) = (short(good), short(bad));
    if history.is_ancestor(bad, good) {
        return format!(
            "--bad {that} is older than --good {this}: exchange them, or, where something was \
             mended rather than broken, there is nothing to search"
        );
    }
    match history.fork(good, bad) {
        Some(fork) => format!(
            "--good {this} is not among the ancestors of --bad {that}: they part at {}. If that \
             one is good, search from it: --good {}",
            short(&fork),
            short(&fork)
        ),
        None if history.is_shallow() => format!(
            "the history is cut off (a shallow clone) before --good {this} and --bad {that} meet: \
             `git fetch --unshallow` in it"
        ),
        None => format!("--good {this} and --bad {that} have no commit in common"),
    }
}
