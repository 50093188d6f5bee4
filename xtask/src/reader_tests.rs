//! Every reader of bytes that others wrote, on damaged and hostile versions of real inputs: it
//! ends, and with a value or an error. `PROPTEST_CASES=1000000` looks for longer.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::bench::baseline::Saved;
use crate::bench::llama_bench::Output;
use crate::bench::model::bytes_per_token::bytes_per_token;
use crate::bench::model::gguf;
use crate::bench::offload::Offload;
use crate::bench::output_check::rules as output_check;
use crate::bench::report::history::Histories;
use crate::bench::results::{self, Record};
use crate::bench::sweep;
use crate::bench::sweep::journal::Header;
use crate::bench::sweep::search::{Goal, Plan};
use crate::bench::target_state::TargetState;
use crate::build::{compile_error, estimates};
use crate::check::batch;
use crate::check::lock_rules;
use crate::fleet::build_numbers::BuildNumbers;
use crate::fleet::manifest::HostResult;
use crate::fleet::pinned_hosts::PinnedHostsFile;
use crate::hardware::cmake_line::CommandLine;
use crate::hardware::facts::Facts;
use crate::hardware::recommendation::Recommendation;
use crate::hardware::{facter, nvidia, probe_output};
use crate::new_host::machine::Machine;
use crate::nix::diagnosis::{diagnose, line_of_option, store_path_of_missing, with_testbed_advice};
use crate::nix::flake_ref;
use crate::nix::lockfile::LockFile;
use crate::nix::log;
use crate::nix::store::Missing;
use crate::pin::bisect::report::{By, Step};
use crate::pin::journal::{self, Entry};
use crate::system::json_lines;
use crate::target::model_file::FileState;
use crate::ui::sanitize::{hide_password_of, hide_passwords, sanitize, sanitize_painted};

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

/// One of these, with up to twelve changes.
fn damaged(seeds: impl IntoIterator<Item = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let seeds: Vec<Vec<u8>> = seeds.into_iter().collect();
    (select(seeds), vec(change(), 0..12)).prop_map(|(mut bytes, changes)| {
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

fn bytes_of(seed: &str) -> Vec<u8> {
    seed.as_bytes().to_vec()
}

/// probe.sh's answer with these sections.
fn answer(sections: &[(&str, &str)]) -> Vec<u8> {
    let all = [sections, &[("end", "")]].concat();
    let text: String =
        all.iter().map(|(name, text)| format!("\n#llamafleet {name}\n{text}")).collect();
    text.into_bytes()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

proptest! {
    #[test]
    fn a_log_of_nix(bytes in damaged([bytes_of(include_str!("../tests/fixtures/nix-log/local-2.34"))])) {
        let mut lines = log::Reader::new(1 << 10);
        for line in bytes.split(|byte| *byte == b'\n') {
            let _ = log::parse(line);
            let _ = lines.read(line);
        }
        let _ = (lines.finish(), diagnose(&text(&bytes), None), Missing::parse(&text(&bytes)));
    }

    #[test]
    fn output_of_llama_bench(bytes in damaged([bytes_of(BENCH)])) {
        let mut output = Output::default();
        for line in text(&bytes).lines() {
            let _ = output.line(line);
        }
        for result in &output.results {
            prop_assert!(result.samples.iter().all(|speed| speed.is_finite() && *speed > 0.0));
        }
    }

    #[test]
    fn a_lock_file(bytes in damaged([bytes_of(LOCK)])) {
        if let Ok(lock) = LockFile::parse(&text(&bytes)) {
            let _ = lock_rules::findings(&lock, &serde_json::Value::Null, "");
            let _ = (lock.inputs().len(), lock.llama_cpp_path(), lock.find("llama-cpp").is_ok());
        }
        let _ = flake_ref::local_path(&text(&bytes));
    }

    #[test]
    fn facts_of_a_machine(bytes in damaged(machines())) {
        let answer = text(&bytes);
        let all = [probe_output::read("x", &answer), facter::read("x", &answer), Facts::parse(&answer)];
        for facts in all.into_iter().flatten() {
            let recommended = Recommendation::new(&facts);
            prop_assert!(!recommended.nix().is_empty());
            prop_assert!(Facts::parse(&facts.to_json().unwrap()).is_ok());
        }
    }

    #[test]
    fn a_history_of_results(bytes in damaged([bytes_of(HISTORY)])) {
        let text = text(&bytes);
        let records: Vec<Record> = text.lines().filter_map(|line| Record::parse(line).ok()).collect();
        let _ = results::LastBench::of(records.iter().rev().cloned());
        let newest_first: Vec<_> = results::lines_by_run(records.iter().rev().cloned()).collect();
        prop_assert_eq!(newest_first.concat().len(), records.len());
        let mut histories = Histories::of(&[]);
        records.iter().for_each(|record| histories.add(record));
        let report = histories.report(vec![]);
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
    fn a_journal_and_pin_files(bytes in damaged([bytes_of(JOURNAL)])) {
        let text = text(&bytes);
        let entries: Vec<Entry> = json_lines::values(&text).collect();
        let _ = journal::updates_to(&entries, "llama-cpp", "b").len();
        let _ = PinnedHostsFile::read(&text).map(|file| file.findings(&["b"], &[]));
        let _ = BuildNumbers::read(&text);
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let _ = CommandLine::parse(&words);
    }

    #[test]
    fn a_journal_of_a_sweep(bytes in damaged([bytes_of(SWEEP)])) {
        let header: Header = serde_json::from_str(SWEEP.lines().next().unwrap()).unwrap();
        let Some(ran) = sweep::journal::read(&text(&bytes), &header) else { return Ok(()) };
        for budget in [None, Some(60.0)] {
            let points = header.points.len();
            let plan = Plan { points, rounds: 3, repetitions: 5, budget, seed: 1, goal: Goal::Both };
            let state = plan.state(&ran);
            prop_assert!(state.next.is_none_or(|next| next.point < points));
            prop_assert!(state.points.iter().flat_map(|it| &it.scores).all(|score| score.is_finite()));
            let best = sweep::report::best(&state);
            let _ = (sweep::report::within_noise(&state, best), sweep::report::frontier(&state));
        }
    }

    #[test]
    fn what_a_target_says(bytes in damaged(machines())) {
        let text = text(&bytes);
        let _ = (Machine::read(&text), TargetState::read(&text, nvidia::smi(&text)));
        let mut gpus = nvidia::smi(&text);
        nvidia::add_mig_slices(&mut gpus, &text);
        nvidia::jetson(&mut gpus, &text);
        let _ = (nvidia::smi_error(&text), FileState::parse(&text));
    }

    #[test]
    fn what_other_programs_of_llama_cpp_print(bytes in damaged([
        bytes_of(include_str!("../tests/fixtures/llama-bench/new-sm-tensor.stderr")),
        bytes_of(include_str!("../tests/fixtures/llama-bench/new.help")),
        ["#llamafleet prompt\n", include_str!("../tests/fixtures/llama-perplexity/new.right")].concat().into_bytes(),
        bytes_of(include_str!("hardware/instructions_test.txt")),
    ])) {
        let text = text(&bytes);
        let offload = Offload::parse(&text);
        let _ = offload.fallback(&["cuda".to_owned()], &[], "x");
        let _ = (sweep::grid::options(&text), output_check::divergences(&text));
        let _ = compile_error::first(text.lines().map(str::to_owned));
    }

    #[test]
    fn a_models_file(bytes in damaged([gguf::head(
        &[
            ("general.architecture".to_owned(), gguf::Value::Text("llama".to_owned())),
            ("llama.expert_count".to_owned(), gguf::Value::U32(8)),
            ("llama.expert_used_count".to_owned(), gguf::Value::U32(2)),
            ("tokenizer.ggml.tokens".to_owned(), gguf::Value::Texts(vec!["a".to_owned(), "bc".to_owned()])),
        ],
        &["token_embd.weight", "output.weight", "blk.0.ffn_up_exps.weight"].map(|name| gguf::Tensor {
            name: name.to_owned(), shape: vec![64], kind: 0, bytes: 256,
        }),
    )])) {
        let _ = bytes_per_token(&bytes, 4096);
    }

    #[test]
    fn files_of_our_own(bytes in damaged([bytes_of(OWN)])) {
        let text = text(&bytes);
        let history = estimates::History::parse(&text);
        prop_assert!(history.seconds("llama-cpp", "m").is_none_or(f64::is_finite));
        let _ = (history.compact(), Saved::parse(&text).map(|saved| saved.runs().count()));
        for line in text.lines() {
            let _ = (batch::read(line, "mark"), serde_json::from_str::<HostResult>(line));
            let _ = (serde_json::from_str::<Step>(line), By::parse(line), sweep::grid::parse(line));
        }
    }

    #[test]
    fn text_for_a_terminal(bytes in damaged([bytes_of("\x1b[31;1merror:\x1b[0m a\x1b]0;title\x07b\r\n")])) {
        let text = text(&bytes);
        let clean = sanitize(text.as_str());
        prop_assert!(!clean.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{clean:?}");
        let painted = sanitize_painted(&text);
        prop_assert_eq!(sanitize(&*painted), clean);
    }

    #[test]
    fn urls_with_passwords(bytes in damaged([bytes_of(URLS)])) {
        let text = text(&bytes);
        let shown = hide_passwords(text.as_str().into());
        prop_assert_eq!(&hide_passwords(shown.clone()), &shown);
        for url in text.split_whitespace() {
            let _ = hide_password_of(url, &text);
        }
    }

    #[test]
    fn an_error_of_an_evaluation(bytes in damaged([bytes_of(ERROR)])) {
        let text = text(&bytes);
        let mut finding = diagnose(&text, Some("/nix/store/x-source"));
        with_testbed_advice(&mut finding);
        prop_assert!(!finding.help.is_empty());
        let _ = (line_of_option(&finding.message, &text), store_path_of_missing(&text));
        let _ = LockFile::parse(LOCK).unwrap().named_in(&finding.message);
    }
}

fn machines() -> [Vec<u8>; 4] {
    [
        bytes_of(include_str!("../tests/fixtures/probe/none")),
        bytes_of(include_str!("../tests/fixtures/probe/facter-radeon-780m.json")),
        bytes_of(include_str!("../tests/fixtures/new-host/server/machine.txt")),
        answer(&[
            ("cpuinfo", CPUINFO),
            (
                "pci",
                "DRIVER=nvidia\nPCI_ID=10DE:1401\nPCI_SLOT_NAME=0000:01:00.0\nRENDER=renderD128\n\n",
            ),
            ("kfd", include_str!("../tests/fixtures/probe/vega20.kfd")),
            ("nvidia-smi", include_str!("../tests/fixtures/probe/nvidia-smi.csv")),
            ("vulkan", include_str!("../tests/fixtures/probe/radv.vulkaninfo")),
            ("meminfo", "MemTotal: 32000 kB\nSwapTotal: 10 kB\nSwapFree: 5 kB\n"),
            ("memory-limit", "limit=100\nused=200\n"),
        ]),
    ]
}

const SWEEP: &str = r#"{"schema":1,"host":"a","target":"a","storePath":"/nix/store/x","model":"m","modelBytes":1,"tests":["pp128"],"repetitions":5,"flags":[],"options":["-t"],"points":[["1"],["2"],["3"],["4"],["5"],["6"]],"halving":true}
{"point":0,"round":1,"seconds":1.5,"outcome":{"Ok":[{"test":"pp128","tokensPerSecond":2.0,"stddev":0.0,"samples":[2.0]}]}}
{"point":1,"round":1,"seconds":1.5,"outcome":{"Ok":[{"test":"pp128","tokensPerSecond":2.0,"stddev":0.0,"samples":[3.0,2.5]}]}}
{"point":2,"round":1,"seconds":1.5,"outcome":{"Err":"no"}}
{"point":3,"round":1,"seconds":1.5,"outcome":{"Ok":[{"test":"tg32","tokensPerSecond":2.0,"stddev":0.0,"samples":[3.0]}]}}
{"point":0,"round":2,"seconds":1.5,"outcome":{"Ok":[{"test":"pp128","tokensPerSecond":2.0,"stddev":0.0,"samples":[2.0]}]}}
"#;

const URLS: &str =
    "error: 'https://me:se:cret@host/x?a=b@c' ssh-ng://u:p@[::1]:22 git+ssh://git@h:a/b";

const ERROR: &str = "error:\n       … while evaluating the option `a.b.enable':\n         at /nix/store/x-source/hosts/a.nix:3:1:\n            2| a.b = {\n            3|   enable = 1;\n\n       error: The option `a.b.enable' does not exist. Definition values:\n       - In `/nix/store/x-source/hosts/a.nix': 1\n\n       Did you mean `a.c'?\nerror: path '/nix/store/y-source/nixpkgs/x.nix' does not exist\nerror: unable to download 'https://x.org/a'\n";

const OWN: &str = r#"{"name":"llama-cpp-cpu-0.0.1","seconds":12.5,"machine":"m","out":"/nix/store/x","at":1}
trace: mark begin "a"
trace: mark done {"host":"a","result":{"problems":["x"],"files":{}}}
{"problems":["x"],"files":{"backend":["f.nix"]}}
{"rev":"a","date":1,"build":2,"verdict":"bad","seconds":3.5,"why":"x"}
bench:5%
-t 1,2,4-8
{"schema":1,"records":[]}
"#;

const JOURNAL: &str = r#"{"time":1,"input":"llama-cpp","from":{"rev":"a","date":1,"build":2},"to":{"rev":"b"},"lock":{"nodes":{"root":{}},"root":"root"},"held":{"x":{"locked":{"rev":"a"},"since":"2026-01-01","failedWith":"b","failedAt":"build","reason":"r"}}}
{"holds":{"b":{"x":{"locked":{"rev":"a","type":"github"},"since":"2026-01-01","failedWith":"b9","failedAt":"build","reason":"x"}}}}
{"builds":{"a":1,"b":2}} -DA=1 -D B=2 -UGGML_* -U[a-z]? -DCMAKE_C_FLAGS=-O2
"#;

const HISTORY: &str = r#"{"schema":1,"run":"2026-11-22T01:02:03Z-7","date":"2026-11-22T01:02:03Z","round":1,"host":"a","target":"local","variant":"cpu-x","backends":["cpu"],"microarch":"haswell","storePath":"/nix/store/x","llamaCpp":{"rev":"aaaa","build":7},"model":{"name":"smoke","quantization":"q4_0"},"cpu":"X","device":"X","threads":2,"flags":[],"results":[{"test":"pp128","tokensPerSecond":1000.0,"stddev":1.0,"samples":[995.0,1000.0,500.0]}]}
"#;
