//! The name by which the program was called, which messages use.

use std::borrow::Cow;
use std::path::Path;
use std::sync::OnceLock;

/// The name in the source of messages.
const WRITTEN: &str = "cargo xtask";

/// Returns `cargo xtask`, `nix run .#xtask --` or `xtask`.
pub fn name() -> &'static str {
    static NAME: OnceLock<&str> = OnceLock::new();
    NAME.get_or_init(|| {
        let package = std::env::var("CARGO_PKG_NAME").ok();
        let called = std::env::args_os().next().unwrap_or_default();
        named(package.as_deref(), Path::new(&called))
    })
}

/// `package`: the one that cargo runs. `nix run` calls a program by its store path.
fn named(package: Option<&str>, called: &Path) -> &'static str {
    match package {
        Some("xtask") => WRITTEN,
        _ if called.starts_with("/nix/store") => "nix run .#xtask --",
        _ => "xtask",
    }
}

/// Returns the words on the command line, for code that runs before clap. A path may be any bytes.
pub fn arguments() -> impl Iterator<Item = String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned())
}

/// Returns the text with the name as typed.
pub fn renamed(text: Cow<'_, str>) -> Cow<'_, str> {
    match name() {
        name if name != WRITTEN && text.contains(WRITTEN) => text.replace(WRITTEN, name).into(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_named_as_the_user_called_it() {
        for (package, called, name) in [
            (Some("xtask"), "target/debug/xtask", "cargo xtask"),
            (None, "/nix/store/hash-xtask-0.1.0/bin/xtask", "nix run .#xtask --"),
            (None, "xtask", "xtask"),
            (Some("other"), "/home/me/bin/xtask", "xtask"),
        ] {
            assert_eq!(named(package, Path::new(called)), name);
        }
    }
}
