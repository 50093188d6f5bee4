//! Looks at a machine: one script for its shell, whose sections hardware/probe_output.rs reads.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::system::interrupt::Interrupted;
use crate::system::process::Exit;
use crate::target::Target;

const SCRIPT: &str = include_str!("probe.sh");
const PREFLIGHT: &str = include_str!("preflight.sh");
/// Each program that it asks may take twenty seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// # Errors
/// [`crate::findings::finding::Finding`] where SSH failed; there is no shell, or it did not end.
pub fn look(target: &Target) -> Result<String> {
    ask(target, &["sh", "-c", SCRIPT])
}

/// What `bench` asks before it sends anything, in one go: all that [`look`] does but
/// Vulkan's own account, and what the machine is about now.
///
/// # Errors
/// The same.
pub fn look_before_bench(target: &Target) -> Result<String> {
    let store = target.on_disk("/nix/store");
    ask(target, &["sh", "-c", SCRIPT, "llamafleet", PREFLIGHT, &store, target.nix_program()])
}

fn ask(target: &Target, argv: &[&str]) -> Result<String> {
    let (exit, printed) = target.read(argv, LIMIT)?;
    match exit {
        Exit::Code(0) => Ok(printed.stdout),
        Exit::Interrupted => bail!(Interrupted),
        exit => {
            let last = printed.stderr.trim_end().lines().last().unwrap_or_default();
            bail!("the probe failed in the shell of {} ({exit}): {last}", target.name())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::finding::Finding;
    use crate::hardware::probe_output::read;
    use crate::system::process::{self, Invocation};
    use crate::target::sshd::LoopbackSshd;

    #[test]
    fn a_bench_of_another_user_is_seen() {
        let (folder, us) = (tempfile::tempdir().unwrap(), "$(id -u)");
        let proc = folder.path().display();
        let write = format!(
            "process() {{ mkdir {proc}/$1; echo $2 >{proc}/$1/comm; \
             printf 'Name:\\t%s\\nUid:\\t%s\\t0\\t0\\t0\\n' $2 $3 >{proc}/$1/status; }}; \
             process 1 sh 4242; process 2 llama-bench {us}; process 3 llama-bench 4242; mkdir {proc}/4; "
        );
        let (_, script) = PREFLIGHT.split_once("section benches\n").unwrap();
        let (script, _) = script.split_once("section room\n").unwrap();
        let script = write + &script.replace("/proc/", &format!("{proc}/"));
        let call = Invocation::new("sh").args(["-c", &script]);
        assert_eq!(process::capture(&call, None).unwrap().stdout_text(), "3 4242\n");
    }

    /// Over a real sshd the same machine is seen as without.
    #[test]
    fn a_machine_is_the_same_from_near_and_far() {
        let sshd = LoopbackSshd::start();
        let seen = |target: &Target| read("a", &look(target).unwrap()).unwrap();
        let facts = seen(&sshd.target(&[]));
        assert_eq!(facts, seen(&Target::Local));
        assert!(facts.kernel.is_some() && facts.memory_bytes.is_some());
        let refused =
            look(&sshd.target(&["-o", "Port=1"])).unwrap_err().downcast::<Finding>().unwrap();
        assert_eq!(refused.code, "ssh-refused");
    }
}
