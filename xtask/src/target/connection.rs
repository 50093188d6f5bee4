//! One shared connection to a target for all commands there: ssh's connection sharing, through a
//! private socket, until this process ends. Each command then takes a round trip instead of a
//! handshake.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::system::background::Background;
use crate::system::disk::TemporaryFolder;
use crate::system::interrupt;
use crate::system::process::{self, Invocation};
use crate::system::running::Running;
use crate::target::{Ssh, Target, ssh};

/// Fallback timeout. ssh's own timeouts end a failing connection long before.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Prefix of the names of socket folders.
const FOLDER: &str = "llamafleet-ssh-";
const QUICK: Duration = Duration::from_secs(10);

/// A shared connection. Ends when it is dropped; the kernel ends it if this process is killed.
pub struct Connection {
    #[expect(dead_code, reason = "dropped first: removes its socket")]
    master: Background,
    #[expect(dead_code, reason = "dropped after the socket is removed")]
    folder: TemporaryFolder,
}

impl Target {
    /// Opens a connection that all later commands on the target share. None for this machine, or
    /// if the user's ssh already shares connections.
    ///
    /// # Errors
    /// A [`Finding`] if SSH fails; an error if there is no ssh, or no folder for the socket.
    pub fn connect(&mut self) -> Result<Option<Connection>> {
        let Self::Ssh(ssh) = self else { return Ok(None) };
        if ssh.shared.is_some() || ssh.is_shared_by_the_user()? {
            return Ok(None);
        }
        let folder = std::env::temp_dir();
        // A socket's path is limited to 107 characters, and ssh appends some.
        let folder = if folder.as_os_str().len() > 40 { PathBuf::from("/tmp") } else { folder };
        let folder =
            TemporaryFolder::private(&folder, FOLDER, &format!("-{}", std::process::id()))?;
        let socket = folder.path().join("socket");
        let socket = socket.to_str().context("the temporary folder's path is not UTF-8")?;
        let master = Background::start(&ssh.master(socket))?;
        let _shown = Running::own(format!("connecting to {}", ssh.destination));
        let began = Instant::now();
        while !Path::new(socket).exists() {
            if !master.is_running() {
                bail!(ssh::explain(&ssh.destination, &master.printed()));
            }
            interrupt::check()?;
            if began.elapsed() > TIMEOUT {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(5));
        }
        ssh.shared = Some(socket.to_owned());
        Ok(Some(Connection { master, folder }))
    }
}

impl Ssh {
    /// Returns the ssh process that holds the connection, without a remote command.
    fn master(&self, socket: &str) -> Invocation {
        let path = format!("ControlPath={socket}");
        let ours = ["-o", "ControlMaster=yes", "-o", &path, "-o", "ControlPersist=no", "-N"];
        Invocation::new("ssh")
            .args(self.ssh_options())
            .args(ours)
            .args(["--", &self.address])
            .ends_with_us()
    }

    /// Whether the user's configuration already shares connections.
    fn is_shared_by_the_user(&self) -> Result<bool> {
        let call = Invocation::new("ssh").args(self.ssh_options()).args(["-G", "--"]);
        let printed = process::capture(&call.arg(&self.address), Some(QUICK))?;
        Ok(ssh::shares_connections(&printed.stdout_text()))
    }
}
