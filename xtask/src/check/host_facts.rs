//! hosts/NAME/facts.json, for the commands that read it: where it is, and what `check`
//! finds by it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::check::evaluation::Outcomes;
use crate::check::report::Evaluated;
use crate::findings::finding::Finding;
use crate::fleet::context::{Context, local_root};
use crate::fleet::host_folder::folder;
use crate::hardware::facts::Facts;
use crate::hardware::microarch::Table;
use crate::hardware::rules as hardware;
use crate::nix::diagnosis::line_of_option;
use crate::nix::names::HostName;
use crate::system::files;

/// Holds every variant against the facts of its machine, where there are some: in the
/// flake's own folder, whether Git tracks them or not. Nothing is asked over a network.
pub fn held(context: &Context, outcomes: &Outcomes) -> BTreeMap<HostName, Vec<Finding>> {
    let (Some(root), Ok(table)) = (local_root(&context.flake.reference), Table::embedded()) else {
        return BTreeMap::new();
    };
    let selected = outcomes.iter().filter_map(|(host, (evaluated, _))| match evaluated {
        Evaluated::Selected(selection) => Some((host, &selection.manifest)),
        _ => None,
    });
    selected
        .filter_map(|(host, manifest)| {
            let folder = folder(host.as_str())?;
            let facts = match read(&root, &folder) {
                Ok(facts) => facts?,
                Err(problem) => {
                    return Some((host.clone(), vec![unusable(host, &folder, &problem)]));
                }
            };
            let findings = hardware::findings(manifest, &facts, &table);
            let place = |finding| with_place(finding, &root, &folder.join("default.nix"));
            Some((host.clone(), findings.into_iter().map(place).collect()))
        })
        .collect()
}

/// None where nobody has probed the machine.
fn read(root: &Path, folder: &Path) -> Result<Option<Facts>, String> {
    let file = root.join(folder).join("facts.json");
    match std::fs::read_to_string(&file) {
        Ok(text) => Facts::parse(&text).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read it ({error})")),
    }
}

fn unusable(host: &HostName, folder: &Path, problem: &str) -> Finding {
    let file = folder.join("facts.json").display().to_string();
    let finding = Finding::error(
        "bad-facts",
        format!("cannot use the machine's facts: {problem}"),
        format!("run `cargo xtask probe {host} --write` to rewrite them, or remove the file"),
    );
    Finding { file: Some(file), ..finding }
}

/// The host's own file, and the line of the option that the message begins with.
fn with_place(mut finding: Finding, root: &Path, file: &Path) -> Finding {
    if let Ok(text) = files::read(&root.join(file)) {
        finding.line = line_of_option(&finding.message, &text);
        finding.file = Some(file.display().to_string());
    }
    finding
}
