//! Generates docs/json.md from the types that `--json` prints: their fields, serde's names of them,
//! and their doc comments. `UPDATE_EXPECT=1` rewrites it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use syn::{
    Attribute, Expr, Field, Fields, GenericArgument, Item, Lit, Meta, PathArguments, Type, UseTree,
};
use walkdir::WalkDir;

use crate::support::repository;

/// Each command, the file of its document's type below `xtask/src`, and the type's name.
const DOCUMENTS: [(&str, &str, &str); 22] = [
    ("", "findings/outcome.rs", "Ended"),
    ("check", "check/report.rs", "CheckReport"),
    ("build-all", "build/report.rs", "BuildReport"),
    ("build-all --dry-run", "build/report.rs", "PlanReport"),
    ("bench", "bench/document.rs", "BenchReport"),
    ("bench --all", "bench/all.rs", "AllReport"),
    ("bench --compare", "bench/compare.rs", "ComparisonReport"),
    ("update", "pin/update/report.rs", "UpdateReport"),
    ("rollback", "pin/rollback.rs", "RollbackReport"),
    ("bisect", "pin/bisect/report.rs", "BisectReport"),
    ("report", "bench/report/history.rs", "Report"),
    ("probe", "hardware/probe_output.rs", "ProbeReport"),
    ("new-host", "new_host/command.rs", "NewHostReport"),
    ("list", "list.rs", "ListReport"),
    ("log", "build/latest_logs.rs", "LogReport"),
    ("matrix", "build/matrix.rs", "Matrix"),
    ("explain", "findings/explain.rs", "Document"),
    ("doctor", "doctor/command.rs", "DoctorReport"),
    ("setup", "dev/setup.rs", "SetupReport"),
    ("demo", "dev/demo.rs", "DemoReport"),
    ("test", "dev/test.rs", "TestReport"),
    ("completions", "cli/completions.rs", "Completions"),
];

const HEAD: &str = "\
# The documents of `--json`

Made from the types in `xtask/src` by `xtask/tests/it/json_docs.rs`. Every document has `schema`
(1), `command` and `ok`, but for `matrix`, which has GitHub's format. Fields may be added; the names
and meanings of these stay. A command that is refused before it begins has `findings` and few other
fields: [exit-status.md](exit-status.md) lists the fields of each outcome.
";

/// A type: its file and its name.
type Place = (PathBuf, String);

struct Sources {
    root: PathBuf,
    files: BTreeMap<PathBuf, syn::File>,
}

impl Sources {
    fn read() -> Self {
        let root = repository().join("xtask/src");
        let sources = WalkDir::new(&root).into_iter().map(Result::unwrap);
        let sources = sources.filter(|entry| entry.path().extension().is_some_and(|it| it == "rs"));
        let files = sources.map(|entry| {
            let text = fs::read_to_string(entry.path()).unwrap();
            let path = entry.path().strip_prefix(&root).unwrap().to_owned();
            (path, syn::parse_file(&text).unwrap())
        });
        Self { files: files.collect(), root }
    }

    /// Returns the struct or enum of this name if it derives `Serialize`.
    fn item(&self, (file, name): &Place) -> Option<&Item> {
        self.files.get(file)?.items.iter().find(|item| match item {
            Item::Struct(item) => item.ident == name && derives_serialize(&item.attrs),
            Item::Enum(item) => item.ident == name && derives_serialize(&item.attrs),
            _ => false,
        })
    }

    /// Finds a type by the name that `file` uses, in that file or where it imports it from.
    fn find(&self, file: &Path, name: &str) -> Option<Place> {
        let here = (file.to_owned(), name.to_owned());
        if self.item(&here).is_some() {
            return Some(here);
        }
        let mut found = None;
        for item in &self.files[file].items {
            if let Item::Use(item) = item {
                imported(&item.tree, &mut vec![], &mut |path, original| {
                    if path.last().is_some_and(|alias| alias == name) {
                        found = Some((path[..path.len() - 1].to_vec(), original.to_owned()));
                    }
                });
            }
        }
        let (module, original) = found?;
        let folder: PathBuf = module.iter().skip(1).collect();
        let places = [folder.with_extension("rs"), folder.join("mod.rs")];
        let place = places.into_iter().find(|place| self.root.join(place).is_file())?;
        let place = (place, original);
        self.item(&place).map(|_| place.clone())
    }
}

/// Calls `each` for every imported name with its path, whose last part is the alias if there is
/// one, and its original name.
fn imported(tree: &UseTree, path: &mut Vec<String>, each: &mut dyn FnMut(&[String], &str)) {
    match tree {
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            imported(&inner.tree, path, each);
            path.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| imported(tree, path, each)),
        UseTree::Name(name) => {
            path.push(name.ident.to_string());
            each(path, &name.ident.to_string());
            path.pop();
        }
        UseTree::Rename(rename) => {
            path.push(rename.rename.to_string());
            each(path, &rename.ident.to_string());
            path.pop();
        }
        _ => {}
    }
}

fn derives_serialize(attributes: &[Attribute]) -> bool {
    let mut derives = attributes.iter().filter(|it| it.path().is_ident("derive"));
    derives.any(|derive| {
        let mut serialize = false;
        let _ = derive.parse_nested_meta(|meta| {
            serialize |= meta.path.is_ident("Serialize");
            Ok(())
        });
        serialize
    })
}

/// Parses the `#[serde(…)]` options of an item, with their values.
fn serde(attributes: &[Attribute]) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    for attribute in attributes.iter().filter(|it| it.path().is_ident("serde")) {
        let _ = attribute.parse_nested_meta(|meta| {
            let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            let value = match meta.value() {
                Ok(value) => match value.parse()? {
                    Expr::Lit(literal) => match literal.lit {
                        Lit::Str(text) => text.value(),
                        _ => String::new(),
                    },
                    _ => String::new(),
                },
                Err(_) => String::new(),
            };
            options.insert(name, value);
            Ok(())
        });
    }
    options
}

fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    let text = lines.collect::<Vec<_>>().join(" ");
    // Remove links to code.
    text.replace("[`", "`").replace("`]", "`").replace('|', "\\|").trim().to_owned()
}

/// Renames a field or a variant as serde's `rename_all` does.
fn spelled(name: &str, rule: Option<&String>) -> String {
    let mut words: Vec<String> = vec![];
    for c in name.chars() {
        match c {
            '_' => words.push(String::new()),
            c if c.is_uppercase() && !name.contains('_') => {
                words.push(c.to_lowercase().to_string())
            }
            c => match words.last_mut() {
                Some(word) => word.push(c),
                None => words.push(c.to_string()),
            },
        }
    }
    match rule.map(String::as_str) {
        Some("camelCase") => {
            let rest = words[1..].iter().map(|word| word[..1].to_uppercase() + &word[1..]);
            words[0].clone() + &rest.collect::<String>()
        }
        Some("kebab-case") => words.join("-"),
        Some("lowercase") => words.concat(),
        _ => name.to_owned(),
    }
}

/// Returns the last part of a type's path and its type arguments.
fn parts(path: &syn::TypePath) -> (String, Vec<&Type>) {
    let last = path.path.segments.last().unwrap();
    let inner = match &last.arguments {
        PathArguments::AngleBracketed(arguments) => {
            arguments.args.iter().filter_map(|it| match it {
                GenericArgument::Type(inner) => Some(inner),
                _ => None,
            })
        }
        _ => return (last.ident.to_string(), vec![]),
    };
    (last.ident.to_string(), inner.collect())
}

struct Writer<'a> {
    sources: &'a Sources,
    /// Types that the text mentions, in that order; each is described under "Types".
    waiting: Vec<Place>,
    named: BTreeSet<Place>,
}

impl Writer<'_> {
    fn type_in_words(&mut self, file: &Path, shown: &Type) -> String {
        match shown {
            Type::Reference(reference) => self.type_in_words(file, &reference.elem),
            Type::Slice(slice) => format!("array of {}", self.type_in_words(file, &slice.elem)),
            Type::Array(array) => format!("array of {}", self.type_in_words(file, &array.elem)),
            Type::Path(path) => {
                let (name, inner) = parts(path);
                match (name.as_str(), &inner[..]) {
                    ("Option", [inner]) => format!("{} or null", self.type_in_words(file, inner)),
                    ("Vec" | "BTreeSet", [inner]) => {
                        format!("array of {}", self.type_in_words(file, inner))
                    }
                    ("BTreeMap", [_, inner]) => {
                        format!("object of {}", self.type_in_words(file, inner))
                    }
                    ("Box", [inner]) => self.type_in_words(file, inner),
                    ("bool", _) => "boolean".to_owned(),
                    ("String" | "str" | "PathBuf" | "Path" | "char", _) => "string".to_owned(),
                    ("Value", _) => "any".to_owned(),
                    (number, _) if number.starts_with(['u', 'i', 'f']) => "number".to_owned(),
                    (name, _) => self.named(file, name),
                }
            }
            _ => "any".to_owned(),
        }
    }

    /// Describes a type of this crate: a newtype, an enum's variants, or a link to a struct.
    fn named(&mut self, file: &Path, name: &str) -> String {
        let Some(place) = self.sources.find(file, name) else { return "string".to_owned() };
        match self.sources.item(&place) {
            Some(Item::Struct(item)) => match &item.fields {
                Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                    self.type_in_words(&place.0.clone(), &fields.unnamed[0].ty)
                }
                _ => {
                    if self.named.insert(place.clone()) {
                        self.waiting.push(place.clone());
                    }
                    format!("[{}](#{})", place.1, anchor(&place))
                }
            },
            Some(Item::Enum(item)) => {
                let rule = serde(&item.attrs).remove("rename_all");
                let variants = item.variants.iter().map(|variant| {
                    let renamed = serde(&variant.attrs).remove("rename");
                    renamed.unwrap_or_else(|| spelled(&variant.ident.to_string(), rule.as_ref()))
                });
                let variants: Vec<String> = variants.map(|name| format!("`{name}`")).collect();
                variants.join(", ")
            }
            _ => "string".to_owned(),
        }
    }

    /// Appends a row for each field of a type, and for each field of its flattened types.
    fn rows(&mut self, place: &Place, rows: &mut String) {
        let sources = self.sources;
        let Some(Item::Struct(item)) = sources.item(place) else { panic!("no struct {place:?}") };
        let rule = serde(&item.attrs).remove("rename_all");
        for field in &item.fields {
            self.row(&place.0, field, rule.as_ref(), rows);
        }
    }

    fn row(&mut self, file: &Path, field: &Field, rule: Option<&String>, rows: &mut String) {
        let options = serde(&field.attrs);
        if options.contains_key("skip") || options.contains_key("skip_serializing") {
            return;
        }
        if options.contains_key("flatten") {
            let inner = match &field.ty {
                Type::Reference(reference) => &*reference.elem,
                other => other,
            };
            let Type::Path(path) = inner else { panic!("flattened: {file:?}") };
            let place = self.sources.find(file, &parts(path).0).unwrap();
            return self.rows(&place, rows);
        }
        let name = field.ident.as_ref().unwrap().to_string();
        let name = options.get("rename").cloned().unwrap_or_else(|| spelled(&name, rule));
        if ["schema", "command", "ok"].contains(&name.as_str()) && !options.contains_key("rename") {
            // Every document has these.
            return;
        }
        let mut kind = self.type_in_words(file, &field.ty);
        if options.contains_key("skip_serializing_if") {
            kind = format!("{}, may be absent", kind.trim_end_matches(" or null"));
        }
        let text = documentation(&field.attrs);
        let _ = writeln!(rows, "| `{name}` | {kind} | {text} |");
    }

    fn table(&mut self, place: &Place, text: &mut String) {
        let mut rows = String::new();
        self.rows(place, &mut rows);
        let _ = write!(text, "\n| field | type | meaning |\n|---|---|---|\n{rows}");
    }
}

/// Returns a heading with the file, because two files may have types of the same name.
fn title((file, name): &Place) -> String {
    let file = file.with_extension("");
    format!("{name} ({})", file.display())
}

fn anchor(place: &Place) -> String {
    let title = title(place).to_lowercase().replace(' ', "-");
    title.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

#[test]
fn docs_json_md_matches_the_types() {
    let sources = Sources::read();
    let mut writer = Writer { sources: &sources, waiting: vec![], named: BTreeSet::new() };
    let mut text = HEAD.to_owned();
    for (command, file, name) in DOCUMENTS {
        let _ = match command {
            "" => write!(text, "\n## A command without a report\n"),
            command => write!(text, "\n## `{command}`\n"),
        };
        writer.table(&(file.into(), name.to_owned()), &mut text);
    }
    text += "\n## Types\n";
    let mut described = 0;
    while let Some(place) = writer.waiting.get(described).cloned() {
        described += 1;
        let _ = write!(text, "\n### {}\n", title(&place));
        if let Some(Item::Struct(item)) = sources.item(&place) {
            let about = documentation(&item.attrs);
            if !about.is_empty() {
                let _ = write!(text, "\n{about}\n");
            }
        }
        writer.table(&place, &mut text);
    }
    expect_file![repository().join("docs/json.md")].assert_eq(&text);
}
