//! Chooses how many builds run in parallel, and how many compilers in each, so that all compilers
//! fit into memory.
//!
//! Pure: no I/O, no clock.

use crate::build::args::Limits;
use crate::build::variants::Build;
use crate::nix::builders::Configured;

/// Returns the peak memory of one compiler for these backends, in bytes. The host compiler needs
/// 0.57 GiB (measured with GCC 12, -O3, common/arg.cpp of autumn 2026), with some reserve. nvcc
/// and hipcc compile a file for several targets with several programs; their value is a
/// conservative estimate.
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
    /// Free bytes.
    pub memory: Option<u64>,
}

/// Chooses the limits. If memory allows, every build may use all cores: more compilers than cores
/// are only slower, and the last build of a run should not be limited to its share. Otherwise each
/// build gets fewer compilers, and then fewer builds run in parallel. nix.conf's values are upper
/// limits; the user's are used unchanged.
pub fn choose(
    builds: &[&Build],
    machine: Machine,
    configured: &Configured,
    requested: &Limits,
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
    let jobs = requested.jobs.map_or(jobs, |jobs| jobs as usize);
    let each = (compilers / jobs.max(1)).max(1);
    // Zero means all cores in nix.conf.
    let most = configured.cores.filter(|cores| *cores > 0);
    let most = most.map_or(machine.cores, |cores| (cores as usize).min(machine.cores));
    let cores = (each < most && configured.builders.is_empty()).then_some(each);
    let cores = requested.cores.or(cores.map(to_u32));
    Limits { jobs: Some(to_u32(jobs)), cores, ..*requested }
}

fn to_u32(number: usize) -> u32 {
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
    fn memory_limits_the_compilers_of_all_builds_together() {
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
    fn the_users_jobs_are_used_and_nix_conf_is_a_limit() {
        let machine = Machine { cores: 8, memory: Some(256 << 30) };
        let four = builds(&["cpu", "cpu", "cpu", "cpu"]);
        let four: Vec<&Build> = four.iter().collect();
        let configured = Configured { max_jobs: Some(2), ..Configured::default() };
        let jobs = |requested| choose(&four, machine, &configured, &requested).jobs;
        assert_eq!(jobs(Limits::default()), Some(2));
        assert_eq!(jobs(Limits { jobs: Some(3), ..Limits::default() }), Some(3));
        let only_remote =
            Configured { max_jobs: Some(0), builders: vec![vec![]], ..Configured::default() };
        let chosen = choose(&four, machine, &only_remote, &Limits::default());
        assert_eq!((chosen.jobs, chosen.cores), (Some(0), None));
    }
}
