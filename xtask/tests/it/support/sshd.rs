//! A real sshd on loopback with its own keys, as a target for the binary under test.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Scratch;

/// A server that is stopped when dropped.
pub struct Sshd {
    /// The host name in the client's configuration; unique, because a target runs one bench at a
    /// time.
    pub host: String,
    pub dir: Scratch,
    daemon: Child,
}

impl Sshd {
    pub fn start() -> Self {
        let dir = Scratch::new();
        let host = dir.name().to_lowercase();
        for key in ["host", "client"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(dir.path().join(key))
                .status();
            assert!(made.unwrap().success());
        }
        let program = ["/usr/sbin/sshd", "/run/current-system/sw/bin/sshd"];
        let program = program.iter().find(|program| Path::new(program).is_file()).unwrap();
        let _ = fs::create_dir_all("/run/sshd");
        // Another test may take the free port first.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            configure(dir.path(), &host, port);
            let mut daemon = Command::new(program)
                .args(["-D", "-e", "-f"])
                .arg(dir.path().join("sshd_config"))
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            if greets(port, &mut daemon) {
                return Self { host, dir, daemon };
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        panic!("sshd does not start")
    }

    /// Returns the value of NIX_SSHOPTS.
    pub fn options(&self) -> String {
        format!("-F {}", self.dir.path().join("ssh_config").display())
    }

    /// Returns the URL of the target's own store, which `program` (a nix-daemon) serves.
    pub fn store(&self, program: &str) -> String {
        let root = self.root();
        format!(
            "ssh-ng://{}?remote-program={program}&remote-store=local%3Froot%3D{}",
            self.host,
            root.display()
        )
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Returns the target's `~/.cache`.
    pub fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn configure(dir: &Path, host: &str, port: u16) {
    let at = |name: &str| dir.join(name).display().to_string();
    fs::copy(dir.join("client.pub"), dir.join("authorized")).unwrap();
    let server = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
         StrictModes no\nUsePAM no\nMaxStartups 100\nPasswordAuthentication no\nUseDNS no\nPrintMotd no\n\
         KbdInteractiveAuthentication no\nSetEnv \"PATH={}\" \"XDG_CACHE_HOME={}\"\n",
        at("host"),
        at("authorized"),
        std::env::var("PATH").unwrap(),
        at("cache")
    );
    fs::write(dir.join("sshd_config"), server).unwrap();
    let key = fs::read_to_string(dir.join("host.pub")).unwrap();
    fs::write(dir.join("known"), format!("[127.0.0.1]:{port} {key}")).unwrap();
    let client = format!(
        "Host {host}\n HostName 127.0.0.1\n Port {port}\n IdentityFile {}\n IdentitiesOnly yes\n \
         IdentityAgent none\n UserKnownHostsFile {}\n GlobalKnownHostsFile /dev/null\n \
         StrictHostKeyChecking yes\n UpdateHostKeys no\n ControlMaster no\n ControlPath none\n",
        at("client"),
        at("known")
    );
    fs::write(dir.join("ssh_config"), client).unwrap();
}

/// Waits for the server's SSH greeting; returns false if the server ends or stays silent.
fn greets(port: u16, daemon: &mut Child) -> bool {
    let began = Instant::now();
    while daemon.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(20) {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let mut greeting = [0; 4];
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            if stream.read_exact(&mut greeting).is_ok() && &greeting == b"SSH-" {
                return true;
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}
