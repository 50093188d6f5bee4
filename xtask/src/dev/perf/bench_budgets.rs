//! Budgets of llama.cpp's speed: minimum ratios of builds that are measured in turns.
//!
//! Pure: no I/O, no clock.

use crate::bench::comparison::Samples;
use crate::dev::perf::budgets::Ratio;
use crate::hardware::microarch::Table;
use crate::statistics::{best, paired};

/// Minimum ratio to the build by hand, and of dispatch to the tuned variant.
pub const MINIMUM: f64 = 0.97;

/// Returns the ratio of a build's speed to its reference for each test. A `minimum` of 0 is no
/// budget.
pub fn ratios(what: &str, minimum: f64, subject: &Samples, reference: &Samples) -> Vec<Ratio> {
    let of_test = |(test, rounds): (&str, &[Vec<f64>])| {
        let base = reference.of(test);
        let ratio = paired(base, rounds)?;
        let pairs =
            rounds.iter().zip(base).filter_map(|(one, other)| Some((best(one)?, best(other)?)));
        Some(Ratio::at_least(format!("{what}, {test}"), minimum, &ratio, pairs.collect()))
    };
    subject.tests().filter_map(of_test).collect()
}

/// Returns a variant's flags without those for the CPU, which `GGML_NATIVE=ON` replaces in the
/// build by hand.
pub fn flags_without_cpu(flags: &[String]) -> Vec<String> {
    const PACKAGING: [&str; 8] = [
        "GGML_NATIVE",
        "GGML_BACKEND_DL",
        "GGML_CPU_ALL_VARIANTS",
        "CMAKE_SKIP_BUILD_RPATH",
        "CMAKE_INSTALL_RPATH",
        "LLAMA_CURL",
        "LLAMA_BUILD_COMMIT",
        // Only in packages from parts.
        "LLAMA_USE_SYSTEM_GGML",
    ];
    let name = |flag: &str| {
        let flag = flag.strip_prefix("-D").unwrap_or(flag);
        flag.split(['=', ':']).next().unwrap_or_default().to_owned()
    };
    let removed = || PACKAGING.into_iter().chain(Table::embedded().options());
    flags.iter().filter(|flag| !removed().any(|option| option == name(flag))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::llama_bench::TestResult;

    #[test]
    fn a_slower_build_misses_its_budget_if_it_has_one() {
        let rounds = |speed: f64| {
            let mut all = Samples::default();
            for n in 0..10 {
                let samples = vec![speed / 2.0, speed / f64::from(1 + n % 3)];
                let test = "pp128".to_owned();
                all.add(&[TestResult::of(&test, &samples)]);
            }
            all
        };
        for (speed, ok) in [(96.0, false), (98.0, true), (120.0, true)] {
            let all = ratios("x / y", MINIMUM, &rounds(speed), &rounds(100.0));
            assert_eq!((all.len(), all[0].ok), (1, ok), "{speed}");
            assert!((all[0].value - speed / 100.0).abs() < 1e-9);
            assert_eq!(all[0].samples.len(), 10);
        }
        assert!(ratios("x", 0.0, &rounds(1.0), &rounds(100.0))[0].ok);
        assert!(ratios("x", 0.0, &rounds(1.0), &Samples::default()).is_empty());
    }

    #[test]
    fn the_hand_build_gets_the_flags_without_those_for_the_cpu() {
        let flags = [
            "-DGGML_AVX512_BF16:BOOL=TRUE",
            "-DGGML_AVX=ON",
            "-DGGML_NATIVE:BOOL=FALSE",
            "-DGGML_BLAS:BOOL=FALSE",
            "-DBUILD_SHARED_LIBS:BOOL=TRUE",
            "-DCMAKE_INSTALL_RPATH:STRING=/x",
            "-DLLAMA_USE_SYSTEM_GGML:BOOL=TRUE",
        ];
        let flags = flags.map(str::to_owned);
        assert_eq!(flags_without_cpu(&flags), flags[3..5]);
    }
}
