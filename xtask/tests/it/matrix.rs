//! `matrix` and `list`: the fleet as jobs of a workflow and as a table.

use expect_test::expect;

use crate::support::{code, fleet, json, run, stderr, stdout};

#[test]
fn matrix_prints_one_job_per_distinct_build_on_one_line() {
    let fleet = fleet(
        r#"
        a = host { variant = "x"; };
        b = host { variant = "y"; backends = [ "cuda" "rocm" ]; };
        c = host { variant = "x"; };
        "#,
    );
    let output = run(fleet.path(), &["matrix"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 1);
    let matrix = json(&output);
    let jobs = matrix["include"].as_array().unwrap();
    assert_eq!(jobs.len(), 2);
    assert_eq!((&jobs[0]["variant"], &jobs[0]["hosts"]), (&"x".into(), &"a c".into()));
    assert_eq!((&jobs[1]["backend"], &jobs[1]["hosts"]), (&"cuda+rocm".into(), &"b".into()));
    assert_eq!(jobs[0]["system"], "x86_64-linux");
    assert_eq!(jobs[0]["runner"], "ubuntu-24.04");
    assert!(jobs[0]["drvPath"].as_str().unwrap().ends_with(".drv"));
    // `--json` changes nothing; hosts can be selected.
    assert_eq!(stdout(&run(fleet.path(), &["matrix", "--json"])), stdout(&output));
    assert_eq!(json(&run(fleet.path(), &["matrix", "b"]))["include"].as_array().unwrap().len(), 1);
}

/// ggml and the tools, which all builds share, do not join jobs.
#[test]
fn builds_that_share_a_module_are_one_job() {
    let host = |name: &str, modules: &[&str]| {
        let part = |name: &&str| {
            format!(
                "{{ name = \"{name}\"; drvPath = \"/nix/store/{name}.drv\"; \
                 output = \"/nix/store/{name}\"; }}"
            )
        };
        let parts: Vec<String> =
            ["ggml", "llama-cpp-tools"].iter().chain(modules).map(part).collect();
        format!(
            "{name} = host {{ variant = \"of-{name}\"; manifest.parts = [ {} ]; }};",
            parts.join(" ")
        )
    };
    let hosts = [
        host("a", &["ggml-cpu-znver4"]),
        host("b", &["ggml-cpu-tigerlake", "ggml-cuda-sm75"]),
        host("c", &["ggml-cpu-haswell"]),
        // Shares a module with `a` and another with `b`.
        host("d", &["ggml-cpu-znver4", "ggml-cuda-sm75"]),
    ];
    let output = run(fleet(&hosts.concat()).path(), &["matrix"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let matrix = json(&output);
    let jobs: Vec<_> = matrix["include"].as_array().unwrap().iter().collect();
    let names: Vec<_> = jobs.iter().map(|job| &job["variant"]).collect();
    assert_eq!(names, ["of-a,of-b,of-d", "of-c"]);
    assert_eq!((&jobs[0]["hosts"], &jobs[1]["hosts"]), (&"a b d".into(), &"c".into()));
    assert_eq!(jobs[0]["drvPaths"].as_array().unwrap().len(), 3);
    assert_eq!(jobs[0]["drvPaths"][0], jobs[0]["drvPath"]);
}

#[test]
fn a_host_that_does_not_evaluate_is_reported_and_fails() {
    let fleet = fleet("a = host { }; b = host { variant = throw \"no such chip\"; };");
    let output = run(fleet.path(), &["matrix"]);
    assert_eq!(code(&output), 1);
    assert_eq!(json(&output)["include"].as_array().unwrap().len(), 1);
    assert!(stderr(&output).contains("b: no such chip"), "{}", stderr(&output));
}

#[test]
fn list_shows_the_newest_bench_and_the_revision() {
    let fleet =
        fleet("a = host { manifest = { rev = \"0123456789abcdef\"; build = 7; }; }; b = host { };");
    let line = |date: &str, speed: f64| {
        let result = |test: &str, speed: f64| {
            serde_json::json!({
                "test": test, "tokensPerSecond": speed, "stddev": 0.0, "samples": [speed],
            })
        };
        let record = serde_json::json!({
            "schema": 1, "run": date, "date": date, "host": "a", "target": "a", "variant": "cpu",
            "backends": ["cpu"], "microarch": "haswell", "storePath": "/nix/store/x",
            "llamaCpp": { "rev": null, "build": null },
            "model": { "name": "m", "params": 1, "quantization": "q4_0", "bytes": 1 },
            "cpu": "c", "device": "c", "flags": [],
            "results": [result("pp128", speed), result("tg32", 26.04)],
        });
        format!("{record}\n")
    };
    let text = line("2026-01-02T03:04:05Z", 90.0) + &line("2026-11-12T03:04:05Z", 93.26);
    fleet.write("bench/a.jsonl", &(text + "{\"date\": \"half a li"));
    let output = run(fleet.path(), &["list"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    expect![[r#"
        HOST  TARGET  BACKENDS  MICROARCH  LLAMA.CPP     IN STORE  LAST BENCH
        a     -       cpu       haswell    b7 012345678  no        pp128 93.3, tg32 26.0 (2026-11-12)
        b     -       cpu       haswell    -             no        -
    "#]].assert_eq(&stdout(&output));
    let report = json(&run(fleet.path(), &["list", "--json"]));
    assert_eq!(report["hosts"][0]["lastBench"]["date"], "2026-11-12T03:04:05Z");
}
