//! Which of upstream's commits touch what a fleet notices: its packaging, its CMake
//! options, the backends, llama-bench.
//!
//! Pure: no I/O, no clock.

use serde::Serialize;

/// Name, and the paths that belong to it. A backend's sources count as its own.
const AREAS: [(&str, &[&str]); 4] = [
    ("packaging", &[".devops/nix/", "flake.nix", "flake.lock"]),
    ("CMake options", &["CMakeLists.txt", "ggml/CMakeLists.txt", "cmake/", "ggml/cmake/"]),
    ("llama-bench", &["tools/llama-bench/", "examples/llama-bench/"]),
    ("ggml", &["ggml/"]),
];

/// The backends that a fleet can select, and where ggml has them.
const BACKENDS: [(&str, &[&str]); 4] = [
    ("ggml: CPU", &["ggml/src/ggml-cpu/"]),
    ("ggml: CUDA", &["ggml/src/ggml-cuda/"]),
    ("ggml: ROCm", &["ggml/src/ggml-hip/"]),
    ("ggml: Vulkan", &["ggml/src/ggml-vulkan/"]),
];

/// What git is asked about.
pub const PATHS: [&str; 8] = [
    ".devops/nix",
    "flake.nix",
    "flake.lock",
    "CMakeLists.txt",
    "cmake",
    "ggml",
    "tools/llama-bench",
    "examples/llama-bench",
];

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

/// `commits`: oldest first, each with revision, subject and the files it changes. A commit
/// is in every area that it touches, but in "ggml" only if it is in none of ggml's others.
pub fn areas(commits: &[(String, String, Vec<String>)]) -> Vec<Area> {
    let touches = |files: &[String], paths: &[&str]| {
        files.iter().any(|file| {
            paths.iter().any(|path| file == path || path.ends_with('/') && file.starts_with(path))
        })
    };
    let mut found = vec![];
    for (area, paths) in AREAS.into_iter().take(3).chain(BACKENDS).chain(AREAS.into_iter().skip(3))
    {
        let is_rest = area == "ggml";
        let elsewhere = |files: &[String]| {
            BACKENDS.iter().chain(&AREAS[..3]).any(|(_, paths)| touches(files, paths))
        };
        let commits: Vec<Change> = commits
            .iter()
            .rev()
            .filter(|(_, _, files)| touches(files, paths) && !(is_rest && elsewhere(files)))
            .map(|(rev, subject, _)| Change { rev: rev.clone(), subject: subject.clone() })
            .collect();
        if !commits.is_empty() {
            found.push(Area { area, commits });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_where_a_fleet_would_look_for_it() {
        let commit = |rev: &str, files: &[&str]| {
            (rev.to_owned(), format!("does {rev}"), files.iter().map(|f| (*f).to_owned()).collect())
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
