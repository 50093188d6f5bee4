//! Runs every command in each of its outcomes and checks the exit status and the document of
//! `--json`. The table is docs/exit-status.md; `UPDATE_EXPECT=1` rewrites it.

use std::fmt::Write as _;
use std::process::{Output, Stdio};
use std::time::Duration;

use expect_test::expect_file;
use serde_json::Value;

use crate::bench_all::all_hosts;
use crate::support::builders::{running, signal, wait_for};
use crate::support::world::World;
use crate::support::{Scratch, fleet, run, stderr, stdout, xtask};

const LLAMA_BENCH: &str = include_str!("../fixtures/llama-bench/new.jsonl");

/// A row of the table.
struct Row {
    outcome: &'static str,
    /// As shown in the table, without arguments that only the test needs.
    command_line: String,
    output: Output,
}

/// Runs a command; arguments after ` + ` are not shown in the table.
fn row(fleet: &Scratch, outcome: &'static str, line: &str) -> Row {
    let (shown, hidden) = line.split_once(" + ").unwrap_or((line, ""));
    let words: Vec<&str> = shown.split(' ').chain(hidden.split_whitespace()).collect();
    let output = run(fleet.path(), &[&words[..], &["--json"]].concat());
    Row { outcome, command_line: shown.to_owned(), output }
}

/// A fleet with a host `a` whose llama-bench runs `script` before it prints recorded results, and
/// the hosts in `more`.
fn fleet_with(script: &str, more: &str) -> Scratch {
    let lines: Vec<String> = LLAMA_BENCH.lines().map(|line| line.replace('\'', "")).collect();
    let build = format!(
        "mkdir -p $out/bin; cat >$out/bin/llama-bench <<'END'\n#!/bin/sh\n{script}\ncat <<'JSON'\n{}\n\
         JSON\nEND\nchmod +x $out/bin/llama-bench\n",
        lines.join("\n")
    );
    fleet(&format!(
        "a = host {{ variant = \"cpu-replay\"; manifest.rev = \"aaaa\"; script = ''\n{build}''; }};\n{more}"
    ))
}

/// Interrupts a command while an evaluation, a build or a measurement sleeps.
fn interrupted(line: &str) -> Row {
    let words = line.split(" + ").next().unwrap();
    let marker = format!("sleep {}97{}", words.len(), std::process::id());
    let fleet = match words.split_once(' ').map_or(words, |(command, _)| command) {
        "bench" => fleet_with(&marker, ""),
        "build-all" => fleet(&format!("a = host {{ script = \"{marker}; echo > $out\"; }};")),
        _ => fleet(&format!(
            "a = host {{ variant = builtins.readFile (package {{ name = \"slow\"; script = \
             \"{marker}; echo > $out\"; }}); }};"
        )),
    };
    interrupted_in(&fleet, line, &marker)
}

/// Interrupts a command while the build of a later llama.cpp revision sleeps.
fn interrupted_update(line: &str) -> Row {
    let marker = format!("sleep {}96{}", line.len(), std::process::id());
    let world = World::of(&format!(
        "a = host {{ variant = \"a\"; manifest.rev = llama-cpp.rev; script = \"read x < \
         ${{llama-cpp}}/content; [ $x = one ] || {marker}; echo > $out\"; }};"
    ));
    world.release("two");
    interrupted_in(&world.fleet, line, &marker)
}

fn interrupted_in(fleet: &Scratch, line: &str, marker: &str) -> Row {
    let (words, hidden) = line.split_once(" + ").unwrap_or((line, ""));
    let mut command = xtask(fleet.path());
    command.args(words.split(' ').chain(hidden.split_whitespace())).arg("--json");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(wait_for(Duration::from_secs(120), || !running(marker).is_empty()), "{line}");
    signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    Row { outcome: "interrupted", command_line: words.to_owned(), output }
}

/// Runs a command whose standard output is full.
fn unwritten(fleet: &Scratch, line: &str) -> Row {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = xtask(fleet.path());
    let output = command.args(line.split(' ')).arg("--json").stdout(full).output().unwrap();
    Row { outcome: UNWRITTEN, command_line: line.to_owned(), output }
}

const UNWRITTEN: &str = "standard output cannot be written";

/// Parses the names of all commands out of the help.
fn commands(help: &str) -> Vec<&str> {
    let (_, rest) = help.split_once("Commands:\n").unwrap();
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty()).collect()
}

fn rows() -> Vec<Row> {
    let good = || fleet_with("", "b = host { variant = \"other\"; };");
    let broken = || {
        fleet_with("kill -ILL $$", "b = host { variant = \"x\"; script = \"echo no; exit 3\"; };")
    };
    let wrong = || fleet_with("", "b = throw \"no\";");
    let ok = good();
    let mut rows = vec![];
    let mut add = |fleet: &Scratch, outcome, line: &str| rows.push(row(fleet, outcome, line));
    add(&ok, "all hosts are ok", "check");
    add(&wrong(), "a host does not evaluate", "check");
    let offline = fleet(
        "a = builtins.fetchTarball { url = \"http://nobody.invalid/x.tar.gz\"; sha256 = \
         \"sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"; };",
    );
    for command in ["build-all", "check", "list", "matrix"] {
        add(&offline, "an input cannot be fetched", command);
    }
    add(&ok, "no such host", "check nobody");
    add(&ok, "no such flake", "check --flake /nonexistent");
    add(&ok, "it prints no document", "check --watch");
    let help = stdout(&run(ok.path(), &["--help"]));
    for command in commands(&help) {
        add(&ok, "unknown option", &format!("{command} --nope"));
    }
    for command in ["bench a", "bisect", "build-all", "list", "matrix", "rollback", "update"] {
        add(&ok, "no such flake", &format!("{command} --flake /nonexistent"));
    }
    for command in ["build-all nobody", "matrix nobody"] {
        add(&ok, "no such host", command);
    }
    add(&ok, "plan", "build-all --dry-run");
    add(&wrong(), "a host does not evaluate", "build-all --dry-run");
    add(&wrong(), "a host does not evaluate", "build-all");
    let foreign = fleet("a = host { system = \"riscv64-linux\"; };");
    add(&foreign, "no machine can build it", "build-all");
    add(&ok, "all are built", "build-all");
    let failing = broken();
    add(&failing, "a build fails", "build-all");
    add(&failing, "printed", "log b");
    add(&failing, "no log", "log nobody");
    add(&ok, "no such variant", "build-all --variant nothing");
    add(&ok, "the store cannot be reached", "build-all --push ssh-ng://nobody.invalid");
    add(&ok, "measured", "bench a --local + --rounds=1");
    add(&ok, "compared", "bench a --local --compare cpu-replay + --rounds=1 --force");
    add(&ok, "no host has a target", "bench --all + --rounds=1");
    add(&broken(), "llama-bench crashes", "bench a --local + --rounds=1");
    add(&wrong(), "the host does not evaluate", "bench b --local");
    add(&ok, "the target cannot be reached", "bench a --target nobody.invalid");
    add(&ok, "no such host", "bench nobody --local");
    add(&ok, "results", "report");
    add(&ok, "a host has no results", "report nobody");
    add(&ok, "no such folder", "report --record nowhere");
    add(&ok, "written", "report --html report.html");
    add(&ok, "the file cannot be written", "report --html nowhere/report.html");
    add(&ok, "no such model", "bench a --local --model nothing.gguf");
    add(&ok, "a wrong value", "bench a --local --timeout soon");
    add(&ok, "read", "probe --local");
    add(&ok, "the target cannot be reached", "probe --target nobody.invalid");
    add(&ok, "no such report", "probe --facter nothing.json");
    ok.write("facter.json", include_str!("../fixtures/probe/facter-epyc-9654.json"));
    add(&ok, "read", "probe --facter facter.json");
    add(&ok, "no table to add to", "new-host box");
    ok.write("hosts/default.nix", "{\n}\n");
    add(&ok, "printed", "new-host box --dry-run");
    add(&ok, "the machine cannot be reached", "new-host box --from nobody.invalid");
    add(&ok, "written", "new-host box");
    add(&ok, "it exists", "new-host box");
    add(&ok, "not a host's name", "new-host a/b");
    add(&ok, "listed", "list");
    add(&wrong(), "a host does not evaluate", "list");
    add(&ok, "all jobs", "matrix");
    add(&wrong(), "a host does not evaluate", "matrix");
    add(&ok, "explained", "explain unfree");
    add(&ok, "no such code", "explain nothing");
    add(&ok, "printed", "completions bash");
    add(&ok, "no such shell", "completions tcsh");
    add(&ok, "no llama.cpp among the inputs", "update");
    add(&ok, "no llama.cpp among the inputs", "rollback");
    add(&ok, "no llama.cpp among the inputs", "bisect");
    for command in ["demo", "perf", "test"] {
        add(&ok, "not the llamafleet repository", command);
    }
    add(&ok, "plan", "setup --dry-run");
    add(&ok, "no flake.lock", "doctor");
    add(&ok, "all codes", "explain");
    let world = World::new();
    world.release("two");
    let at = |line: &str, outcome| row(&world.fleet, outcome, line);
    rows.push(at("update --dry-run", "evaluated"));
    rows.push(at("update", "updated"));
    rows.push(at("doctor", "no error"));
    rows.push(at("update --to nothing", "no such revision"));
    rows.push(at("update", "the newest already"));
    rows.push(at("rollback --list", "listed"));
    rows.push(at("rollback", "restored"));
    rows.push(at("rollback --steps 9", "the journal does not go back so far"));
    rows.push(at("bisect", "nothing is bad"));
    std::fs::remove_file(world.upstream().join("needed")).unwrap();
    world.release("three");
    rows.push(at("bisect", "found"));
    rows.push(at("update", "a host no longer evaluates"));
    std::fs::rename(world.upstream(), world.upstream().with_extension("gone")).unwrap();
    rows.push(at("update", "upstream cannot be reached"));
    rows.push(at("bisect", "upstream cannot be reached"));
    for line in ["build-all", "check", "list", "matrix", "bench a --local + --rounds=1"] {
        rows.push(interrupted(line));
    }
    for line in ["update", "bisect --by build"] {
        rows.push(interrupted_update(line));
    }
    let all = all_hosts("");
    rows.push(row(&all, "two hosts of five are measured", "bench --all + --rounds=1"));
    for line in ["build-all --dry-run", "check", "explain unfree", "list", "matrix", "report"] {
        rows.push(unwritten(&ok, line));
    }
    rows
}

/// Lists a document's fields, without those that every document has.
fn fields(document: &Value) -> String {
    let fields: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
    let fields = fields.into_iter().filter(|name| !["schema", "command", "ok"].contains(name));
    fields.collect::<Vec<_>>().join(", ")
}

#[test]
fn docs_exit_status_md_matches_every_command() {
    let mut table = String::from(
        "# Exit status and documents\n\nMade by `xtask/tests/it/outcomes.rs`: each line is a run \
         with `--json`, which prints one document in\nevery outcome that can be printed. All documents have `schema`, \
         `command` and `ok`; [json.md](json.md) describes the\nother fields.\n\n\
         | command | outcome | status | ok | other fields |\n|---|---|--:|---|---|\n",
    );
    let mut rows = rows();
    rows.sort_by_key(|row| row.command_line.split(' ').next().map(str::to_owned));
    for Row { outcome, command_line: line, output } in rows {
        let (text, message) = (stdout(&output), stderr(&output));
        let status = output.status.code().unwrap();
        if outcome == UNWRITTEN {
            assert!(message.contains("cannot write the result"), "{line}: {message}");
            let _ = writeln!(table, "| `{line}` | {outcome} | {status} | | no document |");
            continue;
        }
        let document: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{line}: {outcome}: {error}: {text}\n{message}"));
        let command = line.split(' ').next().unwrap();
        if command == "matrix" && document.get("include").is_some() {
            // GitHub's format has no other fields.
            let _ = writeln!(table, "| `{line}` | {outcome} | {status} | | include |");
            continue;
        }
        assert_eq!(document["schema"], 1, "{line}: {text}");
        assert_eq!(document["command"], command, "{line}: {text}");
        assert_eq!(document["ok"], status == 0, "{line}, {outcome}: {status} {text}\n{message}");
        let ok = document["ok"].as_bool().unwrap();
        let fields = fields(&document);
        let _ = writeln!(table, "| `{line}` | {outcome} | {status} | {ok} | {fields} |");
    }
    expect_file!["../../../docs/exit-status.md"].assert_eq(&table);
}
