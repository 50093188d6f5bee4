//! Finds hosts with equal manifests but different derivations, so that the same variant is built
//! more than once.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::findings::finding::Finding;
use crate::fleet::manifest::{Manifest, Selection};
use crate::fleet::names::HostName;

/// Returns a finding for each variant that is built more than once.
pub fn findings<'a>(selected: impl Iterator<Item = (&'a HostName, &'a Selection)>) -> Vec<Finding> {
    let mut groups: BTreeMap<String, Vec<(&HostName, &Selection)>> = BTreeMap::new();
    for (host, selection) in selected {
        // These settings do not change the build.
        let manifest = Manifest {
            bench: Default::default(),
            service: None,
            threads: None,
            ..selection.manifest.clone()
        };
        let key = serde_json::to_string(&manifest).unwrap_or_default();
        groups.entry(key).or_default().push((host, selection));
    }
    groups.into_values().filter_map(|hosts| of_one_variant(&hosts)).collect()
}

fn of_one_variant(hosts: &[(&HostName, &Selection)]) -> Option<Finding> {
    // The first host of each derivation.
    let mut distinct: Vec<&(&HostName, &Selection)> = vec![];
    for host in hosts {
        if distinct.iter().all(|(_, one)| one.drv_path != host.1.drv_path) {
            distinct.push(host);
        }
    }
    let [first, others @ ..] = distinct.as_slice() else { return None };
    if others.is_empty() {
        return None;
    }
    let why = others.iter().find_map(|other| difference(first, other)).unwrap_or_else(|| {
        "most likely their nixpkgs differ, in an overlay or its arguments".to_owned()
    });
    let names: Vec<&str> = distinct.iter().map(|(host, _)| host.as_str()).collect();
    Some(Finding::warning(
        "unequal-builds",
        format!(
            "{} all select {}, but each would build it separately: {why}",
            names.join(", "),
            first.1.manifest.variant
        ),
        "give the hosts the same nixpkgs settings to build once; `nix-diff` of two of the \
         derivations shows every difference",
    ))
}

/// Describes the first setting of nixpkgs in which two hosts differ.
fn difference(one: &(&HostName, &Selection), other: &(&HostName, &Selection)) -> Option<String> {
    let settings = |(_, selection): &(&HostName, &Selection)| -> Option<serde_json::Map<_, _>> {
        selection.context.nixpkgs.as_ref()?.as_object().cloned()
    };
    let (left, right) = (settings(one)?, settings(other)?);
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let name = names.into_iter().find(|name| left.get(*name) != right.get(*name))?;
    let show = |value: Option<&Value>| value.map_or_else(|| "not set".to_owned(), Value::to_string);
    Some(format!(
        "nixpkgs' {name} is {} on {} and {} on {}",
        show(left.get(name)),
        one.0,
        show(right.get(name)),
        other.0
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selection(drv: &str, flag: &str, nixpkgs: Value) -> Selection {
        serde_json::from_value(json!({
            "manifest": {
                "variant": "cpu-x", "backends": ["cpu"], "microarch": "dispatch",
                "system": "x86_64-linux", "cmakeFlags": [flag], "rev": null, "build": null,
            },
            "drvPath": drv, "output": "/out", "context": { "nixpkgs": nixpkgs },
        }))
        .unwrap()
    }

    fn messages(one: &Selection, two: &Selection) -> Vec<String> {
        let (a, b) = (HostName::new("a"), HostName::new("b"));
        let found = findings([(&a, one), (&b, two)].into_iter());
        found.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn one_derivation_and_different_variants_have_no_findings() {
        let one = selection("/1.drv", "-DA=1", Value::Null);
        assert_eq!(messages(&one, &one), [] as [&str; 0]);
        assert_eq!(messages(&one, &selection("/2.drv", "-DA=2", Value::Null)), [] as [&str; 0]);
    }

    #[test]
    fn the_setting_that_differs_is_named_whichever_derivation_sorts_first() {
        for (first, second) in [("/1.drv", "/2.drv"), ("/2.drv", "/1.drv")] {
            let one = selection(first, "", json!({ "overlays": 2 }));
            let two = selection(second, "", json!({ "config.cudaSupport": true, "overlays": 2 }));
            let expected = "a, b all select cpu-x, but each would build it separately: nixpkgs' \
                        config.cudaSupport is not set on a and true on b";
            assert_eq!(messages(&one, &two), [expected]);
            let unknown = messages(&one, &selection(second, "", Value::Null));
            assert!(unknown[0].contains("most likely"), "{unknown:?}");
        }
    }
}
