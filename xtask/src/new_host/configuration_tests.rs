//! Tests of the generated configurations of different machines, in tests/fixtures/new-host.
//! `UPDATE_EXPECT=1` regenerates the files; tests/it/new_host.rs evaluates them.

use std::path::Path;

use expect_test::expect_file;

use super::*;
use crate::hardware::cpu::Cpu;
use crate::hardware::facts::Gpu;

const ZEN4: &str = include_str!("../../tests/fixtures/probe/zen4.cpuinfo");

fn gpu(vendor: Vendor, change: fn(&mut Gpu)) -> Gpu {
    let mut gpu = Gpu::new(vendor, "A card");
    change(&mut gpu);
    gpu
}

#[test]
fn a_host_boots_and_is_reachable_like_its_machine() {
    let nvidia = gpu(Vendor::Nvidia, |gpu| gpu.cuda_capability = Some("6.1".into()));
    let amd = gpu(Vendor::Amd, |gpu| gpu.gfx_target = Some("gfx906".into()));
    let intel = gpu(Vendor::Intel, |gpu| gpu.vulkan = Some("1.3".into()));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/new-host");
    for (name, gpus) in [
        ("laptop", vec![nvidia]),
        ("server", vec![amd]),
        ("channels", vec![intel]),
        ("debian", vec![]),
    ] {
        let answer = std::fs::read_to_string(folder.join(name).join("machine.txt")).unwrap();
        let machine = Machine::read(&answer).unwrap();
        let facts = Facts { gpus, ..Facts::new(name, Cpu::parse(ZEN4).unwrap()) };
        let files = files(&facts, &Recommendation::new(&facts), &machine);
        for (file, text) in &files {
            expect_file![folder.join(name).join("host").join(file)].assert_eq(text);
        }
        let written = std::fs::read_dir(folder.join(name).join("host")).unwrap().count();
        assert_eq!(written, files.len(), "{name}");
    }
}

#[test]
fn the_open_kernel_module_is_for_turing_and_later() {
    for (capability, is_open) in [("6.1", false), ("7.0", false), ("7.5", true), ("12.0", true)] {
        let mut card = gpu(Vendor::Nvidia, |_| ());
        card.cuda_capability = Some(capability.into());
        let facts = Facts { gpus: vec![card], ..Facts::new("a", Cpu::parse(ZEN4).unwrap()) };
        let recommended = Recommendation::new(&facts);
        let lines = drivers(&facts, &recommended, false);
        assert!(lines.contains(&format!("open = {is_open};")), "{capability}: {lines}");
        // Later drivers ignore older GPUs.
        assert_eq!(lines.contains("branch = \"legacy_580\""), !is_open, "{capability}: {lines}");
    }
}

#[test]
fn options_of_an_imported_configuration_are_not_set_again() {
    let mut card = gpu(Vendor::Nvidia, |_| ());
    card.cuda_capability = Some("7.5".into());
    let facts = Facts { gpus: vec![card], ..Facts::new("a", Cpu::parse(ZEN4).unwrap()) };
    let generated = |text: &str| {
        let files = BTreeMap::from([("configuration.nix".to_owned(), text.to_owned())]);
        let nixos = NixosFolder { files, is_flake: false };
        let machine = Machine { nixos, ..Machine::default() };
        files_of(&facts, &machine)
    };
    let own = ["hardware.nvidia.open", "videoDrivers", "experimental-features"];
    let text = generated("{ }");
    assert!(own.iter().all(|option| text.contains(option)), "{text}");
    let text = generated(
        "{ hardware.nvidia.open = false;\n nix.settings.experimental-features = \"flakes\"; }",
    );
    assert!(!own.iter().any(|option| text.contains(option)), "{text}");
    assert!(text.contains("graphics.enable"), "{text}");
    assert!(generated("{ } # nvidia").contains("hardware.nvidia.open"));
}

fn files_of(facts: &Facts, machine: &Machine) -> String {
    files(facts, &Recommendation::new(facts), machine).remove("default.nix").unwrap()
}

#[test]
fn a_configuration_that_a_flake_cannot_evaluate_is_not_imported() {
    let folder = |files: &[(&str, &str)]| NixosFolder {
        files: files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        is_flake: false,
    };
    let reason =
        |text: &str| importable(&folder(&[("configuration.nix", text), ("web.nix", "{ }")]));
    for good in [
        "{ imports = [ ./web.nix ./hardware-configuration.nix ]; }",
        "{ a = 1 < 2; b = [ 3 ] <= [ 4 ] && 5 > 4; } # <nixpkgs>",
    ] {
        assert_eq!(reason(good), Ok(()), "{good}");
    }
    for (bad, why) in [
        ("{ imports = [ <home-manager/nixos> ]; }", "channels"),
        ("{ imports = [ ./users ]; }", "imports files"),
        ("{ imports = [./services/web.nix]; }", "imports files"),
        ("{ imports = [ ../shared.nix ]; }", "imports files"),
        ("{ imports = [ /etc/nixos/cachix.nix ]; }", "imports files"),
    ] {
        let found = reason(bad).unwrap_err().unwrap();
        assert!(found.contains(why), "{bad}: {found}");
    }
    assert_eq!(importable(&folder(&[])), Err(None));
    assert_eq!(importable(&folder(&[("hardware-configuration.nix", "{ }")])), Err(None));
}
