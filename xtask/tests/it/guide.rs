//! The guide's smallest example, pasted into an empty repository.

use std::fs;

use crate::support::{Scratch, json, nix_in_testbed, repository, run, stderr, stdout};

/// Returns the guide's Nix block that begins with the line `first`, without that line.
fn block(guide: &str, first: &str) -> String {
    let (_, rest) = guide.split_once(&format!("```nix\n{first}\n")).unwrap();
    rest.split_once("\n```").unwrap().0.to_owned()
}

/// Compiles all of llama.cpp, which takes minutes the first time.
#[test]
fn the_guides_example_evaluates_and_builds() {
    let guide = fs::read_to_string(repository().join("docs/guide.md")).unwrap();
    let fleet = Scratch::new();
    let overlay = block(&guide, "# nixos/pkgs/llama-cpp.nix");
    assert!(overlay.lines().count() <= 30, "{overlay}");
    fleet.write("nixos/pkgs/llama-cpp.nix", &overlay);
    for machine in ["boron", "beryllium"] {
        let text = block(&guide, &format!("# machines/{machine}.nix"));
        fleet.write(&format!("machines/{machine}.nix"), &text);
    }
    fleet.write(
        "flake.nix",
        &format!(
            "{{
  inputs = {{
    nixpkgs.url = \"github:nixos/nixpkgs/nixos-unstable\";
    {}
  }};
  outputs = inputs: {{
    nixosConfigurations = inputs.nixpkgs.lib.genAttrs [ \"boron\" \"beryllium\" ] (name:
      inputs.nixpkgs.lib.nixosSystem {{
        system = \"x86_64-linux\";
        specialArgs = {{ inherit inputs; }};
        modules = [ ./machines/${{name}}.nix ];
      }});
  }};
}}",
            block(&guide, "# flake.nix, in `inputs`")
        ),
    );
    // This only writes the lock file with the testbed's inputs; no host uses the module.
    run(fleet.path(), &["check", "--testbed"]);
    let of = |host: &str, attribute: &str| {
        format!("{}#nixosConfigurations.{host}.{attribute}", fleet.path().display())
    };
    let flags = nix_in_testbed(&fleet, ["eval", "--json"])
        .arg(of("boron", "pkgs.llama-cpp.cmakeFlags"))
        .output()
        .unwrap();
    assert!(flags.status.success(), "{}", stderr(&flags));
    let flags: Vec<String> = serde_json::from_value(json(&flags)).unwrap();
    // The last flag counts.
    let value = |name: &str| {
        let prefix = format!("-D{name}:");
        let flag = flags.iter().rfind(|flag| flag.starts_with(&prefix));
        flag.and_then(|flag| flag.split_once('=')).map(|(_, value)| value)
    };
    for (name, expected) in [
        ("GGML_CUDA", "TRUE"),
        ("GGML_NATIVE", "FALSE"),
        ("GGML_AVX512_VBMI", "TRUE"),
        ("GGML_AVX512_BF16", "FALSE"),
        ("GGML_AMX_INT8", "FALSE"),
        ("CMAKE_CUDA_ARCHITECTURES", "75"),
    ] {
        assert_eq!(value(name), Some(expected), "{name}: {flags:?}");
    }

    let built = nix_in_testbed(&fleet, ["build", "--no-link", "--print-out-paths"])
        .arg(of("beryllium", "pkgs.llama-cpp"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", stderr(&built));
    let package = stdout(&built);
    let bench = package.lines().map(|path| format!("{path}/bin/llama-bench"));
    assert!(bench.into_iter().any(|file| fs::exists(file).unwrap()), "{package}");
}
