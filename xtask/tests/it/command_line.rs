//! What every command shares: help, errors of usage, colour; and `explain`.

use crate::support::{Scratch, code, json, run, stderr, stdout};

#[test]
fn explain_names_every_code_and_suggests_the_nearest() {
    let scratch = Scratch::new();
    let explain = |args: &[&str]| run(scratch.path(), &[&["explain"], args].concat());

    let one = stdout(&explain(&["unfree"]));
    assert!(one.starts_with("error[unfree]: ") && one.contains("allowUnfree"), "{one}");
    let all = json(&explain(&["--json"]));
    let codes = all["codes"].as_array().unwrap();
    let list = stdout(&explain(&[]));
    for code in codes.iter().map(|code| code["code"].as_str().unwrap()) {
        assert!(list.contains(&format!("  {code} ")), "{code} is not in\n{list}");
    }
    assert!(codes.len() > 140, "{}", codes.len());

    let unknown = explain(&["unfre"]);
    assert_eq!(code(&unknown), 2);
    assert!(stderr(&unknown).contains("did you mean `unfree`?"), "{}", stderr(&unknown));
}
