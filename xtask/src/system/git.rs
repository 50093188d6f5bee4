//! Queries to Git about the repository, and the one commit that xtask makes in it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::system::process::{self, Invocation};

const QUICK: Duration = Duration::from_secs(60);

/// Returns the tracked files that `pattern` matches, relative to `root`.
pub fn tracked(root: &Path, pattern: &str) -> Result<Vec<String>> {
    list(root, &["--cached"], pattern)
}

/// Returns the files that a flake does not see: neither tracked nor ignored.
pub fn untracked(root: &Path, pattern: &str) -> Result<Vec<String>> {
    list(root, &["--others", "--exclude-standard"], pattern)
}

/// Returns the tracked files that differ from the index but whose edits Git ignores
/// (`update-index --assume-unchanged` and `--skip-worktree`).
pub fn hidden_edits(root: &Path) -> Vec<String> {
    let flagged = ask(root, &["ls-files", "-v", "-z"]).unwrap_or_default();
    let flagged = flagged.split('\0').filter_map(|line| {
        let (flag, file) = line.split_once(' ')?;
        (flag == "S" || flag.starts_with(|c: char| c.is_ascii_lowercase())).then_some(file)
    });
    let is_edited = |file: &&str| {
        let indexed = ask(root, &["ls-files", "--stage", "--", &format!(":(literal){file}")]);
        let indexed = indexed.and_then(|line| Some(line.split(' ').nth(1)?.to_owned()));
        // A file that a sparse checkout leaves out is not edited.
        root.join(file).is_file() && ask(root, &["hash-object", "--", file]) != indexed
    };
    flagged.filter(is_edited).map(str::to_owned).collect()
}

/// Makes files visible to Git, and so to a flake, without adding them to the next commit.
pub fn intend_to_add(root: &Path, files: &[&Path]) -> Result<()> {
    let shell = Shell::new().context("cannot find the current folder")?;
    shell.change_dir(root);
    cmd!(shell, "git add --intent-to-add -- {files...}")
        .quiet()
        .ignore_stdout()
        .run()
        .with_context(|| format!("`git add` fails in {}", root.display()))
}

fn list(root: &Path, which: &[&str], pattern: &str) -> Result<Vec<String>> {
    let shell = Shell::new().context("cannot find the current folder")?;
    shell.change_dir(root);
    let printed = cmd!(shell, "git ls-files -z {which...} -- {pattern}")
        .quiet()
        .ignore_stderr()
        .read()
        .with_context(|| format!("`git ls-files` fails in {}", root.display()))?;
    Ok(printed.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn git(root: &Path) -> Invocation {
    Invocation::new("git").arg("-C").arg(root)
}

/// Runs a Git query in `root` and returns its trimmed output; `None` if it fails.
fn ask(root: &Path, words: &[&str]) -> Option<String> {
    process::read(&git(root).args(words.iter().copied()), Some(QUICK)).ok()
}

/// Returns the root of the repository that contains a folder, from the file system alone.
pub fn top(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|folder| folder.join(".git").exists())
}

pub fn is_repository(root: &Path) -> bool {
    ask(root, &["rev-parse", "--is-inside-work-tree"]).as_deref() == Some("true")
}

/// Returns the file's content in the last commit.
pub fn committed(root: &Path, file: &str) -> Option<String> {
    let call = git(root).arg("show").arg(format!("HEAD:./{file}"));
    let printed = process::capture(&call, Some(QUICK)).ok()?;
    printed.exit.ok().then(|| printed.stdout_text())
}

/// Returns the files that differ from the last commit, staged or not.
pub fn changed(root: &Path, files: &[&str]) -> Vec<String> {
    let words = [&["status", "--porcelain", "--untracked-files=all", "--"], files].concat();
    let printed = ask(root, &words).unwrap_or_default();
    printed.lines().filter_map(|line| Some(line.get(2..)?.trim().to_owned())).collect()
}

/// Returns the staged files.
pub fn staged(root: &Path) -> Vec<String> {
    let printed = ask(root, &["diff", "--cached", "--name-only"]).unwrap_or_default();
    printed.lines().map(str::to_owned).collect()
}

/// Returns why a commit here would fail, and what to do about it.
pub fn cannot_commit(root: &Path) -> Option<(String, String)> {
    let problem = |what: &str, help: &str| Some((what.to_owned(), help.to_owned()));
    if !is_repository(root) {
        return problem("the fleet is not in a Git repository", "drop --commit, or run `git init`");
    }
    if ask(root, &["rev-parse", "--verify", "--quiet", "HEAD"]).is_none() {
        return problem("the repository has no commit yet", "make one, or drop --commit");
    }
    if ask(root, &["symbolic-ref", "--quiet", "HEAD"]).is_none() {
        return problem("HEAD is detached", "run `git switch BRANCH`, or drop --commit");
    }
    for (under_way, name) in
        [("MERGE_HEAD", "merge"), ("REBASE_HEAD", "rebase"), ("CHERRY_PICK_HEAD", "cherry-pick")]
    {
        if ask(root, &["rev-parse", "--verify", "--quiet", under_way]).is_some() {
            return problem(
                &format!("a {name} is in progress"),
                "finish it first, or drop --commit",
            );
        }
    }
    if ask(root, &["var", "GIT_COMMITTER_IDENT"]).is_none() {
        return problem(
            "Git has no user name or email",
            "run `git config user.name NAME` and `git config user.email ADDRESS`",
        );
    }
    None
}

/// Commits these files and nothing else, whatever else is staged. Returns the new commit.
pub fn commit(root: &Path, files: &[&str], message_file: &Path) -> Result<String> {
    let call = git(root)
        .args(["commit", "--quiet", "--only", "--cleanup=verbatim", "--file"])
        .arg(message_file)
        .arg("--")
        .args(files.iter().copied());
    // Hooks may be slow.
    process::read(&call, Some(Duration::from_secs(600)))?;
    ask(root, &["rev-parse", "HEAD"]).context("`git rev-parse HEAD` printed nothing")
}
