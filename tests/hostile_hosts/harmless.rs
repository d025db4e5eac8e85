//! What a terminal may be shown.

/// Whether a terminal could obey a character, or text could be hidden or turned by it.
pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Asserts that one line of text is only text.
#[track_caller]
pub(crate) fn assert_line(text: &str) {
    let harmful = text.chars().find(|c| is_harmful(*c));
    assert_eq!(harmful, None, "in {text:?}");
}

/// Asserts that an output is lines of text and nothing else.
#[track_caller]
pub(crate) fn assert_output(what: &str, output: &[u8]) {
    let text = std::str::from_utf8(output).unwrap_or_else(|error| panic!("{what}: {error}"));
    for line in text.split('\n') {
        assert_line(line);
    }
}
