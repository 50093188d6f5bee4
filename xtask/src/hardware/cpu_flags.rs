//! Compares the CPU options that a variant passes to CMake with the microarchitecture table: a
//! build for one CPU has exactly the options of its row, a dispatched build has none.
//!
//! Pure: no I/O, no clock.

use crate::findings::finding::{Finding, abridged};
use crate::fleet::manifest::Manifest;
use crate::hardware::build_flags;
use crate::hardware::cmake_line::{CommandLine, is_on};
use crate::hardware::microarch::{DISPATCH, Table};

pub fn findings(manifest: &Manifest) -> Vec<Finding> {
    let line = &CommandLine::parse(&manifest.cmake_flags);
    let mut findings = repeated(line);
    findings.extend(impure(line));
    findings.extend(build_flags::finding(manifest, line));
    findings.extend(match &manifest.microarchs[..] {
        // Each module is compiled with its own options, which are not in these flags.
        [_, _, ..] => several(manifest, line),
        _ if manifest.microarch == DISPATCH => dispatched(manifest, line),
        _ => exact(manifest, line),
    });
    findings
}

fn impure(line: &CommandLine) -> Option<Finding> {
    let is_native = |(name, values): &(&str, &[String])| {
        values.iter().any(|value| {
            *name == "GGML_NATIVE" && is_on(value)
                || ["-march=native", "-mcpu=native"].iter().any(|flag| value.contains(flag))
        })
    };
    let (name, values) = line.iter().find(is_native)?;
    Some(Finding::error(
        "impure-flag",
        format!(
            "-D{name}={} makes ggml ignore every other CPU option, and the build impure",
            values.join(", ")
        ),
        "remove it, and set `programs.llama-cpp.microarch` to this machine's CPU",
    ))
}

/// Reports variables that are set more than once: CMake uses the last value, so the others are
/// misleading.
fn repeated(line: &CommandLine) -> Vec<Finding> {
    let finding = |(name, values): (&str, &[String])| {
        (values.len() > 1).then(|| {
            let help = "pass it once: `programs.llama-cpp.extraCmakeFlags` replaces the module's \
                        own flag";
            let count = values.len();
            let message = format!("-D{name} is passed {count} times: {}", abridged(values));
            if values.iter().all(|value| value == &values[0]) {
                Finding::warning("repeated-flag", message, help)
            } else {
                Finding::error("repeated-flag", message, help)
            }
        })
    };
    line.iter().filter_map(finding).collect()
}

/// Reports a microarchitecture that only the fleet's version of the table has.
fn unknown(microarch: &str, system: &str) -> Finding {
    Finding::error(
        "unknown-microarch",
        format!("this xtask does not know the microarchitecture \"{microarch}\" for {system}"),
        "use the xtask of the fleet's llamafleet input, or set `programs.llama-cpp.microarch` to \
         \"dispatch\"",
    )
}

/// Checks a list of CPUs: the flags are common to all modules, so they select no instruction
/// sets.
fn several(manifest: &Manifest, line: &CommandLine) -> Vec<Finding> {
    let system = &manifest.system;
    let is_unknown = |name: &&str| Table::embedded().cmake_options(system, name).is_none();
    let mut findings: Vec<Finding> =
        manifest.cpus().filter(is_unknown).map(|name| unknown(name, system)).collect();
    let option = "GGML_BACKEND_DL";
    let wrong =
        if line.is_on(option) { vec![] } else { vec![(option, format!("-D{option} is not on"))] };
    findings.extend(deviations(manifest, "the flags do not match a list of CPUs", wrong));
    findings
}

fn exact(manifest: &Manifest, line: &CommandLine) -> Vec<Finding> {
    let Manifest { system, microarch, .. } = manifest;
    let Some(wanted) = Table::embedded().cmake_options(system, microarch) else {
        return vec![unknown(microarch, system)];
    };
    let mut wrong = vec![];
    for (option, value) in &wanted {
        // CMake uses the last value; `repeated` reports the others.
        let got = line.get(option);
        let agrees = match (value.as_str(), got) {
            // This llama.cpp has no such option, so it cannot be on.
            (_, None) => manifest.dropped_arguments.contains(option),
            ("ON" | "OFF", Some(got)) => is_on(got) == (value == "ON"),
            (march, Some(got)) => march == got,
        };
        if !agrees {
            let got = match (got, line.removed.get(option)) {
                (Some(got), _) => format!("is {got}"),
                (None, Some(by)) => format!("is removed by {by}"),
                (None, None) => "is not passed".to_owned(),
            };
            wrong.push((option.as_str(), format!("-D{option} {got}, but must be {value}")));
        }
    }
    let option = "GGML_CPU_ALL_VARIANTS";
    if line.is_on(option) {
        wrong.push((option, format!("-D{option} is on, but is only for \"dispatch\"")));
    }
    deviations(manifest, &format!("the CPU options do not match {microarch}"), wrong)
}

fn dispatched(manifest: &Manifest, line: &CommandLine) -> Vec<Finding> {
    let mut wrong = vec![];
    for option in ["GGML_BACKEND_DL", "GGML_CPU_ALL_VARIANTS"] {
        if !line.is_on(option) {
            wrong.push((option, format!("-D{option} is not on")));
        }
    }
    for option in Table::embedded().options() {
        let given = line.get(option);
        if given.is_some_and(|value| is_on(value) || option == "GGML_CPU_ARM_ARCH") {
            wrong.push((option, format!("-D{option} would be in every module")));
        }
    }
    deviations(manifest, "the flags do not match \"dispatch\"", wrong)
}

/// Reports options that differ from what the microarchitecture requires: as an error, or as a
/// warning if the user's `extraCmakeFlags` set them.
fn deviations(manifest: &Manifest, what: &str, found: Vec<(&str, String)>) -> Vec<Finding> {
    let extra = CommandLine::parse(&manifest.extra_cmake_flags);
    let (requested, unexpected): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(option, _)| extra.get(option).is_some());
    let list = |found: Vec<(&str, String)>| {
        abridged(&found.into_iter().map(|(_, sentence)| sentence).collect::<Vec<_>>())
    };
    let mut findings = vec![];
    if !unexpected.is_empty() {
        findings.push(Finding::error(
            "cpu-options",
            format!("{what}: {}", list(unexpected)),
            "something overrides the package's cmakeFlags; set the CPU only through \
             `programs.llama-cpp.microarch`",
        ));
    }
    if !requested.is_empty() {
        findings.push(Finding::warning(
            "cpu-options",
            format!("{what}, because of extraCmakeFlags: {}", list(requested)),
            "ignore this if it is intended; otherwise choose another \
             `programs.llama-cpp.microarch`",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::findings::finding::Severity;

    fn manifest(microarch: &str, system: &str, flags: &[&str]) -> Manifest {
        Manifest::with(&json!({ "microarch": microarch, "system": system, "cmakeFlags": flags }))
    }

    fn row(microarch: &str, system: &str) -> Manifest {
        let options = Table::embedded().cmake_options(system, microarch).unwrap();
        let flags: Vec<String> = options.iter().map(|(o, v)| format!("-D{o}:X={v}")).collect();
        manifest(microarch, system, &flags.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn every_row_of_the_table_passes_its_own_options() {
        let table = Table::embedded();
        for system in ["x86_64-linux", "aarch64-linux"] {
            for name in table.names(system) {
                assert_eq!(findings(&row(name, system)), [], "{name}");
            }
        }
        let dispatch = ["-DGGML_BACKEND_DL:BOOL=TRUE", "-DGGML_CPU_ALL_VARIANTS=ON"];
        assert_eq!(findings(&manifest("dispatch", "x86_64-linux", &dispatch)), []);
    }

    #[test]
    fn an_option_too_many_or_too_few_is_named() {
        let mut tiger = row("tigerlake", "x86_64-linux");
        tiger.cmake_flags.retain(|flag| !flag.starts_with("-DGGML_AVX2:"));
        let message = &findings(&tiger)[0].message;
        assert!(message.contains("-DGGML_AVX2 is not passed, but must be ON"), "{message}");

        let mut haswell = row("haswell", "x86_64-linux");
        for flag in &mut haswell.cmake_flags {
            if flag.starts_with("-DGGML_AVX512:") {
                *flag = "-DGGML_AVX512=1".to_owned();
            }
        }
        let found = findings(&haswell);
        assert_eq!((found[0].code, found[0].severity), ("cpu-options", Severity::Error));
        assert!(found[0].message.contains("-DGGML_AVX512 is 1"), "{}", found[0].message);
        // A flag that the user set is only a warning.
        haswell.extra_cmake_flags = vec!["-DGGML_AVX512=1".to_owned()];
        assert_eq!(findings(&haswell)[0].severity, Severity::Warning);
    }

    #[test]
    fn an_option_that_this_llama_cpp_does_not_have_may_be_missing() {
        let mut rapids = row("sapphirerapids", "x86_64-linux");
        rapids.cmake_flags.retain(|flag| !flag.starts_with("-DGGML_AMX_BF16"));
        assert_eq!(findings(&rapids).len(), 1);
        rapids.dropped_arguments = vec!["GGML_AMX_BF16".to_owned()];
        assert_eq!(findings(&rapids), []);
    }

    #[test]
    fn an_arm_level_is_compared_as_a_whole() {
        let mut n1 = row("neoverse-n1", "aarch64-linux");
        assert_eq!(findings(&n1), []);
        n1.cmake_flags = vec!["-DGGML_CPU_ARM_ARCH=armv8-a".to_owned()];
        assert!(findings(&n1)[0].message.contains("is armv8-a, but must be armv8"));
    }

    #[test]
    fn dispatch_needs_all_modules_and_no_cpu_option() {
        let none = findings(&manifest("dispatch", "x86_64-linux", &["-DGGML_AVX2=ON"]));
        let message = &none[0].message;
        for word in ["GGML_BACKEND_DL", "GGML_CPU_ALL_VARIANTS", "GGML_AVX2"] {
            assert!(message.contains(word), "{message}");
        }
    }

    /// With each of these the package is slow or does not run.
    #[test]
    fn flags_that_undo_the_cpu_options_are_errors() {
        for flags in [
            &["-UGGML_*"][..],
            &["-U", "GGML_AVX*"],
            &["-U GGML_AVX512"],
            &["-D", "GGML_AVX512=OFF"],
            &["-DGGML_CPU=OFF"],
            &["-D", "GGML_CPU:BOOL=0"],
            &["-DCMAKE_CXX_FLAGS=-mno-avx2"],
            &["-DCMAKE_C_FLAGS:STRING=-O3 -march=x86-64"],
            &["-DCMAKE_CXX_FLAGS_RELEASE=-g"],
            &["-DCMAKE_CXX_FLAGS_RELEASE=-O3 -DNDEBUG -O0"],
            &["-DCMAKE_BUILD_TYPE=Debug"],
            &["-D", "CMAKE_BUILD_TYPE:STRING="],
            &["-DCMAKE_SYSTEM_PROCESSOR=riscv64"],
            &["-C", "cache.cmake"],
            &["--toolchain=x.cmake"],
            &["-DCMAKE_PROJECT_INCLUDE=/x.cmake"],
            &["-DGGML_AVX512"],
            &["-DLLAMA_CURL=OFF -DGGML_NATIVE=ON"],
            &["-DCMAKE_CXX_FLAGS=-march=native"],
        ] {
            let mut tiger = row("tigerlake", "x86_64-linux");
            tiger.cmake_flags.extend(flags.iter().map(ToString::to_string));
            tiger.extra_cmake_flags = flags.iter().map(ToString::to_string).collect();
            let found = findings(&tiger);
            assert!(found.iter().any(|it| it.severity == Severity::Error), "{flags:?} {found:?}");
        }
    }

    #[test]
    fn flags_that_leave_the_cpu_options_alone_are_accepted() {
        for flags in [
            &["-ULLAMA_*"][..],
            &["-D", "GGML_CUDA_FORCE_MMQ=ON"],
            &["-DCMAKE_BUILD_TYPE=RelWithDebInfo"],
            &["-DCMAKE_CXX_FLAGS=-O2 -mtune=znver4 -mprefer-vector-width=256 -fno-plt"],
            &["-DCMAKE_CXX_FLAGS_RELEASE=-O3 -DNDEBUG"],
            &["-DCMAKE_SYSTEM_PROCESSOR=x86_64"],
            &["-DGGML_CPU=ON"],
            &["-G", "Ninja", "-Wno-dev", "--log-level=VERBOSE"],
        ] {
            let mut tiger = row("tigerlake", "x86_64-linux");
            tiger.cmake_flags.extend(flags.iter().map(ToString::to_string));
            assert_eq!(findings(&tiger), [], "{flags:?}");
        }
    }

    #[test]
    fn a_flag_given_twice_is_an_error_where_the_two_differ() {
        let mut twice = row("znver4", "x86_64-linux");
        twice.cmake_flags.push("-DGGML_CUDA=ON".to_owned());
        twice.cmake_flags.push("-DGGML_CUDA:BOOL=ON".to_owned());
        assert_eq!(findings(&twice)[0].severity, Severity::Warning);
        twice.cmake_flags.push("-DGGML_CUDA=OFF".to_owned());
        let found = &findings(&twice)[0];
        assert_eq!((found.code, found.severity), ("repeated-flag", Severity::Error));
    }

    #[test]
    fn a_name_that_the_table_lacks_is_an_error() {
        let found = findings(&manifest("znver9", "x86_64-linux", &[]));
        assert_eq!(found[0].code, "unknown-microarch");
        assert!(found[0].message.contains("\"znver9\""), "{}", found[0].message);
    }
}
