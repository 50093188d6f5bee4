//! `build-all`: links as GC roots, copies to other stores, the plan before the builds, and resuming
//! a killed run.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

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

fn nix_stdout(args: &[&str]) -> String {
    let nix = nix(args.iter().copied()).output().unwrap();
    assert!(nix.status.success(), "{args:?}: {}", stderr(&nix));
    String::from_utf8(nix.stdout).unwrap()
}

#[test]
fn results_are_linked_as_gc_roots() {
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
    // Two builds of the same name, and one that failed.
    assert_ne!(linked("two-b").unwrap(), linked("two-d").unwrap());
    assert_eq!(linked("bad"), None);
    let roots = Command::new(nix_program().with_file_name("nix-store"))
        .args(["--gc", "--print-roots"])
        .output();
    if let Ok(roots) = roots {
        assert!(stdout(&roots).contains(fleet.path().join("result/one").to_str().unwrap()));
    }

    // A second run changes no link; it reports those of unused variants and does not remove them.
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
fn an_existing_result_link_is_a_finding_and_the_builds_succeed() {
    let fleet = fleet(r#"a = host { variant = "one"; };"#);
    std::os::unix::fs::symlink("/nix/store", fleet.path().join("result")).unwrap();
    let output = run(fleet.path(), &["build-all", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(findings(&json(&output)), ["no-link-folder"]);
    assert!(stderr(&output).contains("as `nix build` creates"), "{}", stderr(&output));
    let elsewhere = fleet.path().join("links");
    let args = ["build-all", "--json", "--out-link", elsewhere.to_str().unwrap()];
    assert_eq!(findings(&json(&run(fleet.path(), &args))), [""; 0]);
    assert!(elsewhere.join("one").is_symlink());
    fs::remove_dir_all(&elsewhere).unwrap();
    let report = json(&run(fleet.path(), &["build-all", "--json", "--no-link"]));
    assert_eq!((variant(&report, "one")["link"].is_null(), elsewhere.exists()), (true, false));
}

#[test]
fn push_copies_to_another_store_and_warns_about_missing_signatures() {
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
    assert!(nix_stdout(&["path-info", "--store", &url, out]).contains(out));

    // With signatures there is no finding.
    let key = cache.path().join("key");
    fs::write(&key, nix_stdout(&["key", "generate-secret", "--key-name", "test-1"])).unwrap();
    let signed = format!("file://{}/signed?secret-key={}", cache.path().display(), key.display());
    let report = json(&run(fleet.path(), &["build-all", "a", "--json", "--push", &signed]));
    assert_eq!((findings(&report), &report["ok"]), (vec![], &Value::Bool(true)));
}

#[test]
fn an_unreachable_store_is_an_error_before_the_build() {
    let fleet = fleet(r#"a = host { variant = "one"; };"#);
    let output = run(fleet.path(), &["build-all", "--push", "nonsense://x"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("cannot reach store nonsense://x"), "{}", stderr(&output));
    let report = json(&run(fleet.path(), &["build-all", "--dry-run", "--json"]));
    assert_eq!(variant(&report, "one")["plan"], "build");
}

/// Not even in Nix's messages.
#[test]
fn a_password_in_a_store_url_is_never_printed() {
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
fn a_failed_push_is_a_finding_and_the_builds_stay() {
    let fleet = fleet(r#"a = host { variant = "one"; };"#);
    // A reachable store that rejects unsigned paths.
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
fn portable_packages_are_built_on_request_despite_a_broken_one() {
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
fn variants_can_be_selected_by_name() {
    let fleet = fleet(r#"a = host { variant = "one"; }; b = host { variant = "two"; };"#);
    let report = json(&run(fleet.path(), &["build-all", "--variant", "two", "--json"]));
    assert_eq!(report["variants"].as_array().unwrap().len(), 1);
    // In the format that `matrix` prints for a job.
    let report = json(&run(fleet.path(), &["build-all", "--variant", "one,two", "--json"]));
    assert_eq!(report["variants"].as_array().unwrap().len(), 2);
    let output = run(fleet.path(), &["build-all", "--variant", "twoo"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("Did you mean two?"), "{}", stderr(&output));
    let output = run(fleet.path(), &["build-all", "--backend", "vulcan"]);
    assert_eq!(code(&output), 2);
}

#[test]
fn a_dry_run_prints_the_plan_and_its_estimates() {
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
    // After the first build, later versions have estimates.
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
fn a_killed_run_resumes() {
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
    let is_present = || plan("one") == "present";
    assert!(wait_for(Duration::from_secs(120), is_present), "the first build does not end");
    child.kill().unwrap();
    child.wait().unwrap();
    // The remaining builder ends and releases its lock.
    fs::write(&gate, "").unwrap();
    let output = command(&["build-all"]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains("resuming: 2 of 3 builds") || text.contains("3 of 3"), "{text}");
    // A complete run leaves nothing to resume.
    assert!(!fleet.home().join("build-unfinished.json").exists());
}

/// Otherwise a link may belong to a host whose variant is unknown.
#[test]
fn links_are_reported_as_unused_only_if_every_host_evaluates() {
    let fleet = fleet(r#"a = host { variant = "one"; }; b = host { variant = "two"; };"#);
    assert_eq!(code(&run(fleet.path(), &["build-all"])), 0);
    let flake = fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    fleet.write("flake.nix", &flake.replace("variant = \"two\"", "variant = throw \"planted\""));
    let output = run(fleet.path(), &["build-all"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(!stderr(&output).contains("no host selects"), "{}", stderr(&output));
}

#[test]
fn builds_left_unpushed_by_ctrl_c_are_one_finding() {
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
