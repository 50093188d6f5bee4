//! Newtypes for the strings that must never be mixed up.
//!
//! Pure: no I/O, no clock.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A host: an attribute of `nixosConfigurations`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostName(String);

/// A derivation in the store, `/nix/store/….drv`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DrvPath(String);

/// A path in the store that is not a derivation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StorePath(String);

/// A variant's name as its manifest gives it, for example `cuda-tigerlake-sm75`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VariantName(String);

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

string_newtype!(HostName, DrvPath, StorePath, VariantName);

impl DrvPath {
    /// The installable that builds every output of this derivation.
    pub fn all_outputs(&self) -> String {
        format!("{}^*", self.0)
    }
}

/// A Nix string literal for any text: quotes, backslashes and `${` cannot escape it.
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

/// The candidates nearest to what was typed, best first; none that is far off.
/// Distance: Levenshtein, at most a third of the longer name's length (at least 1).
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (levenshtein(typed, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (typed.chars().count().max(candidate.chars().count()) / 3).max(1)
        })
        .min()
        .map(|(_, candidate)| candidate)
}

fn levenshtein(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_inside_its_literal() {
        assert_eq!(nix_string(r#"a"b${c}\"#), r#""a\"b\${c}\\""#);
        assert_eq!(nix_string("a\nb"), "\"a\\nb\"");
    }

    #[test]
    fn the_nearest_host_is_offered_and_a_stranger_is_not() {
        let hosts = ["carbon", "beryllium", "boron", "nitrogen"];
        assert_eq!(nearest("carbn", hosts), Some("carbon"));
        assert_eq!(nearest("berylium", hosts), Some("beryllium"));
        assert_eq!(nearest("xyzzy", hosts), None);
    }
}
