//! Resolves the revision of an update: an upstream tag, branch or commit.

use anyhow::{Error, Result, anyhow, bail};

use crate::findings::finding::{Checked, Finding, or_finding};
use crate::nix::flake_input::{Revision, build_tag, release_tag};
use crate::system::interrupt::{self, Interrupted};
use crate::ui::nearest::nearest;
use crate::upstream::history::{self, History, Names};
use crate::upstream::trial_fleet::PinState;

/// The chosen revision.
pub struct Chosen {
    pub revision: Revision,
    /// The full ref of the revision, if it has one.
    pub named: Option<String>,
    /// The current pin, with upstream's names for it.
    pub now: Revision,
    /// Upstream's history, or why it cannot be read.
    pub history: Result<History, String>,
    /// Why it is not the requested revision.
    pub note: Option<Finding>,
}

/// The requested revision.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// The newest commit of the branch in flake.nix.
    Newest,
    /// The newest release, unless the pin is a later commit.
    NewestRelease,
    /// A tag, branch or commit.
    Named(&'a str),
}

/// Resolves the requested revision.
///
/// # Errors
/// There is no revision of this name. A [`Finding`] if upstream cannot be read, or has no such
/// branch or release.
pub fn choose(pin: &PinState, wanted: Wanted) -> Result<Chosen> {
    let url = &pin.upstream.url;
    let names = names(pin)?;
    not_pinned_to_tag(pin, &names)?;
    let now = names.named(pin.now.clone());
    let found = match wanted {
        Wanted::Newest => Ok(newest(pin, &names)?),
        Wanted::NewestRelease => {
            let newest = names.releases().pop();
            let (version, rev) = newest.ok_or_else(|| no_release(url))?;
            Ok((rev.to_owned(), Some(format!("refs/tags/{}", release_tag(&version)))))
        }
        Wanted::Named(to) => match resolve(&names, to) {
            Some(found) => Ok(found),
            // Maybe a commit without a name.
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
    let history = or_finding(history(pin))?.map_err(|finding| finding.message);
    let (rev, named) = match found {
        Ok((rev, Some(tag))) if matches!(wanted, Wanted::NewestRelease) => {
            let tag_name = tag.trim_start_matches("refs/tags/");
            let history = history.as_ref().map_err(|why| {
                let help = format!(
                    "check the network; `cargo xtask update --to {tag_name}` needs no history, but \
                     also goes back to that release from a later commit"
                );
                Finding::error("unreachable", why.as_str(), help)
            })?;
            if history.is_ancestor(&rev, &pin.now.rev) {
                let (revision, note) = (now.clone(), Some(ahead(&now, tag_name)));
                let history = Ok(history.clone());
                return Ok(Chosen { revision, named: None, now, history, note });
            }
            (rev, Some(tag))
        }
        Ok(found) => found,
        Err(to) => {
            let whole = (to.len() == 40).then(|| to.to_lowercase());
            let rev = match &history {
                Ok(history) => {
                    history.resolve(to).or(whole).ok_or_else(|| unknown(to, &names, url))?
                }
                Err(why) => whole.ok_or_else(|| {
                    let help = "check the network, or pass a tag or all 40 digits of the commit";
                    Finding::error("unreachable", why.as_str(), help)
                })?,
            };
            (rev, None)
        }
    };
    let known = history.as_ref().ok().and_then(|history| history.revision(&rev).ok());
    let revision = names.named(known.unwrap_or_else(|| Revision::of(rev)));
    Ok(Chosen { revision, named, now, history, note: None })
}

/// Reads the refs of the input's repository.
///
/// # Errors
/// A [`Finding`] if it cannot be reached.
pub fn names(pin: &PinState) -> Result<Names> {
    history::names(&pin.upstream.url)
        .map_err(|error| unreachable(error, |error| format!("{error:#}")))
}

/// Reads the history of the input's repository.
///
/// # Errors
/// A [`Finding`] if it cannot be read.
pub fn history(pin: &PinState) -> Result<History> {
    let url = &pin.upstream.url;
    // Only git's message, without the command and its temporary folder.
    let message =
        |error: &Error| format!("cannot read the history of {url}: {}", error.root_cause());
    History::open(&pin.context.home, url).map_err(|error| unreachable(error, message))
}

fn unreachable(error: Error, message: impl FnOnce(&Error) -> String) -> Error {
    if interrupt::requested() {
        return Interrupted.into();
    }
    Finding::error("unreachable", message(&error), "check the network; flake.lock is unchanged")
        .into()
}

/// Returns the newest commit of the branch in flake.nix, with its full ref.
pub fn newest(pin: &PinState, names: &Names) -> Checked<(String, Option<String>)> {
    let branch = pin.upstream.branch.as_deref();
    let found = branch.map_or_else(|| head(names), |branch| names.resolve(branch));
    let (rev, name) = found.ok_or_else(|| no_branch(&pin.upstream.url, branch))?;
    // The branch as written in flake.nix, so that flake.lock keeps it.
    Ok((rev.to_owned(), Some(branch.map_or(name, str::to_owned))))
}

fn ahead(now: &Revision, newest: &str) -> Finding {
    Finding::note(
        "ahead-of-release",
        format!("the pin {} is newer than the newest release, {newest}", now.name()),
        format!("`cargo xtask update --to {newest}` goes back to the release"),
    )
}

fn head(names: &Names) -> Option<(&str, String)> {
    let rev = names.rev("HEAD")?;
    // Prefers the branch's name, because HEAD may change to another branch.
    let branches = ["refs/heads/master", "refs/heads/main"];
    let named = branches.into_iter().find(|name| names.rev(name) == Some(rev));
    Some((rev, named.unwrap_or("HEAD").to_owned()))
}

fn resolve(names: &Names, to: &str) -> Option<(String, Option<String>)> {
    if let Some((rev, name)) = names.resolve(to) {
        return Some((rev.to_owned(), Some(name)));
    }
    // Fewer digits may be a name.
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
        "fix the url in flake.nix, or pass a revision",
    )
}

fn no_release(url: &str) -> Finding {
    Finding::error(
        "no-such-revision",
        format!("{url} has no release (a tag vX.Y.Z)"),
        "update without --stable, or pass a revision with --to",
    )
}

fn unknown(to: &str, names: &Names, url: &str) -> Error {
    let release = names.releases().pop().map(|(version, _)| release_tag(&version));
    let build = names.builds().pop().and_then(|(build, _)| build_tag(Some(build)));
    let newest = match (release, build) {
        (Some(release), Some(build)) => {
            format!("The newest release is {release}, the newest build {build}")
        }
        (Some(release), None) => format!("The newest release is {release}"),
        (None, Some(build)) => format!("The newest build is {build}"),
        (None, None) => "pass one of its tags, branches or commits".to_owned(),
    };
    let near = nearest(to, names.short()).map(|near| format!("did you mean {near}? "));
    let near = near.unwrap_or_default();
    anyhow!("{url} has no tag, branch or commit {to}\n  help: {near}{newest}")
}

/// Rejects an input that flake.nix pins to a tag: an update of flake.lock alone would contradict it.
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
