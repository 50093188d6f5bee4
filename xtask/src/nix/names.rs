//! Newtypes for store paths, and Nix literals.
//!
//! Pure: no I/O, no clock.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A derivation in the store, `/nix/store/….drv`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DrvPath(String);

/// A store path that is not a derivation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StorePath(String);

macro_rules! string_newtype {
    ($($name:ident),*) => {$(
        impl $name {
            #[allow(dead_code, reason = "a variant's name comes from its manifest alone")]
            pub fn new(value: impl Into<String>) -> Self {
                Self(value.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}

string_newtype!(DrvPath, StorePath);
pub(crate) use string_newtype;

impl DrvPath {
    /// Returns the installable for every output of this derivation.
    pub fn all_outputs(&self) -> String {
        format!("{}^*", self.0)
    }
}

impl StorePath {
    /// Returns whether this is a well-formed path in the store of `other`. A path that was read
    /// from a file may be any text.
    pub fn is_in_store_of(&self, other: &Self) -> bool {
        let entry = |path: &Self| {
            let (folder, name) = path.0.rsplit_once('/')?;
            let (hash, name) = name.split_once('-')?;
            let is_hash = hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_alphanumeric());
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b"+-._?=".contains(&b);
            (is_hash && !name.is_empty() && name.bytes().all(is_name)).then(|| folder.to_owned())
        };
        entry(self).is_some_and(|folder| entry(other) == Some(folder))
    }
}

/// Returns a Nix string literal for any text, with quotes, backslashes and `${` escaped.
pub fn nix_string(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' | '$' => {
                literal.push('\\');
                literal.push(c);
            }
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

/// Returns a list of Nix strings, such as `[ "a" "b" ]`.
pub fn nix_list(texts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let literals = texts.into_iter().map(|text| nix_string(text.as_ref()) + " ");
    format!("[ {}]", literals.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_paths_are_in_the_store() {
        let entry = |folder: &str| format!("{folder}/{}-llama-cpp-0.0.0", "0a1b".repeat(8));
        let own = StorePath::new(entry("/nix/store"));
        let is_in = |path: &str| StorePath::new(path).is_in_store_of(&own);
        assert!(is_in(&entry("/nix/store")));
        for path in ["data", "./data", "../data", "/tmp/data", "", "/nix/store", "/nix/store/data"]
        {
            assert!(!is_in(path), "{path}");
        }
        for folder in ["/tmp", "/nix/store/..", "/nix/store/x", "nix/store", "//nix/store", "."] {
            assert!(!is_in(&entry(folder)), "{folder}");
        }
        assert!(!is_in(&format!("{}/bin", entry("/nix/store"))));
        assert!(!is_in(&format!("{} --option x", entry("/nix/store"))));
    }

    #[test]
    fn no_text_ends_its_literal() {
        assert_eq!(nix_string(r#"a"b${c}\"#), r#""a\"b\${c}\\""#);
        assert_eq!(nix_string("a\nb"), "\"a\\nb\"");
    }
}
