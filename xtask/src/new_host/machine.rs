//! A machine's software settings: how it boots, who logs in, its network and its configuration,
//! parsed from the output of machine.sh.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use crate::hardware::probe_output::sections;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The NixOS release, such as `25.11`; none on other systems.
    pub release: Option<String>,
    /// The output of `nixos-generate-config`.
    pub hardware: Option<String>,
    pub is_efi: bool,
    pub loader: Option<Loader>,
    /// Where the EFI system partition is mounted.
    pub esp: Option<String>,
    /// The disk of / or /boot, such as `/dev/sda`.
    pub disk: Option<String>,
    /// The host ID that ZFS pools require.
    pub host_id: Option<String>,
    /// The account that ran the script.
    pub login: String,
    pub users: Vec<User>,
    pub root_keys: Vec<String>,
    pub sshd: Sshd,
    pub network: Network,
    pub time_zone: Option<String>,
    pub locale: Option<String>,
    pub key_map: Option<String>,
    pub nixos: NixosFolder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loader {
    SystemdBoot,
    Grub,
    Extlinux,
}

/// A person's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub groups: Vec<String>,
    pub keys: Vec<String>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sshd {
    /// Empty for the default, 22.
    pub ports: Vec<u16>,
    pub no_passwords: bool,
    pub root_by_password: bool,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Network {
    pub network_manager: bool,
    /// Addresses that are not from DHCP: interface, address, prefix length.
    pub fixed: Vec<(String, String, u8)>,
    pub gateway: Option<String>,
    pub nameservers: Vec<String>,
}

/// The content of /etc/nixos.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct NixosFolder {
    pub is_flake: bool,
    /// The files' contents by name, with a final newline.
    pub files: BTreeMap<String, String>,
}

impl Machine {
    /// Parses the script's output. None if it is incomplete.
    pub fn read(output: &str) -> Option<Self> {
        let sections = sections(output);
        sections.contains_key("end").then_some(())?;
        let section = |name: &str| sections.get(name).map_or("", String::as_str);
        let word = |name: &str| section(name).split_whitespace().next().map(str::to_owned);
        let boot: BTreeSet<&str> = section("boot").lines().collect();
        let loaders = [
            ("systemd-boot", Loader::SystemdBoot),
            ("grub", Loader::Grub),
            ("extlinux", Loader::Extlinux),
        ];
        // Mount points with their file systems.
        let mounts: Vec<(&str, &str)> = section("mounts")
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace().skip(1);
                Some((words.next()?, words.next()?))
            })
            .collect();
        let mut keys = keys(section("keys"));
        let root_keys = keys.remove("root").unwrap_or_default();
        let hardware = section("hardware");
        let settings = |text: &str, name: &str| {
            let value = text.lines().rev().find_map(|line| line.strip_prefix(name))?;
            Some(value.trim_matches(['"', '\'']).to_owned()).filter(|value| !value.is_empty())
        };
        Some(Self {
            release: nixos_release(section("os-release")),
            hardware: hardware.contains('{').then(|| hardware.trim_start().to_owned()),
            is_efi: boot.contains("efi"),
            loader: loaders.into_iter().find(|(name, _)| boot.contains(name)).map(|(_, it)| it),
            esp: ["/boot", "/efi", "/boot/efi"]
                .into_iter()
                .find(|folder| mounts.contains(&(*folder, "vfat")))
                .map(str::to_owned),
            disk: word("disk"),
            host_id: word("hostid").filter(|_| mounts.iter().any(|(_, kind)| *kind == "zfs")),
            login: word("me").unwrap_or_default(),
            users: users(section("passwd"), section("group"), &mut keys),
            root_keys,
            sshd: sshd(section("sshd")),
            network: Network {
                network_manager: section("network").lines().any(|line| line == "networkmanager"),
                fixed: fixed_addresses(section("addresses")),
                gateway: after(section("routes"), "via"),
                nameservers: section("nameservers")
                    .lines()
                    .filter_map(|line| line.strip_prefix("nameserver "))
                    // systemd-resolved on the machine itself.
                    .filter(|server| !server.starts_with("127."))
                    .map(|server| server.trim().to_owned())
                    .collect(),
            },
            time_zone: section("timezone")
                .trim()
                .split_once("/zoneinfo/")
                .map(|(_, zone)| zone.to_owned()),
            locale: settings(section("locale"), "LANG="),
            key_map: settings(section("console"), "KEYMAP="),
            nixos: nixos_folder(section("nixos")),
        })
    }

    /// Returns the `system.stateVersion` of the machine's configuration.
    pub fn state_version(&self) -> Option<&str> {
        let mut lines = self.nixos.files.values().flat_map(|text| text.lines());
        lines.find_map(|line| {
            let value = line.trim().strip_prefix("system.stateVersion")?;
            value.split('"').nth(1).filter(|value| is_release(value))
        })
    }

    /// Whether somebody can log in with a key.
    pub fn has_keys(&self) -> bool {
        !self.root_keys.is_empty() || self.users.iter().any(|user| !user.keys.is_empty())
    }
}

fn is_release(text: &str) -> bool {
    text.len() == 5 && text.split('.').all(|part| part.parse::<u8>().is_ok())
}

/// Returns the NixOS release in /etc/os-release.
fn nixos_release(os_release: &str) -> Option<String> {
    let value = |name: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().trim_matches('"').to_owned())
    };
    let release = value("VERSION_ID=").filter(|release| is_release(release));
    release.filter(|_| value("ID=").as_deref() == Some("nixos"))
}

/// Returns the word after this one.
fn after(text: &str, word: &str) -> Option<String> {
    text.split_whitespace().skip_while(|it| *it != word).nth(1).map(str::to_owned)
}

/// Returns the public keys of each account.
fn keys(section: &str) -> BTreeMap<String, Vec<String>> {
    const KINDS: [&str; 3] = ["ssh-", "ecdsa-", "sk-"];
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut user = "";
    for line in section.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("user ") {
            user = name;
            continue;
        }
        // Cloud images lock root's account with a command that prints a message.
        let is_key =
            line.split_whitespace().any(|word| KINDS.iter().any(|kind| word.starts_with(kind)));
        if is_key && !line.starts_with('#') && !line.contains("command=") {
            let keys = keys.entry(user.to_owned()).or_default();
            if !keys.iter().any(|key| key == line) {
                keys.push(line.to_owned());
            }
        }
    }
    keys
}

/// Returns the accounts of people, with those of their groups that NixOS has.
fn users(passwd: &str, group: &str, keys: &mut BTreeMap<String, Vec<String>>) -> Vec<User> {
    const GROUPS: [&str; 10] = [
        "wheel",
        "networkmanager",
        "video",
        "render",
        "audio",
        "input",
        "dialout",
        "docker",
        "libvirtd",
        "kvm",
    ];
    let groups_of = |name: &str| -> Vec<String> {
        let groups = group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (group, members) = (fields.next()?, fields.nth(2)?);
            // The administrators' group on Debian and Ubuntu.
            let group = if group == "sudo" { "wheel" } else { group };
            (members.split(',').any(|member| member == name) && GROUPS.contains(&group))
                .then_some(group)
        });
        groups.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let people = passwd.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let (name, shell) = (*fields.first()?, *fields.get(6)?);
        let is_person = (1000..30_000).contains(&fields.get(2)?.parse::<u32>().ok()?);
        let logs_in = !shell.ends_with("/nologin") && !shell.ends_with("/false");
        (is_person && logs_in).then(|| User {
            name: name.to_owned(),
            groups: groups_of(name),
            keys: keys.remove(name).unwrap_or_default(),
        })
    });
    people.collect()
}

/// Parses the output of `sshd -T` or sshd's configuration, which differ in case.
fn sshd(section: &str) -> Sshd {
    let section = section.to_ascii_lowercase();
    let lines = section.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    let lines: Vec<(&str, &str)> = lines.map(|(key, value)| (key, value.trim())).collect();
    // sshd uses the first value of an option.
    let has = |name: &str, wanted: &str| {
        lines.iter().find(|(key, _)| *key == name).is_some_and(|(_, value)| *value == wanted)
    };
    let ports = lines.iter().filter(|(key, _)| *key == "port");
    let ports: BTreeSet<u16> = ports.filter_map(|(_, value)| value.parse().ok()).collect();
    Sshd {
        ports: if ports == BTreeSet::from([22]) { vec![] } else { ports.into_iter().collect() },
        no_passwords: has("passwordauthentication", "no"),
        root_by_password: has("permitrootlogin", "yes"),
    }
}

/// Parses the fixed addresses in the output of `ip -o addr`: not dynamic ones from DHCP or router
/// advertisements, and not those of bridges for containers and virtual machines.
fn fixed_addresses(section: &str) -> Vec<(String, String, u8)> {
    const PHYSICAL: [&str; 3] = ["en", "eth", "wl"];
    let address = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (interface, kind) = (*words.get(1)?, *words.get(2)?);
        let is_physical = PHYSICAL.iter().any(|prefix| interface.starts_with(prefix));
        if kind != "inet" || !is_physical || words.contains(&"dynamic") {
            return None;
        }
        let (address, length) = words.get(3)?.split_once('/')?;
        Some((interface.to_owned(), address.to_owned(), length.parse().ok()?))
    };
    section.lines().filter_map(address).collect()
}

fn nixos_folder(section: &str) -> NixosFolder {
    let mut folder = NixosFolder::default();
    let mut name = None;
    for line in section.lines() {
        if line == "flake" {
            folder.is_flake = true;
        } else if let Some(file) = line.strip_prefix("file ") {
            name = Some(file);
        } else if let (Some(name), Some(line)) = (name, line.strip_prefix('|')) {
            let text = folder.files.entry(name.to_owned()).or_default();
            text.push_str(line);
            text.push('\n');
        }
    }
    folder
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
