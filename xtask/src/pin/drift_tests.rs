//! Tests of the drift check with small surfaces; tests/it/update.rs has the real trees.

use crate::findings::finding::Severity;
use crate::pin::drift::*;

/// A revision that has everything that is needed.
fn complete() -> Surface {
    let needs = &*NEEDS;
    let mut arguments: BTreeMap<String, bool> = BTreeMap::from([("cmake".into(), false)]);
    let named = needs.backends.values().chain(needs.arguments.keys()).chain(&needs.switched_off);
    arguments.extend(named.map(|name| (name.clone(), true)));
    let options = needs.cmake_options.keys().map(String::as_str);
    let cmake: String = options
        .chain(Table::embedded().options())
        .map(|o| format!("option({o} \"x\" OFF)\n"))
        .collect();
    let all = needs.llama_bench.options.iter().chain(&needs.llama_bench.fields);
    let bench: String = all.map(|name| format!("\"{name}\"\n")).collect();
    let text = |file: &str, text: String| (file.to_owned(), text);
    Surface {
        package: Some(arguments),
        scope: Some(BTreeMap::from([("llamaVersion".into(), true)])),
        backends: BTreeSet::from(["cpu".into(), "cuda".into()]),
        texts: BTreeMap::from([
            text("CMakeLists.txt", String::new()),
            text("ggml/CMakeLists.txt", cmake),
            text(BENCH, bench),
            text(&needs.patched.file, needs.patched.lines[1].clone()),
        ]),
    }
}

fn used() -> Used {
    let boron = vec![HostName::new("boron")];
    Used {
        backends: BTreeMap::from([("vulkan".into(), boron.clone())]),
        cpu_options: BTreeMap::from([("GGML_AVX512_VNNI".into(), boron)]),
    }
}

fn judged(before: Option<&Surface>, after: &Surface) -> Vec<(&'static str, Severity, String)> {
    let found = findings(&used(), before, after);
    found.into_iter().map(|f| (f.code, f.severity, format!("{} | {}", f.message, f.help))).collect()
}

fn changed(change: impl FnOnce(&mut Surface)) -> Vec<(&'static str, Severity, String)> {
    let (before, mut after) = (complete(), complete());
    change(&mut after);
    judged(Some(&before), &after)
}

fn replace(surface: &mut Surface, file: &str, from: &str, to: &str) {
    let text = surface.texts.get_mut(file).unwrap();
    assert!(text.contains(from));
    *text = text.replace(from, to);
}

#[test]
fn an_unchanged_revision_has_no_finding() {
    assert_eq!(judged(Some(&complete()), &complete()), []);
    assert_eq!(judged(None, &complete()), []);
}

#[test]
fn a_lost_backend_argument_is_an_error_if_a_host_selects_it() {
    let found = changed(|after| {
        let arguments = after.package.as_mut().unwrap();
        arguments.remove("useVulkan");
        arguments.insert("withVulkan".into(), true);
    });
    assert_eq!((found[0].0, found[0].1), ("argument-gone", Severity::Error));
    assert!(found[0].2.contains("boron would be built without vulkan"), "{found:?}");
    assert!(found[0].2.contains("withVulkan now"), "{found:?}");
    let found = changed(|after| {
        after.package.as_mut().unwrap().remove("useCuda");
    });
    assert_eq!((found[0].0, found[0].1), ("argument-gone", Severity::Warning));
}

#[test]
fn new_and_lost_arguments_are_reported() {
    let found = changed(|after| {
        let arguments = after.package.as_mut().unwrap();
        arguments.remove("cmake");
        arguments.insert("nodejs".into(), false);
        arguments.insert("useRpc".into(), true);
        arguments.remove("useMpi");
    });
    let codes: Vec<_> = found.iter().map(|(code, severity, _)| (*code, *severity)).collect();
    let note = |code| (code, Severity::Note);
    let expected = ["argument-gone", "argument-gone", "new-required-argument", "new-argument"];
    assert_eq!(codes, expected.map(note));
    assert!(found[1].2.contains("no longer takes cmake |"), "{found:?}");
    assert!(found[2].2.contains("now requires nodejs"), "{found:?}");
    assert!(found[3].2.contains("now accepts useRpc"), "{found:?}");
}

#[test]
fn an_undeclared_cmake_option_is_reported_with_its_new_name() {
    let file = "ggml/CMakeLists.txt";
    let found = changed(|after| replace(after, file, "GGML_AVX512_VNNI", "GGML_AVX512VNNI"));
    assert_eq!((found[0].0, found[0].1), ("cpu-option-gone", Severity::Error));
    assert!(found[0].2.contains("boron"), "{found:?}");
    assert!(found[0].2.contains("called GGML_AVX512VNNI now"), "{found:?}");
    assert_eq!(found[1].0, "new-cpu-option");
    let found = changed(|after| replace(after, file, "GGML_AVX512_BF16", "OTHER"));
    assert_eq!((found[0].0, found[0].1), ("cpu-option-gone", Severity::Note));
    let found = changed(|after| replace(after, file, "option(GGML_BACKEND_DL ", "# (GGML_X "));
    assert_eq!((found[0].0, found[0].1), ("cmake-option-gone", Severity::Error));
}

#[test]
fn a_new_backend_a_changed_bench_and_an_unused_patch_are_reported() {
    let found = changed(|after| {
        after.backends.insert("zdnn".into());
    });
    assert_eq!((found[0].0, found[0].1), ("new-backend", Severity::Note));
    let found = changed(|after| replace(after, BENCH, "\"avg_ts\"", "\"speed\""));
    assert!(found[0].0 == "llama-bench" && found[0].2.contains("avg_ts"), "{found:?}");
    let file = NEEDS.patched.file.clone();
    let found = changed(|after| {
        after.texts.insert(file, "paths.emplace_back(fs::current_path());".into());
    });
    assert_eq!((found[0].0, found[0].1), ("unused-patch", Severity::Warning));
}

#[test]
fn missing_packaging_is_an_error() {
    let found = changed(|after| after.package = None);
    assert_eq!((found[0].0, found[0].1), ("file-gone", Severity::Error));
    let found = changed(|after| {
        after.scope.as_mut().unwrap().remove("llamaVersion");
    });
    assert_eq!((found[0].0, found[0].1), ("argument-gone", Severity::Error));
}

#[test]
fn only_declarations_are_options() {
    let text =
        "option(GGML_A \"a\" ON)\n  set (GGML_B 1)\nif (GGML_C)\n# option(GGML_D)\nset(lower 1)\n";
    assert_eq!(declared(text).collect::<Vec<_>>(), ["GGML_A", "GGML_B"]);
}
