//! Sizes and durations: formatted for people, parsed from the command line.

use std::time::{Duration, UNIX_EPOCH};

/// Formats bytes, such as `1.2 GiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Formats a number of things, such as `1 run` or `5 runs`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Formats tokens per second with three or four significant digits.
pub fn speed(tokens_per_second: f64) -> String {
    match tokens_per_second {
        v if v >= 1e6 => format!("{v:.2e}"),
        v if v >= 1000.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// Formats a duration: `0.8 s`, `42 s`, `3 min 20 s`, `2 h 05 min`. `seconds` is not negative.
pub fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..=9 => format!("{seconds:.1} s"),
        10..=119 => format!("{whole} s"),
        120..=7199 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// Formats an estimate: `a few seconds`, `about 40 s`, `about 3 min`.
pub fn about(seconds: f64) -> String {
    match seconds {
        few if few < 10.0 => "a few seconds".to_owned(),
        some if some < 90.0 => format!("about {:.0} s", (some / 10.0).round() * 10.0),
        many => format!("about {:.0} min", many / 60.0),
    }
}

/// Parses `90`, `90s`, `1h30m`; a bare number is seconds.
///
/// # Errors
/// What is wrong with it, for the command line's message.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text)
            .map_err(|error| format!("{error}; write for example 90s, 10m or 1h30m"))?,
    };
    let most = Duration::from_secs(30 * 24 * 3600);
    match duration {
        Duration::ZERO => Err("must be more than 0".to_owned()),
        duration if duration > most => Err("must be at most 30 days".to_owned()),
        duration => Ok(duration),
    }
}

/// Like [`parse_duration`], in whole seconds, rounded up.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    parse_duration(text).map(|duration| duration.as_secs_f64().ceil() as u64)
}

/// Parses `4G`, `512MiB`, or bytes.
///
/// # Errors
/// What is wrong with it, for the command line's message.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return Err("write a number with K, M, G or T, for example 4G".into()),
    };
    let number: u64 = number.parse().map_err(|_| "write a number, for example 4G".to_owned())?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(|| "out of range".into())
}

/// Formats seconds since 1970 as `2026-11-22T10:00:00Z`.
pub fn utc(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// Returns the date of [`utc`]'s form, `2026-11-22`.
pub fn day(date: &str) -> &str {
    date.get(..10).unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_rounded() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1_288_490_189), "1.2 GiB");
        assert_eq!(seconds(0.84), "0.8 s");
        assert_eq!(seconds(9.7), "10 s");
        assert_eq!(seconds(200.2), "3 min 20 s");
        assert_eq!(seconds(7512.0), "2 h 05 min");
        assert_eq!([2.0, 44.0, 190.0].map(about), ["a few seconds", "about 40 s", "about 3 min"]);
    }

    #[test]
    fn speeds_have_at_least_three_significant_digits() {
        let speeds = [0.0, 3.456, 51.26, 999.96, 1469.4, 2e9].map(speed);
        assert_eq!(speeds, ["0.00", "3.46", "51.3", "1000.0", "1469", "2.00e9"]);
    }

    #[test]
    fn durations_and_sizes_are_parsed() {
        let parsed = |text| parse_duration(text).map(|duration| duration.as_secs());
        for (text, seconds) in [("90", 90), ("10m", 600), ("1h30m", 5400), ("1h 30min", 5400)] {
            assert_eq!(parsed(text), Ok(seconds), "{text}");
        }
        for wrong in ["", "m", "0s", "-1s", "99999999999999999999h", "999999h", "31d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_seconds("1500ms"), Ok(2));
        for (text, size) in [("4G", 4 << 30), ("512MiB", 512 << 20), ("7", 7), ("2kb", 2048)] {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for wrong in ["", "much", "0", "4X", "4iB", "4GG", "99999999999T"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
