//! The completions of real shells with the scripts that `completions` prints.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::{Scratch, XTASK, code, contained, fleet, run, skip, stderr, stdout};

/// A checkout with two hosts that was never evaluated. xtask is where cargo puts it, and in `bin`.
fn checkout() -> Scratch {
    let here = Scratch::new();
    here.write("flake.nix", "{ }");
    here.write("hosts/default.nix", "{ }");
    here.write("hosts/boron/default.nix", "{ }");
    here.write("hosts/carbon/default.nix", "{ }");
    let nodes = r#"{"root": {"inputs": {"llama-cpp": "l"}}, "l": {"locked": {"rev": "a"}}}"#;
    here.write("flake.lock", &format!(r#"{{"root": "root", "version": 7, "nodes": {nodes}}}"#));
    here.write("Cargo.toml", "[package]\nname = \"x\"\n");
    here.write("src/lib.rs", "");
    for name in ["target/debug/xtask", "bin/xtask"] {
        let link = here.path().join(name);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(XTASK, link).unwrap();
    }
    for shell in ["bash", "fish", "zsh"] {
        let output = run(here.path(), &["completions", shell]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        here.write(&format!("xtask.{shell}"), &stdout(&output));
    }
    here
}

/// Runs a script in the checkout, with `bin` on PATH, and returns its standard output.
fn shell(here: &Scratch, program: &str, script: &str) -> String {
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", here.path().join("bin").display());
    let mut command = contained(Command::new(program), here.path());
    command.args(["-c", script]).env("PATH", path).env_remove("CARGO_TARGET_DIR");
    stdout(&command.output().unwrap())
}

/// Returns bash's completions of the last word of a line.
fn bash(here: &Scratch, line: &str) -> Vec<String> {
    let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source ./xtask.bash; COMP_WORDS=({}); COMP_CWORD={}; \
         $(complete -p {} | grep -o -- '_xtask[a-z_]*') {}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words.len() - 1,
        words[0],
        words[0]
    );
    shell(here, "bash", &script).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let here = checkout();
    assert_eq!(bash(&here, "xtask build-a"), ["build-all"]);
    assert_eq!(bash(&here, "xtask build-all --jo"), ["--jobs"]);
    assert_eq!(bash(&here, "xtask --color a"), ["auto", "always"]);
    assert_eq!(bash(&here, "xtask check --color = n"), ["never"]);
    assert_eq!(bash(&here, "xtask build-all --backend cu"), ["cuda"]);
    assert_eq!(bash(&here, "xtask explain unf"), ["unfree"]);
    assert_eq!(bash(&here, "xtask bench boron -- --"), [""]);
    for (line, completion) in [
        ("bench --params 8", "88m"),
        ("bench --model s", "smollm2"),
        ("bench --compare upstream,nix", "upstream,nixpkgs"),
        ("bench --compare upstream,bo", "upstream,boron"),
        ("update --bench boron,c", "boron,carbon"),
        ("update --stab", "--stable"),
        ("update --input llama", "llama-cpp"),
        ("bisect --by bu", "build"),
        ("check --wat", "--watch"),
    ] {
        assert_eq!(bash(&here, &format!("xtask {line}")), [completion], "{line}");
    }
    let commands = bash(&here, "xtask ");
    assert!(commands.contains(&"check".to_owned()), "{commands:?}");
    assert!(!commands.contains(&"complete".to_owned()), "{commands:?}");
}

#[test]
fn bash_completes_hosts_under_cargo_too() {
    let here = checkout();
    for line in ["xtask check ", "cargo xtask check ", "cargo xtask bisect --host "] {
        let mut hosts = bash(&here, line);
        hosts.sort();
        assert_eq!(hosts, ["boron", "carbon"], "{line}");
    }
    assert_eq!(bash(&here, "cargo xtask check boron c"), ["carbon"]);
    let elsewhere = Scratch::new();
    elsewhere.write("flake.nix", "{ }");
    elsewhere.write("hosts/neon/default.nix", "{ }");
    let line = format!("cargo xtask --flake {} check ", elsewhere.path().display());
    assert_eq!(bash(&here, &line), ["neon"]);
}

/// They are those of the last evaluation, even if the flake changed since.
#[test]
fn evaluated_hosts_and_variants_complete() {
    let fleet = fleet(r#"a = host { variant = "one"; }; b = host { variant = "two"; };"#);
    assert_eq!(code(&run(fleet.path(), &["check"])), 0);
    fs::write(fleet.path().join("flake.nix"), "not Nix any more").unwrap();
    let complete =
        |words: &[&str]| stdout(&run(fleet.path(), &[&["complete", "--"], words].concat()));
    assert_eq!(complete(&["build-all", ""]), "a\tone\nb\ttwo\n");
    assert_eq!(complete(&["build-all", "--variant", "t"]), "two\tb\n");
}

#[test]
fn fish_and_zsh_complete_hosts() {
    let here = checkout();
    let is_installed = |shell: &str| Command::new(shell).arg("--version").output().is_ok();
    if is_installed("fish") {
        let fish =
            |line: &str| shell(&here, "fish", &format!("source xtask.fish; complete -C '{line}'"));
        assert_eq!(fish("xtask check c"), "carbon\n");
        assert_eq!(fish("cargo xtask check c"), "carbon\n");
        assert!(fish("xtask explain unf").starts_with("unfree\t"));
        assert_eq!(fish("xtask bench --compare upstream,nix"), "upstream,nixpkgs\n");
        assert_eq!(fish("xtask bench --model s"), "smollm2\n");
        assert!(fish("xtask update --input lla").starts_with("llama-cpp"));
    } else {
        skip("fish is not installed: its completions are not tested");
    }
    if is_installed("zsh") {
        // Prints the completions, without a terminal.
        let zsh = |words: &str| {
            let script = format!(
                "autoload -U compinit; compinit -D -u; source ./xtask.zsh; \
                 _describe() {{ print -l -- ${{(P)4}} }}; words=({words} ''); CURRENT=$#words; \
                 case $words[1] in (cargo) shift words; CURRENT=$((CURRENT-1)); _cargo-xtask;; \
                 (*) _xtask;; esac"
            );
            shell(&here, "zsh", &script)
        };
        for line in ["xtask check", "cargo xtask check"] {
            let mut hosts: Vec<String> = zsh(line).lines().map(str::to_owned).collect();
            hosts.sort();
            assert_eq!(hosts, ["boron", "carbon"], "{line}");
        }
    } else {
        skip("zsh is not installed: its completions are not tested");
    }
}
