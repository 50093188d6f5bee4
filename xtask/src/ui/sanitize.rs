//! Text from elsewhere, such as logs, host names and device names, made safe to print.

use std::borrow::Cow;

use console::AnsiCodeIterator;

/// Columns of the longest name in a table or a plot.
const LONGEST: usize = 160;

/// Removes terminal escapes, bidirectional controls, and control characters except newline and
/// tab.
pub fn sanitize<'a>(text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
    remove(text.into(), |_| false)
}

/// Like [`sanitize`], but keeps colours.
pub fn sanitize_painted(text: &str) -> Cow<'_, str> {
    remove(text.into(), |code| {
        let codes = code.strip_prefix("\x1b[").and_then(|code| code.strip_suffix('m'));
        // Not 5 to 8: blinking, reversed and hidden text.
        codes
            .is_some_and(|codes| !codes.split(';').any(|code| ["5", "6", "7", "8"].contains(&code)))
    })
}

/// Returns the same JSON with the characters that [`sanitize`] removes written as escapes.
pub fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hidden(c) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Replaces the password in each URL by `***`.
pub fn hide_passwords(text: Cow<'_, str>) -> Cow<'_, str> {
    let (mut shown, mut rest) = (String::new(), &*text);
    while let Some((before, url)) = rest.split_once("://") {
        let (place, after) = url.split_at(url.find(ends_host).unwrap_or(url.len()));
        shown.push_str(&rest[..before.len() + 3]);
        match place.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host)))
        {
            Some((user, host)) => shown.push_str(&format!("{user}:***@{host}")),
            None => shown.push_str(place),
        }
        rest = after;
    }
    if shown.is_empty() {
        return text;
    }
    shown.push_str(rest);
    shown.into()
}

/// Hides the URL's password in another program's message, which may repeat it without the rest.
pub fn hide_password_of(url: &str, text: &str) -> String {
    let Some((_, rest)) = url.split_once("://") else { return text.to_owned() };
    let place = &rest[..rest.find(ends_host).unwrap_or(rest.len())];
    let password = place.rsplit_once('@').and_then(|(user, _)| Some(user.split_once(':')?.1));
    match password.filter(|password| !password.is_empty()) {
        Some(password) => text.replace(&format!(":{password}@"), ":***@"),
        None => text.to_owned(),
    }
}

fn ends_host(c: char) -> bool {
    c.is_whitespace() || "/?#'\"`\\<>".contains(c)
}

/// Puts a name on one line and cuts it to the length for a table.
pub fn sanitize_name(text: &str) -> String {
    if text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return text.to_owned();
    }
    let line = sanitize(text).trim().replace(['\n', '\t'], " ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn remove(text: Cow<'_, str>, stays: fn(&str) -> bool) -> Cow<'_, str> {
    // Most text is ASCII, and bytes are checked faster than characters.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    if text.bytes().all(is_plain) || !text.contains(is_hidden) {
        return text;
    }
    let mut clean = String::with_capacity(text.len());
    // Line by line, so that an unterminated escape hides only its line.
    for line in text.split_inclusive('\n') {
        for (part, is_escape) in AnsiCodeIterator::new(line) {
            match is_escape {
                true if stays(part) => clean.push_str(part),
                true if line.ends_with('\n') && part.ends_with('\n') => clean.push('\n'),
                true => {}
                false => clean.extend(part.chars().filter(|c| !is_hidden(*c))),
            }
        }
    }
    clean.into()
}

/// Bidirectional controls show text in another order than it has (CVE-2021-42574); XML forbids the
/// last two.
fn is_hidden(c: char) -> bool {
    c.is_control() && !"\n\t".contains(c)
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_are_removed() {
        for (text, clean) in [
            ("a\u{202e}b\u{9b}2Jc\x1b[31md", "abcd"),
            ("plain ‘text’\n\té", "plain ‘text’\n\té"),
            ("\x1b]8;;u\x1b\\link", "link"),
            ("\x1b[31;1merror:\x1b[0m a\x1b]0;title\x07b\r\n", "error: ab\n"),
            ("\x1b]0;without an end\nnext", "\nnext"),
            ("10%\r20%\x08\x7f\x1b", "10%20%"),
        ] {
            assert_eq!(sanitize(text), clean);
        }
    }

    #[test]
    fn passwords_are_hidden() {
        for (text, shown) in [
            ("https://me:pa:ss@cache.example/x?a=b@c", "https://me:***@cache.example/x?a=b@c"),
            ("https://me@cache.example", "https://me@cache.example"),
            ("https://cache.example/a:b@c", "https://cache.example/a:b@c"),
            ("ssh-ng://u:p@[::1]:22?x", "ssh-ng://u:***@[::1]:22?x"),
            ("git+ssh://git@github.com:a/b", "git+ssh://git@github.com:a/b"),
            (
                "cannot open 'https://a:b@c': 'x://d:e@f'",
                "cannot open 'https://a:***@c': 'x://d:***@f'",
            ),
            ("{\"url\":\"https://a:b@c\"} @d", "{\"url\":\"https://a:***@c\"} @d"),
            ("/a/b: c@d", "/a/b: c@d"),
        ] {
            assert_eq!(hide_passwords(text.into()), shown);
        }
        let shown = hide_password_of("ssh://me:secret@host/x", "cannot reach 'me:secret@host'");
        assert_eq!(shown, "cannot reach 'me:***@host'");
        assert_eq!(hide_password_of("ssh://me@host", "me@host"), "me@host");
    }

    #[test]
    fn only_colours_of_painted_text_are_kept() {
        assert_eq!(sanitize_painted("\x1b[31merror\x1b[0m\x1b[2J\r"), "\x1b[31merror\x1b[0m");
    }

    #[test]
    fn concealed_and_invisible_text_becomes_visible() {
        assert_eq!(sanitize_painted("a\x1b[8mb\x1b[0;7mc"), "abc");
        let text = "a\u{202e}b\u{9b}2Jc\u{feff}é";
        let json = escape_json(&serde_json::to_string_pretty(&[text]).unwrap());
        assert!(!json.contains(is_hidden), "{json:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [text]);
    }

    #[test]
    fn a_name_is_sanitized_to_one_short_line() {
        assert_eq!(sanitize_name("a\x1b[31mb\u{202e}c\nd\n"), "abc d");
        assert_eq!(sanitize_name("AMD Ryzen 7 “7840U” <&>"), "AMD Ryzen 7 “7840U” <&>");
        assert_eq!(sanitize_name(&"é".repeat(1000)).chars().count(), 161);
    }
}
