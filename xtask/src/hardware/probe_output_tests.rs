//! Recorded machines, and answers that are broken.

use crate::hardware::probe_output::*;

const NONE: &str = include_str!("../../tests/fixtures/probe/none");
const ZEN4: &str = include_str!("../../tests/fixtures/probe/zen4.cpuinfo");
const KFD: &str = include_str!("../../tests/fixtures/probe/vega20.kfd");
const SMI: &str = include_str!("../../tests/fixtures/probe/nvidia-smi.csv");
const RADV: &str = include_str!("../../tests/fixtures/probe/radv.vulkaninfo");

fn seen(sections: &[(&str, &str)]) -> Facts {
    let sections = [&[("cpuinfo", ZEN4)], sections, &[("end", "")]].concat();
    let answer: String =
        sections.iter().map(|(name, text)| format!("\n{MARK}{name}\n{text}")).collect();
    read("a", &answer, &Table::embedded().unwrap()).unwrap()
}

fn advice(facts: &Facts) -> Recommendation {
    Recommendation::new(facts, &Table::embedded().unwrap())
}

#[test]
fn a_machine_without_a_gpu_is_read_whole() {
    let facts = read("a", NONE, &Table::embedded().unwrap()).unwrap();
    assert_eq!(facts.cpu.model.as_deref(), Some("AMD EPYC"));
    assert_eq!(facts.cpu.microarch.as_deref(), Some("znver5"));
    assert!(facts.memory_bytes.is_some_and(|bytes| bytes > 20 << 30));
    assert!(facts.kernel.is_some_and(|kernel| kernel.starts_with("6.")));
    assert_eq!((facts.nix_version, facts.gpus), (None, vec![]));
}

#[test]
fn a_framework_13_is_vulkan_and_znver4() {
    // As amdgpu's uevent is; the kfd topology of a 780M, gfx1103.
    let pci = "DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:15BF\nPCI_SLOT_NAME=0000:c1:00.0\n\
               VRAM=536870912\nRENDER=renderD128\n\n";
    let kfd = "node 1\nname gfx1103\ngfx_target_version 110003\ndevice_id 5567\n";
    let facts = seen(&[("pci", pci), ("kfd", kfd), ("vulkan", RADV)]);
    let [gpu] = &facts.gpus[..] else { panic!("{:?}", facts.gpus) };
    assert_eq!(gpu.name, "AMD Radeon Graphics (RADV GFX1103_R1)");
    assert_eq!(gpu.gfx_target.as_deref(), Some("gfx1103"));
    assert_eq!(gpu.vulkan.as_deref(), Some("1.3.267"));
    assert_eq!((gpu.vram_bytes, gpu.pci.as_deref()), (Some(512 << 20), Some("1002:15bf")));
    assert_eq!(
        advice(&facts).nix(),
        "programs.llama-cpp = {\n  enable = true;\n  backend = \"vulkan\";\n  \
         microarch = \"znver4\";\n};"
    );
    // Without vulkaninfo the render node has to do.
    let facts = seen(&[("pci", pci), ("kfd", kfd)]);
    assert_eq!(facts.gpus[0].vulkan.as_deref(), Some("render-node"));
    assert_eq!(facts.gpus[0].name, "AMD gfx1103");
    assert_eq!(advice(&facts).backend, ["vulkan"]);
}

#[test]
fn cards_of_two_makers_are_one_binary() {
    let pci = "DRIVER=vfio-pci\nPCI_ID=10DE:2204\nPCI_SLOT_NAME=0000:00:01.0\n\n\
               DRIVER=nvidia\nPCI_ID=10DE:1401\nPCI_SLOT_NAME=0000:01:00.0\nRENDER=renderD128\n\n\
               DRIVER=amdgpu\nPCI_ID=1002:66A1\nPCI_SLOT_NAME=0000:03:00.0\nVRAM=34342961152\n\
               RENDER=renderD129\n\nPCI_ID=1A03:2000\n\n";
    let facts = seen(&[("pci", pci), ("kfd", KFD), ("nvidia-smi", SMI)]);
    let [nvidia, amd] = &facts.gpus[..] else { panic!("{:?}", facts.gpus) };
    assert_eq!(nvidia.name, "NVIDIA GeForce GTX 960");
    assert_eq!(nvidia.cuda_capability.as_deref(), Some("5.2"));
    assert_eq!(nvidia.driver.as_deref(), Some("570.195.03"));
    assert_eq!((nvidia.vram_bytes, nvidia.pci.as_deref()), (Some(4 << 30), Some("10de:1401")));
    assert_eq!((amd.name.as_str(), amd.gfx_target.as_deref()), ("AMD vega20", Some("gfx906")));
    let advice = advice(&facts);
    assert_eq!(advice.backend, ["cuda", "rocm"]);
    let nix = advice.nix();
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
    let facts = seen(&[("pci", pci), ("nvidia", module)]);
    assert_eq!(facts.gpus[0].name, "NVIDIA GeForce RTX 3080 Ti");
    assert_eq!(facts.gpus[0].driver.as_deref(), Some("560.35.03"));
    let report = ProbeReport::new("a", "a", facts, &Table::embedded().unwrap());
    assert_eq!(report.findings[0].code, "unknown-capability");
    assert!(report.ok);
    assert_eq!(report.recommendation.unwrap().backend, ["cpu"]);
    assert_eq!(seen(&[("pci", pci)]).gpus[0].name, "NVIDIA 10de:2208");
}

#[test]
fn columns_are_counted_from_the_right_and_what_is_not_known_is_left_out() {
    let text = "name, compute_cap, driver_version, memory.total [MiB]\n\
                NVIDIA T400, 4GB, 7.5, 550.1, 4096 MiB\nNVIDIA GB10, 12.1, 580, [N/A]\n\
                odd, 8.6\"; abort \"x, 1, 2 MiB\nhalf a line\n";
    let gpus = nvidia::smi(text);
    let capability: Vec<_> = gpus.iter().map(|gpu| gpu.cuda_capability.as_deref()).collect();
    assert_eq!(capability, [Some("7.5"), Some("12.1"), None]);
    assert_eq!(gpus[0].name, "NVIDIA T400, 4GB");
    assert_eq!(gpus[1].vram_bytes, None);
    // A driver that is too old for compute_cap, and one that is not loaded.
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
    assert_eq!(seen(&[("pci", pci), ("kfd", kfd)]).gpus[0].name, "AMD gfx1151");
    assert_eq!(seen(&[("kfd", kfd)]).gpus[0].name, "AMD gfx1151");
}

#[test]
fn targets_are_written_as_rocm_writes_them() {
    let names = [90006, 90010, 90402, 100306, 110003, 120001].map(|v| gfx_target(v).unwrap());
    assert_eq!(names, ["gfx906", "gfx90a", "gfx942", "gfx1036", "gfx1103", "gfx1201"]);
    assert_eq!(gfx_target(0), None);
    assert_eq!(gfx_target(u32::MAX), None);
}

#[test]
fn a_driver_that_is_a_program_is_no_gpu() {
    let text = "GPU0:\nx\nGPU1:\n\tvendorID = 0x10005\n\tdeviceID = 0x0\n\
                \tdeviceType = PHYSICAL_DEVICE_TYPE_CPU\n";
    assert!(vulkan_devices(text).is_empty());
    assert_eq!(vulkan_devices(RADV).len(), 1);
}

#[test]
fn half_an_answer_and_a_foreign_machine_are_refused() {
    let table = Table::embedded().unwrap();
    let half = NONE.split("#llamafleet end").next().unwrap();
    assert!(read("a", half, &table).unwrap_err().contains("incomplete"));
    let foreign = format!("{MARK}cpuinfo\nisa : rv64imafdc\n{MARK}end\n");
    assert!(read("a", &foreign, &table).unwrap_err().contains("riscv64"));
    // Greetings of a login shell, and what would steer a terminal.
    let noisy = format!("Welcome!\n{}", NONE.replace("AMD EPYC", "AMD \u{1b}[2JEPYC"));
    let facts = read("a", &noisy, &table).unwrap();
    assert_eq!(facts.cpu.model.as_deref(), Some("AMD [2JEPYC"));
}
