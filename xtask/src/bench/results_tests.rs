//! Tests with valid and damaged lines of a results file.

use crate::bench::results::*;

/// Returns a record of host `a`.
pub fn record(run: &str, test: &str, samples: &[f64]) -> Record {
    let mut line: Record = serde_json::from_str(
        r#"{"schema":1,"run":"","date":"2026-11-22T10:00:00Z","host":"a","target":"local",
        "variant":"cpu-znver5","backends":["cpu"],"microarch":"znver5",
        "storePath":"/nix/store/x","llamaCpp":{"rev":"5ad058a","build":2},
        "model":{"name":"m","params":1,"quantization":"q4_0","bytes":2},
        "cpu":"AMD EPYC","device":"AMD EPYC","threads":2,"flags":[],"results":[]}"#,
    )
    .unwrap();
    line.run = run.into();
    line.results = vec![TestResult::of(test, samples)];
    line
}

fn newest_first(text: &str) -> impl Iterator<Item = Record> {
    text.lines().rev().filter_map(|line| Record::parse(line).ok())
}

#[test]
fn only_the_requested_runs_are_read() {
    let mut read = 0;
    let endless = (0..).map(|number| record(&format!("r{}", number / 20), "pp128", &[1.0]));
    let runs = runs(endless.inspect(|_| read += 1)).take(2);
    assert_eq!(runs.map(|run| run.about.run).collect::<Vec<_>>(), ["r0", "r1"]);
    assert!(read <= (MAX_INTERLEAVED + 2) * 20, "{read}");
}

#[test]
fn lines_become_runs_and_invalid_lines_are_skipped() {
    let line = |run, test, samples: &[f64]| {
        serde_json::to_string(&record(run, test, samples)).unwrap() + "\n"
    };
    let half = line("r1", "pp128", &[1.0]);
    let text = [
        line("r1", "pp128", &[1.0, 2.0]),
        line("r1", "tg32", &[7.0]),
        line("r2", "pp128", &[3.0]),
        half[..half.len() / 2].to_owned() + "\n",
        "{\"schema\": 1}\n".to_owned(),
        line("r1", "pp128", &[4.0]).replace("\"schema\":1", "\"schema\":2"),
        line("r1", "pp128", &[1.5]).replace("\"round\":1,", ""),
    ]
    .concat();
    let runs: Vec<Run> = runs(newest_first(&text)).collect();
    // Sorted by their last lines.
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[0].samples.of("pp128"), [vec![1.0, 2.0], vec![1.5]]);
    assert_eq!(runs[0].samples.of("tg32"), [[7.0]]);
    assert_eq!(runs[1].samples.tests().count(), 1);
}

#[test]
fn a_damaged_line_has_an_error() {
    let good = serde_json::to_string(&record("r1", "pp128", &[3.5])).unwrap();
    let edited = |from: &str, to: &str| {
        assert!(good.contains(from), "{good}");
        good.replacen(from, to, 1)
    };
    let bad = [
        good[..good.len() / 2].to_owned(),
        "[]".to_owned(),
        edited("\"date\":\"2026", "\"date\":\"last"),
        edited("[3.5]", "[]"),
        edited("[3.5]", "[-1.0]"),
        edited("[3.5]", "[null]"),
        edited("[3.5]", "[1e300]"),
        edited("\"schema\":1", "\"schema\":2"),
        edited("\"test\":", "\"toast\":"),
    ];
    let why = bad.each_ref().map(|line| Record::parse(line).unwrap_err());
    assert!(why[7].contains("schema 2"), "{why:?}");
    let newer = r#"{"schema":2,"speeds":[]}"#;
    assert!(Record::parse(newer).unwrap_err().contains("schema 2"));
    assert!(Record::parse(&edited("{", "{\"novel\":1,")).is_ok());
}

#[test]
fn list_shows_every_test_of_the_newest_run() {
    let line =
        |run, test, speed| serde_json::to_string(&record(run, test, &[speed])).unwrap() + "\n";
    let text = [
        line("r1", "pp512", 1.0),
        line("r2", "pp128", 10.0),
        line("r2", "tg32", 5.0),
        line("r2", "pp128", 12.0),
        "{\"run\":\"r3\",\"re".to_owned(),
    ];
    let last = LastBench::of(newest_first(&text.concat())).unwrap();
    assert_eq!(last.to_string(), "pp128 12.0, tg32 5.00 (2026-11-22)");
    assert_eq!(LastBench::of(iter::empty()), None);
}

#[test]
fn comparable_records_differ_only_in_the_build() {
    let one = record("r1", "pp128", &[1.0]);
    let mut other = record("r2", "pp128", &[1.0]);
    other.store_path = StorePath::new("/nix/store/y");
    other.variant = VariantName::new("cpu-dispatch");
    other.llama_cpp.rev = None;
    assert!(one.comparable(&other));
    for change in [
        |r: &mut Record| r.flags.push("-fa".into()),
        |r: &mut Record| r.env.push("CUDA_VISIBLE_DEVICES=1".into()),
        |r: &mut Record| r.gpu = Some("llvmpipe".into()),
        |r: &mut Record| r.cpu = "another".into(),
        |r: &mut Record| r.model.quantization = None,
        |r: &mut Record| r.threads = Some(1),
    ] {
        let mut other = other.clone();
        change(&mut other);
        assert!(!one.comparable(&other));
    }
}
