//! `bench` over a real sshd, with faults of the target, the model and the connection: each has its
//! own error, and no process is left running.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::support::builders::{signal, wait_for};
use crate::support::sshd::Sshd;
use crate::support::{
    Scratch, code, fleet, json, nix_program, output_and_peak, run, stderr, valid_in_store, xtask,
};
use serde_json::Value;

const NEW: &str = include_str!("../fixtures/llama-bench/new.jsonl");
const BROKEN: &str = include_str!("../fixtures/llama-bench/new-killed-in-second-test.jsonl");
/// Generous, for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A fleet of hosts: name, the recording that its llama-bench prints, what it runs then, and
/// further fields.
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

/// Writes a script that stands in for the target's nix-daemon, and returns its path. `@daemon@` in
/// it is the real program.
fn daemon(sshd: &Sshd, name: &str, script: &str) -> String {
    let real = nix_program().with_file_name("nix-daemon");
    let real = if real.exists() { real.display().to_string() } else { "nix-daemon".into() };
    let script = format!("#!/bin/sh\n{}\n", script.replace("@daemon@", &real));
    sshd.dir.write_program(name, &script);
    sshd.dir.path().join(name).display().to_string()
}

/// The URL of a store on the target, served by the real nix-daemon.
fn target_store(sshd: &Sshd) -> String {
    sshd.store(&daemon(sshd, "daemon", "exec @daemon@ \"$@\""))
}

fn over_ssh(fleet: &Scratch, sshd: &Sshd, host: &str, target: &str, more: &[&str]) -> Command {
    let mut command = xtask(fleet.path());
    command.args(["bench", host, "--json", "--rounds=2", "--target", target]).args(more);
    assert!(command.get_envs().all(|(name, _)| name != "NIX_SSHOPTS"));
    command.env("NIX_SSHOPTS", sshd.options());
    command
}

/// Returns the codes of the errors in the report.
pub fn errors(output: &Output) -> Vec<String> {
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

fn store_path(report: &Value) -> &str {
    report["storePath"].as_str().unwrap()
}

#[test]
fn a_variant_is_copied_to_the_target_and_measured_there() {
    let sshd = Sshd::start();
    let fleet = replaying(&[("a", NEW, "echo a driver complains >&2", "")]);
    let target = target_store(&sshd);
    for _ in 0..2 {
        let output = over_ssh(&fleet, &sshd, "a", &target, &[]).output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let report = json(&output);
        assert_eq!((results(&report), &report["target"]), (2, &Value::from(sshd.host.as_str())));
        assert!(report["conditions"]["processors"].as_u64() > Some(0), "{report}");
        assert!(Path::new(&format!("{}{}", sshd.root().display(), store_path(&report))).exists());
        // The model is copied only once.
        assert_eq!(fs::read_dir(sshd.cache().join("llamafleet/models")).unwrap().count(), 1);
        let log = fs::read_to_string(report["log"].as_str().unwrap()).unwrap();
        assert!(log.contains("a driver complains"), "{log}");
    }
}

#[test]
fn a_target_that_rejects_unsigned_paths_is_an_error_with_a_fix() {
    let sshd = Sshd::start();
    let fleet = replaying(&[("a", NEW, "", "")]);
    // Stands in for a daemon that does not trust the SSH user.
    let features = "--option extra-experimental-features 'nix-command daemon-trust-override'";
    let untrusting =
        daemon(&sshd, "untrusting", &format!("exec @daemon@ {features} --force-untrusted \"$@\""));
    let output = over_ssh(&fleet, &sshd, "a", &sshd.store(&untrusting), &[]).output().unwrap();
    assert_eq!(errors(&output), ["target-rejects-unsigned"], "{}", stderr(&output));
    let text = message(&output);
    assert!(text.contains("trusted-users") && text.contains("generate-secret"), "{text}");
}

#[test]
fn build_on_target_builds_on_the_target_only() {
    let sshd = Sshd::start();
    let fleet = replaying(&[("a", NEW, "", "")]);
    // Nix always builds in a sandbox if the store is not at /nix/store.
    let conf = "export NIX_CONFIG='build-users-group =\nsubstituters =\nsandbox-paths = /bin? /usr? \
                /lib? /lib64?'";
    let building = daemon(&sshd, "building", &format!("{conf}\nexec @daemon@ \"$@\""));
    let output = over_ssh(&fleet, &sshd, "a", &sshd.store(&building), &["--build-on=target"])
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(results(&report), 2);
    assert!(Path::new(&format!("{}{}", sshd.root().display(), store_path(&report))).exists());
    assert!(!valid_in_store(store_path(&report)), "it was built here");
}

#[test]
fn an_incompatible_target_is_an_error_before_the_build() {
    let sshd = Sshd::start();
    let amx = "microarch = \"sapphirerapids\";";
    let fleet = replaying(&[
        ("a", NEW, "", ""),
        ("amx", NEW, "", amx),
        ("arm", NEW, "", "system = \"aarch64-linux\";"),
    ]);
    let good = target_store(&sshd);
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
fn each_connection_failure_has_its_own_error() {
    let sshd = Sshd::start();
    let fleet = replaying(&[("a", NEW, "", "")]);
    let other_key = fs::read_to_string(sshd.dir.path().join("client.pub")).unwrap();
    let known = fs::read_to_string(sshd.dir.path().join("known")).unwrap();
    let address = known.split(' ').next().unwrap();
    sshd.dir.write("changed", &format!("{address} {other_key}"));
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
        let actual = (code(&output), errors(&output));
        assert_eq!(actual, (2, vec![expected.to_owned()]), "{}", stderr(&output));
        assert!(message(&output).contains(&sshd.host), "{}", message(&output));
    }
}

#[test]
fn an_interrupted_copy_is_an_error_and_the_next_run_completes_it() {
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
    let output = over_ssh(&fleet, &sshd, "a", &target_store(&sshd), &[]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn invalid_models_are_errors_and_special_characters_in_names_work() {
    let sshd = Sshd::start();
    let fleet = replaying(&[("a", NEW, "printf '%s\\n' \"$@\" >&2", "")]);
    let target = target_store(&sshd);
    let files = Scratch::new();
    let special = "-it's \"a\" $(touch owned) `touch owned`\\ model.gguf";
    files.write("text.gguf", "GGML of old");
    files.write("empty.gguf", "");
    files.write("v9.gguf", "GGUF\u{9}\0\0\0");
    files.write(special, "GGUF\u{3}\0\0\0\0\0\0\0");
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
        for (name, reason) in [
            ("none.gguf", "does not exist"),
            ("text.gguf", "not a GGUF file"),
            ("empty.gguf", "is empty"),
            ("v9.gguf", "GGUF version 9"),
            (".", "is a folder"),
        ] {
            let output = bench(name, target);
            assert_eq!((code(&output), errors(&output)), (1, vec!["bad-model".to_owned()]));
            assert!(message(&output).contains(reason), "{}", message(&output));
        }
        let output = bench(special, target);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let report = json(&output);
        assert_eq!(report["model"]["name"], special);
        let log = fs::read_to_string(report["log"].as_str().unwrap()).unwrap();
        let path = files.path().join(special).display().to_string();
        assert!(log.lines().any(|line| line == path), "{log}");
    }
    assert!(!fleet.path().join("owned").exists() && !files.path().join("owned").exists());
}

#[test]
fn names_of_hosts_and_targets_are_never_run_as_commands() {
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
fn a_killed_llama_bench_is_an_error_and_its_results_are_kept() {
    let sshd = Sshd::start();
    let fleet = replaying(&[
        ("killed", BROKEN, "kill -KILL $$", ""),
        ("crashed", BROKEN, "kill -SEGV $$", ""),
        ("chatty", "ggml_vulkan: a warning\n{\"of_2030\": 1}\n", "", ""),
        ("slow", BROKEN, "exec sleep 600", ""),
    ]);
    let target = target_store(&sshd);
    for (host, expected, kept) in [
        // Not by the kernel's out-of-memory killer, hence no `out-of-memory`.
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
fn endless_output_of_llama_bench_fills_neither_memory_nor_disk() {
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
    // Up to 128 MiB of lines are buffered if the machine is busy.
    assert!((1..190 * 1024).contains(&peak), "{peak} kB");
    let log = fs::metadata(report["log"].as_str().unwrap()).unwrap().len();
    assert!(log < 80_000_000, "{log} bytes");
}

/// Returns whether a process has a command line that matches the pattern.
fn runs(pattern: &str) -> bool {
    let found = Command::new("pgrep").args(["-f", "--", pattern]).output().unwrap();
    !found.stdout.is_empty()
}

fn sleeping(marker: &str) -> bool {
    runs(&format!("^sleep {marker}"))
}

/// The user's shared connection is not closed either.
#[test]
fn the_users_shared_connection_is_used_and_variables_arrive_unchanged() {
    let sshd = Sshd::start();
    let fleet = replaying(&[("a", NEW, "printf '<%s>\\n' \"$PLANTED\" >&2", "")]);
    let target = target_store(&sshd);
    let socket = sshd.dir.path().join("socket");
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

/// A program that exits with 255 after the measurement stands in for ssh without its connection.
#[test]
fn a_connection_lost_after_the_measurement_keeps_all_results() {
    let sshd = Sshd::start();
    let fleet = replaying(&[("a", NEW, "", "")]);
    let text = fs::read_to_string(fleet.path().join("flake.nix")).unwrap();
    let program = "$out/libexec/memory-bandwidth";
    let disconnect = format!(
        "chmod +x $out/bin/llama-bench; mkdir $out/libexec; printf '#!/bin/sh\\nexit 255\\n' \
         >{program}; chmod +x {program}"
    );
    fleet.write("flake.nix", &text.replace("chmod +x $out/bin/llama-bench", &disconnect));
    let target = target_store(&sshd);
    let output = over_ssh(&fleet, &sshd, "a", &target, &[]).output().unwrap();
    let report = json(&output);
    assert!(errors(&output)[0].starts_with("ssh-"), "{report}");
    assert_eq!(results(&report), 2, "{report}");
}

/// After Ctrl-C, and after `kill -9`, where xtask cannot clean up.
#[test]
fn nothing_runs_on_the_target_after_xtask_ends() {
    let sshd = Sshd::start();
    let marker = format!("93{}", std::process::id());
    let fleet = replaying(&[("a", BROKEN, &format!("exec sleep {marker}"), "")]);
    let target = target_store(&sshd);
    for name in ["INT", "KILL"] {
        let mut command = over_ssh(&fleet, &sshd, "a", &target, &[]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        assert!(wait_for(TIMEOUT, || sleeping(&marker)), "llama-bench never started");
        // Another LLAMAFLEET_HOME, as on another machine, which does not see this machine's lock.
        let other = Scratch::new();
        let mut second = over_ssh(&fleet, &sshd, "a", &target, &[]);
        let second = second.env("LLAMAFLEET_HOME", other.home()).output().unwrap();
        assert_eq!(errors(&second), ["busy"], "{}", stderr(&second));
        let text = message(&second);
        assert!(text.contains(&format!("process {}, `bench a` on ", child.id())), "{text}");
        let master = format!("llamafleet-ssh-[^/]*-{}/", child.id());
        assert!(runs(&master), "no connection is shared");
        signal(name, child.id());
        let output = child.wait_with_output().unwrap();
        assert!(wait_for(TIMEOUT, || !sleeping(&marker)), "llama-bench still runs");
        assert!(wait_for(TIMEOUT, || !runs(&master)), "the connection is still open");
        if name == "INT" {
            assert_eq!(code(&output), 130, "{}", stderr(&output));
            assert_eq!((errors(&output), results(&json(&output))), (vec!["interrupted".into()], 1));
        }
        let models = fs::read_dir(sshd.cache().join("llamafleet/models")).unwrap();
        assert_eq!(models.count(), 1, "a partial copy of the model is left");
    }
}
