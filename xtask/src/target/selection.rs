//! Selects a host's target: the one in the fleet's table, this machine, or `--target`.

use anyhow::{Result, bail};

use crate::fleet::context::Context;
use crate::fleet::names::HostName;
use crate::target::Target;

/// The reserved host name of this machine.
pub const LOCAL: &str = "local";

/// Returns a host's target in the fleet's table.
pub fn fleet_target(context: &Context, name: &str) -> Result<Target> {
    let host = HostName::new(name);
    let mut fleet = context.flake.fleet()?;
    match fleet.remove(&host).and_then(|entry| entry.target) {
        Some(destination) => Target::ssh(&destination, ssh_options()),
        None => {
            // Fails with a more specific error for an unknown host.
            context.hosts(&[name.to_owned()])?;
            bail!(
                "the flake's `fleet` has no target for {host}: pass --target, or --local for \
                 this machine"
            )
        }
    }
}

/// Returns the options in `NIX_SSHOPTS`, which Nix passes to ssh too.
pub fn ssh_options() -> Vec<String> {
    let options = std::env::var("NIX_SSHOPTS").unwrap_or_default();
    options.split_whitespace().map(str::to_owned).collect()
}
