//! Failures of hosts with a revision. Compares failures of two revisions by the parts of the
//! message or log that do not depend on the revision.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::build::compile_error;
use crate::findings::finding::Finding;
use crate::fleet::names::HostName;
use crate::pin::bisect::search::Verdict;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// None if the revision itself fails, for example because Nix cannot lock it.
    pub host: Option<HostName>,
    pub code: String,
    /// The message for the user.
    pub message: String,
    /// The part of the host's package that failed to build, for example `ggml-cuda-sm75`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Normalized error lines that identify the failure. Equal failures share at least one.
    marks: BTreeSet<String>,
}

impl Failure {
    pub fn of_finding(host: Option<&HostName>, finding: &Finding) -> Self {
        Self {
            host: host.cloned(),
            code: finding.code.to_owned(),
            message: finding.message.clone(),
            part: None,
            marks: [normalize(&finding.message)].into(),
        }
    }

    /// Identifies a failed build by its log. All error lines count, because compilers run in
    /// parallel and print their errors in any order.
    pub fn of_log(host: &HostName, what: &str, log: &str, part: Option<String>) -> Self {
        let lines = || log.lines().map(str::to_owned);
        let phase = || log.lines().rev().find_map(|line| line.strip_prefix("@phase "));
        let cause = compile_error::first(lines());
        let cause = cause.or_else(|| phase().map(|phase| format!("failed in {phase}")));
        let message = cause.as_ref().map_or_else(|| what.to_owned(), |it| format!("{what}: {it}"));
        let errors = compile_error::all(lines()).chain(cause);
        let marks = errors.map(|line| normalize(&line)).collect();
        let code = "not-built".to_owned();
        Self { host: Some(host.clone()), code, message, part, marks }
    }

    pub fn is_like(&self, other: &Self) -> bool {
        (&self.host, &self.code) == (&other.host, &other.code)
            && (self.marks == other.marks || !self.marks.is_disjoint(&other.marks))
    }
}

/// Returns the parts that fail. None if one of the failures is not in a part.
pub fn parts(failures: &[Failure]) -> Option<BTreeSet<&str>> {
    let parts: Option<BTreeSet<&str>> = failures.iter().map(|it| it.part.as_deref()).collect();
    parts.filter(|parts| !parts.is_empty())
}

/// Returns whether a revision has one of the wanted failures. Another failure may hide them, so
/// it makes the revision inconclusive.
pub fn verdict(wanted: &[Failure], found: &[Failure]) -> Verdict {
    let alike = |failure: &Failure| wanted.iter().any(|wanted| wanted.is_like(failure));
    match found {
        [] => Verdict::Good,
        found if found.iter().any(alike) => Verdict::Bad,
        _ => Verdict::Inconclusive,
    }
}

/// Counts the different failures of all hosts.
pub fn kinds(failures: &[Failure]) -> usize {
    let marks: BTreeSet<_> = failures.iter().map(|it| (&it.code, &it.marks)).collect();
    marks.len()
}

/// Formats each distinct first line with its hosts: `boron, nitrogen: attribute 'x' missing`.
pub fn causes(failures: &[Failure]) -> Vec<String> {
    let mut causes: Vec<(Vec<&str>, String)> = vec![];
    for failure in failures {
        let line = failure.message.lines().next().unwrap_or_default();
        let text = without_store(line);
        let host = failure.host.as_ref().map_or("", HostName::as_str);
        match causes.iter_mut().find(|(_, known)| *known == text) {
            Some((hosts, _)) => hosts.push(host),
            None => causes.push((vec![host], text)),
        }
    }
    let line = |(hosts, text): (Vec<&str>, String)| match hosts.join(", ") {
        hosts if hosts.is_empty() => text,
        hosts => format!("{hosts}: {text}"),
    };
    causes.into_iter().map(line).collect()
}

/// Removes the message in which Nix wraps another one, and shortens store paths.
fn without_store(line: &str) -> String {
    const WRAPPER: &str = "evaluation aborted with the following error message: '";
    let line = line.strip_prefix(WRAPPER).map_or(line, |rest| rest.trim_end_matches('\''));
    let words: Vec<&str> = line.split(' ').map(in_repository).collect();
    words.join(" ")
}

/// Shortens `/nix/store/HASH-source/a.nix` to `a.nix`, and
/// `/build/nix-build-x.drv-0/source/a.c` to `a.c`.
fn in_repository(word: &str) -> &str {
    let built = word.contains("/nix-build-") || word.starts_with("/build/");
    let copied = || word.split_once("/nix/store/")?.1.get(32..)?.strip_prefix("-source/");
    match word.split_once("/source/") {
        Some((_, path)) if built => path,
        _ => copied().unwrap_or(word),
    }
}

/// Replaces what differs between revisions: hashes, line numbers, counts.
fn normalize(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if end == 0 {
            plain.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(end);
        let digits = word.chars().any(|c| c.is_ascii_digit());
        // A Git hash, full or abbreviated, or a hash of the Nix store.
        let hash = digits
            && (word.len() == 32 || word.len() >= 7 && word.chars().all(|c| c.is_ascii_hexdigit()));
        if hash {
            plain.push('#');
        } else {
            let mut in_number = false;
            for c in word.chars() {
                let digit = c.is_ascii_digit();
                if !(digit && in_number) {
                    plain.push(if digit { '#' } else { c });
                }
                in_number = digit;
            }
        }
        rest = after;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> HostName {
        HostName::new("boron")
    }

    fn failed(message: &str) -> Failure {
        Failure::of_finding(Some(&host()), &Finding::error("eval-error", message, ""))
    }

    #[test]
    fn hashes_and_lines_do_not_distinguish_failures() {
        let a = "attribute 'cuda_runtime' missing at /nix/store/0c9xw4s1l2f3k4j5h6g7f8d9s0a1q2w3-source/.devops/nix/package.nix:95:5 (0-unstable-4fb40c0)";
        let b = "attribute 'cuda_runtime' missing at /nix/store/9zzzw4s1l2f3k4j5h6g7f8d9s0a1q2w3-source/.devops/nix/package.nix:102:5 (0-unstable-abc1234)";
        assert!(failed(a).is_like(&failed(b)));
        assert!(!failed(a).is_like(&failed("attribute 'cuda_cudart' missing")));
        let elsewhere = Failure { host: Some(HostName::new("carbon")), ..failed(a) };
        assert!(!failed(a).is_like(&elsewhere));
    }

    #[test]
    fn words_keep_their_letters() {
        assert_eq!(normalize("__AVX512VNNI__ at 12:3, added"), "__AVX#VNNI__ at #:#, added");
        assert_eq!(normalize("4fb40c0 faced é 7"), "# faced é #");
    }

    // gcc 12.2 and CMake 3.25, as build-all logs them.
    const COMPILE: &str = "@phase build\n[1/9] Building C object a.o\nFAILED: b.o\n\
        /build/ggml-cpu.c:12:10: fatal error: arch/x86/vnni.h: No such file or directory\n\
        compilation terminated.\nninja: build stopped: subcommand failed.\n";
    const CONFIGURE: &str = "@phase configure\nCMake Error at CMakeLists.txt:1 \
        (cmake_minimum_required):\n  CMake 3.99 or higher is required.  You are running version \
        3.25.1\n\n-- Configuring incomplete, errors occurred!\n";

    #[test]
    fn a_log_is_identified_by_its_errors() {
        let of =
            |log: &str| Failure::of_log(&host(), "cpu-znver4 is not built (failed)", log, None);
        let compile = of(COMPILE);
        assert!(compile.message.ends_with("vnni.h: No such file or directory"), "{compile:?}");
        // Another error came first, on another line of the file.
        let other = COMPILE
            .replace(":12:", ":14:")
            .replace("FAILED", "x.cpp:1:1: error: 'x' was not declared\nFAILED");
        assert!(compile.is_like(&of(&other)));
        assert!(!compile.is_like(&of(CONFIGURE)));
        assert!(of(CONFIGURE).message.contains("CMake 3.99 or higher"), "{:?}", of(CONFIGURE));
        // The linker's last line is the same, whatever is undefined.
        let linker = |name| {
            let last = "collect2: error: ld returned 1 exit status";
            format!("/bin/ld: a.o: undefined reference to `{name}'\n{last}\n")
        };
        assert!(!of(&linker("f")).is_like(&of(&linker("g"))));
        // Without an error line, the phase must do.
        let silent = of("@phase build\nkilled\n");
        assert!(silent.is_like(&of("@phase build\n")) && !silent.is_like(&compile));
    }

    #[test]
    fn a_cause_is_listed_once_with_all_hosts() {
        let aborted = "evaluation aborted with the following error message: 'no \"x\" at \
                       /nix/store/0c9xw4s1l2f3k4j5h6g7f8d9s0a1q2w3-source/a.nix:1'";
        let other = Failure { host: Some(HostName::new("carbon")), ..failed(aborted) };
        let log = "/tmp/nix-build-llama-cpp-21.drv-0/source/ggml/a.c:1:2: error: no b\n";
        let build = Failure::of_log(&host(), "x is not built", log, None);
        assert_eq!(causes(&[build]), ["boron: x is not built: ggml/a.c:1:2: error: no b"]);
        let whole = Failure { host: None, ..failed("gone\nmore") };
        assert_eq!(
            causes(&[failed(aborted), other, whole]),
            ["boron, carbon: no \"x\" at a.nix:1", "gone"]
        );
    }

    #[test]
    fn another_failure_is_inconclusive() {
        let (wanted, other) = (failed("a"), failed("b"));
        let verdict_on = |found: &[Failure]| verdict(std::slice::from_ref(&wanted), found);
        assert_eq!(verdict_on(&[]), Verdict::Good);
        assert_eq!(verdict_on(std::slice::from_ref(&other)), Verdict::Inconclusive);
        assert_eq!(verdict_on(&[other.clone(), wanted.clone()]), Verdict::Bad);
        assert_eq!(
            (kinds(&[wanted.clone(), wanted.clone()]), kinds(&[wanted.clone(), other])),
            (1, 2)
        );
    }
}
