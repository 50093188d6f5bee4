//! Flake references, as a URL in flake.nix and as a set in flake.lock (`original`).
//!
//! Pure: no I/O, no clock.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str};
use serde_json::{Value, json};

/// Returns the reference of the input `name` in flake.nix, in flake.lock's form. `None` for a URL
/// that Nix did not parse.
pub fn of_input(name: &str, input: &Value) -> Option<Value> {
    if input.get("type").is_some() {
        let mut set = input.as_object()?.clone();
        set.retain(|key, _| !["flake", "inputs", "follows"].contains(&key.as_str()));
        return Some(Value::Object(set));
    }
    match input.get("url") {
        Some(_) => input.get("parsed").cloned(),
        None => Some(json!({ "type": "indirect", "id": name })),
    }
}

/// Whether a reference and flake.lock's `original` are equal for Nix.
pub fn same(wanted: &Value, original: &Value) -> bool {
    const COMPARED: [&str; 9] = ["type", "id", "owner", "repo", "ref", "rev", "dir", "host", "url"];
    // Nix ignores these differences in spelling.
    let normalized = |set: &Value, key: &str| {
        let text = if key == "url" { without_dir(set) } else { set[key].as_str() }?;
        // `builtins.parseFlakeRef` ignores `flake = false`, with which a tarball is a file.
        let text = if key == "type" && text == "file" { "tarball" } else { text };
        let text = text.trim_end_matches('/');
        Some(if key == "rev" { text.to_ascii_lowercase() } else { text.to_owned() })
    };
    COMPARED.iter().all(|key| normalized(wanted, key) == normalized(original, key))
}

/// Whether flake.lock's `original` also has `?dir=` in its URL, as earlier versions of Nix wrote.
pub fn is_old_form(original: &Value) -> bool {
    original["url"].as_str() != without_dir(original)
}

/// Whether `locked` may be the result of locking `original`. Always true for a registry entry or a
/// redirection, which may have any target, and for a local folder instead of a remote repository,
/// which is the user's override.
pub fn may_lock_to(original: &Value, locked: &Value) -> bool {
    let is_file = |set: &Value| set["url"].as_str().is_some_and(|url| url.starts_with("file:"));
    let is_override = is_file(locked) && !is_file(original) || locked["type"] == "path";
    if locked["type"].is_null() || original["type"] == "indirect" || is_override {
        return true;
    }
    let text = |set: &Value, key: &str| {
        let text = if key == "url" { without_dir(set) } else { set[key].as_str() };
        text.map(|text| text.trim_end_matches('/').to_ascii_lowercase())
    };
    let equal = |key: &str| text(original, key) == text(locked, key);
    let rev = original["rev"].is_null() || equal("rev");
    let keys: &[&str] = match original["type"].as_str() {
        Some("github" | "gitlab" | "sourcehut") => &["type", "host", "owner", "repo"],
        Some("git" | "hg") => &["type", "url"],
        _ => &[],
    };
    rev && keys.iter().all(|key| equal(key))
}

fn without_dir(set: &Value) -> Option<&str> {
    let url = set["url"].as_str()?;
    let Some(dir) = set["dir"].as_str() else { return Some(url) };
    Some(url.strip_suffix(&format!("?dir={dir}")).unwrap_or(url))
}

/// Returns the names that may identify a reference's repository: its name, its name in the
/// registry, and each path component of a web URL.
pub fn repository_names(original: &Value) -> impl Iterator<Item = &str> {
    let named = ["repo", "id"].into_iter().filter_map(|key| original[key].as_str());
    let url = original["url"].as_str().filter(|url| !url.starts_with("file:"));
    let path = url.unwrap_or_default().split('?').next().unwrap_or_default();
    named.chain(path.split('/').skip(3).map(|part| part.strip_suffix(".git").unwrap_or(part)))
}

/// Returns the path of a reference to a local folder, including `?dir=`. `None` for any other
/// reference, and for one with a branch or revision, which may differ from the folder's files.
pub fn local_path(reference: &str) -> Option<PathBuf> {
    let (place, query) = reference.split_once('?').unwrap_or((reference, ""));
    if query.split('&').any(|pair| pair.starts_with("ref=") || pair.starts_with("rev=")) {
        return None;
    }
    let url = place.strip_prefix("path:").or_else(|| {
        place.strip_prefix("git+file:").map(|rest| rest.strip_prefix("//").unwrap_or(rest))
    });
    // Only URLs have percent escapes, not plain paths.
    let mut path = match url {
        Some(url) => decoded(url)?,
        None => PathBuf::from(place),
    };
    for pair in query.split('&') {
        if let Some(folder) = pair.strip_prefix("dir=") {
            path.push(decoded(folder)?);
        }
    }
    Some(path)
}

/// Returns the reference of a local folder in this Git repository, if any. A plain path is a valid
/// reference unless it has a character that is special in references.
pub fn of_folder(folder: &Path, repository: Option<&Path>) -> String {
    if let Some(path) = folder.to_str().filter(|path| !path.contains(['?', '#', '^', '%'])) {
        return path.to_owned();
    }
    match repository.and_then(|top| Some((top, folder.strip_prefix(top).ok()?))) {
        Some((top, inner)) if inner.as_os_str().is_empty() => {
            format!("git+file://{}", in_url(top))
        }
        Some((top, inner)) => format!("git+file://{}?dir={}", in_url(top), in_url(inner)),
        None => format!("path:{}", in_url(folder)),
    }
}

/// Escapes a path for a URL.
pub fn in_url(path: &Path) -> String {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b'+');
    percent_encoding::percent_encode(path.as_os_str().as_encoded_bytes(), PLAIN).to_string()
}

/// Decodes percent escapes. `None` for one that Nix rejects.
fn decoded(text: &str) -> Option<PathBuf> {
    let is_hex = |rest: &str| {
        rest.get(..2).is_some_and(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    if !text.split('%').skip(1).all(is_hex) {
        return None;
    }
    Some(OsString::from_vec(percent_decode_str(text).collect()).into())
}

/// Formats a reference as a user writes it.
pub fn text(original: &Value) -> String {
    let get = |key: &str| original[key].as_str();
    let version = get("ref").or(get("rev")).map(|v| format!("/{v}")).unwrap_or_default();
    match (get("type"), get("owner"), get("repo"), get("url").or(get("path")), get("id")) {
        (Some(kind), Some(owner), Some(repo), ..) => format!("{kind}:{owner}/{repo}{version}"),
        (.., Some(url), _) => url.to_owned(),
        (.., Some(id)) => format!("flake:{id}{version}"),
        _ => original.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_that_are_equal_for_nix_are_equal() {
        let git = |url: &str| json!({ "type": "git", "url": url, "dir": "d" });
        assert!(same(&git("file:///x"), &git("file:///x?dir=d")));
        assert!(!same(&git("file:///x"), &git("file:///y?dir=d")));
        assert!(is_old_form(&git("file:///x?dir=d")));
        assert!(!is_old_form(&git("file:///x?ref=d")));
        let rev = |rev: &str| json!({ "type": "github", "owner": "a", "repo": "b", "rev": rev });
        assert!(same(&rev("ABC"), &rev("abc")));
        assert!(!same(&rev("abd"), &rev("abc")));
        let page = |kind: &str| json!({ "type": kind, "url": "https://github.com/a.keys" });
        assert!(same(&page("tarball"), &page("file")));
        assert!(!same(&page("git"), &page("file")));
    }

    #[test]
    fn a_url_that_nix_did_not_parse_is_not_compared() {
        assert_eq!(of_input("x", &json!({ "url": "./sub" })), None);
        let parsed = json!({ "type": "path", "path": "/x" });
        let input = json!({ "url": "path:/x", "parsed": parsed });
        assert_eq!(of_input("x", &input), Some(parsed));
        let named = json!({ "inputs": {} });
        assert_eq!(of_input("nixpkgs", &named).unwrap()["id"], "nixpkgs");
    }

    #[test]
    fn every_path_component_of_a_url_is_a_name() {
        let names = |set: Value| repository_names(&set).map(str::to_owned).collect::<Vec<_>>();
        let url = "https://flakehub.com/f/NixOS/nixpkgs/0.1?x=y/z";
        assert_eq!(names(json!({ "url": url })), ["f", "NixOS", "nixpkgs", "0.1"]);
        assert_eq!(names(json!({ "url": "https://x.org/a/llama.cpp.git" })), ["a", "llama.cpp"]);
        assert_eq!(names(json!({ "repo": "nixpkgs", "owner": "NixOS" })), ["nixpkgs"]);
    }

    #[test]
    fn a_local_folder_is_found_in_every_form_of_reference() {
        let path = |reference| local_path(reference).unwrap().to_str().unwrap().to_owned();
        assert_eq!(path("."), ".");
        assert_eq!(path("/a/100% b"), "/a/100% b");
        assert_eq!(path("path:/a%20b"), "/a b");
        assert_eq!(path("git+file:///a?shallow=1&dir=x%20y"), "/a/x y");
        assert_eq!(path("git+file:/a"), "/a");
        assert_eq!(path("/a?dir=b/c"), "/a/b/c");
        assert_eq!(local_path("git+file:///a?ref=main"), None);
        assert_eq!(local_path("path:/a%zz"), None);
    }

    #[test]
    fn a_folders_reference_leads_back_to_the_folder() {
        use std::os::unix::ffi::OsStrExt;
        let odd = Path::new(std::ffi::OsStr::from_bytes(b"/a/\xff\xfe"));
        let folders = ["/a b", "/a?b", "/a#b", "/a:b", "/a^b", "/a%20b", "/a&dir=b", "/ä"];
        for folder in folders.iter().map(Path::new).chain([odd]) {
            for top in [None, Some(Path::new("/")), Some(folder)] {
                let reference = of_folder(folder, top);
                assert_eq!(local_path(&reference).as_deref(), Some(folder), "{reference}");
            }
        }
        assert_eq!(of_folder(Path::new("/a#b"), Some(Path::new("/a#b"))), "git+file:///a%23b");
        assert_eq!(of_folder(Path::new("/a b"), None), "/a b");
    }

    #[test]
    fn a_set_is_formatted_as_a_url() {
        let set = json!({ "type": "github", "owner": "a", "repo": "b", "ref": "c" });
        assert_eq!(text(&set), "github:a/b/c");
        assert_eq!(text(&json!({ "type": "tarball", "url": "https://x" })), "https://x");
        assert_eq!(text(&json!({ "type": "indirect", "id": "x" })), "flake:x");
    }
}
