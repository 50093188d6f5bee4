//! Tests with complete and damaged output of the script.

use crate::bench::target_state::*;

/// Output of a laptop with two cores, on battery, warm, with swap in use, composed from the examples
/// in the documentation of the kernel and of nvidia-smi.
const LAPTOP: &str = "
motd of the day
#llamafleet cpuinfo
processor\t: 0
processor\t: 1
#llamafleet meminfo
MemTotal:       16000000 kB
MemAvailable:    8000000 kB
SwapTotal:       2000000 kB
SwapFree:        1000000 kB
#llamafleet kernel
6.12.1
#llamafleet load
1.25 0.80 0.40 2/512 4711
#llamafleet governor
governor=powersave
governor=powersave
driver=acpi-cpufreq
#llamafleet throttle
core_throttle_count=3
package_throttle_count=4
#llamafleet power

type=Mains
online=0

type=Battery
status=Discharging

type=Battery
status=Full
scope=Device
#llamafleet memory-limit
limit=4096000000
used=1096000000
#llamafleet oom
oom_kill=2
#llamafleet devices
usable /dev/dri/renderD128
forbidden /dev/kfd
#llamafleet vulkan-drivers
/usr/share/vulkan/icd.d/radeon_icd.x86_64.json
#llamafleet gpu-state
3456, 0x0000000000000020
#llamafleet benches
4711 alice
4712 1001
#llamafleet room
store /dev/disk/by id/x  100000 60000 40000 60% /nix
cache tmpfs 1000 0 1000 0% /home
#llamafleet store
asked
program
daemon
there
{\"trusted\":false,\"url\":\"daemon\",\"version\":\"2.26.3\"}
#llamafleet end
";

#[test]
fn every_section_is_read() {
    let seen = TargetState::read(LAPTOP, vec![]);
    let conditions = &seen.conditions;
    assert_eq!(conditions.load_average, Some(1.25));
    assert_eq!(conditions.processors, 2);
    assert_eq!(conditions.governors, BTreeSet::from(["powersave".to_owned()]));
    assert_eq!(conditions.cpufreq_driver.as_deref(), Some("acpi-cpufreq"));
    // The container's limit is the lower one.
    assert_eq!(conditions.memory_available_bytes, Some(3_000_000_000));
    assert_eq!(conditions.swap_used_bytes, Some(1_024_000_000));
    assert_eq!(conditions.on_battery, Some(true));
    assert_eq!(conditions.throttle_events, Some(7));
    assert_eq!(conditions.oom_kills, Some(2));
    assert_eq!(conditions.vram_free_bytes, [3456 << 20]);
    assert_eq!(conditions.gpu_throttle_reasons, [0x20]);
    assert!(!seen.devices["/dev/kfd"]);
    assert!(seen.devices["/dev/dri/renderD128"]);
    assert_eq!(seen.vulkan_drivers, ["/usr/share/vulkan/icd.d/radeon_icd.x86_64.json"]);
    assert_eq!((seen.store_room, seen.cache_room), (Some(40_960_000), Some(1_024_000)));
    let nix = TargetNix { program: Some(true), writable: Some(true), trusts_us: Some(false) };
    assert_eq!(seen.nix, nix);
    assert_eq!(seen.other_bench.as_deref(), Some("process 4711 of alice"));
    let json = serde_json::to_value(conditions).unwrap();
    assert_eq!(json["onBattery"], true);
    assert_eq!(json["memoryAvailableBytes"], 3_000_000_000_u64);
}

#[test]
fn missing_and_invalid_values_are_unknown() {
    assert_eq!(TargetState::read("", vec![]), TargetState::default());
    let without_program = TargetState::read("#llamafleet store\nasked\n", vec![]);
    assert_eq!(without_program.nix, TargetNix { program: Some(false), ..TargetNix::default() });
    for nonsense in [
        "#llamafleet load\nx\n",
        "#llamafleet room\nstore x y z\n",
        "#llamafleet gpu-state\nNo devices\n",
        "#llamafleet throttle\na=18446744073709551615\nb=1\n",
    ] {
        assert_eq!(TargetState::read(nonsense, vec![]), TargetState::default(), "{nonsense}");
    }
}
