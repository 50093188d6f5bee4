//! Compares the number of threads of a host's configuration or of a bench with the machine's
//! cores.
//!
//! Pure: no I/O, no clock.

use crate::findings::finding::Finding;
use crate::fleet::manifest::Manifest;
use crate::hardware::facts::Facts;

/// Checks the module's option, the service's flags and `bench.args`.
pub fn findings(manifest: &Manifest, facts: &Facts) -> Vec<Finding> {
    let service = manifest.service.as_ref().and_then(|service| service.threads);
    let users = [
        ("programs.llama-cpp.threads: ", manifest.threads),
        // By default the module passes the option to the service.
        ("services.llama-cpp: ", service.filter(|_| service != manifest.threads)),
        ("programs.llama-cpp.bench.args: ", bench_threads(&manifest.bench.args)),
    ];
    users.into_iter().filter_map(|(user, threads)| too_many(user, threads?, facts)).collect()
}

/// Checks the arguments of one llama-bench.
pub fn bench_finding(args: &[String], facts: &Facts) -> Option<Finding> {
    too_many("", bench_threads(args)?, facts)
}

fn too_many(user: &str, threads: u32, facts: &Facts) -> Option<Finding> {
    let cores = facts.cores.as_ref().filter(|cores| threads > cores.physical)?;
    let help = match cores.threads() {
        Some(best) => format!("set {best} threads: a thread for each core worth using"),
        None => format!("set at most {} threads", cores.physical),
    };
    Some(Finding::warning(
        "too-many-threads",
        format!(
            "{user}{threads} threads are more than the {} physical cores of {}; threads that \
             share a core slow llama.cpp down",
            cores.physical,
            facts.cpu_name()
        ),
        help,
    ))
}

/// Returns the highest number of threads in llama-bench's arguments.
fn bench_threads(args: &[String]) -> Option<u32> {
    let flags = args.iter().zip(args.iter().skip(1));
    let given = flags.filter(|(flag, _)| *flag == "-t" || *flag == "--threads");
    // A value may be a list, `1,2,4`, or a range, `1-16*2`.
    let numbers = given.flat_map(|(_, value)| value.split(|c: char| !c.is_ascii_digit()));
    numbers.filter_map(|number| number.parse().ok()).max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::hardware::probe_output::read;
    use crate::hardware::recommendation::Recommendation;

    /// 6 P-cores and 8 E-cores.
    const HYBRID: &str = include_str!("../../tests/fixtures/cores/raptorlake-6p-8e");

    fn facts(output: &str) -> Facts {
        read("a", &format!("{output}#llamafleet end\n")).unwrap()
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn more_threads_than_cores_are_reported_with_the_option_that_sets_them() {
        let facts = facts(HYBRID);
        let found = findings(
            &Manifest::with(&json!({
                "threads": 20, "service": { "threads": 20 }, "bench": { "args": ["-t", "14,16"] },
            })),
            &facts,
        );
        let messages: Vec<&str> = found.iter().map(|finding| finding.message.as_str()).collect();
        let more = "threads are more than the 14 physical cores of 13th Gen Intel(R) Core(TM) \
                    i7-1370P; threads that share a core slow llama.cpp down";
        assert_eq!(
            messages,
            [
                format!("programs.llama-cpp.threads: 20 {more}"),
                format!("programs.llama-cpp.bench.args: 16 {more}")
            ]
        );
        assert_eq!(found[0].help, "set 6 threads: a thread for each core worth using");
        let by_flag = json!({ "threads": 6, "service": { "threads": 20 } });
        let found = findings(&Manifest::with(&by_flag), &facts);
        assert!(found.len() == 1 && found[0].message.starts_with("services.llama-cpp: 20"));
        let fits = json!({ "threads": 14, "bench": { "args": ["--threads", "6"] } });
        assert_eq!(findings(&Manifest::with(&fits), &facts), []);
    }

    #[test]
    fn a_machine_with_unknown_cores_has_no_finding() {
        let unknown = facts("#llamafleet cpuinfo\nprocessor : 0\nflags : lm\n");
        assert_eq!(findings(&Manifest::with(&json!({ "threads": 9999 })), &unknown), []);
        assert_eq!(bench_finding(&words("-t 9999"), &unknown), None);
        let recommendation = Recommendation::new(&unknown);
        assert_eq!(recommendation.threads, None);
        assert!(!recommendation.nix().contains("threads"), "{}", recommendation.nix());
    }

    #[test]
    fn the_highest_number_of_a_bench_counts() {
        let facts = facts(HYBRID);
        for (args, too_many) in [
            ("-t 14", false),
            ("-t 1-16*2", true),
            ("--threads 2,4,20 -p 512", true),
            ("-p 512", false),
            ("-tb 20", false),
        ] {
            assert_eq!(bench_finding(&words(args), &facts).is_some(), too_many, "{args}");
        }
    }

    #[test]
    fn threads_are_recommended_but_set_only_for_the_cpu_backend() {
        let mut facts = facts(HYBRID);
        let recommendation = Recommendation::new(&facts);
        assert_eq!(recommendation.threads, Some(6));
        assert!(recommendation.nix().contains("\n  threads = 6;\n}"), "{}", recommendation.nix());
        let mut gpu = crate::hardware::facts::Gpu::new(
            crate::hardware::facts::Vendor::Nvidia,
            "NVIDIA T1200",
        );
        gpu.cuda_capability = Some("7.5".into());
        facts.gpus.push(gpu);
        let recommendation = Recommendation::new(&facts);
        assert_eq!(recommendation.threads, Some(6));
        assert!(!recommendation.nix().contains("threads"), "{}", recommendation.nix());
    }

    #[test]
    fn a_bench_uses_the_hosts_threads_unless_its_arguments_set_them() {
        let host = Manifest::with(&json!({ "threads": 6, "bench": { "args": ["-p", "64"] } }));
        assert_eq!(host.bench_args(&[]), words("-t 6 -p 64"));
        assert_eq!(host.bench_args(&words("-t 8")), words("-p 64 -t 8"));
        assert_eq!(host.bench_args(&words("--threads 8")), words("-p 64 --threads 8"));
        assert_eq!(Manifest::with(&json!({})).bench_args(&words("-ngl 0")), words("-ngl 0"));
    }
}
