//! Every reader of bytes that others wrote, on damaged and hostile versions of real inputs: it
//! ends, and with a value or an error. `PROPTEST_CASES=1000000` looks for longer.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::bench::llama_bench::Output;
use crate::bench::report::history::Report;
use crate::bench::results;
use crate::check::lock_rules;
use crate::fleet::build_numbers::BuildNumbers;
use crate::fleet::pinned_hosts::PinnedHostsFile;
use crate::hardware::cmake_line::CommandLine;
use crate::hardware::facts::Facts;
use crate::hardware::microarch::Table;
use crate::hardware::recommendation::Recommendation;
use crate::hardware::{facter, probe_output};
use crate::nix::diagnosis::diagnose;
use crate::nix::flake_ref;
use crate::nix::lockfile::LockFile;
use crate::nix::log;
use crate::nix::store::Missing;
use crate::pin::journal::{self, Entry};
use crate::system::json_lines;
use crate::ui::sanitize::{sanitize, sanitize_painted};

const LOCK: &str = include_str!("../../flake.lock");
const BENCH: &str = include_str!("../tests/fixtures/llama-bench/new.jsonl");
const CPUINFO: &str = include_str!("../tests/fixtures/probe/zen4.cpuinfo");

/// One change of a text: a piece of it is replaced by another piece, or by what readers stumble
/// over.
fn change() -> impl Strategy<Value = (Index, usize, Option<(Index, usize)>, Vec<u8>)> {
    let odd = prop_oneof![
        Just(b"1e999".to_vec()),
        Just(b"-9223372036854775809".to_vec()),
        Just(b"null".to_vec()),
        Just(b"[[[[[[[[[[".to_vec()),
        Just(b"\"\xed\xa0\x80\\ud800".to_vec()),
        Just(b"\x1b]8;;\x07\xe2\x80\xae%zz".to_vec()),
        Just(b"\n\0\r".to_vec()),
        vec(any::<u8>(), 0..8),
    ];
    (any::<Index>(), 0_usize..40, proptest::option::of((any::<Index>(), 0_usize..400)), odd)
}

fn damaged(seed: &'static str) -> impl Strategy<Value = Vec<u8>> {
    vec(change(), 0..12).prop_map(move |changes| {
        let mut bytes = seed.as_bytes().to_vec();
        for (at, length, copy, odd) in changes {
            let start = at.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            let piece = match copy {
                Some((from, length)) => {
                    let from = from.index(bytes.len() + 1);
                    bytes[from..(from + length).min(bytes.len())].to_vec()
                }
                None => odd,
            };
            bytes.splice(start..end, piece);
        }
        bytes
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

proptest! {
    #[test]
    fn a_log_of_nix(bytes in damaged(include_str!("../tests/fixtures/nix-log/local-2.34"))) {
        let mut lines = log::Reader::new(1 << 10);
        for line in bytes.split(|byte| *byte == b'\n') {
            let _ = log::parse(line);
            let _ = lines.read(line);
        }
        let _ = (lines.finish(), diagnose(&text(&bytes), None), Missing::parse(&text(&bytes)));
    }

    #[test]
    fn output_of_llama_bench(bytes in damaged(BENCH)) {
        let mut output = Output::default();
        for line in text(&bytes).lines() {
            let _ = output.line(line);
        }
        for result in &output.results {
            prop_assert!(result.samples.iter().all(|speed| speed.is_finite() && *speed > 0.0));
        }
    }

    #[test]
    fn a_lock_file(bytes in damaged(LOCK)) {
        if let Ok(lock) = LockFile::parse(&text(&bytes)) {
            let _ = lock_rules::judge(&lock, &serde_json::Value::Null, "");
            let _ = (lock.inputs().len(), lock.llama_cpp_path(), lock.find("llama-cpp").is_ok());
        }
        let _ = flake_ref::local_path(&text(&bytes));
    }

    #[test]
    fn facts_of_a_machine(bytes in damaged(CPUINFO)) {
        let table = Table::embedded().unwrap();
        let answer = text(&bytes);
        let all = [probe_output::read("x", &answer, &table), facter::read("x", &answer, &table), Facts::parse(&answer)];
        for facts in all.into_iter().flatten() {
            let recommended = Recommendation::new(&facts, &table);
            prop_assert!(!recommended.nix().is_empty());
            prop_assert!(Facts::parse(&facts.to_json().unwrap()).is_ok());
        }
    }

    #[test]
    fn a_history_of_results(bytes in damaged(HISTORY)) {
        let text = text(&bytes);
        let _ = (results::runs(&text), results::LastBench::of(&text));
        let report = Report::new(results::records(&text).collect(), vec![], &[]);
        // No figure overflows: JSON has no number for that.
        let json = serde_json::to_value(&report).unwrap();
        for series in json["hosts"].as_array().unwrap().iter().flat_map(|host| {
            host["settings"].as_array().unwrap().iter().flat_map(|it| it["series"].as_array().unwrap())
        }) {
            for point in series["points"].as_array().unwrap() {
                prop_assert!(point["tokensPerSecond"].is_f64(), "{point}");
            }
        }
    }

    #[test]
    fn a_journal_and_pin_files(bytes in damaged(JOURNAL)) {
        let text = text(&bytes);
        let entries: Vec<Entry> = json_lines::values(&text).collect();
        let _ = journal::way_back(&entries, "llama-cpp", "b").len();
        let _ = PinnedHostsFile::read(&text).map(|file| file.judge(&["b"], &[]));
        let _ = BuildNumbers::read(&text);
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let _ = CommandLine::parse(&words);
    }

    #[test]
    fn text_for_a_terminal(bytes in damaged("\x1b[31;1merror:\x1b[0m a\x1b]0;title\x07b\r\n")) {
        let text = text(&bytes);
        let clean = sanitize(text.as_str());
        prop_assert!(!clean.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{clean:?}");
        let painted = sanitize_painted(&text);
        prop_assert_eq!(sanitize(&*painted), clean);
    }
}

const JOURNAL: &str = r#"{"time":1,"input":"llama-cpp","from":{"rev":"a","date":1,"build":2},"to":{"rev":"b"},"lock":{"nodes":{"root":{}},"root":"root"},"held":{"x":{"locked":{"rev":"a"},"since":"2026-01-01","failedWith":"b","failedAt":"build","reason":"r"}}}
{"holds":{"b":{"x":{"locked":{"rev":"a","type":"github"},"since":"2026-01-01","failedWith":"b9","failedAt":"build","reason":"x"}}}}
{"builds":{"a":1,"b":2}} -DA=1 -D B=2 -UGGML_* -U[a-z]? -DCMAKE_C_FLAGS=-O2
"#;

const HISTORY: &str = r#"{"schema":1,"run":"2026-11-22T01:02:03Z-7","date":"2026-11-22T01:02:03Z","round":1,"host":"a","target":"local","variant":"cpu-x","backends":["cpu"],"microarch":"haswell","storePath":"/nix/store/x","llamaCpp":{"rev":"aaaa","build":7},"model":{"name":"smoke","quantization":"q4_0"},"cpu":"X","device":"X","threads":2,"flags":[],"results":[{"test":"pp128","tokensPerSecond":1000.0,"stddev":1.0,"samples":[995.0,1000.0,500.0]}]}
"#;
