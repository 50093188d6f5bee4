//! Which target a host has: the fleet table's, this machine, or what `--target` names.

use anyhow::{Result, bail};

use crate::fleet::context::Context;
use crate::fleet::names::HostName;
use crate::target::Target;

/// The host that stands for this machine, whatever the fleet says.
pub const LOCAL: &str = "local";

/// Where the fleet table says that this host is.
pub fn fleet_target(context: &Context, name: &str) -> Result<Target> {
    let host = HostName::new(name);
    let mut fleet = context.flake.fleet()?;
    match fleet.remove(&host).and_then(|entry| entry.target) {
        Some(destination) => Target::ssh(&destination, ssh_options()),
        None => {
            // An unknown host has an error of its own.
            context.hosts(&[name.to_owned()])?;
            bail!(
                "the flake's `fleet` has no target for {host}: pass --target, or --local for \
                 this machine"
            )
        }
    }
}

/// The user's options for Nix's ssh are used for ours too.
pub fn ssh_options() -> Vec<String> {
    let options = std::env::var("NIX_SSHOPTS").unwrap_or_default();
    options.split_whitespace().map(str::to_owned).collect()
}
