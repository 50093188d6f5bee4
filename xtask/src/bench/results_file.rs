//! Where a host's results and its baseline are kept.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use crate::bench::args::BenchArgs;
use crate::bench::measurement::Subject;
use crate::bench::results::Record;
use crate::findings::finding::{Checked, Finding};
use crate::fleet::context::{Context, local_root};
use crate::system::{files, json_lines};
use crate::target::selection::LOCAL;

/// Where results are kept that say nothing of the fleet in the flake's own folder: in
/// xtask's, by the flake's reference and the testbed's revision: an old llama.cpp after a new one
/// is not a slow-down.
pub fn private_folder(home: &Path, reference: &str, era: Option<&str>) -> PathBuf {
    let era = era.map(|era| format!("-testbed-{era}")).unwrap_or_default();
    home.join("bench").join(format!("{}{era}", files::path_name(Path::new(reference))))
}

/// One host's results, HOST.jsonl, and its baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultsFile {
    pub results: PathBuf,
    pub baseline: PathBuf,
}

impl ResultsFile {
    /// In this folder, or in the flake's bench/. A flake that is no folder here has none, and
    /// what was measured on `local` or with the testbed's inputs says nothing of the fleet:
    /// those are kept in xtask's own folder.
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

    /// The results so far, the newest first; damaged lines are left out. Reads no more of the
    /// file than is asked for.
    ///
    /// # Errors
    /// It cannot be opened. What cannot be read later ends the iterator.
    pub fn newest_first(&self) -> Result<impl Iterator<Item = Record> + use<>> {
        let lines = json_lines::FromTheEnd::open(&self.results)?.into_iter().flatten();
        Ok(lines.map_while(Result::ok).filter_map(|line| Record::parse(&line).ok()))
    }

    /// The same, with the fleet's baseline where `programs.llama-cpp.bench.baseline` names a file.
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
