//! Tests with recorded output of both revisions' llama-bench, also cut or edited.

use crate::bench::llama_bench::*;

const OLD: &str = include_str!("../../tests/fixtures/llama-bench/old.jsonl");
const NEW: &str = include_str!("../../tests/fixtures/llama-bench/new.jsonl");

fn codes(output: &Output) -> Vec<&'static str> {
    output.problems.iter().map(|problem| problem.code).collect()
}

fn messages(output: &Output) -> Vec<&str> {
    output.problems.iter().map(|problem| problem.message.as_str()).collect()
}

#[test]
fn both_revisions_are_read() {
    for (revision, recorded) in [("old", OLD), ("new", NEW)] {
        let output = Output::parse(recorded);
        assert_eq!(output.problems, [], "{revision}");
        assert_eq!(output.other_line, None, "{revision}");
        let tests: Vec<_> = output.results.iter().map(|r| r.test.as_str()).collect();
        assert_eq!(tests, ["pp128", "tg32"], "{revision}");
        for result in &output.results {
            assert_eq!(result.samples.len(), 5, "{revision}");
            let mean = result.samples.iter().sum::<f64>() / 5.0;
            let off = (result.tokens_per_second / mean - 1.0).abs();
            assert!(off < 0.001, "{revision}: {result:?}");
        }
        let about = output.about.unwrap();
        assert_eq!(about.model_params, 29_368_832, "{revision}");
        assert_eq!(about.backends, ["CPU"], "{revision}");
        assert_eq!((about.gpu.as_deref(), about.device()), (None, "AMD EPYC"), "{revision}");
    }
}

#[test]
fn warnings_between_the_lines_are_set_aside() {
    let mixed = NEW.replace('\n', "\nggml_vulkan: warning: no device\n");
    let output = Output::parse(&mixed);
    assert_eq!(output.results.len(), 2);
    assert_eq!(output.other_line.as_deref(), Some("ggml_vulkan: warning: no device"));
    assert_eq!(output.problems, []);
}

#[test]
fn a_truncated_line_keeps_the_results_before() {
    let whole = OLD.lines().next().unwrap().len();
    for cut in [1, 17, 200, 700] {
        let output = Output::parse(&OLD[..=whole + cut]);
        assert_eq!(output.results, Output::parse(OLD).results[..1], "{cut}");
        let half: String = OLD[whole + 1..=whole + cut].trim().chars().take(120).collect();
        assert_eq!(codes(&output), ["truncated-line"], "{cut}");
        assert!(output.problems[0].message.contains(&half), "{output:?}");
    }
}

#[test]
fn a_missing_field_is_named_and_an_unknown_one_is_ignored() {
    let line = NEW.lines().next().unwrap();
    let output = Output::parse(&line.replace("\"n_prompt\"", "\"n_prompts\""));
    assert_eq!(codes(&output), ["unreadable-output"]);
    let message = &output.problems[0].message;
    assert!(
        message.contains("missing field `n_prompt`") && message.contains(&line[..60]),
        "{message}"
    );
    let output = Output::parse(&line.replacen('{', r#"{"of_2027": [{"a": "nan"}], "#, 1));
    assert_eq!((output.results.len(), output.problems.len()), (1, 0));
}

#[test]
fn a_value_that_is_not_a_number_is_reported() {
    let line = NEW.lines().next().unwrap();
    let average = Output::parse(NEW).results[0].tokens_per_second;
    for word in ["nan", "-nan", "inf", "-inf"] {
        let invalid =
            line.replace(&format!("\"avg_ts\": {average:.6}"), &format!("\"avg_ts\": {word}"));
        assert_ne!(invalid, line);
        let output = Output::parse(&invalid);
        assert_eq!(output.results, []);
        assert_eq!(messages(&output), ["llama-bench's avg_ts of pp128 is not a number"]);
    }
    let invalid = line.replace("\"samples_ts\": [ ", "\"samples_ts\": [ inf, ");
    let output = Output::parse(&invalid);
    assert_eq!(messages(&output), ["llama-bench's samples_ts of pp128 is not a number"]);
}

/// For example, because the clock went backwards or stood still.
#[test]
fn an_impossible_value_is_reported() {
    let line = NEW.lines().next().unwrap();
    for (from, to, field) in [
        ("\"samples_ts\": [ ", "\"samples_ts\": [ 0, ", "samples_ts"),
        ("\"samples_ts\": [ ", "\"samples_ts\": [ -3.5, ", "samples_ts"),
        ("\"samples_ts\": [ ", "\"samples_ts\": [ 1e308, ", "samples_ts"),
        ("\"avg_ts\": ", "\"avg_ts\": 1e308, \"old\": ", "avg_ts"),
        ("\"samples_ts\": [ ", "\"samples_ts\": [ ], \"old\": [ ", "samples_ts"),
        ("\"avg_ts\": ", "\"avg_ts\": 0.0, \"old\": ", "avg_ts"),
        ("\"stddev_ts\": ", "\"stddev_ts\": -1, \"old\": ", "stddev_ts"),
    ] {
        let invalid = line.replacen(from, to, 1);
        assert_ne!(invalid, line);
        let output = Output::parse(&invalid);
        assert_eq!(output.results, [], "{to}");
        let message = format!("llama-bench's {field} of pp128 is not a number");
        assert_eq!(messages(&output), [message.as_str()], "{to}");
    }
}

#[test]
fn output_is_read_up_to_a_limit() {
    let line = NEW.lines().next().unwrap();
    let long = line.replacen('{', &format!("{{\"of_2028\": \"{}\", ", "x".repeat(500_000)), 1);
    for (line, limit) in [(line, 1000), (&long, 33)] {
        let mut output = Output::default();
        let mut differing = BTreeSet::new();
        for _ in 0..3000 {
            if output.line(line).is_some() {
                let name = last_name(&output.results, &mut differing);
                assert_eq!(name.as_deref(), Some("pp128"));
            }
        }
        assert_eq!((output.results.len(), messages(&output)), (limit, vec![TOO_MANY]));
    }
}

#[test]
fn missing_samples_are_computed_from_the_times() {
    let line = NEW.lines().next().unwrap();
    let printed = Output::parse(line).results.remove(0);
    let times = line.replace("\"samples_ts\"", "\"old_ts\"");
    let computed = Output::parse(&times).results.remove(0);
    assert_eq!(computed.samples.len(), printed.samples.len());
    for (one, other) in computed.samples.iter().zip(&printed.samples) {
        assert!((one / other - 1.0).abs() < 1e-4, "{one} {other}");
    }
    let neither = times.replace("\"samples_ns\"", "\"old_ns\"");
    let [result] = &Output::parse(&neither).results[..] else { panic!() };
    assert_eq!(result.samples, [printed.tokens_per_second]);
}

#[test]
fn nan_in_a_string_is_unchanged() {
    let text = r#"{"a": "nan \" inf", "b": nan, "c": [inf, 1]}"#;
    assert_eq!(without_nan(text), r#"{"a": "nan \" inf", "b": null, "c": [null, 1]}"#);
}

#[test]
fn tests_are_named_as_llama_bench_names_them() {
    assert_eq!(test_name(128, 0, 0), "pp128");
    assert_eq!(test_name(0, 32, 512), "tg32 @ d512");
    assert_eq!(test_name(128, 32, 0), "pp128+tg32");
}

#[test]
fn progress_is_read_from_both_revisions() {
    for recorded in [
        include_str!("../../tests/fixtures/llama-bench/old.progress"),
        include_str!("../../tests/fixtures/llama-bench/new.progress"),
    ] {
        let seen: Vec<_> = recorded.lines().filter_map(progress).collect();
        assert_eq!(seen.len(), 14);
        assert_eq!(seen[13], "2/2: generation run 5/5");
    }
    assert_eq!(progress("llama_model_loader: loaded"), None);
}

#[test]
fn results_that_differ_in_a_setting_have_distinct_names() {
    let named = |text: &str| -> Vec<String> {
        let (results, mut differing) = (Output::parse(text).results, BTreeSet::new());
        let shown = (1..=results.len()).map(|count| last_name(&results[..count], &mut differing));
        assert_eq!(shown.flatten().count(), results.len());
        results.iter().map(|result| result.name(&differing)).collect()
    };
    assert_eq!(named(NEW), ["pp128", "tg32"]);
    let line = NEW.lines().next().unwrap();
    // Any field counts, also one that this revision does not have.
    for (field, one, other, shown) in [
        ("flash_attn", "-1", "1", ["-1", "1"]),
        ("n_gpu_layers", "0", "99", ["0", "99"]),
        ("type_k", "\"f16\"", "\"q8_0\"", ["f16", "q8_0"]),
        ("use_mmap", "false", "true", ["0", "1"]),
        ("of_2027", "[1, 2]", "null", ["[1,2]", "null"]),
        ("tensor_buft_overrides", "\"a=CPU\\u001b[31m\"", "\"none\"", ["a=CPU", "none"]),
    ] {
        let with = |value: &str| line.replacen('{', &format!("{{\"{field}\": {value}, "), 1);
        let without = line.replace(&format!("\"{field}\""), "\"x_ns\"");
        let with = |value: &str| with(value).replace(&line[1..], &without[1..]);
        let names = named(&format!("{}\n{}\n", with(one), with(other)));
        assert_eq!(names, shown.map(|value| format!("pp128 {field}={value}")));
    }
    // Measured values, times and token counts are not settings.
    let again = line
        .replace("\"test_time\": \"2026", "\"test_time\": \"2027")
        .replace("_ns\": 1", "_ns\": 2");
    assert_ne!(again, line);
    assert_eq!(named(&format!("{line}\n{again}\n")), ["pp128", "pp128"]);
    // A later round uses the settings that differed in the first.
    let mut differing = BTreeSet::from(["flash_attn".to_owned()]);
    let one = last_name(&Output::parse(line).results, &mut differing);
    assert_eq!(one.as_deref(), Some("pp128 flash_attn=-1"));
}

/// As ik_llama.cpp prints them.
#[test]
fn backend_switches_of_a_fork_are_read() {
    let line = NEW.lines().next().unwrap();
    let fork = r#"{"cuda": true, "vulkan": false, "rpc": "0", "blas": true, "test": "pp128", "#;
    let fork = line.replace("\"backends\"", "\"old\"").replacen('{', fork, 1);
    let output = Output::parse(&fork);
    assert_eq!((output.results.len(), output.problems), (1, vec![]));
    assert_eq!(output.about.unwrap().backends, ["cuda", "blas"]);
}
