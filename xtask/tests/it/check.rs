//! `check` on small fleets, with real Nix: every host in exactly one state.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::builders::{signal, wait_for};
use crate::support::{
    Scratch, XTASK, code, contained, fleet, json, nix_program, run, skip, stderr, stdout, xtask,
};

#[test]
fn a_sound_fleet_is_ok_and_equal_variants_are_one_build() {
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
fn every_kind_of_fault_lands_on_its_host_and_hides_no_other() {
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
fn a_host_without_the_module_is_no_fault_of_the_fleet_unless_it_is_named() {
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
    // A fleet where nobody uses it has nothing to check, and that must not look well.
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
fn an_unknown_host_is_refused_and_the_nearest_offered() {
    let fleet = fleet("carbon = host { }; boron = host { };");
    let output = run(fleet.path(), &["check", "carbn"]);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(said.contains("did you mean carbon?") && said.contains("boron"), "{said}");
}

#[test]
fn hostile_host_names_are_names_and_nothing_else() {
    let fleet = fleet(
        r#""a b\"; \${builtins.abort \"x\"} '$(touch pwned)'" = host { }; "-rf" = host { };"#,
    );
    let output = run(fleet.path(), &["check", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(json(&output)["hosts"].as_array().unwrap().len(), 2);
    assert!(!fleet.path().join("pwned").exists());
}

#[test]
fn a_flake_that_does_not_parse_is_named_with_its_line() {
    let fleet = fleet("carbon = host { ;");
    let output = run(fleet.path(), &["check"]);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    let line = fleet_line(fleet.path(), "carbon = host");
    assert!(said.contains(&format!("flake.nix:{line}")) && said.contains("syntax error"), "{said}");
}

#[test]
fn a_host_that_takes_too_long_is_a_timeout_and_the_rest_is_told() {
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
fn a_file_that_git_does_not_track_is_explained() {
    let fleet = fleet("carbon = import ./carbon.nix host;");
    let git = |args: &[&str]| {
        #[allow(clippy::disallowed_methods, reason = "a test's own repository")]
        let status = Command::new("git").args(args).current_dir(fleet.path()).status();
        assert!(status.unwrap().success());
    };
    git(&["init", "--quiet"]);
    git(&["add", "flake.nix"]);
    fleet.write("carbon.nix", "host: host { }");
    let output = run(fleet.path(), &["check"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("git add"), "{}", stderr(&output));
    git(&["add", "--intent-to-add", "carbon.nix"]);
    assert_eq!(code(&run(fleet.path(), &["check"])), 0);
}

#[test]
fn without_a_flake_the_way_on_is_told() {
    let empty = Scratch::new();
    let output = run(empty.path(), &["check"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("--flake"), "{}", stderr(&output));
}

/// Nix's own places are relative to the repository.
#[test]
fn places_are_relative_to_the_flakes_folder() {
    let scratch = fleet("a = import ./hosts/a.nix; b = import ../../shared.nix;");
    let flake = fs::read_to_string(scratch.path().join("flake.nix")).unwrap();
    fs::remove_file(scratch.path().join("flake.nix")).unwrap();
    scratch.write("configs/nixos/flake.nix", &flake);
    scratch.write("configs/nixos/hosts/a.nix", "\nthrow \"planted\"\n");
    scratch.write("shared.nix", "\nthrow \"planted\"\n");
    for args in [&["init", "--quiet"][..], &["add", "--all"]] {
        let status = Command::new("git").args(args).current_dir(scratch.path()).status();
        assert!(status.unwrap().success());
    }
    let output = run(&scratch.path().join("configs/nixos"), &["check", "--json"]);
    let report = json(&output);
    let place = |host: usize| report["hosts"][host]["findings"][0]["file"].as_str().unwrap();
    assert_eq!([place(0), place(1)], ["hosts/a.nix", "../../shared.nix"], "{report:#}");
    let shown = stderr(&run(&scratch.path().join("configs/nixos"), &["check"]));
    assert_eq!(shown.matches("2 | throw").count(), 2, "{shown}");
}

/// Nix without a daemon, and /nix of root: as after `setup` by root.
#[test]
fn a_store_of_another_user_is_told_once_with_what_to_do() {
    let fleet = fleet("a = host { }; b = host { };");
    let root = fleet.path().parent().unwrap();
    // Reads everything, as root does, and writes what is its own.
    let nobody = |program: &[&str]| {
        let caps = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
        let mut command = contained(Command::new("setpriv"), fleet.path());
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(caps);
        command.args(program).env("XDG_CACHE_HOME", root.join("cache")).env("HOME", root);
        command.output()
    };
    let given = Command::new("chown").args(["-R", "65534:65534"]).arg(root).status();
    if !given.is_ok_and(|status| status.success())
        || !nobody(&["true"]).is_ok_and(|output| output.status.success())
    {
        return skip("only root can be another user");
    }
    let nix = nix_program().display().to_string();
    let store = ["store", "add-file", "flake.nix", "--extra-experimental-features", "nix-command"];
    if nobody(&[&[nix.as_str()], &store[..]].concat()).unwrap().status.success() {
        return skip("this Nix has a daemon");
    }
    for words in ["check", "build-all", "list", "doctor"] {
        let output = nobody(&[XTASK, words]).unwrap();
        let said = stdout(&output) + &stderr(&output);
        assert_eq!(code(&output), if words == "doctor" { 1 } else { 2 }, "{words}: {said}");
        assert_eq!(said.matches("user who owns /nix").count(), 1, "{words}: {said}");
        assert!(!said.contains("nix-daemon"), "{words}: {said}");
    }
}

#[test]
fn without_nix_and_with_an_old_one_setup_is_offered() {
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

    // What Debian 12's nix-bin 2.8.0 prints.
    empty.write_program("nix", "#!/bin/sh\necho 'nix (Nix) 2.8.0'\n");
    let output = with_path(empty.path());
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("2.8.0, too old: 2.19"), "{}", stderr(&output));
}

#[test]
fn a_person_reads_a_table_and_programs_read_nothing_else() {
    let fleet = fleet("carbon = host { }; boron = host { variant = throw \"no such chip\"; };");
    let output = run(fleet.path(), &["check"]);
    let table = stdout(&output);
    assert!(table.starts_with("HOST"), "{table}");
    assert!(stderr(&output).contains("boron: no such chip"), "{}", stderr(&output));
    let log = stderr(&output);
    let log = log.split("trace: ").nth(1).unwrap().split(')').next().unwrap();
    assert!(fs::read_to_string(log).unwrap().contains("no such chip"));
}

/// The edited host is shown before the others, and Ctrl-C ends it.
#[test]
fn a_watched_fleet_is_checked_again_when_a_file_changes() {
    let hosts = "a = host { }; b = host { variant = \"b\"; }; c = host { variant = \"c\"; };";
    let fleet = fleet(hosts);
    let log = fleet.path().with_file_name("said");
    let said = fs::File::create(&log).unwrap();
    let mut command = xtask(fleet.path());
    command.args(["check", "--watch", "-j", "1"]).stdout(Stdio::null()).stderr(said);
    let mut child = command.spawn().unwrap();
    let text = || fs::read_to_string(&log).unwrap();
    let waits = |times: usize| {
        wait_for(Duration::from_secs(60), || {
            text().matches("waiting for a change").count() == times
        })
    };
    assert!(waits(1), "{}", text());
    assert!(!text().contains("c evaluates"), "{}", text());
    // Files have the time of the kernel's last tick.
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
fn a_trace_that_cannot_be_written_costs_no_finding() {
    let fleet = fleet("a = host { }; b = host { variant = throw \"planted\"; };");
    fs::write(fleet.home().join("logs"), "not a folder").unwrap();
    let output = run(fleet.path(), &["check", "--json"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let hosts = &json(&output)["hosts"];
    assert_eq!(hosts[0]["state"], "ok", "{hosts}");
    assert_eq!(hosts[1]["findings"][0]["message"], "planted", "{hosts}");
    assert!(!hosts[1]["findings"][0]["help"].as_str().unwrap().contains("(trace:"), "{hosts}");
}
