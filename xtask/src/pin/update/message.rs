//! The commit message of an update: its report as text.
//!
//! Pure: no I/O, no clock.

use std::fmt::Write as _;

use crate::findings::finding::{Finding, Severity};
use crate::fleet::names::join;
use crate::fleet::pinned_hosts::reason;
use crate::fleet::state_file::PINNED_HOSTS;
use crate::nix::flake_input::short;
use crate::pin::update::report::{HostState, HostUpdate, Point, Stage, UpdateReport};
use crate::ui::wrap;

/// Maximum number of commits listed per area. The comparison has all of them.
const SHOWN: usize = 6;
/// One more than the maximum line length of 72 characters.
const COLUMNS: Option<usize> = Some(73);

pub fn commit(report: &UpdateReport) -> String {
    let Some(to) = &report.to else { return String::new() };
    let item = |text: String| wrap(&format!("- {text}"), COLUMNS, 0, 2) + "\n";
    let about = wrap(&about(report, to), COLUMNS, 0, 0);
    let mut text = format!("{}\n\n{about}\n", subject(report));
    for area in &report.changes {
        let commits = area.commits.iter().take(SHOWN);
        let _ = write!(text, "\n{}:\n", area.area);
        text.extend(commits.map(|it| item(format!("{} {}", short(&it.rev), it.subject))));
        if area.commits.len() > SHOWN {
            let _ = writeln!(text, "- and {} more", area.commits.len() - SHOWN);
        }
    }
    let is_packaging =
        |finding: &&Finding| finding.code != "no-history" && finding.severity <= Severity::Warning;
    let packaging: String = report
        .findings
        .iter()
        .filter(is_packaging)
        .map(|finding| item(finding.message.clone()))
        .collect();
    if !packaging.is_empty() {
        let _ = write!(text, "\nPackaging:\n{packaging}");
    }
    text.push_str("\nHosts:\n");
    text.extend(report.hosts.iter().map(|host| item(host_line(host))));
    let mut text = inert(&text);
    if let Some(comparison) = &report.comparison {
        let _ = write!(text, "\n{comparison}\n");
    }
    text
}

/// Removes everything on which GitHub would act in the fleet's repository: upstream's subjects and
/// error messages mention people, close issues and skip workflows.
fn inert(text: &str) -> String {
    let text = ["https://", "http://", "***"]
        .iter()
        .fold(text.to_owned(), |text, what| text.replace(what, ""));
    let text = text.replace("GH-", "GH ").replace("gh-", "gh ").replace('[', "(").replace(']', ")");
    let mut inert = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        let next = letters.peek().copied().unwrap_or(' ');
        match letter {
            '#' if next.is_ascii_digit() && before.is_alphanumeric() => inert.push_str(" PR "),
            '#' if next.is_ascii_digit() => inert.push_str("PR "),
            '@' if next.is_alphanumeric() && !before.is_alphanumeric() => {}
            '<' if next.is_alphabetic() || "/!".contains(next) => inert.push_str("< "),
            letter => inert.push(letter),
        }
        before = letter;
    }
    inert
}

fn subject(report: &UpdateReport) -> String {
    if report.stays() {
        return format!("{}: unpin {}", PINNED_HOSTS.name, join(&report.released));
    }
    let mut text = format!("flake.lock: {} {}", report.input, report.step());
    let pinned = join(report.pinned().map(|host| &host.host));
    if !pinned.is_empty() {
        let _ = write!(text, ", without {pinned}");
    }
    text
}

fn about(report: &UpdateReport, to: &Point) -> String {
    let place = |point: &Point| {
        let date = point.date.as_ref().map(|date| format!(" of {date}")).unwrap_or_default();
        format!("{}{date}", short(&point.rev))
    };
    let mut text =
        format!("From {} to {}{}", place(&report.from), place(to), report.describe_commits());
    let built = report.hosts.iter().filter(|host| host.state == HostState::Changed).count();
    let all = report.hosts.len();
    let _ = write!(text, ". {built} of {all} hosts have a new build");
    let measured = report.hosts.iter().filter(|host| !host.speeds.is_empty()).count();
    if measured > 0 {
        let were = if measured == 1 { "was" } else { "were" };
        let _ = write!(text, "; {measured} {were} measured");
    }
    text + "."
}

/// Formats a host as `boron: cuda-tigerlake-sm75, pp128 120.1 -> 121.0 tokens/s (+0.7 %)`.
fn host_line(host: &HostUpdate) -> String {
    let variant = host.variant.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
    let mut parts = vec![format!("{}{variant}", host.host)];
    parts.extend(match host.state {
        HostState::Changed => None,
        HostState::Pinned => {
            let at = host.pinned_at.as_ref().map(Point::name).unwrap_or_default();
            let stage = host.failed_at.map_or("", Stage::name);
            let why = host.findings.iter().find(|it| it.severity == Severity::Error);
            let why = why.map_or_else(|| "it fails".to_owned(), |it| reason(&it.message));
            Some(format!("PINNED at {at}: {stage} fails: {why}"))
        }
        HostState::NotBuilt => Some("evaluated, not built".to_owned()),
        state => Some(state.name().to_owned()),
    });
    if let (Some(before), Some(after)) = (host.closure_bytes_before, host.closure_bytes_after)
        && before != after
    {
        let mib = |bytes: u64| f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1024.0;
        parts.push(format!("closure {:.1} -> {:.1} MiB", mib(before), mib(after)));
    }
    parts.extend(host.speeds.iter().map(|speed| speed.describe(" tokens/s")));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::names::{HostName, VariantName};
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
    fn upstreams_text_does_not_act_on_the_fleets_repository() {
        for (text, expected) in [
            ("cuda : fix x (#1234), fixes #1", "cuda : fix x (PR 1234), fixes PR 1"),
            ("closes a/b#2 and GH-3", "closes a/b PR 2 and GH 3"),
            ("fix https://github.com/a/b/issues/4", "fix github.com/a/b/issues/4"),
            (
                "thanks @ggerganov, @a-b/team (me@example.com)",
                "thanks ggerganov, a-b/team (me@example.com)",
            ),
            ("[skip ci] ***NO_CI*** ![x](//y)", "(skip ci) NO_CI !(x)(//y)"),
            ("<img src=x> a < b, #define x", "< img src=x> a < b, #define x"),
        ] {
            assert_eq!(inert(text), expected);
        }
    }

    #[test]
    fn a_message_lists_all_changes() {
        let at = |rev: &str, date, build| Revision { date, build, ..Revision::of(rev.repeat(40)) };
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
                        (PR 123)

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
