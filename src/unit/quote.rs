//! Words as systemd reads them in unit files: systemd.syntax(7) and systemd.service(5), "COMMAND LINES".

/// Returns a shell script as one argument of a command line. Comment lines and indentation are left out,
/// so that what stands in a unit is no longer than it has to be.
pub(super) fn script(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    argument(&lines.join("\n"))
}

/// Returns a text as one argument of a command line, whatever it holds.
pub(super) fn argument(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8 + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '$' => out.push_str("$$"),
            other => escape(other, &mut out),
        }
    }
    out.push('"');
    out
}

/// Returns a path, with its `-` or `+` before it, as one word of a list of paths. Variables are not
/// replaced there, so that `$` stands for itself.
pub(super) fn path(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:=,~".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        escape(c, &mut out);
    }
    out.push('"');
    out
}

fn escape(c: char, out: &mut String) {
    match c {
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        '\\' => out.push_str("\\\\"),
        '"' => out.push_str("\\\""),
        '%' => out.push_str("%%"),
        c => out.push(c),
    }
}

/// Splits a value into its words: blanks separate them, quotes hold them together, backslashes escape.
/// `None` where a quote is not closed. Specifiers (`%h`) are left as they are.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => {
                let escaped = match chars.next()? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    's' => ' ',
                    other => other,
                };
                word.get_or_insert_default().push(escaped);
            }
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn arguments() {
        let cases = [
            ("a", "\"a\""),
            ("a b", "\"a b\""),
            ("$1 $$", "\"$$1 $$$$\""),
            ("100%", "\"100%%\""),
            ("a\nb\tc", "\"a\\nb\\tc\""),
            ("say \"x\\y\"", "\"say \\\"x\\\\y\\\"\""),
            ("it's", "\"it's\""),
            ("", "\"\""),
        ];
        for (text, wanted) in cases {
            assert_eq!(argument(text), wanted);
        }
        assert_eq!(script("# no\n\n  echo $1 # yes\n"), "\"echo $$1 # yes\"");
    }

    #[test]
    fn paths() {
        assert_eq!(path("-/home/claw/.openclaw"), "-/home/claw/.openclaw");
        assert_eq!(path("-/home/a b"), "\"-/home/a b\"");
        assert_eq!(path("/100%/$x\\y"), "\"/100%%/$x\\\\y\"");
        assert_eq!(path("/é"), "\"/é\"");
    }

    #[test]
    fn words_of_a_value() {
        let cases = [
            ("a  b", Some(vec!["a", "b"])),
            ("\"A=b c\" P=%x", Some(vec!["A=b c", "P=%x"])),
            ("a'b c'd", Some(vec!["ab cd"])),
            ("\"\"", Some(vec![""])),
            ("a\\ b", Some(vec!["a b"])),
            ("", Some(vec![])),
            ("\"a", None),
            ("a\\", None),
        ];
        for (text, wanted) in cases {
            let wanted = wanted.map(|words| words.into_iter().map(str::to_owned).collect());
            assert_eq!(words(text), wanted, "{text}");
        }
    }

    proptest! {
        /// What is quoted is one word, and the same one, once specifiers are replaced.
        #[test]
        fn a_quoted_path_is_one_word(text in "[ -~é\n\t]{0,40}") {
            let read = words(&path(&text)).unwrap();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(read[0].replace("%%", "%"), text.clone());
            let read = words(&argument(&text)).unwrap();
            prop_assert_eq!(read.len(), 1);
            prop_assert!(!argument(&text).contains('\n'));
        }
    }
}
