//! Checks a variant that evaluates, for example for flags that make the build impure or slow, and
//! turns the module's assertions into findings.
//!
//! Pure: no I/O, no clock.

use crate::check::package_overrides;
use crate::findings::finding::Finding;
use crate::fleet::manifest::{Problems, Selection};
use crate::hardware::gpu_targets::{self, is_before_turing};
use crate::hardware::{cpu_flags, kv_cache};

pub fn findings(selection: &Selection) -> Vec<Finding> {
    let mut findings = cpu_flags::findings(&selection.manifest);
    findings.extend(gpu_targets::findings(&selection.manifest));
    findings.extend(kv_cache::findings(&selection.manifest));
    findings.extend(package_overrides::findings(selection));
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
                "this llama.cpp has no argument or CMake option {}",
                selection.manifest.dropped_arguments.join(", ")
            ),
            "ignore this if you do not need it; otherwise pin another revision",
        ));
    }
    findings
}

/// Returns a finding for each of the module's problems, with the file that defines the option.
/// `source` is the store path that the flake was copied to.
pub fn assertions(problems: &Problems, source: Option<&str>) -> Vec<Finding> {
    let finding = |sentence: &String| {
        let option = sentence
            .strip_prefix("programs.llama-cpp.")
            .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or(rest));
        let files = option.and_then(|option| problems.files.get(option)).into_iter().flatten();
        let own =
            |file: &String| Some(file.strip_prefix(source?)?.trim_start_matches('/').to_owned());
        Finding { file: files.filter_map(own).next(), ..failed_assertion(sentence) }
    };
    problems.sentences.iter().map(finding).collect()
}

/// Returns the finding for a failed assertion. This module's have the form
/// `programs.llama-cpp.OPTION …; what to do`.
pub fn failed_assertion(sentence: &str) -> Finding {
    let sentence = sentence.trim();
    let (message, help) = sentence
        .split_once("; ")
        .filter(|_| sentence.starts_with("programs.llama-cpp."))
        .unwrap_or((sentence, "fix what the assertion names"));
    Finding::error(code(sentence), message, help)
}

pub fn nixos_warning(sentence: &str) -> Finding {
    Finding::warning(
        "nixos-warning",
        sentence.trim(),
        "this is a warning of the host's NixOS configuration",
    )
}

/// Returns the code for an assertion of this module, of nixpkgs (as in nix/diagnosis.rs), or of
/// any other module. The first match wins.
fn code(sentence: &str) -> &'static str {
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

/// Checks that the host installs the backend's driver. ROCm only needs the kernel's amdgpu.
fn no_driver(selection: &Selection) -> Option<Finding> {
    let drivers = selection.context.drivers.as_ref()?;
    let has_cuda = selection.manifest.has_backend("cuda");
    let has_vulkan = selection.manifest.has_backend("vulkan");
    let (what, option) = if has_cuda && !drivers.nvidia {
        ("NVIDIA's driver", "services.xserver.videoDrivers = [ \"nvidia\" ];")
    } else if (has_cuda || has_vulkan) && !drivers.graphics {
        ("the drivers in /run/opengl-driver", "hardware.graphics.enable = true;")
    } else {
        return has_cuda.then(|| ignored(selection, drivers.nvidia_version.as_ref()?)).flatten();
    };
    let backend = if has_cuda { "cuda" } else { "vulkan" };
    Some(Finding::warning(
        "no-driver",
        format!(
            "the backend is {backend}, but the host does not install {what}: no GPU will be found"
        ),
        format!("set `{option}`"),
    ))
}

/// Reports a version of NVIDIA's driver that ignores a GPU of the variant.
fn ignored(selection: &Selection, version: &str) -> Option<Finding> {
    let old = selection.manifest.cuda_capabilities.iter().filter(|it| is_before_turing(it));
    let old: Vec<&str> = old.map(String::as_str).collect();
    let is_new = version.split('.').next()?.parse::<u32>().ok()? >= 590;
    (is_new && !old.is_empty()).then(|| {
        Finding::warning(
            "no-driver",
            format!(
                "the host's NVIDIA driver {version} ignores GPUs from before Turing, such as those \
                 of capability {}",
                old.join(", ")
            ),
            "set `hardware.nvidia.branch = \"legacy_580\";` and `hardware.nvidia.open = false;`",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sentences are from overlays/llama-cpp/problems.nix, from nixpkgs and from another
    /// module.
    #[test]
    fn an_assertion_has_the_code_of_its_subject() {
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
