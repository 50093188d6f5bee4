//! Puts a text through two builds on a target, and brings what the second one says.

use std::time::Duration;

use anyhow::Result;

use crate::bench::measurement::with_env;
use crate::system::process::{Exit, Source};
use crate::target::Target;

const SCRIPT: &str = include_str!("script.sh");

/// What both read, and how.
pub struct Reading<'a> {
    /// Each build's llama-perplexity on the target.
    pub right: &'a str,
    pub other: &'a str,
    pub model: &'a str,
    pub text: &'a str,
    pub context: u32,
    pub chunks: u32,
    /// For the second build alone.
    pub args: &'a [String],
    /// `NAME=VALUE`, for both.
    pub env: &'a [String],
}

/// How it ended, standard output, and standard error.
///
/// # Errors
/// [`crate::target::Refused`] where SSH failed; there is no shell.
pub fn read(
    target: &Target,
    reading: &Reading,
    timeout: Duration,
) -> Result<(Exit, String, String)> {
    let Reading { right, other, model, text, .. } = *reading;
    let (context, chunks) = (reading.context.to_string(), reading.chunks.to_string());
    let head = ["sh", "-c", SCRIPT, "llamafleet", right, other, model, text, &context, &chunks];
    let argv: Vec<&str> = head.into_iter().chain(reading.args.iter().map(String::as_str)).collect();
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let exit = target.run(&with_env(reading.env, &argv), timeout, &mut |source, line| {
        let buffer = if source == Source::Stdout { &mut stdout } else { &mut stderr };
        buffer.push_str(&String::from_utf8_lossy(line));
        buffer.push('\n');
    })?;
    Ok((exit, stdout, stderr))
}
