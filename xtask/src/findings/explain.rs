//! `explain`: prints the meaning of a finding's code, and what to do.

use anyhow::{Result, bail};
use serde::Serialize;

use crate::findings::args::ExplainArgs;
use crate::findings::codes::{self, Code};
use crate::findings::outcome::Outcome;
use crate::ui::nearest::nearest;
use crate::ui::{Ui, wrap};

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    command: &'static str,
    codes: &'a [Code],
    ok: bool,
}

pub fn run(args: &ExplainArgs, ui: &Ui) -> Result<Outcome> {
    let shown = match &args.code {
        None => codes::all(),
        Some(code) => match codes::find(code.trim_matches(['[', ']'])) {
            Some(found) => std::slice::from_ref(found),
            None => return unknown(code),
        },
    };
    ui.document(&Document { schema: 1, command: "explain", codes: shown, ok: true })?;
    if args.code.is_some() {
        shown.iter().for_each(|code| ui.result(describe(ui, code)));
    } else {
        ui.result(list(ui, shown));
    }
    Ok(Outcome::from_ok(true))
}

fn describe(ui: &Ui, code: &Code) -> String {
    let severity = code.severity.as_str();
    let taken = severity.len() + code.code.len() + "[]: ".len();
    format!(
        "{severity}[{}]: {}\n\n{}",
        ui.bold(code.code),
        wrap(code.meaning, ui.columns, taken, 0),
        wrap(code.help, ui.columns, 0, 0)
    )
}

fn list(ui: &Ui, codes: &[Code]) -> String {
    let mut text = String::new();
    let mut topic = "";
    for code in codes {
        if code.topic != topic {
            let gap = if topic.is_empty() { "" } else { "\n" };
            topic = code.topic;
            text.push_str(&format!("{gap}{}\n", ui.bold(topic)));
        }
        let indent = 26;
        text.push_str(&format!("  {:<23} ", code.code));
        text.push_str(&wrap(code.meaning, ui.columns, indent, indent));
        text.push('\n');
    }
    text.trim_end().to_owned()
}

fn unknown(code: &str) -> Result<Outcome> {
    let hint = nearest(code, codes::all().iter().map(|known| known.code))
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default();
    bail!("no finding has the code `{code}`{hint}\n  help: `cargo xtask explain` lists all codes")
}
