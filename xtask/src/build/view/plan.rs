//! What build-all is about to do, before it does it.

use crate::build::plan::{Plan, Row, Todo};
use crate::build::wording::wanted_by;
use crate::ui::table::{Align, Cell, Table};
use crate::ui::{Ui, units};

/// `--dry-run`: the whole plan.
pub fn print(ui: &Ui, plan: &Plan) {
    let columns = [
        ("VARIANT", Align::Left),
        ("PLAN", Align::Left),
        ("HOSTS", Align::Left),
        ("TIME", Align::Right),
        ("CLOSURE", Align::Right),
    ];
    let rows = plan.variants.iter().map(row).collect();
    ui.result(Table { columns: &columns, rows }.render(ui));
    ui.say(format!("\n{}", sentence(plan)));
}

/// One sentence at the start of a run; `left` is how many builds of the last run, which
/// did not end, are done, and of how many.
pub fn announce(ui: &Ui, plan: &Plan, left: Option<(usize, usize)>) {
    if let Some((done, all)) = left {
        ui.say(format!(
            "the last run did not end; {done} of the {all} builds that it had before it are done \
             and are used"
        ));
    }
    ui.say(sentence(plan));
}

fn row(row: &Row) -> Vec<Cell> {
    let (word, paint): (_, fn(&Ui, &str) -> String) = match row.plan {
        Todo::Present => ("present", Ui::green),
        Todo::Fetch => ("fetch", Ui::bold),
        Todo::Build => ("build", Ui::bold),
        Todo::Unsupported => ("unsupported", Ui::yellow),
    };
    let about = |text: String| match row.plan {
        Todo::Present => text,
        _ => format!("about {text}"),
    };
    vec![
        row.variant.as_str().into(),
        Cell::painted(word, paint),
        wanted_by(&row.hosts, &row.packages).into(),
        row.expected_seconds.map_or("-".to_owned(), |time| about(units::seconds(time))).into(),
        row.closure_bytes.map_or("-".to_owned(), |bytes| about(units::bytes(bytes))).into(),
    ]
}

/// `4 variants: 1 present, 2 to build with 3 more that they need, 1 to fetch (12 paths,
/// 30.1 MiB to download, 120 MiB unpacked)`.
fn sentence(plan: &Plan) -> String {
    let mut parts = vec![];
    let present = plan.count(Todo::Present);
    if present > 0 {
        parts.push(format!("{present} present"));
    }
    match (plan.count(Todo::Build), plan.dependencies) {
        (0, 0) => {}
        (builds, 0) => parts.push(format!("{builds} to build")),
        (builds, more) => parts.push(format!("{builds} to build with {more} more that they need")),
    }
    let fetched = plan.count(Todo::Fetch);
    if fetched > 0 {
        parts.push(format!("{fetched} to fetch"));
    }
    let unsupported = plan.count(Todo::Unsupported);
    if unsupported > 0 {
        parts.push(format!("{unsupported} that no machine can build"));
    }
    let fetch = match plan.fetch.paths {
        0 => String::new(),
        paths => format!(
            "; {paths} {} from a cache, {} to download, {} unpacked",
            if paths == 1 { "path" } else { "paths" },
            units::bytes(plan.fetch.download_bytes),
            units::bytes(plan.fetch.unpacked_bytes)
        ),
    };
    let count = plan.variants.len();
    let variants = if count == 1 { "variant" } else { "variants" };
    match parts.is_empty() {
        true => format!("{count} {variants}"),
        false => format!("{count} {variants}: {}{fetch}", parts.join(", ")),
    }
}
