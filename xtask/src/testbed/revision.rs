//! The testbed's llama.cpp trees: their sources, tags and commits. The commits have fixed names and
//! dates, so they are the same everywhere.
//!
//! Pure: no I/O, no clock.

use clap::ValueEnum;

use crate::testbed::pypi::PypiFile;

/// A tree: an sdist of llama-cpp-python on PyPI, which contains all of llama.cpp.
#[derive(Debug, PartialEq, Eq)]
pub struct Tree {
    pub version: &'static str,
    pub sha256: &'static str,
    pub megabytes: u64,
    /// Its month, as in `--testbed` and in file names.
    pub name: &'static str,
    pub tag: &'static str,
    pub branch: &'static str,
    /// The tag of the parent commit.
    pub parent: Option<&'static str>,
    /// Author and committer date of its commit, in seconds since 1970.
    pub date: i64,
    /// The commit of ggml-org/llama.cpp according to the sdist.
    pub upstream_rev: &'static str,
    pub rev: &'static str,
    pub rev_count: u64,
    pub nar_hash: &'static str,
}

/// Sorted by date. Releases have upstream's tags.
pub const TREES: [Tree; 3] = [
    Tree {
        version: "0.3.16",
        sha256: "34ed0f9bd9431af045bb63d9324ae620ad0536653740e9bb163a2e1fcb973be6",
        megabytes: 51,
        name: "2025-08",
        tag: "2025-08",
        branch: "main",
        parent: None,
        date: 1_755_216_000,
        upstream_rev: "4227c9be4268ac844921b90f31595f81236bd317",
        rev: "a41604cfa5fb271dc38bf509e9fe847b4775eea6",
        rev_count: 1,
        nar_hash: "sha256-sYpXLDYSpPBwxsAaPde+PbRasLjYlB4Wzqi3M3IkTYg=",
    },
    Tree {
        version: "0.3.35",
        sha256: "1139dbb54509074b70893fab8554e3b079aa9f4d312058ce4018ef0019e3de12",
        megabytes: 75,
        name: "2026-08",
        tag: "v0.1.0",
        branch: "release",
        parent: Some("2025-08"),
        date: 1_786_838_400,
        upstream_rev: "4df29be4f4c3673f428170fda944a5b19f743bb8",
        rev: "28cbe4276abf621d7625fe01cf88125ce1be37ad",
        rev_count: 2,
        nar_hash: "sha256-/ojaVNGPJxGV9C7oyAqt2dunGbq50GbzUfvIkm4xn/U=",
    },
    Tree {
        version: "0.3.36",
        sha256: "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
        megabytes: 77,
        name: "2026-09",
        tag: "v0.5.0",
        branch: "main",
        parent: Some("2025-08"),
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

    /// llama.cpp's folder in the archive. Not a pattern, since the sdist also contains
    /// `.git/modules/vendor/llama.cpp`.
    pub fn member(&self) -> String {
        format!("{SDIST}-{}/vendor/llama.cpp", self.version)
    }
}

/// The testbed's llama.cpp tree that replaces the flake input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TestbedRevision {
    /// August 2025
    #[value(name = "2025-08", alias = "old")]
    Old,
    /// August 2026, with the first release
    #[value(name = "2026-08")]
    Release,
    /// Autumn 2026
    #[value(name = "2026-09", alias = "new")]
    New,
}

impl TestbedRevision {
    pub fn tree(self) -> &'static Tree {
        match self {
            Self::Old => &TREES[0],
            Self::Release => &TREES[1],
            Self::New => &TREES[2],
        }
    }

    /// Returns the value of `--testbed`.
    pub fn name(self) -> &'static str {
        self.tree().name
    }
}
