//! Explains a failed evaluation by the host's state and a finding, and writes Nix's trace to a log.

use std::path::Path;

use anyhow::{Result, bail};

use crate::check::outcomes::HostState;
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::nix::diagnosis::{diagnose, line_of_option, store_path_of_missing, with_testbed_advice};
use crate::nix::flake::{EvalFailure, Source};
use crate::system::interrupt::Interrupted;
use crate::system::process::Exit;
use crate::system::{disk, files};

/// Returns the state and the finding of a host if the evaluator's output is unusable.
pub fn bad_output(message: &str) -> (HostState, Finding) {
    let finding = Finding::error("bad-eval-output", message, "run the check again with -v");
    (HostState::EvalError, finding)
}

/// Explains the failed evaluation of something other than a host's variant; `place` names the log.
///
/// # Errors
/// The user interrupted it.
pub fn explain_at(
    context: &Context,
    place: &str,
    failure: &EvalFailure,
) -> Result<(HostState, Finding)> {
    if failure.exit == Exit::Interrupted {
        bail!(Interrupted);
    }
    let source = context.flake.source();
    Ok(explain(context, &format!("{place}-whole"), failure, source.as_ref()))
}

/// Returns the state and the finding of a failed evaluation, and writes its trace to a log.
pub(super) fn explain(
    context: &Context,
    place: &str,
    failure: &EvalFailure,
    source: Option<&Source>,
) -> (HostState, Finding) {
    let folder = context.home.join("logs/check");
    let log = folder.join(format!("{}.log", files::safe_name(place)));
    let text = format!("$ {}\n{}\n[{}]\n", failure.command, failure.stderr, failure.exit);
    let written =
        disk::create(&folder).and_then(|()| files::write_atomically(&log, text.as_bytes()));
    let out_of_memory =
        |message, help| (HostState::OutOfMemory, Finding::error("out-of-memory", message, help));
    let (state, finding) = match failure.exit {
        Exit::Code(0) => return bad_output("the evaluator exited early"),
        Exit::TimedOut => {
            let help = "look for unbounded recursion, or raise --timeout";
            (HostState::Timeout, Finding::error("timeout", "the evaluation timed out", help))
        }
        Exit::TooLarge => out_of_memory(
            "this host's evaluation alone exceeds the memory limit of all evaluators",
            "look for unbounded recursion, or raise --max-memory",
        ),
        Exit::Signal(libc::SIGKILL) | Exit::Code(137) => out_of_memory(
            "the evaluator was killed, most likely because memory ran out",
            "lower --max-memory, or add memory or swap",
        ),
        Exit::Signal(_) if failure.stderr.contains("memory") => out_of_memory(
            "the evaluator ran out of memory",
            "lower --max-memory, or add memory or swap",
        ),
        exit => {
            let stderr = &failure.stderr;
            let mut finding =
                source.map_or_else(|| diagnose(stderr, None), |source| source.diagnose(stderr));
            if finding.message.is_empty()
                || matches!(exit, Exit::Signal(_)) && !stderr.contains("error:")
            {
                finding.message = format!("Nix ended without an error message ({exit})");
            }
            match finding.code {
                "out-of-memory" => out_of_memory(
                    "the evaluator ran out of memory",
                    "lower --max-memory, or add memory or swap",
                ),
                _ => (HostState::EvalError, finding),
            }
        }
    };
    let mut finding = with_line(finding, source);
    // A path that was built during an evaluation may be deleted, although Nix's database has it.
    let gone = store_path_of_missing(&finding.message);
    if let Some(path) = gone.filter(|path| !Path::new(path).exists()) {
        let message = format!("{path} is gone from the disk, but Nix's store records it");
        let help = format!("run `nix store repair {path}`");
        finding = Finding { message, code: "store-path-gone", help, ..finding };
    } else if context.testbed().is_some() {
        with_testbed_advice(&mut finding);
    }
    match written {
        Ok(()) => finding.help = format!("{} (trace: {})", finding.help, log.display()),
        Err(error) => context.ui.debug(format!("cannot write Nix's trace: {error:#}")),
    }
    (state, finding)
}

/// Adds the line that defines the option if only the file is known, read from the flake's copy in
/// the store, and makes the file relative to the flake.
pub(super) fn with_line(mut finding: Finding, source: Option<&Source>) -> Finding {
    let Some(source) = source else { return finding };
    if let (Some(file), None) = (&mut finding.file, finding.line) {
        // The module system names what was imported, which may be the folder of a default.nix.
        if !file.ends_with(".nix") {
            file.push_str("/default.nix");
        }
        let text = files::read(&Path::new(&source.path).join(file)).unwrap_or_default();
        finding.line = line_of_option(&finding.message, &text);
    }
    source.relative(finding)
}
