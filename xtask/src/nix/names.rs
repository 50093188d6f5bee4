//! Newtypes for the strings that must never be mixed up.
//!
//! Pure: no I/O, no clock.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A derivation in the store, `/nix/store/….drv`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DrvPath(String);

/// A path in the store that is not a derivation.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_inside_its_literal() {
        assert_eq!(nix_string(r#"a"b${c}\"#), r#""a\"b\${c}\\""#);
        assert_eq!(nix_string("a\nb"), "\"a\\nb\"");
    }
}
