//! One connection to a target for all that is done there: ssh's own sharing, through a
//! socket that only we know of, for as long as we live. A round trip for each step is left
//! of what a handshake takes.

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

/// ssh's own limits end a connection that does not come about long before.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The beginning of the name of a socket's folder.
const FOLDER: &str = "llamafleet-ssh-";
const QUICK: Duration = Duration::from_secs(10);

/// Ends when it is dropped; with a signal from the kernel where we are killed.
pub struct Connection {
    #[expect(dead_code, reason = "it takes its socket away when it ends")]
    master: Background,
    #[expect(dead_code, reason = "after its socket")]
    folder: TemporaryFolder,
}

impl Target {
    /// From now on all that is done on the target goes through one connection. None for
    /// this machine, and where the user's ssh shares connections by itself.
    ///
    /// # Errors
    /// [`Finding`] where SSH failed; there is no ssh, or no folder for the socket.
    pub fn connect(&mut self) -> Result<Option<Connection>> {
        let Self::Ssh(ssh) = self else { return Ok(None) };
        if ssh.shared.is_some() || ssh.is_shared_by_the_user()? {
            return Ok(None);
        }
        let folder = std::env::temp_dir();
        // A socket's path holds 107 characters, and ssh adds some of its own to it.
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
    /// Without a command, and without a program of the target's.
    fn master(&self, socket: &str) -> Invocation {
        let path = format!("ControlPath={socket}");
        let ours = ["-o", "ControlMaster=yes", "-o", &path, "-o", "ControlPersist=no", "-N"];
        Invocation::new("ssh")
            .args(self.ssh_options())
            .args(ours)
            .args(["--", &self.destination])
            .ends_with_us()
    }

    /// Whoever shares connections already has set how.
    fn is_shared_by_the_user(&self) -> Result<bool> {
        let call = Invocation::new("ssh").args(self.ssh_options()).args(["-G", "--"]);
        let printed = process::capture(&call.arg(&self.destination), Some(QUICK))?;
        Ok(ssh::shares_connections(&printed.stdout_text()))
    }
}
