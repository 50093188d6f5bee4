//! Debian's package manager: finds and installs the testbed's missing tools, and fetches packages
//! of another release without touching this one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result};

use crate::dev::pieces::{self, TOOLS, Tool, Wanted};
use crate::system::process::{self, Invocation};
use crate::system::{disk, files, interrupt};

const QUICK: Duration = Duration::from_secs(30);
const DOWNLOAD: Duration = Duration::from_secs(1200);
/// Signs every release since Debian 8; the machine's own apt trusts it too.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The release under development.
pub const TESTING: &str = "testing";

/// Returns whether apt can install packages here.
pub fn is_here() -> bool {
    process::which("apt-get").is_some() && process::which("dpkg").is_some()
}

/// Returns whether this user may install packages.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Returns the packages of the missing [`TOOLS`], and pip if it is needed and missing. A tool from
/// another source counts as present.
pub fn missing_packages(with_pip: bool) -> Vec<&'static str> {
    let mut packages = missing(TOOLS);
    let pip = Invocation::new("python3").args(["-m", "pip", "--version"]);
    if with_pip && !process::capture(&pip, Some(QUICK)).is_ok_and(|output| output.exit.ok()) {
        packages.push("python3-pip");
    }
    packages
}

/// Returns the packages of the tools that are missing.
pub fn missing(tools: &[Tool]) -> Vec<&'static str> {
    let is_missing = |tool: &&Tool| match tool.wanted {
        Wanted::Program(name) => process::which(name).is_none(),
        Wanted::File(path) => !Path::new(path).exists(),
        Wanted::Package => !is_installed(tool.package),
    };
    tools.iter().filter(is_missing).map(|tool| tool.package).collect()
}

fn is_installed(package: &str) -> bool {
    let call = Invocation::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]);
    process::capture(&call, Some(QUICK)).is_ok_and(|output| output.stdout.starts_with(b"installed"))
}

/// Returns the command that installs `packages` without recommended ones. With RUNLEVEL=1, Debian
/// does not start the services that it installs, except under systemd, which the plan mentions.
pub fn install_command(packages: &[&str]) -> Invocation {
    Invocation::new("apt-get")
        .args(["install", "-y", "--no-install-recommends"])
        .args(packages.iter().copied())
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1")
}

/// Returns the megabytes that apt would download; `None` while its lists are empty.
pub fn download_megabytes(packages: &[&str]) -> Option<u64> {
    let call = Invocation::new("apt-get")
        .args(["install", "-qq", "--print-uris", "--no-install-recommends"])
        .args(packages.iter().copied());
    let output = process::read(&call, Some(QUICK)).ok()?;
    Some(pieces::megabytes_of_uris(&output))
}

/// Installs packages, as root.
pub fn install(packages: &[&str]) -> Result<()> {
    // Without package lists nothing is found, and old lists name files that no longer exist.
    if download_megabytes(packages).is_none()
        || process::read(&fetch_only(packages), Some(DOWNLOAD)).is_err()
    {
        let update = Invocation::new("apt-get").arg("update");
        process::read(&update, Some(DOWNLOAD)).context("apt cannot refresh its package lists")?;
    }
    process::read(&install_command(packages), Some(DOWNLOAD))
        .context("apt cannot install the build tools")?;
    Ok(())
}

fn fetch_only(packages: &[&str]) -> Invocation {
    install_command(packages).arg("--download-only")
}

/// A separate package database in `dir`, for one release of Debian.
pub struct PrivateApt {
    dir: PathBuf,
}

impl PrivateApt {
    /// Prepares `dir`. Keeps what an earlier, killed run fetched into it.
    pub fn new(dir: &Path, release: &str) -> Result<Self> {
        for name in ["state/lists/partial", "cache/archives/partial", "log", "none"] {
            disk::create(&dir.join(name))?;
        }
        let dump = process::read(&Invocation::new("apt-config").arg("dump"), Some(QUICK))?;
        let path = dir.to_str().context("the path of the home folder is not UTF-8")?;
        let mut configuration = pieces::apt_configuration(path, &dump);
        if release == TESTING {
            // Signatures expire after a week, and not every mirror is updated that often.
            configuration.push_str("Acquire::Check-Valid-Until \"false\";\n");
        }
        files::write_atomically(&dir.join("apt.conf"), configuration.as_bytes())?;
        files::write_atomically(&dir.join("status"), b"")?;
        let source = format!("deb [signed-by={KEYRING}] {} {release} main\n", mirror()?);
        files::write_atomically(&dir.join("sources.list"), source.as_bytes())?;
        Ok(Self { dir: dir.to_owned() })
    }

    fn apt_get(&self) -> Invocation {
        Invocation::new("apt-get").env("APT_CONFIG", self.dir.join("apt.conf")).arg("-q")
    }

    /// Fetches packages with their dependencies; apt compares each file with its signed checksum
    /// and fetches only what is missing.
    pub fn download(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let call =
            self.apt_get().args(["install", "-y", "--download-only", "--no-install-recommends"]);
        self.fetch(&call.args(packages.iter().copied()), &packages.join(" "))?;
        debs_of(&self.dir.join("cache/archives"))
    }

    /// Fetches one package without dependencies.
    pub fn download_one(&self, package: &str) -> Result<PathBuf> {
        self.fetch(&self.apt_get().args(["download", package]).dir(&self.dir), package)?;
        let debs = debs_of(&self.dir)?;
        debs.into_iter().next_back().context("apt reported success, but nothing was downloaded")
    }

    fn fetch(&self, call: &Invocation, what: &str) -> Result<()> {
        let hint = "run it again; finished downloads are not repeated";
        run_locked(&self.apt_get().arg("update"))
            .with_context(|| format!("apt cannot reach this machine's Debian mirror; {hint}"))?;
        run_locked(call).with_context(|| format!("apt cannot fetch {what}; {hint}"))
    }
}

fn debs_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut debs = disk::files_of(folder)?;
    debs.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    debs.sort();
    Ok(debs)
}

/// Runs apt, and waits while another apt holds the lock, such as that of a killed run.
fn run_locked(call: &Invocation) -> Result<()> {
    let began = Instant::now();
    loop {
        let Err(error) = process::read(call, Some(DOWNLOAD)) else { return Ok(()) };
        let locked = format!("{error:#}").contains("Could not get lock");
        if !locked || began.elapsed() > DOWNLOAD || interrupt::requested() {
            return Err(explain(error));
        }
        thread::sleep(Duration::from_millis(500));
    }
}

fn explain(error: anyhow::Error) -> anyhow::Error {
    if format!("{error:#}").contains("NO_PUBKEY") {
        return error.context(
            "this machine's debian-archive-keyring is too old for Debian 13: upgrade that package",
        );
    }
    error
}

/// Unpacks the files of packages below `root` without running their scripts.
pub fn unpack(debs: &[PathBuf], root: &Path) -> Result<()> {
    for deb in debs {
        interrupt::check()?;
        process::read(&Invocation::new("dpkg").arg("-x").arg(deb).arg(root), Some(DOWNLOAD))
            .with_context(|| format!("cannot unpack {}", deb.display()))?;
    }
    Ok(())
}

/// Returns Debian's name for this architecture, such as `x86_64-linux-gnu`.
pub fn triplet() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "x86_64-linux-gnu",
        "aarch64" => "aarch64-linux-gnu",
        other => other,
    }
}

/// Returns the mirror that this machine's apt uses for Debian.
fn mirror() -> Result<String> {
    let format = "$(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN) $(LABEL)";
    let call = Invocation::new("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
    ]);
    let indexes = process::read(&call, Some(QUICK)).unwrap_or_default();
    if let Some(mirror) = pieces::mirror_of_indexes(&indexes) {
        return Ok(mirror);
    }
    let mut sources = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
        let named =
            |path: &PathBuf| path.extension().is_some_and(|e| e == "sources" || e == "list");
        sources.extend(folder.filter_map(|entry| Some(entry.ok()?.path())).filter(named));
    }
    let found =
        sources.iter().find_map(|file| pieces::mirror_of_sources(&fs::read_to_string(file).ok()?));
    found.context(
        "no Debian package source on this machine to fetch Nix from; install Nix from nixos.org",
    )
}
