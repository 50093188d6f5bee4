//! Parses derivation files, and finds which derivations need others.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use crate::nix::names::{DrvPath, StorePath};

/// Returns the outputs that a `.drv` file names, as far as they are known before the build.
/// The file begins `Derive([("dev","/nix/store/…","",""),("out",…)],[`.
pub fn outputs(text: &str) -> Vec<StorePath> {
    let list = text.strip_prefix("Derive([").and_then(|rest| rest.split_once("],"));
    let Some((list, _)) = list else { return vec![] };
    let path = |output: &str| output.split('"').nth(2).map(str::to_owned);
    let paths = list.split("(\"").skip(1).filter_map(path);
    paths.filter(|path| path.starts_with('/')).map(StorePath::new).collect()
}

/// Returns, for each dependency, the indices of the `roots` that need it. `references` has the
/// direct references of every path that a root needs.
pub fn needed_by(
    roots: &[DrvPath],
    references: &BTreeMap<String, Vec<String>>,
) -> Vec<(DrvPath, Vec<usize>)> {
    let mut needed: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, root) in roots.iter().enumerate() {
        let mut seen: BTreeSet<&str> = [root.as_str()].into();
        let mut queue = vec![root.as_str()];
        while let Some(path) = queue.pop() {
            for next in references.get(path).into_iter().flatten() {
                if next.ends_with(".drv") && seen.insert(next) {
                    needed.entry(next).or_default().push(index);
                    queue.push(next);
                }
            }
        }
    }
    needed.into_iter().map(|(path, indices)| (DrvPath::new(path), indices)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_parsed() {
        let text = r#"Derive([("dev","/nix/store/a-x-dev","",""),("out","/nix/store/a-x","","")],[("/nix/store/y.drv",["out"])],[],"x","/bin/sh",[],[("out","/no")])"#;
        let names: Vec<String> = outputs(text).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["/nix/store/a-x-dev", "/nix/store/a-x"]);
        assert_eq!(outputs(r#"Derive([("out","","r:sha256","")],[],[])"#), []);
        assert_eq!(outputs("nonsense"), []);
    }

    #[test]
    fn indirect_dependencies_are_found() {
        let edges = [
            ("/a.drv", vec!["/m.drv", "/s.sh"]),
            ("/b.drv", vec!["/z.drv"]),
            ("/m.drv", vec!["/z.drv"]),
            ("/z.drv", vec![]),
        ];
        let references = edges
            .into_iter()
            .map(|(from, to)| (from.to_owned(), to.into_iter().map(str::to_owned).collect()))
            .collect();
        let needed = needed_by(&[DrvPath::new("/a.drv"), DrvPath::new("/b.drv")], &references);
        let expected = [("/m.drv", vec![0]), ("/z.drv", vec![0, 1])];
        assert_eq!(needed, expected.map(|(drv, by)| (DrvPath::new(drv), by)));
    }
}
