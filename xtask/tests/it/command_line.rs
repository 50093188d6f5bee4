//! Help, usage errors and colours, which all commands share, and `explain`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use expect_test::expect_file;

use crate::support::{Scratch, XTASK, code, contained, json, run, stderr, stdout, terminal, xtask};

#[test]
fn explain_lists_every_code_and_suggests_the_nearest() {
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

#[test]
fn an_argument_that_is_not_utf_8_is_a_usage_error() {
    let scratch = Scratch::new();
    let argument = OsStr::from_bytes(b"\xff");
    for options in [&["explain"][..], &["explain", "--json", "--nope"]] {
        let output = xtask(scratch.path()).args(options).arg(argument).output().unwrap();
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        assert!(stderr(&output).contains("error: "), "{}", stderr(&output));
    }
}

/// A file gets no escape sequences although stderr is a terminal, unless requested.
#[test]
fn colours_are_chosen_per_stream() {
    let scratch = Scratch::new();
    let explain = |options: &str, var: (&str, &str)| {
        let line = format!("'{XTASK}' explain {options} > list; '{XTASK}' explain {options} nope");
        let mut command = contained(Command::new("sh"), scratch.path());
        command.args(["-c", &line]).env_remove("NO_COLOR").env(var.0, var.1);
        let session = terminal::run(&mut command, 100, 30);
        let list = fs::read_to_string(scratch.path().join("list")).unwrap();
        assert!(list.contains("Evaluation of hosts"), "{list}");
        (list.contains('\x1b'), terminal::is_coloured(session.screens().last().unwrap()))
    };
    assert_eq!(explain("", ("X", "")), (false, true));
    assert_eq!(explain("", ("NO_COLOR", "1")), (false, false));
    assert_eq!(explain("--color=never", ("X", "")), (false, false));
    assert_eq!(explain("--color=always", ("NO_COLOR", "1")), (true, true));
    // clap's own messages.
    for (option, coloured) in [("--color=always", true), ("--color=never", false)] {
        let output = run(scratch.path(), &["check", "--nope", option]);
        assert_eq!(stderr(&output).contains('\x1b'), coloured, "{}", stderr(&output));
    }
}

#[test]
fn the_help_matches_its_snapshot() {
    let scratch = Scratch::new();
    let help = xtask(scratch.path()).arg("--help").env_remove("COLUMNS").output().unwrap();
    expect_file!["snapshots/help.txt"].assert_eq(&stdout(&help));
    let build = stdout(&run(scratch.path(), &["build-all", "--help"]));
    let at = |heading| build.find(heading).unwrap_or_else(|| panic!("{heading}: {build}"));
    assert!(at("\nOptions:") < at("\nGlobal options:"), "{build}");
    assert!(at("\nGlobal options:") < at("\nExamples:"), "{build}");
    assert!(stdout(&run(scratch.path(), &["--version"])).starts_with("cargo xtask 0."));
}

/// An installed xtask does not print `cargo xtask`.
#[test]
fn messages_and_help_use_the_name_that_was_typed() {
    let scratch = Scratch::new();
    scratch.write("flake.nix", "{ outputs = _: { }; }");
    let as_typed = |args: &[&str]| xtask(scratch.path()).args(args).output().unwrap();
    let installed = |args: &[&str]| {
        xtask(scratch.path()).env_remove("CARGO_PKG_NAME").args(args).output().unwrap()
    };
    for args in [
        &["explain", "nothing"][..],
        &["explain", "nothing", "--json"],
        &["explain", "fetch"],
        &["new-host", "box"],
        &["check", "--nope"],
        &["bench", "--help"],
    ] {
        let text = |output| stdout(&output) + &stderr(&output);
        let (cargo, direct) = (text(as_typed(args)), text(installed(args)));
        assert!(cargo.contains("cargo xtask "), "{cargo}");
        assert!(direct.contains("xtask ") && !direct.contains("cargo xtask"), "{direct}");
    }
}

/// The old names are hidden from the help.
#[test]
fn renamed_flags_still_accept_their_old_names() {
    let scratch = Scratch::new();
    for (args, new) in [
        (&["rollback", "--to", "2"][..], "--steps"),
        (&["build-all", "--max-jobs", "2"], "--jobs"),
        (&["bisect", "--anew"], "--fresh"),
        (&["bench", "local", "--quantization", "q4-0"], "q4_0"),
    ] {
        let output = run(scratch.path(), args);
        assert!(stderr(&output).contains("no flake.nix"), "{}", stderr(&output));
        let help = stdout(&run(scratch.path(), &[args[0], "--help"]));
        let old = if args[0] == "bench" { args[3] } else { args[1] };
        assert!(help.contains(new) && !help.contains(&format!("{old} ")), "{help}");
    }
    // `--compare` takes only one value, so `local` is the host.
    let output = run(scratch.path(), &["bench", "--compare", "upstream", "local"]);
    assert!(stderr(&output).contains("no flake.nix"), "{}", stderr(&output));
}
