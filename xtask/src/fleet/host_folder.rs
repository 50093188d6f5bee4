//! A host's own folder under `hosts/`.

use std::path::{Path, PathBuf};

use crate::system::files;

/// A host's own folder under `hosts/`; none for a name that would lead out of it.
pub fn folder(host: &str) -> Option<PathBuf> {
    (files::safe_name(host) == host && host != "_").then(|| Path::new("hosts").join(host))
}
