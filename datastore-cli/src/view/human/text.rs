//! Numbers, sizes and texts as people read them.

use unicode_width::UnicodeWidthStr as _;

pub(super) use datastore_core::amount::{count, size};

/// A duration in milliseconds.
pub(super) fn duration(ms: f64) -> String {
    if ms < 1000.0 {
        format!("{:.2} s", ms / 1000.0)
    } else if ms < 60_000.0 {
        format!("{:.1} s", ms / 1000.0)
    } else {
        let seconds = (ms / 1000.0).round();
        format!("{:.0} min {:.0} s", (seconds / 60.0).floor(), seconds % 60.0)
    }
}

/// The text without anything that could break the line or drive the terminal.
pub(in crate::view) fn clean(text: &str) -> String {
    datastore_core::path::printable(text.as_bytes())
}

/// How many columns a text takes.
pub(super) fn width(text: &str) -> usize {
    // Nearly every text is ASCII, which needs no table; control characters have been escaped.
    if text.is_ascii() { text.len() } else { text.width() }
}

/// The text cut in its middle to so many columns; of a path its end says most, so more of that stays.
pub(in crate::view) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else { return String::new() };
    let head = room / 3;
    let take = |chars: &mut dyn Iterator<Item = char>, room: usize| -> Vec<char> {
        let mut used = 0;
        chars
            .take_while(|c| {
                used += unicode_width::UnicodeWidthChar::width(*c).unwrap_or(0);
                used <= room
            })
            .collect()
    };
    let start: String = take(&mut text.chars(), head).into_iter().collect();
    let end: String = take(&mut text.chars().rev(), room - head).into_iter().rev().collect();
    format!("{start}…{end}")
}

/// The text in lines of at most so many columns, broken between words; a longer word stands alone.
pub(super) fn wrap(text: &str, columns: Option<usize>) -> Vec<String> {
    let Some(columns) = columns else { return vec![text.to_owned()] };
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_counts() {
        assert_eq!(duration(31.4), "0.03 s");
        assert_eq!(duration(12_340.0), "12.3 s");
        assert_eq!(duration(59.9 * 60_000.0), "59 min 54 s");
        assert_eq!((count(1, "entry"), count(2, "entry")), ("1 entry".into(), "2 entries".into()));
    }

    #[test]
    fn cutting_keeps_the_width() {
        for text in ["/var/lib/mysql/very/long/path", "日本語のパス/日本語", "ab"] {
            for columns in 0..40 {
                assert!(width(&cut(text, columns)) <= columns, "{text} {columns}");
            }
        }
        assert_eq!(cut("/var/lib/mysql", 10), "/va…/mysql");
        assert_eq!(cut("/var", 4), "/var");
    }

    #[test]
    fn wrapping_loses_no_word() {
        let text = "one two three four-five-six-seven eight";
        let lines = wrap(text, Some(10));
        assert_eq!(lines, ["one two", "three", "four-five-six-seven", "eight"]);
        assert_eq!(lines.join(" "), text);
        assert_eq!(wrap(text, None), [text]);
    }
}
