//! Tests with recorded machines (tests/fixtures/cores), with kernels' lists, and with incomplete
//! output.

use crate::hardware::cores::*;
use crate::hardware::probe_output::sections;

const GENUINE_INTEL: &str = "vendor_id : GenuineIntel\ncpu family : 6\nmodel : 170\n";
const AMD: &str = "vendor_id : AuthenticAMD\ncpu family : 26\nmodel : 36\n";

fn read(output: &str) -> Option<Cores> {
    let sections = sections(output);
    let section = |name: &str| sections.get(name).map_or("", String::as_str);
    Cores::read(&Cpu::parse(section("cpuinfo")).unwrap(), &section)
}

/// Probe output of an x86 machine with one socket. Each core has its CPUs and its highest clock in
/// MHz.
fn x86(vendor: &str, lists: &str, cores: &[(&[u32], Option<u32>)]) -> String {
    let (mut cpus, mut siblings) = (String::new(), String::new());
    for (ids, clock) in cores {
        let list: Vec<String> = ids.iter().map(u32::to_string).collect();
        for id in *ids {
            let max = clock.map(|mhz| format!(" max={mhz}000")).unwrap_or_default();
            cpus.push_str(&format!("cpu={id} package=0{max}\n"));
            siblings.push_str(&format!("{}\n", list.join(",")));
        }
    }
    format!(
        "#llamafleet cpuinfo\nprocessor : 0\n{vendor}flags : lm\n#llamafleet cores\n{lists}{cpus}\
         #llamafleet siblings\n{siblings}#llamafleet nodes\n0-9\n"
    )
}

#[test]
fn recorded_machines_are_described_and_get_their_threads() {
    for (answer, described, threads) in [
        (
            include_str!("../../tests/fixtures/cores/raptorlake-6p-8e"),
            "14 (6 P with 2 threads each, 8 E)",
            6,
        ),
        (include_str!("../../tests/fixtures/cores/tigerlake"), "4 with 2 threads each", 4),
        (
            include_str!("../../tests/fixtures/cores/2-epyc-7451"),
            "48 with 2 threads each, 2 sockets, 8 NUMA nodes",
            24,
        ),
        (
            include_str!("../../tests/fixtures/cores/offline-cpus"),
            "17, 2 sockets, 7 CPUs offline",
            17,
        ),
        (
            include_str!("../../tests/fixtures/cores/4-sockets-8-nodes"),
            "32, 4 sockets, 8 NUMA nodes",
            8,
        ),
    ] {
        let cores = read(answer).unwrap();
        assert_eq!((cores.describe().as_str(), cores.threads()), (described, Some(threads)));
    }
}

#[test]
fn arm_cores_are_grouped_by_part_and_sorted_by_capacity() {
    for (answer, counts, fastest, threads) in [
        // The A715 and the A710 have 0.83 of the X3's capacity, the A510 0.27.
        (
            include_str!("../../tests/fixtures/cores/x3-a715-a710-a510"),
            vec![1, 2, 2, 3],
            "cortex-x3",
            5,
        ),
        // The A725 has 0.71 of the X925's capacity.
        (include_str!("../../tests/fixtures/cores/gb10"), vec![10, 10], "", 10),
    ] {
        let cores = read(answer).unwrap();
        let found: Vec<u32> = cores.kinds.iter().map(|kind| kind.cores).collect();
        assert_eq!((found, cores.threads()), (counts, Some(threads)));
        let names: Vec<&String> =
            cores.kinds.iter().filter_map(|kind| kind.name.as_ref()).collect();
        assert!(names.len() == cores.kinds.len() && names[0].starts_with(fastest), "{names:?}");
        assert_eq!((cores.sockets, cores.numa_nodes), (Some(1), Some(1)));
    }
}

#[test]
fn the_kernels_lists_give_the_kinds_of_cores() {
    let cores: &[(&[u32], _)] = &[
        (&[0, 1], Some(4800)),
        (&[2, 3], Some(4500)),
        (&[4], Some(3800)),
        (&[5], Some(3800)),
        (&[6], Some(2500)),
    ];
    let wanted = "5 (2 P with 2 threads each, 2 E, 1 LP-E)";
    // Meteor Lake's slowest cores are in the list of the E-cores.
    for lists in ["core=0-3\natom=4-6\n", "core=0-3\natom=4-5\nlowpower=6\n"] {
        let cores = read(&x86(GENUINE_INTEL, lists, cores)).unwrap();
        assert_eq!((cores.describe().as_str(), cores.threads()), (wanted, Some(2)));
    }
    // A kernel without those lists.
    assert_eq!(read(&x86(GENUINE_INTEL, "", cores)).unwrap().describe(), wanted);
    // A CPU in neither list: the kinds are unknown.
    let cores = read(&x86(GENUINE_INTEL, "core=0-3\natom=4-5\n", cores)).unwrap();
    assert_eq!((cores.describe().as_str(), cores.threads()), ("5, 7 threads", None));
}

#[test]
fn amds_cores_are_one_kind_unless_their_clocks_are_far_apart() {
    let strix: &[(&[u32], _)] = &[(&[0, 2], Some(5157)), (&[1, 3], Some(3310))];
    let cores = read(&x86(AMD, "", strix)).unwrap();
    assert_eq!(
        cores.describe(),
        "2 (1 full-size with 2 threads each, 1 compact with 2 threads each)"
    );
    assert_eq!(cores.threads(), Some(1));
    // A Ryzen's preferred cores have a higher clock.
    let ryzen: &[(&[u32], _)] = &[(&[0, 2], Some(5700)), (&[1, 3], Some(5250))];
    let cores = read(&x86(AMD, "", ryzen)).unwrap();
    assert_eq!((cores.describe().as_str(), cores.threads()), ("2 with 2 threads each", Some(2)));
}

/// Hypervisors report each CPU as a socket; a partly populated socket has fewer cores.
#[test]
fn only_sockets_with_separate_memory_count() {
    let cpus = "cpu=0 package=0\ncpu=1 package=1\ncpu=2 package=2\ncpu=3 package=2\n";
    let guest = |numa: &str| {
        let answer = x86(AMD, "", &[]).replace("0-9\n", numa);
        let answer = answer.replace("siblings\n", "siblings\n0\n1\n2\n3\n");
        read(&answer.replace("cores\n", &format!("cores\nnuma=yes\n{cpus}"))).unwrap()
    };
    assert_eq!((guest("0-3\n").sockets, guest("0-3\n").threads()), (Some(3), Some(4)));
    assert_eq!(guest("0-1\n2-3\n").threads(), Some(2));
    assert_eq!(guest("0\n1\n2-3\n").threads(), Some(2));
    assert_eq!(guest("").threads(), None);
}

/// Each of three groups is compared with the next faster one, not with the fastest.
#[test]
fn a_clock_belongs_to_the_slowest_group_that_reaches_it() {
    let cores: &[(&[u32], _)] = &[(&[0], Some(5000)), (&[1], Some(4000)), (&[2], Some(3900))];
    assert_eq!(read(&x86(GENUINE_INTEL, "", cores)).unwrap().describe(), "3 (1 P, 2 E)");
}

#[test]
fn affinity_and_quota_are_limits() {
    let cores: &[(&[u32], _)] = &[(&[0, 2], None), (&[1, 3], None), (&[4], None)];
    for (lists, usable) in [
        ("", None),
        ("allowed=0-4\nquota=max 100000\n", None),
        ("allowed=0,2\n", Some(1)),
        ("allowed=0-4\nquota=250000 100000\n", Some(2)),
        ("quota=50000 100000\n", Some(1)),
    ] {
        let read = read(&x86(AMD, lists, cores)).unwrap();
        assert_eq!(read.usable, usable, "{lists}");
        assert_eq!(read.threads(), usable.or(Some(3)), "{lists}");
    }
}

#[test]
fn missing_values_are_unknown() {
    let guest: &[(&[u32], _)] = &[(&[0], None), (&[1], None)];
    // A virtual machine on a CPU that may be hybrid: no lists and no clocks.
    let cores = read(&x86(GENUINE_INTEL, "", guest)).unwrap();
    assert_eq!((cores.describe().as_str(), cores.threads()), ("2, 2 threads", None));
    assert_eq!(read(&x86(AMD, "", guest)).unwrap().threads(), Some(2));
    // A Lakefield, recorded by hwloc: no lists, and almost equal clocks.
    let lakefield = GENUINE_INTEL.replace("170", "138");
    let clocks: &[(&[u32], _)] = &[(&[0], Some(3000)), (&[1], Some(2800)), (&[2], Some(2800))];
    assert_eq!(read(&x86(&lakefield, "", clocks)).unwrap().describe(), "3, 3 threads");
    // No /sys.
    assert_eq!(read("#llamafleet cpuinfo\nprocessor : 0\nflags : lm\n"), None);
    // No /sys, but /proc/cpuinfo names the cores.
    let core = |cpu: u32, core: u32| {
        format!("processor : {cpu}\nflags : lm\nphysical id : 0\ncore id : {core}\n\n")
    };
    let text = [core(0, 0), core(1, 0), core(2, 1), core(3, 1)].concat();
    let cores = read(&format!("#llamafleet cpuinfo\n{text}")).unwrap();
    assert_eq!((cores.describe().as_str(), cores.threads()), ("2 with 2 threads each", Some(2)));
    // The empty line belongs to the next section's mark. A second socket may have its own memory.
    let two = text.replace("physical id : 0\ncore id : 1", "physical id : 1\ncore id : 1");
    let cores = read(&format!("#llamafleet cpuinfo\n{two}#llamafleet siblings\n\n")).unwrap();
    assert_eq!((cores.sockets, cores.numa_nodes, cores.threads()), (Some(2), None, None));
    // An ARM machine whose /proc/cpuinfo has one part for all CPUs.
    let gb10 = include_str!("../../tests/fixtures/cores/gb10");
    let cores = read(&gb10.replacen("CPU part", "part", 1)).unwrap();
    assert_eq!((cores.physical, cores.threads()), (20, None));
    // Two kinds, but no order.
    let bare = gb10.replace("capacity=", "x=").replace("max=", "x=");
    assert_eq!(read(&bare).unwrap().threads(), None);
}

/// Whatever is removed: no panic, and never more threads than cores.
#[test]
fn removing_any_word_leaves_the_rest_right() {
    for answer in [
        include_str!("../../tests/fixtures/cores/raptorlake-6p-8e"),
        include_str!("../../tests/fixtures/cores/gb10"),
    ] {
        let whole = read(answer).unwrap();
        let after = answer.find("#llamafleet cores").unwrap();
        let ends = answer.match_indices([' ', '\n']).map(|(at, _)| at).filter(|at| *at > after);
        for end in ends {
            let start = answer[..end].rfind([' ', '\n']).unwrap() + 1;
            let less = format!("{}{}", &answer[..start], &answer[end..]);
            let Some(cores) = read(&less) else { continue };
            let most = whole.threads().unwrap();
            assert!(
                cores.threads().is_none_or(|threads| threads <= most),
                "{}",
                &answer[start..end]
            );
        }
    }
}

#[test]
fn a_facter_report_has_the_number_of_cores_but_not_their_kinds() {
    let report = |text: &str| Cores::of_report(&serde_json::from_str::<Vec<_>>(text).unwrap());
    let socket = r#"{"features": [], "physical_id": 0, "siblings": 48, "cores": 24}"#;
    let cores = report(&format!("[{socket}, {{}}, {socket}]")).unwrap();
    assert_eq!((cores.describe().as_str(), cores.threads()), ("48, 96 threads", None));
    for less in ["[]", r#"[{"features": []}]"#, r#"[{"features": [], "cores": 0, "siblings": 0}]"#]
    {
        assert_eq!(report(less), None, "{less}");
    }
}
