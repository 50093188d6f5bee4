//! Lock files: changing an input, finding inputs, and cycles.

use serde_json::json;

use crate::nix::lockfile::*;

fn lock() -> LockFile {
    LockFile(json!({
        "nodes": {
            "root": { "inputs": { "llama-cpp": "llama-cpp", "bar": "bar", "same": ["bar", "x"] } },
            "llama-cpp": { "inputs": { "parts": "parts", "nixpkgs": ["nixpkgs"] },
                "locked": { "rev": "1" }, "original": { "repo": "llama.cpp" } },
            "parts": { "locked": { "rev": "p" } },
            "bar": { "inputs": { "x": "x_2" }, "locked": { "rev": "b" } },
            "x_2": { "locked": { "rev": "x" } },
        },
        "root": "root", "version": 7,
    }))
}

#[test]
fn only_the_input_itself_changes_and_no_node_is_renamed() {
    let before = lock();
    let input = before.find("llama-cpp").unwrap();
    assert_eq!(input.follower(), None);
    let mut made = before.clone();
    made.0["nodes"]["llama-cpp"]["locked"]["rev"] = "2".into();
    // `--override-input` changes this too.
    made.0["nodes"]["llama-cpp"]["original"]["ref"] = "2".into();
    made.0["nodes"]["x"] = made.0["nodes"]["x_2"].take();
    made.0["nodes"]["bar"]["inputs"]["x"] = "x".into();
    let grafted = before.with_updated_input(&made, &input).unwrap();
    let mut expected = before;
    expected.0["nodes"]["llama-cpp"]["locked"]["rev"] = "2".into();
    assert_eq!(grafted, expected);
}

#[test]
fn another_input_that_changed_is_named() {
    let before = lock();
    let input = before.find("llama-cpp").unwrap();
    let mut made = before.clone();
    made.0["nodes"]["x_2"]["locked"]["rev"] = "y".into();
    assert_eq!(before.with_updated_input(&made, &input).unwrap_err(), ["bar/x"]);
}

#[test]
fn the_inputs_of_the_input_may_change() {
    let before = lock();
    let input = before.find("llama-cpp").unwrap();
    let mut made = before.clone();
    made.0["nodes"]["new"] = json!({ "locked": { "rev": "n" } });
    made.0["nodes"]["llama-cpp"]["inputs"]["new"] = "new".into();
    let grafted = before.with_updated_input(&made, &input).unwrap();
    assert_eq!(grafted, made);
    assert_eq!(before.changed_inputs_of(&grafted, "llama-cpp"), ["llama-cpp/new"]);
}

#[test]
fn an_unknown_input_is_an_error_with_a_suggestion() {
    let lock = lock();
    let error = lock.find("lama-cpp").unwrap_err();
    assert_eq!((error.code, error.help.contains("llama-cpp")), ("no-such-input", true));
    let error = lock.find("same").unwrap_err();
    assert_eq!((error.code, error.help.contains("--input bar/x")), ("input-follows", true));
    assert_eq!(lock.find("bar/x").unwrap().key, "x_2");
    assert_eq!(lock.llama_cpp_path().as_deref(), Some("llama-cpp"));
    let mut nested = lock.clone();
    nested.0["nodes"]["root"]["inputs"] = json!({ "bar": "bar", "y": ["bar", "llama-cpp"] });
    nested.0["nodes"]["bar"]["inputs"]["upstream"] = json!("llama-cpp");
    assert_eq!(lock.named_in("unable to download 'https://x.org/b.tar.gz'"), Some("bar"));
    assert_eq!(lock.named_in("no route"), None);
    assert_eq!(nested.llama_cpp_path().as_deref(), Some("bar/upstream"));
    assert_eq!(lock.find("bar/y").unwrap_err().code, "no-such-input");
}

#[test]
fn cycles_are_found_and_many_paths_are_compared_quickly() {
    assert_eq!(lock().cycle(), None);
    let mut cyclic = lock();
    cyclic.0["nodes"]["x_2"]["inputs"] = json!({ "back": "bar", "twice": "bar", "own": "x_2" });
    assert!(["bar", "x_2"].contains(&cyclic.cycle().unwrap()));
    let mut moved = cyclic.clone();
    moved.0["nodes"]["bar"]["locked"]["rev"] = "c".into();
    let input = cyclic.find("llama-cpp").unwrap();
    assert_eq!(
        cyclic.with_updated_input(&moved, &input).unwrap_err(),
        ["bar", "bar/x/back", "bar/x/twice"]
    );

    // Two inputs lead to each next node: 2^64 paths.
    let mut nodes = json!({ "root": { "inputs": { "a": "0", "b": "0" } }, "64": {} });
    for at in 0..64 {
        let next = (at + 1).to_string();
        nodes[at.to_string()] = json!({ "inputs": { "a": next, "b": next } });
    }
    let wide = LockFile(json!({ "nodes": nodes, "root": "root" }));
    assert_eq!(wide.cycle(), None);
    assert!(wide.changed_inputs_of(&wide, "a").is_empty());
}

#[test]
fn a_lock_is_printed_as_nix_prints_it() {
    let ours = include_str!("../../../flake.lock");
    assert_eq!(LockFile::parse(ours).unwrap().print(), ours);
}
