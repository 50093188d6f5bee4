//! Paths of a host's results file and its baseline.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use crate::bench::args::BenchArgs;
use crate::bench::measurement::Subject;
use crate::bench::results::Record;
use crate::findings::finding::{Checked, Finding};
use crate::fleet::context::{Context, local_root};
use crate::system::{files, json_lines};
use crate::target::selection::LOCAL;

/// Returns the folder under xtask's home for results that do not belong into the flake. Each flake
/// and each testbed revision has its own, since going back to an older llama.cpp is no slowdown.
pub fn private_folder(home: &Path, reference: &str, testbed: Option<&str>) -> PathBuf {
    let testbed = testbed.map(|revision| format!("-testbed-{revision}")).unwrap_or_default();
    home.join("bench").join(format!("{}{testbed}", files::path_name(Path::new(reference))))
}

/// Paths of one host's results, HOST.jsonl, and of its baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultsFile {
    pub results: PathBuf,
    pub baseline: PathBuf,
}

impl ResultsFile {
    /// Returns the files in `folder`, or else in the flake's bench/. Results of a flake that is not
    /// a local folder, of `local` and of the testbed go to [`private_folder`].
    pub fn of(context: &Context, host: &str, folder: Option<&Path>) -> Self {
        let reference = &context.flake.reference;
        let folder = match (folder, local_root(reference)) {
            (Some(folder), _) => folder.to_owned(),
            (None, Some(root)) if host != LOCAL && context.testbed().is_none() => {
                root.join("bench")
            }
            _ => private_folder(&context.home, reference, context.testbed()),
        };
        let name = files::safe_name(host);
        Self {
            results: folder.join(format!("{name}.jsonl")),
            baseline: folder.join(format!("{name}.baseline.json")),
        }
    }

    /// Reads the results lazily, the newest first, without damaged lines.
    ///
    /// # Errors
    /// The file cannot be opened. A later read error ends the iterator.
    pub fn newest_first(&self) -> Result<impl Iterator<Item = Record> + use<>> {
        let lines = json_lines::FromTheEnd::open(&self.results)?.into_iter().flatten();
        Ok(lines.map_while(Result::ok).filter_map(|line| Record::parse(&line).ok()))
    }

    /// Returns the files of `--record` or of the flake, with the baseline that
    /// `programs.llama-cpp.bench.baseline` names.
    ///
    /// # Errors
    /// That file is outside the flake.
    pub fn of_subject(args: &BenchArgs, context: &Context, subject: &Subject) -> Checked<Self> {
        let mut file = Self::of(context, subject.host.as_str(), args.record.as_deref());
        let chosen = subject.manifest.bench.baseline.as_ref();
        let chosen = chosen.filter(|_| context.testbed().is_none());
        if let (Some(chosen), Some(root)) = (chosen, local_root(&context.flake.reference)) {
            let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
            if !Path::new(chosen).components().all(inside) {
                return Err(Finding::error(
                    "baseline-outside",
                    format!("programs.llama-cpp.bench.baseline {chosen:?} is outside the flake"),
                    "use a path relative to the flake's folder, such as \"bench/good.json\"",
                ));
            }
            file.baseline = root.join(chosen);
        }
        Ok(file)
    }
}
