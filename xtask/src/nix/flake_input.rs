//! The source of a flake input: its Git URL, and flake references to its revisions.
//!
//! Pure: no I/O, no clock.

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::findings::finding::Finding;
use crate::ui::units;

/// One revision of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// All 40 digits.
    pub rev: String,
    /// The commit's date, in seconds since 1970.
    #[serde(default)]
    pub date: Option<i64>,
    /// llama.cpp's build number: the number of commits up to this one, the `N` of a tag `bN`.
    #[serde(default)]
    pub build: Option<u64>,
    /// The `X.Y.Z` of its tag `vX.Y.Z`, if it is a release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Version>,
}

impl Revision {
    /// Creates a revision without date and tags.
    pub fn of(rev: impl Into<String>) -> Self {
        Self { rev: rev.into(), date: None, build: None, release: None }
    }

    /// Returns the tag of the release, else of the build, else the shortened commit.
    pub fn name(&self) -> String {
        let tag = self.release.as_ref().map(release_tag).or_else(|| build_tag(self.build));
        tag.unwrap_or_else(|| short(&self.rev).to_owned())
    }

    /// Returns the commit's date in UTC, such as `2026-08-16`.
    pub fn day(&self) -> Option<String> {
        self.date.map(day)
    }
}

/// Returns a release's tag, such as `v0.5.0`.
pub fn release_tag(release: &Version) -> String {
    format!("v{release}")
}

/// Returns a build's tag, such as `b10453`. llama.cpp uses 0 for an unknown build.
pub fn build_tag(build: Option<u64>) -> Option<String> {
    build.filter(|build| *build > 0).map(|build| format!("b{build}"))
}

/// Shortens a commit hash to nine digits.
pub fn short(rev: &str) -> &str {
    rev.get(..9).unwrap_or(rev)
}

/// Formats seconds since 1970 as a date, such as `2026-08-16`. Git allows earlier commits, which
/// get the first day.
pub fn day(seconds: i64) -> String {
    units::day(&units::utc(u64::try_from(seconds).unwrap_or_default())).to_owned()
}

/// The repository of an input, from its node in flake.lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The URL for git.
    pub url: String,
    /// The branch or tag that flake.nix names; without one, Nix follows the repository's HEAD.
    pub branch: Option<String>,
    attributes: Value,
}

impl Upstream {
    /// Reads the node of `input`.
    ///
    /// # Errors
    /// The input has no revisions to choose from, or flake.nix itself names one.
    pub fn of(input: &str, node: &Value) -> Result<Self, Finding> {
        let (original, locked) = (&node["original"], &node["locked"]);
        if let Some(rev) = original["rev"].as_str() {
            return Err(Finding::error(
                "pinned-in-flake",
                format!("flake.nix pins {input} to the revision {}", short(rev)),
                format!(
                    "remove the revision from the url of {input} in flake.nix; flake.lock \
                         records it"
                ),
            ));
        }
        let text = |key: &str| locked[key].as_str().unwrap_or_default();
        let host = |default: &str| locked["host"].as_str().unwrap_or(default).to_owned();
        let (owner, repo) = (text("owner"), text("repo"));
        let url = match text("type") {
            "github" => format!("https://{}/{owner}/{repo}", host("github.com")),
            "gitlab" => {
                let owner = owner.replace("%2F", "/").replace("%2f", "/");
                format!("https://{}/{owner}/{repo}", host("gitlab.com"))
            }
            "sourcehut" => format!("https://{}/{owner}/{repo}", host("git.sr.ht")),
            "git" => text("url").to_owned(),
            kind => {
                let kind = if kind.is_empty() { "nothing" } else { kind };
                return Err(Finding::error(
                    "no-revisions",
                    format!(
                        "flake.lock fetches {input} from a {kind}, which has no revisions to \
                         choose from"
                    ),
                    format!(
                        "give {input} a github: or git+ url in flake.nix, or update it with \
                         `cargo xtask update`"
                    ),
                ));
            }
        };
        Ok(Self {
            url,
            branch: original["ref"].as_str().map(str::to_owned),
            attributes: locked.clone(),
        })
    }

    /// Returns the flake reference of a revision. `named` is a ref that contains it; without one,
    /// Nix searches all refs of a git input.
    pub fn reference(&self, rev: &str, named: Option<&str>) -> String {
        let text = |key: &str| self.attributes[key].as_str();
        let kind = text("type").unwrap_or_default();
        let mut query = vec![];
        let place = if kind == "git" {
            let refs = named.map_or_else(|| "allRefs=1".to_owned(), |name| format!("ref={name}"));
            query.extend([refs, format!("rev={rev}")]);
            query.extend(self.flag("submodules"));
            query.extend(self.flag("lfs"));
            format!("git+{}", self.url)
        } else {
            query.extend(text("host").map(|host| format!("host={host}")));
            let (owner, repo) =
                (text("owner").unwrap_or_default(), text("repo").unwrap_or_default());
            format!("{kind}:{owner}/{repo}/{rev}")
        };
        query.extend(text("dir").map(|dir| format!("dir={dir}")));
        if query.is_empty() { place } else { format!("{place}?{}", query.join("&")) }
    }

    fn flag(&self, name: &str) -> Option<String> {
        (self.attributes[name] == Value::Bool(true)).then(|| format!("{name}=1"))
    }

    /// Returns the web page that compares two revisions, if it is known.
    pub fn comparison(&self, from: &str, to: &str) -> Option<String> {
        (self.attributes["type"] == "github").then(|| {
            let (from, to) = (short(from), short(to));
            format!("{}/compare/{from}...{to}", self.url)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn days_follow_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_755_216_000, "2025-08-15"),
            (1_798_761_599, "2026-12-31"),
        ] {
            assert_eq!(day(seconds), expected);
        }
    }

    #[test]
    fn a_node_gives_the_url_and_the_reference() {
        let github = json!({
            "original": { "type": "github", "owner": "ggml-org", "repo": "llama.cpp" },
            "locked": { "type": "github", "owner": "ggml-org", "repo": "llama.cpp", "rev": "a" },
        });
        let hub = Upstream::of("llama-cpp", &github).unwrap();
        assert_eq!(hub.url, "https://github.com/ggml-org/llama.cpp");
        assert_eq!(hub.reference("abc", Some("refs/tags/b1")), "github:ggml-org/llama.cpp/abc");
        assert!(hub.comparison("a", "b").unwrap().ends_with("/compare/a...b"));
        // A stand-in is locked to another place than flake.nix names.
        let git = json!({
            "original": github["original"],
            "locked": { "type": "git", "url": "file:///l", "ref": "refs/tags/x", "dir": "d" },
        });
        let git = Upstream::of("llama-cpp", &git).unwrap();
        assert_eq!((git.url.as_str(), &git.branch), ("file:///l", &None));
        let reference = git.reference("abc", Some("refs/heads/main"));
        assert_eq!(reference, "git+file:///l?ref=refs/heads/main&rev=abc&dir=d");
        assert_eq!(git.reference("abc", None), "git+file:///l?allRefs=1&rev=abc&dir=d");
    }

    #[test]
    fn an_input_without_revisions_is_a_finding() {
        let path = json!({ "original": { "type": "path" }, "locked": { "type": "path" } });
        assert!(Upstream::of("x", &path).unwrap_err().message.contains("from a path"));
        let pinned = json!({ "original": { "type": "github", "rev": "0123456789ab" } });
        let refused = Upstream::of("x", &pinned).unwrap_err();
        assert_eq!(refused.code, "pinned-in-flake");
        assert!(refused.message.contains("012345678"), "{}", refused.message);
    }
}
