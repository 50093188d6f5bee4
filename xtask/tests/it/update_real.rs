//! `update` with llama.cpp's real trees: from one revision to the other and back, and against
//! planted mistakes of the kinds that upstream makes.

use std::fs;
use std::process::Command;

use crate::support::upstream::{Breakage, Plan, Upstream, git};
use crate::support::{
    Scratch, code, copy_of_repository, json as document, repository, run, stderr,
};
use serde_json::{Value, json};

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
    locked(copy_of_repository(hosts), change)
}

fn locked(fleet: Scratch, change: impl FnOnce(&mut Value)) -> Scratch {
    let output = run(fleet.path(), &["check", "--testbed=old"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let name = fleet.path().to_str().unwrap().replace('/', "_");
    let lent = fleet.home().join(format!("locks/{name}-2025-08.lock"));
    let mut lock: Value = serde_json::from_str(&fs::read_to_string(lent).unwrap()).unwrap();
    change(&mut lock["nodes"]["llama-cpp"]["locked"]);
    fleet.write("flake.lock", &format!("{lock:#}\n"));
    fleet
}

fn from(upstream: &Upstream) -> impl FnOnce(&mut Value) {
    let url = json!(format!("file://{}", upstream.repository().display()));
    move |locked| {
        locked["url"] = url;
        locked.as_object_mut().unwrap().remove("ref");
    }
}

/// What a mistake is refused with: the stage, and words of the message.
fn refused(breakage: Breakage, stage: &str, words: &[&str]) {
    let dir = Scratch::new();
    let upstream = Upstream::plant(dir.path(), &Plan::new("2025-08", 2).with(breakage, 1));
    let fleet = in_testbed(&HOSTS, from(&upstream));
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
    let told = ["declares GGML_AVX512_VNNI: beryllium", "called GGML_AVX512VNNI now"];
    refused(Breakage::OptionRenamed, "drift", &told);
}

#[test]
fn what_a_host_does_not_evaluate_with_is_refused_with_host_and_cause() {
    let everyone =
        ["abort] beryllium, boron, carbon: evaluation aborted", "shader-debugger-headers"];
    refused(Breakage::MissingInput, "evaluate", &everyone);
    refused(Breakage::LicenceList, "evaluate", &["unfree] carbon"]);
    refused(Breakage::CudaAttribute, "evaluate", &["boron", "cuda_runtime"]);
}

#[test]
fn what_does_not_parse_or_configure_is_refused() {
    refused(Breakage::SyntaxError, "drift", &["packaging-broken", "syntax error"]);
    // The part that failed names its hosts; carbon's is among them where Vulkan is set up.
    let told = [
        "llama-cpp-tools-0.0.0 failed",
        "needed by cpu-tigerlake (beryllium)",
        "beryllium: cpu-tigerlake failed to build: its part llama-cpp-tools failed",
        "3.99 or higher is required",
    ];
    refused(Breakage::ConfigureError, "build", &told);
}

/// A planted history with a merge.
#[test]
fn a_merge_brings_its_branch_along() {
    let dir = Scratch::new();
    let plan = Plan { merge: Some(3), ..Plan::new("v0.5.0", 4).with(Breakage::SlowDown, 3) };
    let upstream = Upstream::plant(dir.path(), &plan);
    let all = git(upstream.repository(), &["rev-list", &format!("{}..main", upstream.revs[0])]);
    assert_eq!(all.lines().count(), 5);
    let files =
        git(upstream.repository(), &["diff", "--name-only", &upstream.revs[2], &upstream.revs[3]]);
    assert_eq!(files, "src/llama-context.cpp");
}

/// Before anything is built: what Nix has to build again of the packages, and what it has.
#[test]
fn an_update_reports_which_parts_it_rebuilds() {
    for (change, rebuilt) in [
        (None, &[][..]),
        (Some(Breakage::SlowDown), &["llama-cpp-tools"]),
        (Some(Breakage::CompileError), &["ggml-cpu-dispatch", "ggml-cpu-tigerlake"]),
    ] {
        let dir = Scratch::new();
        let plan = Plan::new("2025-08", 1);
        let plan = change.iter().fold(plan, |plan, change| plan.with(*change, 1));
        let upstream = Upstream::plant(dir.path(), &plan);
        let fleet = in_testbed(&HOSTS, from(&upstream));
        let (_, report, text) = updated(&fleet, &["--dry-run"]);
        assert_eq!(report["rebuiltParts"], json!(rebuilt), "{change:?}: {text}");
        let unchanged = report["unchangedParts"].as_array().unwrap();
        for part in ["ggml", "ggml-cuda", "ggml-vulkan"] {
            assert!(unchanged.contains(&json!(part)), "{change:?}: {unchanged:?}");
        }
        let all = if change.is_none() { "parts to build again: none\n" } else { "again: " };
        assert!(text.contains(all), "{text}");
    }
}

/// The real trees: one host that is evaluated only (the testbed has no CUDA).
#[test]
fn the_testbeds_real_llama_cpp_goes_from_one_revision_to_the_other_and_back() {
    let host = "{ nixpkgs.config.allowUnfree = true; programs.llama-cpp = { enable = true; \
                backend = \"cuda\"; microarch = \"tigerlake\"; }; system.stateVersion = \"25.05\"; }\n";
    let fleet = copy_of_repository(&[("boron", host)]);
    let updated = |args: &[&str]| {
        let output = run(fleet.path(), args);
        (code(&output), document(&output), stderr(&output))
    };
    let committed = fs::read_to_string(fleet.path().join("flake.lock")).unwrap();
    // With GitHub's lock it is a rehearsal.
    let (code, report, said) = updated(&["update", "--testbed=old", "--json"]);
    assert_eq!((code, &report["lock"]), (0, &"unchanged".into()), "{said}");
    assert!(said.contains("testbed-dry-run"), "{said}");
    assert_eq!(fs::read_to_string(fleet.path().join("flake.lock")).unwrap(), committed);
    let told = report["findings"].to_string();
    for word in ["curl, enableCurl", "nodejs", "useWebUi", "useRpc", "spirv-headers", "zdnn"] {
        assert!(told.contains(word), "{word} is not in {told}");
    }
    assert!(!told.contains("\"error\"") && !told.contains("\"warning\""), "{told}");

    // A fleet that lives in the testbed.
    let name = fleet.path().to_str().unwrap().replace('/', "_");
    let lent = fleet.home().join(format!("locks/{name}-2025-08.lock"));
    let old = format!("{}\n", fs::read_to_string(lent).unwrap());
    fs::write(fleet.path().join("flake.lock"), &old).unwrap();
    let (code, report, said) = updated(&["update", "--testbed", "--json"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{said}");
    let pin = fs::read_to_string(fleet.path().join("pin.json")).unwrap();
    let rev = report["to"]["rev"].as_str().unwrap();
    assert!(pin.contains(rev) && pin.contains(report["from"]["rev"].as_str().unwrap()), "{pin}");
    let (code, report, said) = updated(&["update", "--testbed", "--to", "2025-08", "--json"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{said}");
    assert_eq!(report["backwards"], true);
    assert!(report["findings"].to_string().contains("now accepts enableCurl"), "{report}");
}

const CUDA: &str = "{ nixpkgs.config.allowUnfree = true; programs.llama-cpp = { enable = true; backend = \"cuda\"; }; system.stateVersion = \"25.05\"; }\n";
const ROCM: &str = "{ programs.llama-cpp = { enable = true; backend = \"rocm\"; }; system.stateVersion = \"25.05\"; }\n";

fn updated(fleet: &Scratch, args: &[&str]) -> (i32, Value, String) {
    let words = [&["update", "--testbed", "--json"], args].concat();
    let output = run(fleet.path(), &words);
    (code(&output), document(&output), stderr(&output))
}

/// Revision and derivation of each host.
fn hosts_of(fleet: &Scratch) -> Vec<(Value, Value)> {
    let of = |words: &[&str]| document(&run(fleet.path(), words))["hosts"].clone();
    let (listed, checked) =
        (of(&["list", "--testbed", "--json"]), of(&["check", "--testbed", "--json"]));
    let pairs = listed.as_array().unwrap().iter().zip(checked.as_array().unwrap());
    pairs.map(|(listed, checked)| (listed["rev"].clone(), checked["drvPath"].clone())).collect()
}

/// The real module, in this repository's layout: CUDA breaks, ROCm does not.
#[test]
fn a_backend_that_breaks_is_pinned_with_the_real_module() {
    let dir = Scratch::new();
    let plan = Plan::new("2025-08", 2).with(Breakage::CudaAttribute, 1);
    let upstream = Upstream::plant(dir.path(), &plan);
    let fleet = in_testbed(&[("boron", CUDA), ("nitrogen", ROCM)], from(&upstream));
    pins_boron(&fleet, &upstream, "llama-cpp");
}

/// And in a fleet of one's own, whose llama.cpp is its own input or llamafleet's.
#[test]
fn so_it_is_in_a_fleet_of_ones_own() {
    for nested in [false, true] {
        let dir = Scratch::new();
        let plan = Plan::new("2025-08", 2).with(Breakage::CudaAttribute, 1);
        let upstream = Upstream::plant(dir.path(), &plan);
        let fleet = locked(of_ones_own(nested), from(&upstream));
        pins_boron(&fleet, &upstream, if nested { "llamafleet/llama-cpp" } else { "llama-cpp" });
    }
}

fn pins_boron(fleet: &Scratch, upstream: &Upstream, input: &str) {
    let before = hosts_of(fleet);
    let (code, report, said) = updated(fleet, &["--input", input]);
    assert_eq!((code, &report["failedAt"]), (1, &json!("evaluate")), "{said}");
    let (code, report, said) = updated(fleet, &["--input", input, "--allow-partial"]);
    assert_eq!((code, &report["lock"]), (0, &json!("updated")), "{said}");
    assert!(said.contains("PINNED: boron"), "{said}");
    let after = hosts_of(fleet);
    // boron has the derivation of before, nitrogen the one that the trial showed.
    assert_eq!(after[0], before[0]);
    assert_eq!(after[1].0, json!(upstream.revs[2]));
    assert_eq!(after[1].1, report["hosts"][1]["after"]);
    assert_ne!(after[1].1, before[1].1);
    let output = run(fleet.path(), &["check", "--testbed"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("pinned to llama.cpp"), "{}", stderr(&output));
    let output = run(fleet.path(), &["rollback", "--testbed", "--input", input]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(hosts_of(fleet), before);
}

/// The template, with two hosts; `nested`: llama.cpp is the input of llamafleet alone.
fn of_ones_own(nested: bool) -> Scratch {
    let fleet = Scratch::new();
    let template = repository().join("templates/fleet");
    let copied = Command::new("cp").arg("-r").arg(template.join(".")).arg(fleet.path()).status();
    assert!(copied.unwrap().success());
    if nested {
        let file = fleet.path().join("flake.nix");
        let text = fs::read_to_string(&file).unwrap();
        let (before, rest) = text.split_once("    # `xtask update` updates this input.\n").unwrap();
        let (_, after) = rest.split_once("    # The module").unwrap();
        let text = format!("{before}    # The module{after}");
        let follows = "      inputs.llama-cpp.follows = \"llama-cpp\";\n";
        assert!(text.contains(follows));
        fs::write(&file, text.replace(follows, "")).unwrap();
    }
    let row = "{ system = \"x86_64-linux\"; target = \"x\"; };";
    fleet.write("hosts/default.nix", &format!("{{ boron = {row} nitrogen = {row} }}\n"));
    fleet.write("hosts/boron/default.nix", CUDA);
    fleet.write("hosts/nitrogen/default.nix", ROCM);
    for args in [&["init", "--quiet"][..], &["add", "--all"]] {
        let git = Command::new("git").args(args).current_dir(fleet.path()).status();
        assert!(git.unwrap().success());
    }
    fleet
}

/// One variant of two does not compile: the other one is built and moves.
#[test]
#[ignore = "builds llama.cpp: minutes"]
fn a_variant_that_does_not_compile_is_pinned_and_the_other_is_built() {
    let cpu = |microarch: &str| {
        format!(
            "{{ programs.llama-cpp = {{ enable = true; microarch = \"{microarch}\"; }}; system.stateVersion = \"25.05\"; }}\n"
        )
    };
    let dir = Scratch::new();
    let plan = Plan::new("2025-08", 20).with(Breakage::CompileError, 13);
    let upstream = Upstream::plant(dir.path(), &plan);
    let hosts = [("beryllium", cpu("znver4")), ("helium", cpu("haswell"))];
    let hosts = hosts.each_ref().map(|(name, body)| (*name, body.as_str()));
    let fleet = in_testbed(&hosts, from(&upstream));
    let before = hosts_of(&fleet);
    let (code, report, said) = updated(&fleet, &["--allow-partial"]);
    assert_eq!((code, &report["lock"]), (0, &json!("updated")), "{said}");
    assert_eq!(report["hosts"][0]["state"], json!("held"), "{said}");
    assert_eq!(report["hosts"][1]["state"], json!("changed"), "{said}");
    assert!(said.contains("vnni-dot-products.h"), "{said}");
    let after = hosts_of(&fleet);
    assert_eq!((&after[0], &after[1].1), (&before[0], &report["hosts"][1]["after"]));
    eprintln!("{said}");
}

/// The canary's judge, with a llama.cpp that is a quarter slower.
#[test]
#[ignore = "builds llama.cpp and measures it: minutes"]
fn a_slow_down_is_refused_by_the_canary() {
    let dir = Scratch::new();
    let plan = Plan::new("2025-08", 20).with(Breakage::SlowDown, 13);
    let upstream = Upstream::plant(dir.path(), &plan);
    let fleet = in_testbed(&[("boron", CUDA)], from(&upstream));
    let lock = fs::read(fleet.path().join("flake.lock")).unwrap();
    let (code, report, said) = updated(&fleet, &["--bench", "local"]);
    eprintln!("{said}");
    assert_eq!((code, &report["failedAt"]), (1, &json!("bench")), "{said}");
    assert!(said.contains("is slower with the new revision"), "{said}");
    assert!(said.contains("cargo xtask bisect --testbed --good"), "{said}");
    assert!(said.contains("--host local --by bench"), "{said}");
    assert_eq!(fs::read(fleet.path().join("flake.lock")).unwrap(), lock);
}
