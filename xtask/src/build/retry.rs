//! Decides which failures are transient (the network, a lost builder; never the build itself), and
//! explains a failure in one line.
//!
//! A lost builder looks like a compile error: Nix 2.26 ends with "builder for '….drv' failed with
//! exit code 1", which is the status of Nix's helper. If the build itself failed on a builder, a
//! message precedes that: "build of '….drv' on 'ssh-ng://…' failed: …".
//!
//! Pure: no I/O, no clock.

use crate::build::derivations::Derivation;
use crate::nix::machines::machine_name;
use crate::nix::names::DrvPath;

/// What is known about a derivation that is not in the store after a build.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    pub drv: &'a DrvPath,
    pub row: &'a Derivation,
    /// All errors of this run of Nix, also about other derivations.
    pub errors: &'a [String],
}

/// The cause of a transient failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transient {
    Builder,
    Network,
}

/// Messages of Nix, ssh and curl about a failed or broken connection.
const CONNECTION: [&str; 18] = [
    "Nix daemon disconnected unexpectedly",
    "unexpected end-of-file",
    // Part of Nix's message about truncated data.
    "serialised integer",
    "failed to start SSH connection",
    "cannot connect to",
    "Connection refused",
    "Connection reset",
    "Connection closed",
    "Connection timed out",
    "connection timed out",
    "closed by remote host",
    "not responding",
    "Broken pipe",
    "broken pipe",
    "No route to host",
    "Network is unreachable",
    "Could not resolve",
    "Couldn't resolve host",
];

/// Messages about permanent failures.
const PERMANENT: [&str; 4] = [
    "No space left on device",
    "Disk quota exceeded",
    "lacks a signature by a trusted key",
    "Permission denied",
];

/// curl's exit codes for network failures: 5 to 7 for no host or no connection; 18, 52 and 56 for
/// an aborted transfer; 28 for a timeout; 35 for an aborted handshake.
const CURL: [u32; 8] = [5, 6, 7, 18, 28, 35, 52, 56];

/// Git's words for the same failures, after `unable to access 'URL': `.
const GIT: [&str; 5] = [
    "Could not resolve host",
    "Failed to connect",
    "timed out",
    "Connection reset",
    "returned error: 5",
];

/// Nix's message after Ctrl-C, also if a build has failed before.
const INTERRUPTED: &str = "interrupted by the user";

/// Number of lines at the end of a log in which a fetcher reports its error.
const FETCHER_LINES: usize = 5;

/// Returns why a retry may succeed; `None` if it would fail again.
pub fn transient(failure: &Failure) -> Option<Transient> {
    let own = failure.own_message();
    if own.is_some_and(|message| message.contains(" timed out after ")) {
        return None;
    }
    if failure.permanent().is_some() {
        return None;
    }
    if failure.lost() {
        return Some(Transient::Builder);
    }
    if let Some(message) = own {
        let fetched = message.starts_with("some substitutes for the outputs");
        if fetched && failure.errors.iter().any(|error| is_transient_download(error)) {
            return Some(Transient::Network);
        }
        let is_network_failure = |line: &String| {
            CURL.iter().any(|code| line.contains(&format!("curl: ({code})")))
                || is_transient_download(line)
                || GIT.iter().any(|cause| line.contains("unable to access") && line.contains(cause))
        };
        return failure
            .row
            .tail
            .newest()
            .take(FETCHER_LINES)
            .any(is_network_failure)
            .then_some(Transient::Network);
    }
    failure.no_machine().map(|_| Transient::Builder)
}

/// Returns why it failed; `None` if Nix did not report it.
pub fn reason(failure: &Failure) -> Option<String> {
    if failure.lost() {
        let machine = machine_name(&failure.row.machine);
        let printed = failure.errors.iter().map(|error| bare(error));
        let printed = printed.rev().find(|error| has(error, &CONNECTION));
        let printed = printed.and_then(|error| error.lines().next());
        return Some(match printed {
            Some(printed) => format!("the connection to {machine} was lost: {printed}"),
            None => format!("the connection to {machine} was lost"),
        });
    }
    let own = failure.own_message();
    let printed = own.filter(|own| !own.starts_with("builder for")).or(failure.permanent()).or(own);
    let printed = printed.or_else(|| failure.no_machine()).or_else(|| failure.last_of_run());
    printed.map(|printed| shorten(printed, failure.drv))
}

/// Returns whether one of these errors is about this derivation, rather than about one that
/// depends on it.
pub fn mentions(errors: &[String], drv: &DrvPath) -> bool {
    errors.iter().any(|error| is_about(bare(error), drv.as_str()))
}

/// Returns whether an error is about this derivation. Only the first line counts: the build's log
/// is quoted below it.
fn is_about(error: &str, drv: &str) -> bool {
    let line = first_line(error);
    line.contains(drv) && !line.contains("dependencies of derivation")
}

impl<'a> Failure<'a> {
    /// Returns Nix's first message about this derivation. The builder's message precedes that of
    /// Nix's helper.
    fn own_message(&self) -> Option<&'a str> {
        let drv = self.drv.as_str();
        self.errors.iter().map(|error| bare(error)).find(|error| is_about(error, drv))
    }

    /// Returns the error of a permanent failure, if it is about this derivation or about none.
    fn permanent(&self) -> Option<&'a str> {
        let own = self.own_message();
        let general =
            self.errors.iter().map(|e| bare(e)).filter(|e| !first_line(e).contains(".drv"));
        own.into_iter().chain(general).find(|error| has(first_line(error), &PERMANENT))
    }

    /// Returns the last error that is not about another derivation or Ctrl-C.
    fn last_of_run(&self) -> Option<&'a str> {
        let drv = self.drv.as_str();
        let mut errors = self.errors.iter().rev().map(|error| bare(error));
        errors.find(|error| {
            let line = first_line(error);
            (line.contains(drv) || !line.contains(".drv")) && line != INTERRUPTED
        })
    }

    /// Returns whether the builder was lost: Nix's helper failed, rather than the build.
    fn lost(&self) -> bool {
        if self.row.machine.is_empty() {
            return false;
        }
        let Some(message) = self.own_message() else {
            // Nix 2.26 prints only this if the connection breaks while a result is copied back.
            return self
                .errors
                .iter()
                .any(|error| error.contains("outputs are unexpectedly invalid"));
        };
        if message.starts_with("build of") {
            return has(first_line(message), &CONNECTION);
        }
        message.contains("due to signal") || self.errors.iter().any(|error| has(error, &CONNECTION))
    }

    /// Returns the error if no builder could be reached, and this machine must not build.
    fn no_machine(&self) -> Option<&'a str> {
        let mut errors = self.errors.iter().map(|error| bare(error));
        let stuck = errors.clone().any(|error| error.contains("nable to start any build"));
        errors
            .find(|error| stuck && error.starts_with("cannot build on") && has(error, &CONNECTION))
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn has(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

/// Returns whether a failed download is transient. HTTP 4xx errors are permanent, except 408
/// (timeout) and 429 (too many requests).
fn is_transient_download(error: &str) -> bool {
    let Some((_, cause)) = error.split_once("unable to download") else { return false };
    let client_error = cause.split_once("HTTP error 4").and_then(|(_, code)| code.get(..2));
    client_error.is_none_or(|code| code == "08" || code == "29")
}

/// Removes the prefix `error:`.
fn bare(error: &str) -> &str {
    error.trim().strip_prefix("error:").unwrap_or(error.trim()).trim()
}

/// Shortens a message: without the derivation's name, which is shown beside it, and with the
/// builder's name.
fn shorten(message: &str, drv: &DrvPath) -> String {
    let line = first_line(message).trim_end_matches(';').trim_end_matches(',');
    let Some(rest) = line.strip_prefix(&format!("build of '{drv}' on '")) else {
        return without_names(line, drv);
    };
    match rest.split_once("' failed: ") {
        Some((store, why)) => format!("{} on {}", without_names(why, drv), machine_name(store)),
        None => line.to_owned(),
    }
}

/// Removes the derivation's name, and shortens store URLs to the machine's name.
fn without_names(line: &str, drv: &DrvPath) -> String {
    // "building of '….drv^out' from .drv file timed out", "… from in-memory derivation …".
    if let Some(at) = line.find("timed out after ").filter(|_| line.contains(drv.as_str())) {
        return line[at..].to_owned();
    }
    let line = line.strip_prefix(&format!("builder for '{drv}' ")).unwrap_or(line);
    let words = line.split('\'').enumerate().map(|(index, part)| match index % 2 {
        1 if part.contains("://") => machine_name(part).to_owned(),
        1 => format!("'{part}'"),
        _ => part.to_owned(),
    });
    words.collect()
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
