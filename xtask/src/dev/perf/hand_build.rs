//! The build by hand, the reference of `perf bench`: llama.cpp built as its README describes,
//! outside of Nix, with the machine's compiler and GGML_NATIVE=ON.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::system::disk;
use crate::system::process::{self, Invocation, Source};
use crate::testbed::llama_tree;
use crate::testbed::revision::Tree;

const QUICK: Duration = Duration::from_secs(300);
/// The patch of the packages. Without it, code of an older GCC crashes on a CPU with AMX.
const TILE_CONFIG: &str = include_str!("../../../../overlays/llama-cpp/tile-config.sed");
/// Timeout of the build, sufficient for two busy cores.
const LONGEST: Duration = Duration::from_secs(2 * 3600);

/// Builds llama-bench of this tree with these flags unless it exists, and returns its path. Calls
/// `step` with each line of ninja.
pub fn make(
    home: &Path,
    tree: &Tree,
    flags: &[String],
    step: &mut dyn FnMut(&str),
) -> Result<PathBuf> {
    let place = home.join("perf").join(format!("hand-{}", tree.name));
    let source = place.join("source");
    if !source.join("CMakeLists.txt").is_file() {
        // An interrupted run may have left a partial folder.
        disk::remove(&source)?;
        disk::make_folder(&source, |partial| {
            let archive = place.join("source.tar");
            let git = Invocation::new("git").arg("--git-dir").arg(llama_tree::repository(home));
            let git = git.args(["archive", "--format=tar", "-o"]).arg(&archive).arg(tree.rev);
            process::read(&git, Some(QUICK)).context("run `cargo xtask setup` first")?;
            let tar = Invocation::new("tar").arg("-xf").arg(&archive).arg("-C").arg(partial);
            process::read(&tar, Some(QUICK))?;
            let sed = Invocation::new("sed").args(["-i", "-E", TILE_CONFIG]);
            let sed = sed.arg(partial.join("ggml/src/ggml-cpu/amx/mmq.cpp"));
            process::read(&sed, Some(QUICK))?;
            disk::remove(&archive)
        })?;
    }
    let build = place.join("build");
    // If SOURCE_DATE_EPOCH is set, ggml turns GGML_NATIVE off.
    let clean = |program: &str| Invocation::new("env").args(["-u", "SOURCE_DATE_EPOCH", program]);
    // --fresh drops the flags of an earlier run.
    let configure =
        clean("cmake").args(["--fresh", "-G", "Ninja", "-S"]).arg(&source).arg("-B").arg(&build);
    let native = ["-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF"];
    process::read(&configure.args(flags).args(native), Some(QUICK))?;
    let compile = clean("cmake").arg("--build").arg(&build).args(["--target", "llama-bench"]);
    let mut last = String::new();
    let exit = process::stream(&compile, Some(LONGEST), &mut |source, line| {
        let line = String::from_utf8_lossy(line);
        if source == Source::Stdout {
            step(&line);
        }
        last = line.into_owned();
    })?;
    if !exit.ok() {
        anyhow::bail!("`{compile}` ({exit}): {last}");
    }
    Ok(build.join("bin/llama-bench"))
}
