//! `bisect` on histories with planted mistakes: real trees of llama.cpp, real Git, real Nix.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use support::Scratch;
use support::upstream::{Breakage, Plan, Upstream, git};

#[test]
fn a_planted_history_is_the_same_everywhere_and_has_its_mistake_where_it_should() {
    let dir = Scratch::new();
    let plan = Plan { untold: 6..8, ..Plan::new("old-era", 20).with(Breakage::MissingInput, 13) };
    let upstream = Upstream::plant(dir.path(), &plan);
    assert_eq!(upstream.revs.len(), 21);
    let package = |number: usize| {
        let file = format!("{}:.devops/nix/package.nix", upstream.revs[number]);
        git(upstream.repository(), &["show", &file])
    };
    for number in 0..=20 {
        let text = package(number);
        assert_eq!(text.contains("shader-debugger-headers"), number >= 13, "{number}");
        assert_eq!(text.contains("\nlet let"), (6..8).contains(&number), "{number}");
    }
    let tags = git(upstream.repository(), &["tag", "--list", "b*"]);
    assert_eq!(tags.lines().count(), 1 + 15, "{tags}");
    let build =
        |number: usize| git(upstream.repository(), &["describe", "--tags", &upstream.revs[number]]);
    assert_eq!((build(0), build(20)), ("b1".into(), "b21".into()));
    // Names, dates and contents are fixed: the newest commit stands for them all.
    let again = Scratch::new();
    assert_eq!(Upstream::plant(again.path(), &plan).newest(), upstream.newest());
}

#[test]
fn a_merge_brings_its_branch_along() {
    let dir = Scratch::new();
    let plan = Plan { merge: Some(3), ..Plan::new("new-era", 4).with(Breakage::SlowDown, 3) };
    let upstream = Upstream::plant(dir.path(), &plan);
    let all = git(upstream.repository(), &["rev-list", &format!("{}..main", upstream.revs[0])]);
    assert_eq!(all.lines().count(), 5);
    let files =
        git(upstream.repository(), &["diff", "--name-only", &upstream.revs[2], &upstream.revs[3]]);
    assert_eq!(files, "src/llama-context.cpp");
}
