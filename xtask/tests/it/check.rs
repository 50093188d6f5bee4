//! `check` on small fleets, with real Nix: every host has exactly one state.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::builders::{signal, wait_for};
use crate::support::world::git;
use crate::support::{
    Scratch, XTASK, code, contained, fleet, json, nix_program, run, skip, stderr, stdout, xtask,
};

#[test]
fn a_valid_fleet_is_ok_and_equal_variants_are_one_build() {
    let fleet = fleet(
        r#"carbon = host { variant = "a"; }; beryllium = host { variant = "a"; }; boron = host { variant = "b"; };"#,
    );
    let output = run(fleet.path(), &["check", "--json"]);
    let report = json(&output);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(report["schema"], 1);
    assert_eq!(report["ok"], true);
    assert_eq!(report["builds"], 2);
    let hosts: Vec<_> = report["hosts"].as_array().unwrap().iter().map(|h| &h["host"]).collect();
    assert_eq!(hosts, ["beryllium", "boron", "carbon"]);
    assert!(report["hosts"][0]["drvPath"].as_str().unwrap().ends_with(".drv"));
}

#[test]
fn every_kind_of_error_is_reported_for_its_host() {
    let fleet = fleet(
        r#"
        aa-good = host { };
        bad-abort = abort "gave up";
        bad-assert = assert 1 == 2; host { };
        bad-attribute = host { variant = ({ }).nothing; };
        bad-recursion = let x = x; in x;
        bad-throw = host { variant = throw "no such chip"; };
        bad-type = host { variant = 1 + "a"; };
        no-module = { options = { }; config = { }; };
        zz-good = host { };
        "#,
    );
    let output = run(fleet.path(), &["check", "--json"]);
    let report = json(&output);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let state = |name: &str| {
        let hosts = report["hosts"].as_array().unwrap();
        let host = hosts.iter().find(|host| host["host"] == name).unwrap();
        let finding = &host["findings"][0];
        (
            host["state"].as_str().unwrap().to_owned(),
            finding["code"].as_str().unwrap_or_default().to_owned(),
            finding["file"].as_str().unwrap_or_default().to_owned(),
            finding["line"].as_u64().unwrap_or_default(),
        )
    };
    assert_eq!(report["hosts"].as_array().unwrap().len(), 9);
    assert_eq!(state("aa-good").0, "ok");
    assert_eq!(state("zz-good").0, "ok");
    assert_eq!(state("no-module").0, "unsupported");
    let first = fleet_line(fleet.path(), "bad-abort");
    for (offset, (name, kind)) in [
        ("bad-abort", "abort"),
        ("bad-assert", "eval-error"),
        ("bad-attribute", "missing-attribute"),
        ("bad-recursion", "infinite-recursion"),
        ("bad-throw", "eval-error"),
        ("bad-type", "eval-error"),
    ]
    .into_iter()
    .enumerate()
    {
        let line = first + offset as u64;
        let expected = ("eval-error".into(), kind.into(), "flake.nix".into(), line);
        assert_eq!(state(name), expected, "{name}");
    }
}

#[test]
fn a_host_without_the_module_is_an_error_only_if_selected() {
    let fleet = fleet("a = host { }; desktop = { options = { }; config = { }; };");
    let output = run(fleet.path(), &["check", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["hosts"][1]["state"], "unsupported");
    assert_eq!(report["hosts"][1]["findings"], serde_json::json!([]));
    assert!(stderr(&output).contains("1 of 1 hosts ok, 1 without the module"));
    assert_eq!(code(&run(fleet.path(), &["build-all", "--no-link"])), 0);
    assert_eq!(code(&run(fleet.path(), &["matrix"])), 0);
    for command in ["check", "build-all", "matrix"] {
        let output = run(fleet.path(), &[command, "desktop"]);
        assert_eq!(code(&output), 1, "{command}");
        assert!(stderr(&output).contains("no-module"), "{command}: {}", stderr(&output));
    }
    // A fleet where no host uses the module has nothing to check, which is an error.
    let fleet = crate::support::fleet("desktop = { options = { }; config = { }; };");
    assert_eq!(code(&run(fleet.path(), &["check"])), 1);
}

fn fleet_line(dir: &std::path::Path, needle: &str) -> u64 {
    let text = fs::read_to_string(dir.join("flake.nix")).unwrap();
    1 + text.lines().position(|line| line.contains(needle)).unwrap() as u64
}

#[test]
fn an_impure_flag_is_a_finding() {
    let fleet = fleet(r#"carbon = host { flags = [ "-DGGML_NATIVE=ON" ]; };"#);
    let output = run(fleet.path(), &["check", "--json"]);
    assert_eq!(code(&output), 1);
    let report = json(&output);
    assert_eq!(report["hosts"][0]["state"], "finding");
    assert_eq!(report["hosts"][0]["findings"][0]["code"], "impure-flag");
}

#[test]
fn an_unknown_host_is_an_error_with_a_suggestion() {
    let fleet = fleet("carbon = host { }; boron = host { };");
    let output = run(fleet.path(), &["check", "carbn"]);
    assert_eq!(code(&output), 2);
    let text = stderr(&output);
    assert!(text.contains("did you mean carbon?") && text.contains("boron"), "{text}");
}

#[test]
fn host_names_are_never_evaluated_or_run() {
    let fleet = fleet(
        r#""a b\"; \${builtins.abort \"x\"} '$(touch pwned)'" = host { }; "-rf" = host { };"#,
    );
    let output = run(fleet.path(), &["check", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(json(&output)["hosts"].as_array().unwrap().len(), 2);
    assert!(!fleet.path().join("pwned").exists());
}

#[test]
fn a_syntax_error_in_the_flake_is_reported_with_its_line() {
    let fleet = fleet("carbon = host { ;");
    let output = run(fleet.path(), &["check"]);
    assert_eq!(code(&output), 2);
    let text = stderr(&output);
    let line = fleet_line(fleet.path(), "carbon = host");
    assert!(text.contains(&format!("flake.nix:{line}")) && text.contains("syntax error"), "{text}");
}

#[test]
fn a_slow_host_times_out_and_the_others_are_reported() {
    let fleet = fleet(
        r#"
        good = host { };
        slow = host { variant = let l = builtins.genList (x: x) 20000; in
          toString (builtins.foldl' (a: _: builtins.foldl' (b: _: b + 1) a l) 0 l); };
        "#,
    );
    let output = run(fleet.path(), &["check", "--json", "--timeout", "2"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["hosts"][0]["state"], "ok");
    assert_eq!(report["hosts"][1]["state"], "timeout");
}

#[test]
fn a_file_that_git_does_not_track_is_an_error_with_a_fix() {
    let fleet = fleet("carbon = import ./carbon.nix host;");
    git(fleet.path(), &["init", "--quiet"]);
    git(fleet.path(), &["add", "flake.nix"]);
    fleet.write("carbon.nix", "host: host { }");
    let output = run(fleet.path(), &["check"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("git add"), "{}", stderr(&output));
    git(fleet.path(), &["add", "--intent-to-add", "carbon.nix"]);
    assert_eq!(code(&run(fleet.path(), &["check"])), 0);
}

#[test]
fn a_missing_flake_is_an_error_with_a_fix() {
    let empty = Scratch::new();
    let output = run(empty.path(), &["check"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("--flake"), "{}", stderr(&output));
}

/// Nix reports them relative to the repository.
#[test]
fn reported_files_are_relative_to_the_flakes_folder() {
    let scratch = fleet("a = import ./hosts/a.nix; b = import ../../shared.nix;");
    let flake = fs::read_to_string(scratch.path().join("flake.nix")).unwrap();
    fs::remove_file(scratch.path().join("flake.nix")).unwrap();
    scratch.write("configs/nixos/flake.nix", &flake);
    scratch.write("configs/nixos/hosts/a.nix", "\nthrow \"planted\"\n");
    scratch.write("shared.nix", "\nthrow \"planted\"\n");
    git(scratch.path(), &["init", "--quiet"]);
    git(scratch.path(), &["add", "--all"]);
    let output = run(&scratch.path().join("configs/nixos"), &["check", "--json"]);
    let report = json(&output);
    let file = |host: usize| report["hosts"][host]["findings"][0]["file"].as_str().unwrap();
    assert_eq!([file(0), file(1)], ["hosts/a.nix", "../../shared.nix"], "{report:#}");
    let shown = stderr(&run(&scratch.path().join("configs/nixos"), &["check"]));
    assert_eq!(shown.matches("2 | throw").count(), 2, "{shown}");
}

/// As after `setup` by root: /nix belongs to root, and Nix has no daemon.
#[test]
fn a_store_of_another_user_is_one_error_with_a_fix() {
    let fleet = fleet("a = host { }; b = host { };");
    let root = fleet.path().parent().unwrap();
    // Reads everything, as root does, but writes only its own files.
    let nobody = |program: &[&str]| {
        let caps = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
        let mut command = contained(Command::new("setpriv"), fleet.path());
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(caps);
        command.args(program).env("XDG_CACHE_HOME", root.join("cache")).env("HOME", root);
        command.output()
    };
    let chowned = Command::new("chown").args(["-R", "65534:65534"]).arg(root).status();
    if !chowned.is_ok_and(|status| status.success())
        || !nobody(&["true"]).is_ok_and(|output| output.status.success())
    {
        return skip("only root can be another user");
    }
    let nix = nix_program().display().to_string();
    let store = ["store", "add-file", "flake.nix", "--extra-experimental-features", "nix-command"];
    if nobody(&[&[nix.as_str()], &store[..]].concat()).unwrap().status.success() {
        return skip("this Nix has a daemon");
    }
    for command in ["check", "build-all", "list", "doctor"] {
        let output = nobody(&[XTASK, command]).unwrap();
        let text = stdout(&output) + &stderr(&output);
        assert_eq!(code(&output), if command == "doctor" { 1 } else { 2 }, "{command}: {text}");
        assert_eq!(text.matches("user who owns /nix").count(), 1, "{command}: {text}");
        assert!(!text.contains("nix-daemon"), "{command}: {text}");
    }
}

#[test]
fn a_missing_or_old_nix_is_an_error_with_a_fix() {
    let fleet = fleet("carbon = host { };");
    let empty = Scratch::new();
    let with_path = |path: &std::path::Path| {
        let mut command = xtask(fleet.path());
        command.args(["check"]).env("PATH", path);
        command.output().unwrap()
    };
    let output = with_path(empty.path());
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("cargo xtask setup"), "{}", stderr(&output));

    // The version that Debian 12's nix-bin 2.8.0 prints.
    empty.write_program("nix", "#!/bin/sh\necho 'nix (Nix) 2.8.0'\n");
    let output = with_path(empty.path());
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("2.8.0, too old: 2.19"), "{}", stderr(&output));
}

#[test]
fn without_json_stdout_is_a_table() {
    let fleet = fleet("carbon = host { }; boron = host { variant = throw \"no such chip\"; };");
    let output = run(fleet.path(), &["check"]);
    let table = stdout(&output);
    assert!(table.starts_with("HOST"), "{table}");
    assert!(stderr(&output).contains("boron: no such chip"), "{}", stderr(&output));
    let log = stderr(&output);
    let log = log.split("trace: ").nth(1).unwrap().split(')').next().unwrap();
    assert!(fs::read_to_string(log).unwrap().contains("no such chip"));
}

/// The edited host is printed first, and Ctrl-C ends the program.
#[test]
fn a_watched_fleet_is_checked_again_when_a_file_changes() {
    let hosts = "a = host { }; b = host { variant = \"b\"; }; c = host { variant = \"c\"; };";
    let fleet = fleet(hosts);
    let log = fleet.path().with_file_name("stderr");
    let file = fs::File::create(&log).unwrap();
    let mut command = xtask(fleet.path());
    command.args(["check", "--watch", "-j", "1"]).stdout(Stdio::null()).stderr(file);
    let mut child = command.spawn().unwrap();
    let text = || fs::read_to_string(&log).unwrap();
    let waits = |times: usize| {
        wait_for(Duration::from_secs(60), || {
            text().matches("waiting for a change").count() == times
        })
    };
    assert!(waits(1), "{}", text());
    assert!(!text().contains("c evaluates"), "{}", text());
    // A modification time has the resolution of the kernel's clock tick.
    std::thread::sleep(Duration::from_millis(20));
    fleet.write("hosts/c/default.nix", "{ }");
    assert!(waits(2), "{}", text());
    assert!(text().contains("c evaluates: c") && !text().contains("b evaluates"), "{}", text());
    fleet.write("flake.nix", "{ outputs = throw \"no\"; }");
    assert!(waits(3) && text().contains("error:"), "{}", text());
    signal("INT", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_trace_that_cannot_be_written_hides_no_finding() {
    let fleet = fleet("a = host { }; b = host { variant = throw \"planted\"; };");
    fs::write(fleet.home().join("logs"), "not a folder").unwrap();
    let output = run(fleet.path(), &["check", "--json"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let hosts = &json(&output)["hosts"];
    assert_eq!(hosts[0]["state"], "ok", "{hosts}");
    assert_eq!(hosts[1]["findings"][0]["message"], "planted", "{hosts}");
    assert!(!hosts[1]["findings"][0]["help"].as_str().unwrap().contains("(trace:"), "{hosts}");
}
