//! Remote builders: separate Nix stores on this machine, behind a real sshd on loopback.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Scratch, nix, nix_program, valid_in_store, xtask};

/// `builder-one` and `builder-two`. Dropping stops their processes and deletes their stores.
pub struct Builders {
    pub dir: Scratch,
    sshd: Child,
}

/// Returns why this machine cannot run builders. They need sshd, and a Nix that can build in a store
/// with another root, which needs root or user namespaces.
fn unavailable() -> Option<String> {
    if sshd_program().is_none() {
        return Some("this machine has no sshd: run `cargo xtask setup`".to_owned());
    }
    let root = Scratch::new();
    let expression = format!(
        "derivation {{ name = \"probe-{}\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
         args = [ \"-c\" \"echo > $out\" ]; }}",
        super::nonce()
    );
    let output = nix(["build", "--no-link"])
        .args(["--impure", "--option", "substituters", "", "--option", "sandbox-paths", SANDBOX])
        .args(["--store", root.path().to_str().unwrap(), "--expr", &expression])
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    remove_store(root.path());
    (!output.status.success()).then(|| format!("Nix cannot build in a separate store: {message}"))
}

/// Returns whether the test must be skipped, and prints why.
pub fn skipped() -> bool {
    static WHY: LazyLock<Option<String>> = LazyLock::new(unavailable);
    if let Some(why) = &*WHY {
        super::skip(why);
    }
    WHY.is_some()
}

/// Paths of this machine that builds of the test fleets need.
const SANDBOX: &str = "/bin /usr /lib /lib64";

fn sshd_program() -> Option<PathBuf> {
    let known = ["/usr/sbin/sshd", "/run/current-system/sw/bin/sshd"];
    let on_path = std::env::var_os("PATH");
    let on_path = on_path.iter().flat_map(std::env::split_paths).map(|dir| dir.join("sshd"));
    known.into_iter().map(PathBuf::from).chain(on_path).find(|program| program.is_file())
}

/// Configures server and client for a free port and starts the server.
fn listen(dir: &Scratch, at: &dyn Fn(&str) -> String, user: &str) -> Child {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    dir.write(
        "sshd_config",
        &format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
             MaxStartups 100\nSetEnv \"PATH={}\" \"XDG_CACHE_HOME={}\"\n",
            at("host_key"),
            at("authorized_keys"),
            std::env::var("PATH").unwrap(),
            at("cache"),
        ),
    );
    let host_key = fs::read_to_string(at("host_key.pub")).unwrap();
    dir.write("known_hosts", &format!("[127.0.0.1]:{port} {host_key}"));
    dir.write(
        "ssh_config",
        &format!(
            "Host builder-*\n  HostName 127.0.0.1\n  Port {port}\n  User {}\n  \
             IdentityFile {}\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
             UserKnownHostsFile {}\n  BatchMode yes\n  ControlMaster no\n  \
             ControlPath none\n  ConnectTimeout 10\n",
            user,
            at("client_key"),
            at("known_hosts"),
        ),
    );
    Command::new(sshd_program().unwrap())
        .args(["-D", "-e", "-f", &at("sshd_config")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(at("sshd.log")).unwrap())
        .process_group(0)
        .spawn()
        .unwrap()
}

impl Builders {
    pub fn start() -> Self {
        let dir = Scratch::new();
        let at = |name: &str| dir.path().join(name).display().to_string();
        for key in ["host_key", "client_key"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)])
                .status();
            assert!(made.unwrap().success());
        }
        fs::copy(at("client_key.pub"), at("authorized_keys")).unwrap();
        // sshd's privilege separation folder, which is otherwise made at boot.
        let _ = fs::create_dir("/run/sshd");
        let nix_daemon = nix_program().with_file_name("nix-daemon").display().to_string();
        dir.write_program(
            "nix-daemon",
            &format!(
                "#!/bin/sh\nexport NIX_CONFIG='build-users-group =\nsubstituters =\n\
                 sandbox-paths = {SANDBOX}\n'\nexec '{nix_daemon}' \"$@\"\n"
            ),
        );
        let user = Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(user.stdout).unwrap();
        // Retry if another program takes the free port first.
        let mut last = String::new();
        for _ in 0..5 {
            let mut sshd = listen(&dir, &at, user.trim());
            let up = wait_for(Duration::from_secs(20), || {
                let log = fs::read_to_string(at("sshd.log")).unwrap_or_default();
                log.contains("Server listening") || sshd.try_wait().unwrap().is_some()
            });
            if up && sshd.try_wait().unwrap().is_none() {
                return Self { dir, sshd };
            }
            let _ = sshd.kill();
            let _ = sshd.wait();
            last = fs::read_to_string(at("sshd.log")).unwrap_or_default();
        }
        panic!("sshd does not start on loopback: {last}")
    }

    pub fn store(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("store-{name}"))
    }

    /// Returns a machine for `--builders` that runs one build at a time.
    pub fn machine(&self, name: &str) -> String {
        let dir = self.dir.path().display();
        format!(
            "ssh-ng://builder-{name}?remote-program={dir}/nix-daemon&remote-store=local%3Froot%3D\
             {dir}/store-{name} x86_64-linux - 1 1"
        )
    }

    /// Returns options for both builders and no local builds.
    pub fn both(&self) -> [String; 4] {
        let machines = format!("{} ; {}", self.machine("one"), self.machine("two"));
        ["--builders".into(), machines, "--max-jobs".into(), "0".into()]
    }

    /// Returns the binary under test, with an SSH configuration for the builders.
    pub fn xtask(&self, dir: &Path) -> Command {
        let mut command = xtask(dir);
        let config = self.dir.path().join("ssh_config");
        command.env("NIX_SSHOPTS", format!("-F {}", config.display()));
        command
    }

    /// Returns the ids of the processes that serve a builder, its connection's sshd and that one's
    /// descendants, children first.
    pub fn serving(&self, name: &str) -> Vec<u32> {
        let marker = format!("store-{name}");
        let ours = processes_below(self.sshd.id());
        let daemon = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains("--stdio") && line.contains(&marker) && line.contains(self.folder())
        };
        let mut serving = vec![];
        for daemon in ours.iter().copied().filter(daemon) {
            serving.extend(processes_below(daemon).into_iter().rev());
            serving.push(daemon);
            serving.extend(parent_of(daemon).filter(|parent| *parent != self.sshd.id()));
        }
        serving
    }

    /// Returns the processes of these builders except the server.
    pub fn remaining_processes(&self) -> Vec<String> {
        let mut remaining = processes_below(self.sshd.id());
        remaining.retain(|pid| !command_line(*pid).contains("[listener]"));
        remaining.into_iter().map(|pid| format!("{pid} {}", command_line(pid))).collect()
    }

    fn folder(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    /// Stops accepting connections; existing connections stay open.
    pub fn stop_listening(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

impl Drop for Builders {
    fn drop(&mut self) {
        for pid in processes_below(self.sshd.id()) {
            try_signal("KILL", pid);
        }
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
        for name in ["one", "two"] {
            remove_store(&self.store(name));
        }
    }
}

/// Deletes a store, whose files and folders are read-only.
pub fn remove_store(root: &Path) {
    let _ = Command::new("chmod").args(["-R", "u+w"]).arg(root).stderr(Stdio::null()).status();
    let _ = fs::remove_dir_all(root);
}

/// Asserts that every state in `build-all`'s report matches the store.
pub fn agrees_with_the_store(report: &Value) {
    for variant in report["variants"].as_array().unwrap() {
        let valid = variant["outPath"].as_str().is_some_and(valid_in_store);
        let ok = ["built", "substituted", "present"].iter().any(|s| variant["state"] == *s);
        assert_eq!(valid, ok, "{variant}");
    }
}

/// Starts a program whose output [`finish`] returns.
pub fn spawn(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal to a process that must exist, such as a child.
pub fn signal(name: &str, pid: u32) {
    assert!(try_signal(name, pid), "no process {pid}");
}

/// Sends a signal to a process that may have ended; returns whether it exists.
pub fn try_signal(name: &str, pid: u32) -> bool {
    let mut kill = Command::new("kill");
    kill.args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null());
    kill.status().unwrap().success()
}

/// Waits until the condition holds; returns false after the timeout.
pub fn wait_for(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !condition() {
        if began.elapsed() > timeout {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
    true
}

/// Sends SIGINT to a command alone, once `ready` holds for what it printed to standard error; returns
/// its output and how long it then took to end.
pub fn interrupt_when(
    command: &mut Command,
    mut ready: impl FnMut(&str) -> bool,
) -> (Output, Duration) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let child = command.stdout(Stdio::piped()).stderr(file.reopen().unwrap()).spawn().unwrap();
    let printed = || fs::read_to_string(file.path()).unwrap();
    let is_ready = wait_for(Duration::from_secs(120), || ready(&printed()));
    signal("INT", child.id());
    let started = Instant::now();
    let mut output = child.wait_with_output().unwrap();
    let took = started.elapsed();
    output.stderr = printed().into_bytes();
    assert!(is_ready, "not ready to be interrupted: {}", printed());
    (output, took)
}

/// Waits for a child and returns its output; kills it and panics after the timeout.
pub fn finish(mut child: Child, timeout: Duration) -> Output {
    let pid = child.id();
    let (sender, done) = std::sync::mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if done.recv_timeout(timeout).is_err() {
            try_signal("KILL", pid);
            return true;
        }
        false
    });
    let _ = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    let _ = sender.send(());
    let hung = watchdog.join().unwrap();
    assert!(!hung, "still running after {timeout:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

pub fn command_line(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned()
}

pub fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Returns a process's parent; none if it has ended, even if it is a zombie.
pub fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    if rest.starts_with('Z') {
        return None;
    }
    rest.split(' ').nth(1)?.parse().ok()
}

/// Returns all descendants of a process, parents first.
pub fn processes_below(root: u32) -> Vec<u32> {
    let mut below = vec![root];
    let parents: Vec<(u32, u32)> =
        processes().into_iter().filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let mut next = 0;
    while next < below.len() {
        let parent = below[next];
        below.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    below.remove(0);
    below
}

/// Returns the processes whose command line contains `marker`.
pub fn running(marker: &str) -> Vec<String> {
    let found = processes().into_iter().filter(|pid| {
        command_line(*pid).contains(marker)
            && parent_of(*pid).is_some()
            && *pid != std::process::id()
    });
    found.map(|pid| format!("{pid} {}", command_line(pid))).collect()
}
