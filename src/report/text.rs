//! Making text safe and short for a terminal.

use std::borrow::Cow;
use std::time::Duration;

/// Replaces everything that a terminal could obey or that could hide text: control characters,
/// both C0 and C1, line and paragraph separators, and the marks that turn the writing direction.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars()
            .map(|c| match c {
                '\t' => ' ',
                // The control pictures show which one it was.
                '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
                '\u{7f}' => '\u{2421}',
                c if is_unsafe(c) => '\u{fffd}',
                c => c,
            })
            .collect(),
    )
}

pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// Shortens a text to that many characters.
pub fn shorten(text: &str, limit: usize) -> Cow<'_, str> {
    if text.chars().count() <= limit {
        return Cow::Borrowed(text);
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    Cow::Owned(short)
}

/// Writes a span of time as people say it: `340 ms`, `2.4 s`, `5 min`, `5 d 10 h`.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..=9 => format!("{:.1} s", duration.as_secs_f64()),
        10..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `1 host`, `3 hosts`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_a_terminal_obeys_survives() {
        let evil = "\u{1b}[2J\u{1b}]0;x\u{7}\r\n\u{9b}31m\u{202e}abc\u{2028}";
        let safe = sanitize(evil);
        assert!(!safe.chars().any(is_unsafe), "{safe:?}");
        assert!(safe.contains("abc"));
        assert_eq!(sanitize("VM151 网关"), "VM151 网关");
    }

    #[test]
    fn spans_read_well() {
        let cases = [
            (5, "5.0 s"),
            (65, "65 s"),
            (3600, "60 min"),
            (468_000, "5 d 10 h"),
        ];
        for (seconds, wanted) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), wanted);
        }
    }

    proptest! {
        #[test]
        fn sanitized_text_is_safe(text in "\\PC*|[\\x00-\\x9f]{0,20}") {
            prop_assert!(!sanitize(&text).chars().any(is_unsafe));
        }
    }
}
