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
    let code = classify(&message);
    // A network failure has no place in the fleet.
    let place =
        source.filter(|_| code != FETCH).and_then(|source| own_place(&clean, &message, source));
    let sentence = source.map_or_else(
        || message.clone(),
        |source| message.replace(&format!("{source}/"), "").replace(source, "the flake"),
    );
    let sentence = if code == "unknown-option" { without_values(&sentence) } else { sentence };
    let mut finding = Finding::error(code, shorten(&sentence), codes::advice(code));
    if code == "missing-file" && sentence.contains("/nix/store/") {
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
const KINDS: [(&str, &str); 25] = [
    ("has an unfree license", "unfree"),
    ("is marked as insecure", "insecure"),
    ("is marked as broken", "broken"),
    ("is not available on the requested hostPlatform", "platform"),
    ("unknown microarchitecture", "unknown-microarch"),
    ("Failed assertions", "assertion"),
    ("infinite recursion encountered", "infinite-recursion"),
    ("' missing", "missing-attribute"),
    ("does not exist. Definition values", "unknown-option"),
    ("is not of type", "wrong-type"),
    ("has conflicting definition values", "conflict"),
    ("is read-only, but it's set multiple times", "conflict"),
    ("was accessed but has no value defined", "no-value"),
    ("syntax error", "syntax"),
    ("undefined variable", "undefined-variable"),
    ("stack overflow", "stack-overflow"),
    ("max-call-depth exceeded", "stack-overflow"),
    ("No space left on device", "disk-full"),
    ("cannot connect to socket", "no-daemon"),
    ("does not exist", "missing-file"),
    ("is not tracked by Git", "untracked-file"),
    ("evaluation aborted", "abort"),
    ("unable to download", FETCH),
    ("Failed to fetch git repository", FETCH),
    ("program 'git' failed", FETCH),
];

fn classify(message: &str) -> &'static str {
    // Only a Nix without a daemon writes to the store itself.
    if message.contains(" '/nix/") && message.ends_with("Permission denied") {
        return "foreign-store";
    }
    KINDS
        .iter()
        .find(|(pattern, _)| message.contains(pattern))
        .map_or("eval-error", |(_, code)| code)
}

/// Returns the text after the last `error:` at the start of a line; without one, the last line.
fn final_message(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().collect();
    let is_error = |line: &&str| line.trim_start().starts_with("error:");
    let Some(start) = lines.iter().rposition(is_error) else {
        return lines
            .iter()
            .rfind(|line| !line.trim().is_empty())
            .map_or("", |line| line.trim())
            .into();
    };
    let indent_of = |line: &str| line.len() - line.trim_start().len();
    let indent = indent_of(lines[start]);
    let first = lines[start].trim_start().trim_start_matches("error:").trim();
    let rest = lines[start + 1..].iter().take_while(|line| {
        let body = line.trim();
        !body.starts_with("at ")
            && !body.starts_with('…')
            && (body.is_empty() || indent_of(line) >= indent)
    });
    let mut message: Vec<&str> = Some(first).into_iter().filter(|l| !l.is_empty()).collect();
    message.extend(rest.map(|line| line.trim()).skip_while(|line| line.is_empty()));
    message.join("\n").trim().to_owned()
}

/// Returns the innermost frame in the user's files, or a file that the message names, as Nix
/// writes it but relative to the flake: `hosts/boron/default.nix:12:3`.
fn own_place<'a>(stderr: &'a str, message: &'a str, source: &str) -> Option<&'a str> {
    let prefix = format!("{source}/");
    let named = |text: &'a str| {
        let rest = &text[text.rfind(&prefix)? + prefix.len()..];
        let end = rest.find(['\'', '`', '"', ' ', ',', '\n', '’']).unwrap_or(rest.len());
        Some(rest[..end].trim_end_matches(['.', ':']))
    };
    // The module system's errors name the file that defines the option.
    if message.contains(&prefix) && !message.contains("' does not exist") {
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
mod tests {
    use super::*;

    const SOURCE: &str = "/nix/store/0c9xs6jgw1wbvbvqxd8gsjc40zq2pd4f-source";

    /// Nix 2.26.3, `nix eval --show-trace`, a host that throws.
    const THROW: &str = "error:\n       … while evaluating the attribute 'drvPath'\n         at /nix/store/0c9xs6jgw1wbvbvqxd8gsjc40zq2pd4f-source/flake.nix:31:7:\n           30|       x = 1;\n           31|       drvPath = y;\n             |       ^\n\n       … while calling the 'throw' builtin\n         at /nix/store/0c9xs6jgw1wbvbvqxd8gsjc40zq2pd4f-source/hosts/boron/default.nix:12:20:\n           11|   # a comment\n           12|   programs.llama-cpp.microarch = throw \"no such chip\";\n             |                                  ^\n\n       error: no such chip\n";

    #[test]
    fn what_a_stand_in_lacks_is_not_the_users_mistake() {
        let diagnosed = |printed: &str| {
            let mut finding = diagnose(printed, Some(SOURCE));
            with_testbed_advice(&mut finding);
            finding
        };
        let file = diagnosed(&format!(
            "error:\n at {SOURCE}/flake.nix:3:1:\nerror: path '/nix/store/\
             yp349x3g8ddsh0cwzjvrhb48gm3y6m9j-source/nixpkgs/nixos/modules/profiles/hardened.nix' \
             does not exist"
        ));
        assert_eq!(file.message, "the testbed has no nixpkgs/nixos/modules/profiles/hardened.nix");
        for printed in [
            "error: path '/nix/store/yp349x3g8ddsh0cwzjvrhb48gm3y6m9j-source/a.nix' does not exist",
            "error: The option `boot.initrd.enable' does not exist. Definition values:",
            "error: attribute 'raspberry-pi-4' missing",
        ] {
            let finding = diagnosed(printed);
            assert!(
                finding.help.starts_with("check this fleet without `--testbed`"),
                "{finding:?}"
            );
        }
        let printed = "error: The option `a.b' does not exist. Definition values:\n- In `x.nix': 1\n\n\
                       Did you mean `a.c'?";
        let message = diagnosed(printed).message;
        assert_eq!(message, "The option `a.b' does not exist. Did you mean `a.c'?");
        let fetched = diagnosed("error: unable to download 'https://x.org/a': no network");
        assert!(fetched.help.contains("the testbed has nothing in this input's place"));
        // A file of the fleet's own is not the testbed's.
        let own = format!("error: path '{SOURCE}/hosts/x.nix' does not exist");
        assert!(!diagnosed(&own).help.contains("testbed"));
    }

    #[test]
    fn the_store_path_of_a_missing_file_is_found() {
        for (message, path) in [
            ("path '/nix/store/abc-x' does not exist", Some("/nix/store/abc-x")),
            (
                "opening file '/nix/store/abc-x/a/b': No such file or directory",
                Some("/nix/store/abc-x"),
            ),
            ("path '/nix/store/abc-x' is a folder", None),
            ("path '/nix/store/' does not exist", None),
            ("path '/nix/store/abc-x", None),
            ("path '/home/x' does not exist", None),
        ] {
            assert_eq!(store_path_of_missing(message), path, "{message}");
        }
    }

    /// Printed by Nix 2.26.3 with a full file system, without a daemon, and for another user.
    #[test]
    fn errors_of_the_machine_have_codes() {
        let kind = |printed: &str| diagnose(printed, None).code;
        assert_eq!(kind("error: writing to file: No space left on device"), "disk-full");
        let daemon = "error: cannot connect to socket at '/nix/x': No such file or directory";
        assert_eq!(kind(daemon), "no-daemon");
        let package = "error: The option `programs.llama-cpp.package' is read-only, but it's set \
                       multiple times. Definition values:\n";
        assert_eq!(kind(package), "conflict");
        let other_user = "error: opening lock file '/nix/var/nix/db/big-lock': Permission denied";
        assert_eq!(kind(other_user), "foreign-store");
    }

    #[test]
    fn a_throw_lands_on_the_innermost_own_line() {
        let finding = diagnose(THROW, Some(SOURCE));
        assert_eq!(finding.message, "no such chip");
        assert_eq!(finding.place().as_deref(), Some("hosts/boron/default.nix:12"));
    }

    #[test]
    fn frames_in_nixpkgs_are_not_the_users() {
        let stderr = format!(
            "error:\n       … while evaluating x\n         at {SOURCE}/hosts/a.nix:3:1:\n\n       … y\n         at /nix/store/1c9xs6jgw1wbvbvqxd8gsjc40zq2pd4f-source/lib/modules.nix:800:9:\n\n       error: infinite recursion encountered\n       at /nix/store/1c9xs6jgw1wbvbvqxd8gsjc40zq2pd4f-source/lib/modules.nix:1:1:\n"
        );
        let finding = diagnose(&stderr, Some(SOURCE));
        assert_eq!(finding.code, "infinite-recursion");
        assert_eq!(finding.place().as_deref(), Some("hosts/a.nix:3"));
        assert_eq!(finding.message, "infinite recursion encountered");
    }

    #[test]
    fn a_module_error_names_its_file() {
        let stderr = format!(
            "error: A definition for option `programs.llama-cpp.microarch' is not of type `string'. Definition values:\n       - In `{SOURCE}/hosts/boron/default.nix': 5\n"
        );
        let finding = diagnose(&stderr, Some(SOURCE));
        assert_eq!(finding.code, "wrong-type");
        assert_eq!(finding.place().as_deref(), Some("hosts/boron/default.nix"));
        assert!(
            finding.message.contains("- In `hosts/boron/default.nix': 5"),
            "{}",
            finding.message
        );
    }

    #[test]
    fn the_line_of_an_option_is_looked_for_in_its_file() {
        let message = "The option `programs.llama-cpp.microarchs' does not exist.";
        let file =
            "{\n  # microarchs = 1;\n  x-microarchs = 2;\n  programs.llama-cpp.microarchs = 3;\n}";
        assert_eq!(line_of_option(message, file), Some(4));
        assert_eq!(line_of_option("no option", file), None);
        let message = "The option `boot.initrd.enable' does not exist.";
        for (file, line) in [
            (
                "{\n  enable = mkEnableOption x;\n  boot = {\n    initrd.enable = false; }; }",
                Some(4),
            ),
            ("{\n  enable = x;\n  boot.initrd = { enable = false; }; }", None),
            ("{\n  boot.initrd = { enable = false; }; }", Some(2)),
        ] {
            assert_eq!(line_of_option(message, file), line, "{file}");
        }
    }

    #[test]
    fn a_file_that_git_does_not_track_is_explained() {
        let stderr = format!(
            "error:\n       … x\n         at {SOURCE}/hosts/default.nix:2:12:\n\n       error: path '{SOURCE}/hosts/new.nix' does not exist\n"
        );
        let finding = diagnose(&stderr, Some(SOURCE));
        assert_eq!(finding.code, "missing-file");
        assert_eq!(finding.message, "path 'hosts/new.nix' does not exist");
        assert!(finding.help.contains("git add"));
        let inside = stderr.replace(&format!("path '{SOURCE}"), "path '/nix/store/abc-source");
        let finding = diagnose(&inside, Some(SOURCE));
        assert_eq!(finding.code, "missing-file");
        assert!(!finding.help.contains("git add") && finding.help.contains("in an input"));
    }

    #[test]
    fn empty_output_is_a_finding_too() {
        assert_eq!(diagnose("", None).code, "eval-error");
    }
}
