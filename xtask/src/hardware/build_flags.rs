//! CMake flags that invalidate the CPU options: compiler flags, the build type, and options read
//! from files.
//!
//! Pure: no I/O, no clock.

use crate::findings::finding::{Finding, abridged};
use crate::fleet::manifest::Manifest;
use crate::hardware::cmake_line::{CommandLine, is_on};

/// Reports the flags that invalidate the CPU options.
pub fn finding(manifest: &Manifest, line: &CommandLine) -> Option<Finding> {
    let mut found: Vec<String> = vec![];
    found.extend(line.unreadable.iter().map(|flag| format!("{flag} has no value")));
    found.extend(
        line.files.iter().map(|flag| format!("{flag} may set anything, which cannot be checked")),
    );
    if line.get("GGML_CPU").is_some_and(|value| !is_on(value)) {
        found.push("-DGGML_CPU is off: the package has no CPU backend".to_owned());
    }
    for (name, value) in line.iter().filter_map(|(name, _)| Some((name, line.get(name)?))) {
        let problem = match name {
            "CMAKE_BUILD_TYPE" if !is_release(value) => "is not optimized",
            "CMAKE_SYSTEM_PROCESSOR" | "GGML_SYSTEM_ARCH" if !is_arch(&manifest.system, value) => {
                "is another architecture"
            }
            "CMAKE_TOOLCHAIN_FILE" => "may set anything, which cannot be checked",
            _ if name.starts_with("CMAKE_PROJECT_") && name.contains("INCLUDE") => {
                "may set anything, which cannot be checked"
            }
            _ if is_compiler_flags(name) && value.split_whitespace().any(selects_cpu) => {
                "bypasses ggml's CPU options"
            }
            _ if is_compiler_flags(name) && name.contains("_RELEASE") && !is_optimized(value) => {
                "is not optimized"
            }
            _ => continue,
        };
        found.push(format!("-D{name}={value} {problem}"));
    }
    if found.is_empty() {
        return None;
    }
    Some(Finding::error(
        "cpu-options",
        format!("the build does not match {}: {}", manifest.microarch, abridged(&found)),
        "remove these flags; set the CPU only through `programs.llama-cpp.microarch`",
    ))
}

fn is_release(build_type: &str) -> bool {
    ["release", "relwithdebinfo"].contains(&build_type.to_ascii_lowercase().as_str())
}

fn is_arch(system: &str, processor: &str) -> bool {
    let arch = system.split('-').next().unwrap_or(system);
    let others: &[&str] = if arch == "x86_64" { &["x86", "amd64"] } else { &["arm", "arm64"] };
    let processor = processor.to_ascii_lowercase();
    processor == arch || others.contains(&processor.as_str())
}

/// `CMAKE_CXX_FLAGS`, `CMAKE_C_FLAGS_RELEASE` and the like.
fn is_compiler_flags(name: &str) -> bool {
    ["C", "CXX", "ASM"].iter().any(|language| {
        let rest = name.strip_prefix("CMAKE_").and_then(|rest| rest.strip_prefix(language));
        rest.is_some_and(|rest| rest.starts_with("_FLAGS"))
    })
}

/// Whether a flag of GCC or Clang changes the instruction set. The listed `-m` flags only change
/// how code is scheduled and linked.
fn selects_cpu(flag: &str) -> bool {
    const OTHERS: [&str; 12] = [
        "-mtune=",
        "-mcmodel=",
        "-mprefer-vector-width=",
        "-momit-leaf-frame-pointer",
        "-mno-omit-leaf-frame-pointer",
        "-mbranch-",
        "-mindirect-branch",
        "-mfunction-return",
        "-mharden-sls",
        "-mstackrealign",
        "-mtls-dialect",
        "-mshstk",
    ];
    let flag = flag.trim_matches(['"', '\'']);
    flag.starts_with("-m") && !OTHERS.iter().any(|other| flag.starts_with(other))
}

fn is_optimized(flags: &str) -> bool {
    let level = flags.split_whitespace().filter_map(|flag| flag.strip_prefix("-O")).next_back();
    level.is_some_and(|level| ["2", "3", "fast"].contains(&level))
}
