//! `test`: runs every check of the project, one after another, even if one fails.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::dev::args::TestArgs;
use crate::dev::setup;
use crate::findings::outcome::Outcome;
use crate::fleet::args::Global;
use crate::fleet::context::Context;
use crate::nix::flake;
use crate::system::process::{self, Exit, Invocation};
use crate::system::{git, interrupt, paths, resources};
use crate::testbed::revision::TestbedRevision;
use crate::ui::{Ui, units};

pub fn run(args: &TestArgs, global: &Global, ui: &Ui) -> Result<Outcome> {
    // Discover, plan.
    let root = paths::repository_root()?;
    if !root.join("xtask/Cargo.toml").is_file() {
        bail!("{} is a fleet, not the llamafleet repository; try `check`", root.display());
    }
    let suite = Suite { root, global: global.clone(), ui: *ui };
    // Run.
    let mut stages: Vec<(&str, Stage)> = vec![("format", Suite::format), ("lints", Suite::clippy)];
    if args.quick {
        stages.push(("unit tests", Suite::unit_tests));
    } else {
        setup::ensure(ui, &[], args.yes)?;
        stages.extend([
            ("Nix format", Suite::nix_format as Stage),
            ("Nix dead code", Suite::nix_dead_code),
            ("testbed's library", Suite::testbed_library),
            ("fleet, llama.cpp 2025-08", |suite| suite.fleet(TestbedRevision::Old)),
            ("fleet, llama.cpp 2026-08", |suite| suite.fleet(TestbedRevision::Release)),
            ("fleet, llama.cpp 2026-09", |suite| suite.fleet(TestbedRevision::New)),
            ("Rust tests", Suite::rust_tests),
        ]);
    }
    let mut total = TestCounts::default();
    for (name, stage) in stages {
        let started = Instant::now();
        ui.status(format!("\n{} {name}", ui.bold("==>")));
        let counts = stage(&suite).unwrap_or_else(|error| {
            ui.warn(format!("{} {error:#}", ui.red("error:")));
            TestCounts::one(false)
        });
        interrupt::check()?;
        let seconds = units::seconds(started.elapsed().as_secs_f64());
        ui.status(format!(
            "{name}: {} passed, {} failed ({seconds})",
            counts.passed, counts.failed
        ));
        total.add(counts);
    }
    // Report.
    ui.document(&TestReport { schema: 1, command: "test", total, ok: total.failed == 0 })?;
    let TestCounts { passed, failed, skipped } = total;
    let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
    ui.result(format!("{passed} passed, {failed} failed{skipped}"));
    Ok(Outcome::from_ok(failed == 0))
}

#[derive(Debug, Serialize)]
struct TestReport {
    schema: u32,
    command: &'static str,
    #[serde(flatten)]
    total: TestCounts,
    ok: bool,
}

type Stage = fn(&Suite) -> Result<TestCounts>;

struct Suite {
    root: PathBuf,
    global: Global,
    ui: Ui,
}

impl Suite {
    fn format(&self) -> Result<TestCounts> {
        self.check(&self.cargo(["fmt", "--all", "--check"]), "cargo fmt --all")
    }

    fn clippy(&self) -> Result<TestCounts> {
        let call =
            self.cargo(["clippy", "--quiet", "--locked", "--all-targets", "--", "-D", "warnings"]);
        self.check(&call, "cargo clippy --all-targets")
    }

    fn nix_format(&self) -> Result<TestCounts> {
        // A Rust implementation of the official style.
        let call = tool("nixfmt", "nixfmt_rs", "0.5.3")?.arg("--check").args(self.nix_files()?);
        self.check(&call, "nix fmt, or nixfmt on the files named above")
    }

    fn nix_dead_code(&self) -> Result<TestCounts> {
        // Modules and callPackage functions may have unused arguments.
        let call = tool("deadnix", "deadnix", "1.3.1")?
            .args(["--fail", "--no-lambda-pattern-names"])
            .args(self.nix_files()?);
        self.check(&call, "remove the code named above")
    }

    /// Lists the Nix files, except recordings, which are unchanged copies.
    fn nix_files(&self) -> Result<Vec<PathBuf>> {
        let files = git::tracked(&self.root, "*.nix")?.into_iter();
        let ours = files.filter(|file| !Path::new(file).starts_with("xtask/tests/fixtures"));
        Ok(ours.map(|file| self.root.join(file)).collect())
    }

    fn unit_tests(&self) -> Result<TestCounts> {
        self.libtest(&self.cargo(["test", "--locked", "--bins"]))
    }

    fn rust_tests(&self) -> Result<TestCounts> {
        // Many tests wait for a connection, a lock or a timeout: with one test per core, a third of
        // the time of two cores was idle. cargo runs one test binary at a time.
        let threads = env::var("RUST_TEST_THREADS");
        let threads = threads.unwrap_or_else(|_| (resources::cores() + 2).to_string());
        let home = paths::home()?;
        let before = test_folders(&home);
        let call = self.cargo(["test", "--locked", "--no-fail-fast"]);
        let mut counts = self.libtest(&call.env("RUST_TEST_THREADS", threads))?;
        let left: Vec<_> = test_folders(&home).difference(&before).cloned().collect();
        if !left.is_empty() {
            self.ui.warn(format!("tests left files behind:\n  {}", left.join("\n  ")));
        }
        counts.add(TestCounts::one(left.is_empty()));
        Ok(counts)
    }

    fn testbed_library(&self) -> Result<TestCounts> {
        let context = self.context(TestbedRevision::New)?;
        let tests = self.root.join("testbed/tests/default.nix");
        let call = context.flake.nix.command(["eval", "--json"]).arg("--file").arg(tests);
        self.nix_tests(&call)
    }

    fn fleet(&self, revision: TestbedRevision) -> Result<TestCounts> {
        let flake = self.context(revision)?.flake;
        let attribute =
            format!("{}#.legacyPackages.{}.llamafleetTests", flake.reference, flake::system());
        let call = flake.nix.command(["eval", "--json"]).arg(attribute).args(&flake.options);
        self.nix_tests(&call)
    }

    fn context(&self, revision: TestbedRevision) -> Result<Context> {
        Context::open_with(&self.global, &self.ui, Some(revision))
    }

    fn nix_tests(&self, call: &Invocation) -> Result<TestCounts> {
        let output = process::read(call, None)?;
        let tests: NixTests = serde_json::from_str(&output)
            .with_context(|| format!("`{call}` did not print {{ passed, failures }}"))?;
        for failure in &tests.failures {
            self.ui.warn(format!(
                "{}: expected {}, got {}",
                failure.name, failure.expected, failure.got
            ));
        }
        if tests.passed == 0 {
            bail!("`{call}` ran no test");
        }
        Ok(TestCounts { passed: tests.passed, failed: tests.failures.len() as u64, skipped: 0 })
    }

    fn cargo<'b>(&self, words: impl IntoIterator<Item = &'b str>) -> Invocation {
        cargo().args(words).dir(&self.root)
    }

    /// Runs a check that passes or fails as a whole, and shows its output.
    fn check(&self, call: &Invocation, fix: &str) -> Result<TestCounts> {
        let exit = self.show(call, &mut |_| {})?;
        if !exit.ok() {
            self.ui.warn(format!("`{}`: {exit}; to fix: {fix}", short(call)));
        }
        Ok(TestCounts::one(exit.ok()))
    }

    fn libtest(&self, call: &Invocation) -> Result<TestCounts> {
        let mut log = LibtestLog::default();
        let exit = self.show(call, &mut |line| log.read(line))?;
        if let Some(problem) = log.problem() {
            self.ui.warn(format!("`{}`: {problem}", short(call)));
            log.total.add(TestCounts::one(false));
        }
        let total = log.total;
        // A test binary that does not compile, or is killed, prints no count.
        if !exit.ok() && total.failed == 0 {
            bail!("`{}`: {exit}", short(call));
        }
        if total.passed == 0 {
            bail!("`{}` ran no test", short(call));
        }
        Ok(total)
    }

    fn show(&self, call: &Invocation, each: &mut dyn FnMut(&str)) -> Result<Exit> {
        process::stream(call, None, &mut |_, line| {
            let line = String::from_utf8_lossy(line);
            each(&line);
            self.ui.status(line);
        })
    }
}

/// Lists the tests' temporary folders, and files named after them, in the user's cache.
fn test_folders(home: &Path) -> BTreeSet<String> {
    let entries = WalkDir::new(home).max_depth(2).into_iter().flatten();
    let names = entries.map(|entry| entry.path().display().to_string());
    names.filter(|name| name.contains("xtask-test-")).collect()
}

/// Formats the command without its file names.
fn short(call: &Invocation) -> String {
    let program = call.program.file_name().unwrap_or_default();
    let words = call.args.iter().take(4).map(|word| word.as_os_str());
    let words = [program].into_iter().chain(words).map(|word| word.to_string_lossy());
    words.collect::<Vec<_>>().join(" ")
}

fn cargo() -> Invocation {
    Invocation::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Installs the Nix formatter or dead-code lint from crates.io, which needs no nixpkgs.
///
/// The version is fixed: a newer one may format differently and fail CI without a change here. Each
/// version has its folder, so that an old clone still finds its version.
fn tool(name: &str, package: &str, version: &str) -> Result<Invocation> {
    let root = paths::home()?.join(format!("tools/{package}-{version}"));
    let program = root.join("bin").join(name);
    if !program.is_file() {
        let call = cargo()
            .args(["install", "--quiet", "--locked", package, "--version", version, "--root"])
            .arg(&root);
        process::read(&call, None).with_context(|| format!("cannot install {name}"))?;
    }
    Ok(Invocation::new(program))
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TestCounts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl TestCounts {
    pub fn one(ok: bool) -> Self {
        Self { passed: u64::from(ok), failed: u64::from(!ok), skipped: 0 }
    }

    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Parses libtest's `test result: ok. 40 passed; 0 failed; 1 ignored; …`.
    pub fn from_libtest(line: &str) -> Option<Self> {
        let counts = line.trim().strip_prefix("test result:")?;
        let count = |what: &str| {
            let before = counts.split(what).next()?;
            before.split_whitespace().next_back()?.parse().ok()
        };
        Some(Self {
            passed: count(" passed")?,
            failed: count(" failed")?,
            skipped: count(" ignored")?,
        })
    }
}

/// Counts test binaries and results in the output of `cargo test`. A binary that exits in the
/// middle of a test, even with status 0, prints no result.
#[derive(Debug, Default)]
pub struct LibtestLog {
    binaries: u64,
    results: u64,
    /// Number of tests that the binaries announced.
    announced: u64,
    pub total: TestCounts,
}

impl LibtestLog {
    pub fn read(&mut self, line: &str) {
        // A test may print "Running phase: …" of a build.
        let is_binary = line.starts_with("     Running ") && line.trim_end().ends_with(')');
        let line = line.trim();
        let announced = |rest: &str| rest.split_once(" test")?.0.parse::<u64>().ok();
        if is_binary || line.starts_with("Doc-tests ") {
            self.binaries += 1;
        } else if let Some(number) = line.strip_prefix("running ").and_then(announced) {
            self.announced += number;
        } else if let Some(counts) = TestCounts::from_libtest(line) {
            self.results += 1;
            self.total.add(counts);
        }
    }

    pub fn problem(&self) -> Option<String> {
        let Self { binaries, results, announced, total } = self;
        let ran = total.passed + total.failed + total.skipped;
        if results < binaries {
            Some(format!("{binaries} test binaries were started, {results} printed a result"))
        } else if ran < *announced {
            Some(format!("{announced} tests were announced, {ran} have a result"))
        } else {
            None
        }
    }
}

/// The result of the evaluation tests in testbed/tests and tests/.
#[derive(Debug, Deserialize)]
pub struct NixTests {
    pub passed: u64,
    pub failures: Vec<NixFailure>,
}

#[derive(Debug, Deserialize)]
pub struct NixFailure {
    pub name: String,
    #[serde(default)]
    pub expected: serde_json::Value,
    #[serde(default)]
    pub got: serde_json::Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_libtest_are_parsed() {
        let line = "test result: FAILED. 40 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 2.54s";
        assert_eq!(
            TestCounts::from_libtest(line),
            Some(TestCounts { passed: 40, failed: 2, skipped: 1 })
        );
        assert_eq!(TestCounts::from_libtest("test a ... ok"), None);
    }

    #[test]
    fn a_test_binary_without_a_result_is_a_problem() {
        let problem = |lines: &[&str]| {
            let mut log = LibtestLog::default();
            lines.iter().for_each(|line| log.read(line));
            log.problem()
        };
        let result = "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out";
        let first =
            ["     Running unittests src/main.rs (target/debug/deps/x-1)", "running 3 tests"];
        let second = ["     Running tests/it/main.rs (target/debug/deps/it-1)", "running 1 test"];
        assert_eq!(problem(&[&first[..], &[result]].concat()), None);
        let ended = [&first[..], &[result], &second, &["test a ... "]].concat();
        assert!(problem(&ended).unwrap().contains("2 test binaries were started, 1 printed"));
        let phase = ["    Running phase: patchPhase", "  │ Running phase: configurePhase"];
        assert_eq!(problem(&[&first[..], &phase, &[result]].concat()), None);
        assert!(
            problem(&["running 4 tests", result]).unwrap().contains("4 tests were announced, 3")
        );
    }
}
