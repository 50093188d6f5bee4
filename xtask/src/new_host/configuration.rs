//! Generates hosts/NAME/default.nix: the variant, and what the machine needs to boot and to be
//! reachable. Uncertain options are commented out.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use crate::hardware::facts::{Facts, Vendor};
use crate::hardware::gpu_targets::is_before_turing;
use crate::hardware::recommendation::{Recommendation, layout, list};
use crate::new_host::machine::{Loader, Machine, Network, NixosFolder, User};
use crate::nix::names::nix_string;

const HARDWARE: &str = "hardware-configuration.nix";

/// Returns the host's files by name: the generated ones, and those copied from the machine.
pub fn files(
    facts: &Facts,
    recommended: &Recommendation,
    machine: &Machine,
) -> BTreeMap<String, String> {
    let mut files = machine.nixos.files.clone();
    files.insert("default.nix".to_owned(), default_nix(facts, recommended, machine));
    files.extend(machine.hardware.clone().map(|text| (HARDWARE.to_owned(), text)));
    if let Some(text) = files.get_mut("configuration.nix") {
        *text = without_host_name(text);
    }
    files
}

/// Generates hosts/NAME/default.nix from blocks of lines. Omits empty blocks.
fn default_nix(facts: &Facts, recommended: &Recommendation, machine: &Machine) -> String {
    let importable = importable(&machine.nixos);
    // Options of the imported configuration would conflict with other values here.
    let is_set =
        |name: &str| importable.is_ok() && code(&machine.nixos).any(|line| line.contains(name));
    let mut blocks = vec![
        imports(machine, importable),
        recommended.nix(),
        drivers(facts, recommended, is_set("nvidia")),
    ];
    if importable.is_err() {
        blocks.extend([boot(machine), file_systems(machine), network(machine), region(machine)]);
        blocks.extend(users(machine, recommended));
        blocks.push(ssh(machine));
    } else {
        blocks.push("# xtask logs in over SSH.\nservices.openssh.enable = true;".to_owned());
    }
    blocks.extend([
        nix(machine, is_set("experimental-features")),
        SERVER.to_owned(),
        state_version(machine, importable.is_ok()),
    ]);
    let blocks = blocks.iter().filter(|block| !block.is_empty()).map(|block| indented(block));
    let blocks: Vec<String> = blocks.collect();

    let cpu = facts.cpu.model.as_deref().unwrap_or("A machine with an unknown CPU").trim();
    let gpus = facts.gpus.iter().filter(|gpu| gpu.is_worth_using());
    let gpus: String = gpus.map(|gpu| format!(", {}", gpu.name.trim())).collect();
    format!("# {cpu}{gpus}.\n{{\n{}}}\n", blocks.join("\n"))
}

const SERVER: &str = "# A server for the models in this folder; see docs/serving.md of llamafleet.
# services.llama-cpp = {
#   enable = true;
#   settings.models-dir = \"/srv/models\";
# };";

/// Whether a flake can import configuration.nix of /etc/nixos, or why not.
fn importable(folder: &NixosFolder) -> Result<(), Option<&'static str>> {
    if folder.is_flake {
        return Err(Some(
            "/etc/nixos is a flake: import its modules here instead of the following",
        ));
    }
    if !folder.files.contains_key("configuration.nix") {
        return Err(None);
    }
    // `<nixpkgs/nixos/…>` and other channels.
    let is_lookup = |line: &str| {
        line.split('<').skip(1).any(|rest| {
            let name = rest.split('>').next().unwrap_or_default();
            name.len() < rest.len() && name.starts_with(char::is_alphabetic) && !name.contains(' ')
        })
    };
    if code(folder).any(is_lookup) {
        return Err(Some("it looks up channels such as <nixpkgs>, which a flake does not have"));
    }
    let has = |name: &str| name == HARDWARE || folder.files.contains_key(name);
    let is_elsewhere = |word: &str| match word.strip_prefix("./") {
        Some(name) => !has(name),
        None => word.starts_with("../") || word.starts_with("/etc/nixos/"),
    };
    let delimiters = |c: char| c.is_whitespace() || "()[]{};\"".contains(c);
    if folder.files.contains_key("default.nix")
        || code(folder).any(|line| line.split(delimiters).any(is_elsewhere))
    {
        return Err(Some("it imports files from outside or subfolders of /etc/nixos"));
    }
    Ok(())
}

/// Returns the lines of the folder's files without comments.
fn code(folder: &NixosFolder) -> impl Iterator<Item = &str> {
    let lines = folder.files.values().flat_map(|text| text.lines());
    lines.map(|line| line.split('#').next().unwrap_or(line))
}

/// Comments out the host name, which the flake sets.
fn without_host_name(text: &str) -> String {
    let line = |line: &str| match line.trim_start().strip_prefix("networking.hostName") {
        Some(_) => format!("# {}\n", line.trim_start()),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Whether there is a hardware-configuration.nix, generated now or at the installation.
fn has_hardware_file(machine: &Machine) -> bool {
    machine.hardware.is_some() || machine.nixos.files.contains_key(HARDWARE)
}

fn imports(machine: &Machine, importable: Result<(), Option<&str>>) -> String {
    let comment = match importable {
        // configuration.nix imports hardware-configuration.nix.
        Ok(()) => {
            return "# Copied from the machine's /etc/nixos.\nimports = [ ./configuration.nix ];"
                .to_owned();
        }
        Err(Some(why)) if machine.nixos.is_flake => format!("# {why}.\n"),
        Err(Some(why)) => format!("# ./configuration.nix is not imported: {why}.\n"),
        Err(None) => String::new(),
    };
    let imports =
        if has_hardware_file(machine) { "imports = [ ./hardware-configuration.nix ];" } else { "" };
    (comment + imports).trim_end().to_owned()
}

/// Returns the GPU drivers that the recommended backends need. `has_nvidia`: the imported
/// configuration selects NVIDIA's.
fn drivers(facts: &Facts, recommended: &Recommendation, has_nvidia: bool) -> String {
    let has = |name| recommended.backend.contains(&name);
    let mut lines = vec![];
    if has("cuda") && !has_nvidia {
        let is_old = recommended.cuda_capabilities.iter().any(|it| is_before_turing(it));
        lines.push("services.xserver.videoDrivers = [ \"nvidia\" ];".to_owned());
        lines.push(format!("hardware.nvidia.open = {};", !is_old));
        if is_old {
            lines.push("hardware.nvidia.branch = \"legacy_580\";".to_owned());
        }
    }
    let has_amd = facts.gpus.iter().any(|gpu| gpu.vendor == Vendor::Amd);
    if has("rocm") || has("vulkan") && has_amd {
        lines.push("hardware.enableRedistributableFirmware = true;".to_owned());
    }
    if !has("cpu") {
        lines.push("hardware.graphics.enable = true;".to_owned());
        lines.insert(0, "# The GPU's driver.".to_owned());
    }
    lines.join("\n")
}

/// Returns the line that sets an option to a string.
fn set(option: &str, value: &str) -> String {
    format!("{option} = {};", nix_string(value))
}

fn boot(machine: &Machine) -> String {
    let mut lines = vec![];
    if machine.loader.is_none() {
        lines.push("# Unknown: set the machine's boot loader.".to_owned());
    }
    match (machine.loader, machine.is_efi) {
        (Some(Loader::Extlinux), _) => {
            lines.push("boot.loader.grub.enable = false;".to_owned());
            lines.push("boot.loader.generic-extlinux-compatible.enable = true;".to_owned());
        }
        (Some(Loader::Grub), true) => {
            lines.push(set("boot.loader.grub.device", "nodev"));
            lines.push("boot.loader.grub.efiSupport = true;".to_owned());
        }
        (Some(Loader::Grub) | None, false) => {
            let device = machine.disk.as_deref().unwrap_or("nodev");
            lines.push(set("boot.loader.grub.device", device));
        }
        (Some(Loader::SystemdBoot), _) | (None, true) => {
            lines.push("boot.loader.systemd-boot.enable = true;".to_owned());
        }
    }
    if machine.is_efi {
        lines.push("boot.loader.efi.canTouchEfiVariables = true;".to_owned());
        let esp = machine.esp.as_deref().filter(|esp| *esp != "/boot");
        lines.extend(esp.map(|esp| set("boot.loader.efi.efiSysMountPoint", esp)));
    }
    lines.extend(machine.host_id.as_ref().map(|id| set("networking.hostId", id)));
    lines.join("\n")
}

/// Returns placeholder file systems for a machine without a hardware-configuration.nix.
fn file_systems(machine: &Machine) -> String {
    if has_hardware_file(machine) {
        return String::new();
    }
    let file_system = |folder: &str, label: &str, kind: &str| {
        format!(
            "\nfileSystems.{} = {{\n  device = \"/dev/disk/by-label/{label}\";\n  fsType = \
             \"{kind}\";\n}};",
            nix_string(folder)
        )
    };
    let boot = machine.is_efi.then(|| machine.esp.as_deref().unwrap_or("/boot"));
    let boot = boot.map(|esp| file_system(esp, "boot", "vfat")).unwrap_or_default();
    format!(
        "# The machine does not run NixOS. Replace this with the hardware-configuration.nix that\n\
         # the installer generates, or give its partitions these labels.{}{boot}",
        file_system("/", "nixos", "ext4")
    )
}

fn network(machine: &Machine) -> String {
    let network = &machine.network;
    let mut lines = vec![];
    if network.network_manager {
        lines.push("networking.networkmanager.enable = true;".to_owned());
    }
    if !network.fixed.is_empty() {
        lines.push(fixed_addresses(network, machine.release.is_some()));
    }
    lines.join("\n")
}

/// Returns the fixed addresses, as comments with NetworkManager, which has its own settings, and
/// on other systems, where the interface may have another name.
fn fixed_addresses(network: &Network, is_nixos: bool) -> String {
    let address = |(interface, address, length): &(String, String, u8)| {
        format!(
            "networking.interfaces.{}.ipv4.addresses = [\n  {{\n    {}\n    prefixLength = \
             {length};\n  }}\n];",
            attribute(interface),
            set("address", address)
        )
    };
    let mut lines: Vec<String> = network.fixed.iter().map(address).collect();
    lines.extend(network.gateway.as_ref().map(|at| set("networking.defaultGateway", at)));
    if !network.nameservers.is_empty() {
        lines.push(format!("networking.nameservers = {};", list(&network.nameservers)));
    }
    let lines = lines.join("\n");
    match is_nixos && !network.network_manager {
        true => lines,
        false => format!(
            "# The machine has a fixed address; without these lines it uses DHCP.\n# {}",
            lines.replace('\n', "\n# ")
        ),
    }
}

fn region(machine: &Machine) -> String {
    let is_utf8 = |locale: &&String| locale.to_ascii_lowercase().ends_with("utf-8");
    let options = [
        ("time.timeZone", machine.time_zone.as_ref()),
        ("i18n.defaultLocale", machine.locale.as_ref().filter(is_utf8)),
        ("console.keyMap", machine.key_map.as_ref()),
    ];
    let lines = options.into_iter().filter_map(|(option, value)| Some(set(option, value?)));
    lines.collect::<Vec<_>>().join("\n")
}

fn users(machine: &Machine, recommended: &Recommendation) -> Vec<String> {
    let keys = |keys: &[String]| format!("openssh.authorizedKeys.keys = {};", list(keys));
    let account = |user: &User| {
        let mut groups = user.groups.clone();
        if recommended.backend != ["cpu"] {
            // Benchmarks need access to /dev/dri and /dev/kfd.
            let gpu = ["render", "video"].map(str::to_owned);
            groups.extend(gpu.into_iter().filter(|group| !user.groups.contains(group)));
        }
        let mut lines = vec!["isNormalUser = true;".to_owned()];
        if !groups.is_empty() {
            lines.push(format!("extraGroups = {};", list(&groups)));
        }
        if !user.keys.is_empty() {
            lines.push(keys(&user.keys));
        }
        let name = attribute(&user.name);
        format!("users.users.{name} = {{\n{}}};", indented(&lines.join("\n")))
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
        let ports: Vec<String> = machine.sshd.ports.iter().map(ToString::to_string).collect();
        lines.push(format!("services.openssh.ports = {};", layout(&ports)));
    }
    // Only if a key can log in: otherwise the user would be locked out.
    if machine.sshd.no_passwords && machine.has_keys() {
        lines.push("services.openssh.settings.PasswordAuthentication = false;".to_owned());
    }
    if machine.sshd.root_by_password {
        lines.push("# The machine lets root log in by password.".to_owned());
        lines.push("# services.openssh.settings.PermitRootLogin = \"yes\";".to_owned());
    }
    lines.join("\n")
}

fn nix(machine: &Machine, has_features: bool) -> String {
    let mut lines = vec![];
    if !has_features {
        let features = list(&["nix-command", "flakes"]);
        lines.push(format!("nix.settings.experimental-features = {features};"));
    }
    if machine.login != "root" && !machine.login.is_empty() {
        lines.push("# Lets this account copy systems to the machine.".to_owned());
        lines.push(format!("nix.settings.trusted-users = {};", list(&["root", &machine.login])));
    }
    lines.join("\n")
}

fn state_version(machine: &Machine, is_imported: bool) -> String {
    const OPTION: &str = "system.stateVersion";
    match (machine.state_version(), &machine.release) {
        (Some(_), _) if is_imported => String::new(),
        (Some(version), _) => set(OPTION, version),
        (None, Some(release)) => format!(
            "# The machine's current release; correct it if it was installed with an earlier one.\n{}",
            set(OPTION, release)
        ),
        (None, None) => format!("# The release that you install:\n# {}", set(OPTION, "")),
    }
}

/// Quotes a name that is not a Nix identifier, for example with a leading digit or a dot.
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
