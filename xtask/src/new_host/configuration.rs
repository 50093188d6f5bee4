//! hosts/NAME/default.nix, as text: the variant, and all that the machine needs to boot and to
//! be reached. What is not certain is a comment.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use crate::hardware::facts::{Facts, Vendor};
use crate::hardware::recommendation::Recommendation;
use crate::new_host::machine::{Loader, Machine, NixosFolder, User};
use crate::nix::names::nix_string;

const HARDWARE: &str = "hardware-configuration.nix";

/// The host's files by name: its own, and what is taken over from the machine.
pub fn files(
    facts: &Facts,
    wanted: &Recommendation,
    machine: &Machine,
) -> BTreeMap<String, String> {
    let folder = &machine.nixos;
    let mut files = folder.files.clone();
    files.insert("default.nix".to_owned(), file(facts, wanted, machine));
    files.extend(machine.hardware.clone().map(|text| (HARDWARE.to_owned(), text)));
    if let Some(text) = files.get_mut("configuration.nix") {
        *text = without_host_name(text);
    }
    files
}

/// hosts/NAME/default.nix.
fn file(facts: &Facts, wanted: &Recommendation, machine: &Machine) -> String {
    let own = importable(&machine.nixos);
    let mut blocks = vec![imports(machine, own), wanted.nix()];
    blocks.extend(drivers(facts, wanted));
    if own.is_err() {
        blocks.extend([boot(machine), file_systems(machine)].into_iter().flatten());
        blocks.extend([network(machine), region(machine)].into_iter().flatten());
        blocks.extend(users(machine, wanted));
        blocks.push(ssh(machine));
    } else {
        blocks.push("# xtask logs in.\nservices.openssh.enable = true;".to_owned());
    }
    blocks.push(nix(machine));
    blocks.push(SERVER.to_owned());
    blocks.extend(state_version(machine, own.is_ok()));

    let mut text = String::from("# ");
    text.push_str(facts.cpu.model.as_deref().unwrap_or("A machine with an unknown CPU").trim());
    for gpu in facts.gpus.iter().filter(|gpu| gpu.is_worth_using()) {
        text.push_str(&format!(", {}", gpu.name.trim()));
    }
    text.push_str(".\n{\n");
    let blocks: Vec<String> =
        blocks.iter().filter(|block| !block.is_empty()).map(|block| indented(block)).collect();
    text.push_str(&blocks.join("\n"));
    text.push_str("}\n");
    text
}

const SERVER: &str =
    "# A server of the models in this folder; docs/serving.md of llamafleet has more.
# services.llama-cpp = {
#   enable = true;
#   settings.models-dir = \"/srv/models\";
# };";

/// Whether configuration.nix of /etc/nixos can be imported by a flake; otherwise why not.
fn importable(folder: &NixosFolder) -> Result<(), Option<&'static str>> {
    if folder.is_flake {
        return Err(Some("/etc/nixos is a flake: import its modules here instead of what follows"));
    }
    if !folder.files.contains_key("configuration.nix") {
        return Err(None);
    }
    let code = || folder.files.values().flat_map(|text| text.lines()).map(without_comment);
    // `<nixpkgs/nixos/…>`, and channels.
    let is_lookup = |line: &str| {
        line.split('<').skip(1).any(|rest| {
            let name = rest.split('>').next().unwrap_or_default();
            name.len() < rest.len() && name.starts_with(char::is_alphabetic) && !name.contains(' ')
        })
    };
    if code().any(is_lookup) {
        return Err(Some("it looks up channels such as <nixpkgs>, which a flake does not have"));
    }
    let has = |name: &str| name == HARDWARE || folder.files.contains_key(name);
    let is_elsewhere = |word: &str| match word.strip_prefix("./") {
        Some(name) => !has(name),
        None => word.starts_with("../") || word.starts_with("/etc/nixos/"),
    };
    let delimiters = |c: char| c.is_whitespace() || "()[]{};\"".contains(c);
    if folder.files.contains_key("default.nix")
        || code().any(|line| line.split(delimiters).any(is_elsewhere))
    {
        return Err(Some("it imports files outside of /etc/nixos, or below it"));
    }
    Ok(())
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or(line)
}

/// The flake sets the host's name.
fn without_host_name(text: &str) -> String {
    let line = |line: &str| match line.trim_start().strip_prefix("networking.hostName") {
        Some(_) => format!("# {}\n", line.trim_start()),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn imports(machine: &Machine, own: Result<(), Option<&str>>) -> String {
    let hardware = machine.hardware.is_some()
        || machine.nixos.files.contains_key("hardware-configuration.nix");
    match own {
        // It imports hardware-configuration.nix.
        Ok(()) => "# Of /etc/nixos, as it is on the machine.\nimports = [ ./configuration.nix ];"
            .to_owned(),
        Err(why) => {
            let comment = match (why, machine.nixos.is_flake) {
                (Some(why), true) => format!("# {why}.\n"),
                (Some(why), false) => format!("# ./configuration.nix is not imported: {why}.\n"),
                (None, _) => String::new(),
            };
            let imports = if hardware { "imports = [ ./hardware-configuration.nix ];" } else { "" };
            (comment + imports).trim_end().to_owned()
        }
    }
}

/// Without them a GPU backend finds no GPU.
fn drivers(facts: &Facts, wanted: &Recommendation) -> Option<String> {
    let has = |name| wanted.backend.contains(&name);
    let mut lines = vec![];
    if has("cuda") {
        // NVIDIA's open kernel module knows Turing, 7.5, and later.
        let is_open = wanted.cuda_capabilities.iter().all(|capability| {
            capability
                .split('.')
                .next()
                .and_then(|major| major.parse::<u32>().ok())
                .is_some_and(|major| major >= 8)
                || capability == "7.5"
        });
        lines.push("services.xserver.videoDrivers = [ \"nvidia\" ];".to_owned());
        lines.push(format!("hardware.nvidia.open = {is_open};"));
    }
    let has_amd = facts.gpus.iter().any(|gpu| gpu.vendor == Vendor::Amd);
    if has("rocm") || has("vulkan") && has_amd {
        lines.push("hardware.enableRedistributableFirmware = true;".to_owned());
    }
    if wanted.backend != ["cpu"] {
        lines.push("hardware.graphics.enable = true;".to_owned());
    }
    (!lines.is_empty()).then(|| format!("# The GPU's driver.\n{}", lines.join("\n")))
}

fn boot(machine: &Machine) -> Option<String> {
    let mut lines = vec![];
    if machine.loader.is_none() {
        lines.push("# Not seen on the machine: set the boot loader that it has.".to_owned());
    }
    match (machine.loader, machine.is_efi) {
        (Some(Loader::Extlinux), _) => {
            lines.push("boot.loader.grub.enable = false;".to_owned());
            lines.push("boot.loader.generic-extlinux-compatible.enable = true;".to_owned());
        }
        (Some(Loader::Grub), true) => {
            lines.push("boot.loader.grub.device = \"nodev\";".to_owned());
            lines.push("boot.loader.grub.efiSupport = true;".to_owned());
        }
        (Some(Loader::Grub) | None, false) => {
            let device = machine.disk.as_deref().unwrap_or("nodev");
            lines.push(format!("boot.loader.grub.device = {};", nix_string(device)));
        }
        (Some(Loader::SystemdBoot), _) | (None, true) => {
            lines.push("boot.loader.systemd-boot.enable = true;".to_owned());
        }
    }
    if machine.is_efi {
        lines.push("boot.loader.efi.canTouchEfiVariables = true;".to_owned());
        if let Some(esp) = machine.esp.as_deref().filter(|esp| *esp != "/boot") {
            lines.push(format!("boot.loader.efi.efiSysMountPoint = {};", nix_string(esp)));
        }
    }
    lines.extend(
        machine.host_id.as_ref().map(|id| format!("networking.hostId = {};", nix_string(id))),
    );
    Some(lines.join("\n"))
}

/// For a machine that `nixos-generate-config` did not describe.
fn file_systems(machine: &Machine) -> Option<String> {
    let is_described = machine.hardware.is_some()
        || machine.nixos.files.contains_key("hardware-configuration.nix");
    let esp = nix_string(machine.esp.as_deref().unwrap_or("/boot"));
    let boot = format!(
        "\nfileSystems.{esp} = {{\n  device = \"/dev/disk/by-label/boot\";\n  fsType = \"vfat\";\n}};"
    );
    (!is_described).then(|| {
        format!(
            "# The machine does not run NixOS. Replace this by the hardware-configuration.nix that the\n\
             # installation writes, or give its partitions these labels.\n\
             fileSystems.\"/\" = {{\n  device = \"/dev/disk/by-label/nixos\";\n  fsType = \"ext4\";\n}};{}",
            if machine.is_efi { boot.as_str() } else { "" }
        )
    })
}

fn network(machine: &Machine) -> Option<String> {
    let network = &machine.network;
    let mut lines = vec![];
    if network.network_manager {
        lines.push("networking.networkmanager.enable = true;".to_owned());
    }
    if !network.fixed.is_empty() {
        lines.extend(fixed_address(machine));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// NetworkManager keeps its own settings, and another system may call the interface otherwise.
fn fixed_address(machine: &Machine) -> Vec<String> {
    let network = &machine.network;
    let is_sure = machine.release.is_some() && !network.network_manager;
    let mut lines = vec![];
    for (interface, address, length) in &network.fixed {
        lines.push(format!("networking.interfaces.{}.ipv4.addresses = [", attribute(interface)));
        lines.push("  {".to_owned());
        lines.push(format!("    address = {};", nix_string(address)));
        lines.push(format!("    prefixLength = {length};"));
        lines.push("  }".to_owned());
        lines.push("];".to_owned());
    }
    let gateway = network.gateway.as_ref();
    lines.extend(gateway.map(|at| format!("networking.defaultGateway = {};", nix_string(at))));
    if !network.nameservers.is_empty() {
        let servers = format!("networking.nameservers = {};", list(&network.nameservers));
        lines.extend(servers.lines().map(str::to_owned));
    }
    if !is_sure {
        lines.iter_mut().for_each(|line| line.insert_str(0, "# "));
        lines.insert(
            0,
            "# The machine has a fixed address; without these lines it asks DHCP.".to_owned(),
        );
    }
    lines
}

fn region(machine: &Machine) -> Option<String> {
    let locale =
        machine.locale.as_ref().filter(|locale| locale.to_ascii_lowercase().ends_with("utf-8"));
    let lines: Vec<String> = [
        ("time.timeZone", machine.time_zone.as_ref()),
        ("i18n.defaultLocale", locale),
        ("console.keyMap", machine.key_map.as_ref()),
    ]
    .into_iter()
    .filter_map(|(option, value)| Some(format!("{option} = {};", nix_string(value?))))
    .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn users(machine: &Machine, wanted: &Recommendation) -> Vec<String> {
    let is_gpu = wanted.backend != ["cpu"];
    let keys = |keys: &[String]| format!("openssh.authorizedKeys.keys = {};", list(keys));
    let account = |user: &User| {
        let mut groups = user.groups.clone();
        // /dev/dri and /dev/kfd, for benchmarks.
        let gpu = ["render", "video"]
            .into_iter()
            .filter(|group| is_gpu && !groups.iter().any(|have| have == group));
        groups.extend(gpu.map(str::to_owned).collect::<Vec<_>>());
        let mut lines = vec![
            format!("users.users.{} = {{", attribute(&user.name)),
            "  isNormalUser = true;".to_owned(),
        ];
        if !groups.is_empty() {
            lines.push(format!("  extraGroups = {};", list(&groups).replace('\n', "\n  ")));
        }
        if !user.keys.is_empty() {
            lines.push(format!("  {}", keys(&user.keys).replace('\n', "\n  ")));
        }
        lines.push("};".to_owned());
        lines.join("\n")
    };
    let mut blocks: Vec<String> = machine.users.iter().map(account).collect();
    if !machine.root_keys.is_empty() {
        blocks.push(format!("users.users.root.{}", keys(&machine.root_keys)));
    }
    if !machine.has_keys() {
        blocks.push(
            "# No key was found on the machine. Without one nobody can log in.\n\
             # users.users.root.openssh.authorizedKeys.keys = [ \"ssh-ed25519 …\" ];"
                .to_owned(),
        );
    }
    blocks
}

fn ssh(machine: &Machine) -> String {
    let mut lines = vec!["services.openssh.enable = true;".to_owned()];
    if !machine.sshd.ports.is_empty() {
        let ports = machine.sshd.ports.iter().map(ToString::to_string).collect();
        lines.push(format!("services.openssh.ports = {};", layout(ports)));
    }
    // Only where a key opens the door: the machine must not lock its owner out.
    if machine.sshd.no_passwords && machine.has_keys() {
        lines.push("services.openssh.settings.PasswordAuthentication = false;".to_owned());
    }
    if machine.sshd.root_by_password {
        lines.push("# The machine lets root log in by password.".to_owned());
        lines.push("# services.openssh.settings.PermitRootLogin = \"yes\";".to_owned());
    }
    lines.join("\n")
}

fn nix(machine: &Machine) -> String {
    let mut lines = vec![
        "nix.settings.experimental-features = [\n  \"nix-command\"\n  \"flakes\"\n];".to_owned(),
    ];
    if machine.me != "root" && !machine.me.is_empty() {
        lines.push("# So that this account may copy a system to the machine.".to_owned());
        let users = ["root".to_owned(), machine.me.clone()];
        lines.push(format!("nix.settings.trusted-users = {};", list(&users)));
    }
    lines.join("\n")
}

fn state_version(machine: &Machine, is_imported: bool) -> Option<String> {
    match (machine.state_version(), &machine.release) {
        (Some(_), _) if is_imported => None,
        (Some(version), _) => Some(format!("system.stateVersion = {};", nix_string(version))),
        (None, Some(release)) => Some(format!(
            "# The NixOS that the machine runs; correct it if it was installed with an earlier one.\n\
             system.stateVersion = {};",
            nix_string(release)
        )),
        (None, None) => {
            Some("# The NixOS that you install:\n# system.stateVersion = \"\";".to_owned())
        }
    }
}

fn list(items: &[String]) -> String {
    layout(items.iter().map(|item| nix_string(item)).collect())
}

/// A list as nixfmt writes it.
fn layout(items: Vec<String>) -> String {
    match &items[..] {
        [one] if one.len() < 60 => format!("[ {one} ]"),
        many => {
            let lines: String = many.iter().map(|item| format!("  {item}\n")).collect();
            format!("[\n{lines}]")
        }
    }
}

/// A Nix name may not begin with a digit or hold a dot.
fn attribute(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if is_plain { name.to_owned() } else { nix_string(name) }
}

fn indented(block: &str) -> String {
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") };
    block.lines().map(line).collect()
}

#[cfg(test)]
#[path = "configuration_tests.rs"]
mod tests;
