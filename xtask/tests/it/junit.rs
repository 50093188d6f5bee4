//! `--junit`: the file is valid XML, agrees with the report, and is written however the run ends.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use crate::support::builders::{signal, spawn, wait_for};
use crate::support::{Scratch, code, fleet, json, nix, run, stderr, stdout, valid_in_store, xtask};

type Element = roxmltree::Node<'static, 'static>;

fn attribute(element: Element, name: &str) -> &'static str {
    element.attribute(name).unwrap_or_else(|| panic!("{element:?} has no {name}"))
}

fn children(element: Element) -> Vec<Element> {
    element.children().filter(Element::is_element).collect()
}

/// Returns the children with this name.
fn all(element: Element, name: &str) -> Vec<Element> {
    children(element).into_iter().filter(|child| child.has_tag_name(name)).collect()
}

/// Reads a file's only suite and checks its counts against its cases.
fn suite(file: &Path) -> Element {
    // Leaked so that elements have a static lifetime.
    let text: &'static str = std::fs::read_to_string(file).unwrap().leak();
    let document = Box::leak(Box::new(roxmltree::Document::parse(text).unwrap()));
    let root = document.root_element();
    assert!(root.has_tag_name("testsuites"), "{root:?}");
    let [suite] = children(root)[..] else { panic!("not one suite: {text}") };
    let inside = children(suite);
    let names: Vec<&str> = inside.iter().map(|child| child.tag_name().name()).collect();
    // Ant's schema requires this order.
    assert_eq!(names.first(), Some(&"properties"));
    assert_eq!(names[names.len() - 2..], ["system-out", "system-err"]);
    let cases = all(suite, "testcase");
    let count = |name: &str| {
        let has = |case: &&Element| !all(**case, name).is_empty();
        cases.iter().filter(has).count().to_string()
    };
    assert_eq!(attribute(suite, "tests"), (names.len() - 3).to_string());
    assert_eq!(attribute(suite, "failures"), count("failure"));
    assert_eq!(attribute(suite, "errors"), count("error"));
    assert_eq!(attribute(suite, "skipped"), count("skipped"));
    assert!(attribute(suite, "time").parse::<f64>().unwrap() >= 0.0);
    assert_eq!(attribute(suite, "timestamp").len(), "2026-11-22T19:30:05".len());
    suite
}

fn case(suite: Element, name: &str) -> Element {
    let cases = all(suite, "testcase").into_iter();
    let cases: Vec<Element> = cases.filter(|case| attribute(*case, "name") == name).collect();
    let [case] = cases[..] else { panic!("{name}: {cases:?}") };
    assert!(attribute(case, "time").parse::<f64>().unwrap() >= 0.0);
    assert!(children(case).len() <= 1, "{case:?}");
    case
}

/// Returns the name of a case's only child element, or `passed`.
fn verdict(case: Element) -> &'static str {
    children(case).first().map_or("passed", |child| child.tag_name().name())
}

fn with_junit(fleet: &Scratch, args: &[&str], file: &Path) -> Output {
    xtask(fleet.path()).args(args).arg("--junit").arg(file).output().unwrap()
}

const HOSTILE: &str = r#"
    good = host { variant = "good"; };
    twin = host { variant = "good"; };
    bad = host { variant = "bad"; script = "printf 'x.c:3: error: a\\033[1m <b> ]]> & \\001\\010 \"\\n'; for i in $(seq 40); do echo [$i]; done; exit 1"; };
    arm = host { variant = "arm"; system = "riscv64-linux"; };
    "a&<\"b" = throw "gone: <x> & \"y\"";
"#;

#[test]
fn every_variant_and_every_failed_host_is_a_test_case() {
    let fleet = fleet(HOSTILE);
    let reports = Scratch::new();
    let file = reports.path().join("made/for it/report.xml");
    let output = with_junit(&fleet, &["build-all", "--json"], &file);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let suite = suite(&file);
    assert_eq!(attribute(suite, "name"), "build-all");
    assert_eq!(all(suite, "testcase").len(), 4);
    assert_eq!(verdict(case(suite, "good")), "passed");
    assert_eq!(verdict(case(suite, "arm")), "skipped");
    let gone = case(suite, "a&<\"b");
    assert_eq!(verdict(gone), "error");
    assert!(attribute(children(gone)[0], "message").contains("gone: <x> & \"y\""), "{gone:?}");

    let bad = case(suite, "bad");
    assert_eq!(verdict(bad), "failure");
    let (failure, report) = (children(bad)[0], json(&output));
    assert_eq!(attribute(failure, "type"), "failed");
    // The message has the first error although forty lines follow it.
    let message = "the build failed for bad: x.c:3: error: a <b> ]]> & ";
    assert!(attribute(failure, "message").starts_with(message), "{failure:?}");
    let text = failure.text().unwrap();
    assert!(text.contains("[40]") && !text.contains("x.c:3"), "{text}");
    let variants = report["variants"].as_array().unwrap();
    let bad = variants.iter().find(|variant| variant["variant"] == "bad").unwrap();
    assert!(text.contains(bad["log"].as_str().unwrap()), "{text}");
    assert!(bad["firstError"].as_str().unwrap().starts_with("x.c:3: error: a"));
    // A passed variant is listed with its hosts.
    let out = all(suite, "system-out")[0].text().unwrap();
    assert!(out.contains("good: built, for good, twin /nix/store/"), "{out}");
}

#[test]
fn check_reports_every_host_as_a_test_case() {
    let fleet = fleet(
        r#"
        good = host { };
        flags = host { flags = [ "-DGGML_NATIVE=ON" ]; };
        gone = throw "gone";
        other = { config = { }; options = { }; };
        "#,
    );
    let file = fleet.path().join("report.xml");
    let output = with_junit(&fleet, &["check"], &file);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let suite = suite(&file);
    let names = ["fleet", "good", "flags", "gone", "other"];
    let verdicts = names.map(|name| verdict(case(suite, name)));
    assert_eq!(verdicts[1..], ["passed", "failure", "error", "skipped"], "{suite:?}");
    assert_eq!(all(suite, "testcase").len(), names.len());
    // A host that is named on the command line must have a variant.
    let output = with_junit(&fleet, &["check", "good", "other"], &file);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_eq!(verdict(case(self::suite(&file), "other")), "failure");
}

#[test]
fn an_unwritable_report_path_is_rejected_before_the_build() {
    let fleet = fleet(r#"a = host { };"#);
    fleet.write("file", "");
    let folder = fleet.path().to_owned();
    for file in [fleet.path().join("file/report.xml"), folder, "/dev/null".into()] {
        let output = with_junit(&fleet, &["build-all"], &file);
        assert_eq!(code(&output), 2);
        let message = stderr(&output);
        assert!(
            message.contains("--junit") && message.contains(file.to_str().unwrap()),
            "{message}"
        );
        assert!(!message.contains("building"), "{message}");
    }
    let report = json(&run(fleet.path(), &["build-all", "--json"]));
    assert_eq!(report["variants"][0]["state"], "built", "built too early: {report}");
}

#[test]
fn a_broken_flake_replaces_the_old_report_with_an_error() {
    let fleet = fleet("a = throw \"x\"; }; }; }\n<broken>");
    fleet.write("report.xml", "<testsuites>all was well</testsuites>");
    let file = fleet.path().join("report.xml");
    for command in ["build-all", "check"] {
        let output = with_junit(&fleet, &[command], &file);
        assert_eq!(code(&output), 2);
        let suite = suite(&file);
        assert_eq!(verdict(case(suite, command)), "error");
    }
}

#[test]
fn an_interrupted_build_still_writes_its_reports() {
    let fleet = fleet(
        r#"a = host { variant = "quick"; }; b = host { variant = "slow"; script = "sleep 97"; };"#,
    );
    let files = Scratch::new();
    let (junit, summary) = (files.path().join("report.xml"), files.path().join("summary"));
    let mut command = xtask(fleet.path());
    command.args(["build-all", "--max-jobs", "2", "--json", "--junit"]).arg(&junit);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
    let child = spawn(&mut command);
    let out = quick_output(&fleet);
    assert!(wait_for(Duration::from_secs(120), || valid_in_store(&out)), "{out} is not built");
    signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    let suite = suite(&junit);
    assert_eq!(verdict(case(suite, "quick")), "passed");
    assert_eq!(verdict(case(suite, "slow")), "skipped");
    let summary = std::fs::read_to_string(summary).unwrap();
    assert!(summary.contains("| slow | interrupted | b |"), "{summary}");
    assert!(summary.contains("1 of 2 variants in the store"), "{summary}");
}

/// Evaluates the output path of host `a`.
fn quick_output(fleet: &Scratch) -> String {
    let output = nix(["eval", "--raw"])
        .current_dir(fleet.path())
        .arg("path:.#nixosConfigurations.a.config.programs.llama-cpp.package.outPath")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}
