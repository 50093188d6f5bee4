//! Nix's `builders`: for which systems they build, and what they are called for a person.
//!
//! Source: "Remote builds" in Nix's manual; src/libstore/machines.cc of Nix 2.26.
//!
//! Pure: no I/O, no clock.

/// The store and the systems of each machine of a `builders` value that is not `@FILE`, or of
/// such a file: one a line, or separated by semicolons; what follows a `#` is a comment. No
/// systems: that of whoever asks.
pub fn machines(text: &str) -> impl Iterator<Item = (&str, Vec<String>)> {
    let entries = text.lines().flat_map(|line| line.split('#').next().unwrap_or("").split(';'));
    entries.filter_map(|entry| {
        let mut words = entry.split_whitespace();
        let store = words.next()?;
        let systems = words.next().filter(|word| *word != "-").unwrap_or("");
        let systems = systems.split(',').filter(|system| !system.is_empty());
        Some((store, systems.map(str::to_owned).collect()))
    })
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
        let text =
            "# none of these\nssh://a x86_64-linux,i686-linux - 4 ; ssh-ng://b - k 1\n\n c # d";
        let linux = ["x86_64-linux", "i686-linux"].map(str::to_owned).to_vec();
        let read: Vec<_> = machines(text).collect();
        assert_eq!(read, [("ssh://a", linux), ("ssh-ng://b", vec![]), ("c", vec![])]);
        assert_eq!(machines(" ").count(), 0);
    }
}
