//! How many builds run at once, and how many compilers in each, so that all compilers
//! together fit into memory.
//!
//! Pure: no I/O, no clock.

use crate::build::args::Limits;
use crate::build::variants::Build;
use crate::nix::builders::Configured;

/// Peak memory of one compiler for this backend, in bytes. The host compiler: 0.57 GiB
/// measured (GCC 12, -O3, common/arg.cpp of autumn 2026), and room. nvcc and hipcc compile a
/// file for several targets with several programs; what they need is an estimate, on the
/// side that is safe.
fn compiler_memory(backends: &[String]) -> u64 {
    const MIB: u64 = 1 << 20;
    let of = |backend: &String| match backend.as_str() {
        "cuda" => 2560 * MIB,
        "rocm" => 3072 * MIB,
        _ => 768 * MIB,
    };
    backends.iter().map(of).max().unwrap_or(768 * MIB)
}

/// The machine that builds.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    pub cores: usize,
    /// Bytes that are free.
    pub memory: Option<u64>,
}

/// Every build may use all cores if memory allows: more compilers than cores are only slow,
/// and the last build of a run should not be limited to its share. If memory does not allow
/// it, each build gets fewer compilers, then fewer builds run at once. nix.conf's values are
/// upper limits; the user's are used as they are.
pub fn choose(
    builds: &[&Build],
    machine: Machine,
    configured: &Configured,
    asked: &Limits,
) -> Limits {
    let count = builds.len().max(1);
    let compilers = match machine.memory {
        Some(memory) => {
            let one = builds.iter().map(|build| compiler_memory(&build.manifest.backends)).max();
            usize::try_from(memory / one.unwrap_or(1)).unwrap_or(usize::MAX).max(1)
        }
        None => machine.cores,
    };
    let most = configured.max_jobs.map_or(usize::MAX, |jobs| jobs as usize);
    let jobs = count.min(machine.cores).min(compilers).min(most);
    let jobs = asked.jobs.map_or(jobs, |jobs| jobs as usize);
    let each = (compilers / jobs.max(1)).max(1);
    // Zero is Nix's word for all of them.
    let most = configured.cores.filter(|cores| *cores > 0);
    let most = most.map_or(machine.cores, |cores| (cores as usize).min(machine.cores));
    let cores = (each < most && configured.builders.is_empty()).then_some(each);
    Limits { jobs: Some(small(jobs)), cores: asked.cores.or(cores.map(small)), ..asked.clone() }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::nix::names::DrvPath;

    fn builds(backends: &[&str]) -> Vec<Build> {
        let build = |backend: &&str| {
            let mut build = Build::example(backend, DrvPath::new("/nix/store/a.drv"));
            build.manifest.backends = vec![(*backend).to_owned()];
            build
        };
        backends.iter().map(build).collect()
    }

    fn chosen(backends: &[&str], cores: usize, gib: u64) -> (Option<u32>, Option<u32>) {
        let machine = Machine { cores, memory: Some(gib << 30) };
        let Limits { jobs, cores, .. } = choose(
            &builds(backends).iter().collect::<Vec<_>>(),
            machine,
            &Configured::default(),
            &Limits::default(),
        );
        (jobs, cores)
    }

    #[test]
    fn memory_bounds_the_compilers_of_all_builds_together() {
        assert_eq!(chosen(&["cpu", "cpu", "vulkan"], 16, 128), (Some(3), None));
        assert_eq!(chosen(&["cpu", "cpu", "vulkan"], 16, 24), (Some(3), Some(10)));
        assert_eq!(chosen(&["cpu", "cuda"], 16, 32), (Some(2), Some(6)));
        assert_eq!(chosen(&["cuda", "cuda", "rocm"], 16, 6), (Some(2), Some(1)));
        assert_eq!(chosen(&["cpu"], 2, 0), (Some(1), Some(1)));
        for (cores, gib) in [(2, 1), (4, 3), (8, 7), (64, 30), (128, 512)] {
            let (jobs, each) = chosen(&["cuda", "cuda", "cuda", "cpu"], cores, gib);
            let compilers = u64::from(jobs.unwrap()) * each.map_or(cores as u64, u64::from);
            let one_must_run = compilers == 1;
            assert!(compilers * 2560 <= gib * 1024 || one_must_run, "{cores} {gib}");
        }
    }

    #[test]
    fn what_was_asked_for_is_done_and_nix_conf_is_a_limit() {
        let machine = Machine { cores: 8, memory: Some(256 << 30) };
        let four = builds(&["cpu", "cpu", "cpu", "cpu"]);
        let four: Vec<&Build> = four.iter().collect();
        let configured = Configured { max_jobs: Some(2), ..Configured::default() };
        let jobs = |asked| choose(&four, machine, &configured, &asked).jobs;
        assert_eq!(jobs(Limits::default()), Some(2));
        assert_eq!(jobs(Limits { jobs: Some(3), ..Limits::default() }), Some(3));
        let only_remote =
            Configured { max_jobs: Some(0), builders: vec![vec![]], ..Configured::default() };
        let chosen = choose(&four, machine, &only_remote, &Limits::default());
        assert_eq!((chosen.jobs, chosen.cores), (Some(0), None));
    }
}
