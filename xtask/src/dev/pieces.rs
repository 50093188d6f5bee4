//! The pieces that `setup` provides, with their states, and the texts made from apt's output.
//!
//! Pure: no I/O, no clock.

use std::fmt::Write as _;

use serde::{Serialize, Serializer};

/// A piece and its state on this machine.
#[derive(Debug, Serialize)]
pub struct Item {
    #[serde(rename = "name")]
    pub piece: Piece,
    pub state: State,
    /// What is installed; or what is missing, and why.
    pub message: String,
    /// The command that `setup` would run, or that the user has to run.
    pub command: Option<String>,
    #[serde(skip)]
    pub size: Size,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    Tools,
    Store,
    Nix,
    LlamaCpp,
    // Provided only on request.
    Model,
    Cuda,
    Rocm,
    Vulkan,
}

impl Serialize for Piece {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Piece {
    /// Part of every set-up, in the order of installation.
    pub const ALWAYS: [Self; 4] = [Self::Tools, Self::Store, Self::Nix, Self::LlamaCpp];

    pub fn name(self) -> &'static str {
        match self {
            Self::Tools => "build tools",
            Self::Store => "/nix",
            Self::Nix => "Nix",
            Self::LlamaCpp => "llama.cpp",
            Self::Model => "SmolLM2",
            Self::Cuda => "CUDA",
            Self::Rocm => "ROCm",
            Self::Vulkan => "Vulkan",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Present,
    /// `setup` provides it.
    ToDo,
    /// Missing, but of no use on this machine.
    Unneeded,
    /// Missing, and only the user can install it.
    Blocked,
}

impl Piece {
    fn item(self, state: State, message: impl Into<String>, command: Option<String>) -> Item {
        Item { piece: self, state, message: message.into(), command, size: Size::default() }
    }

    pub fn present(self, message: impl Into<String>) -> Item {
        self.item(State::Present, message, None)
    }

    pub fn unneeded(self, why: &str) -> Item {
        self.item(State::Unneeded, why, None)
    }

    pub fn blocked(self, message: impl Into<String>, command: impl Into<String>) -> Item {
        self.item(State::Blocked, message, Some(command.into()))
    }

    pub fn to_do(
        self,
        message: impl Into<String>,
        command: impl Into<String>,
        (download, disk): (Option<u64>, u64),
    ) -> Item {
        let item = self.item(State::ToDo, message, Some(command.into()));
        Item { size: Size { download, disk }, ..item }
    }
}

impl Item {
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Present | State::Unneeded)
    }
}

/// In megabytes; `disk` is the largest use during installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Unknown without package lists.
    pub download: Option<u64>,
    pub disk: u64,
}

/// A program or file that the testbed uses, and its Debian package.
pub struct Tool {
    pub wanted: Wanted,
    pub package: &'static str,
}

pub enum Wanted {
    Program(&'static str),
    File(&'static str),
    /// Found only in the package database.
    Package,
}

/// The programs and files for the testbed's builds, loopback SSH and downloads, except Rust, which
/// is present because it compiled xtask.
pub const TOOLS: &[Tool] = &[
    tool("g++", "g++"),
    tool("make", "make"),
    tool("cmake", "cmake"),
    tool("ninja", "ninja-build"),
    tool("pkg-config", "pkg-config"),
    tool("git", "git"),
    tool("ccache", "ccache"),
    tool("xz", "xz-utils"),
    tool("ssh", "openssh-client"),
    tool("python3", "python3"),
    Tool { wanted: Wanted::File("/usr/sbin/sshd"), package: "openssh-server" },
    Tool { wanted: Wanted::File("/etc/ssl/certs/ca-certificates.crt"), package: "ca-certificates" },
    Tool { wanted: Wanted::Package, package: "libopenblas-dev" },
];

const fn tool(program: &'static str, package: &'static str) -> Tool {
    Tool { wanted: Wanted::Program(program), package }
}

/// Returns the mirror that this machine's apt uses for Debian, from the output of
/// `apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN) $(LABEL)'`.
pub fn mirror_of_indexes(output: &str) -> Option<String> {
    let mut lines = output.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines
        .find(|fields| {
            matches!(fields[..], [_, suite, "main", "Debian", "Debian"] if !suite.contains('-'))
        })
        .map(|fields| fields[0].trim_end_matches('/').to_owned())
}

/// Like [`mirror_of_indexes`], from sources.list (one line per source) or *.sources (deb822), for a
/// machine whose package lists are empty, such as a fresh container.
pub fn mirror_of_sources(text: &str) -> Option<String> {
    let debian = |uri: &&str| {
        let path = uri.trim_end_matches('/');
        uri.contains(":/") && path.rsplit('/').next() == Some("debian")
    };
    for line in text.lines().map(str::trim) {
        let uris = match line.split_once(':') {
            Some((key, value)) if key.eq_ignore_ascii_case("uris") => value,
            _ if line.starts_with("deb ") => line,
            _ => continue,
        };
        if let Some(uri) = uris.split_whitespace().find(debian) {
            return Some(uri.trim_end_matches('/').to_owned());
        }
    }
    None
}

/// Returns apt's configuration for a separate package database under `dir`, which does not use the
/// system's state or hooks. Keeps only the download settings (proxies, certificates, timeouts) of
/// the machine's configuration, the output of `apt-config dump`.
pub fn apt_configuration(dir: &str, dump: &str) -> String {
    let mut text = String::new();
    for (name, value) in [
        ("Dir::State", "state"),
        ("Dir::State::status", "status"),
        ("Dir::Cache", "cache"),
        ("Dir::Log", "log"),
        ("Dir::Etc::sourcelist", "sources.list"),
        ("Dir::Etc::sourceparts", "none"),
        ("Dir::Etc::parts", "none"),
        ("Dir::Etc::main", "none/apt.conf"),
        ("Dir::Etc::preferences", "none/preferences"),
        ("Dir::Etc::preferencesparts", "none"),
    ] {
        let _ = writeln!(text, "{name} \"{dir}/{value}\";");
    }
    // apt's download user may not be able to reach root's folders.
    text.push_str("APT::Sandbox::User \"root\";\n");
    text.push_str("APT::Keep-Downloaded-Packages \"true\";\n");
    // By default a mirror that cannot be reached is only a warning.
    text.push_str("APT::Update::Error-Mode \"any\";\n");
    for line in dump.lines().filter(|line| line.starts_with("Acquire::")) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Returns the version in a file name: `nix-bin_2.26.3+dfsg-1_amd64.deb` is Nix 2.26.3.
pub fn nix_version_of(deb: &str) -> Option<&str> {
    let version = deb.strip_prefix("nix-bin_")?.split('_').next()?;
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    (end > 0).then(|| &version[..end])
}

/// Returns the script that starts one of Nix's programs with the unpacked loader and libraries
/// instead of the system's. `triplet` is Debian's architecture name, such as `x86_64-linux-gnu`.
pub fn nix_wrapper(name: &str, root: &str, conf: &str, triplet: &str) -> Option<String> {
    let loader = match triplet {
        "x86_64-linux-gnu" => "ld-linux-x86-64.so.2",
        "aarch64-linux-gnu" => "ld-linux-aarch64.so.1",
        _ => return None,
    };
    let lib = format!("{root}/usr/lib/{triplet}");
    Some(format!(
        "#!/bin/sh\n\
         # Written by `cargo xtask setup`.\n\
         export NIX_CONF_DIR=\"${{NIX_CONF_DIR:-{conf}}}\"\n\
         export NIX_CONFIG=\"build-hook = {conf}/../bin/nix __build-remote\n\
         ${{NIX_CONFIG-}}\"\n\
         exec '{lib}/{loader}' --library-path '{lib}' --argv0 {name} '{root}/usr/bin/nix' \"$@\"\n"
    ))
}

/// Returns the private Nix's configuration: no sandbox, because builds use the machine's compiler,
/// and no build users, because there is only one user. Offline it has no binary cache, because
/// every build would wait for its timeout.
pub fn nix_configuration(online: bool) -> String {
    let substituters = if online { " https://cache.nixos.org/" } else { "" };
    format!(
        "# Written by `cargo xtask setup`.\n\
         experimental-features = nix-command flakes\n\
         build-users-group =\n\
         sandbox = false\n\
         substituters ={substituters}\n\
         flake-registry =\n\
         warn-dirty = false\n"
    )
}

/// Sums the sizes in the output of `apt-get --print-uris` (`'URI' FILE SIZE HASH`), in megabytes.
pub fn megabytes_of_uris(output: &str) -> u64 {
    let bytes: u64 = output
        .lines()
        .filter(|line| line.starts_with('\''))
        .filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok())
        .sum();
    bytes.div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_neither_debian_security_nor_a_third_partys() {
        let output = "http://example.org/node/ nodistro main . Node\n\
                    http://example.org/debian-security/ bookworm-security main Debian Debian-Security\n\
                    http://example.org/debian/ bookworm-updates main Debian Debian\n\
                    http://example.org/debian/ bookworm main Debian Debian\n";
        assert_eq!(mirror_of_indexes(output).as_deref(), Some("http://example.org/debian"));
        assert_eq!(mirror_of_indexes(""), None);
    }

    #[test]
    fn without_package_lists_the_mirror_is_found_in_the_sources() {
        let deb822 = "Types: deb\n# http://example.org/debian-old\nURIs: http://example.org/debian-security\n\n\
                      Types: deb\nURIs: http://example.org/debian/\nSuites: bookworm\n";
        assert_eq!(mirror_of_sources(deb822).as_deref(), Some("http://example.org/debian"));
        let line = "# deb http://no.example/debian x\ndeb [arch=amd64] http://example.org/debian bookworm main\n";
        assert_eq!(mirror_of_sources(line).as_deref(), Some("http://example.org/debian"));
        assert_eq!(mirror_of_sources("deb http://example.org/ubuntu jammy main"), None);
    }

    #[test]
    fn only_download_settings_of_the_machines_apt_are_kept() {
        let dump =
            "APT::Update::Post-Invoke:: \"rm -f x\";\nAcquire::http::Proxy \"http://p:1\";\n";
        let text = apt_configuration("/h/apt", dump);
        assert!(text.contains("Acquire::http::Proxy \"http://p:1\";"), "{text}");
        assert!(text.contains("Dir::State::status \"/h/apt/status\";"), "{text}");
        assert!(!text.contains("Post-Invoke"), "{text}");
    }

    #[test]
    fn the_version_of_nix_is_found_in_the_file_name() {
        assert_eq!(nix_version_of("nix-bin_2.26.3+dfsg-1_amd64.deb"), Some("2.26.3"));
        assert_eq!(nix_version_of("nix-bin_2.30-1_arm64.deb"), Some("2.30"));
        assert_eq!(nix_version_of("libc6_2.41-12_amd64.deb"), None);
    }

    #[test]
    fn a_wrapper_starts_nix_with_the_unpacked_loader() {
        let script = nix_wrapper("nix-store", "/h/root", "/h/conf", "aarch64-linux-gnu").unwrap();
        assert!(script.contains(
            "exec '/h/root/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1' --library-path \
             '/h/root/usr/lib/aarch64-linux-gnu' --argv0 nix-store '/h/root/usr/bin/nix' \"$@\""
        ));
        assert_eq!(nix_wrapper("nix", "/h", "/c", "riscv64-linux-gnu"), None);
    }
}
