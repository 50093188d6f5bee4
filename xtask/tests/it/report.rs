//! `report`: the page, the tables and the plot of published results.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Output, Stdio};
use std::time::Duration;

use expect_test::expect_file;

use crate::support::builders::signal;
use crate::support::{Scratch, code, json, run, stderr, stdout, xtask};

/// A fleet with these files in its bench/ folder.
fn fleet(files: &[(&str, &str)]) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("flake.nix", "{ }");
    for (name, text) in files {
        scratch.write(&format!("bench/{name}"), text);
    }
    scratch
}

/// A fleet with the generated results of three hosts.
fn histories() -> Scratch {
    let hosts = ["beryllium", "boron", "nitrogen"];
    let files =
        hosts.map(|host| (format!("{host}.jsonl"), crate::support::histories::history(host)));
    fleet(&files.each_ref().map(|(name, text)| (name.as_str(), text.as_str())))
}

/// Runs `report` in a UTF-8 locale, 80 columns wide.
fn report(scratch: &Scratch, args: &[&str]) -> Output {
    let mut command = xtask(scratch.path());
    command.env("LC_ALL", "C.UTF-8");
    command.env("COLUMNS", "80").arg("report").args(args).output().unwrap()
}

/// A line of a results file, dated `day` days after the first.
fn line(host: &str, day: u32, test: &str, speeds: &[f64]) -> String {
    let host = serde_json::to_string(host).unwrap();
    let (year, month) = (2026 + day / 336, 1 + day / 28 % 12);
    let date = format!("{year}-{month:02}-{:02}T10:00:00Z", 1 + day % 28);
    format!(
        "{{\"schema\":1,\"run\":\"{date}-{day}\",\"date\":\"{date}\",\"host\":{host},\
         \"target\":\"t\",\"variant\":\"cpu-haswell\",\"backends\":[\"cpu\"],\"microarch\":\"haswell\",\
         \"storePath\":\"/nix/store/{day}-llama-cpp\",\"llamaCpp\":{{\"rev\":\"{day:040x}\",\
         \"build\":{}}},\"model\":{{\"name\":\"m\",\"params\":1,\"quantization\":\"q4_0\",\"bytes\":1}},\
         \"cpu\":\"c\",\"device\":\"c\",\"threads\":2,\"flags\":[],\"results\":[{{\"test\":\"{test}\",\
         \"tokensPerSecond\":1,\"stddev\":0,\"samples\":{speeds:?}}}]}}\n",
        10_000 + day
    )
}

/// `report` blocks on a pipe that nobody reads, and so never checks for interrupts.
#[test]
fn the_third_ctrl_c_ends_a_blocked_process() {
    let runs: String = (0..300).map(|day| line("h", day, "pp8", &[1.0, 2.0])).collect();
    let scratch = fleet(&[("h.jsonl", &runs)]);
    let mut command = xtask(scratch.path());
    let mut child = command.args(["report", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    for _ in 0..3 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before Ctrl-C");
        signal("INT", child.id());
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(2));
    let ended = child.try_wait().unwrap().and_then(|status| status.code());
    let _ = child.kill();
    assert_eq!(ended, Some(130));
}

/// Parses a page as XML, checks its attributes, and returns the elements' names.
fn well_formed(page: &str) -> Vec<String> {
    assert!(!page.contains(|c: char| c.is_control() && c != '\n'), "{page:?}");
    let body = page.strip_prefix("<!DOCTYPE html>\n").expect("a doctype first");
    let document = roxmltree::Document::parse(body).unwrap();
    let mut ids = BTreeSet::new();
    let elements = document.descendants().filter(roxmltree::Node::is_element);
    let names = elements.map(|element| {
        for attribute in element.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            let loads = name.starts_with("on") || ["src", "href", "style"].contains(&name);
            assert!(!loads, "{name}={value:?} in {element:?}");
            assert!(name != "id" || ids.insert(value), "the id {value} twice");
        }
        element.tag_name().name().to_owned()
    });
    names.collect()
}

/// Writes the page, and checks that it is well-formed and loads nothing.
fn page(scratch: &Scratch) -> String {
    let output = report(scratch, &["--html", "page.html"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let page = fs::read_to_string(scratch.path().join("page.html")).unwrap();
    let elements = well_formed(&page);
    for loads in ["script", "link", "img", "image", "iframe", "object", "embed", "use", "base"] {
        assert!(!elements.iter().any(|name| name == loads), "{loads}");
    }
    for reference in ["http://", "https://", "url(", "@import", "data:", "javascript:"] {
        assert!(!page.contains(reference), "{reference}");
    }
    page
}

#[test]
fn the_page_is_self_contained_and_shows_every_history() {
    let page = page(&histories());
    for host in ["beryllium", "boron", "nitrogen"] {
        assert!(page.contains(&format!("<h2>{host}</h2>")), "{host}");
    }
    // Two tests for each of five combinations of host, model and flags.
    assert_eq!(page.matches("<svg viewBox=\"0 0 340").count(), 10);
    assert_eq!(page.matches("<figcaption><b>tg32</b> generating 32 tokens").count(), 5);
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("@media print"));
    assert!(page.contains("3 hosts, 27 runs, 2026-08-15 to 2026-11-21"));
    // The slowdown that persists is at the top, before any host's section.
    let top = &page[..page.find("<h2>beryllium").unwrap()];
    assert!(top.contains("slower since b11060"), "{top}");
    assert!(!top.contains("slower since b10851"), "a fixed slowdown is listed: {top}");
    // Besides colour, a shape, a sign and a word mark the change.
    assert!(page.contains("Slower at b10851"));
    assert!(page.contains("<span class=\"mark-slower\">▼ −"));
    assert!(page.contains("against 2026-10-01, b10766: slower</title>"), "a tooltip");
}

#[test]
fn marks_match_the_verdicts() {
    let scratch = histories();
    let document = json(&report(&scratch, &["--json"]));
    assert_eq!((&document["schema"], &document["command"]), (&1.into(), &"report".into()));
    let mut slower: Vec<String> = vec![];
    for host in document["hosts"].as_array().unwrap() {
        for series in host["settings"].as_array().unwrap().iter().flat_map(|setting| {
            assert_eq!(setting["series"].as_array().unwrap().len(), 2);
            setting["series"].as_array().unwrap()
        }) {
            for point in series["points"].as_array().unwrap() {
                if point["change"]["verdict"] == "slower" {
                    slower.push(format!("{} {} {}", host["host"], series["test"], point["build"]));
                }
            }
        }
    }
    assert_eq!(slower, ["\"beryllium\" \"pp128\" 10851", "\"nitrogen\" \"tg32\" 11060"]);
    // Each appears in two plots: from zero, and enlarged.
    assert_eq!(page(&scratch).matches("z\" class=\"slower\"").count(), 2 * slower.len());
    // A run is one point with the samples of all its rounds.
    let boron = json(&report(&scratch, &["boron", "--json"]));
    assert_eq!(boron["hosts"].as_array().unwrap().len(), 1);
    let points = &boron["hosts"][0]["settings"][0]["series"][0]["points"];
    assert_eq!(points.as_array().unwrap().len(), 1);
    assert_eq!(points[0]["samples"].as_array().unwrap().len(), 30);
    assert_eq!(
        points[0]["rounds"].as_array().unwrap().len(),
        crate::support::histories::ROUNDS as usize
    );
}

#[test]
fn markdown_rows_have_equal_cell_counts() {
    let scratch = histories();
    let output = report(&scratch, &["--markdown", "-"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    expect_file!["snapshots/report.md"].assert_eq(&text);
    check_tables(&text);
}

/// Asserts that every row of a table has as many cells as its header.
fn check_tables(markdown: &str) {
    let mut cells = 0;
    for line in markdown.lines() {
        let bars = line.replace("\\|", "").matches('|').count();
        assert!(cells == 0 || bars == 0 || bars == cells, "{line}");
        cells = bars;
    }
}

#[test]
fn hostile_names_are_escaped_in_every_format() {
    let names =
        ["<script>alert(1)</script>", "a\"'&|`x` [l](//e) ]]> <!--", "\u{1b}[31mred\u{202e}"];
    let lines: String = names.iter().map(|name| line(name, 1, "pp<b>1", &[1.0, 2.0])).collect();
    let scratch = fleet(&[("x.jsonl", &lines.replace("\"m\"", "\"<img src=x onerror=a()>\""))]);
    // `page` rejects markup; the third name is shown without its terminal escape.
    let page = page(&scratch);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("<h2>red</h2>"));
    let markdown = stdout(&report(&scratch, &["--markdown", "-"]));
    check_tables(&markdown);
    assert!(!markdown.contains("<script") && !markdown.contains("](/"), "{markdown}");
    let shown = stdout(&report(&scratch, &[]));
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
}

#[test]
fn damaged_lines_are_reported_and_skipped() {
    let good = line("a", 1, "pp128", &[100.0, 101.0]);
    let half = &good[..good.len() / 2];
    let newer = good.replace("\"schema\":1", "\"schema\":9").replace("-1\"", "-7\"");
    let scratch = fleet(&[("a.jsonl", "")]);
    fs::write(
        scratch.path().join("bench/a.jsonl"),
        [good.as_bytes(), half.as_bytes(), b"\n\xff\xfe\n", newer.as_bytes(), b"{}"].concat(),
    )
    .unwrap();
    let output = report(&scratch, &[]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let message = stderr(&output);
    assert!(message.contains("4 lines of bench/*.jsonl could not be read"), "{message}");
    assert!(
        message.contains("bench/a.jsonl:2: ") && message.contains("bench/a.jsonl:5: "),
        "{message}"
    );
    assert!(message.contains("schema 9"), "{message}");
    assert!(stdout(&output).contains("pp128"));
    assert_eq!(json(&report(&scratch, &["--json"]))["damaged"].as_array().unwrap().len(), 4);
    let page = page(&scratch);
    assert!(page.contains("bench/a.jsonl:4: schema 9"));
}

#[test]
fn an_empty_report_explains_how_to_measure() {
    let scratch = fleet(&[]);
    let output = report(&scratch, &[]);
    assert_eq!(code(&output), 0);
    assert!(stderr(&output).contains("cargo xtask bench HOST"), "{}", stderr(&output));
    assert_eq!(json(&report(&scratch, &["--json"]))["hosts"].as_array().unwrap().len(), 0);
    assert!(page(&scratch).contains("<code>cargo xtask bench HOST</code>"));
    assert!(stdout(&report(&scratch, &["--markdown", "-"])).contains("cargo xtask bench HOST"));
    // Outside a fleet, where no results are stored.
    let nowhere = Scratch::new();
    let output = report(&nowhere, &[]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("no flake.nix"), "{}", stderr(&output));
}

#[test]
fn a_host_without_results_is_an_error() {
    let scratch = histories();
    let output = report(&scratch, &["beryllum", "boron"]);
    assert_eq!(code(&output), 1);
    let message = stderr(&output);
    assert!(
        message.contains("beryllum has no results") && message.contains("beryllium?"),
        "{message}"
    );
    assert!(stdout(&output).contains("boron") && !stdout(&output).contains("nitrogen"));
    let document = json(&report(&scratch, &["beryllum", "--json"]));
    assert_eq!((&document["missing"][0], &document["ok"]), (&"beryllum".into(), &false.into()));
}

#[test]
fn thousands_of_runs_make_a_small_page() {
    let mut lines = String::new();
    for day in 0..330 {
        for test in ["pp128", "tg32"] {
            let samples: Vec<f64> = (0..20).map(|n| 100.0 + f64::from((day * 7 + n) % 5)).collect();
            for host in 0..5 {
                lines += &line(&format!("h{host}"), day, test, &samples);
            }
        }
    }
    assert_eq!(lines.lines().count(), 3300);
    let scratch = fleet(&[("h.jsonl", &lines)]);
    let page = page(&scratch);
    assert_eq!(page.matches("<g class=\"run\">").count(), 10 * 60);
    assert!(page.contains("The newest 20 of 330 runs"));
    assert!(page.contains("a plot draws the newest 60 runs"));
    assert!(page.len() < 1_000_000, "{}", page.len());
    let points = json(&report(&scratch, &["h0", "--json"]))["hosts"][0]["settings"][0]["series"][0]
        ["points"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(points, 330, "the document has all points");
}

#[test]
fn the_plot_fits_the_terminals_width_and_character_set() {
    let scratch = histories();
    let shown = stdout(&report(&scratch, &["nitrogen"]));
    expect_file!["snapshots/report-nitrogen.txt"].assert_eq(&shown);
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let widest = shown.lines().map(|line| line.chars().count()).max();
    assert!(widest >= Some(78), "the width is used: {widest:?}");
    let mut ascii = xtask(scratch.path());
    ascii.env("LC_ALL", "C");
    let ascii = stdout(&ascii.env("COLUMNS", "60").args(["report", "nitrogen"]).output().unwrap());
    assert!(ascii.is_ascii() && ascii.contains("####"), "{ascii}");
    let plot = ascii.split_once("\n\n").unwrap().1;
    assert!(plot.lines().all(|line| line.len() <= 60), "{plot}");
}

#[test]
fn two_documents_cannot_share_standard_output() {
    let scratch = histories();
    let output = report(&scratch, &["--json", "--markdown", "-"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("only one of"), "{}", stderr(&output));
    json(&report(&scratch, &["--json", "--markdown", "t.md"]));
    assert!(scratch.path().join("t.md").is_file());
    let output = report(&scratch, &["--html", "none/such/folder.html"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("none/such/folder.html"), "{}", stderr(&output));
}

/// `report` reads testbed results where `bench` stores them.
#[test]
fn report_shows_testbed_results_of_both_revisions() {
    let fleet = crate::support::fleet("a = host { };");
    let folder = fleet.path().to_str().unwrap().replace('/', "_");
    for (revision, host) in [("2025-08", "gold"), ("2026-09", "fresh")] {
        let file = format!("bench/{folder}-testbed-{revision}/{host}.jsonl");
        let file = fleet.home().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, line(host, 3, "pp128", &[10.0, 11.0])).unwrap();
    }
    let output = run(fleet.path(), &["report", "--testbed", "--json"]);
    let text = json(&output).to_string();
    assert!(text.contains("gold") && text.contains("fresh"), "{text}");
}

/// Written files suggest commands as messages do; here cargo did not start the program.
#[test]
fn files_suggest_commands_as_xtask_was_started() {
    let fleet = crate::support::fleet("a = throw \"no\";");
    let run_without_cargo = |args: &[&str]| {
        let mut command = xtask(fleet.path());
        command.args(args).env_remove("CARGO_PKG_NAME").output().unwrap()
    };
    run_without_cargo(&["report", "a", "--html", "a.html", "--markdown", "a.md"]);
    let github = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "summary.md")];
    let mut check = xtask(fleet.path());
    check.args(["check"]).env_remove("CARGO_PKG_NAME").envs(github);
    let output = check.output().unwrap();
    for (name, has_command) in [("a.html", true), ("a.md", true), ("summary.md", false)] {
        let text = fs::read_to_string(fleet.path().join(name)).unwrap();
        assert!(!text.contains("cargo xtask"), "{name}: {text}");
        assert!(!has_command || text.contains("xtask bench"), "{name}: {text}");
    }
    assert!(!stderr(&output).contains("cargo xtask"), "{}", stderr(&output));
}

#[test]
fn list_names_unreadable_results() {
    let fleet = crate::support::fleet("a = host { };");
    fleet.write("bench/README", "");
    symlink("a.jsonl", fleet.path().join("bench/a.jsonl")).unwrap();
    let output = run(fleet.path(), &["list"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot read ") && stderr(&output).contains("a.jsonl"));
}
