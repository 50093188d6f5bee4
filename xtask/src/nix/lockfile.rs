//! flake.lock: its nodes, the inputs that lead to them, and changing the revision of one input
//! without changing anything else.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::findings::finding::Finding;
use crate::ui::nearest::nearest;

/// Help about a lock file that Nix rejects.
pub const RESTORE: &str =
    "restore it with `git checkout flake.lock`, or delete it and run `nix flake lock`";

/// A lock file of version 5 to 7. Fields that are not used here are preserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LockFile(Value);

/// A node: what an input is locked to, what flake.nix asks for, and the input's inputs.
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

    /// Returns its inputs by name: each a node's key, or an array, the path of names that the
    /// input follows.
    pub fn inputs(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let inputs = self.0["inputs"].as_object().into_iter().flatten();
        inputs.map(|(name, target)| (name.as_str(), target))
    }

    pub fn input(self, name: &str) -> &'a Value {
        &self.0["inputs"][name]
    }
}

/// An input of any node.
#[derive(Debug)]
pub struct LockedInput<'a> {
    /// Its path of names: `llama-cpp`, or `llamafleet/llama-cpp`.
    pub path: String,
    /// The key of its node, or of the node of the input that it follows.
    pub key: &'a str,
    pub follows: bool,
}

impl LockedInput<'_> {
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

impl LockFile {
    pub fn new(lock: Value) -> Self {
        Self(lock)
    }

    pub fn parse(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text).map(Self)
    }

    /// Formats the lock file as Nix does.
    pub fn print(&self) -> String {
        format!("{:#}\n", self.0)
    }

    pub fn root(&self) -> &str {
        self.0["root"].as_str().unwrap_or("root")
    }

    pub fn node(&self, key: &str) -> Node<'_> {
        Node(&self.0["nodes"][key])
    }

    /// Returns every node with its key; `None` if there are no nodes.
    pub fn nodes(&self) -> Option<impl Iterator<Item = (&str, Node<'_>)>> {
        let nodes = self.0["nodes"].as_object()?;
        Some(nodes.iter().map(|(key, node)| (key.as_str(), Node(node))))
    }

    /// Returns the nodes by key; `None` if there are no nodes.
    pub fn nodes_mut(&mut self) -> Option<&mut Map<String, Value>> {
        self.0.get_mut("nodes")?.as_object_mut()
    }

    /// Returns the key of the node that an input leads to, directly or by following other inputs.
    pub fn resolve<'a>(&'a self, target: &'a Value) -> Option<&'a str> {
        self.resolve_within(target, 32)
    }

    fn resolve_within<'a>(&'a self, target: &'a Value, depth: u32) -> Option<&'a str> {
        // Followed paths may form a cycle.
        let depth = depth.checked_sub(1)?;
        if let Value::String(key) = target {
            return Some(key);
        }
        target.as_array()?.iter().try_fold(self.root(), |node, input| {
            self.resolve_within(self.node(node).input(input.as_str()?), depth)
        })
    }

    /// Returns every input of every node, the fleet's own first.
    pub fn inputs(&self) -> Vec<LockedInput<'_>> {
        let mut found = vec![];
        let mut seen = BTreeSet::from([self.root()]);
        let mut queue = VecDeque::from([(self.root(), String::new())]);
        while let Some((key, prefix)) = queue.pop_front() {
            for (name, target) in self.node(key).inputs() {
                let path = format!("{prefix}{name}");
                if let Some(next) = target.as_str()
                    && seen.insert(next)
                {
                    queue.push_back((next, format!("{path}/")));
                }
                if let Some(key) = self.resolve(target) {
                    found.push(LockedInput { path, key, follows: target.is_array() });
                }
            }
        }
        found
    }

    fn llama_cpp_inputs(&self) -> impl Iterator<Item = LockedInput<'_>> {
        self.inputs().into_iter().filter(|input| {
            input.name() == "llama-cpp" || self.node(input.key).original()["repo"] == "llama.cpp"
        })
    }

    /// Returns the keys of all llama.cpp nodes, the fleet's own first.
    pub fn llama_cpps(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.llama_cpp_inputs().map(|input| input.key).filter(|key| seen.insert(*key)).collect()
    }

    /// Returns the path of names of the fleet's llama.cpp: `llama-cpp`, or `llamafleet/llama-cpp`
    /// if only an input has one.
    pub fn llama_cpp_path(&self) -> Option<String> {
        self.llama_cpp_inputs().find(|input| !input.follows).map(|input| input.path)
    }

    /// Returns the locked revisions of llama.cpp, the fleet's own first.
    pub fn revisions(&self) -> Vec<&str> {
        self.llama_cpps().into_iter().filter_map(|key| self.node(key).rev()).collect()
    }

    /// Finds an input by its path of names.
    ///
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

    /// Returns this lock file with `input` as Nix has locked it in `updated`. Nix may also rename
    /// nodes: this is only adopted if the inputs of `input` have changed.
    ///
    /// # Errors
    /// The names of other inputs that Nix changed too.
    pub fn with_updated_input(&self, updated: &Self, input: &Input) -> Result<Self, Vec<String>> {
        let changes = self.changes(updated, &input.name);
        if !changes.others.is_empty() {
            return Err(changes.others.into_iter().collect());
        }
        let mut lock = if changes.below.is_empty() { self.clone() } else { updated.clone() };
        if let Ok(new) = updated.find(&input.name) {
            let key = if changes.below.is_empty() { &input.key } else { &new.key };
            lock.0["nodes"][key]["locked"] = new.locked().clone();
            lock.0["nodes"][key]["original"] = input.node["original"].clone();
        }
        Ok(lock)
    }

    /// Returns the inputs of this input that another lock file has added, removed or changed.
    pub fn changed_inputs_of(&self, after: &Self, input: &str) -> Vec<String> {
        self.changes(after, input).below.into_iter().collect()
    }

    /// Returns this lock file with `input` as another lock file has it, but with the same inputs
    /// of that input.
    pub fn replaced(&self, input: &Input, by: &Input) -> Self {
        let mut lock = self.clone();
        lock.0["nodes"][&input.key]["locked"] = by.locked().clone();
        lock
    }

    /// Compares the inputs of two lock files, whatever the nodes' keys are. Each pair of nodes is
    /// compared once for the input itself, its inputs, and all others.
    fn changes(&self, after: &Self, input: &str) -> Changes {
        let mut changes = Changes::default();
        let mut seen = BTreeSet::new();
        let mut queue = VecDeque::from([(self.root(), after.root(), String::new())]);
        while let Some((before_key, after_key, path)) = queue.pop_front() {
            let is_below = path.starts_with(&format!("{input}/"));
            // A pair on the path to the input is compared again for each such path.
            let rest = input.strip_prefix(&path).unwrap_or_default().to_owned();
            if !seen.insert((before_key, after_key, is_below, rest)) {
                continue;
            }
            let (was, is) = (self.node(before_key), after.node(after_key));
            let names: BTreeSet<&str> =
                was.inputs().chain(is.inputs()).map(|(name, _)| name).collect();
            for name in names {
                let path = format!("{path}{name}");
                let (was, is) = (was.input(name), is.input(name));
                let differs = match (was.as_str(), is.as_str()) {
                    (Some(was), Some(is)) => {
                        queue.push_back((was, is, format!("{path}/")));
                        self.content(was) != after.content(is)
                    }
                    _ => was != is,
                };
                if differs && path != input {
                    let set = if is_below { &mut changes.below } else { &mut changes.others };
                    set.insert(path);
                }
            }
        }
        changes
    }

    fn content(&self, key: &str) -> [&Value; 3] {
        let Node(node) = self.node(key);
        ["locked", "original", "flake"].map(|part| &node[part])
    }

    /// Returns the key of the node whose revision or URL a message of Nix contains.
    pub fn named_in(&self, message: &str) -> Option<&str> {
        let is_named = |(_, node): &(&str, Node<'_>)| {
            let mut names =
                ["rev", "url"].into_iter().filter_map(|key| node.locked()[key].as_str());
            names.any(|name| !name.is_empty() && message.contains(name))
        };
        self.nodes()?.find(is_named).map(|(key, _)| key)
    }

    /// Checks that no node is a direct or indirect input of itself.
    pub fn acyclic(&self) -> Result<(), Finding> {
        let Some(key) = self.cycle() else { return Ok(()) };
        let finding = Finding::error(
            "lock-cycle",
            format!("flake.lock leads from {key} back to {key}"),
            RESTORE,
        );
        Err(finding.at("flake.lock"))
    }

    fn cycle(&self) -> Option<&str> {
        let mut done = BTreeSet::new();
        // A depth-first search: `true` marks the end of a node, after its inputs.
        let mut stack = vec![(self.root(), false)];
        let mut ancestors = BTreeSet::new();
        while let Some((key, is_end)) = stack.pop() {
            if is_end {
                ancestors.remove(key);
                done.insert(key);
            } else if ancestors.contains(key) {
                return Some(key);
            } else if !done.contains(key) {
                ancestors.insert(key);
                stack.push((key, true));
                let below = self.node(key).inputs().filter_map(|(_, target)| target.as_str());
                stack.extend(below.map(|key| (key, false)));
            }
        }
        None
    }
}

/// The inputs that differ between two lock files, by their path of names.
#[derive(Debug, Default)]
struct Changes {
    /// Inputs of the input in question.
    below: BTreeSet<String>,
    others: BTreeSet<String>,
}

/// An input of the fleet, found in its lock file.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its path of names: `llama-cpp`, or `llamafleet/llama-cpp` for an input's input.
    pub name: String,
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

    /// Returns one of its inputs that follows another, if this is an input's input.
    pub fn follower(&self) -> Option<String> {
        let (name, _) = Node(&self.node).inputs().find(|(_, target)| target.is_array())?;
        self.name.contains('/').then(|| format!("{}/{name}", self.name))
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
#[path = "lockfile_tests.rs"]
mod tests;
