//! What must hold of a variant that evaluates: no flag that would make the build impure
//! or slow. And the module's own assertions, as findings.

use crate::domain::finding::Finding;
use crate::domain::manifest::Selection;

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

/// `programs.llama-cpp.microarch: … Set …`: the module's messages end with the fix.
pub fn assertion(problem: &str) -> Finding {
    let code = if problem.contains("unfree") { "unfree" } else { "assertion" };
    Finding::error(code, problem.trim(), "mend the option that the message names")
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
