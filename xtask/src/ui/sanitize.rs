//! Text of others' making, made fit to be shown: names of hosts, devices and models come
//! from files that anyone may have written.
//!
//! Pure: no I/O, no clock.

/// As much of one name as a table or a plot has room for.
const LONGEST: usize = 160;

/// One line that says what it shows: no control characters, which a terminal would obey
/// and XML forbids, and none that turn the direction of what follows.
pub fn clean(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    let shown = text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c });
    let mut line: String = shown.clone().take(LONGEST).collect();
    if shown.count() > LONGEST {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        assert_eq!(clean("a\x1b[31mb\u{202e}c\n"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}");
        assert_eq!(clean("AMD Ryzen 7 “7840U” <&>"), "AMD Ryzen 7 “7840U” <&>");
        assert_eq!(clean(&"x".repeat(1000)).chars().count(), 161);
    }
}
