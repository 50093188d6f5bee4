//! The testbed's two llama.cpp trees: where each comes from and what it becomes.
//! The commits are made with fixed names and dates, so they are the same everywhere.
//!
//! Pure: no I/O, no clock.

use clap::ValueEnum;

use crate::testbed::pypi::PypiFile;

/// One tree: an sdist of llama-cpp-python on PyPI, which carries the whole of llama.cpp.
#[derive(Debug, PartialEq, Eq)]
pub struct Tree {
    pub version: &'static str,
    pub sha256: &'static str,
    pub megabytes: u64,
    pub tag: &'static str,
    /// Author's and committer's date of its commit, in seconds since 1970.
    pub date: i64,
    /// The commit of ggml-org/llama.cpp that the sdist says it carries.
    pub upstream_rev: &'static str,
    pub rev: &'static str,
    pub rev_count: u64,
    pub nar_hash: &'static str,
}

/// The old and the new one, in the order of their commits.
pub const TREES: [Tree; 2] = [
    Tree {
        version: "0.3.16",
        sha256: "34ed0f9bd9431af045bb63d9324ae620ad0536653740e9bb163a2e1fcb973be6",
        megabytes: 51,
        tag: "old-era",
        date: 1_755_216_000,
        upstream_rev: "4227c9be4268ac844921b90f31595f81236bd317",
        rev: "a41604cfa5fb271dc38bf509e9fe847b4775eea6",
        rev_count: 1,
        nar_hash: "sha256-sYpXLDYSpPBwxsAaPde+PbRasLjYlB4Wzqi3M3IkTYg=",
    },
    Tree {
        version: "0.3.36",
        sha256: "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
        megabytes: 77,
        tag: "new-era",
        date: 1_790_812_800,
        upstream_rev: "0c1e57098bba43ac29e6e3b677cdceebdd22334f",
        rev: "5ad058abc4e4f5b9ee62a1158456c401887f0172",
        rev_count: 2,
        nar_hash: "sha256-/3UEmHIl7TllukdAZztoSLgnfh7/mni+EhrygVJHONk=",
    },
];

pub const SDIST: &str = "llama_cpp_python";

impl Tree {
    pub fn archive(&self) -> PypiFile {
        PypiFile {
            package: SDIST,
            version: self.version,
            file_name: format!("{SDIST}-{}.tar.gz", self.version),
            sha256: self.sha256,
            megabytes: self.megabytes,
            is_source: true,
        }
    }

    /// Where llama.cpp lies inside the archive. Not a pattern: the sdist also holds
    /// `.git/modules/vendor/llama.cpp`.
    pub fn member(&self) -> String {
        format!("{SDIST}-{}/vendor/llama.cpp", self.version)
    }
}

/// Which of the testbed's two llama.cpp trees stands in for the flake input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TestbedRevision {
    /// August 2025
    Old,
    /// Autumn 2026
    New,
}
