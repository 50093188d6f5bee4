//! Failures as Nix 2.26.3 reports them (tests/fixtures/retry/README.md).

use crate::build::retry::*;
use crate::build::tracker::{Tracker, Update};
use crate::nix::log as nix_log;

/// Returns the cause and the reason of one derivation's failure in a recording.
fn explain(recording: &str, which: usize) -> (Option<Transient>, String) {
    let mut tracker = Tracker::default();
    let (mut errors, mut drvs) = (vec![], vec![]);
    for line in recording.lines() {
        for update in tracker.follow(nix_log::parse(line.as_bytes()), &|_| false) {
            match update {
                Update::Started { drv, .. } => drvs.push(drv),
                Update::Message { level: 0, text } => errors.push(text),
                _ => {}
            }
        }
    }
    let none = DrvPath::new("/nix/store/qn4mk76gh6h1cc3xscc651r365knii7b-hf-lock.drv");
    let drv = drvs.get(which).unwrap_or(&none);
    let row = tracker.derivations.get(drv).cloned().unwrap_or_default();
    let failure = Failure { drv, row: &row, errors: &errors };
    (transient(&failure), reason(&failure).unwrap_or_default())
}

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../../tests/fixtures/retry/", $name))
    };
}

#[test]
fn a_lost_builder_differs_from_a_build_that_failed_there() {
    let builder = Some(Transient::Builder);
    let (passing, reason) = explain(recorded!("lost-builder"), 0);
    assert_eq!(passing, builder);
    assert!(reason.starts_with("the connection to builder-one was lost: Nix daemon"), "{reason}");
    assert_eq!(explain(recorded!("killed-helper"), 0).0, builder);
    let (passing, reason) = explain(recorded!("failed-on-builder"), 0);
    // Its log, which Nix quotes, contains a refused connection.
    assert_eq!(passing, None);
    assert_eq!(reason, "failed with exit code 2 on builder-one");
    let (passing, reason) = explain(recorded!("killed-on-builder"), 0);
    assert_eq!(passing, None);
    assert_eq!(reason, "failed due to signal 9 (Killed) on builder-one");
    let (passing, reason) = explain(recorded!("failed-here"), 0);
    assert_eq!((passing, reason.as_str()), (None, "failed with exit code 2"));
}

/// Nix 2.26.3 does not report a build that had failed before Ctrl-C.
#[test]
fn ctrl_c_and_another_builds_failure_are_no_reason() {
    let drv = |name: &str| DrvPath::new(format!("/nix/store/{}-{name}.drv", "a".repeat(32)));
    let (one, other) = (drv("one"), drv("other"));
    let errors = [
        format!("error: builder for '{other}' failed with exit code 3"),
        "error: interrupted by the user".to_owned(),
    ];
    let row = &Default::default();
    assert_eq!(reason(&Failure { drv: &one, row, errors: &errors }), None);
    let of_other = reason(&Failure { drv: &other, row, errors: &errors });
    assert_eq!(of_other.unwrap(), "failed with exit code 3");
}

#[test]
fn an_unreachable_builder_is_transient() {
    for recording in [recorded!("no-builder"), recorded!("no-such-builder")] {
        let (passing, reason) = explain(recording, 0);
        assert_eq!(passing, Some(Transient::Builder), "{reason}");
        assert!(reason.starts_with("cannot build on builder-"), "{reason}");
        assert!(reason.contains("failed to start SSH connection"), "{reason}");
    }
}

#[test]
fn a_timeout_is_permanent() {
    for (recording, time) in [
        (recorded!("timeout"), "timed out after 2 seconds"),
        (recorded!("silence"), "timed out after 2 seconds of silence"),
        (recorded!("timeout-on-builder"), "timed out after 4 seconds on builder-one"),
    ] {
        let (passing, reason) = explain(recording, 0);
        assert_eq!(passing, None, "{reason}");
        assert_eq!(reason, time);
    }
}

#[test]
fn a_network_failure_is_transient() {
    for recording in [
        recorded!("cache-busy"),
        recorded!("cache-cut"),
        recorded!("fetcher-no-host"),
        recorded!("fetchurl-refused"),
    ] {
        assert_eq!(explain(recording, 0).0, Some(Transient::Network), "{recording}");
    }
    // fetchgit quotes Git 2.47.
    let curl = "curl: (6) Could not resolve host: nowhere.invalid";
    let git = |cause: &str| {
        let line = format!("fatal: unable to access 'https://nowhere.invalid/x/': {cause}");
        explain(&recorded!("fetcher-no-host").replace(curl, &line), 0).0
    };
    assert_eq!(git("Could not resolve host: nowhere.invalid"), Some(Transient::Network));
    assert_eq!(git("The requested URL returned error: 503"), Some(Transient::Network));
    assert_eq!(git("The requested URL returned error: 403"), None);
    // A missing file is permanent.
    let gone = recorded!("cache-busy").replace("503", "404");
    assert_eq!(explain(&gone, 0).0, None);
    let often = recorded!("cache-busy").replace("503", "429");
    assert_eq!(explain(&often, 0).0, Some(Transient::Network));
}

#[test]
fn a_full_disk_is_permanent() {
    let printed = "Nix daemon disconnected unexpectedly (maybe it crashed?)";
    let full =
        recorded!("lost-builder").replace(printed, "writing to file: No space left on device");
    let (passing, reason) = explain(&full, 0);
    assert_eq!(passing, None);
    assert_eq!(reason, "writing to file: No space left on device");
}

/// Nix 2.26.3, the builder's sshd session killed while a result of 300 MB was copied back.
#[test]
fn a_builder_can_be_lost_while_it_sends_the_result() {
    let drv = DrvPath::new("/nix/store/9zfj-llama-cpp-big.drv");
    let errors = ["error: some outputs are unexpectedly invalid".to_owned()];
    let machine = "ssh-ng://builder-one?remote-program=/srv/nix-daemon".to_owned();
    let mut row = Derivation::default();
    row.begin(machine, "", 0.0);
    let failure = Failure { drv: &drv, row: &row, errors: &errors };
    assert_eq!(transient(&failure), Some(Transient::Builder));
    assert_eq!(reason(&failure).unwrap(), "the connection to builder-one was lost");
    let here = Failure { row: &Derivation::default(), ..failure };
    assert_eq!(transient(&here), None);
}
