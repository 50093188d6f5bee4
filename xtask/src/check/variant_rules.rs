//! The rules for a variant that evaluates, such as no flag that makes the build impure or slow, and
//! the module's assertions as findings.
//!
//! Pure: no I/O, no clock.

use crate::check::package_overrides;
use crate::findings::finding::Finding;
use crate::fleet::manifest::{Problems, Selection};
use crate::hardware::{cpu_flags, gpu_targets, kv_cache};

pub fn selection(selection: &Selection) -> Vec<Finding> {
    let mut findings = cpu_flags::judge(&selection.manifest);
    findings.extend(gpu_targets::judge(&selection.manifest));
    findings.extend(kv_cache::judge(&selection.manifest));
    findings.extend(package_overrides::judge(selection));
    findings.extend(no_driver(selection));
    if let Some(reason) = &selection.manifest.not_split {
        findings.push(Finding::note(
            "not-split",
            format!("the package is built as a whole, and shares no parts: {reason}"),
            "nothing breaks; set `programs.llama-cpp.modular = false` if this is intended",
        ));
    }
    if !selection.manifest.dropped_arguments.is_empty() {
        findings.push(Finding::warning(
            "dropped-argument",
            format!(
                "package.nix of this llama.cpp revision has no argument {}",
                selection.manifest.dropped_arguments.join(", ")
            ),
            "ignore this if you do not need it; otherwise pin another revision",
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
    let code = kind(sentence);
    let (message, help) = sentence
        .split_once("; ")
        .unwrap_or((sentence, "correct the option that the message names"));
    let option = message
        .strip_prefix("programs.llama-cpp.")
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or(rest));
    let files = option.and_then(|option| problems.files.get(option)).into_iter().flatten();
    let own = |file: &String| Some(file.strip_prefix(source?)?.trim_start_matches('/').to_owned());
    Finding { file: files.filter_map(own).next(), ..Finding::error(code, message, help) }
}

/// An assertion of NixOS, or of any module: `what; what to do` or a sentence.
pub fn failed_assertion(sentence: &str) -> Finding {
    let sentence = sentence.trim();
    let (message, help) = sentence
        .split_once("; ")
        .filter(|_| sentence.starts_with("programs.llama-cpp."))
        .unwrap_or((sentence, "fix what the assertion names"));
    Finding::error(kind(sentence), message, help)
}

pub fn nixos_warning(sentence: &str) -> Finding {
    Finding::warning(
        "nixos-warning",
        sentence.trim(),
        "this is a warning of the host's NixOS configuration",
    )
}

/// The module's sentences have the codes of what they are about, and so have nixpkgs' refusals, as
/// in nix/diagnosis.rs. The first match wins.
fn kind(sentence: &str) -> &'static str {
    const KINDS: [(&str, &str); 10] = [
        ("unfree", "unfree"),
        ("is marked as broken", "broken"),
        ("is marked as insecure", "insecure"),
        ("is not available on", "platform"),
        ("this nixpkgs does not have for", "platform"),
        ("is available for x86_64-linux only", "platform"),
        ("turns GGML_NATIVE on", "impure-flag"),
        ("is not a CUDA capability", "gpu-target"),
        ("is not a ROCm target", "gpu-target"),
        ("programs.llama-cpp.microarch: ", "unknown-microarch"),
    ];
    let otherwise =
        if sentence.trim().starts_with("programs.llama-cpp.") { "bad-option" } else { "assertion" };
    KINDS.iter().find(|(text, _)| sentence.contains(text)).map_or(otherwise, |(_, code)| code)
}

/// ROCm needs the kernel's amdgpu alone.
fn no_driver(selection: &Selection) -> Option<Finding> {
    let drivers = selection.around.drivers?;
    let has = |backend: &str| selection.manifest.has_backend(backend);
    let (backend, what, option) = match () {
        () if has("cuda") && !drivers.nvidia => {
            ("cuda", "NVIDIA's driver", "services.xserver.videoDrivers = [ \"nvidia\" ];")
        }
        () if (has("cuda") || has("vulkan")) && !drivers.graphics => (
            if has("cuda") { "cuda" } else { "vulkan" },
            "the drivers in /run/opengl-driver",
            "hardware.graphics.enable = true;",
        ),
        () => return None,
    };
    Some(Finding::warning(
        "no-driver",
        format!(
            "the backend is {backend}, but the host does not install {what}: no GPU will be found"
        ),
        format!("set `{option}`"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the words of overlays/llama-cpp/problems.nix, of nixpkgs and of another module.
    #[test]
    fn an_assertion_gives_way_to_the_code_of_what_it_is_about() {
        for (sentence, code) in [
            (
                "programs.llama-cpp.microarch: unknown microarchitecture \"zen9\"",
                "unknown-microarch",
            ),
            (
                "programs.llama-cpp.cudaCapabilities: \"86\" is not a CUDA capability; write",
                "gpu-target",
            ),
            (
                "programs.llama-cpp.rocmTargets: \"906\" is not a ROCm target; write it",
                "gpu-target",
            ),
            ("programs.llama-cpp.extraCmakeFlags turns GGML_NATIVE on, which makes", "impure-flag"),
            (
                "programs.llama-cpp.backend includes cuda, but its libraries are unfree and",
                "unfree",
            ),
            (
                "programs.llama-cpp.backend: \"metal\" is not a backend; choose from cpu",
                "bad-option",
            ),
            (
                "programs.llama-cpp.backend includes rocm, which is available for x86_64-linux only",
                "platform",
            ),
            ("The ‘fileSystems’ option does not specify your root file system.", "assertion"),
        ] {
            assert_eq!(failed_assertion(sentence).code, code, "{sentence}");
            let problems =
                Problems { sentences: vec![sentence.to_owned()], files: Default::default() };
            assert_eq!(assertions(&problems, None)[0].code, code, "{sentence}");
        }
    }
}
