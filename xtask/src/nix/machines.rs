//! Nix's `builders`: which machines there are, and what they are called for a person.
//!
//! Source: "Remote builds" in Nix's manual; src/libstore/machines.cc of Nix 2.26.
//!
//! Pure: no I/O, no clock.

/// A builder, as far as it matters before Nix is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    pub store: String,
    /// Empty: the system of whoever asks.
    pub systems: Vec<String>,
}

/// The machines of a `builders` value that is not `@FILE`, or of such a file: one a line,
/// or separated by semicolons; what follows a `#` is a comment.
pub fn machines(text: &str) -> Vec<Machine> {
    let entries = text.lines().flat_map(|line| line.split('#').next().unwrap_or("").split(';'));
    entries
        .filter_map(|entry| {
            let mut words = entry.split_whitespace();
            let store = words.next()?.to_owned();
            let systems = words.next().filter(|word| *word != "-").unwrap_or("");
            let systems = systems.split(',').filter(|system| !system.is_empty());
            Some(Machine { store, systems: systems.map(str::to_owned).collect() })
        })
        .collect()
}

/// `ssh-ng://nix@builder?remote-program=…` → `nix@builder`.
pub fn machine_name(store: &str) -> &str {
    let rest = store.split_once("://").map_or(store, |(_, rest)| rest);
    rest.split(['?', '/']).next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_is_called_by_its_host() {
        let store =
            "ssh-ng://nix@builder:22?remote-program=/x/nix-daemon&remote-store=local?root%3D/y";
        assert_eq!(machine_name(store), "nix@builder:22");
        assert_eq!(machine_name("ssh://builder-one"), "builder-one");
        assert_eq!(machine_name("builder-one"), "builder-one");
        assert_eq!(machine_name(""), "");
    }

    #[test]
    fn builders_are_read_as_nix_reads_them() {
        let machine = |store: &str, systems: &[&str]| Machine {
            store: store.to_owned(),
            systems: systems.iter().map(|system| (*system).to_owned()).collect(),
        };
        let text =
            "# none of these\nssh://a x86_64-linux,i686-linux - 4 ; ssh-ng://b - k 1\n\n c # d";
        assert_eq!(
            machines(text),
            [
                machine("ssh://a", &["x86_64-linux", "i686-linux"]),
                machine("ssh-ng://b", &[]),
                machine("c", &[])
            ]
        );
        assert_eq!(machines(" "), []);
    }
}
