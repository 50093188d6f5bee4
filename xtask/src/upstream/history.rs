//! An upstream repository, asked by git: which revisions have a name, and, from a copy of
//! its history under `upstream/` of xtask's folder, what is between two of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::nix::flake_input::Revision;
use crate::system::process::{self, Captured, Invocation};
use crate::system::{disk, files};

const QUICK: Duration = Duration::from_secs(60);
/// The first copy of a long history, without its files.
const LONG: Duration = Duration::from_secs(900);

/// Every name that the repository has for a revision, as `git ls-remote` tells them.
#[derive(Debug, Clone, Default)]
pub struct Names(Vec<(String, String)>);

/// # Errors
/// There is no git, or the repository does not answer.
pub fn names(url: &str) -> Result<Names> {
    let call = asking(&["ls-remote", "--quiet", "--", url]);
    let output = process::capture(&call, Some(QUICK))?;
    if !output.exit.ok() {
        let why = output.stderr_text();
        let why = why.lines().find(|line| !line.trim().is_empty()).unwrap_or("no answer");
        bail!("cannot list the revisions of {url} ({}): {}", output.exit, why.trim());
    }
    let text = output.stdout_text();
    let line = |line: &str| line.split_once('\t').map(|(rev, name)| (rev.into(), name.into()));
    Ok(Names(text.lines().filter_map(line).collect()))
}

impl Names {
    /// The revision of a full name. An annotated tag stands for its commit.
    pub fn rev(&self, name: &str) -> Option<&str> {
        let peeled = format!("{name}^{{}}");
        let find = |name: &str| self.0.iter().find(|(_, its)| its == name);
        find(&peeled).or_else(|| find(name)).map(|(rev, _)| rev.as_str())
    }

    /// A branch or a tag, as it is typed: its revision and its full name. A tag comes
    /// first, as for git.
    pub fn resolve(&self, typed: &str) -> Option<(&str, String)> {
        let forms = [typed.to_owned(), format!("refs/tags/{typed}"), format!("refs/heads/{typed}")];
        forms.into_iter().find_map(|name| Some((self.rev(&name)?, name)))
    }

    /// The tags `bN`, with N and the revision, in the order of N.
    pub fn builds(&self) -> Vec<(u64, &str)> {
        let number = |name: &str| name.strip_prefix("refs/tags/b")?.parse::<u64>().ok();
        let mut builds: Vec<(u64, &str)> =
            self.0.iter().filter_map(|(_, name)| Some((number(name)?, self.rev(name)?))).collect();
        builds.sort_unstable();
        builds
    }

    pub fn build_of(&self, rev: &str) -> Option<u64> {
        self.builds().into_iter().find(|(_, its)| *its == rev).map(|(build, _)| build)
    }

    /// A name of this revision.
    pub fn name_of(&self, rev: &str) -> Option<String> {
        let named = self.0.iter().find(|(its, name)| its == rev && !name.ends_with("^{}"));
        named.map(|(_, name)| name.clone()).filter(|name| name != "HEAD")
    }

    /// Every tag and branch as a person types it.
    pub fn short(&self) -> impl Iterator<Item = &str> {
        let plain = |name: &str| !name.ends_with("^{}");
        self.0.iter().map(|(_, name)| name.as_str()).filter(move |name| plain(name)).filter_map(
            |name| name.strip_prefix("refs/tags/").or_else(|| name.strip_prefix("refs/heads/")),
        )
    }

    /// Whose revision begins with these digits.
    pub fn beginning_with(&self, digits: &str) -> Option<&str> {
        self.0.iter().map(|(rev, _)| rev.as_str()).find(|rev| rev.starts_with(digits))
    }
}

/// The history of a repository, on this machine.
#[derive(Debug, Clone)]
pub struct History {
    folder: PathBuf,
}

/// One commit of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub revision: Revision,
    pub subject: String,
    /// The files it changes, among those that were asked for.
    pub files: Vec<String>,
}

impl History {
    /// A repository of this machine as it is; of any other a copy without files, made or
    /// brought up to date.
    ///
    /// # Errors
    /// It cannot be had: no network, no git, no room.
    pub fn open(home: &Path, url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("file://").or(url.starts_with('/').then_some(url)) {
            return Ok(Self { folder: PathBuf::from(path) });
        }
        let folder = home.join("upstream").join(files::safe_name(url) + ".git");
        if folder.join("HEAD").is_file() {
            let history = Self { folder };
            let words = ["fetch", "--quiet", "--tags", "--prune", "--force", "origin"];
            let call = history.git(&words).arg("+refs/heads/*:refs/heads/*");
            process::read(&call, Some(LONG))?;
            return Ok(history);
        }
        disk::create(&home.join("upstream"))?;
        disk::make_folder(&folder, |partial| {
            let words = ["clone", "--quiet", "--bare", "--filter=blob:none", "--", url];
            let call = asking(&words).arg(partial);
            process::read(&call, Some(LONG)).map(drop)
        })?;
        Ok(Self { folder })
    }

    /// What it is called in full, if it is a commit of this history.
    pub fn resolve(&self, typed: &str) -> Option<String> {
        let call = self.git(&["rev-parse", "--verify", "--quiet", "--end-of-options"]);
        let call = call.arg(format!("{typed}^{{commit}}"));
        process::read(&call, Some(QUICK)).ok().filter(|rev| rev.len() == 40)
    }

    /// With date, and the build number as llama.cpp counts it.
    ///
    /// # Errors
    /// It is no commit of this history.
    pub fn revision(&self, rev: &str) -> Result<Revision> {
        let call = self.git(&["show", "--no-patch", "--format=%H %ct", "--end-of-options", rev]);
        let output = process::read(&call, Some(QUICK))?;
        let (rev, date) = output.split_once(' ').context("unexpected output from git show")?;
        let call = self.git(&["rev-list", "--count", rev]);
        let build = process::read(&call, Some(QUICK))?.parse().ok();
        Ok(Revision { rev: rev.to_owned(), date: date.parse().ok(), build })
    }

    /// Whether `old` is `new` or one of those before it.
    pub fn is_ancestor(&self, old: &str, new: &str) -> bool {
        let call = self.git(&["merge-base", "--is-ancestor", old, new]);
        process::capture(&call, Some(QUICK)).is_ok_and(|output| output.exit.ok())
    }

    /// The commits after `old` up to `new` on the main line, oldest first. `paths`: only
    /// those that change one of them; none: all.
    pub fn between(&self, old: &str, new: &str, paths: &[&str]) -> Result<Vec<Commit>> {
        // A record begins with RS and its fields end with US; the names follow, each in
        // a line. Renames would need the files' contents.
        let call = self
            .git(&["-c", "core.quotePath=off", "log", "--reverse", "--first-parent"])
            .args(["--no-renames", "--name-only", "-m", "--format=%x1e%H%x1f%ct%x1f%s%x1f"])
            .arg(format!("{old}..{new}"))
            .arg("--")
            .args(paths.iter().copied());
        let output = process::capture(&call, Some(LONG))?;
        if !output.exit.ok() {
            return Err(anyhow!("{}", output.stderr_text().trim()).context(format!("`{call}`")));
        }
        let count = self.revision(new)?.build.unwrap_or_default();
        let mut commits = commits(&output);
        if paths.is_empty() {
            // On one line of first parents each merge may bring several commits: only the
            // count of the last is certain, and of the others where all are ordinary.
            let all = self.count(old, new)?;
            if all == commits.len() as u64 {
                for (commit, build) in commits.iter_mut().rev().zip((1..=count).rev()) {
                    commit.revision.build = Some(build);
                }
            }
        }
        Ok(commits)
    }

    /// How many commits are after `old` up to `new`.
    pub fn count(&self, old: &str, new: &str) -> Result<u64> {
        let call = self.git(&["rev-list", "--count"]).arg(format!("{old}..{new}"));
        let output = process::read(&call, Some(QUICK))?;
        output.parse().with_context(|| format!("`{call}` printed {output:?}"))
    }

    pub(crate) fn git(&self, words: &[&str]) -> Invocation {
        asking(&["-C"]).arg(&self.folder).args(words.iter().copied())
    }
}

fn commits(output: &Captured) -> Vec<Commit> {
    let text = output.stdout_text();
    let record = |record: &str| {
        let mut fields = record.splitn(4, '\u{1f}');
        let (rev, date, subject) = (fields.next()?.trim(), fields.next()?, fields.next()?);
        let names = fields.next()?.lines().filter(|line| !line.is_empty());
        let revision = Revision { rev: rev.to_owned(), date: date.parse().ok(), build: None };
        let files = names.map(str::to_owned).collect();
        Some(Commit { revision, subject: subject.to_owned(), files })
    };
    text.split('\u{1e}').filter_map(record).collect()
}

/// git that asks nobody for a password.
fn asking(words: &[&str]) -> Invocation {
    Invocation::new("git")
        .args(words.iter().copied())
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
}
