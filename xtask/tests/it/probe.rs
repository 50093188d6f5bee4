//! `probe` of this machine, and `check` with what it wrote, on small fleets with real Nix.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use crate::support::sshd::Sshd;
use crate::support::world::git;
use crate::support::{
    Scratch, code, fleet, json as document, output_and_peak, run, stderr, stdout, xtask,
};
use serde_json::{Value, json};

const GOLDMONT_PLUS: &str = include_str!("../fixtures/probe/goldmont-plus.cpuinfo");
const ZEN4: &str = include_str!("../fixtures/probe/zen4.cpuinfo");

/// The facts of a machine with this CPU and these GPUs.
fn facts(cpuinfo: &str, gpus: &Value) -> String {
    let field = |name: &str| {
        let mut fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| key.trim() == name).unwrap().1.trim().to_owned()
    };
    let number = |name: &str| field(name).parse::<u32>().unwrap();
    json!({
        "schema": 1, "host": "a", "gpus": gpus,
        "cpu": {
            "model": field("model name"), "arch": "x86_64", "vendor": field("vendor_id"),
            "family": number("cpu family"), "modelNumber": number("model"),
            "flags": field("flags").split(' ').collect::<Vec<_>>(),
        },
    })
    .to_string()
}

/// A fleet with one host `a`, whose file sets the microarchitecture.
fn host(microarch: &str, facts: Option<&str>) -> Scratch {
    let fleet = fleet("a = host (import ./hosts/a);");
    fleet.write("hosts/a/default.nix", &format!("{{\n  microarch = \"{microarch}\";\n}}\n"));
    if let Some(facts) = facts {
        fleet.write("hosts/a/facts.json", facts);
    }
    fleet
}

/// Returns the exit status and the only host of `check --json`.
fn check(fleet: &Scratch) -> (i32, Value) {
    let output = run(fleet.path(), &["check", "--json"]);
    let report = document(&output);
    (code(&output), report["hosts"][0].clone())
}

#[test]
fn check_accepts_the_facts_that_probe_writes() {
    let empty = Scratch::new();
    let output = run(empty.path(), &["probe", "--local", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = document(&output);
    assert_eq!((&report["schema"], &report["command"]), (&json!(1), &json!("probe")));
    assert_eq!(report["ok"], true);
    let microarch = report["recommendation"]["microarch"].as_str().unwrap();
    assert_eq!(report["facts"]["cpu"]["microarch"], microarch);
    // Count the cores in another way, where the kernel lists siblings.
    if let Some(cores) = distinct_siblings() {
        assert_eq!(report["facts"]["cores"]["physical"], cores, "{report}");
    }

    let fleet = host(microarch, None);
    let doctor = document(&run(fleet.path(), &["doctor", "--json"]));
    let checks = doctor["checks"].as_array().unwrap();
    let cpu = checks.iter().find(|check| check["name"] == "CPU").unwrap();
    // A CPU without a name of its own gets the name of an equivalent one.
    let message = cpu["message"].as_str().unwrap();
    let named = format!("programs.llama-cpp.microarch = \"{microarch}\"");
    assert!([named.clone(), named + " (the same instruction sets)"].contains(&message.into()));

    let output = run(fleet.path(), &["probe", "--local", "a", "--write"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let snippet = format!("microarch = \"{microarch}\";");
    assert!(stdout(&output).contains(&snippet), "{}", stdout(&output));
    let file = fleet.path().join("hosts/a/facts.json");
    let written: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((&written["host"], &written["schema"]), (&json!("a"), &json!(1)));
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 2, "something is left over");
    let (status, host) = check(&fleet);
    assert_eq!((status, &host["state"]), (0, &json!("ok")), "{host}");
    let mut findings = host["findings"].as_array().unwrap().iter();
    assert!(findings.all(|finding| finding["code"] == "idle-gpu"), "{host}");
    // Only the facts were written.
    let own = fs::read_to_string(fleet.path().join("hosts/a/default.nix")).unwrap();
    assert_eq!(own, format!("{{\n  microarch = \"{microarch}\";\n}}\n"));
}

/// Counts this machine's cores by the lists of CPUs that share one; offline CPUs have no list.
fn distinct_siblings() -> Option<usize> {
    let cpus = fs::read_dir("/sys/devices/system/cpu").ok()?.flatten();
    let lists = cpus.map(|cpu| cpu.path().join("topology/thread_siblings_list"));
    let lists: BTreeSet<String> = lists.filter_map(|file| fs::read_to_string(file).ok()).collect();
    (!lists.is_empty()).then_some(lists.len())
}

#[test]
fn more_threads_than_cores_is_a_warning_at_its_line() {
    let mut machine: Value = serde_json::from_str(&facts(ZEN4, &json!([]))).unwrap();
    machine["cores"] = json!({
        "physical": 16, "logical": 32, "kinds": [{"cores": 16, "threads": 32}], "sockets": 1,
    });
    let fleet = fleet("a = host (import ./hosts/a);");
    fleet.write(
        "hosts/a/default.nix",
        "{\n  microarch = \"znver4\";\n  manifest.threads =\n    32;\n}\n",
    );
    fleet.write("hosts/a/facts.json", &machine.to_string());
    let (status, host) = check(&fleet);
    assert_eq!((status, &host["state"]), (0, &json!("ok")), "{host}");
    let finding = &host["findings"][0];
    assert_eq!(
        (&finding["code"], &finding["severity"]),
        (&json!("too-many-threads"), &json!("warning"))
    );
    assert_eq!((&finding["file"], &finding["line"]), (&json!("hosts/a/default.nix"), &json!(3)));
    assert!(finding["help"].as_str().unwrap().starts_with("set 16 threads"), "{finding}");
}

#[test]
fn an_unsupported_instruction_set_is_an_error_at_its_line() {
    let (status, host) = check(&host("haswell", Some(&facts(GOLDMONT_PLUS, &json!([])))));
    assert_eq!((status, &host["state"]), (1, &json!("finding")));
    let finding = &host["findings"][0];
    assert_eq!((&finding["code"], &finding["severity"]), (&json!("sigill"), &json!("error")));
    assert_eq!((&finding["file"], &finding["line"]), (&json!("hosts/a/default.nix"), &json!(2)));
    assert!(finding["message"].as_str().unwrap().contains("AVX2"), "{finding}");
    assert!(finding["help"].as_str().unwrap().contains("goldmont-plus"), "{finding}");
}

#[test]
fn an_unused_instruction_set_is_a_warning() {
    let (status, host) = check(&host("x86-64-v3", Some(&facts(ZEN4, &json!([])))));
    assert_eq!((status, &host["state"]), (0, &json!("ok")));
    let finding = &host["findings"][0];
    assert_eq!((&finding["code"], &finding["severity"]), (&json!("below-cpu"), &json!("warning")));
    let message = finding["message"].as_str().unwrap();
    assert!(message.contains("AVX-512 VNNI") && message.contains("times as fast"), "{message}");
}

#[test]
fn an_unused_gpu_does_not_fail_check() {
    let gpu = json!([{"vendor": "nvidia", "name": "NVIDIA T1200", "cudaCapability": "7.5"}]);
    let (status, host) = check(&host("znver4", Some(&facts(ZEN4, &gpu))));
    assert_eq!((status, &host["state"]), (0, &json!("ok")));
    assert_eq!(host["findings"][0]["code"], "idle-gpu");
    assert!(host["findings"][0]["message"].as_str().unwrap().contains("T1200"));
}

#[test]
fn invalid_facts_are_a_finding_of_their_host() {
    for broken in ["", "{", "{}", r#"{"schema": 7}"#, r#"{"schema": 1, "cpu": []}"#, "\u{0}"] {
        let (status, host) = check(&host("haswell", Some(broken)));
        assert_eq!((status, &host["state"]), (1, &json!("finding")), "{broken}");
        assert_eq!(host["findings"][0]["code"], "bad-facts");
        assert_eq!(host["findings"][0]["file"], "hosts/a/facts.json");
    }
}

/// Evaluations are cached between runs but facts are not, and Nix sees only files that Git tracks.
#[test]
fn new_facts_apply_despite_the_evaluation_cache() {
    let fleet = host("haswell", None);
    git(fleet.path(), &["init", "--quiet"]);
    git(fleet.path(), &["add", "."]);
    for _ in 0..2 {
        assert_eq!(check(&fleet).0, 0);
    }
    fleet.write("hosts/a/facts.json", &facts(GOLDMONT_PLUS, &json!([])));
    assert_eq!(check(&fleet).1["findings"][0]["code"], "sigill");
    fs::remove_file(fleet.path().join("hosts/a/facts.json")).unwrap();
    assert_eq!(check(&fleet).0, 0);
}

#[test]
fn a_host_name_that_escapes_the_hosts_folder_is_rejected() {
    let fleet = fleet(r#""../../escaped" = host { }; ".." = host { }; a = host { };"#);
    for name in ["../../escaped", ".."] {
        let output = run(fleet.path(), &["probe", "--local", name, "--write"]);
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        assert!(stderr(&output).contains("folder under hosts/"), "{}", stderr(&output));
    }
    let output = run(fleet.path(), &["probe", "--local", "b", "--write"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("no host \"b\""), "{}", stderr(&output));
    let output = run(fleet.path(), &["probe", "--local", "--write"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("--local NAME"), "{}", stderr(&output));
    assert!(!fleet.path().join("hosts").exists());
    // `check` accepts such a host.
    assert_eq!(code(&run(fleet.path(), &["check"])), 0);
}

/// Root may write anywhere, so a file stands in the folder's place.
#[test]
fn an_unwritable_facts_file_is_named() {
    let fleet = fleet("a = host { };");
    fleet.write("hosts/a", "");
    let output = run(fleet.path(), &["probe", "--local", "a", "--write", "--json"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("hosts/a"), "{}", stderr(&output));

    let fleet = host("haswell", None);
    fs::create_dir(fleet.path().join("hosts/a/facts.json")).unwrap();
    let output = run(fleet.path(), &["probe", "--local", "a", "--write"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("facts.json"), "{}", stderr(&output));
    assert_eq!(fs::read_dir(fleet.path().join("hosts/a")).unwrap().count(), 2);
}

/// An SSH target that runs `script` instead of any command.
fn target(script: &str) -> Sshd {
    let sshd = Sshd::start();
    let key = fs::read_to_string(sshd.dir.path().join("client.pub")).unwrap();
    sshd.dir.write_program("shell", &format!("#!/bin/sh\n{script}\n"));
    let shell = sshd.dir.path().join("shell").display().to_string();
    sshd.dir.write("authorized", &format!("command=\"{shell}\" {key}"));
    sshd
}

#[test]
fn endless_output_of_a_target_does_not_fill_memory() {
    let flood = "head -c 300000000 /dev/zero | tr '\\0' x";
    let target = target(&format!("{flood}; {flood} >&2"));
    let fleet = fleet("a = host { };");
    fleet.write("hosts/default.nix", "{\n}\n");
    for args in
        [["probe", "a", "--target"], ["new-host", "b", "--from"], ["bench", "a", "--target"]]
    {
        let mut command = xtask(fleet.path());
        command.args(args).arg(&target.host).env("NIX_SSHOPTS", target.options());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (output, peak) = output_and_peak(child);
        assert!([1, 2].contains(&code(&output)), "{args:?}: {}", stderr(&output));
        assert!((1..150 * 1024).contains(&peak), "{args:?}: {peak} kB");
    }
}

#[test]
fn an_endless_file_is_rejected() {
    let fleet = host("haswell", None);
    let zero = std::path::Path::new("/dev/zero");
    std::os::unix::fs::symlink(zero, fleet.path().join("hosts/a/facts.json")).unwrap();
    for args in [&["probe", "a", "--facter", "/dev/zero"][..], &["check"]] {
        let mut command = xtask(fleet.path());
        let child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let (output, peak) = output_and_peak(child.unwrap());
        assert!([1, 2].contains(&code(&output)), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("larger than"), "{args:?}: {}", stderr(&output));
        assert!((1..150 * 1024).contains(&peak), "{args:?}: {peak} kB");
    }
}

#[test]
fn terminal_escapes_in_output_names_and_files_are_removed() {
    let acts = ['\u{1b}', '\u{9b}', '\u{202e}', '\u{2066}', '\r', '\u{7}'];
    let hostile = "\\033[2J\\033]0;title\\007he\\302\\2332Jl\\342\\200\\256lo\\r";
    let target = target(&format!("printf '{hostile}\\n' >&2; exit 3"));
    let text = "\u{1b}[2J\u{202e}na\u{9b}2Jme\u{7}\r";
    let fleet = fleet(&format!("a = host {{ }}; \"{text}\" = host {{ }};"));
    fleet.write("hosts/a/facts.json", &format!("{{ \"{text}\" }}"));
    for args in [&["probe", "a", "--target", &target.host][..], &["check"], &["list"]] {
        for json in [&[][..], &["--json"]] {
            let mut command = xtask(fleet.path());
            command.args(args).args(json).env("NIX_SSHOPTS", target.options());
            let output = command.output().unwrap();
            for shown in [stdout(&output), stderr(&output)] {
                assert!(!shown.contains(acts), "{args:?}: {shown:?}");
            }
            let message = stdout(&output) + &stderr(&output);
            let expected = if args[0] == "probe" { "hello" } else { "name" };
            assert!(message.contains(expected) || !json.is_empty(), "{args:?}: {message:?}");
        }
    }
}

#[test]
fn an_invalid_or_unreachable_target_is_a_finding() {
    let empty = Scratch::new();
    for (target, expected) in [
        ("--target=-oProxyCommand=x", "ssh-destination"),
        ("--target=ssh://127.0.0.1:1", "ssh-refused"),
    ] {
        let output = run(empty.path(), &["probe", "a", target, "--json"]);
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        let report = document(&output);
        assert_eq!(report["findings"][0]["code"], expected);
        assert_eq!((&report["facts"], &report["ok"]), (&Value::Null, &json!(false)));
    }
    let fleet = fleet("a = host { };");
    let output = run(fleet.path(), &["probe", "a"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("--local"), "{}", stderr(&output));
}

#[test]
fn a_nixos_facter_report_replaces_probing() {
    let fleet = host("haswell", None);
    let features: Vec<&str> = GOLDMONT_PLUS
        .lines()
        .last()
        .unwrap()
        .split_once(':')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let report = json!({"hardware": {"cpu": [{"architecture": "x86_64", "features": features,
        "vendor_name": "GenuineIntel", "family": 6, "model": 122}]}});
    fleet.write("facter.json", &report.to_string());
    let arguments = ["probe", "a", "--facter", "facter.json", "--write", "--json"];
    let output = run(fleet.path(), &arguments);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(document(&output)["recommendation"]["microarch"], "goldmont-plus");
    assert_eq!(check(&fleet).1["findings"][0]["code"], "sigill");
    fleet.write("facter.json", "{}");
    let output = run(fleet.path(), &arguments);
    assert_eq!(code(&output), 1);
    assert_eq!(document(&output)["findings"][0]["code"], "bad-report");
}
