//! Parses the CMake command line: which variables it sets, in the order in which CMake reads
//! them. Source: cmake(1), `cmake::SetCacheArgs` and `cmState::ParseCacheEntry` of CMake 3.31.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

/// The variables that a package's CMake flags set.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// All values given to each variable, in order; CMake uses the last.
    values: BTreeMap<String, Vec<String>>,
    /// Variables that were set and then removed, with the `-U` argument that removed them.
    pub removed: BTreeMap<String, String>,
    /// Arguments that read variables from a file.
    pub files: Vec<String>,
    /// `-D` arguments without a value, which CMake rejects.
    pub unreadable: Vec<String>,
}

impl CommandLine {
    pub fn parse(flags: &[String]) -> Self {
        let mut line = Self::default();
        let arguments = arguments(flags);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            // The value is in the same argument or in the next one.
            let option = argument.get(..2).unwrap_or(argument);
            let mut value = || match argument[option.len()..].trim_start() {
                "" => arguments.next().unwrap_or_default(),
                rest => rest,
            };
            match option {
                "-D" => line.set(value()),
                "-U" => line.remove(value()),
                "-C" => line.files.push(format!("-C {}", value())),
                _ if argument.starts_with("--preset") || argument.starts_with("--toolchain") => {
                    line.files.push(argument.to_owned());
                }
                _ => {}
            }
        }
        line
    }

    fn set(&mut self, entry: &str) {
        let Some((name, value)) = entry.split_once('=') else {
            return self.unreadable.push(format!("-D{entry}"));
        };
        let name = name.split(':').next().unwrap_or(name).trim_matches('"');
        self.removed.remove(name);
        let first = || value.split_whitespace().next().unwrap_or_default();
        let value = if name.contains("FLAGS") { value.trim_end() } else { first() };
        self.values.entry(name.to_owned()).or_default().push(value.to_owned());
    }

    fn remove(&mut self, glob: &str) {
        self.values.retain(|name, _| {
            let is_removed = matches(glob.as_bytes(), name.as_bytes());
            if is_removed {
                self.removed.insert(name.clone(), format!("-U{glob}"));
            }
            !is_removed
        });
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.values.iter().map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    /// Returns the value that CMake uses: the last one.
    pub fn get(&self, name: &str) -> Option<&str> {
        Some(self.values.get(name)?.last()?.as_str())
    }

    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_on)
    }
}

/// Returns the arguments that may reach CMake. stdenv splits flags at white space unless the
/// derivation has structured attributes, so a word after white space is treated both as an
/// argument and as part of the preceding value.
fn arguments(flags: &[String]) -> Vec<&str> {
    const TAKES_VALUE: [&str; 3] = ["-D", "-U", "-C"];
    // A -D without a value is the compiler's.
    let is_option = |word: &str| {
        word.starts_with("-D") && word.contains('=')
            || TAKES_VALUE.contains(&word)
            || ["-U", "-C", "--preset", "--toolchain"].iter().any(|name| word.starts_with(name))
    };
    let mut arguments = vec![];
    for flag in flags {
        arguments.push(flag.trim());
        let mut previous = "";
        for word in flag.split_whitespace().skip(1) {
            if is_option(word) || TAKES_VALUE.contains(&previous) {
                arguments.push(word);
            }
            previous = word;
        }
    }
    arguments
}

/// Whether CMake treats this value as true: one of its constants, or a nonzero number.
pub fn is_on(value: &str) -> bool {
    matches!(value.to_ascii_uppercase().as_str(), "ON" | "TRUE" | "YES" | "Y")
        || value.parse().is_ok_and(|number: f64| number != 0.0)
}

/// Whether a name matches a glob of `-U`: `*`, `?` and `[…]`.
fn matches(glob: &[u8], name: &[u8]) -> bool {
    match (glob, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        ([b'?', rest @ ..], [_, name @ ..]) => matches(rest, name),
        ([b'[', rest @ ..], [first, name @ ..]) => {
            let Some(end) = rest.iter().skip(1).position(|byte| *byte == b']') else {
                return false;
            };
            let (set, rest) = (&rest[..=end], &rest[end + 2..]);
            let (set, negated) = match set {
                [b'!' | b'^', set @ ..] => (set, true),
                set => (set, false),
            };
            is_in(set, *first) != negated && matches(rest, name)
        }
        ([letter, rest @ ..], [first, name @ ..]) => letter == first && matches(rest, name),
        _ => false,
    }
}

fn is_in(set: &[u8], byte: u8) -> bool {
    match set {
        [low, b'-', high, rest @ ..] => (low..=high).contains(&&byte) || is_in(rest, byte),
        [one, rest @ ..] => *one == byte || is_in(rest, byte),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(flags: &[&str]) -> CommandLine {
        CommandLine::parse(&flags.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn every_spelling_of_a_value_is_read() {
        for flags in [
            &["-DA=1 "][..],
            &["-DA:BOOL=1"],
            &["-D", "A=1"],
            &["-D", "A:STRING=1"],
            &["-D A=1"],
            &["-D\tA:BOOL=1"],
            &["-D\"A\":BOOL=1"],
            &["-DB=2 -DA=1"],
            &["-DA=0", "-DA=1"],
            &["-DA=0", "-UA", "-DA=1"],
        ] {
            assert_eq!(line(flags).get("A"), Some("1"), "{flags:?}");
        }
        let flags = "-O2 -Wall -U_X -DX=1 --param y=z -mno-avx2";
        let set = format!("-DCMAKE_C_FLAGS={flags}");
        assert_eq!(line(&[&set, "-DB=1"]).get("CMAKE_C_FLAGS"), Some(flags));
        assert_eq!(line(&["-DB=2 -D A=1"]).get("A"), Some("1"));
        assert_eq!(line(&["-DB=2 -DA=1"]).get("B"), Some("2"));
        assert_eq!(line(&["-DA"]).unreadable, ["-DA"]);
        assert_eq!(line(&["-D", "-DA=1"]).get("-DA"), Some("1"));
    }

    #[test]
    fn a_glob_removes_what_was_set_before() {
        for glob in ["-UGGML_*", "-U*", "-U?GML_AVX", "-U[FG]GML_AVX", "-U[!x]*X", "-U[A-H]*"] {
            let line = line(&["-DGGML_AVX=ON", glob]);
            assert_eq!(line.get("GGML_AVX"), None, "{glob}");
            assert_eq!(line.removed["GGML_AVX"], glob);
        }
        for glob in ["-UGGML_", "-UGGML_AVX?", "-U[!G]*", "-U[", "-Uggml_*", "-U"] {
            assert!(line(&["-DGGML_AVX=ON", glob]).removed.is_empty(), "{glob}");
        }
        assert!(line(&["-DA=1", "-U", "A"]).removed.contains_key("A"));
    }

    #[test]
    fn files_are_named() {
        let files =
            line(&["-C", "a.cmake", "-Cb.cmake", "--preset=x", "--toolchain", "-DA=1"]).files;
        assert_eq!(files, ["-C a.cmake", "-C b.cmake", "--preset=x", "--toolchain"]);
    }

    #[test]
    fn cmake_takes_numbers_for_true() {
        assert!(["on", "Yes", "y", "TRUE", "1", "2", "-1", "0.5"].iter().all(|text| is_on(text)));
        let off = ["OFF", "no", "0", "0.0", "", "ignore", "x-NOTFOUND", "sometimes"];
        assert!(!off.iter().any(|text| is_on(text)));
    }
}
