//! Which revision an update goes to: a tag, a branch or a commit is asked of upstream by
//! git; and what lies between, as far as the history can be had.

use anyhow::Result;

use crate::findings::finding::Finding;
use crate::nix::flake_input::Revision;
use crate::ui::nearest::nearest;
use crate::upstream::history as upstream;
use crate::upstream::history::{History, Names};
use crate::upstream::trial_fleet::PinState;

/// A revision, with the full name it was found under.
pub struct Chosen {
    pub revision: Revision,
    pub named: Option<String>,
    /// `Err`: why there is none.
    pub history: Result<History, String>,
}

/// `to`: as typed; none: the newest of the branch that flake.nix names.
pub fn choose(pin: &PinState, to: Option<&str>) -> Result<Result<Chosen, Finding>> {
    let url = &pin.upstream.url;
    let names = match upstream::names(url) {
        Ok(names) => names,
        Err(error) => return Ok(Err(unreachable(&format!("{error:#}")))),
    };
    if let Some(finding) = pinned_to_tag(pin, &names) {
        return Ok(Err(finding));
    }
    let open = || {
        let ui = &pin.context.ui;
        ui.status(format!("reading the history of {url}"));
        History::open(&pin.context.home, url).map_err(|error| format!("{error:#}"))
    };
    let found = match to {
        None => {
            let branch = pin.upstream.branch.as_deref();
            match branch.map_or_else(|| head(&names), |branch| names.resolve(branch)) {
                // In flake.nix's own words, so that flake.lock keeps them.
                Some((rev, name)) => (rev.to_owned(), Some(branch.map_or(name, str::to_owned))),
                None => return Ok(Err(no_branch(url, branch))),
            }
        }
        Some(to) => match resolve(&names, to) {
            Some(found) => found,
            None => {
                // A commit without a name of its own.
                let history = open();
                let rev = history.as_ref().ok().filter(|_| is_hex(to)).and_then(|h| h.resolve(to));
                let Some(rev) = rev.or_else(|| whole(to)) else {
                    return Ok(Err(unknown(to, &names, url)));
                };
                return Ok(Ok(with_number(rev, None, &names, history)));
            }
        },
    };
    let (rev, named) = found;
    if rev == pin.now.rev {
        // Nothing will be told of what is between.
        let history = Err(String::new());
        return Ok(Ok(Chosen { revision: pin.now.clone(), named, history }));
    }
    Ok(Ok(with_number(rev, named, &names, open())))
}

fn with_number(
    rev: String,
    named: Option<String>,
    names: &Names,
    history: Result<History, String>,
) -> Chosen {
    let known = history.as_ref().ok().and_then(|history| history.revision(&rev).ok());
    let build = names.build_of(&rev);
    let revision = match known {
        Some(known) => Revision { build: build.or(known.build), ..known },
        None => Revision { rev, date: None, build },
    };
    Chosen { revision, named, history }
}

fn head(names: &Names) -> Option<(&str, String)> {
    let rev = names.rev("HEAD")?;
    // By the branch's own name, where it has one: HEAD may become another's.
    let branches = ["refs/heads/master", "refs/heads/main"];
    let named = branches.into_iter().find(|name| names.rev(name) == Some(rev));
    Some((rev, named.unwrap_or("HEAD").to_owned()))
}

pub fn resolve(names: &Names, to: &str) -> Option<(String, Option<String>)> {
    if let Some((rev, name)) = names.resolve(to) {
        return Some((rev.to_owned(), Some(name)));
    }
    // Only what is long enough to be meant as one.
    (is_hex(to) && to.len() >= 7)
        .then(|| names.beginning_with(to))
        .flatten()
        .map(|rev| (rev.to_owned(), names.name_of(rev)))
}

fn is_hex(text: &str) -> bool {
    text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn whole(text: &str) -> Option<String> {
    (text.len() == 40 && is_hex(text)).then(|| text.to_lowercase())
}

fn unreachable(why: &str) -> Finding {
    Finding::error("unreachable", why, "check the network; flake.lock is unchanged")
}

fn no_branch(url: &str, branch: Option<&str>) -> Finding {
    let what = branch.map_or_else(|| "HEAD".to_owned(), |branch| format!("branch {branch}"));
    Finding::error(
        "no-such-revision",
        format!("{url} has no {what}"),
        "fix the url in flake.nix, or pass a revision with --to",
    )
}

fn unknown(to: &str, names: &Names, url: &str) -> Finding {
    let all: Vec<&str> = names.short().collect();
    let newest = names.builds().last().map(|(build, _)| format!("b{build}"));
    let help = match (nearest(to, all.iter().copied()), newest) {
        (Some(near), Some(newest)) => format!("did you mean {near}? The newest build is {newest}"),
        (Some(near), None) => format!("did you mean {near}?"),
        (None, Some(newest)) => format!("the newest build is {newest}"),
        (None, None) => "pass one of its tags, branches or commits".to_owned(),
    };
    Finding::error("no-such-revision", format!("{url} has no tag, branch or commit {to}"), help)
}

/// Where flake.nix names a tag, moving flake.lock alone would make it say what is not so.
fn pinned_to_tag(pin: &PinState, names: &Names) -> Option<Finding> {
    let branch = pin.upstream.branch.as_deref()?;
    let is_branch = names.rev(&format!("refs/heads/{branch}")).is_some();
    let is_tag = names.rev(&format!("refs/tags/{branch}")).is_some();
    let input = &pin.input.name;
    (is_tag && !is_branch).then(|| {
        Finding::error(
            "pinned-in-flake",
            format!("flake.nix pins {input} to the tag {branch}"),
            format!(
                "remove /{branch} from the url of {input} in flake.nix; flake.lock keeps the pin"
            ),
        )
    })
}
