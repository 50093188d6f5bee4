//! flake.lock: its nodes, the inputs that lead to them, and a lock file in which one input
//! is at another revision and no other. Fields that are not named here are kept.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::findings::finding::Finding;
use crate::ui::nearest::nearest;

/// A lock file of version 5 to 7.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LockFile(Value);

/// One node: what an input is locked to, what flake.nix asks for, and its own inputs.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a>(&'a Value);

impl<'a> Node<'a> {
    pub fn locked(self) -> &'a Value {
        &self.0["locked"]
    }

    pub fn original(self) -> &'a Value {
        &self.0["original"]
    }

    pub fn rev(self) -> Option<&'a str> {
        self.locked()["rev"].as_str()
    }

    /// Its inputs by name: a node's key, or an array, the path of names it follows.
    pub fn inputs(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let inputs = self.0["inputs"].as_object().into_iter().flatten();
        inputs.map(|(name, target)| (name.as_str(), target))
    }

    pub fn input(self, name: &str) -> &'a Value {
        &self.0["inputs"][name]
    }
}

impl LockFile {
    pub fn new(lock: Value) -> Self {
        Self(lock)
    }

    /// # Errors
    /// The text is not JSON.
    pub fn parse(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text).map(Self)
    }

    /// As Nix prints a lock file.
    pub fn print(&self) -> String {
        format!("{:#}\n", self.0)
    }

    pub fn root(&self) -> &str {
        self.0["root"].as_str().unwrap_or("root")
    }

    pub fn node(&self, key: &str) -> Node<'_> {
        Node(&self.0["nodes"][key])
    }

    /// Every node by its key; `None` where there are none.
    pub fn nodes(&self) -> Option<impl Iterator<Item = (&str, Node<'_>)>> {
        let nodes = self.0["nodes"].as_object()?;
        Some(nodes.iter().map(|(key, node)| (key.as_str(), Node(node))))
    }

    /// The nodes, to be changed; `None` where there are none.
    pub fn nodes_mut(&mut self) -> Option<&mut Map<String, Value>> {
        self.0.get_mut("nodes")?.as_object_mut()
    }

    /// The key of the node that an input leads to, also by following others.
    pub fn resolve<'a>(&'a self, target: &'a Value) -> Option<&'a str> {
        self.resolve_within(target, 32)
    }

    fn resolve_within<'a>(&'a self, target: &'a Value, depth: u32) -> Option<&'a str> {
        // A path may lead through one that leads back.
        let depth = depth.checked_sub(1)?;
        if let Value::String(key) = target {
            return Some(key);
        }
        target.as_array()?.iter().try_fold(self.root(), |node, input| {
            self.resolve_within(self.node(node).input(input.as_str()?), depth)
        })
    }

    /// The key of every node that is llama.cpp; the fleet's own first.
    pub fn llama_cpps(&self) -> Vec<&str> {
        let mut found = vec![];
        let mut seen = BTreeSet::from([self.root()]);
        let mut queue = VecDeque::from([self.root()]);
        while let Some(key) = queue.pop_front() {
            for (name, target) in self.node(key).inputs() {
                let Some(target) = self.resolve(target) else { continue };
                if !seen.insert(target) {
                    continue;
                }
                let repository = self.node(target).original()["repo"].as_str();
                if name == "llama-cpp" || repository == Some("llama.cpp") {
                    found.push(target);
                }
                queue.push_back(target);
            }
        }
        found
    }

    /// The revisions of llama.cpp that are locked here; the fleet's own first.
    pub fn revisions(&self) -> Vec<&str> {
        self.llama_cpps().into_iter().filter_map(|key| self.node(key).rev()).collect()
    }

    /// # Errors
    /// There is no such input, or it follows another.
    pub fn find(&self, name: &str) -> Result<Input, Finding> {
        let mut key = self.root().to_owned();
        for part in name.split('/') {
            let node = self.node(&key);
            key = match node.input(part) {
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
                _ => return Err(absent(name, part, node)),
            };
        }
        let node = self.0["nodes"][&key].clone();
        Ok(Input { name: name.to_owned(), node, key })
    }

    /// The lock before, with what Nix locked (`made`) for this input. Nix may name nodes
    /// anew; nothing of that is taken over where it need not be.
    ///
    /// # Errors
    /// The names of other inputs that Nix moved too.
    pub fn graft(&self, made: &Self, input: &Input) -> Result<Self, Vec<String>> {
        let (was, is) = (self.unfold(), made.unfold());
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
        let mut lock = if inner.is_empty() { self.clone() } else { made.clone() };
        if let Ok(new) = made.find(&input.name) {
            let key = if inner.is_empty() { &input.key } else { &new.key };
            lock.0["nodes"][key]["locked"] = new.locked().clone();
            lock.0["nodes"][key]["original"] = input.node["original"].clone();
        }
        Ok(lock)
    }

    /// The inputs of this input that another lock has otherwise: new, gone or moved.
    pub fn inputs_that_differ(&self, after: &Self, input: &str) -> Vec<String> {
        let (was, is) = (self.unfold(), after.unfold());
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
    pub fn replaced(&self, input: &Input, by: &Input) -> Self {
        let mut lock = self.clone();
        lock.0["nodes"][&input.key]["locked"] = by.locked().clone();
        lock
    }

    /// Every input by its path of names, whatever its node is called.
    fn unfold(&self) -> BTreeMap<String, Value> {
        let mut found = BTreeMap::new();
        let mut queue = vec![(self.root().to_owned(), String::new(), 0)];
        while let Some((key, prefix, depth)) = queue.pop() {
            for (name, target) in self.node(&key).inputs() {
                let path = format!("{prefix}{name}");
                let Some(target) = target.as_str() else {
                    found.insert(path, target.clone());
                    continue;
                };
                let Node(node) = self.node(target);
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
}

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
    pub fn locked(&self) -> &Value {
        &self.node["locked"]
    }

    pub fn rev(&self) -> Option<&str> {
        self.locked()["rev"].as_str()
    }

    /// Of an input's input: one that it has, and that follows another.
    pub fn follower(&self) -> Option<String> {
        let inputs = self.node["inputs"].as_object().filter(|_| self.name.contains('/'))?;
        let (name, _) = inputs.iter().find(|(_, target)| target.is_array())?;
        Some(format!("{}/{name}", self.name))
    }
}

fn absent(name: &str, part: &str, node: Node<'_>) -> Finding {
    let known: Vec<&str> = node.inputs().map(|(name, _)| name).collect();
    let help = match nearest(part, known.iter().copied()) {
        Some(near) => format!("did you mean `--input {near}`?"),
        None if known.is_empty() => "add it to flake.nix, then `nix flake lock`".to_owned(),
        None => format!("pass one with --input: {}", known.join(", ")),
    };
    Finding::error("no-such-input", format!("flake.lock has no input {name}"), help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
    fn only_the_input_itself_moves_and_no_node_is_renamed() {
        let before = lock();
        let input = before.find("llama-cpp").unwrap();
        assert_eq!(input.follower(), None);
        let mut made = before.clone();
        made.0["nodes"]["llama-cpp"]["locked"]["rev"] = "2".into();
        // `--override-input` could leave its own words here.
        made.0["nodes"]["llama-cpp"]["original"]["ref"] = "2".into();
        made.0["nodes"]["x"] = made.0["nodes"]["x_2"].take();
        made.0["nodes"]["bar"]["inputs"]["x"] = "x".into();
        let grafted = before.graft(&made, &input).unwrap();
        let mut expected = before;
        expected.0["nodes"]["llama-cpp"]["locked"]["rev"] = "2".into();
        assert_eq!(grafted, expected);
    }

    #[test]
    fn another_input_that_moved_is_named() {
        let before = lock();
        let input = before.find("llama-cpp").unwrap();
        let mut made = before.clone();
        made.0["nodes"]["x_2"]["locked"]["rev"] = "y".into();
        assert_eq!(before.graft(&made, &input).unwrap_err(), ["bar/x"]);
    }

    #[test]
    fn an_input_of_its_own_may_come_and_go() {
        let before = lock();
        let input = before.find("llama-cpp").unwrap();
        let mut made = before.clone();
        made.0["nodes"]["new"] = json!({ "locked": { "rev": "n" } });
        made.0["nodes"]["llama-cpp"]["inputs"]["new"] = "new".into();
        let grafted = before.graft(&made, &input).unwrap();
        assert_eq!(grafted, made);
        assert_eq!(before.inputs_that_differ(&grafted, "llama-cpp"), ["llama-cpp/new"]);
    }

    #[test]
    fn what_is_no_input_is_told_with_what_is_near() {
        let lock = lock();
        let error = lock.find("lama-cpp").unwrap_err();
        assert_eq!((error.code, error.help.contains("llama-cpp")), ("no-such-input", true));
        let error = lock.find("same").unwrap_err();
        assert_eq!((error.code, error.help.contains("--input bar/x")), ("input-follows", true));
        assert_eq!(lock.find("bar/x").unwrap().key, "x_2");
        assert_eq!(lock.find("bar/y").unwrap_err().code, "no-such-input");
    }

    #[test]
    fn a_lock_is_printed_as_nix_prints_it() {
        let ours = include_str!("../../../flake.lock");
        assert_eq!(LockFile::parse(ours).unwrap().print(), ours);
    }
}
