//! What build-all does with what it built: links that the garbage collector heeds, copies
//! in other stores, the plan beforehand, and going on where a killed run was.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::builders::{signal, spawn, wait_for};
use crate::support::{
    Scratch, code, fleet, fleet_with, json, nix, nix_program, run, stderr, stdout, valid_in_store,
    variant, xtask,
};
use serde_json::Value;

fn findings(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

fn ask_nix(args: &[&str]) -> String {
    let nix = nix(args.iter().copied()).output().unwrap();
    assert!(nix.status.success(), "{args:?}: {}", stderr(&nix));
    String::from_utf8(nix.stdout).unwrap()
}

#[test]
fn what_was_built_is_linked_and_the_collector_heeds_the_link() {
    let fleet = fleet(
        r#"a = host { variant = "one"; }; b = host { variant = "two"; };
           c = host { variant = "bad"; script = "exit 1"; };
           d = host { variant = "two"; script = "echo other > $out"; };"#,
    );
    let report = json(&run(fleet.path(), &["build-all", "--json"]));
    let linked = |name: &str| fs::read_link(fleet.path().join("result").join(name)).ok();
    let out = variant(&report, "one")["outPath"].as_str().unwrap();
    assert_eq!(linked("one").unwrap(), Path::new(out));
    assert_eq!(
        variant(&report, "one")["link"].as_str().unwrap(),
        fleet.path().join("result/one").to_str().unwrap()
    );
    // Two builds of one name, and one that failed.
    assert_ne!(linked("two-b").unwrap(), linked("two-d").unwrap());
    assert_eq!(linked("bad"), None);
    let said = Command::new(nix_program().with_file_name("nix-store"))
        .args(["--gc", "--print-roots"])
        .output();
    if let Ok(said) = said {
        assert!(stdout(&said).contains(fleet.path().join("result/one").to_str().unwrap()));
    }

    // A second run moves nothing; links of variants that are no more are told, not removed.
    let flake = fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    fleet.write(
        "flake.nix",
        &flake
            .replace("c = host { variant = \"bad\"; script = \"exit 1\"; };", "")
            .replace("variant = \"one\"", "variant = \"uno\""),
    );
    let output = run(fleet.path(), &["build-all"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("no host selects one any more"), "{}", stderr(&output));
    assert!(linked("one").is_some() && linked("uno").is_some());
}

#[test]
fn a_link_in_the_way_is_told_and_the_builds_stand() {
    let fleet = fleet(r#"a = host { variant = "one"; };"#);
    std::os::unix::fs::symlink("/nix/store", fleet.path().join("result")).unwrap();
    let output = run(fleet.path(), &["build-all", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(findings(&json(&output)), ["no-link-folder"]);
    assert!(stderr(&output).contains("as `nix build` creates"), "{}", stderr(&output));
    let elsewhere = fleet.path().join("kept");
    let args = ["build-all", "--json", "--out-link", elsewhere.to_str().unwrap()];
    assert_eq!(findings(&json(&run(fleet.path(), &args))), [""; 0]);
    assert!(elsewhere.join("one").is_symlink());
    fs::remove_dir_all(&elsewhere).unwrap();
    let report = json(&run(fleet.path(), &["build-all", "--json", "--no-link"]));
    assert_eq!((variant(&report, "one")["link"].is_null(), elsewhere.exists()), (true, false));
}

#[test]
fn copies_go_to_another_store_and_signatures_are_told() {
    let fleet = fleet(
        r#"a = host { variant = "one"; }; b = host { variant = "bad"; script = "exit 1"; };"#,
    );
    let cache = Scratch::new();
    let url = format!("file://{}/cache", cache.path().display());
    let report = json(&run(fleet.path(), &["build-all", "--json", "--push", &url]));
    assert_eq!(variant(&report, "one")["pushed"], true);
    assert_eq!(variant(&report, "bad")["pushed"], Value::Null);
    assert_eq!(findings(&report), ["unsigned"]);
    let out = variant(&report, "one")["outPath"].as_str().unwrap();
    assert!(ask_nix(&["path-info", "--store", &url, out]).contains(out));

    // Signed: nothing to say.
    let key = cache.path().join("key");
    fs::write(&key, ask_nix(&["key", "generate-secret", "--key-name", "test-1"])).unwrap();
    let signed = format!("file://{}/signed?secret-key={}", cache.path().display(), key.display());
    let report = json(&run(fleet.path(), &["build-all", "a", "--json", "--push", &signed]));
    assert_eq!((findings(&report), &report["ok"]), (vec![], &Value::Bool(true)));
}

#[test]
fn a_store_that_cannot_be_had_is_told_before_anything_is_built() {
    let fleet = fleet(r#"a = host { variant = "one"; };"#);
    let output = run(fleet.path(), &["build-all", "--push", "nonsense://x"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("cannot reach store nonsense://x"), "{}", stderr(&output));
    let report = json(&run(fleet.path(), &["build-all", "--dry-run", "--json"]));
    assert_eq!(variant(&report, "one")["plan"], "build");
}

/// Nor what Nix says of it.
#[test]
fn a_password_in_a_stores_url_is_printed_nowhere() {
    let fleet = fleet(r#"a = host { variant = "one"; };"#);
    for url in ["https://me:hunter2@127.0.0.1:9/x?a=b", "ssh-ng://me:hunter2@nobody.invalid"] {
        let output = xtask(fleet.path())
            .args(["build-all", "-v", "--json", "--junit", "junit.xml", "--push", url])
            .envs([("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "summary.md")])
            .output()
            .unwrap();
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        let file = |name: &str| fs::read_to_string(fleet.path().join(name)).unwrap();
        for text in [stderr(&output), stdout(&output), file("junit.xml"), file("summary.md")] {
            assert!(text.contains("me:***@") && !text.contains("hunter2"), "{text}");
        }
    }
}

#[test]
fn a_push_that_breaks_is_a_finding_and_what_was_built_stays() {
    let fleet = fleet(r#"a = host { variant = "one"; };"#);
    // A store that answers and takes nothing: what it holds must be signed.
    let there = Scratch::new();
    let url = format!("local?root={}&require-sigs=true", there.path().display());
    let output = run(fleet.path(), &["build-all", "--json", "--push", &url]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(variant(&report, "one")["state"], "built");
    assert_eq!(variant(&report, "one")["pushed"], false);
    assert_eq!(findings(&report), ["not-pushed"]);
    assert!(stderr(&output).contains("trusted-public-keys"), "{}", stderr(&output));
    let _ = Command::new("chmod").args(["-R", "u+w"]).arg(there.path()).status();
}

#[test]
fn the_portable_packages_are_built_on_request_and_a_broken_one_hides_none() {
    let fleet = fleet_with(
        r#"a = host { variant = "one"; };"#,
        r#"packages.x86_64-linux = {
             llama-cpp-cpu = package { name = "portable"; } // { llamaCpp = { variant = "cpu-dispatch";
               backends = [ "cpu" ]; microarch = "dispatch"; system = "x86_64-linux"; cmakeFlags = [ ]; rev = null; build = null; }; };
             llama-cpp-cuda = throw "planted";
             other = throw "not ours";
           };"#,
    );
    let output = run(fleet.path(), &["build-all", "--packages", "--json"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(variant(&report, "cpu-dispatch")["state"], "built");
    assert_eq!(variant(&report, "cpu-dispatch")["packages"][0], "llama-cpp-cpu");
    assert_eq!(variant(&report, "one")["state"], "built");
    assert!(
        stderr(&output).contains("packages.x86_64-linux.llama-cpp-cuda: planted"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_variant_is_chosen_by_name() {
    let fleet = fleet(r#"a = host { variant = "one"; }; b = host { variant = "two"; };"#);
    let report = json(&run(fleet.path(), &["build-all", "--variant", "two", "--json"]));
    assert_eq!(report["variants"].as_array().unwrap().len(), 1);
    // As `matrix` prints the variants of one job.
    let report = json(&run(fleet.path(), &["build-all", "--variant", "one,two", "--json"]));
    assert_eq!(report["variants"].as_array().unwrap().len(), 2);
    let output = run(fleet.path(), &["build-all", "--variant", "twoo"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("Did you mean two?"), "{}", stderr(&output));
    let output = run(fleet.path(), &["build-all", "--backend", "vulcan"]);
    assert_eq!(code(&output), 2);
}

#[test]
fn a_dry_run_tells_what_is_missing_and_how_much() {
    let fleet = fleet(
        r#"a = host { variant = "one"; needs = package { name = "needed"; }; };
           b = host { variant = "two"; };"#,
    );
    json(&run(fleet.path(), &["build-all", "b", "--json"]));
    let plan = json(&run(fleet.path(), &["build-all", "--dry-run", "--json"]));
    assert_eq!(plan["dryRun"], true);
    assert_eq!(variant(&plan, "one")["plan"], "build");
    assert_eq!(variant(&plan, "two")["plan"], "present");
    assert!(variant(&plan, "two")["closureBytes"].as_u64().unwrap() > 0);
    assert_eq!(plan["dependencies"], 1);
    // Built once, a later version of it is guessed at.
    json(&run(fleet.path(), &["build-all", "a", "--json"]));
    let flake = fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    fleet.write("flake.nix", &flake.replace("nonce = \"", "nonce = \"again-"));
    let plan = json(&run(fleet.path(), &["build-all", "--dry-run", "--json"]));
    assert!(variant(&plan, "one")["expectedSeconds"].as_f64().unwrap() >= 0.0);
    assert!(variant(&plan, "one")["closureBytes"].as_u64().unwrap() > 0);
    let renamed = flake.replace("\"one\"", "\"uno\"").replace("\"needed\"", "\"need\"");
    fleet.write("flake.nix", &renamed);
    let output = run(fleet.path(), &["build-all", "--dry-run"]);
    assert!(
        stderr(&output).contains("2 variants: 1 present, 1 to build and 1 dependency"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_run_that_was_killed_is_gone_on_with() {
    let elsewhere = Scratch::new();
    let gate = elsewhere.path().join("gate");
    let fleet = fleet(&format!(
        r#"a = host {{ variant = "one"; needs = package {{ name = "needed"; }}; }};
           b = host {{ variant = "two"; script = "until [ -e {} ]; do sleep 0.1; done; echo > $out"; }};"#,
        gate.display()
    ));
    let command = |args: &[&str]| {
        let mut command = xtask(fleet.path());
        command.args(args);
        command
    };
    let mut child = command(&["build-all", "--max-jobs", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let plan = |name: &str| {
        let report = json(&command(&["build-all", "--dry-run", "--json"]).output().unwrap());
        variant(&report, name)["plan"].clone()
    };
    let began = Instant::now();
    while plan("one") != "present" {
        assert!(began.elapsed() < Duration::from_secs(60), "the first build does not end");
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The builder that is left lets go of its lock.
    fs::write(&gate, "").unwrap();
    let output = command(&["build-all"]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("resuming: 2 of 3 builds") || said.contains("3 of 3"), "{said}");
    // A run that ends leaves nothing to go on with.
    assert!(!fleet.home().join("build-unfinished.json").exists());
}

/// Its link may be that of a host whose variant is not known this time.
#[test]
fn a_link_is_nobodys_only_where_every_host_evaluates() {
    let fleet = fleet(r#"a = host { variant = "one"; }; b = host { variant = "two"; };"#);
    assert_eq!(code(&run(fleet.path(), &["build-all"])), 0);
    let flake = fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    fleet.write("flake.nix", &flake.replace("variant = \"two\"", "variant = throw \"planted\""));
    let output = run(fleet.path(), &["build-all"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(!stderr(&output).contains("no host selects"), "{}", stderr(&output));
}

#[test]
fn what_ctrl_c_left_unpushed_is_said_once() {
    let marker = format!("sleep 82{}", std::process::id());
    let files = Scratch::new();
    let built = files.path().join("built");
    let script = format!("echo $out >> {}; echo > $out", built.display());
    let fleet = fleet(&format!(
        r#"a = host {{ variant = "one"; script = "{script}"; }};
           b = host {{ variant = "two"; script = "{script}"; }};
           c = host {{ variant = "slow"; script = "{marker}"; }};"#
    ));
    let cache = Scratch::new();
    let url = format!("file://{}/cache", cache.path().display());
    let push = ["build-all", "--json", "--no-link", "--max-jobs", "2", "--push", &url];
    let child = spawn(xtask(fleet.path()).args(push));
    let both_are_valid = || {
        let paths = fs::read_to_string(&built).unwrap_or_default();
        paths.lines().filter(|path| valid_in_store(path)).count() == 2
    };
    assert!(wait_for(Duration::from_secs(120), both_are_valid));
    signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(variant(&report, "one")["state"], "built", "{report}");
    assert_eq!(variant(&report, "one")["pushed"], false, "{report}");
    assert_eq!(findings(&report), ["interrupted"], "{report}");
}
