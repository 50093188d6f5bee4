//! A real sshd on loopback, with keys of its own, as the current user: the testbed's
//! target and builder. It reads and writes nothing outside its folder.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, bail};

use crate::dev::debian;
use crate::system::background::Background;
use crate::system::process::{self, Invocation};
use crate::system::{disk, files};

/// What `ssh -F CONFIG` calls it.
pub const HOST: &str = "llamafleet-loopback";

const QUICK: Duration = Duration::from_secs(20);
/// Started by its full path: it starts itself again for every connection.
const PROGRAMS: [&str; 2] = ["/usr/sbin/sshd", "/run/current-system/sw/bin/sshd"];

/// Ends when dropped.
pub struct LoopbackSshd {
    dir: PathBuf,
    port: u16,
    _daemon: Background,
}

impl LoopbackSshd {
    /// Starts it with its files under `dir`; keys that are there are used again.
    ///
    /// # Errors
    /// There is no sshd here, or it does not start: its own words are quoted.
    pub fn start(dir: &Path) -> Result<Self> {
        let program = PROGRAMS
            .into_iter()
            .map(PathBuf::from)
            .find(|program| program.is_file())
            .or_else(|| process::which("sshd"))
            .context("this machine has no sshd: run `cargo xtask setup`")?;
        prepare(dir)?;
        // Another program may take the free port before sshd does: then try again.
        let mut last = String::new();
        for _ in 0..5 {
            let port = free_port()?;
            configure(dir, port)?;
            let call =
                Invocation::new(&program).args(["-D", "-e", "-f"]).arg(dir.join("sshd_config"));
            let daemon = Background::start(&call)?;
            if greets(port, &daemon) {
                return Ok(Self { dir: dir.to_owned(), port, _daemon: daemon });
            }
            last = daemon.printed();
        }
        bail!("{} does not start on loopback: {}", program.display(), last.trim())
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// For `ssh -F`, `scp -F` and `NIX_SSHOPTS`; in it, [`HOST`] is this sshd.
    pub fn ssh_config(&self) -> PathBuf {
        self.dir.join("ssh_config")
    }

    /// The options with which any ssh reaches [`HOST`].
    pub fn ssh_options(&self) -> Vec<String> {
        vec!["-F".to_owned(), self.ssh_config().display().to_string()]
    }
}

fn prepare(dir: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot create the folder {}", dir.display()))?;
    for name in ["host_key", "client_key"] {
        let key = dir.join(name);
        if key.is_file() && dir.join(format!("{name}.pub")).is_file() {
            continue;
        }
        // A run that was killed may have left half of the pair.
        disk::remove(&key)?;
        let call = Invocation::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", HOST, "-f"])
            .arg(&key);
        process::read(&call, Some(QUICK)).context("cannot make an SSH key")?;
    }
    let authorized = dir.join("authorized_keys");
    files::write_atomically(&authorized, &read(&dir.join("client_key.pub"))?)?;
    fs::set_permissions(&authorized, fs::Permissions::from_mode(0o600))
        .with_context(|| format!("cannot protect {}", authorized.display()))?;
    if debian::is_root() {
        // The folder that sshd locks its unprivileged half in; boot makes it otherwise.
        disk::create(Path::new("/run/sshd"))?;
    }
    Ok(())
}

fn configure(dir: &Path, port: u16) -> Result<()> {
    let at = |name: &str| {
        let path = dir.join(name);
        let text = path.to_str().context("the path of sshd's folder is not UTF-8")?;
        if text.contains('"') {
            bail!("{text}: sshd does not accept a path with a quotation mark");
        }
        Ok(format!("\"{text}\""))
    };
    let path = std::env::var("PATH").unwrap_or_default();
    let server = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nPrintMotd no\nPrintLastLog no\nUseDNS no\n\
         SetEnv \"PATH={path}\" \"XDG_CACHE_HOME={}\"\n",
        at("host_key")?,
        at("authorized_keys")?,
        dir.join("cache").display()
    );
    files::write_atomically(&dir.join("sshd_config"), server.as_bytes())?;
    let host_key = String::from_utf8_lossy(&read(&dir.join("host_key.pub"))?).into_owned();
    let known = format!("[127.0.0.1]:{port} {host_key}");
    files::write_atomically(&dir.join("known_hosts"), known.as_bytes())?;
    let user = process::read(&Invocation::new("id").arg("-un"), Some(QUICK))?;
    let client = format!(
        "Host {HOST}\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile {}\n  \
         IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {}\n  \
         GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  UpdateHostKeys no\n  BatchMode yes\n  \
         ConnectTimeout 10\n  ControlMaster no\n  ControlPath none\n",
        at("client_key")?,
        at("known_hosts")?
    );
    files::write_atomically(&dir.join("ssh_config"), client.as_bytes())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
    Ok(listener.local_addr().context("no free port on loopback")?.port())
}

/// Whether it answers as an SSH server before it ends or ten seconds pass.
fn greets(port: u16, daemon: &Background) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_ssh_runs_a_command_there_and_is_refused_afterwards() {
        let dir = std::env::temp_dir().join(format!("llamafleet sshd-{}", std::process::id()));
        let sshd = LoopbackSshd::start(&dir).unwrap();
        let call = Invocation::new("ssh").args(sshd.ssh_options()).args([
            HOST,
            "echo",
            "$SSH_CONNECTION",
            "$PATH",
        ]);
        let printed = process::read(&call, Some(QUICK)).unwrap();
        assert!(printed.contains(&format!("127.0.0.1 {}", sshd.port())), "{printed}");
        drop(sshd);
        let refused = process::read(&call, Some(QUICK)).unwrap_err();
        assert!(format!("{refused:#}").contains("refused"), "{refused:#}");
        // The second start uses the same keys.
        let key = fs::read(dir.join("host_key")).unwrap();
        drop(LoopbackSshd::start(&dir).unwrap());
        assert_eq!(fs::read(dir.join("host_key")).unwrap(), key);
        disk::remove(&dir).unwrap();
    }
}
