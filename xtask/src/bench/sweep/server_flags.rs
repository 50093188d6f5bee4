//! The Nix lines that set the best configuration of a sweep, for `bench` and for the service, whose
//! llama-server has other names for some of llama-bench's parameters.
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
    /// `services.llama-cpp.settings = {…};`, or `extraFlags` for an earlier nixpkgs. Null if
    /// llama-server has none of the flags.
    pub service: Option<String>,
    /// Parameters without a flag of llama-server.
    pub without_flag: Vec<String>,
}

/// Flags with the same name and meaning in both programs.
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
/// Flags whose lists llama-bench separates by `/`, because its commas separate values.
const LISTS: [&str; 2] = ["--tensor-split", "--device"];
/// Option and value of llama-bench, and the server's flag with that meaning; the other value is the
/// server's default.
const SWITCHES: [(&str, &str, &str); 4] = [
    ("--no-kv-offload", "1", "--no-kv-offload"),
    ("--no-op-offload", "1", "--no-op-offload"),
    ("--mmap", "0", "--no-mmap"),
    ("--repack", "0", "--no-repack"),
];

/// Returns the Nix lines of a point. `args` are all arguments of llama-bench; `extra_flags` is whether
/// the host's nixpkgs has that option instead of `settings`.
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
            true => format!("services.llama-cpp.extraFlags = {};", nix_list(arguments(&flags))),
            false => format!("services.llama-cpp.settings = {{ {} }};", settings(&flags)),
        }),
        without_flag,
    }
}

fn arguments(flags: &[Flag]) -> Vec<String> {
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

/// Returns the server's flag: None if it has none, `Some(None)` if the value is its default.
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
        // In llama.cpp 2025-08, the server's flag has no value, and llama-bench's is 0 or 1.
        let has_value = parameter.known.value.as_deref().is_some_and(|value| value.contains("on|"));
        return match (has_value, value) {
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
    fn the_lines_are_valid_nix_for_any_value() {
        let new = include_str!("../../../tests/fixtures/llama-bench/new.help");
        let nix = lines(new, &["t=8", "ts=30/70", "fa=1", "nkvo=0", "embd=1"], true);
        assert_eq!(
            nix.bench,
            "programs.llama-cpp.bench.args = [ \"-t\" \"8\" \"-ts\" \"30/70\" \"-fa\" \"1\" \"-nkvo\" \"0\" \
             \"-embd\" \"1\" ];"
        );
        assert_eq!(
            nix.service.as_deref(),
            Some(
                "services.llama-cpp.extraFlags = [ \"--threads\" \"8\" \"--tensor-split\" \"30,70\" \
                 \"--flash-attn\" \"on\" ];"
            )
        );
        assert_eq!(nix.without_flag, ["embd"]);
        let nix = lines(new, &["t=8", "ts=30/70", "fa=1", "nkvo=1", "dev=${x}"], false);
        assert_eq!(
            nix.service.as_deref(),
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
        let nix = lines(old, &["fa=1", "mmp=0"], true).service;
        assert_eq!(
            nix.as_deref(),
            Some("services.llama-cpp.extraFlags = [ \"--flash-attn\" \"--no-mmap\" ];")
        );
    }
}
