//! The rows that are drawn, at several sizes of terminal.

use crate::build::derivations::Expected;
use crate::build::variants::Build;
use crate::build::view::rows::*;
use crate::nix::names::DrvPath;

fn drv(name: &str) -> DrvPath {
    DrvPath::new(format!("/nix/store/hash-{name}.drv"))
}

fn build(name: &str) -> Build {
    Build::example(name, drv(name))
}

fn progress(names: &[String], expected: Vec<(DrvPath, Expected)>) -> Derivations {
    let builds: Vec<Build> = names.iter().map(|name| build(name)).collect();
    let mut rows = Derivations::default();
    rows.add_variants(&builds.iter().collect::<Vec<_>>());
    rows.add_expected(expected);
    rows
}

fn start(progress: &mut Derivations, name: &str) {
    progress.entry(&drv(name)).begin(String::new(), "", 0.0);
}

const PLAIN: Ui = Ui { bars: true, ..Ui::PLAIN };

/// One variant runs, one failed, one ended, and two wait for a dependency.
fn several() -> Derivations {
    let names = [
        "cpu-znver4",
        "cuda+rocm-dispatch-sm86-gfx906",
        "cpu-old",
        "vulkan-znver4",
        "vulkan-tigerlake",
    ];
    let expected = vec![
        (drv("cpu-znver4"), Expected { seconds: Some(200.0), needed_by: None }),
        (drv("glslang-14.3"), Expected { seconds: None, needed_by: Some(vec![0, 3, 4]) }),
    ];
    let mut progress = progress(&names.map(str::to_owned), expected);
    for name in ["cpu-znver4", "cuda+rocm-dispatch-sm86-gfx906", "cpu-old", "glslang-14.3"] {
        start(&mut progress, name);
    }
    let built = progress.entry(&drv("cpu-znver4"));
    built.enter("buildPhase");
    built.advance((1, 139), 3.0);
    built.advance((78, 139), 80.0);
    progress.entry(&drv("cpu-old")).end(70.0);
    let failed = progress.entry(&drv("cuda+rocm-dispatch-sm86-gfx906"));
    failed.end(60.0);
    failed.fail();
    progress.add_fetched(12 << 20, 80 << 20);
    progress
}

/// Formats each row as indicatif expands its template.
fn drawn(progress: &mut Derivations, now: f64, columns: usize, lines: usize) -> Vec<String> {
    let number = |template: &str, key: &str| -> Option<usize> {
        let (_, rest) = template.split_once(key)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let expand = |row: Row| {
        let name = number(&row.template, "{prefix:").unwrap_or(0);
        let bar = number(&row.template, "{bar:").map(|bar| {
            let full = bar * row.position as usize / row.length as usize;
            "━".repeat(full) + &"─".repeat(bar - full)
        });
        let name =
            format!("{:name$}", if row.template.contains("{prefix") { &row.prefix } else { "" });
        let bar = bar.unwrap_or_default();
        let start = match row.template.starts_with("{bar") {
            true => format!("{bar}  {name}"),
            false if bar.is_empty() => name,
            false => format!("{name}  {bar}"),
        };
        (start + &row.message).trim_end().to_owned()
    };
    rows(progress, now, Size { columns, lines }, &PLAIN).into_iter().map(expand).collect()
}

#[test]
fn eighty_columns_show_everything() {
    assert_eq!(
        drawn(&mut several(), 83.0, 80, 24).join("\n"),
        "\
━━━━━━━───────────────  35%  2 of 6  1:23  1 failed  ~3:13 left  2 running
cpu-znver4                      ━━━━━━━━━━────────     78/139   1:23  ~1:26
cuda+rocm-dispatch-sm86-gfx906  failed  1:00
cpu-old                         done  1:10
vulkan-znver4                   waiting
  └ glslang-14.3                                                1:23
vulkan-tigerlake                waiting for glslang-14.3"
    );
}

#[test]
fn no_row_is_wider_than_the_terminal_and_the_name_is_always_there() {
    for columns in [1, 5, 10, 20, 40, 60, 80, 200] {
        for line in drawn(&mut several(), 83.0, columns, 24) {
            assert!(width(&line) <= columns.max(3), "{columns}: {line}");
        }
    }
    let narrow = drawn(&mut several(), 83.0, 20, 24).join("\n");
    assert!(narrow.contains("cpu-znver4      56%"), "{narrow}");
    let narrow = drawn(&mut several(), 83.0, 40, 24).join("\n");
    assert!(narrow.contains("cpu-znver4         56%   1:23  ~1:26"), "{narrow}");
}

#[test]
fn forty_variants_fit_a_small_terminal_which_shows_the_running_ones() {
    let names: Vec<String> = (0..40).map(|n| format!("cpu-{n:02}")).collect();
    let mut progress = progress(&names, vec![]);
    (30..36).for_each(|n| start(&mut progress, &names[n]));
    (0..8).for_each(|n| {
        start(&mut progress, &names[n]);
        progress.entry(&drv(&names[n])).end(9.0);
    });
    for lines in [1, 2, 3, 8, 24] {
        let drawn = drawn(&mut progress, 20.0, 80, lines);
        assert!(drawn.len() < lines.max(2), "{lines}: {drawn:#?}");
        assert!(drawn[0].contains("8 of 40"), "{drawn:#?}");
    }
    let all = drawn(&mut progress, 20.0, 80, 24).join("\n");
    (30..36).for_each(|n| assert!(all.contains(&names[n]), "{all}"));
    assert!(all.contains("and 19 more: 11 waiting, 8 done"), "{all}");
    let few = drawn(&mut progress, 20.0, 80, 6).join("\n");
    assert!(few.contains("and 37 more: 3 running, 26 waiting, 8 done"), "{few}");
}

#[test]
fn wide_characters_take_two_columns() {
    let mut progress = progress(&["cpu-é".to_owned(), "cpu-国国".to_owned()], vec![]);
    let drawn = drawn(&mut progress, 0.0, 80, 24);
    assert_eq!(drawn[1], "cpu-é     waiting");
}

#[test]
fn times_and_bytes_are_formatted() {
    assert_eq!(clock(7.9), "0:07");
    assert_eq!(clock(754.0), "12:34");
    assert_eq!(clock(3723.0), "1:02:03");
    assert_eq!(fetched(1 << 20, 5 << 20), "1.0 of 5.0 MiB");
    assert_eq!(fetched(512, 5 << 20), "512 B of 5.0 MiB");
}

/// The variants that need it may become known after the failure.
#[test]
fn a_variant_with_a_failed_dependency_does_not_wait() {
    let mut progress = several();
    let needed = progress.entry(&drv("glslang-14.3"));
    needed.end(5.0);
    needed.fail();
    for columns in [60, 80, 200] {
        let rows = drawn(&mut progress, 6.0, columns, 24).join("\n");
        assert_eq!(rows.matches("dependency glslang").count(), 2, "{rows}");
        assert!(!rows.contains("waiting"), "{rows}");
    }
}
