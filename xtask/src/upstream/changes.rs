//! Sorts upstream's commits by the areas that matter to a fleet: packaging, CMake options,
//! backends, llama-bench.
//!
//! Pure: no I/O, no clock.

use serde::Serialize;

use crate::upstream::history::Commit;

/// An area's name, and its paths.
const AREAS: [(&str, &[&str]); 7] = [
    ("packaging", &[".devops/nix/", "flake.nix", "flake.lock"]),
    ("CMake options", &["CMakeLists.txt", "ggml/CMakeLists.txt", "cmake/", "ggml/cmake/"]),
    ("llama-bench", &["tools/llama-bench/", "examples/llama-bench/"]),
    ("ggml: CPU", &["ggml/src/ggml-cpu/"]),
    ("ggml: CUDA", &["ggml/src/ggml-cuda/"]),
    ("ggml: ROCm", &["ggml/src/ggml-hip/"]),
    ("ggml: Vulkan", &["ggml/src/ggml-vulkan/"]),
];
/// The area of the remaining files of ggml.
const REST: (&str, &[&str]) = ("ggml", &["ggml/"]);

/// Returns the paths of all areas, for git.
pub fn paths() -> impl Iterator<Item = &'static str> {
    AREAS.into_iter().chain([REST]).flat_map(|(_, paths)| paths).copied()
}

/// The commits that touch one area, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Area {
    pub area: &'static str,
    pub commits: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub rev: String,
    pub subject: String,
}

/// Sorts commits, given oldest first, into areas. A commit is in every area that it changes.
pub fn areas(commits: &[Commit]) -> Vec<Area> {
    let touches = |commit: &Commit, paths: &[&str]| {
        commit.files.iter().any(|file| {
            paths.iter().any(|path| file == path || path.ends_with('/') && file.starts_with(path))
        })
    };
    let in_rest = |commit: &Commit| {
        touches(commit, REST.1) && !AREAS.iter().any(|(_, paths)| touches(commit, paths))
    };
    let area = |area, is_in: &dyn Fn(&Commit) -> bool| {
        let commits = commits.iter().rev().filter(|commit| is_in(commit));
        let change =
            |commit: &Commit| Change { rev: commit.rev.clone(), subject: commit.subject.clone() };
        Area { area, commits: commits.map(change).collect() }
    };
    let known = AREAS.iter().map(|(name, paths)| area(name, &|commit| touches(commit, paths)));
    let all = known.chain([area(REST.0, &in_rest)]);
    all.filter(|area| !area.commits.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_sorted_into_areas() {
        let commit = |rev: &str, files: &[&str]| {
            let (author, subject) = ("me".to_owned(), format!("does {rev}"));
            let files = files.iter().map(|file| (*file).to_owned()).collect();
            Commit { rev: rev.to_owned(), author, subject, files }
        };
        let commits = [
            commit("a", &[".devops/nix/package.nix", "README.md"]),
            commit("b", &["ggml/src/ggml-vulkan/shaders/x.comp"]),
            commit("c", &["ggml/CMakeLists.txt", "ggml/src/ggml-cuda/common.cuh"]),
            commit("d", &["ggml/src/ggml-quants.c"]),
            commit("e", &["README.md", "CMakeLists.txt.bak"]),
        ];
        let found: Vec<(&str, String)> = areas(&commits)
            .into_iter()
            .map(|area| (area.area, area.commits.iter().map(|c| c.rev.as_str()).collect()))
            .collect();
        let expected = [
            ("packaging", "a"),
            ("CMake options", "c"),
            ("ggml: CUDA", "c"),
            ("ggml: Vulkan", "b"),
            ("ggml", "d"),
        ];
        assert_eq!(found, expected.map(|(area, revs)| (area, revs.to_owned())));
    }
}
