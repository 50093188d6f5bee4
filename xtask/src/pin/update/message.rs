//! The commit message of an update: its report as text.
//!
//! Pure: no I/O, no clock.

use std::fmt::Write as _;

use crate::findings::finding::Severity;
use crate::fleet::names::HostName;
use crate::fleet::pinned_hosts::reason;
use crate::fleet::state_file::PINNED_HOSTS;
use crate::nix::flake_input::short;
use crate::pin::update::report::{HostState, HostUpdate, Point, Stage, UpdateReport};

/// Commits listed for each area; the comparison has them all.
const SHOWN: usize = 6;
const WIDTH: usize = 72;

pub fn commit(report: &UpdateReport) -> String {
    let Some(to) = &report.to else { return String::new() };
    let mut text = format!("{}\n\n", subject(report, to));
    text += &wrap(&what(report, to), "");
    text.push('\n');
    for area in &report.changes {
        let _ = write!(text, "\n{}:\n", area.area);
        for change in area.commits.iter().take(SHOWN) {
            text += &wrap(&format!("- {} {}", short(&change.rev), change.subject), "  ");
            text.push('\n');
        }
        if area.commits.len() > SHOWN {
            let _ = writeln!(text, "- and {} more", area.commits.len() - SHOWN);
        }
    }
    let worth: Vec<String> = report
        .findings
        .iter()
        .filter(|finding| finding.code != "no-history" && finding.severity <= Severity::Warning)
        .map(|finding| wrap(&format!("- {}", finding.message), "  "))
        .collect();
    if !worth.is_empty() {
        let _ = write!(text, "\nPackaging:\n{}\n", worth.join("\n"));
    }
    text.push_str("\nHosts:\n");
    for host in &report.hosts {
        text += &wrap(&format!("- {}", host_line(host)), "  ");
        text.push('\n');
    }
    if let Some(comparison) = &report.comparison {
        let _ = write!(text, "\n{comparison}\n");
    }
    text
}

fn subject(report: &UpdateReport, to: &Point) -> String {
    let named = |hosts: Vec<&str>| hosts.join(", ");
    if report.stays() {
        let released = report.released.iter().map(HostName::as_str).collect();
        return format!("{}: unpin {}", PINNED_HOSTS.name, named(released));
    }
    let mut text = format!("flake.lock: {} {}", report.input, step(&report.from, to));
    let pinned: Vec<&str> = report.pinned().map(|host| host.host.as_str()).collect();
    if !pinned.is_empty() {
        let _ = write!(text, ", without {}", named(pinned));
    }
    text
}

/// `b10453 -> b10570`.
pub fn step(from: &Point, to: &Point) -> String {
    format!("{} -> {}", name(from), name(to))
}

pub fn name(point: &Point) -> String {
    point.build.map_or_else(|| short(&point.rev).to_owned(), |build| format!("b{build}"))
}

fn what(report: &UpdateReport, to: &Point) -> String {
    let place = |point: &Point| {
        let date = point.date.as_ref().map(|date| format!(" of {date}")).unwrap_or_default();
        format!("{}{date}", short(&point.rev))
    };
    let mut text = format!("From {} to {}", place(&report.from), place(to));
    if let Some(commits) = report.commits {
        let direction = if report.backwards { " back" } else { "" };
        let s = if commits == 1 { "" } else { "s" };
        let _ = write!(text, ", {commits} commit{s}{direction}");
    }
    let count = |state: HostState| report.hosts.iter().filter(|host| host.state == state).count();
    let built = count(HostState::Changed);
    let all = report.hosts.len();
    let _ = write!(text, ". {built} of {all} hosts have a new build");
    let measured = report.hosts.iter().filter(|host| !host.speeds.is_empty()).count();
    if measured > 0 {
        let _ =
            write!(text, "; {measured} {} measured", if measured == 1 { "was" } else { "were" });
    }
    text.push('.');
    text
}

/// `boron: cuda-tigerlake-sm75, pp128 120.1 -> 121.0 tokens/s (+0.7 %)`.
fn host_line(host: &HostUpdate) -> String {
    let mut text = host.host.to_string();
    if let Some(variant) = &host.variant {
        let _ = write!(text, ": {variant}");
    }
    match host.state {
        HostState::Changed => {}
        HostState::Pinned => {
            let at = host.pinned_at.as_ref().map(name).unwrap_or_default();
            let failed = host.failed_at.map_or("", Stage::name);
            let why = host.findings.iter().find(|it| it.severity == Severity::Error);
            let why = why.map_or_else(|| "it fails".to_owned(), |it| reason(&it.message));
            let _ = write!(text, ", PINNED at {at}: {failed} fails: {why}");
        }
        HostState::NotBuilt => text.push_str(", evaluated, not built"),
        state => {
            let _ = write!(text, ", {}", state.name());
        }
    }
    if let (Some(before), Some(after)) = (host.closure_bytes_before, host.closure_bytes_after)
        && before != after
    {
        let mib = |bytes: u64| f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1024.0;
        let _ = write!(text, ", closure {:.1} -> {:.1} MiB", mib(before), mib(after));
    }
    for speed in &host.speeds {
        let _ = write!(
            text,
            ", {} {:.1} -> {:.1} tokens/s ({:+.1} %)",
            speed.test, speed.before, speed.after, speed.change_percent
        );
    }
    text
}

/// Wraps text at [`WIDTH`] characters.
fn wrap(text: &str, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if !line.trim().is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("{indent}{word}"));
        } else {
            if !line.trim().is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::finding::Finding;
    use crate::fleet::names::VariantName;
    use crate::nix::flake_input::Revision;
    use crate::pin::update::report::Speed;
    use crate::upstream::changes::{Area, Change};

    fn host(name: &str, variant: &str, state: HostState) -> HostUpdate {
        HostUpdate {
            variant: Some(VariantName::new(variant)),
            closure_bytes_before: Some(40 << 20),
            closure_bytes_after: Some(42 << 20),
            ..HostUpdate::new(HostName::new(name), state)
        }
    }

    #[test]
    fn a_message_has_all_that_changed() {
        let at = |rev: &str, date, build| Revision { rev: rev.repeat(40), date, build };
        let mut report =
            UpdateReport::new("llama-cpp", &at("a", Some(1_786_882_375), Some(10_453)));
        report.to = Some((&at("b", Some(1_787_486_000), Some(10_570))).into());
        report.commits = Some(117);
        report.comparison = Some("https://github.com/x/y/compare/a...b".into());
        let change = |subject: &str| Change { rev: "c".repeat(40), subject: subject.to_owned() };
        let many = (1..=8).map(|n| change(&format!("vulkan : shader {n}"))).collect();
        report.changes = vec![
            Area {
                area: "packaging",
                commits: vec![change(
                    "nix : take openssl instead of curl, which nothing has used since the downloads went to the application (#123)",
                )],
            },
            Area { area: "ggml: Vulkan", commits: many },
        ];
        report.findings.push(Finding::note(
            "argument-gone",
            "package.nix no longer takes enableCurl",
            "-",
        ));
        let mut measured = host("boron", "cuda-tigerlake-sm75", HostState::Changed);
        measured.speeds =
            vec![Speed { test: "pp128".into(), before: 100.0, after: 102.5, change_percent: 2.5 }];
        report.hosts = vec![host("beryllium", "cpu-znver4", HostState::Unchanged), measured];
        report.hosts[0].closure_bytes_after = Some(40 << 20);
        let expected = "flake.lock: llama-cpp b10453 -> b10570

From aaaaaaaaa of 2026-08-16 to \
                        bbbbbbbbb of 2026-08-23, 117 commits. 1
of 2 hosts have a new build; 1 was measured.

packaging:
- ccccccccc nix : take openssl instead of \
                        curl, which nothing has used
  since the downloads went to the application \
                        (#123)

ggml: Vulkan:
- ccccccccc vulkan : shader 1
- ccccccccc vulkan : \
                        shader 2
- ccccccccc vulkan : shader 3
- ccccccccc vulkan : shader 4
- \
                        ccccccccc vulkan : shader 5
- ccccccccc vulkan : shader 6
- and 2 \
                        more

Packaging:
- package.nix no longer takes \
                        enableCurl

Hosts:
- beryllium: cpu-znver4, unchanged
- boron: \
                        cuda-tigerlake-sm75, closure 40.0 -> 42.0 MiB, pp128 100.0 ->
  102.5 \
                        tokens/s (+2.5 %)

https://github.com/x/y/compare/a...b
";
        assert_eq!(commit(&report), expected);
    }
}
