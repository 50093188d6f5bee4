//! What must hold of a variant that evaluates: no flag that would make the build impure
//! or slow. And the module's own assertions, as findings.

use crate::domain::finding::Finding;
use crate::domain::manifest::{Problems, Selection};

pub fn selection(selection: &Selection) -> Vec<Finding> {
    let mut findings = vec![];
    let flags = &selection.manifest.cmake_flags;
    if let Some(flag) = flags.iter().find(|flag| is_native(flag)) {
        findings.push(Finding::error(
            "impure-flag",
            format!("{flag} makes ggml ignore every other CPU option, and the build impure"),
            "remove it and set `programs.llama-cpp.microarch` to this machine's CPU",
        ));
    }
    if !selection.manifest.dropped_arguments.is_empty() {
        findings.push(Finding::warning(
            "dropped-argument",
            format!(
                "this llama.cpp revision's package.nix takes no {}",
                selection.manifest.dropped_arguments.join(", ")
            ),
            "nothing to do if you can live without it; else pin another revision",
        ));
    }
    findings
}

/// The module's sentences have the form `programs.llama-cpp.OPTION …; what to do`. `source`
/// is the store path that the flake was copied to.
pub fn assertions(problems: &Problems, source: Option<&str>) -> Vec<Finding> {
    problems.sentences.iter().map(|sentence| assertion(sentence, problems, source)).collect()
}

fn assertion(sentence: &str, problems: &Problems, source: Option<&str>) -> Finding {
    let code = if sentence.contains("unfree") { "unfree" } else { "assertion" };
    let (message, help) =
        sentence.split_once("; ").unwrap_or((sentence, "mend the option that the message names"));
    let option = message
        .strip_prefix("programs.llama-cpp.")
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or(rest));
    let files = option.and_then(|option| problems.files.get(option)).into_iter().flatten();
    let own = |file: &String| Some(file.strip_prefix(source?)?.trim_start_matches('/').to_owned());
    Finding { file: files.filter_map(own).next(), ..Finding::error(code, message, help) }
}

fn is_native(flag: &str) -> bool {
    let Some((name, value)) = flag.split_once('=') else { return false };
    let name = name.split(':').next().unwrap_or(name);
    let on = matches!(value.to_ascii_uppercase().as_str(), "ON" | "TRUE" | "1" | "YES" | "Y");
    name == "-DGGML_NATIVE" && on || value.contains("-march=native")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_native_is_found() {
        assert!(is_native("-DGGML_NATIVE=ON"));
        assert!(is_native("-DGGML_NATIVE:BOOL=TRUE"));
        assert!(is_native("-DCMAKE_C_FLAGS=-O2 -march=native"));
        assert!(!is_native("-DGGML_NATIVE:BOOL=FALSE"));
        assert!(!is_native("-DGGML_AVX=ON"));
    }
}
