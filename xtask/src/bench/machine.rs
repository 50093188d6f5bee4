//! A target whose hardware and state were read for a measurement.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::bench::measurement::{Subject, with_env};
use crate::bench::target_state::TargetState;
use crate::findings::finding::Finding;
use crate::hardware::facts::Facts;
use crate::hardware::microarch::Table;
use crate::hardware::probe_output::read;
use crate::hardware::probe_script;
use crate::system::process::{Exit, Source};
use crate::target::Target;

/// A target with its hardware, and its state when it was read.
#[derive(Debug, Clone)]
pub struct Machine {
    pub target: Target,
    pub facts: Facts,
    pub state: TargetState,
    /// `NAME=VALUE` pairs of `--env`.
    pub env: Vec<String>,
    /// File that receives the programs' stderr.
    pub log: Option<PathBuf>,
}

impl Machine {
    /// Reads the target's hardware and state with one command.
    ///
    /// # Errors
    /// [`crate::findings::finding::Finding`].
    pub fn discover(target: &Target) -> Result<Self> {
        let answer = probe_script::run_with_preflight(target)?;
        match read(target.name(), &answer) {
            Ok(facts) => Ok(Self {
                target: target.clone(),
                state: TargetState::read(&answer, facts.gpus.clone()),
                facts,
                env: vec![],
                log: None,
            }),
            Err(problem) => Err(Finding::error(
                "unknown-cpu",
                format!("{}: {problem}", target.name()),
                "measure on an x86_64 or aarch64 Linux machine",
            )
            .into()),
        }
    }

    /// Runs a program on the target, with the environment of `--env`.
    ///
    /// # Errors
    /// Those of [`Target::run`].
    pub fn run(
        &self,
        argv: &[&str],
        timeout: Duration,
        on_line: &mut dyn FnMut(Source, &[u8]),
    ) -> Result<Exit> {
        self.target.run(&with_env(&self.env, argv), timeout, on_line)
    }

    /// Returns the path of the subject's llama-bench on the target.
    pub fn llama_bench(&self, subject: &Subject) -> String {
        self.target.on_disk(&subject.llama_bench())
    }

    /// Returns the log's path, if the log exists.
    pub fn written_log(&self) -> Option<String> {
        self.log.as_ref().filter(|log| log.is_file()).map(|log| log.display().to_string())
    }

    /// Returns the best microarchitecture for this CPU.
    pub fn microarch(&self) -> Option<String> {
        Table::embedded().detect(&self.facts.cpu).map(|detected| detected.name.to_owned())
    }
}
