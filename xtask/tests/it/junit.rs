//! `--junit`: what is written is XML, agrees with the report, and is there however the run
//! ended. The reader below is strict: it takes what XML 1.0 takes, of what JUnit needs.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Scratch, code, fleet, json, nix, run, stderr, stdout, valid_in_store, xtask};

/// An element: its name, attributes, children, and the text between them.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("<{}> has no {name}", self.name), |(_, value)| value)
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn document(text: &'a str) -> Element {
        let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..='\u{10ffff}');
        assert!(text.chars().all(allowed), "a character that XML 1.0 forbids");
        let start = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
        let mut reader = Reader { rest: text.strip_prefix(start).unwrap() };
        reader.space();
        let element = reader.element();
        reader.space();
        assert_eq!(reader.rest, "", "something after the root");
        element
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn take(&mut self, word: &str) {
        self.rest = self.rest.strip_prefix(word).unwrap_or_else(|| {
            panic!("no {word:?} at {:?}", self.rest.chars().take(60).collect::<String>())
        });
    }

    fn until(&mut self, ends: &[char]) -> &'a str {
        let end = self.rest.find(ends).expect("the document is cut short");
        let (before, rest) = self.rest.split_at(end);
        self.rest = rest;
        before
    }

    fn name(&mut self) -> String {
        let name = self.until(&[' ', '=', '>', '/']);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        assert!(!name.is_empty() && name.chars().all(plain), "not a name: {name:?}");
        name.to_owned()
    }

    fn element(&mut self) -> Element {
        self.take("<");
        let mut element = Element { name: self.name(), ..Element::default() };
        while self.rest.starts_with(' ') {
            self.space();
            let name = self.name();
            self.take("=\"");
            let value = self.until(&['"', '<']);
            self.take("\"");
            assert!(!element.attributes.iter().any(|(known, _)| *known == name), "twice: {name}");
            // As a reader must: line breaks that are not written as references are spaces.
            element.attributes.push((name, decoded(&value.replace(['\n', '\r', '\t'], " "))));
        }
        self.take(">");
        loop {
            let text = self.until(&['<']);
            assert!(!text.contains("]]>"), "]]> in text");
            element.text.push_str(&decoded(text));
            if self.rest.starts_with("</") {
                self.take(&format!("</{}>", element.name));
                return element;
            }
            element.children.push(self.element());
        }
    }
}

fn decoded(text: &str) -> String {
    let mut pieces = text.split('&');
    let mut decoded = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (reference, rest) = piece.split_once(';').expect("a bare &");
        decoded.push(match reference {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            number => {
                let number: u32 = number.strip_prefix('#').unwrap().parse().unwrap();
                assert!(number >= 32 || [9, 10, 13].contains(&number), "&#{number};");
                char::from_u32(number).unwrap()
            }
        });
        decoded.push_str(rest);
    }
    decoded
}

/// The one suite of a file, its counts held against its cases.
fn suite(file: &Path) -> Element {
    let mut root = Reader::document(&std::fs::read_to_string(file).unwrap());
    assert_eq!((root.name.as_str(), root.children.len()), ("testsuites", 1));
    let suite = root.children.remove(0);
    let names: Vec<&str> = suite.children.iter().map(|child| child.name.as_str()).collect();
    // The order that Ant's schema wants.
    assert_eq!(names.first(), Some(&"properties"));
    assert_eq!(names[names.len() - 2..], ["system-out", "system-err"]);
    let count = |inside: &str| {
        let has = |case: &&Element| case.children.iter().any(|child| child.name == inside);
        suite.all("testcase").filter(has).count().to_string()
    };
    assert_eq!(suite.attribute("tests"), (names.len() - 3).to_string());
    assert_eq!(suite.attribute("failures"), count("failure"));
    assert_eq!(suite.attribute("errors"), count("error"));
    assert_eq!(suite.attribute("skipped"), count("skipped"));
    assert!(suite.attribute("time").parse::<f64>().unwrap() >= 0.0);
    assert_eq!(suite.attribute("timestamp").len(), "2026-11-22T19:30:05".len());
    suite
}

fn case<'a>(suite: &'a Element, name: &str) -> &'a Element {
    let mut cases = suite.all("testcase").filter(|case| case.attribute("name") == name);
    let case = cases.next().unwrap_or_else(|| panic!("no case {name}: {suite:?}"));
    assert!(cases.next().is_none(), "two cases {name}");
    assert!(case.attribute("time").parse::<f64>().unwrap() >= 0.0);
    assert!(case.children.len() <= 1, "{case:?}");
    case
}

/// What a case says beside its name: the element's name, or `passed`.
fn verdict(case: &Element) -> &str {
    case.children.first().map_or("passed", |child| &child.name)
}

fn with_junit(fleet: &Scratch, args: &[&str], file: &Path) -> Output {
    xtask(fleet.path()).args(args).arg("--junit").arg(file).output().unwrap()
}

const HOSTILE: &str = r#"
    good = host { variant = "good"; };
    twin = host { variant = "good"; };
    bad = host { variant = "bad"; script = "printf 'x.c:3: error: a\\033[1m <b> ]]> & \\001\\010 \"\\n'; for i in $(seq 40); do echo [$i]; done; exit 1"; };
    arm = host { variant = "arm"; system = "riscv64-linux"; };
    "a&<\"b" = throw "gone: <x> & \"y\"";
"#;

#[test]
fn every_variant_and_every_host_without_one_is_a_case() {
    let fleet = fleet(HOSTILE);
    let reports = Scratch::new();
    let file = reports.path().join("made/for it/report.xml");
    let output = with_junit(&fleet, &["build-all", "--json"], &file);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let suite = suite(&file);
    assert_eq!(suite.attribute("name"), "build-all");
    assert_eq!(suite.all("testcase").count(), 4);
    assert_eq!(verdict(case(&suite, "good")), "passed");
    assert_eq!(verdict(case(&suite, "arm")), "skipped");
    let gone = case(&suite, "a&<\"b");
    assert_eq!(verdict(gone), "error");
    assert!(gone.children[0].attribute("message").contains("gone: <x> & \"y\""), "{gone:?}");

    let bad = case(&suite, "bad");
    assert_eq!(verdict(bad), "failure");
    let (failure, report) = (&bad.children[0], json(&output));
    assert_eq!(failure.attribute("type"), "failed");
    // The first error is told although forty lines came after it.
    let told = "the build failed for bad: x.c:3: error: a <b> ]]> & ";
    assert!(failure.attribute("message").starts_with(told), "{failure:?}");
    assert!(failure.text.contains("[40]") && !failure.text.contains("x.c:3"), "{failure:?}");
    let variants = report["variants"].as_array().unwrap();
    let bad = variants.iter().find(|variant| variant["variant"] == "bad").unwrap();
    assert!(failure.text.contains(bad["log"].as_str().unwrap()), "{failure:?}");
    assert!(bad["firstError"].as_str().unwrap().starts_with("x.c:3: error: a"));
    // Of what passed, who has it.
    let out = &suite.all("system-out").next().unwrap().text;
    assert!(out.contains("good: built, for good, twin /nix/store/"), "{out}");
}

#[test]
fn every_host_of_a_check_is_a_case() {
    let fleet = fleet(
        r#"
        good = host { };
        flags = host { flags = [ "-DGGML_NATIVE=ON" ]; };
        gone = throw "gone";
        other = { config = { }; options = { }; };
        "#,
    );
    let file = fleet.path().join("report.xml");
    let output = with_junit(&fleet, &["check"], &file);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let suite = suite(&file);
    let names = ["fleet", "good", "flags", "gone", "other"];
    let verdicts = names.map(|name| verdict(case(&suite, name)));
    assert_eq!(verdicts[1..], ["passed", "failure", "error", "skipped"], "{suite:?}");
    assert_eq!(suite.all("testcase").count(), names.len());
    // A host that was asked for by name is to have a variant.
    let output = with_junit(&fleet, &["check", "good", "other"], &file);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_eq!(verdict(case(&self::suite(&file), "other")), "failure");
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_is_built() {
    let fleet = fleet(r#"a = host { };"#);
    fleet.write("file", "");
    let folder = fleet.path().to_owned();
    for file in [fleet.path().join("file/report.xml"), folder, "/dev/null".into()] {
        let output = with_junit(&fleet, &["build-all"], &file);
        assert_eq!(code(&output), 2);
        let said = stderr(&output);
        assert!(said.contains("--junit") && said.contains(file.to_str().unwrap()), "{said}");
        assert!(!said.contains("building"), "{said}");
    }
    let report = json(&run(fleet.path(), &["build-all", "--json"]));
    assert_eq!(report["variants"][0]["state"], "built", "it was built before: {report}");
}

#[test]
fn what_breaks_leaves_a_red_report_and_not_the_last_one() {
    let fleet = fleet("a = throw \"x\"; }; }; }\n<broken>");
    fleet.write("report.xml", "<testsuites>all was well</testsuites>");
    let file = fleet.path().join("report.xml");
    for command in ["build-all", "check"] {
        let output = with_junit(&fleet, &[command], &file);
        assert_eq!(code(&output), 2);
        let suite = suite(&file);
        assert_eq!(verdict(case(&suite, command)), "error");
    }
}

#[test]
fn ctrl_c_leaves_a_report_of_what_was_done() {
    let fleet = fleet(
        r#"a = host { variant = "quick"; }; b = host { variant = "slow"; script = "sleep 97"; };"#,
    );
    let files = Scratch::new();
    let (junit, summary) = (files.path().join("report.xml"), files.path().join("summary"));
    let mut command = xtask(fleet.path());
    command.args(["build-all", "--max-jobs", "2", "--json", "--junit"]).arg(&junit);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (out, since) = (quick_output(&fleet), Instant::now());
    while !valid_in_store(&out) {
        assert!(since.elapsed() < Duration::from_secs(120), "{out} is not built");
        std::thread::sleep(Duration::from_millis(100));
    }
    #[allow(clippy::disallowed_methods, reason = "the user's Ctrl-C")]
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    let suite = suite(&junit);
    assert_eq!(verdict(case(&suite, "quick")), "passed");
    assert_eq!(verdict(case(&suite, "slow")), "skipped");
    let summary = std::fs::read_to_string(summary).unwrap();
    assert!(summary.contains("| slow | interrupted | b |"), "{summary}");
    assert!(summary.contains("1 of 2 variants in the store"), "{summary}");
}

/// The output that host `a` will have, by asking Nix.
fn quick_output(fleet: &Scratch) -> String {
    #[allow(clippy::disallowed_methods, reason = "asks Nix itself")]
    let said = nix(["eval", "--raw"])
        .current_dir(fleet.path())
        .arg("path:.#nixosConfigurations.a.config.programs.llama-cpp.package.outPath")
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", stderr(&said));
    stdout(&said)
}
