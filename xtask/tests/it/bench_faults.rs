//! `bench` over a real sshd, against all that can be wrong with a target, a model, a
//! connection: each is told in its own words, and nothing is left running.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::sshd::Sshd;
use crate::support::{
    Scratch, code, fleet, json, nix_program, output_and_peak, run, stderr, valid_in_store, xtask,
};
use serde_json::Value;

const NEW: &str = include_str!("../fixtures/llama-bench/new.jsonl");
const BROKEN: &str = include_str!("../fixtures/llama-bench/new-killed-in-second-test.jsonl");
/// How long anything may take on a machine that is busy.
const LONG: Duration = Duration::from_secs(60);

/// Hosts whose llama-bench prints a recording and then does this.
fn replaying(hosts: &[(&str, &str, &str, &str)]) -> Scratch {
    let host = |(name, recording, then, fields): &(&str, &str, &str, &str)| {
        format!(
            "{name} = host {{ variant = \"cpu-{name}\"; {fields} script = ''\nmkdir -p $out/bin\n\
             cat >$out/bin/llama-bench <<'END'\n#!/bin/sh\ncat <<'JSON'\n{recording}JSON\n{then}\n\
             END\nchmod +x $out/bin/llama-bench\n''; }};\n"
        )
    };
    fleet(&hosts.iter().map(host).collect::<String>())
}

/// nix-daemon as the target has it, told something more.
fn daemon(sshd: &Sshd, name: &str, script: &str) -> String {
    let real = nix_program().with_file_name("nix-daemon");
    let real = if real.exists() { real.display().to_string() } else { "nix-daemon".into() };
    let script = format!("#!/bin/sh\n{}\n", script.replace("@daemon@", &real));
    sshd.dir.write_program(name, &script);
    sshd.dir.path().join(name).display().to_string()
}

fn over_ssh(fleet: &Scratch, sshd: &Sshd, host: &str, target: &str, more: &[&str]) -> Command {
    let mut command = xtask(fleet.path());
    command.args(["bench", host, "--json", "--rounds=2", "--target", target]).args(more);
    let options = command.get_envs().any(|(name, _)| name == "NIX_SSHOPTS");
    assert!(!options);
    command.env("NIX_SSHOPTS", sshd.options());
    command
}

fn errors(output: &Output) -> Vec<String> {
    let report = json(output);
    let findings = report["findings"].as_array().unwrap();
    let errors = findings.iter().filter(|finding| finding["severity"] == "error");
    errors.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

fn message(output: &Output) -> String {
    json(output)["findings"][0].to_string()
}

fn results(report: &Value) -> usize {
    report["results"].as_array().unwrap().len()
}

/// The outPath that the host would have.
fn store_path(report: &Value) -> &str {
    report["storePath"].as_str().unwrap()
}

#[test]
fn a_variant_is_copied_to_a_store_of_the_targets_own_and_measured_there() {
    let sshd = Sshd::start();
    let fleet = replaying(&[("a", NEW, "echo a driver complains >&2", "")]);
    let target = sshd.store(&daemon(&sshd, "daemon", "exec @daemon@ \"$@\""));
    for _ in 0..2 {
        let output = over_ssh(&fleet, &sshd, "a", &target, &[]).output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let report = json(&output);
        assert_eq!((results(&report), &report["target"]), (2, &Value::from(sshd.host.as_str())));
        assert!(report["conditions"]["processors"].as_u64() > Some(0), "{report}");
        assert!(Path::new(&format!("{}{}", sshd.root().display(), store_path(&report))).exists());
        // Found again, not sent again.
        assert_eq!(fs::read_dir(sshd.cache().join("llamafleet/models")).unwrap().count(), 1);
        let log = fs::read_to_string(report["log"].as_str().unwrap()).unwrap();
        assert!(log.contains("a driver complains"), "{log}");
    }
}

#[test]
fn a_target_that_trusts_nobody_says_what_to_do() {
    let sshd = Sshd::start();
    let fleet = replaying(&[("a", NEW, "", "")]);
    // In the place of a daemon that does not trust the user who logs in.
    let features = "--option extra-experimental-features 'nix-command daemon-trust-override'";
    let untrusting =
        daemon(&sshd, "untrusting", &format!("exec @daemon@ {features} --force-untrusted \"$@\""));
    let output = over_ssh(&fleet, &sshd, "a", &sshd.store(&untrusting), &[]).output().unwrap();
    assert_eq!(errors(&output), ["target-rejects-unsigned"], "{}", stderr(&output));
    let said = message(&output);
    assert!(said.contains("trusted-users") && said.contains("generate-secret"), "{said}");
}

#[test]
fn the_target_builds_what_is_not_built_here() {
    let sshd = Sshd::start();
    let fleet = replaying(&[("a", NEW, "", "")]);
    // A store that is not at its place is built in a sandbox, whatever is set.
    let conf = "export NIX_CONFIG='build-users-group =\nsubstituters =\nsandbox-paths = /bin? /usr? \
                /lib? /lib64?'";
    let own = daemon(&sshd, "own", &format!("{conf}\nexec @daemon@ \"$@\""));
    let output =
        over_ssh(&fleet, &sshd, "a", &sshd.store(&own), &["--build-on=target"]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(results(&report), 2);
    assert!(Path::new(&format!("{}{}", sshd.root().display(), store_path(&report))).exists());
    assert!(!valid_in_store(store_path(&report)), "it was built here");
}

#[test]
fn a_target_that_cannot_take_the_variant_is_told_before_anything_is_built() {
    let sshd = Sshd::start();
    let amx = "microarch = \"sapphirerapids\";";
    let fleet = replaying(&[
        ("a", NEW, "", ""),
        ("amx", NEW, "", amx),
        ("arm", NEW, "", "system = \"aarch64-linux\";"),
    ]);
    let good = sshd.store(&daemon(&sshd, "daemon", "exec @daemon@ \"$@\""));
    let bench = |host: &str, target: &str| {
        let output = over_ssh(&fleet, &sshd, host, target, &[]).output().unwrap();
        assert_eq!(code(&output), 1, "{}", stderr(&output));
        assert!(!valid_in_store(store_path(&json(&output))), "it was built: {}", stderr(&output));
        assert!(!sshd.root().exists(), "something was copied");
        errors(&output)
    };
    assert_eq!(bench("a", &sshd.store("/nonexistent/nix-daemon")), ["target-without-nix"]);
    assert_eq!(bench("arm", &good), ["wrong-architecture"]);
    if !fs::read_to_string("/proc/cpuinfo").unwrap().contains("amx_tile") {
        assert_eq!(bench("amx", &good), ["cpu-lacks-features"]);
    }
}

#[test]
fn a_target_that_is_not_to_be_reached_is_told_in_its_own_words() {
    let sshd = Sshd::start();
    let fleet = replaying(&[("a", NEW, "", "")]);
    let stranger = fs::read_to_string(sshd.dir.path().join("client.pub")).unwrap();
    let known = fs::read_to_string(sshd.dir.path().join("known")).unwrap();
    let place = known.split(' ').next().unwrap();
    sshd.dir.write("changed", &format!("{place} {stranger}"));
    let changed = format!("-o UserKnownHostsFile={}", sshd.dir.path().join("changed").display());
    for (options, expected) in [
        ("-o Port=1", "ssh-refused"),
        ("-o HostName=nobody.invalid", "ssh-no-such-host"),
        ("-o UserKnownHostsFile=/dev/null", "ssh-host-unknown"),
        ("-o PubkeyAuthentication=no", "ssh-auth-refused"),
        (changed.as_str(), "ssh-host-key-changed"),
    ] {
        let options = format!("{} {options}", sshd.options());
        let mut command = over_ssh(&fleet, &sshd, "a", &sshd.host, &[]);
        let output = command.env("NIX_SSHOPTS", options).output().unwrap();
        let told = (code(&output), errors(&output));
        assert_eq!(told, (2, vec![expected.to_owned()]), "{}", stderr(&output));
        assert!(message(&output).contains(&sshd.host), "{}", message(&output));
    }
}

#[test]
fn a_copy_that_is_cut_is_told_and_the_next_one_mends_it() {
    let sshd = Sshd::start();
    let big = "head -c 3000000 /dev/urandom >$out/bin/ballast";
    let fleet = replaying(&[("a", NEW, "", "")]);
    let text = fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    let text = text
        .replace("chmod +x $out/bin/llama-bench", &format!("chmod +x $out/bin/llama-bench; {big}"));
    fleet.write("flake.nix", &text);
    let cut = daemon(&sshd, "cut", "dd bs=65536 count=40 2>/dev/null | @daemon@ \"$@\"");
    let output = over_ssh(&fleet, &sshd, "a", &sshd.store(&cut), &[]).output().unwrap();
    assert_eq!(
        (code(&output), errors(&output)),
        (1, vec!["copy-interrupted".to_owned()]),
        "{}",
        stderr(&output)
    );
    let whole = daemon(&sshd, "whole", "exec @daemon@ \"$@\"");
    let output = over_ssh(&fleet, &sshd, "a", &sshd.store(&whole), &[]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn a_model_that_is_none_is_told_and_one_with_a_strange_name_is_found() {
    let sshd = Sshd::start();
    let fleet = replaying(&[("a", NEW, "printf '%s\\n' \"$@\" >&2", "")]);
    let target = sshd.store(&daemon(&sshd, "daemon", "exec @daemon@ \"$@\""));
    let files = Scratch::new();
    let strange = "-it's \"a\" $(touch owned) `touch owned`\\ model.gguf";
    files.write("text.gguf", "GGML of old");
    files.write("empty.gguf", "");
    files.write("v9.gguf", "GGUF\u{9}\0\0\0");
    files.write(strange, "GGUF\u{3}\0\0\0\0\0\0\0");
    let bench = |name: &str, target: Option<&str>| {
        let file = files.path().join(name);
        let model = format!("--model={}", file.display());
        match target {
            Some(target) => over_ssh(&fleet, &sshd, "a", target, &[&model]).output().unwrap(),
            None => run(
                fleet.path(),
                &["bench", "a", "--local", "--wait", "--rounds=2", "--json", &model],
            ),
        }
    };
    for target in [None, Some(target.as_str())] {
        for (name, word) in [
            ("none.gguf", "does not exist"),
            ("text.gguf", "not a GGUF file"),
            ("empty.gguf", "is empty"),
            ("v9.gguf", "GGUF version 9"),
            (".", "is a folder"),
        ] {
            let output = bench(name, target);
            assert_eq!((code(&output), errors(&output)), (1, vec!["bad-model".to_owned()]));
            assert!(message(&output).contains(word), "{}", message(&output));
        }
        let output = bench(strange, target);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let report = json(&output);
        assert_eq!(report["model"]["name"], strange);
        let log = fs::read_to_string(report["log"].as_str().unwrap()).unwrap();
        let place = files.path().join(strange).display().to_string();
        assert!(log.lines().any(|line| line == place), "{log}");
    }
    assert!(!fleet.path().join("owned").exists() && !files.path().join("owned").exists());
}

#[test]
fn hostile_names_of_hosts_and_targets_are_only_names() {
    let fleet = replaying(&[("a", NEW, "", "")]);
    for host in ["$(touch owned)", "a b", "it's", "`touch owned`", "a\nb", "..", ""] {
        let output = run(fleet.path(), &["bench", "--local", "--wait", "--", host]);
        assert_eq!(code(&output), 2, "{host:?}: {}", stderr(&output));
    }
    let output = run(fleet.path(), &["bench", "--local", "--wait", "-oProxyCommand=touch owned"]);
    assert_eq!(code(&output), 2);
    for target in ["a b", "-oProxyCommand=touch owned", "$(touch owned)", "x;touch owned", "'"] {
        let target = format!("--target={target}");
        let output = run(fleet.path(), &["bench", "a", "--json", &target]);
        assert_ne!(code(&output), 0, "{target}: {}", stderr(&output));
    }
    assert!(!fleet.path().join("owned").exists());
}

#[test]
fn what_killed_llama_bench_is_told_and_what_it_measured_is_kept() {
    let sshd = Sshd::start();
    let fleet = replaying(&[
        ("killed", BROKEN, "kill -KILL $$", ""),
        ("crashed", BROKEN, "kill -SEGV $$", ""),
        ("chatty", "ggml_vulkan: a warning\n{\"of_2030\": 1}\n", "", ""),
        ("slow", BROKEN, "exec sleep 600", ""),
    ]);
    let target = sshd.store(&daemon(&sshd, "daemon", "exec @daemon@ \"$@\""));
    for (host, expected, kept) in [
        // Not by the kernel, and it says so.
        ("killed", "killed", 1),
        ("crashed", "crashed", 1),
        ("chatty", "unreadable-output", 0),
        ("slow", "timeout", 1),
    ] {
        let output = over_ssh(&fleet, &sshd, host, &target, &["--timeout=2"]).output().unwrap();
        let report = json(&output);
        assert_eq!((code(&output), errors(&output)), (1, vec![expected.to_owned()]), "{report}");
        assert_eq!(results(&report), kept, "{host}");
    }
}

#[test]
fn a_llama_bench_that_prints_without_end_fills_neither_memory_nor_disk() {
    let flood = "head -c 200000000 /dev/zero | tr '\\0' x >&2; yes noise | head -c 20000000\n\
                 yes '{}' | head -c 20000000";
    let fleet = replaying(&[("a", NEW, flood, "")]);
    let mut command = xtask(fleet.path());
    command.args(["bench", "a", "--local", "--wait", "--rounds=1", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (output, peak) = output_and_peak(child);
    let report = json(&output);
    assert_eq!((code(&output), results(&report)), (1, 2), "{}", stderr(&output));
    assert_eq!(report["findings"][0]["code"], "unreadable-output");
    // 128 MiB of lines may wait where the machine is busy.
    assert!((1..190 * 1024).contains(&peak), "{peak} kB");
    let log = fs::metadata(report["log"].as_str().unwrap()).unwrap().len();
    assert!(log < 80_000_000, "{log} bytes");
}

fn runs(pattern: &str) -> bool {
    let found = Command::new("pgrep").args(["-f", "--", pattern]).output().unwrap();
    !found.stdout.is_empty()
}

fn sleeping(marker: &str) -> bool {
    runs(&format!("^sleep {marker}"))
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A connection of the user's own is theirs to end, and variables arrive as they were.
#[test]
fn a_connection_of_the_users_own_is_used_and_left_alone() {
    let sshd = Sshd::start();
    let fleet = replaying(&[("a", NEW, "printf '<%s>\\n' \"$PLANTED\" >&2", "")]);
    let target = sshd.store(&daemon(&sshd, "daemon", "exec @daemon@ \"$@\""));
    let socket = sshd.dir.path().join("own");
    let master = format!(" -o ControlMaster=auto -o ControlPath={}", socket.display());
    let value = "it's $(touch owned) \\ \"1,2\"";
    let env = format!("--env=PLANTED={value}");
    for (options, shares) in [("", true), (master.as_str(), false)] {
        let mut command = over_ssh(&fleet, &sshd, "a", &target, &[&env, "-v"]);
        command.env("NIX_SSHOPTS", format!("{}{options}", sshd.options()));
        let output = command.output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let report = json(&output);
        assert_eq!(report["env"][0], format!("PLANTED={value}"));
        let log = fs::read_to_string(report["log"].as_str().unwrap()).unwrap();
        assert!(log.lines().any(|line| line == format!("<{value}>")), "{log}");
        assert_eq!(stderr(&output).contains("one connection"), shares, "{}", stderr(&output));
    }
    let output = run(fleet.path(), &["bench", "a", "--local", "--env=A B=1"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("invalid variable name"), "{}", stderr(&output));
}

/// As ssh ends where the connection is lost: after the measurement, which is shown all the same.
#[test]
fn a_connection_that_is_lost_after_the_measurement_loses_none_of_it() {
    let sshd = Sshd::start();
    let fleet = replaying(&[("a", NEW, "", "")]);
    let text = fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    let program = "$out/libexec/memory-bandwidth";
    let lost = format!(
        "chmod +x $out/bin/llama-bench; mkdir $out/libexec; printf '#!/bin/sh\\nexit 255\\n' \
         >{program}; chmod +x {program}"
    );
    fleet.write("flake.nix", &text.replace("chmod +x $out/bin/llama-bench", &lost));
    let target = sshd.store(&daemon(&sshd, "daemon", "exec @daemon@ \"$@\""));
    let output = over_ssh(&fleet, &sshd, "a", &target, &[]).output().unwrap();
    let report = json(&output);
    assert!(errors(&output)[0].starts_with("ssh-"), "{report}");
    assert_eq!(results(&report), 2, "{report}");
}

/// Ctrl-C, and kill -9, which lets xtask do nothing more.
#[test]
fn nothing_runs_on_the_target_once_xtask_is_gone() {
    let sshd = Sshd::start();
    let marker = format!("93{}", std::process::id());
    let fleet = replaying(&[("a", BROKEN, &format!("exec sleep {marker}"), "")]);
    let target = sshd.store(&daemon(&sshd, "daemon", "exec @daemon@ \"$@\""));
    for signal in ["-INT", "-KILL"] {
        let mut command = over_ssh(&fleet, &sshd, "a", &target, &[]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("it never started", || sleeping(&marker));
        // As from another machine, which knows nothing of the first one's lock on this one.
        let other = Scratch::new();
        let mut second = over_ssh(&fleet, &sshd, "a", &target, &[]);
        let second = second.env("LLAMAFLEET_HOME", other.home()).output().unwrap();
        assert_eq!(errors(&second), ["busy"], "{}", stderr(&second));
        let said = message(&second);
        assert!(said.contains(&format!("process {}, `bench a` on ", child.id())), "{said}");
        let master = format!("llamafleet-ssh-[^/]*-{}/", child.id());
        assert!(runs(&master), "no connection is shared");
        let kill = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let output = child.wait_with_output().unwrap();
        wait_until("it was left running", || !sleeping(&marker));
        wait_until("the connection was left open", || !runs(&master));
        if signal == "-INT" {
            assert_eq!(code(&output), 130, "{}", stderr(&output));
            assert_eq!((errors(&output), results(&json(&output))), (vec!["interrupted".into()], 1));
        }
        let left = fs::read_dir(sshd.cache().join("llamafleet/models")).unwrap();
        assert_eq!(left.count(), 1, "a part of the model was left");
    }
}
