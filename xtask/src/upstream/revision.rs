//! Which revision an update goes to: a tag, a branch or a commit that upstream has.

use anyhow::{Result, bail};

use crate::findings::finding::{Checked, Finding};
use crate::nix::flake_input::{Revision, build_tag, release_tag};
use crate::ui::nearest::nearest;
use crate::upstream::history::{self, History, Names};
use crate::upstream::trial_fleet::PinState;

/// A revision, with the full name it was found under.
pub struct Chosen {
    pub revision: Revision,
    pub named: Option<String>,
    /// The pin now, with the names that upstream has for it.
    pub now: Revision,
    /// `Err`: why there is none.
    pub history: Result<History, String>,
    /// Why it is not the one that was asked for.
    pub note: Option<Finding>,
}

/// The revision that is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// The newest of the branch that flake.nix names.
    Newest,
    /// The newest release, unless the pin is of a later commit.
    NewestRelease,
    /// A tag, branch or commit, as typed.
    Named(&'a str),
}

/// # Errors
/// A [`Finding`] if upstream does not answer, or has no such revision.
pub fn choose(pin: &PinState, wanted: Wanted) -> Result<Chosen> {
    let url = &pin.upstream.url;
    let names = history::names(url).map_err(|error| {
        let help = "check the network; flake.lock is unchanged";
        Finding::error("unreachable", format!("{error:#}"), help)
    })?;
    not_pinned_to_tag(pin, &names)?;
    let now = names.named(pin.now.clone());
    let found = match wanted {
        Wanted::Newest => {
            let branch = pin.upstream.branch.as_deref();
            let found = branch.map_or_else(|| head(&names), |branch| names.resolve(branch));
            let (rev, name) = found.ok_or_else(|| no_branch(url, branch))?;
            // In flake.nix's own words, so that flake.lock keeps them.
            Ok((rev.to_owned(), Some(branch.map_or(name, str::to_owned))))
        }
        Wanted::NewestRelease => {
            let newest = names.releases().pop();
            let (version, rev) = newest.ok_or_else(|| no_release(url))?;
            Ok((rev.to_owned(), Some(format!("refs/tags/{}", release_tag(&version)))))
        }
        Wanted::Named(to) => match resolve(&names, to) {
            Some(found) => Ok(found),
            // A commit without a name of its own.
            None if is_hex(to) => Err(to),
            None => bail!(unknown(to, &names, url)),
        },
    };
    if let Ok((rev, named)) = &found
        && *rev == pin.now.rev
    {
        let (revision, named, history) = (now.clone(), named.clone(), Err(String::new()));
        return Ok(Chosen { revision, named, now, history, note: None });
    }
    pin.context.ui.status(format!("reading the history of {url}"));
    let history = History::open(&pin.context.home, url).map_err(|error| format!("{error:#}"));
    let (rev, named) = match found {
        Ok((rev, Some(tag)))
            if matches!(wanted, Wanted::NewestRelease) && is_behind(pin, &rev, &history) =>
        {
            let (revision, note) = (now.clone(), Some(ahead(&now, &tag)));
            return Ok(Chosen { revision, named: None, now, history, note });
        }
        Ok(found) => found,
        Err(to) => {
            let known = history.as_ref().ok().and_then(|history| history.resolve(to));
            let rev = known.or_else(|| (to.len() == 40).then(|| to.to_lowercase()));
            (rev.ok_or_else(|| unknown(to, &names, url))?, None)
        }
    };
    let known = history.as_ref().ok().and_then(|history| history.revision(&rev).ok());
    let revision = names.named(known.unwrap_or_else(|| Revision::of(rev)));
    Ok(Chosen { revision, named, now, history, note: None })
}

/// Whether the pin already has all that is in `release`.
fn is_behind(pin: &PinState, release: &str, history: &Result<History, String>) -> bool {
    history.as_ref().is_ok_and(|history| history.is_ancestor(release, &pin.now.rev))
}

fn ahead(now: &Revision, tag: &str) -> Finding {
    let newest = tag.trim_start_matches("refs/tags/");
    Finding::note(
        "ahead-of-release",
        format!("the pin {} is newer than the newest release, {newest}", now.name()),
        format!("`cargo xtask update --to {newest}` goes back to the release"),
    )
}

fn head(names: &Names) -> Option<(&str, String)> {
    let rev = names.rev("HEAD")?;
    // By the branch's name, if it has one: HEAD may become another branch.
    let branches = ["refs/heads/master", "refs/heads/main"];
    let named = branches.into_iter().find(|name| names.rev(name) == Some(rev));
    Some((rev, named.unwrap_or("HEAD").to_owned()))
}

fn resolve(names: &Names, to: &str) -> Option<(String, Option<String>)> {
    if let Some((rev, name)) = names.resolve(to) {
        return Some((rev.to_owned(), Some(name)));
    }
    // Shorter digits may be a name.
    let (rev, name) = names.beginning_with(to).filter(|_| is_hex(to) && to.len() >= 7)?;
    Some((rev.to_owned(), name.map(str::to_owned)))
}

fn is_hex(text: &str) -> bool {
    text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn no_branch(url: &str, branch: Option<&str>) -> Finding {
    let what = branch.map_or_else(|| "HEAD".to_owned(), |branch| format!("branch {branch}"));
    Finding::error(
        "no-such-revision",
        format!("{url} has no {what}"),
        "fix the url in flake.nix, or pass a revision with --to",
    )
}

fn no_release(url: &str) -> Finding {
    Finding::error(
        "no-such-revision",
        format!("{url} has no release (a tag vX.Y.Z)"),
        "update without --stable, or pass a revision with --to",
    )
}

fn unknown(to: &str, names: &Names, url: &str) -> Finding {
    let all: Vec<&str> = names.short().collect();
    let release = || names.releases().pop().map(|(version, _)| release_tag(&version));
    let build = || names.builds().last().and_then(|(build, _)| build_tag(Some(*build)));
    let newest = match to.starts_with('v') {
        true => release().map(|tag| format!("The newest release is {tag}")),
        false => build().map(|tag| format!("The newest build is {tag}")),
    };
    let help = match (nearest(to, all.iter().copied()), newest) {
        (Some(near), Some(newest)) => format!("did you mean {near}? {newest}"),
        (Some(near), None) => format!("did you mean {near}?"),
        (None, Some(newest)) => newest,
        (None, None) => "pass one of its tags, branches or commits".to_owned(),
    };
    Finding::error("no-such-revision", format!("{url} has no tag, branch or commit {to}"), help)
}

/// If flake.nix names a tag, flake.lock alone must not move.
fn not_pinned_to_tag(pin: &PinState, names: &Names) -> Checked<()> {
    let Some(branch) = &pin.upstream.branch else { return Ok(()) };
    let is_branch = names.rev(&format!("refs/heads/{branch}")).is_some();
    let is_tag = names.rev(&format!("refs/tags/{branch}")).is_some();
    if is_branch || !is_tag {
        return Ok(());
    }
    let input = &pin.input.name;
    Err(Finding::error(
        "pinned-in-flake",
        format!("flake.nix pins {input} to the tag {branch}"),
        format!("remove /{branch} from the url of {input} in flake.nix; flake.lock keeps the pin"),
    ))
}
