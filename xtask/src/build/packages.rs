//! `--packages`: the flake's own packages, whether or not a host selects them.

use std::time::Duration;

use anyhow::Result;

use crate::check::eval_failure;
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::fleet::manifest::Selection;
use crate::nix::flake;
use crate::ui::progress::Spinner;

const LONGEST: Duration = Duration::from_secs(600);

/// A package's name and its variant.
type Named = (String, Selection);

/// Every `packages.SYSTEM.llama-cpp*` of this machine's system, evaluated together; if that
/// fails, each alone, so that one broken package never hides another.
pub fn selections(context: &Context) -> Result<(Vec<Named>, Vec<Finding>)> {
    let system = flake::system();
    let names = match context.flake.packages(LONGEST)? {
        Ok(mut systems) => systems.remove(&system).unwrap_or_default(),
        Err(failure) if failure.stderr.contains("does not provide attribute") => vec![],
        Err(failure) => {
            let (_, finding) = eval_failure::explain_at(context, "packages", &failure)?;
            return Ok((vec![], vec![finding]));
        }
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
    let mut found = vec![];
    let mut findings = vec![];
    let mut together =
        context.flake.package_selections(&system, &names, LONGEST)?.unwrap_or_default();
    for name in names {
        match together.remove(&name) {
            Some(selection) => found.push((name.clone(), selection)),
            None => match alone(context, &system, &name)? {
                Ok(selection) => found.push((name.clone(), selection)),
                Err(finding) => findings.push(finding),
            },
        }
        spinner.done(&name);
    }
    Ok((found, findings))
}

fn alone(context: &Context, system: &str, name: &str) -> Result<Result<Selection, Finding>> {
    let names = [name.to_owned()];
    let place = format!("packages.{system}.{name}");
    Ok(match context.flake.package_selections(system, &names, LONGEST)? {
        Ok(mut answer) => answer.remove(name).ok_or_else(|| eval_failure::bad_output(&place).1),
        Err(failure) => {
            let (_, mut finding) = eval_failure::explain_at(context, &place, &failure)?;
            finding.message = format!("{place}: {}", finding.message);
            Err(finding)
        }
    })
}
