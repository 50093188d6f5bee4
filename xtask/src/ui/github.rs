//! GitHub Actions: commands to the runner, and text that the runner must not take for one.

/// Variables that the runner sets.
pub const IS_ACTIONS: &str = "GITHUB_ACTIONS";

pub const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

pub const WORKSPACE: &str = "GITHUB_WORKSPACE";

/// Returns the annotation of a run that ended without a report.
pub fn broken(message: &str) -> String {
    format!("::error title=cargo xtask::{}", data(message))
}

/// Starts a folded part of the log; [`END_GROUP`] ends it.
pub fn group(title: &str) -> String {
    format!("::group::{}", data(title))
}

pub const END_GROUP: &str = "::endgroup::";

/// Escapes a command's message as the runner's toolkit does.
pub(crate) fn data(text: &str) -> String {
    let text: String = text.chars().take(MOST_LETTERS).collect();
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A").replace("##[", "##%5B")
}

pub(crate) fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Returns the text with a space in front of each line that looks like a command.
pub fn defuse(text: &str) -> String {
    // The runner also ends lines at a carriage return.
    text.split_inclusive(['\n', '\r'])
        .map(|line| {
            let start = line.len() - line.trim_start().len();
            let (before, rest) = line.split_at(start);
            let rest = match rest.strip_prefix("::") {
                Some(rest) => format!(": :{rest}"),
                None => rest.to_owned(),
            };
            format!("{before}{}", rest.replace("##[", "## ["))
        })
        .collect()
}

/// Like [`defuse`], for JSON: the document's value stays the same.
pub fn defuse_json(json: &str) -> String {
    json.replace("##[", "#\\u0023[")
}

pub const MOST_LETTERS: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_contain_workflow_commands() {
        let defused = defuse("a\n  ::add-mask::x\r::error::y\nz ##[group]t :: u");
        for line in defused.split(['\n', '\r']) {
            assert!(!line.trim_start().starts_with("::") && !line.contains("##["), "{line}");
        }
        assert_eq!(defuse("nothing :: here\n"), "nothing :: here\n");
        let json = defuse_json("{\"a\":\"###[b\"}");
        assert!(!json.contains("##["));
        let back: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(back["a"], "###[b");
    }
}
