//! `perf` on the testbed: it measures what it says, and does not call a miss well.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;

use support::{code, json, run, stderr};

#[test]
fn every_budget_of_check_has_a_value_and_its_samples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let words = ["perf", "check", "--testbed", "--json", "--hosts", "2", "--runs", "1"];
    let output = run(root, &words);
    let report = json(&output);
    assert_eq!(report["command"], "perf", "{}", stderr(&output));
    let ratios = report["ratios"].as_array().unwrap();
    for what in ["nothing changed", "README edited", "one host edited", "cold /", "peak memory"] {
        let ratio = ratios.iter().find(|r| r["name"].as_str().unwrap().contains(what)).unwrap();
        let (value, budget) = (ratio["value"].as_f64().unwrap(), ratio["budget"].as_f64().unwrap());
        assert!(value > 0.0 && ratio["samples"].as_array().unwrap().len() == 1, "{ratio}");
        assert_eq!(ratio["ok"], value <= budget, "{ratio}");
    }
    let all = ratios.iter().all(|ratio| ratio["ok"] == true);
    assert_eq!((report["ok"].as_bool().unwrap(), code(&output)), (all, i32::from(!all)));
}
