//! `--verify`: a variant's output held against that of the same llama.cpp without any of
//! the CPU's extensions, before it is measured. A kernel that is fast and wrong shows here.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bench::deploy::build_and_copy;
use crate::bench::machine::Machine;
use crate::bench::measurement::Subject;
use crate::bench::output_check::rules::{
    CHUNKS, CONTEXT, Divergence, MARK, TEXT, WAYS, parse, wrong_output,
};
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::nix::names::nix_string;
use crate::system::process::{Exit, Source};
use crate::target::or_finding;

/// Puts a text through both builds, on the target.
const SCRIPT: &str = include_str!("script.sh");

/// The reference build: its kernels are C, compiled for the least CPU of
/// the architecture. "dispatch" would not do: on the target it chooses the same kernels.
fn reference(context: &Context, subject: &Subject) -> Result<Subject> {
    let system = &subject.manifest.system;
    let plain = if system.starts_with("aarch64-") { "armv8-a" } else { "x86-64" };
    let selection = context
        .flake
        .package_of(
            system,
            &format!(
                "pkgs: pkgs.mkLlamaCpp {{ backends = [ \"cpu\" ]; microarch = {}; }}",
                nix_string(plain)
            ),
        )
        .context(
            "--verify compares with the flake's own plain build: its legacyPackages must contain \
             the overlay, as in the template",
        )?;
    Ok(Subject::new(subject.host.clone(), selection))
}

/// How like the two are, or what kept them from being compared; findings of theirs alike.
pub fn verify(
    context: &Context,
    machine: &Machine,
    subject: &Subject,
    model_path: &str,
    timeout: Duration,
) -> Result<(Vec<Divergence>, Vec<Finding>)> {
    let ui = &context.ui;
    let plain = reference(context, subject)?;
    if let Err(finding) = or_finding(build_and_copy(context, machine, &plain))? {
        return Ok((vec![], vec![finding]));
    }
    let (variant, right) = (&subject.manifest.variant, &plain.manifest.variant);
    ui.status(format!("comparing the output of {variant} with that of {right}"));
    let target = &machine.target;
    let program =
        |subject: &Subject| target.on_disk(&format!("{}/bin/llama-perplexity", subject.store_path));
    let (context_size, chunks) = (CONTEXT.to_string(), CHUNKS.to_string());
    let (right_program, program) = (program(&plain), program(subject));
    let mut argv = vec!["sh", "-c", SCRIPT, "llamafleet", &right_program, &program, model_path];
    argv.extend([TEXT, &context_size, &chunks]);
    if subject.manifest.backends.iter().any(|backend| backend != "cpu") {
        argv.extend(["-ngl", "99"]);
    }
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let ran = machine.run(&argv, timeout, &mut |source, line| {
        let buffer = if source == Source::Stdout { &mut stdout } else { &mut stderr };
        buffer.push_str(&String::from_utf8_lossy(line));
        buffer.push('\n');
    });
    let exit = match or_finding(ran)? {
        Ok(exit) => exit,
        Err(finding) => return Ok((vec![], vec![finding])),
    };
    ui.debug(&stderr);
    let said = Said { exit, stdout, stderr };
    Ok(match said.divergences() {
        Ok(divergences) => {
            for one in &divergences {
                ui.status(format!(
                    "  {:<10} KL divergence {:.6} nats",
                    one.way, one.mean_divergence
                ));
            }
            let finding = wrong_output(&divergences, variant.as_str(), right.as_str());
            (divergences, finding.into_iter().collect())
        }
        Err(why) => (vec![], vec![said.incomparable(&why, target.name(), timeout)]),
    })
}

/// What came back from the target.
struct Said {
    exit: Exit,
    stdout: String,
    stderr: String,
}

impl Said {
    fn divergences(&self) -> Result<Vec<Divergence>, String> {
        if !self.exit.ok() {
            let last = self.stderr.lines().map(str::trim).rfind(|line| !line.is_empty());
            return Err(format!("{}: {}", self.exit, last.unwrap_or("no output")));
        }
        let section = |way: &str| {
            let head = format!("{MARK}{way}\n");
            let rest = self.stdout.split_once(&head).map_or("", |(_, rest)| rest);
            rest.split(MARK).next().unwrap_or_default()
        };
        let one = |(way, _): (&'static str, u32)| {
            parse(way, section(way)).map_err(|field| format!("it printed no `{field}`"))
        };
        WAYS.into_iter().map(one).collect()
    }

    fn incomparable(&self, why: &str, target: &str, timeout: Duration) -> Finding {
        let step = self.stdout.lines().rfind(|line| line.starts_with(MARK));
        let step = step.and_then(|line| line.strip_prefix(MARK)).unwrap_or("start");
        match self.exit {
            Exit::Interrupted => Finding::error("interrupted", "interrupted", "run it again"),
            Exit::Code(126 | 127) => Finding::error(
                "no-llama-perplexity",
                format!("a package has no llama-perplexity that {target} can run ({why})"),
                "omit --verify, or build the whole package: `llama-perplexity` is one of \
                 llama.cpp's tools",
            ),
            Exit::TimedOut => Finding::error(
                "timeout",
                format!("the output check ({step}) timed out (after {} s)", timeout.as_secs()),
                "the plain build is slow: raise --timeout, or verify with the smoke model",
            ),
            _ => Finding::error(
                "not-verified",
                format!("llama-perplexity failed on {target} ({step}): {why}"),
                "a model without a tokenizer cannot be verified; run with -v for all output",
            ),
        }
    }
}
