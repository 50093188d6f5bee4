//! Common mistakes with the real module and overlay: `check` names the host, the option and the
//! fix. On the testbed, which `cargo xtask test` sets up.

use crate::support::{code, copy_of_repository as fleet, json, run, stderr};
use serde_json::Value;

fn host<'a>(report: &'a Value, name: &str) -> &'a Value {
    let hosts = report["hosts"].as_array().unwrap();
    hosts.iter().find(|host| host["host"] == name).unwrap()
}

#[test]
fn each_mistake_is_reported_with_its_option_and_its_fix() {
    let llama = |settings: &str| {
        format!(
            "{{\n  programs.llama-cpp = {{\n    enable = true;\n    {settings}\n  }};\n  system.stateVersion = \"25.05\";\n}}\n"
        )
    };
    let cases = [
        ("good", r#"microarch = "znver4";"#, "ok", &[][..]),
        (
            "unfree",
            r#"backend = "cuda";"#,
            "finding",
            &["programs.llama-cpp.backend", "nixpkgs.config.allowUnfree = true"],
        ),
        (
            "dotless",
            r#"backend = "cuda"; cudaCapabilities = [ "75" ];"#,
            "finding",
            &["programs.llama-cpp.cudaCapabilities", "\"7.5\""],
        ),
        (
            "unknown-cpu",
            r#"microarch = "tigerlak";"#,
            "finding",
            &["programs.llama-cpp.microarch", "tigerlake"],
        ),
        (
            "foreign-cpu",
            r#"microarch = "cortex-a76";"#,
            "finding",
            &["programs.llama-cpp.microarch"],
        ),
        (
            "no-such-gpu",
            r#"backend = "rocm"; rocmTargets = [ "906" ];"#,
            "finding",
            &["programs.llama-cpp.rocmTargets", "gfx906"],
        ),
        (
            "native",
            r#"extraCmakeFlags = [ "-DGGML_NATIVE=ON" ];"#,
            "finding",
            &["GGML_NATIVE", "programs.llama-cpp.microarch"],
        ),
        (
            "wrong-backend",
            r#"backend = "metal";"#,
            "eval-error",
            &["programs.llama-cpp.backend", "metal"],
        ),
        (
            "typo",
            r#"microarchs = "znver4";"#,
            "eval-error",
            &["programs.llama-cpp.microarchs", "does not exist"],
        ),
    ];
    let bodies: Vec<_> =
        cases.iter().map(|(name, settings, ..)| (*name, llama(settings))).collect();
    let hosts: Vec<_> = bodies.iter().map(|(name, body)| (*name, body.as_str())).collect();
    let fleet = fleet(&hosts);
    let output = run(fleet.path(), &["check", "--testbed", "--json"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    for (name, _, state, expected) in cases {
        let host = host(&report, name);
        assert_eq!(host["state"], state, "{name}: {host}");
        let findings = host["findings"].to_string().replace("\\\"", "\"");
        for text in expected {
            assert!(findings.contains(text), "{name}: {text} not in {findings}");
        }
        if state != "ok" {
            assert_eq!(
                host["findings"][0]["file"],
                format!("hosts/{name}/default.nix"),
                "{findings}"
            );
            assert_eq!(host["findings"][0]["line"], 4, "{findings}");
        }
    }
    let shown = stderr(&run(fleet.path(), &["check", "typo", "--testbed"]));
    let source =
        shown.split("--> hosts/typo/default.nix:4").nth(1).unwrap_or_else(|| panic!("{shown}"));
    let lines: Vec<_> = source.lines().take(4).collect();
    assert!(lines[2].starts_with("4 | ") && lines[2].contains("microarchs"), "{shown}");
    assert!(lines[3].contains("| ") && lines[3].contains("^^^"), "{shown}");
}

#[test]
fn rocm_support_in_nixpkgs_config_does_not_change_a_vulkan_build() {
    let fleet = fleet(&[(
        "amd",
        "{ nixpkgs.config.rocmSupport = true; programs.llama-cpp = { enable = true; backend = \"vulkan\"; }; system.stateVersion = \"25.05\"; }",
    )]);
    let output = run(fleet.path(), &["check", "--testbed", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let flags = json(&output)["hosts"][0]["cmakeFlags"].to_string();
    assert!(
        flags.contains("GGML_HIP:BOOL=FALSE") && flags.contains("GGML_VULKAN:BOOL=TRUE"),
        "{flags}"
    );
}
