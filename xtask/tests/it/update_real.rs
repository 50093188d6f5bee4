//! `update` with llama.cpp's real trees: from one revision to the other and back, and with generated
//! commits that contain the kinds of mistakes upstream makes.

use std::fs;
use std::process::Command;

use crate::support::upstream::{Breakage, Plan, Upstream, git};
use crate::support::{
    Scratch, code, copy_of_repository, json as document, repository, run, stderr,
};
use serde_json::{Value, json};

/// Hosts with the backends that the testbed has; CUDA and Vulkan only evaluate there.
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

/// A copy of this repository with these hosts, whose flake.lock is the testbed's; `change` edits its
/// llama.cpp node.
fn in_testbed(hosts: &[(&str, &str)], change: impl FnOnce(&mut Value)) -> Scratch {
    locked(copy_of_repository(hosts), change)
}

/// Gives the fleet the testbed's flake.lock.
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

/// Changes the llama.cpp node of a lock file to this repository.
fn from(upstream: &Upstream) -> impl FnOnce(&mut Value) {
    let url = json!(format!("file://{}", upstream.repository().display()));
    move |locked| {
        locked["url"] = url;
        locked.as_object_mut().unwrap().remove("ref");
    }
}

/// Asserts the stage that rejects a mistake, and parts of the message.
fn assert_rejected(breakage: Breakage, stage: &str, words: &[&str]) {
    let dir = Scratch::new();
    let upstream = Upstream::create(dir.path(), &Plan::new("2025-08", 2).with(breakage, 1));
    let fleet = in_testbed(&HOSTS, from(&upstream));
    let lock = fs::read(fleet.path().join("flake.lock")).unwrap();
    let output = run(fleet.path(), &["update", "--testbed", "--json"]);
    let (report, message) = (document(&output), stderr(&output));
    assert_eq!((code(&output), &report["failedAt"]), (1, &json!(stage)), "{breakage:?}: {message}");
    for word in words {
        assert!(message.contains(word), "{breakage:?}: {word:?} is not in {message}");
    }
    assert_eq!(fs::read(fleet.path().join("flake.lock")).unwrap(), lock, "{breakage:?}");
}

#[test]
fn a_renamed_argument_or_option_is_rejected_before_any_build() {
    let expected = ["takes useVulkan: carbon would be built without vulkan", "withVulkan now"];
    assert_rejected(Breakage::ArgumentRenamed, "drift", &expected);
    let expected = ["declares GGML_AVX512_VNNI: beryllium", "called GGML_AVX512VNNI now"];
    assert_rejected(Breakage::OptionRenamed, "drift", &expected);
}

#[test]
fn a_revision_that_breaks_evaluation_is_rejected_with_host_and_cause() {
    let expected =
        ["abort] beryllium, boron, carbon: evaluation aborted", "shader-debugger-headers"];
    assert_rejected(Breakage::MissingInput, "evaluate", &expected);
    assert_rejected(Breakage::LicenceList, "evaluate", &["unfree] carbon"]);
    assert_rejected(Breakage::CudaAttribute, "evaluate", &["boron", "cuda_runtime"]);
}

#[test]
fn a_revision_that_does_not_parse_or_configure_is_rejected() {
    assert_rejected(Breakage::SyntaxError, "drift", &["packaging-broken", "syntax error"]);
    // The failed part names its hosts, which include carbon where Vulkan is set up.
    let expected = [
        "llama-cpp-tools-0.0.0 failed",
        "needed by cpu-tigerlake (beryllium)",
        "beryllium: cpu-tigerlake failed to build: its part llama-cpp-tools failed",
        "3.99 or higher is required",
    ];
    assert_rejected(Breakage::ConfigureError, "build", &expected);
}

#[test]
fn a_generated_merge_contains_its_branch() {
    let dir = Scratch::new();
    let plan = Plan { merge: Some(3), ..Plan::new("v0.5.0", 4).with(Breakage::SlowDown, 3) };
    let upstream = Upstream::create(dir.path(), &plan);
    let all = git(upstream.repository(), &["rev-list", &format!("{}..main", upstream.revs[0])]);
    assert_eq!(all.lines().count(), 5);
    let files =
        git(upstream.repository(), &["diff", "--name-only", &upstream.revs[2], &upstream.revs[3]]);
    assert_eq!(files, "src/llama-context.cpp");
}

/// `update --dry-run` lists the parts that Nix would rebuild and those that it already has.
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
        let upstream = Upstream::create(dir.path(), &plan);
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

/// The only host is evaluated and not built, because the testbed has no CUDA.
#[test]
fn update_moves_the_real_llama_cpp_forwards_and_backwards() {
    let host = "{ nixpkgs.config.allowUnfree = true; programs.llama-cpp = { enable = true; \
                backend = \"cuda\"; microarch = \"tigerlake\"; }; system.stateVersion = \"25.05\"; }\n";
    let fleet = copy_of_repository(&[("boron", host)]);
    let updated = |args: &[&str]| {
        let output = run(fleet.path(), args);
        (code(&output), document(&output), stderr(&output))
    };
    let committed = fs::read_to_string(fleet.path().join("flake.lock")).unwrap();
    // With a lock file of GitHub inputs, the update is a dry run.
    let (code, report, message) = updated(&["update", "--testbed=old", "--json"]);
    assert_eq!((code, &report["lock"]), (0, &"unchanged".into()), "{message}");
    assert!(message.contains("testbed-dry-run"), "{message}");
    assert_eq!(fs::read_to_string(fleet.path().join("flake.lock")).unwrap(), committed);
    let findings = report["findings"].to_string();
    for word in ["curl, enableCurl", "nodejs", "useWebUi", "useRpc", "spirv-headers", "zdnn"] {
        assert!(findings.contains(word), "{word} is not in {findings}");
    }
    assert!(!findings.contains("\"error\"") && !findings.contains("\"warning\""), "{findings}");

    // A fleet with a lock file of testbed inputs.
    let name = fleet.path().to_str().unwrap().replace('/', "_");
    let lent = fleet.home().join(format!("locks/{name}-2025-08.lock"));
    let old = format!("{}\n", fs::read_to_string(lent).unwrap());
    fs::write(fleet.path().join("flake.lock"), &old).unwrap();
    let (code, report, message) = updated(&["update", "--testbed", "--json"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{message}");
    let pin = fs::read_to_string(fleet.path().join("pin.json")).unwrap();
    let rev = report["to"]["rev"].as_str().unwrap();
    assert!(pin.contains(rev) && pin.contains(report["from"]["rev"].as_str().unwrap()), "{pin}");
    let (code, report, message) = updated(&["update", "--testbed", "--to", "2025-08", "--json"]);
    assert_eq!((code, &report["lock"]), (0, &"updated".into()), "{message}");
    assert_eq!(report["backwards"], true);
    assert!(report["findings"].to_string().contains("now accepts enableCurl"), "{report}");
}

const CUDA: &str = "{ nixpkgs.config.allowUnfree = true; programs.llama-cpp = { enable = true; backend = \"cuda\"; }; system.stateVersion = \"25.05\"; }\n";
const ROCM: &str = "{ programs.llama-cpp = { enable = true; backend = \"rocm\"; }; system.stateVersion = \"25.05\"; }\n";

fn updated(fleet: &Scratch, args: &[&str]) -> (i32, Value, String) {
    let output = run(fleet.path(), &[&["update", "--testbed", "--json"], args].concat());
    (code(&output), document(&output), stderr(&output))
}

/// Returns revision and derivation of each host.
fn hosts_of(fleet: &Scratch) -> Vec<(Value, Value)> {
    let of = |args: &[&str]| document(&run(fleet.path(), args))["hosts"].clone();
    let (listed, checked) =
        (of(&["list", "--testbed", "--json"]), of(&["check", "--testbed", "--json"]));
    let pairs = listed.as_array().unwrap().iter().zip(checked.as_array().unwrap());
    pairs.map(|(listed, checked)| (listed["rev"].clone(), checked["drvPath"].clone())).collect()
}

/// In this repository's layout: CUDA breaks, ROCm does not.
#[test]
fn a_host_with_a_broken_backend_is_pinned_by_the_real_module() {
    let dir = Scratch::new();
    let plan = Plan::new("2025-08", 2).with(Breakage::CudaAttribute, 1);
    let upstream = Upstream::create(dir.path(), &plan);
    let fleet = in_testbed(&[("boron", CUDA), ("nitrogen", ROCM)], from(&upstream));
    assert_pins_boron(&fleet, &upstream, "llama-cpp");
}

/// In a fleet made from the template, whose llama.cpp is its own input or llamafleet's.
#[test]
fn a_host_with_a_broken_backend_is_pinned_in_a_template_fleet() {
    for nested in [false, true] {
        let dir = Scratch::new();
        let plan = Plan::new("2025-08", 2).with(Breakage::CudaAttribute, 1);
        let upstream = Upstream::create(dir.path(), &plan);
        let fleet = locked(template_fleet(nested), from(&upstream));
        assert_pins_boron(
            &fleet,
            &upstream,
            if nested { "llamafleet/llama-cpp" } else { "llama-cpp" },
        );
    }
}

/// Asserts that boron is pinned, nitrogen is updated, and a rollback restores both.
fn assert_pins_boron(fleet: &Scratch, upstream: &Upstream, input: &str) {
    let before = hosts_of(fleet);
    let (code, report, message) = updated(fleet, &["--input", input]);
    assert_eq!((code, &report["failedAt"]), (1, &json!("evaluate")), "{message}");
    let (code, report, message) = updated(fleet, &["--input", input, "--allow-partial"]);
    assert_eq!((code, &report["lock"]), (0, &json!("updated")), "{message}");
    assert!(message.contains("PINNED: boron"), "{message}");
    let after = hosts_of(fleet);
    // boron keeps its derivation, nitrogen has that of the trial fleet.
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

/// The template with two hosts. If `nested`, llama.cpp is an input of llamafleet only.
fn template_fleet(nested: bool) -> Scratch {
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
    git(fleet.path(), &["init", "--quiet"]);
    git(fleet.path(), &["add", "--all"]);
    fleet
}

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
    let upstream = Upstream::create(dir.path(), &plan);
    let hosts = [("beryllium", cpu("znver4")), ("helium", cpu("haswell"))];
    let hosts = hosts.each_ref().map(|(name, body)| (*name, body.as_str()));
    let fleet = in_testbed(&hosts, from(&upstream));
    let before = hosts_of(&fleet);
    let (code, report, message) = updated(&fleet, &["--allow-partial"]);
    assert_eq!((code, &report["lock"]), (0, &json!("updated")), "{message}");
    assert_eq!(report["hosts"][0]["state"], json!("held"), "{message}");
    assert_eq!(report["hosts"][1]["state"], json!("changed"), "{message}");
    assert!(message.contains("vnni-dot-products.h"), "{message}");
    let after = hosts_of(&fleet);
    assert_eq!((&after[0], &after[1].1), (&before[0], &report["hosts"][1]["after"]));
    eprintln!("{message}");
}

/// The new llama.cpp is a quarter slower.
#[test]
#[ignore = "builds llama.cpp and measures it: minutes"]
fn the_canary_rejects_a_slowdown() {
    let dir = Scratch::new();
    let plan = Plan::new("2025-08", 20).with(Breakage::SlowDown, 13);
    let upstream = Upstream::create(dir.path(), &plan);
    let fleet = in_testbed(&[("boron", CUDA)], from(&upstream));
    let lock = fs::read(fleet.path().join("flake.lock")).unwrap();
    let (code, report, message) = updated(&fleet, &["--bench", "local"]);
    eprintln!("{message}");
    assert_eq!((code, &report["failedAt"]), (1, &json!("bench")), "{message}");
    assert!(message.contains("is slower with the new revision"), "{message}");
    assert!(message.contains("cargo xtask bisect --testbed --good"), "{message}");
    assert!(message.contains("--host local --by bench"), "{message}");
    assert_eq!(fs::read(fleet.path().join("flake.lock")).unwrap(), lock);
}
