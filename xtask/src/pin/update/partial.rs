//! `--allow-partial`: pins the hosts that fail, and updates the others. The fleet is evaluated
//! in that state before anything is written.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::findings::finding::{Finding, Severity};
use crate::fleet::names::{HostName, join};
use crate::fleet::pinned_hosts::{self, PinnedHost, PinnedHosts};
use crate::fleet::state_file::PINNED_HOSTS;
use crate::nix::flake_input::day;
use crate::pin::args::UpdateArgs;
use crate::pin::update::Update;
use crate::pin::update::evaluation::Fleet;
use crate::pin::update::report::{HostState, HostUpdate, Stage, UpdateReport};
use crate::system::interrupt;
use crate::system::resources::now;
use crate::target::selection::LOCAL;
use crate::upstream::trial_fleet::PinState;

/// Returns the hosts whose failure does not stop the update: with `--allow-partial` all hosts,
/// otherwise those that are already pinned.
pub fn may_stay_pinned(args: &UpdateArgs, pin: &PinState<'_>, fleet: &Fleet) -> BTreeSet<HostName> {
    let pinned = pin.pinned_hosts();
    let may = |host: &&HostName| args.allow_partial || pinned.contains_key(*host);
    fleet.hosts.iter().filter(may).cloned().collect()
}

impl Update<'_> {
    /// Pins the hosts of the trial that failed, if there are any.
    pub fn pin_failing(&mut self, after: &Fleet) -> Result<PinnedHosts> {
        let earlier = self.pin.pinned_hosts();
        let pinned = |host: &HostUpdate| {
            (host.host.clone(), self.pinned_host(host, earlier.get(&host.host)))
        };
        let pinned: PinnedHosts = self.report.pinned().map(pinned).collect();
        let report = &mut self.report;
        let works = |host: &&HostUpdate| {
            matches!(host.state, HostState::Changed | HostState::Unchanged | HostState::NotBuilt)
                && earlier.contains_key(&host.host)
        };
        let released = report.hosts.iter().filter(works).map(|host| host.host.clone());
        report.released = released.collect();
        for host in &mut report.hosts {
            if let Some(at) = pinned.get(&host.host) {
                host.pinned_at = Some((&at.revision()).into());
                host.after.clone_from(&host.before);
            }
        }
        if pinned.is_empty() || report.stays() && report.released.is_empty() {
            return Ok(pinned);
        }
        if !report.stays() && nothing_moves(report) {
            refuse_all(report);
            return Ok(pinned);
        }
        self.trial.pin_hosts(&pinned)?;
        let hosts = join(pinned.keys());
        self.pin.context.ui.status(format!("evaluating the fleet with {hosts} pinned"));
        let partial = Fleet::of_trial(&self.trial, &self.before)?;
        interrupt::check()?;
        for host in &self.before.hosts {
            let drv = |fleet: &Fleet| fleet.selection(host).map(|it| it.drv_path.clone());
            let is_pinned = pinned.contains_key(host);
            if drv(&partial) != drv(if is_pinned { &self.before } else { after })
                && let Some(update) = self.report.host(host)
            {
                let stage = *update.failed_at.get_or_insert(Stage::Pin);
                update.findings.push(not_applied(host, is_pinned));
                update.state = HostState::Fails;
                self.report.fail_at(stage);
            }
        }
        Ok(pinned)
    }

    fn pinned_host(&self, host: &HostUpdate, earlier: Option<&PinnedHost>) -> PinnedHost {
        let mut errors = host.findings.iter().filter(|it| it.severity == Severity::Error);
        let reason = errors.next().map_or("it fails", |finding| &finding.message);
        let now = || PinnedHost {
            locked: self.pin.input.locked().clone(),
            build: self.pin.now.build,
            release: self.pin.now.release.clone(),
            since: day(i64::try_from(now()).unwrap_or(0)),
            failed_with: String::new(),
            failed_at: String::new(),
            reason: String::new(),
        };
        PinnedHost {
            failed_with: self.trial.revision.name(),
            failed_at: host.failed_at.map_or("", Stage::name).to_owned(),
            // The file is committed, so it has no log and no paths of this machine.
            reason: pinned_hosts::reason(reason),
            ..earlier.cloned().unwrap_or_else(now)
        }
    }
}

/// Whether no host of the fleet would get a new build.
fn nothing_moves(report: &UpdateReport) -> bool {
    let moves = |host: &HostUpdate| {
        matches!(host.state, HostState::Changed | HostState::NotBuilt)
            && host.host.as_str() != LOCAL
    };
    !report.hosts.iter().any(moves)
}

fn refuse_all(report: &mut UpdateReport) {
    report.findings.push(Finding::error(
        "all-hosts-fail",
        "every host that would change fails, so there is nothing to update",
        "pass another revision with --to",
    ));
    let stage = report.pinned().find_map(|host| host.failed_at);
    for host in report.hosts.iter_mut().filter(|host| host.state == HostState::Pinned) {
        host.state = HostState::Fails;
    }
    if let Some(stage) = stage {
        report.fail_at(stage);
    }
}

fn not_applied(host: &HostName, is_pinned: bool) -> Finding {
    let help = format!(
        "`programs.llama-cpp.fleet = self;` in the hosts' modules (templates/fleet/flake.nix has \
         it), and a networking.hostName that is the host's name in nixosConfigurations: {host}"
    );
    let file = PINNED_HOSTS.name;
    let message = if is_pinned {
        format!("{host} cannot be pinned: the fleet does not read {file}")
    } else {
        format!("{host} builds differently when other hosts are pinned in {file}")
    };
    Finding::error("pinned-host-not-applied", message, help)
}
