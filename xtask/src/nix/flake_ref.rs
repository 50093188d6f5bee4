//! Flake references: what flake.nix writes as a URL, and flake.lock as a set (`original`).
//!
//! Pure: no I/O, no clock.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

/// What the input `name` of flake.nix asks for, as flake.lock would write it. `None` for
/// forms that are not told apart here: Nix itself compares those.
pub fn of_input(name: &str, input: &Value) -> Option<Value> {
    if input.get("type").is_some() {
        let mut set = input.as_object()?.clone();
        set.retain(|key, _| !["flake", "inputs", "follows"].contains(&key.as_str()));
        return Some(Value::Object(set));
    }
    match input.get("url") {
        Some(url) => parse(url.as_str()?),
        None => Some(json!({ "type": "indirect", "id": name })),
    }
}

fn parse(url: &str) -> Option<Value> {
    // Percent signs are Nix's to read.
    if url.contains('%') {
        return None;
    }
    let (bare, query) = url.split_once('?').unwrap_or((url, ""));
    let mut set = Map::new();
    let mut put = |key: &str, value: &str| set.insert(key.to_owned(), Value::from(value));
    let (scheme, rest) = bare.split_once(':')?;
    match scheme {
        "github" | "gitlab" | "sourcehut" => {
            let mut parts = rest.splitn(3, '/');
            put("type", scheme);
            put("owner", parts.next()?);
            put("repo", parts.next()?);
            if let Some(version) = parts.next() {
                let commit = version.len() == 40 && version.chars().all(|c| c.is_ascii_hexdigit());
                put(if commit { "rev" } else { "ref" }, version);
            }
        }
        "flake" => {
            let mut parts = rest.splitn(2, '/');
            put("type", "indirect");
            put("id", parts.next()?);
            if let Some(version) = parts.next() {
                put("ref", version);
            }
        }
        _ => {
            put("type", "git");
            put("url", bare.strip_prefix("git+")?);
        }
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=')?;
        if !["ref", "rev", "dir", "host"].contains(&key) {
            return None;
        }
        put(key, value);
    }
    Some(Value::Object(set))
}

/// Whether a reference and flake.lock's `original` ask for the same.
pub fn same(wanted: &Value, original: &Value) -> bool {
    const TOLD: [&str; 9] = ["type", "id", "owner", "repo", "ref", "rev", "dir", "host", "url"];
    // The same place in words that Nix takes for equal.
    let plain = |value: &Value| value.as_str().map(|text| text.trim_end_matches('/').to_owned());
    TOLD.iter().all(|key| plain(&wanted[*key]) == plain(&original[*key]))
}

/// The path that a reference to a folder of this machine names, with its `?dir=`. `None` for
/// what cannot be one.
pub fn local_path(reference: &str) -> Option<String> {
    let (place, query) = reference.split_once('?').unwrap_or((reference, ""));
    let url = place.strip_prefix("path:").or_else(|| {
        place.strip_prefix("git+file:").map(|rest| rest.strip_prefix("//").unwrap_or(rest))
    });
    // A bare path is taken as it stands; percent signs are a URL's.
    let mut path = match url {
        Some(url) => decoded(url)?,
        None => place.to_owned(),
    };
    for pair in query.split('&') {
        if let Some(folder) = pair.strip_prefix("dir=") {
            path = format!("{path}/{}", decoded(folder)?);
        }
    }
    Some(path)
}

/// `None` for an escape that Nix refuses.
fn decoded(text: &str) -> Option<String> {
    let is_hex = |rest: &str| {
        rest.get(..2).is_some_and(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    if !text.split('%').skip(1).all(is_hex) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

/// As a person writes it.
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

    fn agree(url: &str, original: Value) -> bool {
        same(&of_input("x", &json!({ "url": url })).unwrap(), &original)
    }

    #[test]
    fn a_url_is_what_nix_writes_for_it() {
        let hub = |extra: Value| {
            let mut set = json!({ "type": "github", "owner": "NixOS", "repo": "nixpkgs" });
            set.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            set
        };
        assert!(agree("github:NixOS/nixpkgs", hub(json!({}))));
        assert!(agree("github:NixOS/nixpkgs/release/1", hub(json!({ "ref": "release/1" }))));
        let rev = "3cb7ffb1a1f612d5e4a46244ae5a3c77ad934a70";
        assert!(agree(&format!("github:NixOS/nixpkgs/{rev}"), hub(json!({ "rev": rev }))));
        assert!(agree("github:NixOS/nixpkgs?dir=lib", hub(json!({ "dir": "lib" }))));
        assert!(!agree("github:NixOS/nixpkgs/b", hub(json!({ "ref": "a" }))));
        assert!(!agree("github:other/nixpkgs", hub(json!({}))));
        assert!(agree("flake:nixpkgs", json!({ "type": "indirect", "id": "nixpkgs" })));
        let git = json!({ "type": "git", "url": "https://x.org/a.git", "ref": "m" });
        assert!(agree("git+https://x.org/a.git?ref=m", git.clone()));
        assert!(!agree("git+https://x.org/b.git?ref=m", git));
    }

    #[test]
    fn what_is_not_told_apart_is_left_to_nix() {
        for url in [
            "./sub",
            "path:/x",
            "https://x.org/a.tar.gz",
            "github:a/b?submodules=1",
            "gitlab:a%2Fb/c",
        ] {
            assert_eq!(of_input("x", &json!({ "url": url })), None, "{url}");
        }
        let named = json!({ "inputs": {} });
        assert_eq!(of_input("nixpkgs", &named).unwrap()["id"], "nixpkgs");
    }

    #[test]
    fn a_folder_of_this_machine_is_found_in_every_spelling() {
        let path = |reference| local_path(reference).unwrap();
        assert_eq!(path("."), ".");
        assert_eq!(path("/a/100% b"), "/a/100% b");
        assert_eq!(path("path:/a%20b"), "/a b");
        assert_eq!(path("git+file:///a?ref=main&dir=x%20y"), "/a/x y");
        assert_eq!(path("git+file:/a"), "/a");
        assert_eq!(path("/a?dir=b/c"), "/a/b/c");
        assert_eq!(local_path("path:/a%zz"), None);
    }

    #[test]
    fn a_set_is_shown_as_a_url() {
        let set = json!({ "type": "github", "owner": "a", "repo": "b", "ref": "c" });
        assert_eq!(text(&set), "github:a/b/c");
        assert_eq!(text(&json!({ "type": "tarball", "url": "https://x" })), "https://x");
        assert_eq!(text(&json!({ "type": "indirect", "id": "x" })), "flake:x");
    }
}
