//! What `check` holds the fleet to beyond evaluation: its lock file, and what Git hides
//! from Nix. Read beside the evaluation, so that it costs no time.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::check::evaluation::Outcomes;
use crate::check::lock_rules;
use crate::check::report::{CheckReport, Evaluated};
use crate::check::unequal_builds;
use crate::findings::finding::Finding;
use crate::findings::view::describe;
use crate::fleet::context::{self, Context};
use crate::fleet::manifest::Selection;
use crate::fleet::pinned_hosts::{PinnedHosts, PinnedHostsFile};
use crate::fleet::state_file::{self, PINNED_HOSTS};
use crate::nix::lockfile::LockFile;
use crate::nix::names::HostName;
use crate::system::{files, git};
use crate::ui::Ui;

/// The folders whose .nix files a fleet imports; elsewhere an untracked one may be a draft.
const IMPORTED: [&str; 6] = ["home", "hosts", "machines", "modules", "nixos", "overlays"];

/// What was seen of the fleet as a whole.
#[derive(Default)]
pub struct Seen {
    findings: Vec<Finding>,
    /// What the evaluation is locked to: with `--testbed` not the fleet's own file.
    lock: Option<LockFile>,
    pinned_file: PinnedHostsFile,
    /// Where that file is.
    pinned_path: &'static str,
}

impl Seen {
    /// The hosts that are pinned to an earlier llama.cpp.
    fn pinned_hosts(&self) -> PinnedHosts {
        let revisions = self.lock.iter().flat_map(LockFile::revisions);
        revisions.flat_map(|rev| self.pinned_file.at(rev)).collect()
    }
}

/// To be called before anything evaluates the flake: Nix would mend flake.lock.
pub fn own_lock(context: &Context) -> Option<String> {
    files::read(&root(context)?.join("flake.lock")).ok()
}

pub fn look(context: &Context, own_lock: Option<&str>) -> Seen {
    let own = own_lock.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let lent = lent_lock(context).and_then(|file| files::read(&file).ok());
    let lent = lent.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let Some(root) = root(context) else {
        let locks = context.flake.locks().map(LockFile::new);
        let findings = locks.as_ref().map(|lock| lock_rules::judge(lock, &Value::Null, ""));
        let findings = findings.unwrap_or_default();
        return Seen { findings, lock: locks, ..Seen::default() };
    };
    let inputs = crate::nix::flake::inputs(&context.flake.nix, &root);
    let text = files::read(&root.join("flake.nix")).unwrap_or_default();
    let mut findings = match (&own, own_lock) {
        (Some(own), _) => lock_rules::judge(&LockFile::new(own.clone()), &inputs, &text),
        (None, Some(_)) => vec![lock_rules::unreadable()],
        // The testbed lends one, and would not if it could not.
        (None, None) if lent.is_some() => vec![],
        (None, None) if inputs.as_object().is_some_and(|inputs| !inputs.is_empty()) => {
            vec![lock_rules::absent()]
        }
        (None, None) => vec![],
    };
    // `path:` takes the whole folder, whatever Git thinks of it.
    if !context.flake.reference.starts_with("path:") {
        findings.extend(untracked(&root));
    }
    let lock = lent.or(own).map(LockFile::new);
    let pinned_path = PINNED_HOSTS.path(&root);
    let place = |finding| Finding { file: Some(pinned_path.to_owned()), ..finding };
    let pinned_file = match PINNED_HOSTS.read(&root).map(|text| PinnedHostsFile::read(&text)) {
        Some(Ok(file)) => file,
        Some(Err(error)) => {
            findings.push(place(lock_rules::unreadable_pinned_hosts(&format!("{error:#}"))));
            PinnedHostsFile::default()
        }
        None => PinnedHostsFile::default(),
    };
    if !pinned_file.is_empty() {
        let locked = lock.as_ref().map(LockFile::revisions).unwrap_or_default();
        let judged = pinned_file.judge(&locked, context.all_hosts().unwrap_or_default());
        findings.extend(judged.into_iter().map(place));
    }
    Seen { findings, lock, pinned_file, pinned_path }
}

/// What was seen, where there will be no report.
pub fn complain(ui: &Ui, seen: &Seen) {
    for finding in &seen.findings {
        ui.warn(describe(ui, "fleet", finding));
    }
}

/// Takes what was seen into the report.
pub fn judge(report: &mut CheckReport, seen: Seen, selected: &[(HostName, Selection)]) {
    let pinned_hosts = seen.pinned_hosts();
    for (host, selection) in selected {
        let pinned = pinned_hosts.get(host);
        let package = |lock: &LockFile| lock_rules::package(lock, &selection.manifest, pinned);
        if let Some(finding) = seen.lock.as_ref().and_then(package) {
            report.add(host, finding);
        }
    }
    for (host, pinned) in &pinned_hosts {
        let file = Some(seen.pinned_path.to_owned());
        report.add(host, Finding { file, ..pinned.reminder() });
    }
    report.findings.extend(seen.findings);
    let pairs = selected.iter().map(|(host, selection)| (host, selection));
    report.findings.extend(unequal_builds::judge(pairs));
}

/// The hosts that are pinned to an earlier llama.cpp, as far as that is known.
pub fn pinned_hosts(context: &Context) -> PinnedHosts {
    let read = || {
        let pinned_file = PinnedHostsFile::read(&PINNED_HOSTS.read(&root(context)?)?).ok()?;
        let lock = serde_json::from_str(&files::read(&context.lock_file()?).ok()?).ok()?;
        Some(Seen { lock: Some(LockFile::new(lock)), pinned_file, ..Seen::default() })
    };
    read().unwrap_or_default().pinned_hosts()
}

pub fn selected(outcomes: &Outcomes) -> Vec<(HostName, Selection)> {
    let selection = |(host, (evaluated, _)): (&HostName, &(Evaluated, f64))| match evaluated {
        Evaluated::Selected(selection) => Some((host.clone(), selection.as_ref().clone())),
        _ => None,
    };
    outcomes.iter().filter_map(selection).collect()
}

fn root(context: &Context) -> Option<PathBuf> {
    context::local_root(&context.flake.reference)
}

fn lent_lock(context: &Context) -> Option<PathBuf> {
    let mut options = context.flake.options.iter();
    options.find(|option| *option == "--reference-lock-file")?;
    options.next().map(PathBuf::from)
}

fn untracked(root: &Path) -> Vec<Finding> {
    // Outside Git, Nix takes the whole folder too.
    let Ok(mut files) = git::untracked(root, "*.nix") else { return vec![] };
    files.retain(|file| file.split_once('/').is_some_and(|(folder, _)| IMPORTED.contains(&folder)));
    for file in ["flake.lock"].iter().chain(&state_file::PATHS) {
        files.extend(git::untracked(root, file).unwrap_or_default());
    }
    files.into_iter().map(lock_rules::untracked).collect()
}
