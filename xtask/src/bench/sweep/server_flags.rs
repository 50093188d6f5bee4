//! The lines of Nix that set what a sweep found: for `bench`, and for the service, whose
//! llama-server calls some of llama-bench's parameters otherwise.
//!
//! Pure: no I/O, no clock.

use serde::Serialize;

use crate::bench::sweep::grid::{Parameter, Point};
use crate::nix::names::{nix_list, nix_string};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NixLines {
    /// `programs.llama-cpp.bench.args = […];`
    pub bench: String,
    /// `services.llama-cpp.settings = {…};`, or `extraFlags` for an earlier nixpkgs; none where
    /// nothing of it is the server's.
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

/// `args`: all that llama-bench is given for this point. `extra_flags`: the host's nixpkgs has
/// that option, and no `settings`.
pub fn nix_lines(
    args: &[String],
    parameters: &[Parameter],
    point: &Point,
    extra_flags: bool,
) -> NixLines {
    let (mut flags, mut without_flag) = (vec![], vec![]);
    for (parameter, value) in parameters.iter().zip(&point.0) {
        match server_flag(parameter, value) {
            Some(flag) => flags.extend(flag),
            None => without_flag.push(parameter.name.clone()),
        }
    }
    NixLines {
        bench: format!("programs.llama-cpp.bench.args = {};", nix_list(args)),
        service: (!flags.is_empty()).then(|| match extra_flags {
            true => format!("services.llama-cpp.extraFlags = {};", nix_list(words(&flags))),
            false => format!("services.llama-cpp.settings = {{ {} }};", settings(&flags)),
        }),
        without_flag,
    }
}

fn words(flags: &[Flag]) -> Vec<String> {
    flags
        .iter()
        .flat_map(|(name, value)| [Some((*name).to_owned()), value.clone()])
        .flatten()
        .collect()
}

fn settings(flags: &[Flag]) -> String {
    let setting = |(name, value): &Flag| {
        let value = match value {
            None => "true".to_owned(),
            Some(value) => match value.parse::<i64>() {
                Ok(number) if number.to_string() == *value => value.clone(),
                _ => nix_string(value),
            },
        };
        format!("{} = {value};", name.trim_start_matches('-'))
    };
    flags.iter().map(setting).collect::<Vec<_>>().join(" ")
}

/// A flag of llama-server, and its value if it takes one.
type Flag = (&'static str, Option<String>);

/// None: the server has no such flag. `Some(None)`: it has, and its default says this already.
fn server_flag(parameter: &Parameter, value: &str) -> Option<Option<Flag>> {
    let aliases = &parameter.known.aliases;
    let is = |name: &str| aliases.iter().any(|alias| alias == name);
    let flag = |name: &'static str, value: &str| Some(Some((name, Some(value.to_owned()))));
    if let Some(name) = SAME.into_iter().find(|name| is(name)) {
        return flag(name, value);
    }
    if let Some(name) = LISTS.into_iter().find(|name| is(name)) {
        return flag(name, &value.replace('/', ","));
    }
    if let Some((_, when, name)) = SWITCHES.into_iter().find(|(name, ..)| is(name)) {
        return Some((value == when).then_some((name, None)));
    }
    if is("--flash-attn") {
        // llama.cpp 2025-08's server has a flag without a value, its llama-bench 0 and 1.
        let takes_words =
            parameter.known.takes.as_deref().is_some_and(|takes| takes.contains("on|"));
        return match (takes_words, value) {
            (false, "0") => Some(None),
            (false, _) => Some(Some(("--flash-attn", None))),
            (true, "1") => flag("--flash-attn", "on"),
            (true, "0") => flag("--flash-attn", "off"),
            (true, value) => flag("--flash-attn", value),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sweep::grid::{parse, resolve};

    fn lines(help: &str, settings: &[&str], extra_flags: bool) -> NixLines {
        let wanted: Vec<_> = settings.iter().map(|text| parse(text).unwrap()).collect();
        let parameters = resolve(&wanted, help, "x").unwrap();
        let point = Point(wanted.iter().map(|one| one.values[0].clone()).collect());
        nix_lines(&point.args(&parameters, &[]), &parameters, &point, extra_flags)
    }

    #[test]
    fn the_lines_are_nix_whatever_the_values_hold() {
        let new = include_str!("../../../tests/fixtures/llama-bench/new.help");
        let said = lines(new, &["t=8", "ts=30/70", "fa=1", "nkvo=0", "embd=1"], true);
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
        let said = lines(new, &["t=8", "ts=30/70", "fa=1", "nkvo=1", "dev=${x}"], false);
        assert_eq!(
            said.service.as_deref(),
            Some(
                "services.llama-cpp.settings = { threads = 8; tensor-split = \"30,70\"; flash-attn = \
                 \"on\"; no-kv-offload = true; device = \"\\${x}\"; };"
            )
        );
        let hostile = lines(new, &["ot=${x} \"$(touch y)\\"], false);
        assert_eq!(
            hostile.bench,
            r#"programs.llama-cpp.bench.args = [ "-ot" "\${x} \"\$(touch y)\\" ];"#
        );
        assert_eq!(hostile.service, None);
        let old = include_str!("../../../tests/fixtures/llama-bench/old.help");
        let said = lines(old, &["fa=1", "mmp=0"], true).service;
        assert_eq!(
            said.as_deref(),
            Some("services.llama-cpp.extraFlags = [ \"--flash-attn\" \"--no-mmap\" ];")
        );
    }
}
