//! Tests with recorded machines and with damaged output.

use crate::fleet::manifest::Manifest;
use crate::hardware::probe_output::*;

const NONE: &str = include_str!("../../tests/fixtures/probe/none");
const ZEN4: &str = include_str!("../../tests/fixtures/probe/zen4.cpuinfo");
const KFD: &str = include_str!("../../tests/fixtures/probe/vega20.kfd");
const SMI: &str = include_str!("../../tests/fixtures/probe/nvidia-smi.csv");
const RADV: &str = include_str!("../../tests/fixtures/probe/radv.vulkaninfo");

fn read_sections(sections: &[(&str, &str)]) -> Facts {
    let sections = [&[("cpuinfo", ZEN4)], sections, &[("end", "")]].concat();
    let answer: String =
        sections.iter().map(|(name, text)| format!("\n{MARK}{name}\n{text}")).collect();
    read("a", &answer).unwrap()
}

fn recommendation(facts: &Facts) -> Recommendation {
    Recommendation::new(facts)
}

#[test]
fn a_machine_without_a_gpu_is_read_whole() {
    let facts = read("a", NONE).unwrap();
    assert_eq!(facts.cpu.model.as_deref(), Some("AMD EPYC"));
    assert_eq!(facts.cpu.microarch.as_deref(), Some("znver5"));
    assert!(facts.memory_bytes.is_some_and(|bytes| bytes > 20 << 30));
    assert!(facts.kernel.is_some_and(|kernel| kernel.starts_with("6.")));
    assert_eq!((facts.nix_version, facts.gpus), (None, vec![]));
}

#[test]
fn a_framework_13_is_vulkan_and_znver4() {
    // amdgpu's uevent, and the kfd topology of a 780M, gfx1103.
    let pci = "DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:15BF\nPCI_SLOT_NAME=0000:c1:00.0\n\
               VRAM=536870912\nRENDER=renderD128\n\n";
    let kfd = "node 1\nname gfx1103\ngfx_target_version 110003\ndevice_id 5567\n";
    let facts = read_sections(&[("pci", pci), ("kfd", kfd), ("vulkan", RADV)]);
    let [gpu] = &facts.gpus[..] else { panic!("{:?}", facts.gpus) };
    assert_eq!(gpu.name, "AMD Radeon Graphics (RADV GFX1103_R1)");
    assert_eq!(gpu.gfx_target.as_deref(), Some("gfx1103"));
    assert_eq!(gpu.vulkan.as_deref(), Some("1.3.267"));
    assert_eq!((gpu.vram_bytes, gpu.pci.as_deref()), (Some(512 << 20), Some("1002:15bf")));
    assert_eq!(
        recommendation(&facts).nix(),
        "programs.llama-cpp = {\n  enable = true;\n  backend = \"vulkan\";\n  \
         microarch = \"znver4\";\n};"
    );
    // Without vulkaninfo, the render node is used.
    let facts = read_sections(&[("pci", pci), ("kfd", kfd)]);
    assert_eq!(facts.gpus[0].vulkan.as_deref(), Some("render-node"));
    assert_eq!(facts.gpus[0].name, "AMD gfx1103");
    assert_eq!(recommendation(&facts).backend, ["vulkan"]);
}

#[test]
fn cards_of_two_vendors_get_one_build() {
    let pci = "DRIVER=vfio-pci\nPCI_ID=10DE:2204\nPCI_SLOT_NAME=0000:00:01.0\n\n\
               DRIVER=nvidia\nPCI_ID=10DE:1401\nPCI_SLOT_NAME=0000:01:00.0\nRENDER=renderD128\n\n\
               DRIVER=amdgpu\nPCI_ID=1002:66A1\nPCI_SLOT_NAME=0000:03:00.0\nVRAM=34342961152\n\
               RENDER=renderD129\n\nPCI_ID=1A03:2000\n\n";
    let facts = read_sections(&[("pci", pci), ("kfd", KFD), ("nvidia-smi", SMI)]);
    let [nvidia, amd] = &facts.gpus[..] else { panic!("{:?}", facts.gpus) };
    assert_eq!(nvidia.name, "NVIDIA GeForce GTX 960");
    assert_eq!(nvidia.cuda_capability.as_deref(), Some("5.2"));
    assert_eq!(nvidia.driver.as_deref(), Some("570.195.03"));
    assert_eq!((nvidia.vram_bytes, nvidia.pci.as_deref()), (Some(4 << 30), Some("10de:1401")));
    assert_eq!((amd.name.as_str(), amd.gfx_target.as_deref()), ("AMD vega20", Some("gfx906")));
    let recommended = recommendation(&facts);
    assert_eq!(recommended.backend, ["cuda", "rocm"]);
    let nix = recommended.nix();
    assert!(nix.contains("backend = [\n    \"cuda\"\n    \"rocm\"\n  ];"), "{nix}");
    assert!(nix.contains("cudaCapabilities = [ \"5.2\" ];"), "{nix}");
    assert!(nix.contains("rocmTargets = [ \"gfx906\" ];"), "{nix}");
    assert!(nix.contains("allowUnfree"), "{nix}");
}

#[test]
fn an_nvidia_card_without_nvidia_smi_is_named_and_its_capability_asked_for() {
    let pci = "DRIVER=nvidia\nPCI_ID=10DE:2208\nPCI_SLOT_NAME=0000:01:00.0\n\n";
    let module = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release\n\
                  GCC version: gcc 13.3.0\nModel: \t\t NVIDIA GeForce RTX 3080 Ti\n\
                  Bus Location: \t 0000:01:00.0\n";
    let facts = read_sections(&[("pci", pci), ("nvidia", module)]);
    // The host has the driver already.
    assert!(!unknown(&facts)[0].help.contains("videoDrivers"));
    assert_eq!(facts.gpus[0].name, "NVIDIA GeForce RTX 3080 Ti");
    assert_eq!(facts.gpus[0].driver.as_deref(), Some("560.35.03"));
    let report = ProbeReport::new("a", "a", Ok(facts));
    assert_eq!(report.findings[0].code, "unknown-capability");
    assert!(report.ok);
    assert_eq!(report.recommendation.unwrap().backend, ["cpu"]);
    assert_eq!(read_sections(&[("pci", pci)]).gpus[0].name, "NVIDIA 10de:2208");
    let broken = module.replace("NVIDIA GeForce RTX 3080 Ti", "Unknown");
    assert_eq!(
        read_sections(&[("pci", pci), ("nvidia", &broken)]).gpus[0].name,
        "NVIDIA 10de:2208"
    );
}

#[test]
fn columns_are_counted_from_the_right_and_unknown_values_left_out() {
    let text = "name, compute_cap, driver_version, memory.total [MiB]\n\
                NVIDIA T400, 4GB, 7.5, 550.1, 4096 MiB\nNVIDIA GB10, 12.1, 580, [N/A]\n\
                odd, 8.6\"; abort \"x, 1, 2 MiB\nhalf a line\n";
    let gpus = nvidia::smi(text);
    let capability: Vec<_> = gpus.iter().map(|gpu| gpu.cuda_capability.as_deref()).collect();
    assert_eq!(capability, [Some("7.5"), Some("12.1"), None]);
    assert_eq!(gpus[0].name, "NVIDIA T400, 4GB");
    assert_eq!(gpus[1].vram_bytes, None);
    // A driver that is too old for compute_cap, and a driver that is not loaded.
    let old =
        nvidia::smi("name, driver_version, memory.total [MiB]\nTesla K80, 470.1, 11441 MiB\n");
    assert_eq!(old[0].driver.as_deref(), Some("470.1"));
    assert!(nvidia::smi("NVIDIA-SMI has failed because it couldn't communicate\n").is_empty());
}

/// Since GFX11, amdgpu gives every GPU the same name.
#[test]
fn a_gpu_is_not_named_after_its_discovery() {
    let pci = "PCI_ID=1002:1586\nPCI_SLOT_NAME=0000:c6:00.0\nDRIVER=amdgpu\n\n";
    let kfd = "node 1\nname ip discovery\ngfx_target_version 110501\ndevice_id 5510\n";
    assert_eq!(read_sections(&[("pci", pci), ("kfd", kfd)]).gpus[0].name, "AMD gfx1151");
    assert_eq!(read_sections(&[("kfd", kfd)]).gpus[0].name, "AMD gfx1151");
}

#[test]
fn targets_are_written_as_rocm_writes_them() {
    let names = [90006, 90010, 90402, 100306, 110003, 120001].map(|v| gfx_target(v).unwrap());
    assert_eq!(names, ["gfx906", "gfx90a", "gfx942", "gfx1036", "gfx1103", "gfx1201"]);
    assert_eq!(gfx_target(0), None);
    assert_eq!(gfx_target(u32::MAX), None);
}

fn device(vendor: &str, device: &str, kind: &str, name: &str) -> String {
    format!(
        "GPU0:\n\tapiVersion = 1.4.318\n\tvendorID = {vendor}\n\tdeviceID = {device}\n\
         \tdeviceType = PHYSICAL_DEVICE_TYPE_{kind}\n\tdeviceName = {name}\n"
    )
}

/// vulkaninfo's lists on SoCs, in WSL, in containers and in virtual machines.
#[test]
fn a_gpu_that_only_vulkan_lists_is_read() {
    let kind = |gpu: &Gpu| (gpu.vendor, gpu.vulkan.is_some());
    for (vendor, id, kind_of, name, is, backend) in [
        ("0x1002", "0x73df", "DISCRETE_GPU", "Radeon RX 6700 XT", Vendor::Amd, "vulkan"),
        ("0x8086", "0xe20b", "DISCRETE_GPU", "Intel(R) Arc(tm) B580", Vendor::Intel, "vulkan"),
        ("0x8086", "0xa7a0", "INTEGRATED_GPU", "Intel(R) Graphics", Vendor::Intel, "cpu"),
        ("0x10de", "0x2684", "DISCRETE_GPU", "Virtio-GPU Venus (x)", Vendor::Nvidia, "vulkan"),
        ("0x10005", "0x0", "INTEGRATED_GPU", "Apple M1 Max (G13C C0)", Vendor::Other, "cpu"),
        ("0x5143", "0x43050a01", "INTEGRATED_GPU", "Turnip Adreno", Vendor::Other, "cpu"),
    ] {
        let facts = read_sections(&[("vulkan", &device(vendor, id, kind_of, name))]);
        let [gpu] = &facts.gpus[..] else { panic!("{:?}", facts.gpus) };
        assert_eq!((gpu.name.as_str(), kind(gpu)), (name, (is, true)));
        let report = ProbeReport::new("a", "a", Ok(facts));
        assert_eq!(report.findings, [], "{name}");
        assert_eq!(report.recommendation.unwrap().backend, [backend], "{name}");
    }
    // WSL: nvidia-smi lists the GPU, too.
    let dozen = device("0x10de", "0x21c4", "DISCRETE_GPU", "Microsoft Direct3D12 (NVIDIA x)");
    let facts = read_sections(&[("nvidia-smi", SMI), ("vulkan", &dozen)]);
    let [gpu] = &facts.gpus[..] else { panic!("{:?}", facts.gpus) };
    assert_eq!((gpu.cuda_capability.as_deref(), kind(gpu)), (Some("5.2"), (Vendor::Nvidia, true)));
    // A container without PCI, and a GPU with two drivers.
    let node = "node 1\nname vega20\ngfx_target_version 90006\ndevice_id 26273\n";
    let twice = device("0x1002", "0x66a1", "DISCRETE_GPU", "AMD Radeon VII").repeat(2);
    let facts = read_sections(&[("kfd", node), ("vulkan", &twice)]);
    let [gpu] = &facts.gpus[..] else { panic!("{:?}", facts.gpus) };
    assert_eq!((gpu.gfx_target.as_deref(), kind(gpu)), (Some("gfx906"), (Vendor::Amd, true)));
    // A GPU that is reserved for a virtual machine.
    let pci = "DRIVER=vfio-pci\nPCI_ID=10DE:21C4\nPCI_SLOT_NAME=0000:01:00.0\n\n";
    assert_eq!(read_sections(&[("pci", pci), ("vulkan", &dozen)]).gpus, []);
}

#[test]
fn the_gpu_of_an_soc_is_seen_without_vulkaninfo() {
    let drm = "DRIVER=asahi\nOF_NAME=gpu\nOF_COMPATIBLE_0=apple,agx-t6001\n\nDRIVER=vgem\n\n";
    let facts = read_sections(&[("drm", drm)]);
    let [gpu] = &facts.gpus[..] else { panic!("{:?}", facts.gpus) };
    assert_eq!(gpu.name, "apple,agx-t6001 (asahi)");
    assert_eq!((gpu.vulkan.as_deref(), gpu.unified_memory), (Some("render-node"), true));
    assert_eq!(recommendation(&facts).backend, ["cpu"]);
}

#[test]
fn a_render_node_of_a_driver_without_vulkan_does_not_count() {
    for (driver, id) in [("nouveau", "10DE:1C03"), ("radeon", "1002:6759")] {
        let pci = format!("DRIVER={driver}\nPCI_ID={id}\nRENDER=renderD128\n\n");
        let facts = read_sections(&[("pci", &pci)]);
        assert_eq!((facts.gpus.len(), &facts.gpus[0].vulkan), (1, &None), "{driver}");
        assert_eq!(recommendation(&facts).backend, ["cpu"], "{driver}");
    }
}

#[test]
fn an_npu_is_not_a_gpu_but_an_amd_accelerator_is() {
    let npu = "DRIVER=intel_vpu\nPCI_CLASS=120000\nPCI_ID=8086:7D1D\n\n";
    assert_eq!(read_sections(&[("pci", npu)]).gpus, []);
    let mi300x = "DRIVER=amdgpu\nPCI_CLASS=120000\nPCI_ID=1002:74A1\n\n";
    assert_eq!(read_sections(&[("pci", mi300x)]).gpus.len(), 1);
}

/// An integrated GPU uses the machine's memory, also without vulkaninfo.
#[test]
fn an_integrated_gpu_is_recognized_by_its_target() {
    let memory = |target: &str| {
        let kfd = format!("node 1\ngfx_target_version {target}\ndevice_id 5567\n");
        let pci = "DRIVER=amdgpu\nPCI_ID=1002:15BF\nVRAM=536870912\n\n";
        let facts =
            read_sections(&[("pci", pci), ("kfd", &kfd), ("meminfo", "MemTotal: 1048576 kB\n")]);
        facts.memory_of(&facts.gpus[0])
    };
    assert_eq!(["110003", "110501", "90012"].map(memory), [Some(1 << 30); 3]);
    assert_eq!(memory("110000"), Some(512 << 20));
}

#[test]
fn an_nvidia_card_that_nvidia_smi_omits_replaces_no_other() {
    let pci = "PCI_ID=10DE:1B38\nPCI_SLOT_NAME=0000:01:00.0\n\n\
               DRIVER=nvidia\nPCI_ID=10DE:1401\nPCI_SLOT_NAME=0000:02:00.0\n\n";
    let facts = read_sections(&[("pci", pci), ("nvidia-smi", SMI)]);
    let [listed, other] = &facts.gpus[..] else { panic!("{:?}", facts.gpus) };
    assert_eq!(
        (listed.pci.as_deref(), other.pci.as_deref()),
        (Some("10de:1401"), Some("10de:1b38"))
    );
    let report = ProbeReport::new("a", "a", Ok(facts));
    let [finding] = &report.findings[..] else { panic!("{:?}", report.findings) };
    assert!(finding.message.contains("nvidia-smi does not list it"), "{finding:?}");
    assert_eq!(report.recommendation.unwrap().backend, ["cuda"]);
}

#[test]
fn columns_may_be_in_any_order() {
    let text = "index, name, memory.total [MiB], compute_cap\n0, NVIDIA T400, 4GB, 4096, 7.5\n";
    let [gpu] = &nvidia::smi(text)[..] else { panic!() };
    assert_eq!(
        (gpu.name.as_str(), gpu.cuda_capability.as_deref()),
        ("NVIDIA T400, 4GB", Some("7.5"))
    );
    assert_eq!(gpu.vram_bytes, Some(4 << 30));
}

#[test]
fn the_error_of_one_gpu_of_several_is_quoted() {
    let header = "name, compute_cap, driver_version, memory.total [MiB]\n";
    let good = "NVIDIA L4, 8.9, 580.95, 23034 MiB\n";
    for (line, words) in [
        ("NVIDIA L4, [GPU requires reset], 580.95, [GPU requires reset]\n", "[GPU requires reset]"),
        ("Unable to determine the device handle for GPU1: 0000:34:00.0: Unknown Error\n", "GPU1"),
        ("[Unknown Error], [Unknown Error], 580.95, [N/A]\n", "GPU: [Unknown Error]"),
    ] {
        let message = nvidia::smi_error(&format!("{header}{good}{line}")).unwrap();
        assert!(message.contains(words), "{message}");
    }
    for line in ["", "NVIDIA GB10, 12.1, 580.95.05, [N/A]\n", "WARNING: infoROM is corrupted\n"] {
        assert_eq!(nvidia::smi_error(&format!("{header}{good}{line}")), None);
    }
}

const FAILED: &str =
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n";

/// Drivers from 590 on ignore a GTX 1050 and a P40. The last is a Turing.
#[test]
fn the_driver_for_older_gpus_is_named() {
    for (id, driver, code, is_legacy) in [
        ("1C8D", "", "nvidia-smi", true),
        ("1B38", "DRIVER=nouveau\n", "nvidia-smi", true),
        ("1B38", "DRIVER=nvidia\n", "nvidia-smi", false),
        ("1E04", "", "nvidia-smi", false),
        ("1B38", "DRIVER=nouveau\n", "wrong-driver", true),
        ("1B38", "", "unknown-capability", true),
        ("1E04", "DRIVER=nouveau\n", "wrong-driver", false),
    ] {
        let pci = format!("{driver}PCI_CLASS=30200\nPCI_ID=10DE:{id}\n\n");
        let smi = if code == "nvidia-smi" { FAILED } else { "" };
        let facts = read_sections(&[("pci", &pci), ("nvidia-smi", smi)]);
        let [finding] = &unknown(&facts)[..] else { panic!("{facts:?}") };
        assert_eq!(
            (finding.code, finding.help.contains("legacy_580")),
            (code, is_legacy),
            "{id} {driver}"
        );
    }
}

/// A GT 620M, which NVIDIA's current drivers ignore, too.
#[test]
fn a_gpu_from_before_maxwell_is_recognized_by_its_number() {
    let variant = Manifest::with(&serde_json::json!({
        "backends": ["cuda"], "microarch": "znver4", "cudaCapabilities": ["8.6"],
    }));
    for driver in ["nouveau", "nvidia"] {
        let pci = format!("DRIVER={driver}\nPCI_ID=10DE:1140\n\n");
        let facts = read_sections(&[("pci", &pci)]);
        for found in [unknown(&facts), rules::findings(&variant, &facts)] {
            let [finding] = &found[..] else { panic!("{driver}: {found:?}") };
            assert_eq!(finding.code, "cuda-version", "{driver}");
        }
    }
}

#[test]
fn nvidia_smi_fails_if_the_only_card_is_reserved_for_a_virtual_machine() {
    let pci = "DRIVER=vfio-pci\nPCI_ID=10DE:2204\n\n";
    let facts = read_sections(&[("pci", pci), ("nvidia-smi", FAILED)]);
    assert_eq!((unknown(&facts), facts.gpus), (vec![], vec![]));
}

#[test]
fn incomplete_output_and_an_unsupported_machine_are_rejected() {
    let half = NONE.split("#llamafleet end").next().unwrap();
    assert!(read("a", half).unwrap_err().contains("incomplete"));
    let foreign = format!("{MARK}cpuinfo\nisa : rv64imafdc\n{MARK}end\n");
    assert!(read("a", &foreign).unwrap_err().contains("riscv64"));
    // A login shell's greeting, and terminal control characters.
    let noisy = format!("Welcome!\n{}", NONE.replace("AMD EPYC", "AMD \u{1b}[2JEPYC"));
    let facts = read("a", &noisy).unwrap();
    assert_eq!(facts.cpu.model.as_deref(), Some("AMD [2JEPYC"));
}
