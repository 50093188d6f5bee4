//! A new fleet on the testbed: the template, `new-host` and the first commands.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::foreign::parts;
use crate::support::world::git;
use crate::support::{
    Scratch, code, json, nix, nix_in_testbed, path_with_nix, repository, run, stderr, stdout, xtask,
};
use serde_json::Value;

/// Runs `nix flake init -t` with this repository's template.
fn template_fleet() -> Scratch {
    let scratch = Scratch::new();
    let made = nix(["flake", "init", "-t"])
        .arg(repository())
        .current_dir(scratch.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    scratch
}

#[test]
fn a_fleet_from_the_template_and_new_host_passes_check() {
    let fleet = template_fleet();
    let output = run(fleet.path(), &["check", "--testbed"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("new-host"), "{}", stderr(&output));

    let output = run(fleet.path(), &["new-host", "box", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(json(&output)["files"].as_array().unwrap().len() >= 3);
    let second = run(fleet.path(), &["new-host", "3d", "--target", "root@10.0.0.3"]);
    assert_eq!(code(&second), 0, "{}", stderr(&second));
    assert!(stderr(&second).contains("xtask check 3d"), "{}", stderr(&second));

    let output = run(fleet.path(), &["check", "--testbed", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    let names = |field: &str| -> Vec<Value> {
        report["hosts"].as_array().unwrap().iter().map(|host| host[field].clone()).collect()
    };
    assert_eq!(names("host"), ["3d", "box"]);
    // Both hosts have the facts of this machine: one build.
    assert_eq!(report["builds"], 1);
    let parts = parts(&report, "box");
    let [ggml, tools, module] = parts[..] else { panic!("{report:#}") };
    assert_eq!([ggml, tools], ["ggml", "llama-cpp-tools"]);
    assert!(module.starts_with("ggml-cpu-"), "{module}");
    let table = fs::read_to_string(fleet.path().join("hosts/default.nix")).unwrap();
    assert!(table.contains("\"3d\" = {") && table.contains("root@10.0.0.3"), "{table}");
}

/// A run that is killed between two files does not stop the next run.
#[test]
fn new_host_can_be_repeated_after_a_kill() {
    let fleet = template_fleet();
    git(fleet.path(), &["init", "--quiet"]);
    git(fleet.path(), &["add", "--all"]);
    // `git` is called after the host's files are written and before the table is.
    let tools = Scratch::new();
    let kill = "#!/bin/sh\ncase \"$*\" in *intent-to-add*) kill -9 $PPID;; esac\n\
                exec /usr/bin/env -S \"PATH=${PATH#*:}\" git \"$@\"\n";
    tools.write_program("git", kill);
    let path = format!("{}:{}", tools.path().display(), path_with_nix().to_str().unwrap());
    let killed = xtask(fleet.path()).args(["new-host", "box"]).env("PATH", path).output().unwrap();
    assert_eq!(killed.status.code(), None, "{}", stderr(&killed));
    assert!(fleet.path().join("hosts/box/facts.json").exists());
    let output = run(fleet.path(), &["new-host", "box"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let files = fs::read_dir(fleet.path().join("hosts/box")).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert!(!files.iter().any(|name| name == ".new-host"), "{files:?}");
    // A host's folder that was made by hand is left alone.
    fleet.write("hosts/own/default.nix", "{ }\n");
    let output = run(fleet.path(), &["new-host", "own"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(fleet.path().join("hosts/own/default.nix").exists());
}

/// Nix sees only files that Git tracks.
#[test]
fn a_new_host_is_visible_to_git_but_not_staged() {
    let fleet = template_fleet();
    git(fleet.path(), &["init", "--quiet"]);
    git(fleet.path(), &["add", "--all"]);
    let output = run(fleet.path(), &["new-host", "box"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let output = run(fleet.path(), &["check", "box", "--testbed"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(git(fleet.path(), &["diff", "--name-only"]).contains("hosts/box/default.nix"));
    assert!(!git(fleet.path(), &["diff", "--cached", "--name-only"]).contains("hosts/box"));
}

/// The hosts that xtask/src/new_host/configuration.rs writes for recorded machines.
#[test]
fn generated_hosts_of_other_machines_evaluate_completely() {
    let fleet = template_fleet();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/new-host");
    let mut table = String::from("{\n");
    for name in ["laptop", "server", "channels", "debian"] {
        let folder = fleet.path().join("hosts").join(name);
        let from = fixtures.join(name).join("host");
        let copied = Command::new("cp").arg("-r").arg(from).arg(&folder).status();
        assert!(copied.unwrap().success());
        table += &format!("  {name} = {{ system = \"x86_64-linux\"; target = {name:?}; }};\n");
    }
    fleet.write("hosts/default.nix", &(table + "}\n"));
    let output = run(fleet.path(), &["check", "--full", "--testbed", "--json"]);
    let report = json(&output);
    assert_eq!(code(&output), 0, "{report:#}");
    let findings: Vec<&Value> = report["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|host| host["findings"].as_array().unwrap())
        .collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

/// As a new user would: makes a fleet with this machine, builds the whole system and reads it.
#[test]
fn the_built_system_keeps_the_machines_settings() {
    let fleet = template_fleet();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExample ada@desk";
    fleet.write("home/.ssh/authorized_keys", &format!("# mine\n{key}\n"));
    let output = xtask(fleet.path())
        .args(["new-host", "box", "--json"])
        .env("HOME", fleet.path().join("home"))
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let codes: Vec<&str> = json(&output)["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|finding| {
            ["not-nixos", "no-ssh-key"].into_iter().find(|code| finding["code"] == *code)
        })
        .collect();
    let is_nixos = Path::new("/etc/NIXOS").exists();
    assert_eq!(codes, if is_nixos { vec![] } else { vec!["not-nixos"] });
    fs::remove_dir_all(fleet.path().join("home")).unwrap();

    // Enable the server that the generated file proposes, and a GPU.
    let file = fleet.path().join("hosts/box/default.nix");
    let text = fs::read_to_string(&file).unwrap();
    let (before, server) = text.split_once("  # services.llama-cpp = {").unwrap();
    let (server, after) = server.split_once("  # };").unwrap();
    let server = server.replace("  # ", "  ");
    let graphics =
        "hardware.graphics.enable = true; services.xserver.videoDrivers = [ \"nvidia\" ];";
    let text = format!("{before}  services.llama-cpp = {{{server}  }};\n  {graphics}{after}");
    fs::write(
        &file,
        text.replace("# system.stateVersion = \"\"", "system.stateVersion = \"26.05\""),
    )
    .unwrap();

    let output = run(fleet.path(), &["check", "--full", "--testbed", "--json"]);
    assert_eq!(code(&output), 0, "{:#}", json(&output));
    let built = nix_in_testbed(&fleet, ["build", "--no-link", "--print-out-paths"])
        .arg(format!(
            "{}#nixosConfigurations.box.config.system.build.toplevel",
            fleet.path().display()
        ))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", stderr(&built));
    let system = stdout(&built);
    let read = |name: &str| {
        let file = Path::new(system.trim()).join(name);
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    let loader = read("boot-loader");
    assert!(
        ["grub", "systemd-boot", "generic-extlinux-compatible"].contains(&loader.trim()),
        "{loader}"
    );
    let user = stdout(&Command::new("id").arg("-un").output().unwrap());
    let keys = read(&format!("etc/ssh/authorized_keys.d/{}", user.trim()));
    assert!(keys.lines().any(|line| line == key), "{keys}");
    assert!(read("etc/systemd/system/sshd.service").contains("ExecStart="));
    assert_eq!(read("video-drivers").trim(), "nvidia");
    let unit = read("etc/systemd/system/llama-cpp.service");
    assert!(
        unit.contains("/bin/llama-server") && unit.contains("--models-dir /srv/models"),
        "{unit}"
    );
    assert!(Path::new(system.trim()).join("sw/bin/llama-bench").exists());
}

#[test]
fn an_invalid_host_is_rejected_and_nothing_is_written() {
    let fleet = template_fleet();
    let table = fs::read_to_string(fleet.path().join("hosts/default.nix")).unwrap();
    for (name, expected) in [
        ("../x", "letters, digits and hyphens"),
        ("$(touch x)", "letters, digits and hyphens"),
        ("local", "the machine that runs xtask"),
        ("with", "a Nix keyword"),
    ] {
        let output = run(fleet.path(), &["new-host", "--", name]);
        assert_eq!(code(&output), 2, "{name}");
        assert!(stderr(&output).contains(expected), "{name}: {}", stderr(&output));
    }
    let output = run(fleet.path(), &["new-host", "box", "--from", "nobody@127.0.0.1:1"]);
    assert_ne!(code(&output), 0);
    let output = run(fleet.path(), &["new-host", "box", "--dry-run"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("programs.llama-cpp"), "{}", stdout(&output));
    assert!(!fleet.path().join("hosts/box").exists());
    assert_eq!(fs::read_to_string(fleet.path().join("hosts/default.nix")).unwrap(), table);

    // An existing host, and a file that is not a table of hosts.
    assert_eq!(code(&run(fleet.path(), &["new-host", "box"])), 0);
    let output = run(fleet.path(), &["new-host", "box"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("hosts/box already exists"), "{}", stderr(&output));
    fleet.write("hosts/default.nix", "import ../elsewhere.nix\n");
    let output = run(fleet.path(), &["new-host", "other"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("by hand"), "{}", stderr(&output));
    fs::remove_file(fleet.path().join("hosts/default.nix")).unwrap();
    let output = run(fleet.path(), &["new-host", "other"]);
    assert!(stderr(&output).contains("no hosts/default.nix"), "{}", stderr(&output));
}

#[test]
fn inputs_without_a_testbed_stand_in_are_named() {
    let fleet = template_fleet();
    let flake = fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    let more = "inputs = {\n    stylix.url = \"github:nix-community/stylix\";\n    \
                disko.url = \"github:nix-community/disko\";";
    fleet.write("flake.nix", &flake.replace("inputs = {", more));
    let output = run(fleet.path(), &["check", "--testbed"]);
    assert_eq!(code(&output), 2);
    let named = "has no stand-in for the inputs disko (github:nix-community/disko), stylix \
                 (github:nix-community/stylix) of ";
    assert!(stderr(&output).contains(named), "{}", stderr(&output));
}
