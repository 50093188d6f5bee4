//! "Did you mean …?"
//!
//! Pure: no I/O, no clock.

/// Returns the candidate with the smallest edit distance, if that is at most a third of the longer
/// name's length, or 1.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = |text: &str| text.chars().count();
    candidates
        .into_iter()
        .map(|candidate| (strsim::levenshtein(typed, candidate), candidate))
        .filter(|(distance, near)| *distance <= (length(typed).max(length(near)) / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_names_are_suggested() {
        let hosts = ["carbon", "beryllium", "boron", "nitrogen"];
        assert_eq!(nearest("carbn", hosts), Some("carbon"));
        assert_eq!(nearest("berylium", hosts), Some("beryllium"));
        assert_eq!(nearest("xyzzy", hosts), None);
    }
}
