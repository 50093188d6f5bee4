//! `bench --all`: every host is in the report and in the table, also after errors.

use std::process::Stdio;
use std::time::Duration;

use crate::support::builders::{running, signal, wait_for};
use crate::support::{Scratch, code, fleet_with, json, run, stderr, stdout, xtask};

const NEW: &str = include_str!("../fixtures/llama-bench/new.jsonl");

/// Five hosts: `a` and `b` have this machine as target and a llama-bench that runs `first`, `c`
/// does not evaluate, `d` cannot be reached, and the lock of `e` cannot be taken.
pub fn all_hosts(first: &str) -> Scratch {
    let lines: Vec<String> = NEW.lines().map(|line| line.replace('\'', "")).collect();
    let script = format!(
        "mkdir -p $out/bin; cat >$out/bin/llama-bench <<'END'\n#!/bin/sh\n{first}\ncat <<'JSON'\n{}\n\
         JSON\nEND\nchmod +x $out/bin/llama-bench",
        lines.join("\n")
    );
    let host = |name: &str| {
        format!("{name} = host {{ variant = \"cpu-{name}\"; script = ''\n{script}\n''; }};\n")
    };
    let hosts = ["a", "b", "d", "e"].map(host).concat() + "c = throw \"planted\";";
    let here = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let here = here.trim();
    let targets =
        [("a", here), ("b", here), ("c", here), ("d", "nobody.invalid"), ("e", "other.invalid")];
    let targets = targets.map(|(host, target)| format!("fleet.{host}.target = \"{target}\";"));
    fleet_with(&hosts, &targets.concat())
}

#[test]
fn a_failing_host_does_not_stop_the_others() {
    let fleet = all_hosts("");
    std::fs::create_dir_all(fleet.home().join("locks/bench-other.invalid.lock")).unwrap();
    let output = run(fleet.path(), &["bench", "--all", "--rounds=1", "--json"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    let states: Vec<_> = report["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["host"].as_str().unwrap(), it["ok"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        states,
        [("a", true), ("b", true), ("c", false), ("d", false), ("e", false)],
        "{report}"
    );
    assert_eq!(report["hosts"][3]["findings"][0]["code"], "ssh-no-such-host");
    // A fatal error of one host does not hide the others either.
    let error = report["hosts"][4]["error"].as_str().unwrap();
    assert!(error.contains("cannot open"), "{report}");
}

#[test]
fn crashed_hosts_and_hosts_without_the_module_are_reported() {
    let here = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let line = NEW.lines().next().unwrap().replace('\'', "");
    let script = format!(
        "mkdir -p $out/bin; printf '%s\\n' '#!/bin/sh' \"cat <<'JSON'\" '{line}' JSON 'kill -SEGV $$' \
         >$out/bin/llama-bench; chmod +x $out/bin/llama-bench"
    );
    let bare = "bare = { options = { }; config = { }; };";
    let crashing = format!("a = host {{ script = ''\n{script}\n''; }};");
    let targets = ["a", "bare"].map(|host| format!("fleet.{host}.target = \"{}\";", here.trim()));
    let fleet = fleet_with(&(crashing + bare), &targets.concat());
    let output = run(fleet.path(), &["bench", "--all"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let shown = stdout(&output);
    let row = shown.lines().find(|line| line.starts_with("a     pp128")).unwrap();
    assert!(row.ends_with("crashed"), "{shown}");
    assert!(stderr(&output).contains("bare does not use the llama-cpp module: skipped"));
    let alone = fleet_with(bare, &targets[1]);
    let output = run(alone.path(), &["bench", "--all", "--json"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(json(&output)["error"].as_str().unwrap().contains("uses the llama-cpp module"));
}

#[test]
fn ctrl_c_still_prints_the_table_of_all_hosts() {
    let process = std::process::id();
    // The script is also an argument of its build, where this is not a single word.
    let marker = format!("sleep 98{process}");
    let sleep = format!("case \"$0\" in *cpu-b*) long=98; sleep \"$long\"{process};; esac");
    let fleet = all_hosts(&sleep);
    let mut command = xtask(fleet.path());
    command.args(["bench", "--all", "--rounds=1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    assert!(wait_for(Duration::from_secs(90), || !running(&marker).is_empty()));
    signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    let table: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    let table = &table[table.len() - 7..];
    assert!(table[1].starts_with("a     pp128") && table[2].contains("tg32"), "{table:#?}");
    for (line, host) in table[3..].iter().zip(["b", "c", "d", "e"]) {
        assert!(line.starts_with(host) && line.ends_with("not measured: interrupted"), "{line}");
    }
    assert!(!stderr(&output).contains("error"), "{}", stderr(&output));
}
