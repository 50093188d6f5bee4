//! The number of threads that a host or a bench asks for, against the cores of the machine.
//!
//! Pure: no I/O, no clock.

use crate::findings::finding::Finding;
use crate::fleet::manifest::Manifest;
use crate::hardware::facts::Facts;

/// The option, the service's flags and `bench.args`.
pub fn judge(manifest: &Manifest, facts: &Facts) -> Vec<Finding> {
    let service = manifest.service.as_ref().and_then(|service| service.threads);
    let users = [
        ("programs.llama-cpp.threads: ", manifest.threads),
        // The module sets the service's by the option.
        ("services.llama-cpp: ", service.filter(|_| service != manifest.threads)),
        ("programs.llama-cpp.bench.args: ", bench_threads(&manifest.bench.args)),
    ];
    users.into_iter().filter_map(|(user, threads)| too_many(user, threads?, facts)).collect()
}

/// The same for the arguments of one llama-bench.
pub fn judge_bench(args: &[String], facts: &Facts) -> Option<Finding> {
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

/// The most threads that llama-bench is given.
fn bench_threads(args: &[String]) -> Option<u32> {
    let flags = args.iter().zip(args.iter().skip(1));
    let given = flags.filter(|(flag, _)| *flag == "-t" || *flag == "--threads");
    // `1,2,4` and `1-16*2`.
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

    fn facts(answer: &str) -> Facts {
        let answer = format!("{answer}#llamafleet end\n");
        read("a", &answer).unwrap()
    }

    fn manifest(fields: &serde_json::Value) -> Manifest {
        let mut manifest = json!({
            "variant": "cpu-x", "backends": ["cpu"], "microarch": "dispatch",
            "system": "x86_64-linux", "cmakeFlags": [], "rev": null, "build": null,
        });
        manifest.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(manifest).unwrap()
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn more_threads_than_cores_are_reported_with_the_option_that_sets_them() {
        let facts = facts(HYBRID);
        let found = judge(
            &manifest(&json!({
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
        let found = judge(&manifest(&by_flag), &facts);
        assert!(found.len() == 1 && found[0].message.starts_with("services.llama-cpp: 20"));
        let fits = json!({ "threads": 14, "bench": { "args": ["--threads", "6"] } });
        assert_eq!(judge(&manifest(&fits), &facts), []);
    }

    #[test]
    fn nothing_is_held_against_a_machine_whose_cores_are_unknown() {
        let unknown = facts("#llamafleet cpuinfo\nprocessor : 0\nflags : lm\n");
        assert_eq!(judge(&manifest(&json!({ "threads": 9999 })), &unknown), []);
        assert_eq!(judge_bench(&words("-t 9999"), &unknown), None);
        let recommendation = Recommendation::new(&unknown);
        assert_eq!(recommendation.threads, None);
        assert!(!recommendation.nix().contains("threads"), "{}", recommendation.nix());
    }

    #[test]
    fn the_most_that_a_bench_is_given_counts() {
        let facts = facts(HYBRID);
        for (args, too_many) in [
            ("-t 14", false),
            ("-t 1-16*2", true),
            ("--threads 2,4,20 -p 512", true),
            ("-p 512", false),
            ("-tb 20", false),
        ] {
            assert_eq!(judge_bench(&words(args), &facts).is_some(), too_many, "{args}");
        }
    }

    #[test]
    fn the_number_is_recommended_and_set_where_the_cpu_does_the_work() {
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
        let host = manifest(&json!({ "threads": 6, "bench": { "args": ["-p", "64"] } }));
        assert_eq!(host.bench_args(&[]), words("-t 6 -p 64"));
        assert_eq!(host.bench_args(&words("-t 8")), words("-p 64 -t 8"));
        assert_eq!(host.bench_args(&words("--threads 8")), words("-p 64 --threads 8"));
        assert_eq!(manifest(&json!({})).bench_args(&words("-ngl 0")), words("-ngl 0"));
    }
}
