//! What the testbed's library says when something is wrong: the words of Nixpkgs, since
//! nix/diagnosis.rs reads them. The cases are in testbed/tests/errors.nix.

use std::collections::BTreeMap;
use std::process::Output;

use crate::support::{nix, repository, stderr};

fn eval(attribute: &str, more: &[&str]) -> Output {
    let cases = repository().join("testbed/tests/errors.nix");
    nix(["eval", "--file"]).arg(cases).arg(attribute).args(more).output().unwrap()
}

#[test]
fn every_error_says_what_nixpkgs_says() {
    let output = eval("cases", &["--json", "--apply", "builtins.mapAttrs (_: case: case.says)"]);
    let cases: BTreeMap<String, Vec<String>> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(cases.len() >= 10, "{cases:?}");
    for (name, sentences) in cases {
        let output = eval(&format!("cases.{name}.expr"), &[]);
        assert!(!output.status.success(), "{name} evaluates instead of failing");
        // Nix indents the text of an error.
        let said = stderr(&output);
        let said: Vec<&str> = said.lines().map(str::trim_start).collect();
        let said = said.join("\n");
        for sentence in sentences.iter().flat_map(|sentence| sentence.lines()) {
            assert!(said.contains(sentence), "{name} does not say {sentence:?} but\n{said}");
        }
    }
}
