//! `--verify`: compares a variant's output with that of the same llama.cpp without CPU extensions
//! before it is measured, to find kernels that are fast but wrong.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bench::deploy::build_and_copy;
use crate::bench::machine::Machine;
use crate::bench::measurement::Subject;
use crate::bench::output_check::rules::{
    CHUNKS, CONTEXT, Completion, Divergence, PROMPT, TEXT, TOKENS, completion, divergences,
    last_run, wrong_output, wrong_text,
};
use crate::findings::finding::{Finding, or_finding};
use crate::fleet::context::Context;
use crate::nix::names::nix_string;
use crate::system::process::Exit;
use crate::target::Printed;
use crate::ui::Ui;

/// Runs both builds on a text, on the target.
const SCRIPT: &str = include_str!("script.sh");

/// Returns the reference build, with C kernels compiled for the architecture's baseline CPU.
/// `dispatch` would be no reference: on the target it chooses the variant's kernels.
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

/// The result of an output check.
#[derive(Default)]
pub struct OutputCheck {
    pub divergences: Vec<Divergence>,
    pub completion: Option<Completion>,
    pub findings: Vec<Finding>,
}

impl OutputCheck {
    fn failed(finding: Finding) -> Self {
        Self { findings: vec![finding], ..Self::default() }
    }
}

/// Builds and copies the reference build, and compares the subject's output with it.
pub fn verify(
    context: &Context,
    machine: &Machine,
    subject: &Subject,
    model_path: &str,
    timeout: Duration,
) -> Result<OutputCheck> {
    let plain = reference(context, subject)?;
    if let Err(finding) = or_finding(build_and_copy(context, machine, &plain))? {
        return Ok(OutputCheck::failed(finding));
    }
    compare(&context.ui, machine, subject, &plain, model_path, timeout)
}

/// Compares the output of two builds that are already on the machine.
pub fn compare(
    ui: &Ui,
    machine: &Machine,
    subject: &Subject,
    reference: &Subject,
    model_path: &str,
    timeout: Duration,
) -> Result<OutputCheck> {
    let (variant, plain) = (&subject.manifest.variant, &reference.manifest.variant);
    ui.status(format!("comparing the output of {variant} with that of {plain}"));
    let target = &machine.target;
    let programs = |subject: &Subject| target.on_disk(&format!("{}/bin", subject.store_path));
    let numbers = [CONTEXT, CHUNKS, TOKENS].map(|number| number.to_string());
    let [context_size, chunks, tokens] = &numbers;
    let (plain_programs, programs) = (programs(reference), programs(subject));
    let mut argv = vec!["sh", "-c", SCRIPT, "llamafleet", &plain_programs, &programs, model_path];
    argv.extend([TEXT, context_size, chunks, PROMPT, tokens]);
    if subject.manifest.backends.iter().any(|backend| backend != "cpu") {
        argv.extend(["-ngl", "99"]);
    }
    let mut printed = Printed::default();
    let ran = machine.run(&argv, timeout, &mut |source, line| printed.line(source, line));
    let exit = match or_finding(ran)? {
        Ok(exit) => exit,
        Err(finding) => return Ok(OutputCheck::failed(finding)),
    };
    ui.debug(&printed.stderr);
    let output = Output { exit, printed };
    let check = output.check(variant.as_str(), plain.as_str(), target.name(), timeout);
    for one in &check.divergences {
        ui.status(format!("  {:<10} KL divergence {:.6} nats", one.way, one.mean_divergence));
    }
    if let Some(Completion { text, is_equal: true, .. }) = &check.completion {
        ui.status(format!("  {:<10} equal: {PROMPT}{}", "text", text.escape_debug()));
    }
    Ok(check)
}

/// The output of the script.
struct Output {
    exit: Exit,
    printed: Printed,
}

impl Output {
    fn check(
        &self,
        variant: &str,
        reference: &str,
        target: &str,
        timeout: Duration,
    ) -> OutputCheck {
        let divergences = divergences(&self.printed.stdout);
        let failure = if self.exit.ok() {
            divergences.as_ref().err().map(|field| format!("it printed no `{field}`"))
        } else {
            let last = self.printed.stderr.lines().map(str::trim).rfind(|line| !line.is_empty());
            Some(format!("{}: {}", self.exit, last.unwrap_or("no output")))
        };
        let divergences = divergences.unwrap_or_default();
        let mut findings = Vec::from_iter(wrong_output(&divergences, variant, reference));
        if let Some(why) = failure {
            findings.push(self.incomparable(&why, target, timeout));
            return OutputCheck { divergences, completion: None, findings };
        }
        let completion = completion(&self.printed.stdout);
        findings.extend(match &completion {
            Ok(completion) => wrong_text(completion, variant, reference),
            Err(why) => Some(Finding::note(
                "text-not-compared",
                format!("the texts of {variant} and {reference} were not compared: {why}"),
                "only their probabilities were: `llama-completion` is one of llama.cpp's tools, \
                 which the whole package has",
            )),
        });
        OutputCheck { divergences, completion: completion.ok(), findings }
    }

    /// Reports why the outputs could not be compared.
    fn incomparable(&self, why: &str, target: &str, timeout: Duration) -> Finding {
        let step = last_run(&self.printed.stdout).unwrap_or("start");
        let program = if step.ends_with("text") { "llama-completion" } else { "llama-perplexity" };
        match self.exit {
            Exit::Interrupted => Finding::error("interrupted", "interrupted", "run it again"),
            Exit::Code(126 | 127) => Finding::error(
                "no-llama-perplexity",
                format!("a package has no {program} that {target} can run ({why})"),
                format!(
                    "omit --verify, or build the whole package: `{program}` is one of \
                     llama.cpp's tools"
                ),
            ),
            Exit::TimedOut => Finding::error(
                "timeout",
                format!("the output check ({step}) timed out (after {} s)", timeout.as_secs()),
                "the plain build is slow: raise --timeout, or verify with the smoke model",
            ),
            _ => Finding::error(
                "not-verified",
                format!("{program} failed on {target} ({step}): {why}"),
                "a model without a tokenizer cannot be verified; run with -v for all output",
            ),
        }
    }
}
