//! Runs the probe script on a machine; hardware/probe_output.rs parses its sections.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::system::interrupt::Interrupted;
use crate::system::process::Exit;
use crate::target::Target;

const SCRIPT: &str = include_str!("probe.sh");
const PREFLIGHT: &str = include_str!("preflight.sh");
/// Timeout for the whole script, in which each program may take twenty seconds.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Runs the probe script and returns its output.
///
/// # Errors
/// A [`crate::findings::finding::Finding`] if SSH fails; an error if the target has no shell or
/// the script does not finish.
pub fn run(target: &Target) -> Result<String> {
    run_shell(target, &["sh", "-c", SCRIPT])
}

/// Runs the probe script together with `bench`'s pre-flight questions about the machine's
/// current state, and without vulkaninfo, which is slow.
///
/// # Errors
/// As [`run`].
pub fn run_with_preflight(target: &Target) -> Result<String> {
    let store = target.on_disk("/nix/store");
    run_shell(target, &["sh", "-c", SCRIPT, "llamafleet", PREFLIGHT, &store, target.nix_program()])
}

fn run_shell(target: &Target, argv: &[&str]) -> Result<String> {
    let (exit, printed) = target.read(argv, TIMEOUT)?;
    match exit {
        Exit::Code(0) => Ok(printed.stdout),
        Exit::Interrupted => bail!(Interrupted),
        exit => {
            // A forced command or nologin(8) prints its message on stdout.
            let printed = [printed.stdout, printed.stderr].concat();
            let last = printed.trim_end().lines().last().unwrap_or("it printed nothing");
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
    fn a_bench_of_another_user_is_found() {
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

    #[test]
    fn the_message_of_a_closed_account_is_quoted() {
        let script = "echo 'This account is closed.'; exit 1";
        let error = run_shell(&Target::Local, &["sh", "-c", script]).unwrap_err().to_string();
        assert!(error.ends_with("local (exit status 1): This account is closed."), "{error}");
    }

    #[test]
    fn a_machine_is_the_same_over_ssh() {
        let Some(sshd) = LoopbackSshd::start() else { return };
        let facts_of = |target: &Target| read("a", &run(target).unwrap()).unwrap();
        let facts = facts_of(&sshd.target(&[]));
        assert_eq!(facts, facts_of(&Target::Local));
        assert!(facts.kernel.is_some() && facts.memory_bytes.is_some());
        let refused =
            run(&sshd.target(&["-o", "Port=1"])).unwrap_err().downcast::<Finding>().unwrap();
        assert_eq!(refused.code, "ssh-refused");
    }
}
