//! Compares variants with hosts/NAME/facts.json, the hardware that `probe` recorded.

use std::path::Path;

use crate::check::outcomes::Outcomes;
use crate::findings::finding::Finding;
use crate::fleet::context::{Context, local_root};
use crate::fleet::names::HostName;
use crate::hardware::facts::Facts;
use crate::hardware::rules as hardware;
use crate::nix::diagnosis::line_of_option;
use crate::system::files;

/// Compares every variant with the facts of its machine, if there are any. Reads them from the
/// flake's folder, whether Git tracks them or not.
pub fn findings(context: &Context, outcomes: &Outcomes) -> Vec<(HostName, Finding)> {
    let Some(root) = local_root(&context.flake.reference) else { return vec![] };
    let mut found = vec![];
    for (host, selection) in outcomes.selected() {
        let Some(folder) = host.folder() else { continue };
        let findings = match read(&root, &folder) {
            Ok(None) => continue,
            Ok(Some(facts)) => hardware::findings(&selection.manifest, &facts)
                .into_iter()
                .map(|finding| with_place(finding, &root, &folder.join("default.nix")))
                .collect(),
            Err(problem) => vec![unusable(host, &folder, &problem)],
        };
        found.extend(findings.into_iter().map(|finding| (host.clone(), finding)));
    }
    found
}

/// Reads a host's facts; `None` if the machine was not probed.
fn read(root: &Path, folder: &Path) -> Result<Option<Facts>, String> {
    let file = root.join(folder).join("facts.json");
    match files::read_limited(&file, Facts::LARGEST) {
        Ok(text) => Facts::parse(&text).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read it ({error})")),
    }
}

fn unusable(host: &HostName, folder: &Path, problem: &str) -> Finding {
    Finding::error(
        "bad-facts",
        format!("cannot use the machine's facts: {problem}"),
        format!("run `cargo xtask probe {host} --write` to rewrite them, or remove the file"),
    )
    .at(folder.join("facts.json").display().to_string())
}

/// Adds the host's file, and the line of the option that the message begins with.
fn with_place(finding: Finding, root: &Path, file: &Path) -> Finding {
    let Ok(text) = files::read(&root.join(file)) else { return finding };
    let line = line_of_option(&finding.message, &text);
    Finding { line, ..finding.at(file.display().to_string()) }
}
