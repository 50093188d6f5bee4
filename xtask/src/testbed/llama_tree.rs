//! llama.cpp's real trees, from the sdists of llama-cpp-python, as one bare Git repository with a
//! tag for each. The user's Git configuration is ignored, so the commits are the same on every
//! machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::system::disk;
use crate::system::process::{self, Invocation};
use crate::testbed::revision::{SDIST, TREES, Tree};

const LOCAL: Duration = Duration::from_secs(300);
/// The downloads, one unpacked tree, and the repository.
pub const DISK_MEGABYTES: u64 = 550;

/// Returns the repository's path. Links are resolved, since Nix fetches it once for each path.
pub fn repository(home: &Path) -> PathBuf {
    let folder = home.join("llama.cpp");
    fs::canonicalize(&folder).unwrap_or(folder)
}

fn downloads(home: &Path) -> PathBuf {
    home.join("downloads")
}

/// Returns whether the repository exists and has the expected commits.
pub fn is_present(home: &Path) -> bool {
    let tags = repository(home).join("refs/tags");
    TREES
        .iter()
        .all(|tree| fs::read_to_string(tags.join(tree.tag)).is_ok_and(|rev| rev.trim() == tree.rev))
}

/// Returns the trees whose archive must still be downloaded.
pub fn missing_archives(home: &Path) -> Vec<&'static Tree> {
    TREES.iter().filter(|tree| !downloads(home).join(tree.archive().file_name).is_file()).collect()
}

/// Creates the repository, and downloads missing archives.
pub fn provide(home: &Path, step: &mut dyn FnMut(&str)) -> Result<()> {
    let mut archives = vec![];
    for tree in &TREES {
        archives.push((tree, tree.archive().provide(&downloads(home), step)?));
    }
    disk::make_folder(&repository(home), |partial| {
        let work = partial.join("tree");
        let git = |words: &[&str]| git(partial, &work, words);
        run(&Invocation::new("git")
            .args(["init", "--quiet", "--bare", "--template=", "--object-format=sha1"])
            .arg(partial)
            .env("GIT_DIR", partial))?;
        disk::create(&work)?;
        for (tree, archive) in &archives {
            step(&format!("committing llama.cpp {}", tree.name));
            let branch = format!("refs/heads/{}", tree.branch);
            run(&git(&["symbolic-ref", "HEAD", &branch]))?;
            if let Some(parent) = tree.parent {
                run(&git(&["update-ref", &branch, &format!("refs/tags/{parent}")]))?;
            }
            disk::remove(&work)?;
            disk::create(&work)?;
            extract(tree, archive, &work)?;
            let _ = fs::remove_file(partial.join("index"));
            run(&git(&["add", "--all", "--force", "."]))?;
            // The commit's hash depends on this message.
            let message = format!("llama.cpp {} as in {SDIST} {}", tree.upstream_rev, tree.version);
            let date = format!("{} +0000", tree.date);
            let commit = git(&["commit", "--quiet", "--no-verify", "--message", &message])
                .env("GIT_AUTHOR_DATE", &date)
                .env("GIT_COMMITTER_DATE", &date);
            run(&commit)?;
            run(&git(&["update-ref", &format!("refs/tags/{}", tree.tag), "HEAD"]))?;
            let rev = run(&git(&["rev-parse", "HEAD"]))?;
            if rev != tree.rev {
                bail!(
                    "{} became commit {rev}, not {}: git or tar changed its contents",
                    tree.name,
                    tree.rev
                );
            }
        }
        run(&git(&["symbolic-ref", "HEAD", "refs/heads/main"]))?;
        let _ = fs::remove_file(partial.join("index"));
        disk::remove(&work)
    })
}

fn extract(tree: &Tree, archive: &Path, into: &Path) -> Result<()> {
    let call = Invocation::new("tar")
        .args(["--extract", "--gzip", "--no-same-owner", "--strip-components=3", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(into)
        .arg(tree.member());
    run(&call).with_context(|| format!("cannot unpack {}", archive.display()))?;
    // A submodule's pointer to a Git folder that does not exist here.
    disk::remove(&into.join(".git"))
}

/// Returns a call of git on that repository. It ignores the configuration, hooks and attributes of
/// the machine and the user, and the environment of a git that runs xtask in a hook.
fn git(repository: &Path, work: &Path, words: &[&str]) -> Invocation {
    let mut call = Invocation::new("git");
    for setting in [
        "core.bare=false",
        "core.autocrlf=false",
        "core.logAllRefUpdates=false",
        "core.fileMode=true",
        "core.symlinks=true",
        "core.hooksPath=/dev/null",
        "core.attributesFile=/dev/null",
        "core.excludesFile=/dev/null",
        "commit.gpgSign=false",
        "gc.auto=0",
    ] {
        call = call.args(["-c", setting]);
    }
    for (name, value) in [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "llama.cpp"),
        ("GIT_AUTHOR_EMAIL", "testbed@localhost"),
        ("GIT_COMMITTER_NAME", "llama.cpp"),
        ("GIT_COMMITTER_EMAIL", "testbed@localhost"),
    ] {
        call = call.env(name, value);
    }
    call.env("GIT_DIR", repository)
        .env("GIT_WORK_TREE", work)
        .env("GIT_INDEX_FILE", repository.join("index"))
        .env("GIT_OBJECT_DIRECTORY", repository.join("objects"))
        .dir(work)
        .args(words.iter().copied())
}

fn run(call: &Invocation) -> Result<String> {
    process::read(call, Some(LOCAL))
}
