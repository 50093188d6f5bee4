//! A lock file in which one input is moved to another revision, and no other.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::findings::finding::Finding;
use crate::ui::nearest::nearest;

/// An input of the fleet, found in its lock file.
#[derive(Debug, Clone)]
pub struct Input {
    /// As typed: `llama-cpp`, or `llamafleet/llama-cpp` for an input's input.
    pub name: String,
    /// Its node.
    pub node: Value,
    key: String,
}

impl Input {
    /// Of an input's input: one that it has, and that follows another.
    pub fn follower(&self) -> Option<String> {
        let inputs = self.node["inputs"].as_object().filter(|_| self.name.contains('/'))?;
        let (name, _) = inputs.iter().find(|(_, target)| target.is_array())?;
        Some(format!("{}/{name}", self.name))
    }
}

/// # Errors
/// There is no such input, or it follows another.
pub fn find(lock: &Value, name: &str) -> Result<Input, Finding> {
    let mut key = lock["root"].as_str().unwrap_or("root").to_owned();
    for part in name.split('/') {
        let inputs = &lock["nodes"][&key]["inputs"];
        key = match &inputs[part] {
            Value::String(next) => next.clone(),
            Value::Array(path) => {
                let path: Vec<&str> = path.iter().filter_map(Value::as_str).collect();
                let path = path.join("/");
                return Err(Finding::error(
                    "input-follows",
                    format!("the input {name} follows {path}"),
                    format!("update that one: `--input {path}`"),
                ));
            }
            _ => return Err(absent(name, part, inputs)),
        };
    }
    let node = lock["nodes"][&key].clone();
    Ok(Input { name: name.to_owned(), node, key })
}

fn absent(name: &str, part: &str, inputs: &Value) -> Finding {
    let known: Vec<&str> =
        inputs.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let help = match nearest(part, known.iter().copied()) {
        Some(near) => format!("did you mean `--input {near}`?"),
        None if known.is_empty() => "add it to flake.nix, then `nix flake lock`".to_owned(),
        None => format!("name one with --input; there are {}", known.join(", ")),
    };
    Finding::error("no-such-input", format!("flake.lock locks no input {name}"), help)
}

/// The lock before, with what Nix locked (`made`) for this input. Nix may name nodes
/// anew; nothing of that is taken over where it need not be.
///
/// # Errors
/// The names of other inputs that Nix moved too.
pub fn graft(before: &Value, made: &Value, input: &Input) -> Result<Value, Vec<String>> {
    let (was, is) = (unfold(before), unfold(made));
    let own = format!("{}/", input.name);
    let others = was.keys().chain(is.keys()).filter(|path| **path != input.name);
    let mut moved: Vec<String> =
        others.filter(|path| was.get(*path) != is.get(*path)).cloned().collect();
    moved.sort();
    moved.dedup();
    let (inner, foreign): (Vec<String>, Vec<String>) =
        moved.into_iter().partition(|path| path.starts_with(&own));
    if !foreign.is_empty() {
        return Err(foreign);
    }
    let mut lock = if inner.is_empty() { before.clone() } else { made.clone() };
    if let Ok(new) = find(made, &input.name) {
        let key = if inner.is_empty() { &input.key } else { &new.key };
        lock["nodes"][key]["locked"] = new.node["locked"].clone();
        lock["nodes"][key]["original"] = input.node["original"].clone();
    }
    Ok(lock)
}

/// The inputs of this input that another lock has otherwise: new, gone or moved.
pub fn inputs_that_differ(before: &Value, after: &Value, input: &str) -> Vec<String> {
    let (was, is) = (unfold(before), unfold(after));
    let own = format!("{input}/");
    let mut paths: Vec<String> = was
        .keys()
        .chain(is.keys())
        .filter(|path| path.starts_with(&own) && was.get(*path) != is.get(*path))
        .cloned()
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

/// The lock with this input as another lock has it, its own inputs left as they are.
pub fn replaced(lock: &Value, input: &Input, by: &Input) -> Value {
    let mut lock = lock.clone();
    lock["nodes"][&input.key]["locked"] = by.node["locked"].clone();
    lock
}

/// Every input by its path of names, whatever its node is called.
fn unfold(lock: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let root = lock["root"].as_str().unwrap_or("root");
    let mut queue = vec![(root.to_owned(), String::new(), 0)];
    while let Some((key, prefix, depth)) = queue.pop() {
        for (name, target) in lock["nodes"][&key]["inputs"].as_object().into_iter().flatten() {
            let path = format!("{prefix}{name}");
            let Some(target) = target.as_str() else {
                found.insert(path, target.clone());
                continue;
            };
            let node = &lock["nodes"][target];
            let told = ["locked", "original", "flake"].map(|part| node[part].clone());
            found.insert(path.clone(), Value::from(told.to_vec()));
            // A lock that leads back into itself is not one that Nix wrote.
            if depth < 16 {
                queue.push((target.to_owned(), format!("{path}/"), depth + 1));
            }
        }
    }
    found
}

/// As Nix prints a lock file.
pub fn print(lock: &Value) -> String {
    format!("{lock:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lock() -> Value {
        json!({
            "nodes": {
                "root": { "inputs": { "llama-cpp": "llama-cpp", "bar": "bar", "same": ["bar", "x"] } },
                "llama-cpp": { "inputs": { "parts": "parts", "nixpkgs": ["nixpkgs"] },
                    "locked": { "rev": "1" }, "original": { "repo": "llama.cpp" } },
                "parts": { "locked": { "rev": "p" } },
                "bar": { "inputs": { "x": "x_2" }, "locked": { "rev": "b" } },
                "x_2": { "locked": { "rev": "x" } },
            },
            "root": "root", "version": 7,
        })
    }

    #[test]
    fn only_the_input_itself_moves_and_no_node_is_renamed() {
        let before = lock();
        let input = find(&before, "llama-cpp").unwrap();
        assert_eq!(input.follower(), None);
        let mut made = before.clone();
        made["nodes"]["llama-cpp"]["locked"]["rev"] = "2".into();
        // `--override-input` could leave its own words here.
        made["nodes"]["llama-cpp"]["original"]["ref"] = "2".into();
        made["nodes"]["x"] = made["nodes"]["x_2"].take();
        made["nodes"]["bar"]["inputs"]["x"] = "x".into();
        let grafted = graft(&before, &made, &input).unwrap();
        let mut expected = before;
        expected["nodes"]["llama-cpp"]["locked"]["rev"] = "2".into();
        assert_eq!(grafted, expected);
    }

    #[test]
    fn another_input_that_moved_is_named() {
        let before = lock();
        let input = find(&before, "llama-cpp").unwrap();
        let mut made = before.clone();
        made["nodes"]["x_2"]["locked"]["rev"] = "y".into();
        assert_eq!(graft(&before, &made, &input).unwrap_err(), ["bar/x"]);
    }

    #[test]
    fn an_input_of_its_own_may_come_and_go() {
        let before = lock();
        let input = find(&before, "llama-cpp").unwrap();
        let mut made = before.clone();
        made["nodes"]["new"] = json!({ "locked": { "rev": "n" } });
        made["nodes"]["llama-cpp"]["inputs"]["new"] = "new".into();
        let grafted = graft(&before, &made, &input).unwrap();
        assert_eq!(grafted, made);
        assert_eq!(inputs_that_differ(&before, &grafted, "llama-cpp"), ["llama-cpp/new"]);
    }

    #[test]
    fn what_is_no_input_is_told_with_what_is_near() {
        let lock = lock();
        let error = find(&lock, "lama-cpp").unwrap_err();
        assert_eq!((error.code, error.help.contains("llama-cpp")), ("no-such-input", true));
        let error = find(&lock, "same").unwrap_err();
        assert_eq!((error.code, error.help.contains("--input bar/x")), ("input-follows", true));
        assert_eq!(find(&lock, "bar/x").unwrap().key, "x_2");
        assert_eq!(find(&lock, "bar/y").unwrap_err().code, "no-such-input");
    }

    #[test]
    fn a_lock_is_printed_as_nix_prints_it() {
        let ours = include_str!("../../../flake.lock");
        let lock: Value = serde_json::from_str(ours).unwrap();
        assert_eq!(print(&lock), ours);
    }
}
