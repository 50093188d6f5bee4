//! Turns Nix's output of a failed evaluation into a finding: the final error, the place in the
//! user's files, and what to do.
//!
//! Pure: no I/O, no clock.

use crate::findings::codes;
use crate::findings::finding::{Finding, WITHOUT_TESTBED};
use crate::ui::sanitize::sanitize;

/// Parses Nix's standard error. `source` is the store path that the user's flake was copied to;
/// other places (nixpkgs, llama.cpp) are ignored, since the user cannot fix them.
pub fn diagnose(stderr: &str, source: Option<&str>) -> Finding {
    let clean = sanitize(stderr);
    let source = source.or_else(|| folder_of_flake(&clean));
    let mut message = final_message(&clean);
    // Nix's archive reader wraps the error of the download.
    if let Some((_, reason)) = message.split_once("(Source threw exception: error: ") {
        message = reason.strip_suffix(')').unwrap_or(reason).to_owned();
    }
    let mut code = classify(&message);
    if let Some(name) = module_argument(&clean, &message, code) {
        code = "module-argument";
        message = format!("the module argument `{name}` may not be in specialArgs: {message}");
    }
    if let (FETCH, Some(reason)) = (code, reason_of_git(&clean)) {
        message = format!("{message}: {reason}");
    }
    // A network failure has no place in the fleet.
    let place = source
        .filter(|_| code != FETCH)
        .and_then(|source| own_place(&clean, &message, code, source));
    let sentence = source.map_or_else(
        || message.clone(),
        |source| message.replace(&format!("{source}/"), "").replace(source, "the flake"),
    );
    let sentence = if code == "unknown-option" { without_values(&sentence) } else { sentence };
    let mut finding = Finding::error(code, shorten(&sentence), codes::advice(code));
    let refusal = REFUSALS.iter().find(|(pattern, _)| sentence.contains(pattern));
    if let (FETCH, Some((_, help))) = (code, refusal)
        && !help.is_empty()
    {
        (*help).clone_into(&mut finding.help);
    }
    let is_own = || match source.and_then(|source| source.strip_prefix("/nix/store/")) {
        // A copy of the flake's files, such as `"${./.}"`, has its name at the end.
        Some(name) => sentence.contains(name),
        // Without a flake.nix that Git tracks, where the flake is copied to is unknown.
        None => sentence.contains("/flake.nix'") && !clean.contains("flake input"),
    };
    if code == "missing-file" && sentence.contains("/nix/store/") && !is_own() {
        "the path is in an input, not among your files: correct it, or update the input"
            .clone_into(&mut finding.help);
    }
    if let Some(place) = place {
        let mut parts = place.splitn(3, ':');
        finding.file = parts.next().map(str::to_owned);
        let mut number = || parts.next()?.parse().ok();
        (finding.line, finding.column) = (number(), number());
    }
    finding
}

/// Returns the store path of the missing file or folder that a message names.
pub fn store_path_of_missing(message: &str) -> Option<&str> {
    let is_missing = ["' does not exist", "': No such file or directory"];
    let start = message.find("'/nix/store/")? + 1;
    let (path, rest) = message[start..].split_at(message[start..].find('\'')?);
    let name =
        path.strip_prefix("/nix/store/")?.split('/').next().filter(|name| !name.is_empty())?;
    let is_missing = is_missing.iter().any(|words| rest.starts_with(words));
    is_missing.then(|| &path[.."/nix/store/".len() + name.len()])
}

/// Changes the help of errors that the testbed's small stand-ins most likely cause.
pub fn with_testbed_advice(finding: &mut Finding) {
    let lacks = match finding.code {
        FETCH => {
            "the testbed has nothing in this input's place, so it needs the network: `cargo xtask \
             doctor` shows what is reachable"
                .clone_into(&mut finding.help);
            return;
        }
        // The testbed has the real module.
        "unknown-option" if finding.message.contains("`programs.llama-cpp.") => return,
        "unknown-option" => "the testbed's NixOS has few of the options of the real one",
        "missing-attribute" => "the testbed's stand-ins have few of the inputs' attributes",
        "missing-file" if finding.message.contains("/nix/store/") => {
            // All stand-ins are in one store path.
            if let Some((_, file)) = finding.message.split_once("-source/")
                && let Some((file, _)) = file.split_once('\'')
            {
                finding.message = format!("the testbed has no {file}");
            }
            "the testbed's stand-ins have few of the inputs' files"
        }
        _ if finding.message.starts_with("the testbed's nixpkgs has no ") => {
            "the testbed's library has few of nixpkgs' functions"
        }
        _ => return,
    };
    finding.help = format!("{WITHOUT_TESTBED}: {lacks}");
}

/// Returns the store path of the flake from a trace: without a parsable flake.nix,
/// `nix flake metadata` fails.
fn folder_of_flake(stderr: &str) -> Option<&str> {
    let places = stderr.lines().filter_map(|line| line.trim_start().strip_prefix("at "));
    places.filter_map(|place| Some(place.split_once("/flake.nix:")?.0)).next_back()
}

/// The code of failed downloads.
pub const FETCH: &str = "fetch";

/// Patterns in Nix's messages, each with a finding's code. The first match wins.
const KINDS: &[(&str, &str)] = &[
    ("has an unfree license", "unfree"),
    // Of mkLlamaCpp.
    ("its libraries are unfree", "unfree"),
    ("is marked as insecure", "insecure"),
    ("is marked as broken", "broken"),
    // nixpkgs since 2026.
    ("because it has problems", "broken"),
    ("problems that must be acknowledged", "broken"),
    ("is not available on the requested hostPlatform", "platform"),
    ("unknown microarchitecture", "unknown-microarch"),
    ("Failed assertions", "assertion"),
    ("infinite recursion encountered", "infinite-recursion"),
    ("in pure eval", "impure"),
    ("impure to override", "impure"),
    ("'currentSystem' missing", "impure"),
    ("' missing", "missing-attribute"),
    ("does not exist. Definition values", "unknown-option"),
    ("is not of type", "wrong-type"),
    ("has conflicting definition values", "conflict"),
    ("is read-only, but it's set multiple times", "conflict"),
    ("is defined multiple times while it's expected to be unique", "conflict"),
    ("is already declared in", "conflict"),
    ("was accessed but has no value defined", "no-value"),
    ("is used but not defined", "no-value"),
    ("syntax error", "syntax"),
    ("undefined variable", "undefined-variable"),
    ("stack overflow", "stack-overflow"),
    ("max-call-depth exceeded", "stack-overflow"),
    ("No space left on device", "disk-full"),
    ("Disk quota exceeded", "disk-full"),
    ("database or disk is full", "disk-full"),
    ("out of memory", "out-of-memory"),
    ("hash mismatch in", "hash-mismatch"),
    ("mismatch in field 'narHash'", "hash-mismatch"),
    ("cannot connect to socket", "no-daemon"),
    ("Nix daemon disconnected", "no-daemon"),
    ("cannot open connection to remote store 'daemon'", "no-daemon"),
    ("is not tracked by Git", "untracked-file"),
    ("does not contain a '/", "untracked-file"),
    ("evaluation aborted", "abort"),
    ("is not owned by current user", "foreign-repository"),
    ("unable to download", FETCH),
    ("Failed to fetch git repository", FETCH),
    ("program 'git' failed", FETCH),
    ("executing 'git'", FETCH),
    ("Cannot find Git revision", FETCH),
    ("resolving Git reference", FETCH),
    ("does not exist", "missing-file"),
];

/// What to do about a failed download, by its answer from the server or from Git. An empty help
/// stands for that of the code.
const REFUSALS: &[(&str, &str)] = &[
    ("rate limit", ADD_TOKEN),
    ("HTTP error 429", ADD_TOKEN),
    ("HTTP error 401", "replace the token of this server in `access-tokens` of nix.conf"),
    ("HTTP error 403", ADD_TOKEN),
    (
        "HTTP error 404",
        "correct the input's URL, or run `nix flake update INPUT` if its revision is gone; a \
         private repository needs `access-tokens` in nix.conf",
    ),
    (
        "SSL",
        "check the clock of this machine, and `ssl-cert-file` in nix.conf if a proxy has its own \
         certificate",
    ),
    ("executing 'git'", "install Git, with which Nix fetches this input"),
    ("dubious ownership", "run `git config --global --add safe.directory FOLDER`"),
    ("ermission denied", WITHOUT_PROMPT),
    ("Host key verification failed", WITHOUT_PROMPT),
    ("could not read Username", WITHOUT_PROMPT),
    ("returned error: 40", WITHOUT_PROMPT),
    ("unable to access", ""),
    ("ssh: ", ""),
    ("Cannot find Git revision", "its branch was rewritten: run `nix flake update INPUT`"),
    ("resolving Git reference", "correct the branch or tag in the input's URL"),
];

const ADD_TOKEN: &str = "the server limits anonymous requests: set `access-tokens = \
                         github.com=TOKEN` in nix.conf, or try again in an hour";
const WITHOUT_PROMPT: &str = "`git ls-remote URL` must work for this user, without a prompt";

fn classify(message: &str) -> &'static str {
    // Only a Nix without a daemon writes to the store itself.
    let is_denied = message.contains(" '/nix/") && message.ends_with("Permission denied");
    if is_denied && !message.contains("socket") {
        return "foreign-store";
    }
    // Of files that are read; also of those that are imported, before Nix 2.20.
    if message.contains(" '/nix/store/") && message.contains("': No such file or directory") {
        return "missing-file";
    }
    KINDS
        .iter()
        .find(|(pattern, _)| message.contains(pattern))
        .map_or("eval-error", |(_, code)| code)
}

/// Returns the module argument that cannot be evaluated. Unless it is in `specialArgs`, it is part
/// of the configuration, which needs the imports first.
fn module_argument<'a>(stderr: &'a str, message: &str, code: &str) -> Option<&'a str> {
    let mut named = stderr.lines().filter_map(|line| {
        // A trace quotes code, which may have the same words.
        let (_, rest) = line.split_once("… while evaluating the module argument `")?;
        Some(rest.split_once('\'')?.0)
    });
    match code {
        "infinite-recursion" => {
            named.find(|name| !["config", "lib", "options", "pkgs"].contains(name))
        }
        "missing-attribute" => named.find(|name| message == format!("attribute '{name}' missing")),
        _ => None,
    }
}

/// Returns Git's own error, which it prints before Nix's: Nix may call a branch missing if the
/// server cannot be reached.
fn reason_of_git(stderr: &str) -> Option<&str> {
    let mut lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).rev();
    // Nix tries to note a branch that it could not read.
    let is_cause = |line: &str| line.starts_with("fatal: ") && !line.contains("to point HEAD");
    let fatal = lines.find(|line| is_cause(line))?;
    // After ssh's own error.
    let is_ssh = fatal.contains("Could not read from remote repository");
    if is_ssh { lines.next() } else { fatal.strip_prefix("fatal: ") }
}

/// Returns the text after the last `error:` at the start of a line; without one, the last line.
/// That a dependency failed is the consequence of an earlier error.
fn final_message(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().collect();
    let is_error = |line: &&str| line.trim_start().starts_with("error:");
    let starts = (0..lines.len()).rev().filter(|&at| is_error(&lines[at]));
    let messages = starts.map(|at| message_at(&lines[at..]));
    let mut messages = messages.filter(|message| !message.is_empty()).peekable();
    let last = messages.peek().cloned();
    messages.find(|message| !is_consequence(message)).or(last).unwrap_or_else(|| {
        let last = lines.iter().rfind(|line| !line.trim().is_empty());
        last.map_or("", |line| line.trim()).to_owned()
    })
}

fn is_consequence(message: &str) -> bool {
    let failed = ["Reason: ", "failed"].iter().all(|word| message.contains(word));
    message.contains("dependencies of derivation '") || failed && message.contains(" dependenc")
}

/// Returns the text of the error that begins in the first line.
fn message_at(lines: &[&str]) -> String {
    let indent_of = |line: &str| line.len() - line.trim_start().len();
    let indent = indent_of(lines[0]);
    let first = lines[0].trim_start().trim_start_matches("error:").trim();
    let rest = lines[1..].iter().take_while(|line| {
        let body = line.trim();
        !body.starts_with("at ")
            && !body.starts_with('…')
            && !body.starts_with("error:")
            && (body.is_empty() || indent_of(line) >= indent)
    });
    let mut message: Vec<&str> = Some(first).into_iter().filter(|l| !l.is_empty()).collect();
    message.extend(rest.map(|line| line.trim()).skip_while(|line| line.is_empty()));
    message.join("\n").trim().to_owned()
}

/// Returns the innermost frame in the user's files, or a file that the message names, as Nix
/// writes it but relative to the flake: `hosts/boron/default.nix:12:3`.
fn own_place<'a>(stderr: &'a str, message: &'a str, code: &str, source: &str) -> Option<&'a str> {
    let prefix = format!("{source}/");
    let named = |text: &'a str| {
        let rest = &text[text.rfind(&prefix)? + prefix.len()..];
        let end = rest.find(['\'', '`', '"', ' ', ',', ')', '\n', '’']).unwrap_or(rest.len());
        Some(rest[..end].trim_end_matches(['.', ':']))
    };
    // The module system's errors name the file that defines the option.
    if message.contains(&prefix) && code != "missing-file" {
        return named(message);
    }
    let frame = stderr
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("at "))
        .rfind(|at| at.starts_with(&prefix));
    frame.and_then(named).or_else(|| named(message))
}

/// Returns the line of a file's text that defines the option in `message`. The module system
/// reports only files.
pub fn line_of_option(message: &str, text: &str) -> Option<u32> {
    let path = match message.split_once("option `") {
        Some((_, rest)) => rest.split('\'').next()?,
        None => message.strip_prefix("programs.llama-cpp.")?.split([':', ' ']).next()?,
    };
    let defines = |line: &str, name: &str| {
        line.match_indices(name).any(|(at, _)| {
            let outside =
                |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || "-_".contains(c));
            let after = line[at + name.len()..].trim_start();
            outside(line[..at].chars().next_back())
                && (after.starts_with('=') || after.starts_with('.'))
        })
    };
    let parts = std::iter::once(0).chain(path.match_indices('.').map(|(at, _)| at + 1));
    for name in parts.map(|at| &path[at..]) {
        let mut lines = text
            .lines()
            .zip(1..)
            .filter(|(line, _)| defines(line.split('#').next().unwrap_or(line), name))
            .map(|(_, number)| number);
        if let Some(line) = lines.next() {
            // Several options may end in the same name, such as `enable`.
            let is_certain = name.contains('.') || name == path || lines.next().is_none();
            return is_certain.then_some(line);
        }
    }
    None
}

/// Removes the definitions from the error about an option that does not exist.
fn without_values(sentence: &str) -> String {
    let Some((what, rest)) = sentence.split_once(". Definition values:") else {
        return sentence.to_owned();
    };
    let hint = rest.lines().map(str::trim).find(|line| line.starts_with("Did you mean"));
    hint.map_or_else(|| what.to_owned(), |hint| format!("{what}. {hint}"))
}

/// Cuts a message to its first lines: a type error can quote a whole package set.
fn shorten(message: &str) -> String {
    const LINES: usize = 12;
    const CHARS: usize = 1200;
    let mut kept: Vec<&str> = message.lines().take(LINES).collect();
    while kept.last().is_some_and(|line| line.trim().is_empty()) {
        kept.pop();
    }
    let mut text = kept.join("\n");
    if text.chars().count() > CHARS {
        text = text.chars().take(CHARS).collect::<String>() + "…";
    } else if message.lines().count() > LINES {
        text.push_str("\n…");
    }
    text
}

#[cfg(test)]
#[path = "diagnosis_tests.rs"]
mod tests;
