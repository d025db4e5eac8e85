//! `Match`: criteria, and whether they hold.

use crate::model::{ListMatch, matches_list};

use super::lex::next_word;
use super::tokens;

/// One criterion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Criterion {
    pub(super) negated: bool,
    pub(super) test: Test,
}

/// What a criterion asks for. Lists are patterns with commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    All,
    /// `final` and `canonical`: both hold in the second reading.
    Last,
    Host(String),
    OriginalHost(String),
    User(String),
    LocalUser(String),
    Exec(String),
}

/// What is read from a `Match` line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Criteria {
    pub(super) list: Vec<Criterion>,
    /// Whether `final` stands there, which asks for a second reading.
    pub(super) wants_last: bool,
}

/// Reads what stands behind `Match`.
pub(super) fn criteria(text: &str, has_arguments: bool) -> Result<Criteria, String> {
    let mut found = Criteria::default();
    let mut rest = Some(text);
    while let Some(word) = next_word(&mut rest).filter(|word| !word.is_empty()) {
        if word.starts_with('#') {
            rest = None;
            break;
        }
        let (negated, name) = match word.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, word.as_str()),
        };
        let name = name.to_ascii_lowercase();
        if name == "all" {
            let after = next_word(&mut rest).unwrap_or_default();
            if found.list.len() > 1 || !(after.is_empty() || after.starts_with('#')) {
                return Err(format!("`{word}` cannot stand with other criteria"));
            }
            if after.starts_with('#') {
                rest = None;
            }
            let test = Test::All;
            found.list.push(Criterion { negated, test });
            return ended(found, rest, has_arguments);
        }
        let test = if matches!(name.as_str(), "final" | "canonical") {
            found.wants_last |= name == "final";
            Test::Last
        } else {
            let argument = next_word(&mut rest)
                .filter(|argument| !argument.is_empty() && !argument.starts_with('#'));
            test(&name, argument)?
        };
        found.list.push(Criterion { negated, test });
    }
    if found.list.is_empty() {
        return Err("Match wants a criterion".to_owned());
    }
    ended(found, rest, has_arguments)
}

fn ended(found: Criteria, rest: Option<&str>, has_arguments: bool) -> Result<Criteria, String> {
    match rest {
        Some(rest) if !rest.is_empty() && has_arguments => {
            Err(format!("extra arguments at the end of the line: `{rest}`"))
        }
        _ => Ok(found),
    }
}

fn test(name: &str, argument: Option<String>) -> Result<Test, String> {
    let argument = argument.ok_or_else(|| match name {
        "host" | "originalhost" | "user" | "localuser" | "exec" => {
            format!("Match {name} wants an argument")
        }
        _ => unsupported(name),
    })?;
    Ok(match name {
        "host" => Test::Host(argument.to_ascii_lowercase()),
        "originalhost" => Test::OriginalHost(argument.to_ascii_lowercase()),
        "user" => Test::User(argument),
        "localuser" => Test::LocalUser(argument),
        "exec" => {
            tokens::check(&argument, tokens::OF_EXEC)?;
            Test::Exec(argument)
        }
        _ => return Err(unsupported(name)),
    })
}

fn unsupported(name: &str) -> String {
    format!(
        "unsupported Match criterion `{name}`; known are host, originalhost, user, localuser, exec, final, \
         canonical, all"
    )
}

/// Says whether a text matches a list.
pub(super) fn listed(list: &str, text: &str) -> bool {
    // A comma at the end is no empty pattern.
    let list = list.strip_suffix(',').unwrap_or(list);
    matches_list(list.split(','), text) == ListMatch::Yes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_are_read_as_openssh_reads_them() {
        for text in [
            "all",
            "!all",
            "host a",
            "host=a user b",
            "host \"a b\" exec \"test -f %h\"",
            "final host a,b # x",
            "canonical all",
            "final host a",
        ] {
            assert!(criteria(text, true).is_ok(), "{text}");
        }
        for text in [
            "",
            "# x",
            "host",
            "host # a",
            "all host a",
            "host a user b all",
            "tagged x",
            "exec \"echo %Z\"",
        ] {
            assert!(criteria(text, true).is_err(), "{text}");
        }
        assert!(criteria("final", true).unwrap().wants_last);
        assert!(!criteria("canonical", true).unwrap().wants_last);
    }
}
