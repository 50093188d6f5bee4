//! The lines of Nix that set what a sweep found: for `bench`, and for the service, whose
//! llama-server calls some of llama-bench's parameters otherwise.
//!
//! Pure: no I/O, no clock.

use serde::Serialize;

use crate::bench::sweep::grid::{Parameter, Point};
use crate::nix::names::nix_string;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NixLines {
    /// `programs.llama-cpp.bench.args = […];`
    pub bench: String,
    /// `services.llama-cpp.extraFlags = […];`; none where nothing of it is the server's.
    pub service: Option<String>,
    /// Parameters that llama-server has no flag for.
    pub without_flag: Vec<String>,
}

/// Of the same name and meaning in both.
const SAME: [&str; 14] = [
    "--threads",
    "--batch-size",
    "--ubatch-size",
    "--cache-type-k",
    "--cache-type-v",
    "--n-gpu-layers",
    "--n-cpu-moe",
    "--split-mode",
    "--main-gpu",
    "--cpu-mask",
    "--cpu-strict",
    "--poll",
    "--prio",
    "--numa",
];
/// Lists that llama-bench separates by `/`, since its commas separate values.
const LISTS: [&str; 2] = ["--tensor-split", "--device"];
/// Flags of the server that say what this value of llama-bench's says; the other value is
/// the server's default.
const SWITCHES: [(&str, &str, &str); 4] = [
    ("--no-kv-offload", "1", "--no-kv-offload"),
    ("--no-op-offload", "1", "--no-op-offload"),
    ("--mmap", "0", "--no-mmap"),
    ("--repack", "0", "--no-repack"),
];

/// `args`: all that llama-bench is given for this point.
pub fn nix_lines(args: &[String], parameters: &[Parameter], point: &Point) -> NixLines {
    let (mut flags, mut without_flag) = (vec![], vec![]);
    for (parameter, value) in parameters.iter().zip(&point.0) {
        match server_flag(parameter, value) {
            Some(words) => flags.extend(words),
            None => without_flag.push(parameter.name.clone()),
        }
    }
    NixLines {
        bench: format!("programs.llama-cpp.bench.args = {};", list(args)),
        service: (!flags.is_empty())
            .then(|| format!("services.llama-cpp.extraFlags = {};", list(&flags))),
        without_flag,
    }
}

fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| nix_string(word)).collect();
    format!("[ {} ]", words.join(" "))
}

/// Nothing to say is an empty list, no such flag is none.
fn server_flag(parameter: &Parameter, value: &str) -> Option<Vec<String>> {
    let aliases = &parameter.known.aliases;
    let is = |name: &str| aliases.iter().any(|alias| alias == name);
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    if let Some(name) = SAME.into_iter().find(|name| is(name)) {
        return words(&[name, value]);
    }
    if let Some(name) = LISTS.into_iter().find(|name| is(name)) {
        return words(&[name, &value.replace('/', ",")]);
    }
    if let Some((_, when, flag)) = SWITCHES.into_iter().find(|(name, ..)| is(name)) {
        return if value == when { words(&[flag]) } else { Some(vec![]) };
    }
    if is("--flash-attn") {
        // The old era's server has a flag without a value, as its llama-bench has 0 and 1.
        let takes_words =
            parameter.known.takes.as_deref().is_some_and(|takes| takes.contains("on|"));
        return match (takes_words, value) {
            (false, "0") => Some(vec![]),
            (false, _) => words(&["--flash-attn"]),
            (true, "1") => words(&["--flash-attn", "on"]),
            (true, "0") => words(&["--flash-attn", "off"]),
            (true, value) => words(&["--flash-attn", value]),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sweep::grid::{parse, resolve};

    fn lines(help: &str, settings: &[&str]) -> NixLines {
        let wanted: Vec<_> = settings.iter().map(|text| parse(text).unwrap()).collect();
        let parameters = resolve(&wanted, help, "x").unwrap();
        let point = Point(wanted.iter().map(|one| one.values[0].clone()).collect());
        nix_lines(&point.args(&parameters, &[]), &parameters, &point)
    }

    #[test]
    fn the_lines_are_nix_whatever_the_values_hold() {
        let new = include_str!("../../../tests/fixtures/llama-bench/new.help");
        let said = lines(new, &["t=8", "ts=30/70", "fa=1", "nkvo=0", "embd=1"]);
        assert_eq!(
            said.bench,
            "programs.llama-cpp.bench.args = [ \"-t\" \"8\" \"-ts\" \"30/70\" \"-fa\" \"1\" \"-nkvo\" \"0\" \
             \"-embd\" \"1\" ];"
        );
        assert_eq!(
            said.service.as_deref(),
            Some(
                "services.llama-cpp.extraFlags = [ \"--threads\" \"8\" \"--tensor-split\" \"30,70\" \
                 \"--flash-attn\" \"on\" ];"
            )
        );
        assert_eq!(said.without_flag, ["embd"]);
        let hostile = lines(new, &["ot=${x} \"$(touch y)\\"]);
        assert_eq!(
            hostile.bench,
            r#"programs.llama-cpp.bench.args = [ "-ot" "\${x} \"\$(touch y)\\" ];"#
        );
        assert_eq!(hostile.service, None);
        let old = include_str!("../../../tests/fixtures/llama-bench/old.help");
        let said = lines(old, &["fa=1", "mmp=0"]).service;
        assert_eq!(
            said.as_deref(),
            Some("services.llama-cpp.extraFlags = [ \"--flash-attn\" \"--no-mmap\" ];")
        );
    }
}
