//! Queries an upstream repository with git: its branches and tags, and its history from a bare
//! clone in `upstream/` of xtask's folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use percent_encoding::percent_decode_str;
use semver::Version;

use crate::nix::flake_input::Revision;
use crate::system::process::{self, Invocation, Source};
use crate::system::{disk, files, machine_lock};

const QUICK: Duration = Duration::from_secs(60);
/// Timeout for cloning a long history, or for reading ten thousand commits.
const LONG: Duration = Duration::from_secs(900);

/// The refs of a repository: full name to revision. An annotated tag has the revision of its
/// commit.
#[derive(Debug, Clone, Default)]
pub struct Names(BTreeMap<String, String>);

/// Reads the refs of a repository.
///
/// # Errors
/// There is no git, or the repository cannot be reached.
pub fn names(url: &str) -> Result<Names> {
    let call = git(&["ls-remote", "--quiet", "--", url]);
    let output = process::capture(&call, Some(QUICK))?;
    if !output.exit.ok() {
        let why = output.stderr_text();
        let why = why.lines().find(|line| !line.trim().is_empty()).unwrap_or("no answer");
        bail!("cannot list the revisions of {url} ({}): {}", output.exit, why.trim());
    }
    Ok(Names::parse(&output.stdout_text()))
}

impl Names {
    /// Parses the output of `git ls-remote`. The commit of an annotated tag follows it as `TAG^{}`.
    fn parse(printed: &str) -> Self {
        let lines = printed.lines().filter_map(|line| line.split_once('\t'));
        let name = |name: &str| name.strip_suffix("^{}").unwrap_or(name).to_owned();
        Self(lines.map(|(rev, full_name)| (name(full_name), rev.to_owned())).collect())
    }

    /// Returns the revision of a ref's full name.
    pub fn rev(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the revision and the full name of a branch or tag. A tag takes precedence, as in
    /// git.
    pub fn resolve(&self, typed: &str) -> Option<(&str, String)> {
        let forms = [
            typed.to_owned(),
            format!("refs/tags/{typed}"),
            format!("refs/heads/{typed}"),
            format!("refs/tags/v{typed}"),
        ];
        forms.into_iter().find_map(|name| Some((self.rev(&name)?, name)))
    }

    /// Returns the tags `bN` as N and revision, sorted.
    pub fn builds(&self) -> Vec<(u64, &str)> {
        self.tags(build)
    }

    /// Returns the releases with their revisions, oldest first, without pre-releases.
    pub fn releases(&self) -> Vec<(Version, &str)> {
        self.tags(release)
    }

    fn tags<T: Ord>(&self, parse: fn(&str) -> Option<T>) -> Vec<(T, &str)> {
        let tag = |name: &String| parse(name.strip_prefix("refs/tags/")?);
        let tags = self.0.iter().filter_map(|(name, rev)| Some((tag(name)?, rev.as_str())));
        let mut tags: Vec<_> = tags.collect();
        tags.sort_unstable();
        tags
    }

    /// Adds the build number and the version from the revision's tags, if it has any.
    pub fn named(&self, revision: Revision) -> Revision {
        let build = self.builds().into_iter().find(|(_, rev)| *rev == revision.rev);
        let release = self.releases().into_iter().rfind(|(_, rev)| *rev == revision.rev);
        Revision {
            build: build.map(|(build, _)| build).or(revision.build),
            release: release.map(|(release, _)| release).or(revision.release),
            ..revision
        }
    }

    /// Returns the short names of all tags and branches.
    pub fn short(&self) -> impl Iterator<Item = &str> {
        let names = self.0.keys();
        names.filter_map(|it| it.strip_prefix("refs/tags/").or(it.strip_prefix("refs/heads/")))
    }

    /// Returns the revision that begins with these digits, and one of its names.
    pub fn beginning_with(&self, digits: &str) -> Option<(&str, Option<&str>)> {
        let rev = self.0.values().find(|rev| rev.starts_with(digits))?;
        let name = self.0.iter().find(|(name, named)| *named == rev && *name != "HEAD");
        Some((rev.as_str(), name.map(|(name, _)| name.as_str())))
    }
}

/// A Git repository on this machine.
#[derive(Debug, Clone)]
pub struct History {
    folder: PathBuf,
}

/// A commit and its changed files: for a merge, those that differ from the first parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub rev: String,
    pub author: String,
    pub subject: String,
    pub files: Vec<String>,
}

impl History {
    /// Opens the repository. Reads one on this machine in place, and creates or updates a bare
    /// clone without file contents of any other.
    ///
    /// # Errors
    /// There is no network, git, disk space or repository.
    pub fn open(home: &Path, url: &str) -> Result<Self> {
        let local = match url.strip_prefix("file://") {
            Some(path) => Some(OsString::from_vec(percent_decode_str(path).collect())),
            None => url.starts_with('/').then(|| url.into()),
        };
        if let Some(path) = local {
            let history = Self { folder: PathBuf::from(path) };
            history.ask(&["rev-parse", "--git-dir"])?;
            return Ok(history);
        }
        let folder = home.join("upstream").join(files::path_name(Path::new(url)) + ".git");
        // Of two concurrent fetches, one fails.
        let _lock = machine_lock::lock(&folder.with_extension("lock"), "git fetch", &|_| ())?;
        if folder.join("HEAD").is_file() {
            let history = Self { folder };
            let words = ["fetch", "--quiet", "--tags", "--prune", "--force", "origin"];
            let call = history.git(&words).arg("+refs/heads/*:refs/heads/*");
            process::read(&call, Some(LONG))?;
            return Ok(history);
        }
        disk::make_folder(&folder, |partial| {
            let words = ["clone", "--quiet", "--bare", "--filter=blob:none", "--", url];
            process::read(&git(&words).arg(partial), Some(LONG)).map(drop)
        })?;
        Ok(Self { folder })
    }

    fn git(&self, words: &[&str]) -> Invocation {
        git(&["-C"]).arg(&self.folder).args(words.iter().copied())
    }

    fn ask(&self, words: &[&str]) -> Result<String> {
        process::read(&self.git(words), Some(LONG))
    }

    /// Returns the full revision, if it is a commit of this history.
    pub fn resolve(&self, typed: &str) -> Option<String> {
        let commit = format!("{typed}^{{commit}}");
        let words = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
        self.ask(&words).ok().filter(|rev| rev.len() == 40)
    }

    /// Returns a revision with its date, and llama.cpp's build number, the number of its commits. A
    /// shallow clone lacks commits, so there the build number is `None`.
    ///
    /// # Errors
    /// It is not a commit of this history.
    pub fn revision(&self, rev: &str) -> Result<Revision> {
        let words = ["show", "--no-patch", "--format=%H %ct", "--end-of-options", rev];
        let output = self.ask(&words)?;
        let (rev, date) = output.split_once(' ').context("unexpected output from git show")?;
        let build = match self.is_shallow() {
            true => None,
            false => self.ask(&["rev-list", "--count", rev])?.parse().ok(),
        };
        let release = self.releases()?.remove(rev);
        Ok(Revision { rev: rev.to_owned(), date: date.parse().ok(), build, release })
    }

    /// Whether `old` is `new` or one of its ancestors.
    pub fn is_ancestor(&self, old: &str, new: &str) -> bool {
        self.ask(&["merge-base", "--is-ancestor", old, new]).is_ok()
    }

    /// Returns the best common ancestor of two revisions, if there is one.
    pub fn fork(&self, one: &str, other: &str) -> Option<String> {
        self.ask(&["merge-base", one, other]).ok().filter(|rev| !rev.is_empty())
    }

    /// Whether the repository is a shallow clone.
    pub fn is_shallow(&self) -> bool {
        self.ask(&["rev-parse", "--is-shallow-repository"]).is_ok_and(|output| output == "true")
    }

    /// Returns the number of commits after `old` up to `new`.
    pub fn count(&self, old: &str, new: &str) -> Result<u64> {
        let output = self.ask(&["rev-list", "--count", &format!("{old}..{new}")])?;
        output.parse().with_context(|| format!("`git rev-list --count` printed {output:?}"))
    }

    /// Returns upstream's build tags `bN`: revision to N.
    pub fn builds(&self) -> Result<BTreeMap<String, u64>> {
        self.tags("b*", build)
    }

    /// Returns upstream's releases: revision to version.
    pub fn releases(&self) -> Result<BTreeMap<String, Version>> {
        self.tags("v*", release)
    }

    fn tags<T>(&self, pattern: &str, parse: fn(&str) -> Option<T>) -> Result<BTreeMap<String, T>> {
        let format = "--format=%(refname:strip=2) %(objectname) %(*objectname)";
        let output = self.ask(&["for-each-ref", format, &format!("refs/tags/{pattern}")])?;
        let one = |line: &str| {
            let mut words = line.split_whitespace();
            let tag = parse(words.next()?)?;
            // The second hash of an annotated tag is its commit.
            Some((words.last()?.to_owned(), tag))
        };
        Ok(output.lines().filter_map(one).collect())
    }

    /// Returns the first-parent history from `old` to `new`, both included: the commits of the
    /// branch without those of merged branches.
    ///
    /// # Errors
    /// Git fails because the history is incomplete.
    pub fn first_parent_history(&self, old: &str, new: &str) -> Result<Vec<String>> {
        let range = format!("{old}..{new}");
        let call = self.git(&["rev-list", "--first-parent", "--reverse", &range, "--"]);
        let (mut revs, mut output) = (vec![old.to_owned()], String::new());
        let exit = process::stream(&call, Some(LONG), &mut |source, line| {
            let line = String::from_utf8_lossy(line);
            match source {
                Source::Stdout => revs.push(line.into_owned()),
                Source::Stderr => output.push_str(&line),
            }
        })?;
        if !exit.ok() {
            bail!("`{call}`: {exit}: {output}");
        }
        Ok(revs)
    }

    /// Returns the commits of the first-parent history after `old` up to `new` that change one of
    /// `paths`, oldest first. Their files are only those in `paths`.
    pub fn between<'a>(
        &self,
        old: &str,
        new: &str,
        paths: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Commit>> {
        let range = format!("{old}..{new}");
        let paths: Vec<&str> = paths.collect();
        self.commits("log", &[&["--reverse", &range, "--"], &paths[..]].concat())
    }

    pub fn commit(&self, rev: &str) -> Result<Commit> {
        let commits = self.commits("show", &["--end-of-options", rev])?;
        commits.into_iter().next().context("unexpected output from git show")
    }

    fn commits(&self, command: &str, words: &[&str]) -> Result<Vec<Commit>> {
        // A record begins with RS and its fields end with US; the file names follow, one a line.
        // Renames would need the files' contents.
        let call = self
            .git(&["-c", "core.quotePath=off", command, "--first-parent", "--no-renames", "-m"])
            .args(["--name-only", "--format=%x1e%H%x1f%an%x1f%s%x1f"])
            .args(words.iter().copied());
        let output = process::capture(&call, Some(LONG))?;
        if !output.exit.ok() {
            bail!("`{call}`: {}", output.stderr_text().trim());
        }
        let record = |record: &str| {
            let mut fields = record.splitn(4, '\u{1f}').map(str::trim);
            let mut field = || fields.next().map(str::to_owned);
            let (rev, author, subject, files) = (field()?, field()?, field()?, field()?);
            let files = files.lines().map(str::to_owned).collect();
            Some(Commit { rev, author, subject, files })
        };
        Ok(output.stdout_text().split('\u{1e}').filter_map(record).collect())
    }

    /// Returns the lines that a commit adds and removes in these files, without context. A partial
    /// clone may have to fetch the files.
    pub fn changed_lines(&self, rev: &str, files: &[String]) -> Result<Vec<String>> {
        let call = self
            .git(&["show", "--first-parent", "-m", "--no-renames", "--no-color", "--no-ext-diff"])
            .args(["--unified=0", "--format=", "--end-of-options", rev, "--"])
            .args(files.iter().cloned());
        let output = process::read(&call, Some(LONG))?;
        let changed = |line: &&str| {
            line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---")
        };
        Ok(output.lines().filter(changed).map(str::to_owned).collect())
    }
}

/// Returns the number of a build's tag, such as `b6140`.
fn build(tag: &str) -> Option<u64> {
    tag.strip_prefix('b')?.parse().ok()
}

/// Returns the version of a release's tag, such as `v0.7.0`. `v0.7.0-rc1` is not a release.
fn release(tag: &str) -> Option<Version> {
    Version::parse(tag.strip_prefix('v')?).ok().filter(|version| version.pre.is_empty())
}

/// Returns a git command that never prompts for a password.
fn git(words: &[&str]) -> Invocation {
    Invocation::new("git")
        .args(words.iter().copied())
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "aa11\tHEAD\naa11\trefs/heads/master\nbb22\trefs/tags/b7\n\
                          cc33\trefs/tags/v1.0.0\ndd44\trefs/tags/v1.0.0^{}\n\
                          ee55\trefs/tags/v1.1.0-rc1\n";

    #[test]
    fn an_annotated_tag_has_the_revision_of_its_commit() {
        let names = Names::parse(LISTED);
        assert_eq!(names.rev("refs/tags/v1.0.0"), Some("dd44"));
        assert_eq!(names.resolve("1.0.0"), Some(("dd44", "refs/tags/v1.0.0".to_owned())));
        assert_eq!(names.releases(), [(Version::new(1, 0, 0), "dd44")]);
        assert_eq!(names.builds(), [(7, "bb22")]);
        assert_eq!(names.beginning_with("cc3"), None);
        assert_eq!(names.short().collect::<String>(), "masterb7v1.0.0v1.1.0-rc1");
    }

    #[test]
    fn the_newest_commit_has_the_name_of_its_branch() {
        let names = Names::parse(LISTED);
        assert_eq!(names.beginning_with("aa"), Some(("aa11", Some("refs/heads/master"))));
    }

    #[test]
    fn a_local_repository_is_read_in_place_and_a_shallow_one_has_no_build_number() {
        let scratch = tempfile::tempdir().unwrap();
        let run = |folder: &Path, words: &[&str]| {
            let who = ["-c", "user.name=x", "-c", "user.email=x@localhost", "-C"];
            process::read(&git(&who).arg(folder).args(words.iter().copied()), Some(QUICK)).unwrap()
        };
        let whole = scratch.path().join("a b");
        run(scratch.path(), &["init", "--quiet", "a b"]);
        for message in ["one", "two"] {
            run(&whole, &["commit", "--quiet", "--allow-empty", "--message", message]);
        }
        let url = format!("file://{}", whole.display()).replace(' ', "%20");
        run(scratch.path(), &["clone", "--quiet", "--depth=1", &url, "shallow"]);
        let build = |url: &str| {
            let history = History::open(scratch.path(), url)?;
            history.revision("HEAD").map(|revision| revision.build)
        };
        assert_eq!(build(&url).unwrap(), Some(2));
        let shallow = scratch.path().join("shallow");
        assert_eq!(build(shallow.to_str().unwrap()).unwrap(), None);
        let gone = format!("{:#}", build("file:///nonexistent/llama.cpp").unwrap_err());
        assert!(gone.contains("/nonexistent/llama.cpp"), "{gone}");
    }
}
