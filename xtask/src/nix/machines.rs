//! Parses Nix's `builders`: the store, systems and SSH key of each machine.
//!
//! Source: "Remote builds" in Nix's manual; src/libstore/machines.cc of Nix 2.26.
//!
//! Pure: no I/O, no clock.

/// One machine of a `builders` value.
#[derive(Debug, PartialEq, Eq)]
pub struct Machine<'a> {
    /// The URL of its store, or only its name.
    pub store: &'a str,
    /// Empty: the system of the local machine.
    pub systems: Vec<&'a str>,
    /// The file with the private key that Nix passes to ssh.
    pub ssh_key: Option<&'a str>,
}

/// Parses a `builders` value or such a file: one machine per line or between semicolons, with `#`
/// comments.
pub fn machines(text: &str) -> impl Iterator<Item = Machine<'_>> {
    entries(text).filter_map(|entry| {
        let mut words = entry.split_whitespace();
        let store = words.next()?;
        let mut column = || words.next().filter(|word| *word != "-");
        let systems = column().unwrap_or("").split(',').filter(|system| !system.is_empty());
        let systems = systems.collect();
        let query = store.split_once('?').map_or("", |(_, query)| query);
        let in_url = || query.split('&').find_map(|pair| pair.strip_prefix("ssh-key="));
        Some(Machine { store, systems, ssh_key: column().or_else(in_url) })
    })
}

/// Returns the entries of a `builders` value, each for a machine or a file, `@FILE`.
pub fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('#').next().unwrap_or("").split(';')).map(str::trim)
}

/// Returns the name to print for a store: `ssh-ng://nix@builder?remote-program=…` → `nix@builder`.
pub fn machine_name(store: &str) -> &str {
    let rest = store.split_once("://").map_or(store, |(_, rest)| rest);
    rest.split(['?', '/']).next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_is_named_after_its_host() {
        let store =
            "ssh-ng://nix@builder:22?remote-program=/x/nix-daemon&remote-store=local?root%3D/y";
        assert_eq!(machine_name(store), "nix@builder:22");
        assert_eq!(machine_name("ssh://builder-one"), "builder-one");
        assert_eq!(machine_name("builder-one"), "builder-one");
        assert_eq!(machine_name(""), "");
    }

    #[test]
    fn builders_are_parsed_like_nix_parses_them() {
        let text = "# none of these\nssh://a x86_64-linux,i686-linux - 4 ; ssh-ng://b - /k 1\n\n \
                    c?ssh-key=/u # d";
        let machine =
            |store, systems: &[_], ssh_key| Machine { store, systems: systems.to_vec(), ssh_key };
        let read: Vec<_> = machines(text).collect();
        let expected = [
            machine("ssh://a", &["x86_64-linux", "i686-linux"], None),
            machine("ssh-ng://b", &[], Some("/k")),
            machine("c?ssh-key=/u", &[], Some("/u")),
        ];
        assert_eq!(read, expected);
        assert_eq!(machines(" ").count(), 0);
    }
}
