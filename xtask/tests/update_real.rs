//! `update` with llama.cpp's real trees: from one era to the other and back, and against
//! planted mistakes of the kinds that upstream makes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::upstream::{Breakage, Plan, Upstream};
use support::{Scratch, code, json as document, repository, run, stderr};

/// Hosts of every kind, as far as the testbed can: CUDA and Vulkan only evaluate there.
const HOSTS: [(&str, &str); 3] = [
    (
        "beryllium",
        "{ programs.llama-cpp = { enable = true; microarch = \"tigerlake\"; }; system.stateVersion = \"25.05\"; }\n",
    ),
    (
        "boron",
        "{ nixpkgs.config.allowUnfree = true; programs.llama-cpp = { enable = true; backend = \"cuda\"; }; system.stateVersion = \"25.05\"; }\n",
    ),
    (
        "carbon",
        "{ programs.llama-cpp = { enable = true; backend = \"vulkan\"; }; system.stateVersion = \"25.05\"; }\n",
    ),
];

/// A fleet whose flake.lock is the testbed's, with llama.cpp as `change` leaves its node.
fn in_testbed(hosts: &[(&str, &str)], change: impl FnOnce(&mut Value)) -> Scratch {
    let fleet = repository(hosts);
    let output = run(fleet.path(), &["check", "--testbed=old"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let name = fleet.path().to_str().unwrap().replace('/', "_");
    let lent = support::home().join(format!("locks/{name}-old-era.lock"));
    let mut lock: Value = serde_json::from_str(&fs::read_to_string(lent).unwrap()).unwrap();
    change(&mut lock["nodes"]["llama-cpp"]["locked"]);
    fleet.write("flake.lock", &format!("{lock:#}\n"));
    fleet
}

/// What a mistake is refused with: the stage, and words of the message.
fn refused(breakage: Breakage, stage: &str, words: &[&str]) {
    let dir = Scratch::new();
    let upstream = Upstream::plant(dir.path(), &Plan::new("old-era", 2).with(breakage, 1));
    let fleet = in_testbed(&HOSTS, |locked| {
        locked["url"] = json!(format!("file://{}", upstream.repository().display()));
        locked.as_object_mut().unwrap().remove("ref");
    });
    let lock = fs::read(fleet.path().join("flake.lock")).unwrap();
    let output = run(fleet.path(), &["update", "--testbed", "--json"]);
    let (report, said) = (document(&output), stderr(&output));
    assert_eq!((code(&output), &report["failedAt"]), (1, &json!(stage)), "{breakage:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{breakage:?}: {word:?} is not in {said}");
    }
    assert_eq!(fs::read(fleet.path().join("flake.lock")).unwrap(), lock, "{breakage:?}");
}

#[test]
fn an_argument_or_an_option_that_is_renamed_is_refused_before_any_build() {
    let told = ["takes useVulkan: carbon would be built without vulkan", "withVulkan now"];
    refused(Breakage::ArgumentRenamed, "drift", &told);
    let told = ["declares GGML_AVX512_VNNI, with which beryllium", "called GGML_AVX512VNNI now"];
    refused(Breakage::OptionRenamed, "drift", &told);
}

#[test]
fn what_a_host_does_not_evaluate_with_is_refused_with_host_and_cause() {
    let everyone = ["abort] beryllium", "abort] carbon", "abort] boron", "shader-debugger-headers"];
    refused(Breakage::MissingInput, "evaluate", &everyone);
    refused(Breakage::LicenceList, "evaluate", &["unfree] carbon"]);
    refused(Breakage::CudaAttribute, "evaluate", &["boron", "cuda_runtime"]);
}

#[test]
fn what_does_not_parse_or_configure_is_refused() {
    refused(Breakage::SyntaxError, "drift", &["packaging-broken", "syntax error"]);
    let told = ["beryllium: cpu-tigerlake is not built", "3.99 or higher is required"];
    refused(Breakage::ConfigureError, "build", &told);
}

/// The real trees: one host that is evaluated only (the testbed has no CUDA).
#[test]
fn the_testbeds_real_llama_cpp_goes_from_one_era_to_the_other_and_back() {
    let host = "{ nixpkgs.config.allowUnfree = true; programs.llama-cpp = { enable = true; \
                backend = \"cuda\"; microarch = \"tigerlake\"; }; system.stateVersion = \"25.05\"; }\n";
    let fleet = repository(&[("boron", host)]);
    let updated = |args: &[&str]| {
        let output = run(fleet.path(), args);
        (code(&output), document(&output), stderr(&output))
    };
    let committed = fs::read_to_string(fleet.path().join("flake.lock")).unwrap();
    // With GitHub's lock it is a rehearsal.
    let (code, report, said) = updated(&["update", "--testbed=old", "--json"]);
    assert_eq!((code, &report["lock"]), (0, &"unchanged".into()), "{said}");
    assert!(said.contains("rehearsal"), "{said}");
    assert_eq!(fs::read_to_string(fleet.path().join("flake.lock")).unwrap(), committed);
    let told = report["findings"].to_string();
    for word in ["curl, enableCurl", "nodejs", "useWebUi", "useRpc", "spirv-headers", "zdnn"] {
        assert!(told.contains(word), "{word} is not in {told}");
    }
    assert!(!told.contains("\"error\"") && !told.contains("\"warning\""), "{told}");

    // A fleet that lives in the testbed.
    let name = fleet.path().to_str().unwrap().replace('/', "_");
    let lent = support::home().join(format!("locks/{name}-old-era.lock"));
    let old = format!("{}\n", fs::read_to_string(lent).unwrap());
    fs::write(fleet.path().join("flake.lock"), &old).unwrap();
    let (code, report, said) = updated(&["update", "--testbed", "--json"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{said}");
    let pin = fs::read_to_string(fleet.path().join("overlays/llama-cpp/pin.json")).unwrap();
    let rev = report["to"]["rev"].as_str().unwrap();
    assert!(pin.contains(rev) && pin.contains(report["from"]["rev"].as_str().unwrap()), "{pin}");
    let (code, report, said) = updated(&["update", "--testbed", "--to", "old-era", "--json"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{said}");
    assert_eq!(report["backwards"], true);
    assert!(report["findings"].to_string().contains("newly takes enableCurl"), "{report}");
}
