//! The grid of a sweep: parses `--sweep ctk=q8_0,f16`, and checks it against the options of the
//! target's llama-bench.
//!
//! Pure: no I/O, no clock.

use serde::{Deserialize, Serialize};

use crate::findings::finding::Finding;
use crate::ui::nearest::nearest;

/// Maximum number of points; a larger grid is probably a mistake.
pub const MAX_POINTS: usize = 4096;

/// Options that cannot be swept: bench sets them, or they select a test or an output.
const NOT_SWEEPABLE: [(&[&str], &str); 10] = [
    (&["model"], "name it with --model"),
    (&["n-prompt"], "set it with --prompt"),
    (&["n-gen"], "set it with --generate"),
    (&["pg"], "it is another test, not a setting"),
    (&["n-depth"], "it is another test, not a setting: give it after `--`"),
    (&["repetitions"], "set it with --repetitions"),
    (&["output", "output-err"], "bench reads the output itself"),
    (&["delay"], "it changes no speed"),
    (&["hf-repo", "hf-file", "hf-token"], "name a model of the target with --model"),
    (&["help", "version"], "it is not a setting"),
];

/// The argument of one `--sweep`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterValues {
    /// Without leading dashes.
    pub name: String,
    pub values: Vec<String>,
}

/// Parses `ts=30,35`, `--threads=1..8` or `t=1..16*2`.
///
/// # Errors
/// A sentence: why it is invalid.
pub fn parse(text: &str) -> Result<ParameterValues, String> {
    let (name, values) =
        text.split_once('=').ok_or_else(|| format!("{text:?} has no `=`: use NAME=VALUE,…"))?;
    let name = name.trim_start_matches('-');
    if name.is_empty() {
        return Err(format!("{text:?} names no parameter before its `=`"));
    }
    let mut all: Vec<String> = vec![];
    for value in values.split(',') {
        if value.is_empty() {
            return Err(format!("{text:?} has an empty value"));
        }
        for value in range(value)? {
            if !all.contains(&value) {
                all.push(value);
            }
            if all.len() > MAX_POINTS {
                return Err(format!("{text:?} has more than {MAX_POINTS} values"));
            }
        }
    }
    Ok(ParameterValues { name: name.to_owned(), values: all })
}

/// Expands the ranges `1..8`, `0..99+33` and `1..16*2`; other text is one value.
fn range(text: &str) -> Result<Vec<String>, String> {
    let one_value = || Ok(vec![text.to_owned()]);
    let Some((first, rest)) = text.split_once("..") else { return one_value() };
    let (last, step) = match rest.find(['+', '*']) {
        Some(at) => (&rest[..at], Some((rest.as_bytes()[at], &rest[at + 1..]))),
        None => (rest, None),
    };
    let (Ok(first), Ok(last)) = (first.parse::<i64>(), last.parse::<i64>()) else {
        return one_value();
    };
    let step = match step {
        None => Some((b'+', 1)),
        Some((sign, number)) => number.parse::<i64>().ok().map(|number| (sign, number)),
    };
    let grows = |(sign, by)| if sign == b'*' { by > 1 && first > 0 } else { by > 0 };
    let Some((sign, by)) = step.filter(|step| grows(*step) && first <= last) else {
        return Err(format!(
            "invalid range {text:?}: use FIRST..LAST, FIRST..LAST+STEP or FIRST..LAST*FACTOR"
        ));
    };
    let mut values = vec![];
    let mut next = Some(first);
    while let Some(value) = next.filter(|value| *value <= last && values.len() <= MAX_POINTS) {
        values.push(value.to_string());
        next = if sign == b'*' { value.checked_mul(by) } else { value.checked_add(by) };
    }
    Ok(values)
}

/// An option in the output of `llama-bench --help`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchOption {
    /// `-ctk`, `--cache-type-k`
    pub aliases: Vec<String>,
    /// Description of its value, such as `<t>`. None if it takes no value.
    pub value: Option<String>,
}

impl BenchOption {
    /// Returns its longest name, without dashes.
    fn long(&self) -> &str {
        let names = self.aliases.iter().map(|alias| alias.trim_start_matches('-'));
        names.max_by_key(|name| name.len()).unwrap_or_default()
    }
}

/// Parses the output of `--help` of either revision.
pub fn options(help: &str) -> Vec<BenchOption> {
    help.lines().filter_map(option).collect()
}

fn option(line: &str) -> Option<BenchOption> {
    let line = line.strip_prefix("  ").filter(|line| line.starts_with('-'))?;
    let mut aliases = vec![];
    let mut value = None;
    for word in line.split_whitespace() {
        match word.trim_end_matches(',') {
            alias if alias.starts_with('-') && value.is_none() => aliases.push(alias.to_owned()),
            // `<n>`, or for -ot `<tensor`, the first of several words.
            text if text.starts_with('<') => {
                value.get_or_insert(text.to_owned());
            }
            _ => break,
        }
    }
    Some(BenchOption { aliases, value })
}

/// One parameter of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// Name that the user gave.
    pub name: String,
    /// Option of llama-bench, such as `-ctk`.
    pub option: String,
    pub values: Vec<String>,
    #[serde(skip)]
    pub known: BenchOption,
}

/// Looks up the parameters in the help of the target's llama-bench.
///
/// # Errors
/// Findings for all invalid parameters.
pub fn resolve(
    requested: &[ParameterValues],
    help: &str,
    target: &str,
) -> Result<Vec<Parameter>, Vec<Finding>> {
    let known = options(help);
    let (mut parameters, mut findings): (Vec<Parameter>, Vec<Finding>) = (vec![], vec![]);
    for one in requested {
        match find(one, &known, target) {
            Ok(parameter) if parameters.iter().any(|p| p.known == parameter.known) => {
                findings.push(Finding::error(
                    "parameter-twice",
                    format!("--sweep {}: that parameter is given twice", one.name),
                    "name it once, with all of its values",
                ));
            }
            Ok(parameter) => parameters.push(parameter),
            Err(finding) => findings.push(finding),
        }
    }
    if findings.is_empty() { Ok(parameters) } else { Err(findings) }
}

fn find(
    ParameterValues { name, values }: &ParameterValues,
    known: &[BenchOption],
    target: &str,
) -> Result<Parameter, Finding> {
    let bare = |alias: &String| alias.trim_start_matches('-').to_owned();
    let Some(found) = known.iter().find(|known| known.aliases.iter().map(bare).any(|a| a == *name))
    else {
        let names: Vec<String> =
            known.iter().flat_map(|known| known.aliases.iter().map(bare)).collect();
        let near = nearest(name, names.iter().map(String::as_str));
        let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        return Err(Finding::error(
            "unknown-parameter",
            format!("--sweep {name}: unknown parameter of the llama-bench on {target}"),
            format!("{near}see `llama-bench --help` there; revisions differ"),
        ));
    };
    let refused = |why: &str| {
        Finding::error(
            "no-parameter",
            format!("--sweep {name}: not a parameter that can be swept"),
            why.to_owned(),
        )
    };
    if let Some((_, why)) = NOT_SWEEPABLE.iter().find(|(names, _)| names.contains(&found.long())) {
        return Err(refused(why));
    }
    if found.value.is_none() {
        return Err(refused("it takes no value"));
    }
    let option = found.aliases.first().cloned().unwrap_or_default();
    Ok(Parameter { name: name.clone(), option, values: values.clone(), known: found.clone() })
}

/// One point of the grid: a value for each parameter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Point(pub Vec<String>);

impl Point {
    /// `t=2 ctk=q8_0`
    pub fn label(&self, parameters: &[Parameter]) -> String {
        let pairs = parameters.iter().zip(&self.0);
        let pairs: Vec<String> =
            pairs.map(|(parameter, value)| format!("{}={value}", parameter.name)).collect();
        pairs.join(" ")
    }

    /// Returns the arguments for llama-bench: those of `base` that the sweep does not set, then its
    /// own. llama-bench would measure an option that is given twice with both values.
    pub fn args(&self, parameters: &[Parameter], base: &[String]) -> Vec<String> {
        let mut args = vec![];
        let mut words = base.iter();
        while let Some(word) = words.next() {
            if parameters.iter().any(|parameter| parameter.known.aliases.contains(word)) {
                words.next();
            } else {
                args.push(word.clone());
            }
        }
        for (parameter, value) in parameters.iter().zip(&self.0) {
            args.extend([parameter.option.clone(), value.clone()]);
        }
        args
    }
}

/// Returns the number of points of the grid.
pub fn size(parameters: &[ParameterValues]) -> usize {
    parameters.iter().fold(1, |size, parameter| size.saturating_mul(parameter.values.len()))
}

/// Returns all points; the last parameter changes fastest.
pub fn grid(parameters: &[Parameter]) -> Vec<Point> {
    let mut points = vec![Point(vec![])];
    for parameter in parameters {
        points = points
            .iter()
            .flat_map(|Point(before)| {
                let with = |value: &String| Point(before.iter().chain([value]).cloned().collect());
                parameter.values.iter().map(with)
            })
            .collect();
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = include_str!("../../../tests/fixtures/llama-bench/old.help");
    const NEW: &str = include_str!("../../../tests/fixtures/llama-bench/new.help");

    fn values(text: &str) -> Vec<String> {
        parse(text).unwrap().values
    }

    #[test]
    fn values_and_ranges_are_parsed() {
        assert_eq!(values("ts=30,35,30"), ["30", "35"]);
        assert_eq!(values("t=1..4"), ["1", "2", "3", "4"]);
        assert_eq!(values("t=1..16*2,6"), ["1", "2", "4", "8", "16", "6"]);
        assert_eq!(values("ngl=0..99+33"), ["0", "33", "66", "99"]);
        assert_eq!(values("ngl=-1..1"), ["-1", "0", "1"]);
        for hostile in ["$(touch x)", "a b", "\"'`;|&", "--help", "-1", "../..", "a..b", "é\n"] {
            assert_eq!(values(&format!("ot={hostile}")), [hostile]);
        }
        assert_eq!(parse("--cache-type-k=f16").unwrap().name, "cache-type-k");
        for wrong in [
            "",
            "t",
            "=1",
            "--=1",
            "t=",
            "t=1,,2",
            "t=4..1",
            "t=1..4+0",
            "t=0..8*2",
            "t=1..9223372036854775807",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(values("t=9223372036854775806..9223372036854775807").len(), 2);
    }

    #[test]
    fn the_help_of_both_revisions_is_parsed() {
        for (help, count) in [(OLD, 34), (NEW, 46)] {
            let known = options(help);
            assert_eq!(known.len(), count, "{known:#?}");
            let find = |alias: &str| {
                known.iter().find(|known| known.aliases.iter().any(|a| a == alias)).cloned()
            };
            let cache = find("-ctk").unwrap();
            assert_eq!(cache.aliases, ["-ctk", "--cache-type-k"]);
            assert_eq!(cache.value.as_deref(), Some("<t>"));
            assert!(find("-ot").unwrap().value.is_some());
            assert_eq!(find("--progress").unwrap().value, None);
            assert!(find("--poll").unwrap().value.is_some());
        }
    }

    fn resolved(help: &str, text: &str) -> Result<Parameter, String> {
        let found = resolve(&[parse(text).unwrap()], help, "carbon");
        found.map(|mut all| all.remove(0)).map_err(|findings| {
            format!("{}: {}; {}", findings[0].code, findings[0].message, findings[0].help)
        })
    }

    #[test]
    fn unknown_parameters_are_rejected() {
        assert_eq!(resolved(OLD, "mmp=0,1").unwrap().option, "-mmp");
        let refused = resolved(NEW, "mmp=0,1").unwrap_err();
        assert!(refused.starts_with("unknown-parameter: --sweep mmp: unknown parameter"));
        assert_eq!(resolved(NEW, "repack=0").unwrap().option, "--repack");
        assert!(resolved(OLD, "repack=0").is_err());
        let typo = resolved(NEW, "thread=1").unwrap_err();
        assert!(typo.contains("did you mean threads?"), "{typo}");
        for option in ["m=x", "model=x", "p=1", "n=1", "r=1", "o=md", "pg=1", "d=1", "hf=x", "h=1"]
        {
            assert!(resolved(NEW, option).unwrap_err().starts_with("no-parameter"), "{option}");
        }
        assert!(resolved(NEW, "no-warmup=1").unwrap_err().contains("takes no value"));
        let twice = resolve(&[parse("t=1").unwrap(), parse("threads=2").unwrap()], NEW, "x");
        assert_eq!(twice.unwrap_err()[0].code, "parameter-twice");
    }

    #[test]
    fn a_point_replaces_earlier_arguments() {
        let wanted = [parse("t=1,2").unwrap(), parse("cache-type-k=f16,q8_0").unwrap()];
        let parameters = resolve(&wanted, NEW, "x").unwrap();
        let points = grid(&parameters);
        assert_eq!((points.len(), size(&wanted)), (4, 4));
        assert_eq!(points[1].label(&parameters), "t=1 cache-type-k=q8_0");
        let base = ["--threads", "9", "-fa", "1", "-t", "8"].map(str::to_owned);
        let args = points[1].args(&parameters, &base);
        assert_eq!(args, ["-fa", "1", "-t", "1", "-ctk", "q8_0"]);
    }
}
