//! `build-all` on small fleets, with real Nix and builds that take a second. The reported states
//! match the store.

use std::time::Duration;

use crate::support::builders::{interrupt_when, running};
use crate::support::{
    Scratch, code, fleet, json, run, stderr, stdout, valid_in_store, variant, xtask,
};
use serde_json::Value;

/// The build lists the instructions of its CPU module; here a script writes that list.
#[test]
fn a_built_module_is_checked_for_its_instruction_sets() {
    let host = |name: &str, sets: &str| {
        let lines: String = sets
            .split(' ')
            .map(|set| {
                format!("echo libggml-cpu.so {set} 9 >>$out/nix-support/ggml-cpu-instructions;")
            })
            .collect();
        format!(
            "{name} = host {{ variant = \"{name}\"; manifest.listsInstructions = true; \
             script = ''mkdir -p $out/nix-support; {lines}''; }};\n"
        )
    };
    let haswell = "total AVX AVX2 F16C FMA BMI2";
    let without = "total AVX F16C FMA BMI2";
    let fleet = fleet(
        &(host("good", haswell)
            + &host("less", without)
            + &host("more", &format!("{haswell} AVX512"))
            + "none = host { variant = \"none\"; manifest.listsInstructions = true; };"),
    );
    assert_eq!(code(&run(fleet.path(), &["build-all", "good"])), 0);
    let output = run(fleet.path(), &["build-all", "--json"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert!(variant(&report, "good").get("findings").is_none(), "{report}");
    for (name, expected) in [
        ("less", "no instructions of AVX2"),
        ("more", "has instructions of AVX512"),
        ("none", "no CPU module"),
    ] {
        let finding = &variant(&report, name)["findings"][0];
        assert_eq!(finding["code"], "cpu-instructions", "{finding}");
        assert!(finding["message"].as_str().unwrap().contains(expected), "{finding}");
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    assert_eq!(report["findings"].as_array().unwrap().len(), 3, "{report}");
}

#[test]
fn one_failed_variant_does_not_stop_the_others() {
    let fleet = fleet(
        r#"
        a = host { variant = "good-1"; };
        b = host { variant = "broken"; script = "echo '[1/9] cc'; echo 'x.c:3: error: planted' >&2; exit 1"; };
        c = host { variant = "good-2"; };
        d = host { variant = "broken"; script = "echo '[1/9] cc'; echo 'x.c:3: error: planted' >&2; exit 1"; };
        e = host { variant = "needy"; needs = [
          (package { name = "aaa-fine"; script = "echo fine; echo > $out"; })
          (package { name = "needed"; script = "echo 'no such header' >&2; exit 1"; })
        ]; };
        "#,
    );
    let output = run(fleet.path(), &["build-all", "--json"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["variants"].as_array().unwrap().len(), 4);
    for name in ["good-1", "good-2"] {
        let good = variant(&report, name);
        assert_eq!(good["state"], "built");
        assert!(valid_in_store(good["outPath"].as_str().unwrap()));
    }
    let broken = variant(&report, "broken");
    assert_eq!(broken["state"], "failed");
    assert_eq!(broken["hosts"], serde_json::json!(["b", "d"]));
    assert_eq!(broken["outPath"], Value::Null);
    let log = std::fs::read_to_string(broken["log"].as_str().unwrap()).unwrap();
    assert!(log.contains("error: planted"), "{log}");
    assert!(broken["logTail"].to_string().contains("error: planted"));

    let needy = variant(&report, "needy");
    assert_eq!(needy["state"], "dependency-failed");
    assert_eq!(needy["failedDependency"], "needed");
    let text = stderr(&output);
    assert!(text.contains("needy for e: dependency needed failed with exit code 1"), "{text}");
    // The first error comes before the tail of the log, even if the tail has it too.
    let (error, tail) = (text.find("first error: x.c:3"), text.find("│ x.c:3: error: planted"));
    assert!(error.is_some() && error < tail, "{text}");
    assert!(text.contains("linked in result/; to switch HOST to it: `nixos-rebuild"), "{text}");
    let log = std::fs::read_to_string(needy["log"].as_str().unwrap()).unwrap();
    assert!(log.contains("no such header"), "{log}");

    // The log of the variant, and that of its failed dependency.
    for (host, line) in [("b", "x.c:3: error: planted"), ("e", "no such header")] {
        let output = run(fleet.path(), &["log", host]);
        assert!(code(&output) == 0 && stdout(&output).contains(line), "{}", stdout(&output));
    }
    assert!(text.contains("the whole log: `cargo xtask log b`"), "{text}");

    // A second run reuses what was built; what failed fails again.
    let report = json(&run(fleet.path(), &["build-all", "--json"]));
    assert_eq!(variant(&report, "good-1")["state"], "present");
    assert_eq!(variant(&report, "broken")["state"], "failed");
}

#[test]
fn hosts_can_be_selected_and_a_dry_run_builds_nothing() {
    let fleet = fleet(r#"a = host { variant = "one"; }; b = host { variant = "two"; };"#);
    let output = run(fleet.path(), &["build-all", "--dry-run"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("build"), "{}", stdout(&output));
    let report = json(&run(fleet.path(), &["build-all", "b", "--json"]));
    assert_eq!(report["variants"].as_array().unwrap().len(), 1);
    assert_eq!(variant(&report, "two")["state"], "built");
    let output = run(fleet.path(), &["build-all", "--dry-run"]);
    let lines: Vec<_> = stdout(&output).lines().map(str::to_owned).collect();
    assert!(lines[1].contains("one") && lines[1].contains("build"), "{lines:?}");
    assert!(lines[2].contains("two") && lines[2].contains("present"), "{lines:?}");
}

#[test]
fn variants_can_be_selected_by_backend() {
    let fleet = fleet(
        r#"a = host { variant = "c"; }; b = host { variant = "v"; backends = [ "vulkan" ]; };"#,
    );
    let report = json(&run(fleet.path(), &["build-all", "--backend", "vulkan", "--json"]));
    assert_eq!(report["variants"].as_array().unwrap().len(), 1);
    assert_eq!(variant(&report, "v")["state"], "built");
}

#[test]
fn a_host_that_does_not_evaluate_does_not_stop_the_builds() {
    let fleet = fleet(r#"a = host { variant = "good"; }; b = throw "gone";"#);
    let output = run(fleet.path(), &["build-all", "--json"]);
    assert_eq!(code(&output), 1);
    let report = json(&output);
    assert_eq!(variant(&report, "good")["state"], "built");
    assert_eq!(report["hosts"][0]["host"], "b");
    assert_eq!(report["hosts"][0]["state"], "eval-error");
    assert_eq!(report["ok"], false);
}

/// A fleet with `hosts`, and with `b` and `c`, whose evaluation waits five seconds for a build.
pub fn slow_fleet(hosts: &str, shared: &str, late: &str) -> Scratch {
    let slowly = r#"slowly = text: text + builtins.substring 0 0 (builtins.readFile
      (package { name = "slow"; script = "sleep 5; echo >$out"; }));"#;
    fleet(&format!(
        r#"
        {hosts}
        b = host {{ variant = let {slowly} in slowly "shared"; script = "{shared}"; }};
        c = host {{ variant = let {slowly} in slowly "late"; script = "{late}"; }};
        "#
    ))
}

/// `--jobs` limits how many run at once, and equal builds are run once.
#[test]
fn builds_start_while_other_hosts_are_evaluated() {
    let folder = Scratch::new();
    for jobs in ["1", "2"] {
        let file = folder.path().join(jobs).display().to_string();
        let wait = format!("for i in $(seq 600); do test -e {file} && break; sleep 0.1; done");
        let wait = if jobs == "1" { "sleep 8" } else { &wait };
        let shared = format!("{wait}; echo >$out");
        let fleet = slow_fleet(
            &format!(
                r#"
                a = host {{ variant = "shared"; script = "{shared}"; }};
                aa = host {{ variant = "broken"; script = "echo 'x.c:3: error: planted'; exit 1"; }};
                "#
            ),
            &shared,
            &format!("echo >{file}; echo >$out"),
        );
        let output = run(fleet.path(), &["build-all", "--json", "--jobs", jobs]);
        let text = stderr(&output);
        assert_eq!(code(&output), 1, "{text}");
        let early =
            text.find("while other hosts are evaluated").unwrap_or_else(|| panic!("{text}"));
        assert!(early < text.find("3 variants: ").unwrap(), "{text}");
        assert_eq!(text.matches("broken failed").count(), 1, "{text}");
        assert_eq!(text.matches("shared: building").count(), 1, "{text}");
        let at = ["shared: ended", "late: building"].map(|line| text.find(line).unwrap());
        assert_eq!(at[0] < at[1], jobs == "1", "{text}");
        let report = json(&output);
        assert_eq!(report["variants"].as_array().unwrap().len(), 3);
        for (name, state) in [("shared", "built"), ("late", "built"), ("broken", "failed")] {
            assert_eq!(variant(&report, name)["state"], state, "{report}");
        }
        assert_eq!(variant(&report, "shared")["hosts"], serde_json::json!(["a", "b"]));
    }
}

#[test]
fn ctrl_c_ends_evaluators_and_builders() {
    let marker = format!("sleep 32{}", std::process::id());
    let fleet = slow_fleet(
        &format!(r#"a = host {{ variant = "early"; script = "{marker}"; }};"#),
        "echo >$out",
        "echo >$out",
    );
    let mut command = xtask(fleet.path());
    let (output, took) = interrupt_when(command.args(["build-all", "--json"]), |text| {
        text.contains("building early while") && !running(&marker).is_empty()
    });
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    assert_eq!(json(&output)["ok"], false);
    assert!(took < Duration::from_secs(15), "{took:?}");
    let folder = fleet.path().to_str().unwrap();
    let left = [running(&marker), running(folder)].concat();
    assert!(left.is_empty(), "still running: {left:#?}");
}

#[test]
fn a_system_without_a_builder_is_unsupported() {
    let fleet = fleet(r#"a = host { variant = "arm"; system = "riscv64-linux"; };"#);
    let output = run(fleet.path(), &["build-all", "--json"]);
    assert_eq!(code(&output), 1);
    assert_eq!(variant(&json(&output), "arm")["state"], "unsupported");
}

#[test]
fn control_characters_in_a_build_log_are_removed() {
    let fleet = fleet(
        r#"a = host { variant = "loud"; script = "printf '\\033[2J\\033]0;x\\007boo\\n'; exit 1"; };"#,
    );
    let output = run(fleet.path(), &["build-all"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("boo"), "{}", stderr(&output));
    assert!(!stderr(&output).contains('\x1b'), "{:?}", stderr(&output));
}

#[test]
fn ctrl_c_during_a_build_ends_the_builder_and_is_reported() {
    let marker = format!("sleep 31{}", std::process::id());
    let fleet = fleet(&format!(
        r#"
        a = host {{ variant = "quick"; }};
        b = host {{ variant = "slow"; script = "{marker}"; }};
        "#
    ));
    let mut command = xtask(fleet.path());
    command.args(["build-all", "--json", "--max-jobs", "2"]);
    let (output, took) = interrupt_when(&mut command, |text| {
        text.contains("quick: ended") && !running(&marker).is_empty()
    });
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted"), "{}", stderr(&output));
    // The builds that ended before are reported.
    let report = json(&output);
    assert_eq!(variant(&report, "quick")["state"], "built", "{report}");
    assert_eq!(variant(&report, "slow")["state"], "interrupted", "{report}");
    assert!(valid_in_store(variant(&report, "quick")["outPath"].as_str().unwrap()));
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(running(&marker).is_empty(), "a builder still runs");
}

#[test]
fn builds_that_failed_before_ctrl_c_are_reported_as_failed() {
    let fleet = fleet(
        r#"
        a = host { variant = "slow"; script = "while true; do echo x; sleep 0.2; done"; };
        b = host { variant = "zany"; script = "echo 'x.c:1: error: planted'; exit 1"; };
        "#,
    );
    let mut command = xtask(fleet.path());
    command.args(["build-all", "--json", "--max-jobs", "2"]);
    let (output, _) = interrupt_when(&mut command, |text| {
        text.contains("zany failed") && text.contains("slow: building")
    });
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(variant(&report, "zany")["state"], "failed", "{report}");
    assert_eq!(variant(&report, "slow")["state"], "interrupted", "{report}");
    let text = stderr(&output);
    assert!(text.contains("error: planted"), "{text}");
    assert!(!text.contains("interrupted by the user"), "{text}");
    assert!(text.contains("log b`"), "the log of what failed: {text}");
}

#[test]
fn quiet_prints_a_failure_once() {
    let script = "echo 'x.c:1: error: planted'; seq -f 'line %.0f' 100 130; exit 1";
    let fleet = fleet(&format!("a = host {{ script = \"{script}\"; }};"));
    let output = run(fleet.path(), &["build-all", "-q"]);
    let text = stderr(&output);
    assert_eq!(
        [text.matches("planted").count(), text.matches("line 130").count()],
        [1, 1],
        "{text}"
    );
    assert!(
        !text.contains("line 120"),
        "beside the first error, only a short tail of the log: {text}"
    );
}

/// For example, a mistake in a file that several hosts import.
#[test]
fn an_error_of_several_hosts_is_printed_once() {
    let fleet = fleet("inherit (let x = throw \"planted\"; in { a = x; b = x; }) a b;");
    for command in ["build-all", "list", "check", "matrix"] {
        let output = run(fleet.path(), &[command]);
        assert_eq!(code(&output), 1);
        let text = stderr(&output);
        assert_eq!(text.matches("planted").count(), 2, "once, and in the source line: {text}");
        assert!(text.contains("] a, b: planted"), "{text}");
    }
}

#[test]
fn ctrl_c_during_an_evaluation_ends_the_evaluators() {
    let fleet = fleet(
        r#"slow = host { variant = let l = builtins.genList (x: x) 30000; in
          toString (builtins.foldl' (a: _: builtins.foldl' (b: _: b + 1) a l) 0 l); };"#,
    );
    let folder = fleet.path().to_str().unwrap();
    let (output, took) = interrupt_when(xtask(fleet.path()).arg("check"), |_| {
        running(folder).iter().any(|line| line.contains("mark = "))
    });
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(running(folder).is_empty(), "an evaluator still runs");
}

/// The error of its host explains why no host selects the variant.
#[test]
fn an_unknown_variant_also_prints_evaluation_errors() {
    let fleet =
        fleet("a = host { variant = \"one\"; }; b = host { variant = throw \"planted\"; };");
    let output = run(fleet.path(), &["build-all", "--variant", "two"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains("selects the variant \"two\""), "{text}");
    assert!(text.contains("] b: planted"), "{text}");
}
