//! Findings as a person reads them.

use crate::findings::finding::{Finding, Severity};
use crate::ui::{Ui, wrap};

/// Like a compiler's message: severity, host, place, sentence, help.
pub fn describe(ui: &Ui, host: &str, finding: &Finding) -> String {
    let word = finding.severity.as_str();
    let paint: fn(&Ui, &str) -> String = match finding.severity {
        Severity::Error => Ui::red,
        Severity::Warning => Ui::yellow,
        Severity::Note => Ui::bold,
    };
    let taken = word.len() + finding.code.len() + host.len() + "[] : ".len();
    let place = finding.place().map(|place| format!("\n  --> {place}")).unwrap_or_default();
    format!(
        "\n{}[{}] {}: {}{place}\n  {} {}",
        paint(ui, word),
        finding.code,
        ui.bold(host),
        wrap(&finding.message, ui.columns, taken, 4),
        ui.dim("help:"),
        wrap(&finding.help, ui.columns, "  help: ".len(), "  help: ".len()),
    )
}

/// One finding by itself.
pub fn tell(ui: &Ui, place: &str, finding: &Finding) {
    ui.complain(describe(ui, place, finding));
}
