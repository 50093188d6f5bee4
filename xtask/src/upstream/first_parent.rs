//! What bisect asks of an upstream history: its main line between two revisions, and what
//! one commit of it did.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::nix::flake_input::Revision;
use crate::system::process::{self, Source};
use crate::upstream::history::History;

/// Reading ten thousand commits takes a second; of a partial clone their trees may be wanted.
const LONG: Duration = Duration::from_secs(300);

/// One commit, for a person to read.
#[derive(Debug, Clone)]
pub struct About {
    pub revision: Revision,
    pub author: String,
    pub subject: String,
    /// All that it changes: for a merge, all that came with it.
    pub files: Vec<String>,
}

impl History {
    /// `old`, then the commits up to `new` that are on its line of first parents: what
    /// was on the branch, whatever came by merges.
    ///
    /// # Errors
    /// Git fails: the history is not whole.
    pub fn main_line(&self, old: &str, new: &str) -> Result<Vec<String>> {
        let call = self
            .git(&["rev-list", "--first-parent", "--reverse"])
            .arg(format!("{old}..{new}"))
            .arg("--");
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

    /// The tags `bN` that upstream gives its builds: revision to N.
    pub fn builds(&self) -> Result<BTreeMap<String, u64>> {
        let call = self
            .git(&["for-each-ref", "--format=%(refname:strip=2) %(objectname) %(*objectname)"])
            .arg("refs/tags/b*");
        let output = process::read(&call, Some(LONG))?;
        let one = |line: &str| {
            let mut words = line.split_whitespace();
            let number = words.next()?.strip_prefix('b')?.parse().ok()?;
            // An annotated tag stands for its commit, the second hash.
            Some((words.last()?.to_owned(), number))
        };
        Ok(output.lines().filter_map(one).collect())
    }

    /// The commit where the two parted, if they have one in common.
    pub fn fork(&self, one: &str, other: &str) -> Option<String> {
        let call = self.git(&["merge-base", one, other]);
        process::read(&call, Some(LONG)).ok().filter(|rev| !rev.is_empty())
    }

    /// Whether commits are missing that once were there.
    pub fn is_shallow(&self) -> bool {
        let call = self.git(&["rev-parse", "--is-shallow-repository"]);
        process::read(&call, Some(LONG)).is_ok_and(|output| output == "true")
    }

    pub fn about(&self, rev: &str) -> Result<About> {
        let call = self
            .git(&["-c", "core.quotePath=off", "show", "--first-parent", "-m", "--no-renames"])
            .args(["--name-only", "--format=%an%x1f%s%x1f", "--end-of-options", rev]);
        let output = process::read(&call, Some(LONG))?;
        let mut fields = output.splitn(3, '\u{1f}');
        let mut field =
            || fields.next().with_context(|| format!("unexpected output from `{call}`"));
        let (author, subject, files) = (field()?.to_owned(), field()?.to_owned(), field()?);
        let files = files.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        Ok(About { revision: self.revision(rev)?, author, subject, files })
    }

    /// The lines that a commit adds and takes away in these files, without what is around
    /// them. Of a partial clone the files themselves may have to be fetched.
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
