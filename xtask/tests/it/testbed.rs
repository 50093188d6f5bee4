//! The testbed's error messages must match those of Nixpkgs, because nix/diagnosis.rs parses them. The cases are in testbed/tests/errors.nix.

use std::collections::BTreeMap;
use std::process::Output;

use crate::support::{nix, repository, stderr};

fn eval(attribute: &str, more: &[&str]) -> Output {
    let cases = repository().join("testbed/tests/errors.nix");
    nix(["eval", "--file"]).arg(cases).arg(attribute).args(more).output().unwrap()
}

#[test]
fn error_messages_match_those_of_nixpkgs() {
    let output = eval("cases", &["--json", "--apply", "builtins.mapAttrs (_: case: case.says)"]);
    let cases: BTreeMap<String, Vec<String>> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(cases.len() >= 10, "{cases:?}");
    for (name, sentences) in cases {
        let output = eval(&format!("cases.{name}.expr"), &[]);
        assert!(!output.status.success(), "{name} evaluates instead of failing");
        // Nix indents the text of an error.
        let text = stderr(&output);
        let text = text.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
        for sentence in sentences.iter().flat_map(|sentence| sentence.lines()) {
            assert!(text.contains(sentence), "{name}: {sentence:?} is missing in\n{text}");
        }
    }
}
