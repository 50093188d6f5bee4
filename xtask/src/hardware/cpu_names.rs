//! Which name of microarch.json a CPU goes by, from the numbers it tells. Used only
//! to choose among names that mean the same instructions: a wrong or missing row
//! here costs a less familiar name, never a wrong build.
//!
//! Pure: no I/O, no clock.

use crate::hardware::cpu::Identity;

/// The usual name of this CPU, where it is known.
pub fn usual_name(cpu: &Identity) -> Option<&'static str> {
    match cpu.vendor.as_str() {
        "AuthenticAMD" => amd(cpu.family, cpu.model),
        "GenuineIntel" if cpu.family == 6 => intel(cpu.model),
        "0x41" => arm(cpu.model),
        "0x46" if cpu.model == 0x001 => Some("a64fx"),
        "0x61" if (0x20..0x30).contains(&cpu.model) => Some("apple-m1"),
        "0x61" if (0x30..0x40).contains(&cpu.model) => Some("apple-m2"),
        "0xc0" if cpu.model == 0xac3 => Some("ampere1"),
        "0xc0" if cpu.model == 0xac4 => Some("ampere1a"),
        _ => None,
    }
}

/// What to call one of an ARM CPU's kinds of cores. Apple's parts come in pairs.
pub fn core_name(part: &Identity) -> String {
    match (part.vendor.as_str(), usual_name(part)) {
        ("0x61", _) => if part.model % 2 == 1 { "P" } else { "E" }.to_owned(),
        (_, Some(name)) => name.to_owned(),
        (vendor, None) => format!("{vendor}/{:#05x}", part.model),
    }
}

/// Whether this CPU may have P-cores and E-cores; most of these do.
pub fn is_hybrid(cpu: &Identity) -> bool {
    const MODELS: [u32; 13] =
        [0x8a, 0x97, 0x9a, 0xaa, 0xac, 0xb5, 0xb7, 0xba, 0xbd, 0xbf, 0xc5, 0xc6, 0xcc];
    cpu.vendor == "GenuineIntel" && cpu.family == 6 && MODELS.contains(&cpu.model)
}

/// Ranges as in Linux' arch/x86/kernel/cpu/amd.c.
fn amd(family: u32, model: u32) -> Option<&'static str> {
    Some(match (family, model) {
        (0x17, 0x00..=0x2f) => "znver1",
        (0x17, _) => "znver2",
        (0x19, 0x00..=0x0f | 0x20..=0x5f) => "znver3",
        (0x19, _) => "znver4",
        (0x1a, _) => "znver5",
        _ => return None,
    })
}

/// Numbers as in Linux' arch/x86/include/asm/intel-family.h.
fn intel(model: u32) -> Option<&'static str> {
    Some(match model {
        0x1a | 0x1e | 0x1f | 0x2e => "nehalem",
        0x25 | 0x2c | 0x2f => "westmere",
        0x2a | 0x2d => "sandybridge",
        0x3a | 0x3e => "ivybridge",
        0x3c | 0x3f | 0x45 | 0x46 => "haswell",
        0x3d | 0x47 | 0x4f | 0x56 => "broadwell",
        0x4e | 0x5e | 0x8e | 0x9e | 0xa5 | 0xa6 => "skylake",
        0x55 => "skylake-avx512",
        0x5c | 0x5f => "goldmont",
        0x7a => "goldmont-plus",
        0x86 | 0x96 | 0x9c => "tremont",
        0x6a | 0x6c => "icelake-server",
        0x7d | 0x7e => "icelake-client",
        0x8c | 0x8d => "tigerlake",
        0xa7 => "rocketlake",
        0x97 | 0x9a => "alderlake",
        0xb7 | 0xba | 0xbf => "raptorlake",
        0xaa | 0xac => "meteorlake",
        0xb5 | 0xc5 | 0xc6 => "arrowlake",
        0xaf => "sierraforest",
        0x8f => "sapphirerapids",
        0xcf => "emeraldrapids",
        _ => return None,
    })
}

/// Arm's own parts, as in Linux' arch/arm64/include/asm/cputype.h.
fn arm(part: u32) -> Option<&'static str> {
    Some(match part {
        0xd03 => "cortex-a53",
        0xd05 => "cortex-a55",
        0xd07 => "cortex-a57",
        0xd08 => "cortex-a72",
        0xd09 => "cortex-a73",
        0xd0a => "cortex-a75",
        0xd0b => "cortex-a76",
        0xd0c => "neoverse-n1",
        0xd0d => "cortex-a77",
        0xd40 => "neoverse-v1",
        0xd41 => "cortex-a78",
        0xd44 => "cortex-x1",
        0xd47 => "cortex-a710",
        0xd48 => "cortex-x2",
        0xd49 => "neoverse-n2",
        0xd4d => "cortex-a715",
        0xd4e => "cortex-x3",
        0xd4f => "neoverse-v2",
        0xd81 => "cortex-a720",
        _ => return None,
    })
}
