//! PURE. Text that is safe and fits: escaping of hostile text, widths, human units.
//!
//! Guest names, host names, network names, comments: whoever may define a guest or answer DHCP chose
//! them. Nothing of them reaches a terminal except through [`escape`].

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The text with everything that could move a cursor, hide or reorder text shown as `\x1b` or
/// `\u{202e}`: control characters, bidirectional controls, zero-width and other invisible ones.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if harmless(c) {
            safe.push(c);
        } else if u32::from(c) < 0x80 {
            safe.push_str(&format!("\\x{:02x}", u32::from(c)));
        } else {
            safe.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        }
    }
    Cow::Owned(safe)
}

/// JSON text with everything that [`escape`] hides as `\uXXXX`: the same values, safe to print.
#[must_use]
pub fn escape_json(json: &str) -> Cow<'_, str> {
    let safe = |c: char| harmless(c) || c == '\n';
    if json.chars().all(safe) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if safe(c) {
            out.push(c);
        } else {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    Cow::Owned(out)
}

fn harmless(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic() || c == ' ';
    }
    let invisible = matches!(u32::from(c),
        0x80..=0xa0 | 0xad | 0x034f | 0x061c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
        | 0x200b..=0x200f | 0x2028..=0x202f | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff
        | 0xffa0 | 0xfff0..=0xfffb | 0xe000..=0xf8ff | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff | 0xf0000..);
    // A combining mark (width 0) could be stacked over its neighbours without end.
    !invisible && c.width().is_some_and(|width| width > 0)
}

/// How many columns the text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text in lines of at most `columns`, broken at spaces; a word that is longer has a line of its own.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A shell line in as many lines as it needs, to be copied as one: broken between words outside of quotes, where a
/// backslash carries it on; a comment goes on as a comment.
#[must_use]
pub fn wrap_shell(line: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    let (mut quoted, mut comment) = (false, false);
    for (at, word) in line.split(' ').enumerate() {
        comment |= !quoted && word.starts_with('#');
        if at == 0 {
            current.push_str(word);
        } else if quoted || current.width() + 1 + word.width() + 2 <= columns {
            current.push(' ');
            current.push_str(word);
        } else if comment {
            let sign = if word.starts_with('#') { "" } else { "# " };
            lines.push(std::mem::replace(&mut current, format!("{sign}{word}")));
        } else {
            current.push_str(" \\");
            lines.push(std::mem::replace(&mut current, format!("    {word}")));
        }
        let mut rest = word.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' if !quoted => drop(rest.next()),
                '\'' => quoted = !quoted,
                _ => {}
            }
        }
    }
    lines.push(current);
    lines
}

/// The text in exactly `columns`: cut at a grapheme with `…` (or `~`), or padded on the right.
#[must_use]
pub fn fit(text: &str, columns: usize, ellipsis: char) -> String {
    let mut out = truncate(text, columns, ellipsis).into_owned();
    let pad = columns.saturating_sub(out.width());
    out.extend(std::iter::repeat_n(' ', pad));
    out
}

/// The text in at most `columns`, cut at a grapheme.
#[must_use]
pub fn truncate(text: &str, columns: usize, ellipsis: char) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let next = used + grapheme.width();
        if next + 1 > columns {
            break;
        }
        used = next;
        out.push_str(grapheme);
    }
    if columns > 0 {
        out.push(ellipsis);
    }
    Cow::Owned(out)
}

/// A number with three digits and a decimal unit: `0`, `740`, `84.0k`, `1.2M`. Never wider than six.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub fn count(value: u64) -> String {
    if value < 1000 { value.to_string() } else { scaled(value as f64) }
}

/// A rate in units per second, like [`count`].
#[must_use]
pub fn rate(value: f64) -> String {
    if value < 0.5 {
        return "0".to_owned();
    }
    if value < 999.5 { format!("{value:.0}") } else { scaled(value) }
}

fn scaled(mut value: f64) -> String {
    let mut units = ['k', 'M', 'G', 'T', 'P', 'E'].into_iter();
    let mut unit = units.next().unwrap_or('k');
    value /= 1000.0;
    while value >= 999.95 {
        let Some(next) = units.next() else { break };
        unit = next;
        value /= 1000.0;
    }
    if value < 100.0 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

/// A span of time in its two largest units: `4 s`, `2 min 5 s`, `3 h 10 min`, `2 d 4 h`.
#[must_use]
pub fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |big: u64, unit: &str, small: u64, small_unit: &str| {
        if small == 0 { format!("{big} {unit}") } else { format!("{big} {unit} {small} {small_unit}") }
    };
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => two(minutes, "min", seconds % 60, "s"),
        3600..=86_399 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_shown_not_obeyed() {
        assert_eq!(escape("web01"), "web01");
        assert_eq!(escape("漢字"), "漢字");
        assert_eq!(escape("\x1b[2Jx"), "\\x1b[2Jx");
        assert_eq!(escape("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(escape("a\u{200b}b\u{0301}"), "a\\u{200b}b\\u{301}");
        assert_eq!(escape("a\nb\u{9b}"), "a\\x0ab\\u{9b}");
    }

    #[test]
    fn text_is_cut_at_columns_not_bytes() {
        assert_eq!(fit("漢字漢字", 5, '…'), "漢字…");
        assert_eq!(fit("漢字", 5, '…'), "漢字 ");
        assert_eq!(fit("abcdef", 6, '…'), "abcdef");
        assert_eq!(fit("abcdefg", 6, '…'), "abcde…");
        assert_eq!(fit("abc", 0, '…'), "");
    }

    #[test]
    fn a_broken_shell_line_is_still_the_same_to_a_shell() {
        let line =
            r"virsh attach 'web 01' --live 'it'\''s a' && ip link set vnet0 master virbr0 # as it was before";
        let broken = wrap_shell(line, 30);
        assert!(broken.len() > 3);
        let (comments, commands): (Vec<_>, Vec<_>) =
            broken.iter().map(|line| line.trim_start()).partition(|line| line.starts_with('#'));
        let back = format!("{} {}", commands.join(" ").replace("\\ ", ""), comments.join(" "));
        assert_eq!(back.replace("# was", "was").replace("# before", "before"), line);
        assert_eq!(wrap_shell("ip link", 30), ["ip link"]);
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!([0, 999, 1000, 84_000, 1_200_000].map(count), ["0", "999", "1.0k", "84.0k", "1.2M"]);
        assert_eq!(count(999_999), "1.0M");
        assert_eq!(count(u64::MAX), "18.4E");
        assert_eq!(rate(0.2), "0");
        assert_eq!(rate(12_400.0), "12.4k");
    }

    #[test]
    fn spans_have_two_units() {
        assert_eq!(
            [4_000, 125_000, 3_600_000, 11_400_000].map(span),
            ["4 s", "2 min 5 s", "1 h", "3 h 10 min"]
        );
    }
}
