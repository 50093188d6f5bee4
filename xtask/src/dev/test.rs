//! `test`: every check of the project, one after another, all of them even if one fails.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::dev::args::TestArgs;
use crate::dev::test_counts::{NixTests, Tally};
use crate::dev::{nix_tools, setup};
use crate::findings::outcome::Outcome;
use crate::fleet::args::Global;
use crate::fleet::context::Context;
use crate::nix::flake;
use crate::system::process::{self, Exit, Invocation};
use crate::system::{git, interrupt, paths};
use crate::testbed::revision::Era;
use crate::ui::{Ui, units};

pub fn run(args: &TestArgs, global: &Global, ui: &Ui) -> Result<Outcome> {
    // Discover, plan.
    let root = paths::repository_root()?;
    if !root.join("xtask/Cargo.toml").is_file() {
        bail!("{} is a fleet, not this project's own repository: try `check`", root.display());
    }
    let suite = Suite { root, global: global.clone(), ui: *ui };
    // Run.
    let mut stages: Vec<(&str, Stage)> = vec![("format", Suite::format), ("lints", Suite::clippy)];
    if args.quick {
        stages.push(("unit tests", Suite::unit_tests));
    } else {
        setup::ensure(ui, true)?;
        stages.extend([
            ("Nix format", Suite::nix_format as Stage),
            ("Nix dead code", Suite::nix_dead_code),
            ("testbed's library", Suite::testbed_library),
            ("fleet, old era", |suite| suite.fleet(Era::Old)),
            ("fleet, new era", |suite| suite.fleet(Era::New)),
            ("Rust tests", Suite::rust_tests),
        ]);
    }
    let mut total = Tally::default();
    for (name, stage) in stages {
        let started = Instant::now();
        ui.say(format!("\n{} {name}", ui.bold("==>")));
        let tally = stage(&suite).unwrap_or_else(|error| {
            ui.complain(format!("{} {error:#}", ui.red("error:")));
            Tally::one(false)
        });
        if interrupt::requested() {
            bail!("interrupted");
        }
        let seconds = units::seconds(started.elapsed().as_secs_f64());
        ui.say(format!("{name}: {} passed, {} failed ({seconds})", tally.passed, tally.failed));
        total.add(tally);
    }
    // Report.
    let Tally { passed, failed, skipped } = total;
    let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
    ui.result(format!("{passed} passed, {failed} failed{skipped}"));
    Ok(Outcome::from_ok(failed == 0))
}

type Stage = fn(&Suite) -> Result<Tally>;

struct Suite {
    root: PathBuf,
    global: Global,
    ui: Ui,
}

impl Suite {
    fn format(&self) -> Result<Tally> {
        self.must(&self.cargo(["fmt", "--all", "--check"]), "cargo fmt --all")
    }

    fn clippy(&self) -> Result<Tally> {
        let call =
            self.cargo(["clippy", "--quiet", "--locked", "--all-targets", "--", "-D", "warnings"]);
        self.must(&call, "cargo clippy --all-targets")
    }

    fn nix_format(&self) -> Result<Tally> {
        let nixfmt = nix_tools::nixfmt(&paths::home()?)?;
        let call = Invocation::new(nixfmt).arg("--check").args(self.nix_files()?);
        self.must(&call, "nix fmt, or nixfmt on the files named above")
    }

    fn nix_dead_code(&self) -> Result<Tally> {
        let deadnix = nix_tools::deadnix(&paths::home()?)?;
        // A module's or a callPackage function's unused arguments are part of its shape.
        let call = Invocation::new(deadnix)
            .args(["--fail", "--no-lambda-pattern-names"])
            .args(self.nix_files()?);
        self.must(&call, "remove what is named above")
    }

    fn nix_files(&self) -> Result<Vec<PathBuf>> {
        Ok(git::tracked(&self.root, "*.nix")?
            .into_iter()
            .map(|file| self.root.join(file))
            .collect())
    }

    fn unit_tests(&self) -> Result<Tally> {
        self.libtest(&self.cargo(["test", "--locked", "--bins"]))
    }

    fn rust_tests(&self) -> Result<Tally> {
        // One binary at a time, as cargo does; builds share two cores with the tests.
        self.libtest(&self.cargo(["test", "--locked", "--no-fail-fast"]))
    }

    fn testbed_library(&self) -> Result<Tally> {
        let context = self.context(Era::New)?;
        let tests = self.root.join("testbed/tests/default.nix");
        let call = context.flake.nix.command(["eval", "--json"]).arg("--file").arg(tests);
        self.nix_tests(&call)
    }

    fn fleet(&self, era: Era) -> Result<Tally> {
        let flake = self.context(era)?.flake;
        let attribute =
            format!("{}#.legacyPackages.{}.llamafleetTests", flake.reference, flake::system());
        let call = flake.nix.command(["eval", "--json"]).arg(attribute).args(&flake.options);
        self.nix_tests(&call)
    }

    fn context(&self, era: Era) -> Result<Context> {
        Context::open_with(&self.global, &self.ui, Some(era))
    }

    fn nix_tests(&self, call: &Invocation) -> Result<Tally> {
        let said = process::read(call, None)?;
        let tests: NixTests = serde_json::from_str(&said)
            .with_context(|| format!("`{call}` printed no {{ passed, failures }}"))?;
        for failure in &tests.failures {
            self.ui.complain(format!(
                "{}: expected {}, got {}",
                failure.name, failure.expected, failure.got
            ));
        }
        if tests.passed == 0 {
            bail!("`{call}` ran no test");
        }
        Ok(Tally { passed: tests.passed, failed: tests.failures.len() as u64, skipped: 0 })
    }

    fn cargo<'b>(&self, words: impl IntoIterator<Item = &'b str>) -> Invocation {
        Invocation::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(words)
            .dir(&self.root)
    }

    /// One check that passes or fails as a whole; what it prints is shown.
    fn must(&self, call: &Invocation, mend: &str) -> Result<Tally> {
        let exit = self.show(call, &mut |_| {})?;
        if !exit.ok() {
            self.ui.complain(format!("`{}`: {exit}; to mend: {mend}", short(call)));
        }
        Ok(Tally::one(exit.ok()))
    }

    fn libtest(&self, call: &Invocation) -> Result<Tally> {
        let mut tally = Tally::default();
        let exit = self.show(call, &mut |line| {
            if let Some(counts) = Tally::from_libtest(line) {
                tally.add(counts);
            }
        })?;
        // A test binary that does not compile or is killed prints no count.
        if !exit.ok() && tally.failed == 0 {
            bail!("`{}`: {exit}", short(call));
        }
        if tally.passed == 0 {
            bail!("`{}` ran no test", short(call));
        }
        Ok(tally)
    }

    fn show(&self, call: &Invocation, each: &mut dyn FnMut(&str)) -> Result<Exit> {
        process::stream(call, None, &mut |_, line| {
            let line = String::from_utf8_lossy(line);
            each(&line);
            self.ui.say(line);
        })
    }
}

/// The command without its hundred file names.
fn short(call: &Invocation) -> String {
    let words: Vec<_> = call.argv().iter().take(4).map(|word| word.to_string_lossy()).collect();
    let program = call.program().file_name().unwrap_or_default().to_string_lossy().into_owned();
    Path::new(&program).display().to_string() + " " + &words.join(" ")
}
