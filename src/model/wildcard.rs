//! OpenSSH's patterns (ssh_config(5), PATTERNS): `*`, `?`, and lists with negation.

/// Whether a text is what a pattern means: `*` is any characters, `?` one. Neither is anything
/// special in brackets, and case counts.
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut done) = (0, 0);
    // Where the last star was, and how much of the text it takes. Only the last one ever needs to
    // take more, so the time is the product of the lengths and not a power.
    let mut star: Option<(usize, usize)> = None;
    while let Some(have) = text.get(done) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, done));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == have => {
                at += 1;
                done += 1;
            }
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    at = place + 1;
                    done = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern
        .get(at..)
        .is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

/// What a list of patterns says of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListMatch {
    /// One matches, and none that is negated.
    Yes,
    /// None matches.
    No,
    /// One that is negated matches, whatever the others do.
    Negated,
}

/// Reads patterns, each of which `!` may negate.
pub fn matches_list<'a>(patterns: impl IntoIterator<Item = &'a str>, text: &str) -> ListMatch {
    let mut found = ListMatch::No;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(negated) if matches_pattern(negated, text) => return ListMatch::Negated,
            Some(_) => {}
            None if matches_pattern(pattern, text) => found = ListMatch::Yes,
            None => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_openssh_means() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
            ("*", "", true),
            ("*", "abc", true),
            ("a*", "a", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("*.b.*", "a.b.c", true),
            ("*.b.*", "a.b", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "", false),
            ("**a**", "bab", true),
            ("*a*b", "aab", true),
            ("A", "a", false),
            ("[a]", "a", false),
            ("10.0.0.*", "10.0.0.151", true),
        ];
        for (pattern, text, wanted) in cases {
            assert_eq!(matches_pattern(pattern, text), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "*a".repeat(200);
        let text = "a".repeat(199) + "b";
        assert!(!matches_pattern(&pattern, &text));
    }

    #[test]
    fn a_negated_pattern_wins_over_all_others() {
        let list = |text| matches_list(["a*", "!ab", "abc"], text);
        assert_eq!(list("abc"), ListMatch::Yes);
        assert_eq!(list("ab"), ListMatch::Negated);
        assert_eq!(list("b"), ListMatch::No);
        assert_eq!(matches_list(["!b"], "a"), ListMatch::No);
    }
}
