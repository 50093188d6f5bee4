//! hosts/NAME/facts.json, for the commands that read it: where it is.

use std::path::{Path, PathBuf};

use crate::sys::files;

/// A host's own folder under `hosts/`; none for a name that would lead out of it.
pub fn folder(host: &str) -> Option<PathBuf> {
    (files::safe_name(host) == host && host != "_").then(|| Path::new("hosts").join(host))
}
