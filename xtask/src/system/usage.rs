//! What this process has used of the machine.

use std::mem::MaybeUninit;
use std::time::Duration;

/// CPU time of all threads of xtask so far, ended ones among them. Nix and what else was
/// started is not in it.
pub fn own_cpu() -> Duration {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    #[expect(unsafe_code, reason = "std has no getrusage")]
    // SAFETY: getrusage(2) fills the struct that it is handed, and all zeros are one, too.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
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

    #[test]
    fn what_is_computed_is_counted_and_what_is_waited_is_not() {
        let before = own_cpu();
        let mut sum = 0_u64;
        while own_cpu() < before + Duration::from_millis(30) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }
}
