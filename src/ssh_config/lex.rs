//! Words of a line, cut as OpenSSH cuts them: the keyword in one way, its arguments in another.

/// What separates words and may stand at the end of a line.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Cuts the next word: at space, or at one `=`, or at the end of what is in quotes. `None` is the end, or a
/// quote without its fellow.
pub(super) fn next_word(rest: &mut Option<&str>) -> Option<String> {
    let text = (*rest)?;
    let Some(at) = text.find([' ', '\t', '\r', '\n', '"', '=']) else {
        *rest = None;
        return Some(text.to_owned());
    };
    let (before, from) = text.split_at(at);
    if let Some(quoted) = from.strip_prefix('"') {
        let Some((inside, after)) = quoted.split_once('"') else {
            *rest = None;
            return None;
        };
        *rest = Some(after.trim_start_matches(SPACE));
        return Some(format!("{before}{inside}"));
    }
    let equals = from.starts_with('=');
    let mut after = from.get(1..).unwrap_or_default().trim_start_matches(SPACE);
    if !equals && let Some(more) = after.strip_prefix('=') {
        after = more.trim_start_matches(SPACE);
    }
    *rest = Some(after);
    Some(before.to_owned())
}

/// What stands on a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Words<'a> {
    /// Nothing, or a comment.
    Nothing,
    /// A quote in the keyword has no fellow. OpenSSH takes such a line for an empty one.
    OpenQuote,
    /// A keyword in lower case, and what follows it.
    Keyword(String, &'a str),
}

/// Reads a line up to its arguments.
pub(super) fn keyword(line: &str) -> Words<'_> {
    let line = line.trim_end_matches([' ', '\t', '\r', '\n', '\u{c}']);
    let mut rest = Some(line);
    let mut word = next_word(&mut rest);
    if word.as_deref() == Some("") {
        // Space before the keyword.
        word = next_word(&mut rest);
    }
    match word {
        None if line.contains('"') => Words::OpenQuote,
        None => Words::Nothing,
        Some(word) if word.is_empty() || word.starts_with('#') => Words::Nothing,
        Some(word) => Words::Keyword(
            word.to_ascii_lowercase(),
            rest.unwrap_or_default().trim_start_matches(SPACE),
        ),
    }
}

/// Splits arguments at space, with quotes and backslashes, up to a comment. `None` is a quote without its
/// fellow.
pub(super) fn arguments(text: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&first) = chars.peek() {
        match first {
            ' ' | '\t' => {
                chars.next();
            }
            '#' => break,
            _ => found.push(argument(&mut chars)?),
        }
    }
    Some(found)
}

/// Reads one argument from its first character on.
fn argument(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut word = String::new();
    let mut quote = None;
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => {
                let escaped = chars.next_if(|next| {
                    matches!(next, '\'' | '"' | '\\') || (*next == ' ' && quote.is_none())
                });
                word.push(escaped.unwrap_or('\\'));
            }
            (' ' | '\t', None) => return Some(word),
            ('"' | '\'', None) => quote = Some(c),
            (_, Some(open)) if c == open => quote = None,
            _ => word.push(c),
        }
    }
    quote.is_none().then_some(word)
}

/// Skips what may stand between a keyword and a command line.
pub(super) fn command(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\r', '\n', '='])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> (String, String) {
        match keyword(line) {
            Words::Keyword(word, rest) => (word, rest.to_owned()),
            other => (format!("{other:?}"), String::new()),
        }
    }

    #[test]
    fn a_keyword_ends_at_space_or_one_equals_sign() {
        let cases = [
            ("Port 22", "port", "22"),
            ("  Port\t22  ", "port", "22"),
            ("Port=22\r", "port", "22"),
            ("Port = 22", "port", "22"),
            ("Port==22", "port", "=22"),
            ("Port", "port", ""),
            ("\"Port\" 22", "port", "22"),
            ("# Port 22", "Nothing", ""),
            ("", "Nothing", ""),
            ("\u{c}", "Nothing", ""),
            ("\"Port 22", "OpenQuote", ""),
        ];
        for (line, word, rest) in cases {
            assert_eq!(read(line), (word.to_owned(), rest.to_owned()), "{line:?}");
        }
    }

    #[test]
    fn arguments_know_quotes_backslashes_and_comments() {
        let cases: [(&str, Option<&[&str]>); 10] = [
            ("a b", Some(&["a", "b"])),
            ("a#b #c", Some(&["a#b"])),
            ("\"a b\"c 'd e'", Some(&["a bc", "d e"])),
            (r"a\ b", Some(&["a b"])),
            (r#""a\ b""#, Some(&[r"a\ b"])),
            (r#"\"a\" \\ \n"#, Some(&["\"a\"", "\\", "\\n"])),
            ("\"\" x", Some(&["", "x"])),
            ("\"a", None),
            ("it's", None),
            ("", Some(&[])),
        ];
        for (text, wanted) in cases {
            let wanted = wanted.map(|words| words.iter().map(|w| (*w).to_owned()).collect());
            assert_eq!(arguments(text), wanted, "{text}");
        }
    }
}
