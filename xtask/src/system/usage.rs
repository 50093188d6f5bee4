//! CPU time used by this process and its children.

use std::mem::MaybeUninit;
use std::time::Duration;

/// Returns the CPU time of all threads of xtask so far, including finished ones, without that of
/// children such as Nix.
pub fn own_cpu() -> Duration {
    cpu(libc::RUSAGE_SELF)
}

/// Returns the CPU time of all children that have exited, including the processes they waited for.
pub fn children_cpu() -> Duration {
    cpu(libc::RUSAGE_CHILDREN)
}

fn cpu(whose: libc::c_int) -> Duration {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    #[expect(unsafe_code, reason = "std has no getrusage")]
    // SAFETY: getrusage(2) fills the struct, for which all zeros are valid.
    let usage = unsafe {
        libc::getrusage(whose, usage.as_mut_ptr());
        usage.assume_init()
    };
    let of = |time: libc::timeval| {
        let micros = u64::try_from(time.tv_usec).unwrap_or_default();
        Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default())
            + Duration::from_micros(micros)
    };
    of(usage.ru_utime) + of(usage.ru_stime)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the same CPU time from /proc/self/stat: user and system time in hundredths of a
    /// second.
    fn cpu_by_proc() -> Duration {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
        Duration::from_millis(10 * ticks.sum::<u64>())
    }

    #[test]
    fn ended_threads_are_counted_once() {
        let before = cpu_by_proc();
        let spin = || {
            let began = own_cpu();
            while own_cpu() < began + Duration::from_millis(50) {}
        };
        std::thread::spawn(spin).join().unwrap();
        // Other tests run in the same process, so a later reading may be larger.
        let (least, own, most) = (cpu_by_proc(), own_cpu(), cpu_by_proc());
        let tick = Duration::from_millis(20);
        assert!(least + tick >= before + Duration::from_millis(50), "{before:?} {least:?}");
        assert!(least <= own + tick && own <= most + tick, "{least:?} {own:?} {most:?}");
    }
}
