//! A real sshd on loopback as the target of tests. It runs as the current user with temporary
//! keys, and reads and writes nothing outside its folder.

use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, thread};

use tempfile::TempDir;

use crate::dev::debian;
use crate::nix::program::Nix;
use crate::system::background::Background;
use crate::system::process::{self, Invocation};
use crate::system::{disk, paths};
use crate::target::Target;

/// The host's name in the ssh configuration.
pub const HOST: &str = "llamafleet-loopback";

const QUICK: Duration = Duration::from_secs(20);
/// Full paths, because sshd executes itself again for every connection.
const PROGRAMS: [&str; 2] = ["/usr/sbin/sshd", "/run/current-system/sw/bin/sshd"];

/// A running sshd. Dropping it stops sshd and removes its folder.
pub struct LoopbackSshd {
    _daemon: Background,
    pub port: u16,
    folder: TempDir,
}

impl LoopbackSshd {
    /// Starts an sshd. Without the program, prints that the test is skipped and returns none.
    pub fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// Starts an sshd with further lines of configuration.
    pub fn start_with(more: &str) -> Option<Self> {
        let mut programs = PROGRAMS.into_iter().map(PathBuf::from);
        let program = programs.find(|program| program.is_file());
        let Some(program) = program.or_else(|| process::which("sshd")) else {
            skip("this machine has no sshd: run `cargo xtask setup`");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("xtask-sshd-").tempdir().unwrap();
        for name in ["host_key", "client_key"] {
            let words = ["-q", "-t", "ed25519", "-N", "", "-C", HOST, "-f"];
            let call = Invocation::new("ssh-keygen").args(words).arg(folder.path().join(name));
            process::read(&call, Some(QUICK)).unwrap();
        }
        if debian::is_root() {
            // sshd's privilege separation directory, which usually exists after boot.
            disk::create(Path::new("/run/sshd")).unwrap();
        }
        // Retries, because another program may take the free port before sshd does.
        let mut printed = String::new();
        for _ in 0..5 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            configure(folder.path(), port, more);
            let config = folder.path().join("sshd_config");
            let call = Invocation::new(&program).args(["-D", "-e", "-f"]).arg(config);
            let daemon = Background::start(&call).unwrap();
            if answers(port, &daemon) {
                return Some(Self { _daemon: daemon, port, folder });
            }
            printed = daemon.printed();
        }
        panic!("{} does not start on loopback: {printed}", program.display())
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the options with which ssh reaches [`HOST`].
    pub fn ssh_options(&self) -> Vec<String> {
        vec!["-F".to_owned(), self.folder().join("ssh_config").display().to_string()]
    }

    pub fn target(&self, options: &[&str]) -> Target {
        let options = options.iter().map(|option| (*option).to_owned());
        Target::ssh(HOST, self.ssh_options().into_iter().chain(options).collect()).unwrap()
    }
}

/// Returns Nix. Without it, prints that the test is skipped and returns none.
pub fn nix_or_skip() -> Option<Nix> {
    let nix = Nix::find(&paths::home().unwrap()).ok();
    if nix.is_none() {
        skip("this machine has no Nix: run `cargo xtask setup`");
    }
    nix
}

fn skip(why: &str) {
    // Not `eprintln!`: the test runner shows its output only for failed tests.
    std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes()).unwrap();
}

fn configure(folder: &Path, port: u16, more: &str) {
    let at = |name: &str| folder.join(name).display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let server = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nPrintMotd no\nPrintLastLog no\nUseDNS no\n\
         SetEnv \"PATH={path}\" \"XDG_CACHE_HOME={}\"\n{more}",
        at("host_key"),
        at("client_key.pub"),
        at("cache")
    );
    fs::write(at("sshd_config"), server).unwrap();
    let host_key = fs::read_to_string(at("host_key.pub")).unwrap();
    fs::write(at("known_hosts"), format!("[127.0.0.1]:{port} {host_key}")).unwrap();
    let user = process::read(&Invocation::new("id").arg("-un"), Some(QUICK)).unwrap();
    let client = format!(
        "Host {HOST}\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile {}\n  \
         IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {}\n  \
         GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  UpdateHostKeys no\n  BatchMode yes\n  \
         ConnectTimeout 10\n  ControlMaster no\n  ControlPath none\n",
        at("client_key"),
        at("known_hosts")
    );
    fs::write(at("ssh_config"), client).unwrap();
}

/// Whether an SSH server answers within ten seconds.
fn answers(port: u16, daemon: &Background) -> bool {
    let began = Instant::now();
    while daemon.is_running() && began.elapsed() < Duration::from_secs(10) {
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            let mut greeting = [0; 4];
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            if stream.read_exact(&mut greeting).is_ok() && &greeting == b"SSH-" {
                return true;
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}
