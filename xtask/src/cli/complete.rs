//! `complete` (hidden): candidates for the last word of a command line. The scripts that
//! `completions` prints call it, since a script does not have the fleet's hosts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory as _};

use crate::cli::{Cli, CompleteArgs};
use crate::findings::codes;
use crate::findings::outcome::Outcome;
use crate::fleet::context::local_root;
use crate::fleet::eval_cache;
use crate::nix::cache_key::Stored;
use crate::nix::lockfile::LockFile;
use crate::system::paths;
use crate::ui::Ui;

/// A word and its description.
type Candidate = (String, String);

/// Prints each candidate, a tab and its description, without an evaluation. If there are none, the
/// shell offers files.
pub fn run(args: &CompleteArgs, ui: &Ui) -> Result<Outcome> {
    let mut root = Cli::command();
    root.build();
    let flake = args.words.iter().skip_while(|word| *word != "--flake").nth(1);
    let found = candidates(&root, &args.words, flake.map(String::as_str));
    let lines: Vec<String> = found
        .into_iter()
        .map(|(word, meaning)| if meaning.is_empty() { word } else { word + "\t" + &meaning })
        .collect();
    if !lines.is_empty() {
        ui.script(&lines.join("\n"));
    }
    Ok(Outcome::Ok)
}

fn candidates(root: &Command, words: &[String], flake: Option<&str>) -> Vec<Candidate> {
    let Some((typed, before)) = words.split_last() else { return vec![] };
    let mut command = root;
    let mut positionals = 0;
    // The option whose value comes next. bash splits words at `=`.
    let mut option: Option<&Arg> = None;
    for word in before.iter().filter(|word| *word != "=") {
        if word == "--" {
            return vec![];
        }
        if option.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            option = option_named(command, word).filter(|arg| arg.get_action().takes_values());
        } else if let Some(sub) = command.find_subcommand(word) {
            command = sub;
        } else {
            positionals += 1;
        }
    }
    // Some options only take `--name=value`.
    let after_equals = before.last().is_some_and(|word| word == "=") || typed == "=";
    option = option.filter(|arg| after_equals || !arg.is_require_equals_set());
    let (prefix, typed, found) = match (typed.split_once('='), option) {
        (_, Some(option)) => {
            let (list, typed) = split_list(option, typed.trim_start_matches('='));
            (list, typed, values(option, flake))
        }
        (Some((name, _)), None) => {
            let option = option_named(command, name);
            let (start, value) = typed.split_at(name.len() + 1);
            let (list, value) = option.map_or(("", value), |option| split_list(option, value));
            let found = option.map(|option| values(option, flake)).unwrap_or_default();
            (&typed[..start.len() + list.len()], value, found)
        }
        (None, None) if typed.starts_with('-') => ("", typed.as_str(), options(command)),
        (None, None) => {
            let arg = command
                .get_positionals()
                .nth(positionals)
                .or_else(|| command.get_positionals().last().filter(|arg| takes_many(arg)));
            let values = arg.map(|arg| values(arg, flake)).unwrap_or_default();
            ("", typed.as_str(), subcommands(command).chain(values).collect())
        }
    };
    let fitting = found.into_iter().filter(|(word, _)| word.starts_with(typed));
    fitting.map(|(word, meaning)| (format!("{prefix}{word}"), meaning)).collect()
}

fn option_named<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| match word.strip_prefix("--") {
        Some(name) => arg.get_long_and_visible_aliases().is_some_and(|all| all.contains(&name)),
        None => arg.get_short().is_some_and(|short| word == format!("-{short}")),
    })
}

/// Splits a list into its complete values, with their commas, and the last one.
fn split_list<'a>(arg: &Arg, typed: &'a str) -> (&'a str, &'a str) {
    let comma = typed.rfind(',').filter(|_| arg.get_value_delimiter() == Some(','));
    typed.split_at(comma.map_or(0, |comma| comma + 1))
}

fn takes_many(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|range| range.max_values() > 1)
}

fn subcommands(command: &Command) -> impl Iterator<Item = Candidate> {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    shown.map(|sub| (sub.get_name().to_owned(), first_line(sub.get_about())))
}

fn options(command: &Command) -> Vec<Candidate> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown
        .filter_map(|arg| Some((format!("--{}", arg.get_long()?), first_line(arg.get_help()))))
        .collect()
}

fn first_line(help: Option<&StyledStr>) -> String {
    let help = help.map(ToString::to_string).unwrap_or_default();
    help.lines().next().unwrap_or_default().to_owned()
}

/// Returns an argument's possible values: a closed set's, or the hosts, variants and codes that can
/// be listed without an evaluation.
fn values(arg: &Arg, flake: Option<&str>) -> Vec<Candidate> {
    let name = arg.get_value_names().and_then(|names| names.first());
    match name.map(|name| name.as_str()) {
        Some("HOST" | "HOST,…") => hosts(flake),
        Some("VARIANT") => variants(flake),
        Some("SUBJECT,…") => {
            let builds = ["upstream", "nixpkgs", "dispatch"].map(bare);
            builds.into_iter().chain(hosts(flake)).chain(variants(flake)).collect()
        }
        Some("INPUT") => inputs(flake),
        Some("BY") => ["eval", "build", "bench"].map(bare).into(),
        Some("FILE") if arg.get_id() == "model" => vec![bare("smollm2")],
        Some("CODE") => {
            let all = codes::all().iter();
            all.map(|code| (code.code.to_owned(), code.meaning.to_owned())).collect()
        }
        _ => {
            let all = arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set());
            all.map(|value| (value.get_name().to_owned(), first_line(value.get_help()))).collect()
        }
    }
}

fn bare(word: &str) -> Candidate {
    (word.to_owned(), String::new())
}

/// Returns the hosts of the last evaluation, with their variants, else the folders of hosts/.
fn hosts(flake: Option<&str>) -> Vec<Candidate> {
    let Some(root) = folder(flake) else { return vec![] };
    if let Some(stored) = last_evaluation(&root) {
        let meaning = |host: &String| variant_of(&stored, host).unwrap_or_default().to_owned();
        return stored.hosts.iter().map(|host| (host.clone(), meaning(host))).collect();
    }
    let entries = fs::read_dir(root.join("hosts")).into_iter().flatten().flatten();
    let hosts = entries.filter(|entry| entry.path().join("default.nix").is_file());
    let names = hosts.filter_map(|entry| entry.file_name().into_string().ok());
    names.map(|name| bare(&name)).collect()
}

/// Returns each variant with the hosts that select it.
fn variants(flake: Option<&str>) -> Vec<Candidate> {
    let mut hosts_of: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let stored = folder(flake).and_then(|root| last_evaluation(&root));
    for (host, variant) in stored.iter().flat_map(|stored| {
        stored.hosts.iter().filter_map(|host| Some((host, variant_of(stored, host)?)))
    }) {
        hosts_of.entry(variant.to_owned()).or_default().push(host);
    }
    hosts_of.into_iter().map(|(variant, hosts)| (variant, hosts.join(", "))).collect()
}

/// Returns the fleet's locked inputs with their repositories.
fn inputs(flake: Option<&str>) -> Vec<Candidate> {
    let file = folder(flake).and_then(|root| fs::read_to_string(root.join("flake.lock")).ok());
    let Some(lock) = file.and_then(|text| LockFile::parse(&text).ok()) else { return vec![] };
    let own = lock.inputs().into_iter().filter(|input| !input.path.contains('/'));
    let repository = |key| lock.node(key).original()["repo"].as_str().unwrap_or_default();
    own.map(|input| (input.path.clone(), repository(input.key).to_owned())).collect()
}

fn variant_of<'a>(stored: &'a Stored, host: &str) -> Option<&'a str> {
    stored.results.get(host)?.pointer("/manifest/variant")?.as_str()
}

fn last_evaluation(root: &Path) -> Option<Stored> {
    eval_cache::newest(&paths::home().ok()?, root)
}

fn folder(flake: Option<&str>) -> Option<PathBuf> {
    flake.map_or_else(|| paths::repository_root().ok(), local_root)
}
