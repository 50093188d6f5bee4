//! One run of llama-bench: its subject, its arguments, and the rules that turn its exit status and
//! output into findings.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::bench::comparison::distinct;
use crate::bench::llama_bench::{About, Output};
use crate::findings::finding::Finding;
use crate::fleet::manifest::{Manifest, Selection};
use crate::fleet::names::{HostName, VariantName};
use crate::hardware::cpu::Cpu;
use crate::hardware::cpu_rules::{feature_names, missing, set_microarch};
use crate::hardware::microarch::Table;
use crate::nix::names::{DrvPath, StorePath};

/// Findings that prevent a measurement, as an error.
#[derive(Debug)]
pub struct Refusal(pub Vec<Finding>);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

impl std::error::Error for Refusal {}

/// The build that is measured.
#[derive(Debug, Clone)]
pub struct Subject {
    pub host: HostName,
    pub manifest: Manifest,
    /// None for a build that is already on the target and not from this flake.
    pub drv_path: Option<DrvPath>,
    pub store_path: StorePath,
}

impl Subject {
    pub fn new(host: HostName, selection: Selection) -> Self {
        let Selection { manifest, drv_path, out_path, .. } = selection;
        Self { host, manifest, drv_path: Some(drv_path), store_path: out_path }
    }

    /// Returns the llama.cpp in a folder of the target, or with this `bin/llama-bench`. It is
    /// measured with the options of `like`.
    pub fn on_target(folder: &str, like: &Self) -> Self {
        let manifest = Manifest {
            variant: VariantName::new(folder),
            rev: None,
            build: None,
            ..like.manifest.clone()
        };
        let store_path = StorePath::new(folder.trim_end_matches("/bin/llama-bench"));
        Self { host: like.host.clone(), manifest, drv_path: None, store_path }
    }

    /// Returns the path of its llama-bench in the store.
    pub fn llama_bench(&self) -> String {
        format!("{}/bin/llama-bench", self.store_path)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    pub name: String,
    pub params: Option<u64>,
    pub quantization: Option<String>,
    pub bytes: Option<u64>,
}

impl Model {
    /// Adds the model's size where only llama-bench could determine it.
    pub fn completed(self, about: &About) -> Self {
        Self {
            params: self.params.or(Some(about.model_params)),
            bytes: self.bytes.or(Some(about.model_bytes)),
            ..self
        }
    }
}

/// How llama-bench is called.
#[derive(Debug, Clone)]
pub struct Params {
    pub prompt: u32,
    pub generate: u32,
    /// Repetitions of each test in one process.
    pub repetitions: u32,
    /// Number of processes, one after another.
    pub rounds: u32,
    /// Time after which eight rounds are enough.
    pub time_budget: std::time::Duration,
    pub timeout: std::time::Duration,
    /// Arguments of the host and then of the user; the last of an option wins.
    pub args: Vec<String>,
}

impl Params {
    /// Returns the whole argument vector.
    pub fn argv(&self, llama_bench: &str, model: &str, backends: &[String]) -> Vec<String> {
        let mut argv: Vec<String> =
            [llama_bench, "-m", model, "-o", "jsonl", "--progress"].map(str::to_owned).to_vec();
        for (option, number) in
            [("-p", self.prompt), ("-n", self.generate), ("-r", self.repetitions)]
        {
            argv.extend([option.to_owned(), number.to_string()]);
        }
        argv.extend(self.flags(backends));
        argv
    }

    /// Returns the arguments that affect the speed of a test.
    pub fn flags(&self, backends: &[String]) -> Vec<String> {
        let is_layers = |arg: &String| arg == "-ngl" || arg == "--n-gpu-layers";
        // With -ngl twice, llama-bench would measure with each value.
        if self.args.iter().any(is_layers) || backends.iter().all(|backend| backend == "cpu") {
            return self.args.clone();
        }
        [&["-ngl", "99"].map(str::to_owned)[..], &self.args].concat()
    }

    /// Returns the output format that the arguments select instead of jsonl.
    pub fn output_format(&self) -> Option<&str> {
        let is_output = |arg: &String| arg == "-o" || arg == "--output";
        let at = self.args.iter().rposition(is_output)?;
        self.args.get(at + 1).map(String::as_str)
    }

    /// Returns the tests whose results are required.
    pub fn tests(&self) -> Vec<String> {
        let test = |kind: &str, tokens: u32| (tokens > 0).then(|| format!("{kind}{tokens}"));
        [test("pp", self.prompt), test("tg", self.generate)].into_iter().flatten().collect()
    }
}

/// Parses `NAME=VALUE` of `--env`, with a name as POSIX allows it.
///
/// # Errors
/// A sentence: why it is invalid.
pub fn variable(text: &str) -> Result<String, String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let rest = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(first) || !name.chars().all(rest) {
        return Err(format!("invalid variable name {name:?}: use letters, digits and `_`"));
    }
    match value.chars().any(char::is_control) {
        true => Err(format!("the value of {name} contains a control character")),
        false => Ok(text.to_owned()),
    }
}

/// Returns the argument vector with these variables set by POSIX's `env`, which also works through
/// SSH.
pub fn with_env<'a>(env: &'a [String], argv: &[&'a str]) -> Vec<&'a str> {
    let variables = env.iter().map(String::as_str);
    let program = (!env.is_empty()).then_some("env").into_iter();
    program.chain(variables).chain(argv.iter().copied()).collect()
}

/// How llama-bench ended, locally or through SSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Termination {
    Status(i32),
    Signal(i32),
    TimedOut,
    Interrupted,
}

/// A finished run of llama-bench.
#[derive(Debug)]
pub struct Run {
    pub termination: Termination,
    pub output: Output,
    /// The last lines of stderr, without progress lines.
    pub stderr: String,
}

/// The context in which a run is judged.
pub struct Expected<'a> {
    pub manifest: &'a Manifest,
    pub params: &'a Params,
    pub target: &'a str,
    pub cpu: &'a Cpu,
}

/// Returns everything that is wrong with a run. The results before a failure stay in its output.
pub fn judge(run: &Run, expected: &Expected) -> Vec<Finding> {
    let mut findings: Vec<Finding> = bad_termination(run, expected).into_iter().collect();
    findings.extend(run.output.problems.iter().cloned());
    findings.extend(other_format(run, expected));
    let is_present = |test: &String| {
        // pp128 is not pp1280.
        let is_end = |rest: &str| !rest.starts_with(char::is_numeric);
        let mut results = run.output.results.iter();
        results.any(|result| result.test.strip_prefix(test.as_str()).is_some_and(is_end))
    };
    if findings.is_empty() && run.output.results.is_empty() {
        let last = run.output.other_line.as_ref().map(|line| format!("; its last line: {line}"));
        let last = last.unwrap_or_default();
        findings.push(Finding::error(
            "no-output",
            format!("llama-bench exited successfully but printed no results{last}"),
            "check that it is llama-bench and supports `-o jsonl`: run it by hand with -v",
        ));
    } else if findings.is_empty() {
        let tests = expected.params.tests();
        findings.extend(tests.iter().filter(|test| !is_present(test)).map(|test| {
            Finding::error(
                "missing-test",
                format!("llama-bench exited successfully, but {test} is missing from its results"),
                "an argument after `--` or in programs.llama-cpp.bench.args removed it",
            )
        }));
    }
    findings.extend(run.output.about.as_ref().and_then(|about| fallback(about, expected)));
    findings
}

fn bad_termination(run: &Run, expected: &Expected) -> Option<Finding> {
    const SIGILL: i32 = 4;
    const SIGKILL: i32 = 9;
    let measured = match run.output.results.len() {
        0 => "before it measured anything".to_owned(),
        n => format!("after {n} of {} tests", expected.params.tests().len().max(n)),
    };
    let (target, error) = (expected.target, error_of(run));
    let has = |words: &[&str]| words.iter().any(|word| error.contains(word));
    let (code, message, help) = match run.termination {
        Termination::Status(0) => return None,
        Termination::Signal(SIGILL) => return Some(illegal_instruction(expected, &measured)),
        Termination::Signal(SIGKILL) => (
            "out-of-memory",
            format!(
                "llama-bench was killed {measured}, most likely because {target} ran out of memory"
            ),
            "see `journalctl -k -g oom` there; free memory, or choose a smaller model",
        ),
        Termination::Status(1..=125) | Termination::Signal(_)
            if has(&["out of memory", "OutOfDeviceMemory", "to allocate "]) =>
        {
            (
                "out-of-memory",
                format!("llama-bench ran out of memory {measured}{error}"),
                "free memory, choose a smaller model, or offload fewer layers (-ngl)",
            )
        }
        Termination::Signal(signal) => (
            "crashed",
            format!("llama-bench crashed {measured} (signal {signal}){error}"),
            "run it by hand; if an update brought this, `cargo xtask bisect` finds the commit",
        ),
        // The dynamic linker also exits with 127.
        Termination::Status(127) if !has(&["shared librar", "symbol lookup"]) => (
            "no-llama-bench",
            format!("llama-bench was not found on {target}{error}"),
            "the package must contain bin/llama-bench; check that the target uses the store it \
             was copied to",
        ),
        Termination::Status(126) => (
            "not-executable",
            format!("{target} cannot execute this llama-bench{error}"),
            "check that the variant is built for the target's architecture",
        ),
        Termination::Status(status) => (
            "bench-failed",
            format!("llama-bench failed {measured} (exit status {status}){error}"),
            "run with -v for all of llama-bench's output",
        ),
        Termination::TimedOut => (
            "timeout",
            format!(
                "llama-bench timed out {measured} (after {} s)",
                expected.params.timeout.as_secs()
            ),
            "raise --timeout, or lower --repetitions, --prompt or --params",
        ),
        Termination::Interrupted => {
            ("interrupted", format!("interrupted {measured}"), "run it again")
        }
    };
    Some(Finding::error(code, message, help))
}

fn illegal_instruction(Expected { manifest, cpu, .. }: &Expected, measured: &str) -> Finding {
    let missing: BTreeSet<String> = missing(manifest, cpu).concat().into_iter().collect();
    let detected = Table::embedded().detect(cpu).map(|detected| detected.name);
    let cause = match detected {
        _ if !missing.is_empty() => {
            let missing = feature_names(&missing);
            format!(": the variant uses instructions that this CPU lacks ({missing})")
        }
        Some(_) => ", although this CPU has all that the variant's CPU options name".to_owned(),
        None => String::new(),
    };
    let help = match detected {
        Some(_) if missing.is_empty() => {
            "look for -march or -mcpu in extraCmakeFlags and NIX_CFLAGS_COMPILE; if there is none, \
             `coredumpctl gdb` there shows the instruction, and a smaller microarch avoids it"
                .to_owned()
        }
        detected => set_microarch(detected),
    };
    let message = format!("llama-bench crashed with an illegal instruction {measured}{cause}");
    Finding::error("illegal-instruction", message, help)
}

/// Reports results in a format other than jsonl.
fn other_format(run: &Run, expected: &Expected) -> Option<Finding> {
    let by_args = expected.params.output_format().filter(|format| *format != "jsonl");
    let format = run.output.format.or(by_args).filter(|_| run.output.results.is_empty())?;
    let help = match by_args {
        Some(set) => format!(
            "remove `-o {set}` from the arguments after `--` or from \
             programs.llama-cpp.bench.args: bench reads the output itself"
        ),
        None => "this llama-bench ignores `-o jsonl`: check that the package's bin/llama-bench is \
                 llama.cpp's own and not older than August 2025"
            .to_owned(),
    };
    let message = format!("llama-bench's output format was set to {format}, and bench reads jsonl");
    Some(Finding::error("output-format", message, help))
}

/// Returns what stderr tells about a failure, after a colon: its first two errors and its last one,
/// or else its last line. What follows an assertion is a backtrace.
fn error_of(run: &Run) -> String {
    let lines = || run.stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let errors: Vec<&str> = distinct(lines().filter(|line| is_error(line)));
    let shown: Vec<&str> = match &errors[..] {
        [] => lines().next_back().into_iter().collect(),
        [first, second, .., last] => vec![first, second, last],
        few => few.to_vec(),
    };
    if shown.is_empty() { String::new() } else { format!(": {}", shown.join("; ")) }
}

/// Whether llama.cpp, a driver or the dynamic linker reports an error in a line of stderr.
pub fn is_error(line: &str) -> bool {
    const WORDS: [&str; 8] = [
        "error",
        "ggml_assert",
        "failed",
        "out of memory",
        "unable to ",
        " fault ",
        "terminate called",
        "what():",
    ];
    // `llama_model_loader: - kv 7: tokenizer.chat_template str = …` is any text of the model.
    let lower = line.to_lowercase();
    !lower.contains("warning")
        && !lower.contains(": - kv ")
        && WORDS.iter().any(|word| lower.contains(word))
}

/// Reports a run on other backends than the variant's: a GPU build that finds no GPU silently runs
/// on the CPU.
fn fallback(about: &About, expected: &Expected) -> Option<Finding> {
    let ran = |wanted: &str| about.backends.iter().any(|name| name.eq_ignore_ascii_case(wanted));
    let backends = &expected.manifest.backends;
    let absent: Vec<&str> = backends.iter().map(String::as_str).filter(|b| !ran(b)).collect();
    let got = about.backends.join(", ");
    if backends.iter().all(|backend| backend == "cpu") {
        // A build with BLAS lists that instead of the CPU.
        return (!absent.is_empty()).then(|| {
            Finding::warning(
                "other-backend",
                format!("a CPU variant was measured, but llama-bench ran with {got}"),
                "disable BLAS (useBlas = false): it replaces the tuned kernels",
            )
        });
    }
    let gpus: Vec<&str> = absent.into_iter().filter(|backend| *backend != "cpu").collect();
    if gpus.is_empty() && about.gpu.is_some() {
        return None;
    }
    let lost = if gpus.is_empty() { "a GPU".to_owned() } else { gpus.join(" and ") };
    let gpu = about.gpu.as_deref().unwrap_or("no GPU");
    Some(Finding::error(
        "device-fallback",
        format!(
            "{lost} was expected, but llama-bench ran with {got} on {gpu}: these figures are not \
             the GPU's"
        ),
        format!(
            "check that {}'s driver is loaded and visible (nvidia-smi, rocminfo or vulkaninfo), \
             and that its library is in /run/opengl-driver",
            expected.target
        ),
    ))
}

#[cfg(test)]
#[path = "measurement_tests.rs"]
mod tests;
