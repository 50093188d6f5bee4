//! What a CPU's model number says about its cores.
//!
//! Pure: no I/O, no clock.

use crate::hardware::cpu::{Arch, Identity};
use crate::hardware::microarch::Table;

/// Returns the name of an ARM core. Apple's part numbers come in pairs of P and E cores.
pub fn core_name(part: &Identity) -> String {
    match (part.vendor.as_str(), Table::embedded().names_of(Arch::Aarch64, part).first()) {
        ("0x61", _) => if part.model % 2 == 1 { "P" } else { "E" }.to_owned(),
        (_, Some(name)) => (*name).to_owned(),
        (vendor, None) => format!("{vendor}/{:#05x}", part.model),
    }
}

/// Whether this CPU may have P-cores and E-cores, as most of these models do.
pub fn is_hybrid(cpu: &Identity) -> bool {
    const MODELS: [u32; 15] =
        [0x8a, 0x97, 0x9a, 0xaa, 0xac, 0xb5, 0xb7, 0xba, 0xbd, 0xbf, 0xc5, 0xc6, 0xcc, 0xd5, 0xd7];
    // Nova Lake is family 18.
    let is_listed = cpu.family == 6 && MODELS.contains(&cpu.model) || cpu.family == 18;
    cpu.vendor == "GenuineIntel" && is_listed
}

/// Whether all CPUs with this model number have two kinds of cores.
pub fn is_always_hybrid(cpu: &Identity) -> bool {
    const MODELS: [u32; 8] = [0x8a, 0xaa, 0xac, 0xb5, 0xbd, 0xc5, 0xcc, 0xd5];
    is_hybrid(cpu) && cpu.family == 6 && MODELS.contains(&cpu.model)
}
