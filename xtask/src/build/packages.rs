//! Evaluates the flake's packages for `--packages`, whether or not a host selects them.

use std::time::Duration;

use anyhow::Result;

use crate::check::whole_systems::{self, each_package};
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::fleet::manifest::Selection;
use crate::nix::flake;
use crate::ui::progress::Spinner;

const TIMEOUT: Duration = Duration::from_secs(600);

/// A package's name and its variant.
type Named = (String, Selection);

/// Evaluates every `packages.SYSTEM.llama-cpp*` of this machine's system.
pub fn selections(context: &Context) -> Result<(Vec<Named>, Vec<Finding>)> {
    let system = flake::system();
    let names = match whole_systems::package_names(context, TIMEOUT)? {
        Ok(mut systems) => systems.remove(&system).unwrap_or_default(),
        Err(finding) => return Ok((vec![], vec![finding])),
    };
    if names.is_empty() {
        let finding = Finding::error(
            "no-packages",
            format!(
                "this flake has no `packages.{system}.llama-cpp*`, so --packages has no effect"
            ),
            "remove --packages, or add packages to the flake",
        );
        return Ok((vec![], vec![finding]));
    }
    let spinner = Spinner::start(&context.ui, "evaluating packages", names.len());
    let query = |names: &[String]| context.flake.package_selections(&system, names, TIMEOUT);
    let (mut found, mut findings) = (vec![], vec![]);
    for (name, evaluated) in each_package(context, &system, names, &spinner, query)? {
        match evaluated {
            Ok(selection) => found.push((name, selection)),
            Err((_, mut finding)) => {
                finding.message = format!("packages.{system}.{name}: {}", finding.message);
                findings.push(finding);
            }
        }
    }
    Ok((found, findings))
}
