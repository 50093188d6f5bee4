//! What build-all is about to do, before it does it.

use crate::build::plan::{Plan, Row, Todo};
use crate::build::variants::wanted_by;
use crate::ui::table::{Cell, Table};
use crate::ui::{Ui, units};

/// `--dry-run`: the whole plan.
pub fn print(ui: &Ui, plan: &Plan) {
    let columns = ["VARIANT", "PLAN", "HOSTS", ">TIME", ">CLOSURE"];
    let rows = plan.variants.iter().map(row).collect();
    ui.result(Table { columns: &columns, rows }.render(ui));
    ui.status(format!("\n{}", sentence(plan)));
}

/// One sentence at the start of a run. `resumed` is how many builds of an interrupted run are
/// done, and of how many.
pub fn announce(ui: &Ui, plan: &Plan, resumed: Option<(usize, usize)>) {
    if let Some((done, all)) = resumed {
        ui.status(format!("resuming: {done} of {all} builds are already done"));
    }
    ui.status(sentence(plan));
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

/// `4 variants: 1 present, 2 to build and 3 dependencies, 1 to fetch; 12 paths from a cache, …`.
fn sentence(plan: &Plan) -> String {
    let s = |count: usize| if count == 1 { "" } else { "s" };
    let dependencies = match plan.dependencies {
        1 => " and 1 dependency".to_owned(),
        count => format!(" and {count} dependencies"),
    };
    let counts = [
        (plan.count(Todo::Present), "present".to_owned()),
        (plan.count(Todo::Build), "to build".to_owned()),
        (plan.count(Todo::Fetch), "to fetch".to_owned()),
        (plan.count(Todo::Unsupported), "that no machine can build".to_owned()),
    ];
    let mut parts: Vec<String> = vec![];
    for (todo, (count, what)) in counts.into_iter().enumerate() {
        let more = todo == 1 && plan.dependencies > 0;
        if count > 0 || more {
            parts.push(format!("{count} {what}{}", if more { &dependencies } else { "" }));
        }
    }
    let count = plan.variants.len();
    let mut text = format!("{count} variant{}", s(count));
    if !parts.is_empty() {
        text.push_str(&format!(": {}", parts.join(", ")));
    }
    if plan.fetch.paths > 0 {
        text.push_str(&format!(
            "; {} path{} from a cache, {} to download, {} unpacked",
            plan.fetch.paths,
            s(plan.fetch.paths),
            units::bytes(plan.fetch.download_bytes),
            units::bytes(plan.fetch.unpacked_bytes)
        ));
    }
    text
}
