//! The lines of bench/HOST.jsonl as `report` needs them: what cannot be drawn is told, with
//! the reason, and costs no other line; text is made fit to be shown.
//!
//! Pure: no I/O, no clock.

use serde::{Deserialize, Serialize};

use crate::bench::llama_bench::TestResult;
use crate::bench::results::Record;
use crate::ui::sanitize::clean;

/// One test of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    pub host: String,
    pub setting: Key,
    pub run: String,
    /// As written: `2026-11-22T10:00:00Z`. It sorts as text.
    pub date: String,
    pub target: String,
    pub variant: String,
    pub rev: Option<String>,
    pub build: Option<u64>,
    pub store_path: String,
    pub test: String,
    /// Tokens per second, in the order in which they were measured; never empty, each
    /// finite and not negative.
    pub samples: Vec<f64>,
}

/// What has to be equal, besides the host and the test, for two speeds to be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Key {
    pub model: String,
    pub flags: Vec<String>,
    pub backends: Vec<String>,
    pub cpu: String,
    pub gpu: Option<String>,
    pub threads: Option<u32>,
}

impl Key {
    /// The GPU, or the CPU where there is none.
    pub fn device(&self) -> &str {
        self.gpu.as_deref().unwrap_or(&self.cpu)
    }
}

/// A line that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damaged {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub why: String,
}

/// Asked first: of another schema, nothing else need be as it is here.
#[derive(Deserialize)]
struct Schema {
    schema: u64,
}

/// Everything of one file.
pub fn read(file: &str, text: &str) -> (Vec<Measurement>, Vec<Damaged>) {
    let (mut good, mut damaged) = (vec![], vec![]);
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match parse(line) {
            Ok(measured) => good.extend(measured),
            Err(why) => {
                damaged.push(Damaged { file: file.to_owned(), line: index + 1, why: clean(&why) });
            }
        }
    }
    (good, damaged)
}

fn parse(line: &str) -> Result<Vec<Measurement>, String> {
    let Schema { schema } = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if schema != 1 {
        return Err(format!("schema {schema} is not known here; a newer xtask wrote it"));
    }
    let record: Record = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if !is_date(&record.date) {
        return Err(format!("the date {:?} is none", record.date));
    }
    if record.results.is_empty() {
        return Err("it holds no result".to_owned());
    }
    let all = |texts: &[String]| texts.iter().map(|text| clean(text)).collect::<Vec<_>>();
    let model = [Some(record.model.name), record.model.quantization];
    let model: Vec<String> = model.iter().flatten().map(|part| clean(part)).collect();
    let setting = Key {
        model: model.join(" "),
        // What it was started with makes as much of a difference.
        flags: all(&[record.env, record.flags].concat()),
        backends: all(&record.backends),
        cpu: clean(&record.cpu),
        gpu: record.gpu.as_deref().map(clean),
        threads: record.threads,
    };
    let measurement = |TestResult { test, samples, .. }: TestResult| {
        if samples.is_empty() || !samples.iter().all(|sample| (0.0..1e12).contains(sample)) {
            return Err(format!("{test} has no samples, or some that cannot be"));
        }
        Ok(Measurement {
            host: clean(record.host.as_str()),
            setting: setting.clone(),
            run: clean(&record.run),
            date: clean(&record.date),
            target: clean(&record.target),
            variant: clean(record.variant.as_str()),
            rev: record.llama_cpp.rev.as_deref().map(clean),
            build: record.llama_cpp.build.filter(|build| *build > 0),
            store_path: clean(record.store_path.as_str()),
            test: clean(&test),
            samples,
        })
    };
    record.results.into_iter().map(measurement).collect()
}

/// `2026-11-22`, and whatever follows.
fn is_date(text: &str) -> bool {
    let shape = text.bytes().take(10).enumerate().all(|(index, byte)| match index {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    shape && text.len() >= 10
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::tests::record;

    #[test]
    fn a_line_that_cannot_be_used_costs_no_other() {
        let good = serde_json::to_string(&record("r1", "pp128", &[3.5])).unwrap();
        let edited = |from: &str, to: &str| {
            assert!(good.contains(from), "{good}");
            good.replacen(from, to, 1)
        };
        let bad = [
            good[..good.len() / 2].to_owned(),
            "[]".to_owned(),
            edited("\"date\":\"2026", "\"date\":\"last"),
            edited("[3.5]", "[]"),
            edited("[3.5]", "[-1.0]"),
            edited("[3.5]", "[null]"),
            edited("[3.5]", "[1e300]"),
            edited("\"schema\":1", "\"schema\":2"),
            edited("\"test\":", "\"toast\":"),
        ];
        let novel = edited("{", "{\"novel\":1,");
        let (measured, damaged) =
            read("bench/a.jsonl", &format!("{}\n\n{novel}\n", bad.join("\n")));
        assert_eq!(measured.len(), 1);
        assert_eq!(
            (measured[0].host.as_str(), measured[0].test.as_str(), &measured[0].samples),
            ("a", "pp128", &vec![3.5])
        );
        let lines: Vec<usize> = damaged.iter().map(|damaged| damaged.line).collect();
        assert_eq!(lines, (1..=bad.len()).collect::<Vec<_>>());
        assert!(damaged[7].why.contains("schema 2"), "{}", damaged[7].why);
    }
}
