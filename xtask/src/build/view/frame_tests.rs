//! What is drawn, at several sizes of terminal.

use crate::build::progress::Expected;
use crate::build::tracker::Update;
use crate::build::variants::Build;
use crate::build::view::frame::*;
use crate::nix::names::{DrvPath, HostName, StorePath, VariantName};

fn drv(name: &str) -> DrvPath {
    DrvPath::new(format!("/nix/store/hash-{name}.drv"))
}

fn build(name: &str) -> Build {
    Build {
        variant: VariantName::new(name),
        hosts: vec![HostName::new("host")],
        packages: vec![],
        system: "x86_64-linux".into(),
        backends: vec![],
        drv: drv(name),
        out: StorePath::new("/nix/store/out"),
    }
}

fn progress(names: &[String], expected: Expected) -> BuildProgress {
    let builds: Vec<Build> = names.iter().map(|name| build(name)).collect();
    BuildProgress::new(&builds.iter().collect::<Vec<_>>(), expected)
}

fn start(progress: &mut BuildProgress, name: &str) {
    progress.apply(&Update::Started { drv: drv(name), machine: String::new() }, 0.0);
}

const PLAIN: Ui = Ui {
    color: false,
    bars: true,
    quiet: false,
    verbose: 0,
    json: false,
    github: false,
    columns: None,
};

/// One runs, one failed, one ended, two wait for what one builds.
fn several() -> BuildProgress {
    let names = [
        "cpu-znver4",
        "cuda+rocm-dispatch-sm86-gfx906",
        "cpu-old",
        "vulkan-znver4",
        "vulkan-tigerlake",
    ];
    let mut expected = Expected::default();
    expected.seconds.insert(drv("cpu-znver4"), 200.0);
    expected.needed_by.insert(drv("glslang-14.3"), vec![0, 3, 4]);
    let mut progress = progress(&names.map(str::to_owned), expected);
    for name in ["cpu-znver4", "cuda+rocm-dispatch-sm86-gfx906", "cpu-old", "glslang-14.3"] {
        start(&mut progress, name);
    }
    let step = |name, done, total| Update::Fraction { drv: drv(name), done, total };
    progress.apply(&Update::Phase { drv: drv("cpu-znver4"), phase: "buildPhase".into() }, 1.0);
    progress.apply(&step("cpu-znver4", 1, 139), 3.0);
    progress.apply(&step("cpu-znver4", 78, 139), 80.0);
    progress.apply(&Update::Stopped { drv: drv("cpu-old") }, 70.0);
    let failed = drv("cuda+rocm-dispatch-sm86-gfx906");
    progress.apply(&Update::Stopped { drv: failed.clone() }, 60.0);
    progress.apply(&Update::Failed { drv: failed, tail: vec![] }, 60.0);
    progress.apply(&Update::Fetched { bytes: 12 << 20, of: 80 << 20 }, 60.0);
    progress
}

#[test]
fn eighty_columns_show_all() {
    let drawn = frame(&mut several(), 83.0, Size { columns: 80, lines: 24 }, &PLAIN).join("\n");
    assert_eq!(
        drawn,
        "\
cpu-znver4                      ━━━━━━━━━────────     78/139   1:23  ~1:26
cuda+rocm-dispatch-sm86-gfx906  failed  1:00
cpu-old                         done  1:10
vulkan-znver4                   waiting
  └ glslang-14.3                                               1:23
vulkan-tigerlake                waiting for glslang-14.3
━━━━━━━──────────────  35%  2 of 6  1:23  1 failed  ~3:13 left  2 running"
    );
}

#[test]
fn no_line_is_wider_than_the_terminal_and_the_name_is_always_there() {
    for columns in [1, 5, 10, 20, 40, 60, 80, 200] {
        for line in frame(&mut several(), 83.0, Size { columns, lines: 24 }, &PLAIN) {
            assert!(width(&line) < columns.max(2), "{columns}: {line}");
        }
    }
    let drawn = frame(&mut several(), 83.0, Size { columns: 20, lines: 24 }, &PLAIN).join("\n");
    assert!(drawn.contains("cpu-znver4      56%"), "{drawn}");
    let drawn = frame(&mut several(), 83.0, Size { columns: 40, lines: 24 }, &PLAIN).join("\n");
    assert!(drawn.contains("cpu-znver4         56%   1:23  ~1:26"), "{drawn}");
}

#[test]
fn forty_variants_fit_a_small_terminal_and_those_that_run_are_seen() {
    let names: Vec<String> = (0..40).map(|n| format!("cpu-{n:02}")).collect();
    let mut progress = progress(&names, Expected::default());
    (30..36).for_each(|n| start(&mut progress, &names[n]));
    (0..8).for_each(|n| {
        start(&mut progress, &names[n]);
        progress.apply(&Update::Stopped { drv: drv(&names[n]) }, 9.0);
    });
    for lines in [1, 2, 3, 8, 24] {
        let drawn = frame(&mut progress, 20.0, Size { columns: 80, lines }, &PLAIN);
        assert!(drawn.len() < lines.max(2), "{lines}: {drawn:#?}");
        assert!(drawn.last().unwrap().contains("8 of 40"), "{drawn:#?}");
    }
    let drawn = frame(&mut progress, 20.0, Size { columns: 80, lines: 24 }, &PLAIN).join("\n");
    (30..36).for_each(|n| assert!(drawn.contains(&names[n]), "{drawn}"));
    assert!(drawn.contains("and 19 more: 11 waiting, 8 done"), "{drawn}");
    let drawn = frame(&mut progress, 20.0, Size { columns: 80, lines: 6 }, &PLAIN).join("\n");
    assert!(drawn.contains("and 37 more: 3 running, 26 waiting, 8 done"), "{drawn}");
}

#[test]
fn colour_changes_no_text() {
    let size = Size { columns: 80, lines: 24 };
    let plain = frame(&mut several(), 83.0, size, &PLAIN);
    let coloured = frame(&mut several(), 83.0, size, &Ui { color: true, ..PLAIN });
    assert!(plain.iter().all(|line| !line.contains('\x1b')));
    let stripped: Vec<String> =
        coloured.iter().map(|line| crate::nix::diagnosis::strip_escapes(line)).collect();
    assert_ne!(plain, coloured);
    assert_eq!(plain, stripped);
}

#[test]
fn times_and_bytes_read_well() {
    assert_eq!(clock(7.9), "0:07");
    assert_eq!(clock(754.0), "12:34");
    assert_eq!(clock(3723.0), "1:02:03");
    assert_eq!(fetched(1 << 20, 5 << 20), "1.0 of 5.0 MiB");
    assert_eq!(fetched(512, 5 << 20), "512 B of 5.0 MiB");
}
