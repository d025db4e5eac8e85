//! Making text that a host sent safe and short.

use std::borrow::Cow;

/// Replaces everything that a terminal could obey or that could hide text: control characters,
/// both C0 and C1, line and paragraph separators, characters without a shape, and the marks that
/// turn the writing direction.
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

/// Whether a terminal could obey a character, or text could be hidden or turned by it.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            // Marks of writing direction: the Arabic one, and those of the general block.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Breaks of lines and paragraphs.
            | '\u{2028}' | '\u{2029}'
            // Without a shape: joiners, invisible operators, annotations, tags.
            | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// Escapes what a terminal could obey and JSON allows raw in its strings (DEL, C1 controls, marks
/// of writing direction), so that the values stay as they were and a terminal shows only text.
pub fn escape_json(json: &str) -> String {
    use std::fmt::Write as _;
    json.chars()
        .fold(String::with_capacity(json.len()), |mut out, c| {
            // Line feeds are the printer's own: those in strings are escaped already.
            if is_unsafe(c) && c != '\n' {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            } else {
                out.push(c);
            }
            out
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_a_terminal_obeys_survives() {
        let evil =
            "\u{1b}[2J\u{1b}]0;x\u{7}\r\n\u{9b}31m\u{202e}\u{61c}abc\u{2028}\u{2066}\u{e0041}";
        let safe = sanitize(evil);
        assert!(!safe.chars().any(is_unsafe), "{safe:?}");
        assert!(safe.contains("abc"));
        assert_eq!(sanitize("VM151 网关"), "VM151 网关");
    }

    proptest! {
        #[test]
        fn sanitized_text_is_safe(text in "\\PC*|[\\x00-\\x9f]{0,20}") {
            prop_assert!(!sanitize(&text).chars().any(is_unsafe));
        }
    }
}
