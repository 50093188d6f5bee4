//! Quotes arguments for the remote shell, the only place that does, and turns ssh's error messages
//! into findings.
//!
//! Pure: no I/O, no clock.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::findings::finding::{Finding, Severity};

/// Quotes arguments for the target's login shell, which may be a POSIX shell, fish, csh or Nushell.
/// They agree only on plain words, and on single quotes around text without newlines, quotes,
/// exclamation marks and doubled backslashes. So sh decodes the rest, with printf.
pub fn quote(words: &[&str]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,@%".contains(c);
    if words.iter().all(|word| !word.is_empty() && word.chars().all(plain)) {
        return words.join(" ");
    }
    let quoted: Vec<_> = words.iter().map(|word| word.replace('\'', r"'\''")).collect();
    let mut encoded = String::new();
    for byte in format!("'{}'", quoted.join("' '")).bytes() {
        match byte {
            b' '..=b'~' if !b"'\"$`\\!%".contains(&byte) => encoded.push(byte.into()),
            _ => encoded += &format!("\\{byte:03o}"),
        }
    }
    format!(r#"sh -c 'eval "exec $(printf "{encoded}")"'"#)
}

/// Returns why a destination is invalid, if it is. ssh reads a leading dash as an option, and
/// `-oProxyCommand=…` would start a program.
pub fn destination_problem(destination: &str) -> Option<&'static str> {
    if destination.is_empty() {
        Some("it is empty")
    } else if destination.starts_with('-') {
        Some("it starts with a dash, so ssh would read it as an option")
    } else if destination.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Some("it contains whitespace or control characters")
    } else {
        None
    }
}

/// Splits `ssh://user@host:port` into `user@host` and the port. Nix before 2.31 passes the host with
/// its port to ssh, and ssh rejects an IPv6 address in brackets.
pub fn address(destination: &str) -> (String, Option<u16>) {
    let text = destination.strip_prefix("ssh://").unwrap_or(destination).trim_end_matches('/');
    let is_host = |host: &str| host.ends_with(']') || !host.contains(':');
    let split = text.rsplit_once(':').filter(|(host, _)| is_host(host));
    let split = split.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = split.map_or((text, None), |(host, port)| (host, Some(port)));
    (host.replace(['[', ']'], ""), port)
}

/// Whether the output of `ssh -G` has settings that share connections.
pub fn shares_connections(settings: &str) -> bool {
    let sets = |line: &str| match line.split_once(' ') {
        Some(("controlpath", path)) => path != "none",
        Some(("controlmaster", how)) => how != "false" && how != "no",
        _ => false,
    };
    settings.lines().any(sets)
}

/// Whether a destination is the machine of this name, so that SSH is not needed. Another port may
/// belong to another machine or to a container.
pub fn is_machine(destination: &str, machine: &str) -> bool {
    let (address, port) = address(destination);
    let host = address.rsplit_once('@').map_or(address.as_str(), |(_, host)| host);
    let is_default = port.is_none_or(|port| port == 22);
    !machine.is_empty() && is_default && host.eq_ignore_ascii_case(machine)
}

/// The exit status of ssh's own errors. A program on the target may exit with it, too.
pub const FAILED: i32 = 255;

/// Explains ssh's stderr after it exited with [`FAILED`].
pub fn explain(destination: &str, stderr: &str) -> Finding {
    let has = |text: &str| stderr.contains(text);
    let any = |texts: &[&str]| texts.iter().any(|text| has(text));
    if has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        Finding::error(
            "ssh-host-key-changed",
            format!("{destination}'s host key has changed, so ssh refuses to connect"),
            format!(
                "if the machine was reinstalled, check its new key and remove the old one{}; \
                 otherwise somebody may be intercepting the connection",
                // Its name there may be HostName, `[host]:port` or a hash.
                stderr
                    .lines()
                    .find_map(|line| line.strip_prefix("Offending ")?.split_once(" in "))
                    .map(|(_, place)| format!(", {}", place.trim()))
                    .unwrap_or_default()
            ),
        )
    } else if has("Host key verification failed") {
        Finding::error(
            "ssh-host-unknown",
            format!("ssh does not know {destination}'s host key"),
            format!("connect once by hand and check its key: `ssh {destination}`"),
        )
    } else if any(&["Permission denied", "Too many authentication failures"]) {
        Finding::error(
            "ssh-auth-refused",
            format!("{destination} rejected the login (passwords are not asked for)"),
            format!(
                "make `ssh -o BatchMode=yes {destination} true` work: load the key with ssh-add, \
                 or set user and key for {destination} in ~/.ssh/config"
            ),
        )
    } else if any(&["Could not resolve hostname", "Name or service not known"]) {
        Finding::error(
            "ssh-no-such-host",
            format!("cannot resolve host `{destination}`"),
            "correct `target` in hosts/default.nix, or set its HostName in ~/.ssh/config",
        )
    } else if has("Connection refused") {
        Finding::error(
            "ssh-refused",
            format!("{destination} is up, but no SSH server answers"),
            "start sshd there (services.openssh.enable = true), or correct the port",
        )
    } else if any(&["timed out", "No route to host", "Network is unreachable", "Host is down"]) {
        Finding::error(
            "ssh-unreachable",
            format!("{destination} does not answer"),
            "check that it is switched on and reachable from this network",
        )
    } else if any(&["Bad configuration option", "Bad owner or permissions", "bad configuration"]) {
        Finding::error(
            "ssh-configuration",
            format!("ssh rejects its own configuration: {}", last_line(stderr)),
            "fix ~/.ssh/config",
        )
    } else {
        Finding::error(
            "ssh-lost",
            format!("lost the connection to {destination}: {}", last_line(stderr)),
            format!("try `ssh -v {destination} true`"),
        )
    }
}

/// The characters to escape in a store URI's parameters.
const IN_QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':');

/// Formats a store URI, `ssh-ng://ADDRESS?NAME=VALUE`, and escapes the values.
pub fn store_uri(address: &str, parameters: &[(String, String)]) -> String {
    let (user, host) = address.rsplit_once('@').map_or(("", address), |(user, host)| (user, host));
    let at = if user.is_empty() { "" } else { "@" };
    let mut uri = match host.contains(':') {
        true => format!("ssh-ng://{user}{at}[{host}]"),
        false => format!("ssh-ng://{address}"),
    };
    for (index, (name, value)) in parameters.iter().enumerate() {
        uri.push(if index == 0 { '?' } else { '&' });
        uri.push_str(name);
        uri.push('=');
        uri.extend(utf8_percent_encode(value, IN_QUERY));
    }
    uri
}

/// Parses a store URI into its destination and parameters. Users pass one as the destination if
/// the store is not in the default location.
pub fn parse_store_uri(text: &str) -> Option<(String, Vec<(String, String)>)> {
    let rest = text.strip_prefix("ssh-ng://")?;
    let (destination, query) = rest.split_once('?').unwrap_or((rest, ""));
    let parameters = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| {
            (name.to_owned(), percent_decode_str(value).decode_utf8_lossy().into_owned())
        })
        .collect();
    Some((destination.to_owned(), parameters))
}

/// Reports a transfer that moved no data for this long.
pub fn stalled(destination: &str, silence: Duration) -> Finding {
    let minutes = silence.as_secs() / 60;
    Finding::error(
        "copy-interrupted",
        format!("the copy to {destination} stalled: no data for {minutes} minutes"),
        "check the target's disk and the network, then run it again: complete paths are not sent \
         twice",
    )
}

/// Explains the stderr of a failed `nix copy`, if its message is known.
pub fn explain_copy(destination: &str, stderr: &str) -> Option<Finding> {
    let any = |texts: &[&str]| texts.iter().any(|text| stderr.contains(text));
    if any(&["lacks a signature by a trusted key", "lacks a valid signature"]) {
        return Some(untrusted(destination, Severity::Error));
    }
    if any(&["No space left on device", "Disk quota exceeded"]) {
        return Some(Finding::error(
            "target-disk-full",
            format!("{destination}'s store has no space left"),
            format!("`ssh {destination} nix-collect-garbage` frees unused paths"),
        ));
    }
    // Nix quotes what precedes its protocol. It prints `started` itself.
    let got = stderr.split_once("protocol mismatch, got '").map(|(_, text)| text);
    if let Some(first) = got.and_then(|text| text.lines().next()).filter(|it| *it != "started") {
        return Some(Finding::error(
            "ssh-output",
            format!("{destination} prints {:?} before Nix's own output", first.trim_end()),
            "print from its shell's startup files only in interactive shells, and allow its login \
             user to run commands",
        ));
    }
    // POSIX shells and csh, fish, Nushell.
    let missing = ["not found", "Unknown command", "neither a Nushell"];
    let is_missing = |line: &str| missing.iter().any(|text| line.contains(text));
    if stderr.lines().any(|line| line.contains("nix-daemon") && is_missing(line)) {
        return Some(without_nix(destination));
    }
    // After a lost connection, Nix may parse a truncated message as a number, or report an
    // interrupt of its threads. A real interrupt has another exit status.
    if any(&[
        "unexpected end-of-file",
        "disconnected unexpectedly",
        "Broken pipe",
        "serialised integer",
        "interrupted by the user",
    ]) {
        return Some(Finding::error(
            "copy-interrupted",
            format!(
                "the copy to {destination} was interrupted: the connection or the target's Nix \
                 ended"
            ),
            "run it again: complete paths are not sent twice, and incomplete ones are never used",
        ));
    }
    let ssh = [
        "Permission denied",
        "Host key verification failed",
        "Could not resolve hostname",
        "Connection refused",
        "Connection timed out",
        "No route to host",
        "Connection reset",
        "Connection closed",
    ];
    any(&ssh).then(|| explain(destination, stderr))
}

fn last_line(stderr: &str) -> &str {
    stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no output from ssh")
}

pub fn without_nix(target: &str) -> Finding {
    Finding::error(
        "target-without-nix",
        format!("{target} has no Nix, or it is not on the PATH of SSH commands"),
        "install Nix there, or pass its path: --target \
         'ssh-ng://HOST?remote-program=/path/of/nix-daemon'",
    )
}

/// Reports a target whose Nix rejects unsigned store paths.
pub fn untrusted(target: &str, severity: Severity) -> Finding {
    Finding {
        severity,
        ..Finding::error(
            "target-rejects-unsigned",
            format!("{target}'s Nix does not accept unsigned builds from the login user"),
            "either (1) trust the user in that host's configuration: nix.settings.trusted-users = \
             [ \"root\" \"@wheel\" ]; or (2) sign this machine's builds: `nix key generate-secret \
             --key-name fleet-1 > ~/.config/nix/fleet.sec`, that file as secret-key-files in this \
             machine's nix.conf, and the output of `nix key convert-secret-to-public < \
             ~/.config/nix/fleet.sec` in that host's nix.settings.trusted-public-keys; sign \
             earlier builds with `nix store sign --recursive --key-file ~/.config/nix/fleet.sec \
             STORE-PATH`",
        )
    }
}

#[cfg(test)]
#[path = "ssh_tests.rs"]
mod tests;
