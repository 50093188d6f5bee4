//! Tests with a real sshd on loopback: quoting, connections and kills.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::*;
use crate::nix::names::{StorePath, nix_string};
use crate::nix::program::Nix;
use crate::system::process::capture;
use crate::target::ssh::store_uri;
use crate::target::sshd::{HOST, LoopbackSshd, nix_or_skip};

const SECONDS_5: Duration = Duration::from_secs(5);

fn run(target: &Target, argv: &[&str], timeout: Duration) -> (Exit, String) {
    let mut stdout = String::new();
    let exit = target.run(argv, timeout, &mut |source, line| {
        if source == Source::Stdout {
            stdout.push_str(&String::from_utf8_lossy(line));
            stdout.push('\n');
        }
    });
    (exit.unwrap(), stdout)
}

fn processes(pattern: &str) -> Vec<String> {
    let found = capture(&Invocation::new("pgrep").args(["-f", "--", pattern]), None).unwrap();
    found.stdout_text().lines().map(str::to_owned).collect()
}

fn code(error: &anyhow::Error) -> &'static str {
    error.downcast_ref::<Finding>().unwrap_or_else(|| panic!("{error:#}")).code
}

#[test]
fn the_command_line_is_complete() {
    let Target::Ssh(ssh) = Target::ssh("me@carbon", vec!["-F".into(), "x".into()]).unwrap() else {
        panic!()
    };
    let call = ssh.command(&["cat", "--", "/a"]);
    assert_eq!(
        call.to_string(),
        "ssh -F x -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15 \
         -o ServerAliveCountMax=4 -o RequestTTY=no -o RemoteCommand=none -- me@carbon \
         'cat -- /a'"
    );
    let error = Target::ssh("-oProxyCommand=reboot", vec![]).unwrap_err();
    assert_eq!(code(&error), "ssh-destination");
}

#[test]
fn special_characters_arrive_unchanged() {
    let Some(loopback) = LoopbackSshd::start() else { return };
    let words =
        ["a b", "it's", "$(reboot)", "`x`", "a\nb", "-rf", "\\", "\\'", "*", "", "é\"", "!"];
    let argv = [&["printf", "%s|"], &words[..]].concat();
    let (exit, printed) = run(&loopback.target(&[]), &argv, SECONDS_5);
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(printed.trim_end_matches('\n'), words.map(|word| format!("{word}|")).concat());
}

#[test]
fn the_first_bytes_of_a_file_are_read_unchanged() {
    let Some(loopback) = LoopbackSshd::start() else { return };
    let file = std::env::temp_dir().join(format!("xtask-first-bytes-{}", std::process::id()));
    let content = b"GGUF\0\r\n\xff\n\n\x80 rest";
    fs::write(&file, content).unwrap();
    for target in [Target::Local, loopback.target(&[])] {
        let first = target.first_bytes(file.to_str().unwrap(), 12).unwrap();
        assert!(first.starts_with(&content[..12]), "{first:?}");
        let error = target.first_bytes("/nowhere/x.gguf", 12).unwrap_err().to_string();
        assert!(error.contains("/nowhere/x.gguf") && error.contains("No such file"), "{error}");
    }
    fs::remove_file(&file).unwrap();
}

#[test]
fn exit_statuses_and_signals_are_the_same_as_locally() {
    let Some(loopback) = LoopbackSshd::start() else { return };
    for target in [Target::Local, loopback.target(&[])] {
        let ended = |script| run(&target, &["sh", "-c", script], SECONDS_5).0;
        assert_eq!(ended("exit 0"), Exit::Code(0));
        assert_eq!(ended("exit 7"), Exit::Code(7));
        assert_eq!(ended("kill -ILL $$"), Exit::Signal(libc::SIGILL));
        assert_eq!(ended("kill -KILL $$"), Exit::Signal(libc::SIGKILL));
    }
}

#[test]
fn a_remote_program_ends_after_its_timeout() {
    let Some(loopback) = LoopbackSshd::start() else { return };
    let marker = format!("97{}", std::process::id());
    let started = Instant::now();
    let (exit, _) = run(&loopback.target(&[]), &["sleep", &marker], Duration::from_secs(1));
    assert_eq!(exit, Exit::TimedOut);
    assert!(started.elapsed() < SECONDS_5);
    assert_gone(&marker);
}

/// Also with kill -9, after which this process can do nothing.
#[test]
fn a_remote_program_ends_if_this_process_is_killed() {
    let Some(loopback) = LoopbackSshd::start() else { return };
    let marker = format!("98{}", std::process::id());
    let target = loopback.target(&[]);
    let argv = ["sleep".to_owned(), marker.clone()];
    let running = thread::spawn(move || {
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        target.run(&argv, Duration::from_secs(60), &mut |_, _| {}).map(|_| ())
    });
    let started = Instant::now();
    let clients = loop {
        let clients = processes(&format!("^ssh .*{marker}"));
        if !processes(&format!("^sleep {marker}")).is_empty() {
            break clients;
        }
        assert!(started.elapsed() < SECONDS_5, "the remote program did not start");
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(clients.len(), 1);
    process::read(&Invocation::new("kill").args(["-KILL", &clients[0]]), None).unwrap();
    running.join().unwrap().unwrap();
    assert_gone(&marker);
}

fn assert_gone(marker: &str) {
    let started = Instant::now();
    while !processes(marker).is_empty() {
        assert!(started.elapsed() < SECONDS_5, "still running: {:?}", processes(marker));
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_file_is_sent_once_and_a_damaged_copy_is_replaced() {
    let Some(loopback) = LoopbackSshd::start() else { return };
    let target = loopback.target(&[]);
    let file = loopback.folder().join("it's a $model.gguf");
    let bytes: Vec<u8> = (0..300_000_u32).map(|i| i.to_le_bytes()[i as usize % 2]).collect();
    fs::write(&file, &bytes).unwrap();
    let place = target.put_file(&file, None).unwrap();
    assert_eq!(fs::read(&place).unwrap(), bytes);
    assert!(place.ends_with("/llamafleet/models/it's a $model.gguf"), "{place}");

    let written = fs::metadata(&place).unwrap().modified().unwrap();
    assert_eq!(target.put_file(&file, None).unwrap(), place);
    assert_eq!(fs::metadata(&place).unwrap().modified().unwrap(), written);

    fs::write(&place, &bytes[..1000]).unwrap();
    assert_eq!(target.put_file(&file, None).unwrap(), place);
    assert_eq!(fs::read(&place).unwrap(), bytes);
    let folder = Path::new(&place).parent().unwrap();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
}

#[test]
fn a_rejected_connection_is_a_finding() {
    let Some(loopback) = LoopbackSshd::start() else { return };
    let rejection = |options: &[&str]| {
        let target = loopback.target(options);
        code(&target.run(&["true"], SECONDS_5, &mut |_, _| {}).unwrap_err())
    };
    assert_eq!(rejection(&["-o", "Port=1"]), "ssh-refused");
    assert_eq!(rejection(&["-o", "HostName=nobody.invalid"]), "ssh-no-such-host");
    assert_eq!(rejection(&["-o", "UserKnownHostsFile=/dev/null"]), "ssh-host-unknown");
    // The user's key in place of the host's.
    let other_key = fs::read_to_string(loopback.folder().join("client_key.pub")).unwrap();
    let place = format!("[127.0.0.1]:{}", loopback.port);
    fs::write(loopback.folder().join("changed"), format!("{place} {other_key}")).unwrap();
    let changed = format!("UserKnownHostsFile={}", loopback.folder().join("changed").display());
    assert_eq!(rejection(&["-o", &changed]), "ssh-host-key-changed");
    assert_eq!(rejection(&["-o", "PubkeyAuthentication=no"]), "ssh-auth-refused");
}

/// Returns the URI of a store of the server's own.
fn separate_store(loopback: &LoopbackSshd, nix: &Nix) -> String {
    let daemon = nix.program.with_file_name("nix-daemon");
    let daemon = if daemon.exists() { daemon.display().to_string() } else { "nix-daemon".into() };
    let root = loopback.folder().join("target");
    let parameters = [
        ("remote-program".to_owned(), daemon),
        ("remote-store".to_owned(), format!("local?root={}", root.display())),
    ];
    store_uri(HOST, &parameters)
}

/// The lease is the only session of the shared connection.
#[test]
fn a_closure_is_copied_if_sshd_allows_one_session_per_connection() {
    let Some(loopback) = LoopbackSshd::start_with("MaxSessions 1\n") else { return };
    let Some(nix) = nix_or_skip() else { return };
    let file = loopback.folder().join("one-session");
    fs::write(&file, loopback.folder().to_str().unwrap()).unwrap();
    let add = nix.command(["store", "add-file"]).arg(&file);
    let path = StorePath::new(process::read(&add, Some(Duration::from_secs(60))).unwrap());
    let uri = separate_store(&loopback, &nix);
    let mut target = Target::ssh(&uri, loopback.ssh_options()).unwrap();
    let _connection = target.connect().unwrap().unwrap();
    let _lease = target.lock("test", None).unwrap();
    target.copy_closure(&nix, &path, &mut |_, _| {}).unwrap();
    assert!(Path::new(&target.on_disk(path.as_str())).is_file());
}

/// Tests a real `nix copy` over a real sshd into a separate store.
#[test]
fn a_closure_is_copied_and_runs() {
    let Some(loopback) = LoopbackSshd::start() else { return };
    let Some(nix) = nix_or_skip() else { return };
    let unique = loopback.folder().display().to_string();
    let script = "echo '#!/bin/sh' > $out; echo 'echo it runs' >> $out; chmod +x $out";
    let expression = format!(
        "derivation {{ name = \"copied\"; system = builtins.currentSystem; marker = {}; \
         builder = \"/bin/sh\"; PATH = \"/usr/bin:/bin\"; args = [ \"-c\" {} ]; }}",
        nix_string(&unique),
        nix_string(script)
    );
    let build = nix
        .command(["build", "--impure", "--no-link", "--print-out-paths", "--expr"])
        .arg(expression);
    let path = StorePath::new(process::read(&build, Some(Duration::from_secs(60))).unwrap());

    let uri = separate_store(&loopback, &nix);
    let target = Target::ssh(&uri, loopback.ssh_options()).unwrap();
    let wrong_port = [&loopback.ssh_options()[..], &["-o".into(), "Port=1".into()]].concat();
    let with_port = uri.replace(HOST, &format!("{HOST}:{}", loopback.port));
    for target in [&target, &Target::ssh(&with_port, wrong_port.clone()).unwrap(), &target] {
        target.copy_closure(&nix, &path, &mut |_, _| {}).unwrap();
    }
    let place = target.on_disk(path.as_str());
    assert_eq!(place, format!("{}/target{path}", loopback.folder().display()));
    assert_eq!(run(&target, &[&place], SHORT), (Exit::Code(0), "it runs\n".to_owned()));

    let unreachable = Target::ssh(HOST, wrong_port).unwrap();
    let error = unreachable.copy_closure(&nix, &path, &mut |_, _| {}).unwrap_err();
    assert_eq!(code(&error), "ssh-refused");
}
