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

    /// The kernel's other account of the same: user and system time in /proc, in hundredths.
    fn by_proc() -> Duration {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
        Duration::from_millis(10 * ticks.sum::<u64>())
    }

    #[test]
    fn the_threads_that_ended_are_counted_and_nothing_twice() {
        let before = by_proc();
        let spin = || {
            let began = own_cpu();
            while own_cpu() < began + Duration::from_millis(50) {}
        };
        std::thread::spawn(spin).join().unwrap();
        // Other tests compute beside this one: what is asked last may be more.
        let (least, own, most) = (by_proc(), own_cpu(), by_proc());
        let tick = Duration::from_millis(20);
        assert!(least + tick >= before + Duration::from_millis(50), "{before:?} {least:?}");
        assert!(least <= own + tick && own <= most + tick, "{least:?} {own:?} {most:?}");
    }
}
